"""The scheduler itself, killed with all its tasks while one runs: started again, the run completes.

Real processes: API server, DAG processor and scheduler with LocalExecutor. It takes minutes,
because only a missed heartbeat shows that a task is dead, so ``make chaos`` alone runs it.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import date

import httpx
import pytest
import yaml

from majors_alts_monitor.config import effective_values, load_config
from pipeline_kit.local_airflow import airflow_environment
from tests.chaos.kills import TRIED, hashes
from tests.dags.world import ROOT, SMALL
from tests.fixtures.lakes import make_lake

pytestmark = [pytest.mark.chaos, pytest.mark.airflow, pytest.mark.dbt]
LIMIT_S = 1200
CONF = {
    "start": "2023-05-01",
    "end": "2023-06-10",
    "sweep": {"universe.basket_size": [3, 4]},
    "email_to": ["desk@b.example"],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "airflow").mkdir()
    lake = tmp_path / "data" / "curated" / "data_lake"
    make_lake(lake, 3, 8, 170, start=date(2023, 1, 1))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    return tmp_path


@pytest.fixture
def environment(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(home / "airflow"))
    port = free_port()
    for name in ("MAM_SMTP_URL", "MAM_REPORT_RECIPIENTS", "MAM_ALERT_WEBHOOK", "MAM_AIRFLOW_DB"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    }
    return airflow_environment() | {
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        "MAM_CONFIG": str(home / "small.yaml"),
        "MAM_DATA_DIR": str(home / "data"),
        "MAM_BUCKET_URI": f"file://{home / 'bucket'}",
        "OMP_NUM_THREADS": "1",
    }


def airflow(environment, *words):
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@contextmanager
def component(home, environment, name):
    """Run a part of Airflow in a process group of its own, and end the whole group."""
    with (
        (home / f"{name}.log").open("a") as log,
        subprocess.Popen(
            [sys.executable, "-m", "airflow", name],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            kill(process)


def kill(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(home, query):
    with closing(
        sqlite3.connect(f"file:{home / 'airflow' / 'airflow.db'}?mode=ro", uri=True)
    ) as db:
        return db.execute(query).fetchall()


def wait_for(what, condition, home):
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > LIMIT_S:
            logs = [f"{log}\n{log.read_text()[-3000:]}" for log in sorted(home.glob("*.log"))]
            pytest.fail("\n".join([f"no {what} after {LIMIT_S} s", *logs]))
        time.sleep(0.2)


def is_up(environment):
    try:
        return httpx.get(f"{environment['AIRFLOW__API__BASE_URL']}/api/v2/version").is_success
    except httpx.TransportError:
        return False


def test_a_killed_scheduler_is_started_again_and_the_run_completes(home, environment):
    airflow(environment, "db", "migrate")
    airflow(environment, "pools", "import", str(ROOT / "docker" / "pools.json"))
    airflow(environment, "dags", "reserialize")
    with (
        component(home, environment, "api-server"),
        component(home, environment, "dag-processor"),
    ):
        wait_for("API server", lambda: is_up(environment), home)
        airflow(environment, "dags", "unpause", "backfill_backtest")
        conf = json.dumps(CONF)
        airflow(environment, "dags", "trigger", "backfill_backtest", "--conf", conf)
        with component(home, environment, "scheduler") as first:
            running = "select 1 from task_instance where task_id = 'member' and state = 'running'"
            wait_for("a running member", lambda: ask(home, running), home)
            kill(first)
            TRIED["airflow scheduler"] = ["while a member of a sweep was running"]
        with component(home, environment, "scheduler"):
            ended = "select state from dag_run where state in ('success', 'failed')"
            wait_for("the end of the run", lambda: ask(home, ended), home)
            assert ask(home, ended) == [("success",)]

    (sweep,) = (home / "bucket" / "runs" / "backtests").iterdir()
    assert len(list((home / "data" / "outbox" / "backtests").glob("*.eml"))) == 1
    assert without_plan(sweep) == without_plan(clean_sweep(home, environment) / sweep.name)


def clean_sweep(home, environment):
    """Run the same sweep undisturbed in another bucket, and return where it was published."""
    settings = {
        "MAM_DATA_DIR": str(home / "clean"),
        "MAM_BUCKET_URI": f"file://{home / 'clean_bucket'}",
    }
    make_lake(home / "clean" / "curated" / "data_lake", 3, 8, 170, start=date(2023, 1, 1))
    done = subprocess.run(
        [sys.executable, "-m", "majors_alts_monitor.backfill", json.dumps(CONF)],
        env=environment | settings,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return home / "clean_bucket" / "runs" / "backtests"


def without_plan(folder):
    """Return hashes of what is published but the plan, which names the bucket, and durations."""
    return {
        name: value
        for name, value in hashes(folder).items()
        if name.rsplit("/", 1)[-1] not in {"plan.json", "manifest.json"}
    }
