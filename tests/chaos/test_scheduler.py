"""The scheduler killed with all its tasks while one runs: started again, it delivers the day.

Real processes: API server and scheduler with LocalExecutor. It takes minutes, because only a
missed heartbeat shows that a task is dead, so ``make chaos`` alone runs it.
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

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.airflow,
    pytest.mark.dbt,
    pytest.mark.timeout(2400),
]
LIMIT_S = 1200
DAY = "2023-06-10"
ONCE = {
    'CronDataIntervalTimetable("50 0 * * *", timezone="UTC")': "None",
    "timedelta(minutes=1)": "timedelta(seconds=1)",
}
"""What one run by hand needs no more: its timetable, and the minute before a retry."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def home(tmp_path):
    for folder in ("airflow", "dags"):
        (tmp_path / folder).mkdir()
    text = (ROOT / "dags" / "daily_signal.py").read_text("utf-8")
    for words, instead in ONCE.items():
        assert words in text
        text = text.replace(words, instead)
    (tmp_path / "dags" / "daily_signal.py").write_text(text, "utf-8")
    make_lake(tmp_path / "lake", 3, 8, 170, start=date(2023, 1, 1))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    return tmp_path


@pytest.fixture
def environment(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(home / "airflow"))
    port = free_port()
    for name in ("MAM_SMTP_URL", "MAM_REPORT_RECIPIENTS", "MAM_ALERT_WEBHOOK", "MAM_AIRFLOW_DB"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
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
        "MAM_NOW": "2023-06-11T00:55:00Z",
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
def component(home, environment, name, *flags):
    """Run a part of Airflow in a process group of its own, and end the whole group."""
    with (
        (home / f"{name}.log").open("a") as log,
        subprocess.Popen(
            [sys.executable, "-m", "airflow", name, *flags],
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


def test_a_killed_scheduler_is_started_again_and_the_day_is_delivered_once(home, environment):
    airflow(environment, "db", "migrate")
    airflow(environment, "pools", "import", str(ROOT / "docker" / "pools.json"))
    airflow(environment, "dags", "reserialize")
    airflow(environment, "dags", "unpause", "daily_signal")
    conf = json.dumps({"asof": DAY, "lake": str(home / "lake")})
    airflow(environment, "dags", "trigger", "daily_signal", "--conf", conf)
    with component(home, environment, "api-server"):
        wait_for("API server", lambda: is_up(environment), home)
        with component(home, environment, "scheduler", "--skip-serve-logs") as first:
            task = "select 1 from task_instance where task_id = 'signal_and_backtest'"
            wait_for("running task", lambda: ask(home, f"{task} and state = 'running'"), home)
            kill(first)
            TRIED["airflow scheduler"] = ["with its task signal_and_backtest"]
        with component(home, environment, "scheduler", "--skip-serve-logs"):
            ended = "select state from dag_run where state in ('success', 'failed')"
            wait_for("end of the run", lambda: ask(home, ended), home)
            assert ask(home, ended) == [("success",)]
        assert ask(home, f"{task} and try_number = 2")

    assert len(list((home / "data" / "outbox").rglob("*.eml"))) == 1
    published = what_is_published(home / "bucket")
    for folder in ("bucket", "data"):
        (home / folder).rename(home / f"{folder}.disturbed")
    run_by_hand(home, environment)
    assert published == what_is_published(home / "bucket")


def run_by_hand(home, environment):
    """Call what the tasks call, undisturbed."""
    calls = (
        "from lake_ingest.daily import ingest_day",
        "from majors_alts_monitor import daily, delivery, health",
        f"ingest_day('{DAY}', '{home / 'lake'}')",
        *(f"daily.{step}('{DAY}')" for step in ("build_day", "gate_day", "replay_before")),
        f"daily.run_day('{DAY}')",
        f"delivery.deliver_day('{DAY}')",
        f"health.report_health('{DAY}')",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(calls)],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def what_is_published(bucket):
    """Return hashes of everything but what tells how long things took."""
    timed = ("manifest.json", "metrics.json", "metrics.prom", "openlineage.ndjson")
    return {name: value for name, value in hashes(bucket).items() if not name.endswith(timed)}
