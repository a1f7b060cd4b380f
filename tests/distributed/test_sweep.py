"""A sweep over two Celery workers that share no disk gives the bytes of the sweep run in one place.

``make test-distributed [MEMBERS=64]`` runs it and writes the section Growth of
``docs/performance.md``: what one process needs, what the workers need, and where the rest goes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import chdir
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import boto3
import pytest
import yaml

from lake_ingest.import_lake import import_lake
from majors_alts_monitor.backfill import collect_backfill, plan_backfill, run_planned
from majors_alts_monitor.config import effective_values, load_config
from pipeline_kit.calendar import now_utc
from tests.distributed.growth import Growth
from tests.distributed.services import (
    BUCKET,
    missing_programs,
    s3_login,
    services,
    wait_until,
)
from tests.distributed.stack import NOW, Stack, stack
from tests.fixtures.lakes import make_lake

pytestmark = [pytest.mark.airflow, pytest.mark.dbt, pytest.mark.timeout(7200)]

MEMBERS = int(os.environ.get("MEMBERS") or 8)
SMALL = [
    "universe.min_mcap_usd=0",
    "universe.min_volume_usd=0",
    "universe.min_names=3",
    "universe.alt_selection.enabled=false",
    "universe.per_name_cap=0.5",
    "evaluation.bootstrap.n_boot=50",
]
SWEEP = {
    "costs.slippage_bps": [1, 2, 4, 8],
    "regime.hysteresis_band": [0.0, 0.1, 0.2, 0.3],
    "universe.basket_size": [4, 6],
    "execution.lag_days": [1, 2],
}
"""64 members; none changes what the warehouse is built from."""


@pytest.fixture(scope="module")
def home():
    """A folder that PostgreSQL's own user may enter."""
    if missing := missing_programs():
        pytest.fail(missing, pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="distributed."))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def conf(home):
    """The form of the DAG: a sweep of ``MEMBERS`` short backtests."""
    (home / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    lists, wanted = {}, MEMBERS
    for key, values in SWEEP.items():
        n = min(len(values), wanted)
        lists[key], wanted = values[:n], wanted // n
    return {
        "start": "2023-10-01",
        "end": "2024-01-31",
        "config": str(home / "small.yaml"),
        "sweep": lists,
    }


@pytest.fixture(scope="module")
def local(home, conf):
    """The sweep run one member after the other in this process: folder, wall time."""
    settings = {"MAM_DATA_DIR": str(home / "local"), "MAM_BUCKET_URI": f"file://{home / 'output'}"}
    with pytest.MonkeyPatch.context() as patch, chdir(home):
        for name, value in {**settings, "MAM_NOW": NOW, "OMP_NUM_THREADS": "1"}.items():
            patch.setenv(name, value)
        made = make_lake(home / "given", seed=7, n_assets=14, n_days=400, start=date(2023, 1, 1))
        import_lake(made, now=now_utc())
        warm(conf)
        clock = time.perf_counter()
        plan = plan_backfill(conf)
        member_s = []
        for number in range(plan["n_members"]):
            begun = time.perf_counter()
            run_planned(plan["sweep_id"], number)
            member_s.append(time.perf_counter() - begun)
        collect_backfill(plan["sweep_id"])
        wall_s = time.perf_counter() - clock
    return Local(plan["sweep_id"], wall_s, member_s)


def warm(conf):
    """Build the warehouse and compile the engine, which every sweep needs once a worker."""
    plan = plan_backfill({**conf, "end": "2024-01-30", "sweep": {}})
    run_planned(plan["sweep_id"], 0)


@dataclass(frozen=True)
class Local:
    """A sweep run in one process."""

    sweep_id: str
    wall_s: float
    member_s: list[float]


@pytest.fixture(scope="module")
def ran(home, conf, local):
    """The same sweep through scheduler, broker and workers: the stack, its tasks, its dag run."""
    for worker in ("home", "guest"):
        (home / worker / "data").mkdir(parents=True)
        shutil.copytree(home / "local" / "cache", home / worker / "data" / "cache")
    shutil.copytree(home / "local" / "curated", home / "home" / "data" / "curated")
    with services(home) as servers, stack(home, servers) as airflow:
        run_id = airflow.trigger(conf)
        tasks = airflow.wait(run_id, seconds=300 + 60 * MEMBERS)
        yield airflow, tasks, published(airflow, local.sweep_id)


def published(airflow: Stack, sweep_id: str) -> dict[str, bytes]:
    """Return key to content of a sweep in the S3 bucket."""
    client = boto3.client("s3", endpoint_url=airflow.services.s3, **s3_login())
    prefix = f"runs/backtests/{sweep_id}/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {
        key.removeprefix(prefix): client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys
    }


def comparable(name: str, content: bytes) -> bytes:
    """Return a file without what may differ: durations, and the address of the bucket."""
    if name.rpartition("/")[2] not in {"manifest.json", "plan.json"}:
        return content
    document = json.loads(content)
    return json.dumps(
        {k: v for k, v in document.items() if k not in {"durations", "bucket"}}
    ).encode()


def test_every_file_of_every_member_and_of_the_comparison_is_the_local_one(home, local, ran):
    _, _, there = ran
    folder = home / "output" / "runs" / "backtests" / local.sweep_id
    here = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

    # The plan's lake goes out by the bucket; in one place it needs no copy.
    assert set(there) == {*here, "lake_manifest.json"}
    assert len([name for name in here if name.endswith("/kpis.json")]) == MEMBERS
    differing = [
        name for name in here if comparable(name, here[name]) != comparable(name, there[name])
    ]
    assert differing == []


def test_both_workers_ran_members_and_only_the_home_counts_trials(ran):
    airflow, tasks, _ = ran

    def are_all_told():
        return airflow.finished_by("home") + airflow.finished_by("guest") == MEMBERS + 2

    # A worker writes its line after Airflow knows that the task has ended.
    wait_until("the workers' last lines", are_all_told)
    assert len(tasks) == MEMBERS + 2
    assert airflow.finished_by("guest") >= MEMBERS // 4
    assert (airflow.data("home") / "ledger" / "trials.jsonl").read_text().count("\n") == MEMBERS
    assert not (airflow.data("guest") / "ledger").exists()
    assert not (airflow.data("guest") / "curated").exists()


def test_what_the_workers_cost_is_measured(local, ran, capsys):
    airflow, tasks, _ = ran
    growth = Growth.measure(local.wall_s, local.member_s, tasks, airflow.finished_by("guest"))

    with capsys.disabled():
        sys.stdout.write(f"\n{growth.table()}\n")
    if os.environ.get("RECORD"):
        growth.record(Path(__file__).parents[2] / "docs" / "performance.md")
    assert growth.wall_s > 0
