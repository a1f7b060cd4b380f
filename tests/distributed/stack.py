"""The project's DAGs on CeleryExecutor: scheduler, DAG processor, API server and two workers.

The workers share nothing but the bucket: each has a data folder of its own. Worker 1 is the home
of lake and ledger and takes every queue; worker 2 takes members of sweeps only.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
from cryptography.fernet import Fernet

from pipeline_kit import paths
from tests.distributed.services import (
    BUCKET,
    Services,
    free_ports,
    is_listening,
    running,
    s3_login,
    wait_until,
)

DAG_ID = "backfill_backtest"
NOW = "2024-07-20T00:50:00Z"
QUEUES = {"home": "default,members", "guest": "members"}
"""Worker to the queues it takes."""
READY_S = 240.0


@dataclass(frozen=True)
class Stack:
    """A running Airflow and where its workers keep their data."""

    folder: Path
    environment: Mapping[str, str]
    services: Services

    def data(self, worker: str) -> Path:
        """Return the data folder of a worker."""
        return self.folder / worker / "data"

    def trigger(self, conf: Mapping[str, Any]) -> str:
        """Start the DAG and return the id of the run."""
        run_id = f"distributed-{secrets.token_hex(4)}"
        command = ["dags", "trigger", DAG_ID, "--run-id", run_id, "--conf", json.dumps(conf)]
        _airflow(command, self)
        return run_id

    def wait(self, run_id: str, seconds: float) -> pd.DataFrame:
        """Return the task instances of a finished run, one row each, times in UTC."""

        def is_over() -> bool:
            return self.state(run_id) in {"success", "failed"}

        wait_until(f"dag run {run_id}", is_over, seconds)
        assert self.state(run_id) == "success", self.failures(run_id)
        return self.query(
            "select task_id, map_index, queued_dttm, start_date, end_date from task_instance"
            " where run_id = %s order by task_id, map_index",
            [run_id],
        )

    def state(self, run_id: str) -> str:
        """Return the state of a dag run."""
        return str(self.query("select state from dag_run where run_id = %s", [run_id])["state"][0])

    def failures(self, run_id: str) -> str:
        """Return the ends of the logs of a failed run."""
        logs = sorted((self.folder / "airflow" / "logs").rglob(f"*{run_id}*/**/*.log"))
        return "\n".join(f"{path}\n{path.read_text()[-3000:]}" for path in logs)[-12000:]

    def finished_by(self, worker: str) -> int:
        """Return how many tasks a worker has finished, by its log."""
        log = (self.folder / worker / "worker.log").read_text("utf-8")
        return sum(
            "execute_workload" in line and "succeeded in" in line for line in log.splitlines()
        )

    def query(self, sql: str, values: list[str]) -> pd.DataFrame:
        """Return the rows of a query on Airflow's database."""
        connection = psycopg2.connect(f"postgresql://{self.services.postgres}")
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                names = [column[0] for column in cursor.description or ()]
                return pd.DataFrame(cursor.fetchall(), columns=names)
        finally:
            connection.close()


@contextmanager
def stack(folder: Path, servers: Services) -> Iterator[Stack]:
    """Yield a running Airflow."""
    api, *log_ports = free_ports(1 + len(QUEUES))
    made = Stack(folder, _environment(folder, servers, api), servers)
    _airflow(["db", "migrate"], made)
    with ExitStack() as components:
        for name in ("api-server", "scheduler", "dag-processor"):
            log = folder / f"{name}.log"
            components.enter_context(running(_command(name), log, made.environment))
        for (worker, queues), port in zip(QUEUES.items(), log_ports, strict=True):
            components.enter_context(_worker(made, worker, queues, port))
        _airflow(["pools", "import", str(paths.project_root() / "docker" / "pools.json")], made)
        _wait_until_ready(made, api)
        yield made


@contextmanager
def _worker(made: Stack, worker: str, queues: str, log_port: int) -> Iterator[None]:
    folder = made.folder / worker
    folder.mkdir(exist_ok=True)
    settings = {
        "MAM_DATA_DIR": str(made.data(worker)),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_port),
    }
    flags = ["--concurrency", "1", "--queues", queues, "--celery-hostname", f"{worker}@loopback"]
    flags += ["--pid", str(folder / "worker.pid"), "--without-mingle", "--without-gossip"]
    command = [*_command("celery"), "worker", *flags]
    with running(command, folder / "worker.log", {**made.environment, **settings}):
        yield


def _wait_until_ready(made: Stack, api: int) -> None:
    """Wait for every component, then let the DAG run; the others stay paused."""
    wait_until("the API server", lambda: is_listening(api), READY_S)
    for worker in QUEUES:
        log = made.folder / worker / "worker.log"
        wait_until(f"worker {worker}", lambda log=log: " ready." in log.read_text(), READY_S)
    known = "select dag_id from serialized_dag where dag_id = %s"
    wait_until("the DAG", lambda: len(made.query(known, [DAG_ID])) > 0, READY_S)
    _airflow(["dags", "unpause", DAG_ID], made)


def _environment(folder: Path, servers: Services, api: int) -> dict[str, str]:
    settings = {
        "CORE__DAGS_FOLDER": str(paths.project_root() / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "CeleryExecutor",
        "CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{servers.postgres}",
        "CELERY__CELERY_CONFIG_OPTIONS": "pipeline_kit.celery_options.OPTIONS",
        "CELERY__BROKER_URL": servers.redis,
        "CELERY__RESULT_BACKEND": f"db+postgresql://{servers.postgres}",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(api),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "LOGGING__LOGGING_LEVEL": "INFO",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        # The API server's first answer takes its time on a busy machine; 5 s would cost a retry.
        "WORKERS__EXECUTION_API_TIMEOUT": "120",
    }
    login = s3_login()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "MAM_"))}
    return {
        **inherited,
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        "AIRFLOW_HOME": str(folder / "airflow"),
        "MAM_BUCKET_URI": f"s3://{BUCKET}",
        "MAM_DATA_DIR": str(folder / "nowhere"),
        "MAM_NOW": NOW,
        "AWS_ENDPOINT_URL": servers.s3,
        "AWS_DEFAULT_REGION": login["region_name"],
        "AWS_ACCESS_KEY_ID": login["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": login["aws_secret_access_key"],
        "NO_PROXY": "127.0.0.1,localhost",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *words]


def _airflow(words: list[str], made: Stack) -> None:
    done = subprocess.run(
        _command(*words),
        env=dict(made.environment),
        cwd=made.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
