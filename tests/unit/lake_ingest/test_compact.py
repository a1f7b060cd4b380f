"""Compaction changes no result, and retention removes only what is old enough."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from lake_ingest import compact as module
from lake_ingest import quarantine
from lake_ingest.compact import compact, expire_bronze, expire_quarantine
from lake_ingest.datasets import parquet_schema
from lake_ingest.seal import Snapshot, read_snapshot, seal
from lake_ingest.verify import verify_lake
from pipeline_kit.cli import run_command
from pipeline_kit.contract import REQUIRED, TABLES
from pipeline_kit.errors import UsageProblem
from pipeline_kit.paths import bronze_dir, lake_dir, quarantine_dir

NOW = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))


def day_of_rows(name: str, day: int) -> pa.Table:
    """Return one new day, and a revision of the day before it."""
    days = [date(2024, 1, 1) + timedelta(days=day - back) for back in (0, 0, 1)]
    frame = pd.DataFrame(
        {
            "asset_id": ["BTC", "ETH", "BTC"],
            "date": days,
            str(TABLES[name].value): [10.0 + day, 20.0 + day, 30.0 + day],
            "source": None,
            "known_at": datetime(2024, 1, 2, 0, 50) + timedelta(days=day),  # noqa: DTZ001
            "known_basis": "observed",
        }
    )
    return pa.Table.from_pandas(frame, parquet_schema(TABLES[name]), preserve_index=False)


def commit_days(n: int) -> None:
    for day in range(n):
        seal(
            lake_dir(),
            read_snapshot(lake_dir()) if day else Snapshot(),
            appended={name: day_of_rows(name, day) for name in REQUIRED},
            replaced={},
            sealed_at=NOW,
            is_synthetic=False,
        )


def test_many_parts_become_one_and_nothing_else_changes():
    commit_days(5)
    before = verify_lake(lake_dir())

    saved = compact(lake_dir(), now=NOW, min_files=5)

    assert saved == dict.fromkeys(REQUIRED, 4)
    assert verify_lake(lake_dir()) == before
    assert len(list(lake_dir().rglob("*.parquet"))) == 3
    assert compact(lake_dir(), now=NOW, min_files=1) == {}


def test_tables_with_few_parts_are_left_alone():
    commit_days(4)
    manifest = (lake_dir() / "manifest.json").read_bytes()

    assert compact(lake_dir(), now=NOW, min_files=5) == {}

    assert (lake_dir() / "manifest.json").read_bytes() == manifest


def test_archived_answers_go_by_the_day_they_were_fetched():
    for day in ("2024-01-01", "2024-02-01"):
        folder = bronze_dir() / "binance" / day
        folder.mkdir(parents=True)
        (folder / "run-0.jsonl.gz").write_bytes(b"")

    assert expire_bronze(bronze_dir(), today=date(2024, 3, 1), keep_days=29) == 1

    assert [p.name for p in (bronze_dir() / "binance").iterdir()] == ["2024-02-01"]
    with pytest.raises(UsageProblem, match="below 7"):
        expire_bronze(bronze_dir(), today=date(2024, 3, 1), keep_days=6)


def test_quarantined_rows_go_by_their_newest_fetch():
    columns = quarantine.SCHEMA.names
    for run, fetched in (("old", "2024-01-01"), ("new", "2024-02-20")):
        row = {"table": "fact_price", "asset_id": "X", "fetched_at": pd.Timestamp(fetched)}
        quarantine.write(run, pd.DataFrame([row], columns=columns))
    (quarantine_dir() / "old.released.json").write_text("[]")

    assert expire_quarantine(quarantine_dir(), today=date(2024, 3, 1), keep_days=30) == 1

    assert [p.name for p in quarantine_dir().iterdir()] == ["new.parquet"]


def test_the_command_compacts_and_expires(monkeypatch, capsys):
    commit_days(2)
    monkeypatch.setenv("MAM_NOW", "2024-03-01")

    code = run_command(
        module.main, ["--min-files", "2", "--bronze-days", "30", "--quarantine-days", "30"]
    )

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        *(f"{name}: 2 parts are one" for name in REQUIRED),
        "bronze: 0 files removed",
        "quarantine: 0 files removed",
    ]
