"""Every DAG from its first task to its last, on a small market with hostile vendors."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.dags import hostile
from tests.dags.world import ASOF, CANARY, hashes, holds, make_world
from tests.fixtures.lakes import make_lake, read_tables, write_tables

pytestmark = [pytest.mark.airflow, pytest.mark.dbt]
BEFORE = "2024-07-17"
"""A day that is back-filled: of the one in between the vendors' rows were learnt too late."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def failed(world):
    """The first run of the day, on a wrong setting."""
    return world.run_dag("daily_signal", {"asof": ASOF}, MAM_HISTORY_DAYS="many")


@pytest.fixture(scope="module")
def delivered(world, failed):
    """A world in which the day failed once and was delivered then."""
    world.test_dag("daily_signal", {"asof": ASOF})
    return world


def pointer_of(bucket):
    return json.loads((bucket / "latest" / "daily.json").read_text())


def test_a_wrong_setting_fails_at_once_with_one_alert_and_no_signal(world, failed):
    (mail,) = (world.data / "outbox" / "alerts").glob("*.eml")

    assert failed.state == "failed"
    assert ("ingest", -1, "failed") in failed.tasks
    assert {state for _, _, state in failed.tasks} == {"failed", "upstream_failed"}
    assert f"Subject: [FAIL] {ASOF} daily signal failed" in mail.read_text()
    assert "RISK_ON" not in mail.read_text()
    assert not list(world.bucket.rglob("*"))


def test_a_lake_that_is_refused_again_and_again_is_alerted_once_and_publishes_nothing(world):
    home = world.home / "refused"
    lake = home / "lake"
    make_lake(lake, 3, 8, 170)
    write_tables(lake, read_tables(lake) | {"fact_price": without_a_close(lake)})
    mine = {"MAM_DATA_DIR": str(home / "data"), "MAM_BUCKET_URI": f"file://{home / 'bucket'}"}

    ended = world.run_dag("daily_signal", {"asof": ASOF, "lake": str(lake)}, **mine)

    assert ended.state == "failed"
    assert ("ingest", -1, "failed") in ended.tasks
    assert {state for _, _, state in ended.tasks} == {"failed", "upstream_failed"}
    assert ended.log.count("starting task_id=ingest") == 5
    (mail,) = (home / "data" / "outbox").rglob("*.eml")
    assert "fact_price" in mail.read_text()
    assert "docs/runbooks/daily_signal_failed.md" in mail.read_text()
    assert [p for p in home.joinpath("bucket").rglob("*") if p.is_file()] == []


def without_a_close(lake):
    """Return the prices with one that a lake may not hold."""
    prices = read_tables(lake)["fact_price"]
    prices.loc[prices.index[0], "close"] = 0.0
    return prices


def test_the_day_ends_in_the_bucket_with_report_mail_lineage_and_pointer(delivered):
    pointer = pointer_of(delivered.bucket)
    run = delivered.bucket / pointer["path"]

    assert pointer["asof"] == ASOF
    assert pointer["path"].startswith(f"runs/daily/dt={ASOF}/run=")
    for name in ("manifest.json", "signals_today.json", "dashboard.html", "email.html"):
        assert (run / name).is_file()
    assert (run / "dbt_docs" / "index.html").is_file()
    assert (run / "dq" / "replay.json").is_file()
    day = delivered.bucket / f"runs/daily/dt={ASOF}"
    assert (day / "metrics.prom").is_file()
    assert len((day / "openlineage.ndjson").read_text().splitlines()) == 2


def test_the_day_has_a_book(delivered):
    decisions = delivered.bucket / pointer_of(delivered.bucket)["path"] / "bt_decisions.parquet"

    assert decisions.stat().st_size > 0
    assert len(list((delivered.data / "outbox").glob("*.eml"))) == 1
    alerts = [p.read_text() for p in (delivered.data / "outbox" / "alerts").glob("*.eml")]
    assert sum(f"Subject: [OK] {ASOF} daily signal failed: recovered" in a for a in alerts) == 1
    assert sum(f"Subject: [FAIL] {ASOF}" in a for a in alerts) == 1


def test_a_hostile_symbol_reaches_neither_shell_nor_path_nor_page(delivered):
    bronze = [p for p in (delivered.data / "bronze").rglob("*") if p.is_file()]
    pages = [*delivered.bucket.rglob("*.html"), *(delivered.data / "outbox").glob("*.eml")]
    names = [str(p.relative_to(delivered.home)) for p in delivered.home.rglob("*")]

    # It did arrive, and the lake kept the name as the vendor wrote it.
    assert any(holds(p, b"hostile-shell") for p in bronze)
    assert pages
    for page in pages:
        assert hostile.SCRIPT not in page.read_text("utf-8", "replace"), page.name
    assert [name for name in names if re.search(r"hostile|script|\$\(|drop table", name)] == []
    assert not (delivered.home.parent / "hostile-path").exists()


def test_a_second_run_of_the_day_changes_no_byte_and_sends_no_mail(delivered):
    before, mails = hashes(delivered.bucket), hashes(delivered.data / "outbox")

    again = delivered.test_dag("daily_signal", {"asof": ASOF}, MAM_NOW="2024-07-20T01:10:00Z")

    assert hashes(delivered.bucket) == before
    assert hashes(delivered.data / "outbox") == mails
    # What Airflow shows beside the tasks: the decision, and where it is.
    assert again.notes["delivered"] == str(delivered.bucket / pointer_of(delivered.bucket)["path"])
    assert f"[OK] SYNTHETIC {ASOF}" in again.notes["headline"]


def test_a_dry_run_plans_and_runs_nothing(delivered):
    conf = {"start": "2024-06-20", "end": "2024-07-10", "dry_run": True}

    done = delivered.test_dag(
        "backfill_backtest", conf | {"sweep": {"universe.basket_size": [4, 6]}}
    )

    assert "2 members, 2 to run, 42 days in all" in done.log
    assert not list((delivered.data / "runs" / "backtests").glob("*/members/*"))


def test_a_sweep_is_mapped_collected_and_skipped_when_repeated(delivered):
    conf = {"start": "2024-06-01", "end": "2024-07-10", "max_runs": 2, "email_to": ["a@b.example"]}
    conf |= {"sweep": {"universe.basket_size": [4, 6]}}

    first = delivered.test_dag("backfill_backtest", conf)
    (published,) = (delivered.bucket / "runs" / "backtests").iterdir()
    before = hashes(published)
    delivered.test_dag("backfill_backtest", conf)

    assert {("member", 0, "success"), ("member", 1, "success")} < set(first.tasks)
    assert first.notes["plan"][0].endswith("2 members, 2 to run, 80 days in all")
    assert first.notes["published"] == str(published)
    assert first.names == ["universe.basket_size=4", "universe.basket_size=6"]
    wanted = {"leaderboard.csv", "overfitting.json", "comparison.html", "comparison.txt"}
    assert wanted <= set(before)
    assert len([name for name in before if name.endswith("kpis.json")]) == 2
    # The plan alone changes: on the second time nothing is left to do.
    assert {k: v for k, v in hashes(published).items() if k != "plan.json"} == {
        k: v for k, v in before.items() if k != "plan.json"
    }
    assert json.loads((published / "plan.json").read_text())["n_to_run"] == 0
    assert len(list((delivered.data / "outbox" / "backtests").glob("*.eml"))) == 1


def test_a_day_of_history_fetched_again_changes_no_fact(delivered):
    lake = delivered.data / "curated" / "data_lake"
    before = hashes(lake)

    delivered.test_dag("ingest_history", {"sources": ["binance"]}, f"{ASOF}T04:00:00+00:00")

    facts = {k: v for k, v in hashes(lake).items() if k.endswith(".parquet") and "fact_" in k}
    assert facts == {k: v for k, v in before.items() if k.endswith(".parquet") and "fact_" in k}


@pytest.mark.timeout(1800)
def test_four_backfills_and_three_days_at_once_leave_one_whole_result_each(delivered):
    home = delivered.home / "race"
    shutil.copytree(delivered.data, home / "data", ignore=shutil.ignore_patterns("cache"))
    shutil.copytree(delivered.bucket, home / "bucket")
    settings = yaml.safe_load((delivered.home / "small.yaml").read_text())
    settings["universe"]["basket_size"] = 5
    (home / "other.yaml").write_text(yaml.safe_dump(settings))
    sweeps = [
        {"start": "2024-07-01", "end": "2024-07-10", "overrides": {"universe.basket_size": size}}
        for size in (3, 4, 5, 6)
    ]
    days = [["day", ASOF], ["day", ASOF], ["day", BEFORE]]
    asked = [*(["sweep", params] for params in sweeps), *days]
    earlier = set((home / "bucket" / "runs" / "backtests").glob("*/leaderboard.csv"))
    environment = delivered.environment | {
        "MAM_DATA_DIR": str(home / "data"),
        "MAM_BUCKET_URI": f"file://{home / 'bucket'}",
        "MAM_CONFIG": str(home / "other.yaml"),
    }

    ended, seen = race(asked, environment, home / "bucket")

    assert [code for code, _ in ended[:4]] == [0, 0, 0, 0], ended
    # Of two runs of one day one may find the other at work, and says so; the older day is whole.
    losers = [said for code, said in ended[4:6] if code]
    assert len(losers) < 2
    assert all("another run works on this day" in said for said in losers), losers
    assert ended[6][0] == 0, ended[6]
    assert seen == {ASOF}
    found = set((home / "bucket" / "runs" / "backtests").glob("*/leaderboard.csv"))
    assert len(found - earlier) == 4
    run = home / "bucket" / pointer_of(home / "bucket")["path"]
    assert json.loads((run / "manifest.json").read_text())["config"]["universe"]["basket_size"] == 5


def race(asked, environment, bucket):
    """Run pieces of production at once; return how each ended, and every day the pointer named."""
    seen = set()
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("race.py")), json.dumps(asked)],
        cwd=bucket.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None:
            seen.add(pointer_of(bucket)["asof"])
            time.sleep(0.05)
        out, err = process.communicate()
    assert process.returncode == 0, err[-3000:]
    return json.loads(out), seen | {pointer_of(bucket)["asof"]}


def test_upkeep_changes_no_published_byte_and_no_fact(delivered):
    before = hashes(delivered.bucket)

    delivered.test_dag("maintenance", {"audit_days": 10, "audit_cuts": 1})

    after = hashes(delivered.bucket)
    proof = sorted(after.keys() - before.keys())
    assert [name.rpartition("/")[2] for name in proof] == ["audit.html", "audit.json"]
    assert all(name.startswith("audits/dt=") for name in proof)
    assert {name: after[name] for name in before} == before


def test_a_key_of_a_connection_reaches_its_vendor_and_no_file_that_anyone_keeps(delivered):
    kept = [p for p in sorted(delivered.home.rglob("*")) if p.is_file()]

    assert len(kept) > 50
    assert CANARY in delivered.keys
    assert "replaced-by-the-connection" not in delivered.keys
    assert [p for p in kept if holds(p, CANARY.encode())] == []
