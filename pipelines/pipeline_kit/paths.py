"""Where things are: one place that reads the environment for folders and addresses."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline_kit.errors import UsageProblem


def project_root() -> Path:
    """Return the checkout that holds ``dbt_project/`` and ``requirements/``.

    ``MAM_HOME`` replaces it where the packages are installed away from their checkout.
    """
    root = Path(os.environ.get("MAM_HOME") or Path(__file__).resolve().parents[2])
    if not (root / "dbt_project" / "dbt_project.yml").is_file():
        raise UsageProblem(f"MAM_HOME: no dbt_project/ below {root}; set MAM_HOME to the checkout")
    return root


def dbt_project_dir() -> Path:
    """Return the folder of the dbt project."""
    return project_root() / "dbt_project"


def seeds_dir() -> Path:
    """Return the folder of the reviewed tables that are kept as files, such as the asset map."""
    return dbt_project_dir() / "seeds"


def suites_dir() -> Path:
    """Return the folder of the Great Expectations suites."""
    return project_root() / "expectations" / "suites"


def lock_file() -> Path:
    """Return the hashed lock the environment was installed from."""
    return project_root() / "requirements" / "main.lock"


def data_dir() -> Path:
    """Return ``MAM_DATA_DIR`` (default ``./data``), absolute."""
    return Path(os.environ.get("MAM_DATA_DIR") or "data").resolve()


def lake_dir() -> Path:
    """Return our curated lake, ``data/curated/data_lake``."""
    return data_dir() / "curated" / "data_lake"


def bronze_dir() -> Path:
    """Return the archive of vendor answers."""
    return data_dir() / "bronze"


def quarantine_dir() -> Path:
    """Return the folder of rows that a gate held back."""
    return data_dir() / "quarantine"


def quality_dir() -> Path:
    """Return the folder of the gates' results, one JSON file per run and gate."""
    return data_dir() / "dq"


def warehouse_dir() -> Path:
    """Return the folder of built warehouses; ``current.duckdb`` in it is the published one."""
    return data_dir() / "warehouse"


def ledger_dir() -> Path:
    """Return the folder of the trial ledger."""
    return data_dir() / "ledger"


def bucket_uri() -> str:
    """Return ``MAM_BUCKET_URI`` (default ``file://./output``)."""
    return os.environ.get("MAM_BUCKET_URI") or "file://./output"
