"""Every DAG from its first task to its last, on a small sandbox market."""

import json

import pytest

from tests.dags.world import ASOF, CANARY, hashes, holds, make_world

pytestmark = [pytest.mark.airflow, pytest.mark.dbt]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def delivered(world):
    """A world in which the day was delivered once."""
    world.test_dag("daily_signal", {"asof": ASOF})
    return world


def test_the_day_ends_in_the_bucket_with_report_mail_lineage_and_pointer(delivered):
    pointer = json.loads((delivered.bucket / "latest" / "daily.json").read_text())
    run = delivered.bucket / pointer["path"]

    assert pointer["asof"] == ASOF
    assert pointer["path"].startswith(f"runs/daily/dt={ASOF}/run=")
    for name in ("manifest.json", "signals_today.json", "dashboard.html", "email.html"):
        assert (run / name).is_file()
    assert (run / "dbt_docs" / "index.html").is_file()
    assert (run / "dq").is_dir()
    assert (delivered.bucket / f"runs/daily/dt={ASOF}/metrics.prom").is_file()


def test_the_day_has_a_book(delivered):
    pointer = json.loads((delivered.bucket / "latest" / "daily.json").read_text())
    decisions = delivered.bucket / pointer["path"] / "bt_decisions.parquet"

    assert decisions.stat().st_size > 0
    assert len(list((delivered.data / "outbox").glob("*.eml"))) == 1


def test_a_second_run_of_the_day_changes_no_byte_and_sends_no_mail(delivered):
    before, mails = hashes(delivered.bucket), hashes(delivered.data / "outbox")

    delivered.test_dag("daily_signal", {"asof": ASOF})

    assert hashes(delivered.bucket) == before
    assert hashes(delivered.data / "outbox") == mails


def test_a_dry_run_plans_and_runs_nothing(delivered):
    conf = {"start": "2024-06-20", "end": "2024-07-10", "dry_run": True}

    log = delivered.test_dag(
        "backfill_backtest", conf | {"sweep": {"universe.basket_size": [4, 6]}}
    )

    assert "2 members, 2 to run, 42 days in all" in log
    assert not list((delivered.data / "runs" / "backtests").glob("*/members/*"))


def test_a_sweep_is_mapped_collected_and_skipped_when_repeated(delivered):
    conf = {"start": "2024-06-01", "end": "2024-07-10", "max_runs": 2, "email_to": ["a@b.example"]}
    conf |= {"sweep": {"universe.basket_size": [4, 6]}}

    delivered.test_dag("backfill_backtest", conf)
    (published,) = (delivered.bucket / "runs" / "backtests").iterdir()
    before = hashes(published)
    delivered.test_dag("backfill_backtest", conf)

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


def test_upkeep_changes_no_published_byte_and_no_fact(delivered):
    before = hashes(delivered.bucket)

    delivered.test_dag("maintenance", {"audit_days": 10, "audit_cuts": 1})

    assert hashes(delivered.bucket) == before
    assert (delivered.data / "audit" / "audit.json").is_file()


def test_a_wrong_lake_fails_with_one_alert_and_no_signal(delivered):
    pointer = (delivered.bucket / "latest" / "daily.json").read_bytes()
    done = delivered.run(
        "airflow", "dags", "test", "daily_signal",
        "--conf", json.dumps({"asof": "2024-07-18", "lake": str(delivered.home / "nowhere")}),
    )  # fmt: skip

    mails = list((delivered.data / "outbox" / "alerts").glob("2024-07-18.*.eml"))
    assert done.returncode != 0
    assert len(mails) == 1
    assert "Subject: [FAIL] 2024-07-18 daily signal failed" in mails[0].read_text()
    assert "RISK_ON" not in mails[0].read_text()
    assert (delivered.bucket / "latest" / "daily.json").read_bytes() == pointer


def test_the_vendor_key_is_in_no_file_that_anyone_keeps(delivered):
    kept = [p for p in sorted(delivered.home.rglob("*")) if p.is_file()]

    assert len(kept) > 50
    assert [p for p in kept if holds(p, CANARY.encode())] == []
