"""A small world for real DAG runs: an Airflow home, a data folder, a bucket, a vendor server."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from majors_alts_monitor.config import effective_values, load_config
from pipeline_kit.local_airflow import airflow_environment

ROOT = Path(__file__).parents[2]
ASOF = "2024-07-19"
NOW = "2024-07-20T00:50:00Z"
CANARY = "canary-2c9d41f0b7"
SMALL = [
    "universe.min_mcap_usd=0",
    "universe.min_volume_usd=0",
    "universe.min_names=3",
    "universe.alt_selection.enabled=false",
    "universe.per_name_cap=0.5",
    "evaluation.bootstrap.n_boot=50",
]


@dataclass(frozen=True)
class World:
    """Where a DAG run reads and writes."""

    home: Path
    environment: dict[str, str]

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def bucket(self) -> Path:
        return self.home / "bucket"

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours in this world."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.home,
            env=self.environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_dag(self, dag_id: str, conf: dict[str, Any], *flags: str) -> str:
        """Run a DAG end to end and return its log; a failed task fails the test."""
        done = self.run("airflow", "dags", "test", dag_id, *flags, "--conf", json.dumps(conf))
        log = done.stdout + done.stderr
        (self.home / f"{dag_id}.log").write_text(log)
        assert done.returncode == 0, log[-6000:]
        return log


@contextmanager
def make_world(home: Path) -> Iterator[World]:
    """Yield a world whose vendors are a small sandbox."""
    for folder in ("data", "bucket", "airflow"):
        (home / folder).mkdir()
    (home / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    before = os.environ.get("AIRFLOW_HOME")
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    try:
        environment = airflow_environment()
    finally:
        if before is None:
            del os.environ["AIRFLOW_HOME"]
        else:
            os.environ["AIRFLOW_HOME"] = before
    environment |= {
        "MAM_DATA_DIR": str(home / "data"),
        "MAM_BUCKET_URI": f"file://{home / 'bucket'}",
        "MAM_CONFIG": str(home / "small.yaml"),
        "MAM_NOW": NOW,
        "MAM_HISTORY_DAYS": "200",
        "OMP_NUM_THREADS": "1",
        "COINGLASS_API_KEY": "sandbox-standard",
        "COINGECKO_API_KEY": CANARY,
        "COINGECKO_PLAN": "pro",
        "MAM_RATE_COINGLASS": "100000",
        "MAM_RATE_COINGECKO": "100000",
        "MAM_RATE_BINANCE": "100000",
    }
    for name in ("MAM_SMTP_URL", "MAM_REPORT_RECIPIENTS", "MAM_ALERT_WEBHOOK"):
        environment.pop(name, None)
    world = World(home, environment)
    migrated = world.run("airflow", "db", "migrate")
    assert migrated.returncode == 0, migrated.stderr[-3000:]
    with _sandbox(world) as urls:
        yield World(home, environment | urls)


@contextmanager
def _sandbox(world: World) -> Iterator[dict[str, str]]:
    flags = ["--port", "0", "--assets", "14", "--days", "220", "--rate", "100000"]
    with subprocess.Popen(
        [sys.executable, "-m", "lake_ingest.sandbox", *flags],
        cwd=world.home,
        env=world.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        urls = {}
        for line in process.stdout or ():
            if line.startswith("ready:"):
                break
            name, _, url = line.strip().partition("=")
            urls[name] = url
        try:
            yield urls
        finally:
            process.terminate()


def hashes(folder: Path) -> dict[str, str]:
    """Return name to SHA-256 of every file below ``folder``."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def holds(path: Path, needle: bytes) -> bool:
    """Return whether a file contains ``needle``, compressed archives included."""
    content = path.read_bytes()
    if needle in content:
        return True
    if path.suffix != ".gz":
        return False
    try:
        return needle in gzip.decompress(content)
    except (OSError, zlib.error):
        return False
