"""Put into the image what a run would otherwise make or fetch, and fail the build early.

DuckDB's httpfs comes as a package and must load without a network; dbt's manifest and parse cache
are left in ``baked/`` beside ``dbt_project/``, where a build finds them; every suite must be JSON.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import duckdb

from majors_alts_monitor.config import load_config
from majors_alts_monitor.data_io import warehouse_variables

ROOT = Path(os.environ.get("MAM_HOME") or Path(__file__).resolve().parents[1])


def main() -> None:
    """Check extension and suites; bake the models."""
    load_extension()
    for suite in sorted((ROOT / "expectations" / "suites").glob("*.json")):
        json.loads(suite.read_text("utf-8"))
    bake_models(ROOT / "baked")


def load_extension() -> None:
    """Load httpfs from its package, as ``s3://`` paths in a notebook would need it."""
    spec = find_spec("duckdb_extension_httpfs")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else ROOT
    (extension,) = folder.rglob("httpfs.duckdb_extension")
    duckdb.connect().execute(f"load '{extension}'")


def bake_models(folder: Path) -> None:
    """Parse every model with the variables of the shipped configuration."""
    project = str(ROOT / "dbt_project")
    variables = json.dumps(
        warehouse_variables(load_config(None), None), default=str, sort_keys=True
    )
    with tempfile.TemporaryDirectory() as work:
        settings = {
            "DBT_TARGET_PATH": work,
            "DBT_LOG_PATH": work,
            "DBT_ENV_SECRET_WAREHOUSE_PATH": f"{work}/warehouse.duckdb",
            "DBT_ENV_SECRET_DUCKDB_TEMP": f"{work}/spill",
        }
        command = [sys.executable, "-m", "dbt.cli.main", "parse", "--vars", variables]
        command += ["--project-dir", project, "--profiles-dir", project]
        subprocess.run(command, cwd=work, env=os.environ | settings, check=True)
        folder.mkdir(exist_ok=True)
        for name in ("manifest.json", "partial_parse.msgpack"):
            shutil.copyfile(Path(work) / name, folder / name)


if __name__ == "__main__":
    main()
