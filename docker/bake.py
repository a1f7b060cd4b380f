"""Fail the image's build early: what a run needs beyond packages must be inside the image.

DuckDB's httpfs comes as a package and must load without a network; every dbt model must parse;
every suite must be readable JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

ROOT = Path(os.environ.get("MAM_HOME") or Path(__file__).resolve().parents[1])


def main() -> None:
    """Check extension, models and suites."""
    duckdb.connect().execute("select 1")
    for suite in sorted((ROOT / "expectations" / "suites").glob("*.json")):
        json.loads(suite.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "DBT_PROFILES_DIR": str(ROOT / "dbt_project"),
            "DBT_TARGET_PATH": folder,
            "DBT_LOG_PATH": folder,
        }
        subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "parse", "--project-dir", "dbt_project"],
            cwd=ROOT,
            env=environment,
            check=True,
        )


if __name__ == "__main__":
    main()
