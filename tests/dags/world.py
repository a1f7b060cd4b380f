"""A small world for real DAG runs: an Airflow home, a data folder, a bucket, hostile vendors."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake_ingest.sandbox.universe import coins
from majors_alts_monitor.config import effective_values, load_config
from pipeline_kit.local_airflow import airflow_environment
from tests.dags.hostile import hostile

ROOT = Path(__file__).parents[2]
ASOF = "2024-07-19"
NOW = "2024-07-20T00:50:00Z"
CANARY = "canary-2c9d41f0b7"
SYMBOLS = tuple(coin.asset_id for coin in coins())[:14]
SMALL = [
    "universe.min_mcap_usd=0",
    "universe.min_volume_usd=0",
    "universe.min_names=3",
    "universe.alt_selection.enabled=false",
    "universe.per_name_cap=0.5",
    "evaluation.bootstrap.n_boot=50",
]


@dataclass(frozen=True)
class Done:
    """How a DAG run ended."""

    state: str
    tasks: list[tuple[str, int, str]]
    """Task, map index or -1, state."""
    log: str
    names: list[str | None]
    """What Airflow shows in place of each map index."""
    notes: dict[str, Any]
    """What the tasks left in Airflow's task state store."""


@dataclass(frozen=True)
class World:
    """Where DAG runs read and write, and the one process that runs them."""

    home: Path
    environment: dict[str, str]
    driver: subprocess.Popen[str]
    keys: set[str]
    """What vendors were sent as keys."""

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def bucket(self) -> Path:
        return self.home / "bucket"

    @property
    def log(self) -> Path:
        return self.home / "driver.log"

    def run_dag(
        self, dag_id: str, conf: dict[str, Any], logical_date: str = "", **settings: str
    ) -> Done:
        """Run a DAG from its first task to its last by ``dag.test()``, whatever comes of it."""
        begin = self.log.stat().st_size
        request = {"dag_id": dag_id, "conf": conf, "logical_date": logical_date}
        request["settings"] = settings
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps(request) + "\n")
        self.driver.stdin.flush()
        answer = self.driver.stdout.readline()
        log = self.log.read_bytes()[begin:].decode()
        assert answer, log[-6000:]
        ended = json.loads(answer)
        tasks = [tuple(task) for task in ended["tasks"]]
        return Done(ended["state"], tasks, log, ended["names"], ended["notes"])

    def test_dag(
        self, dag_id: str, conf: dict[str, Any], logical_date: str = "", **settings: str
    ) -> Done:
        """Run a DAG that must succeed."""
        done = self.run_dag(dag_id, conf, logical_date, **settings)
        assert done.state == "success", done.log[-6000:]
        return done


@contextmanager
def make_world(home: Path) -> Iterator[World]:
    """Yield a world whose vendors are a small sandbox that lists hostile symbols."""
    for folder in ("data", "bucket", "airflow"):
        (home / folder).mkdir()
    (home / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    environment = _environment(home)
    migrated = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr[-3000:]
    keys: set[str] = set()
    with (
        _sandbox(home, environment) as urls,
        hostile(urls, keys) as poisoned,
        _driver(home, environment | poisoned) as driver,
    ):
        yield World(home, environment | poisoned, driver, keys)


def _environment(home: Path) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(home / "airflow"))
        environment = airflow_environment()
    for name in ("MAM_SMTP_URL", "MAM_REPORT_RECIPIENTS", "MAM_ALERT_WEBHOOK"):
        environment.pop(name, None)
    return environment | {
        "MAM_DATA_DIR": str(home / "data"),
        "MAM_BUCKET_URI": f"file://{home / 'bucket'}",
        "MAM_CONFIG": str(home / "small.yaml"),
        "MAM_NOW": NOW,
        "MAM_HISTORY_DAYS": "170",
        "OMP_NUM_THREADS": "1",
        "COINGLASS_API_KEY": "sandbox-standard",
        "COINGECKO_API_KEY": "replaced-by-the-connection",
        "AIRFLOW_CONN_COINGECKO": json.dumps({"conn_type": "http", "password": CANARY}),
        "COINGECKO_PLAN": "pro",
        "MAM_RATE_COINGLASS": "100000",
        "MAM_RATE_COINGECKO": "100000",
        "MAM_RATE_BINANCE": "100000",
    }


@contextmanager
def _driver(home: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with (
        (home / "driver.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("driver.py")), *SYMBOLS],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _sandbox(home: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    flags = ["--port", "0", "--assets", str(len(SYMBOLS)), "--days", "190", "--rate", "100000"]
    with subprocess.Popen(
        [sys.executable, "-m", "lake_ingest.sandbox", *flags],
        cwd=home,
        env=environment,
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
