"""A lake is taken in whole, once, and is never touched."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lake_ingest import import_lake as module
from lake_ingest.import_lake import import_lake
from pipeline_kit.cli import run_command
from pipeline_kit.lake import check_tables, find_tables
from pipeline_kit.paths import lake_dir

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAYS = pd.date_range("2024-01-01", periods=10)


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))


def daily(value: str, **more: object) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["BTC", "ETH", "SOL"], DAYS], names=["asset_id", "date"])
    rows = index.to_frame(index=False)
    return rows.assign(**{value: np.arange(100.0, 100.0 + len(rows))}, **more)


@pytest.fixture
def theirs(tmp_path) -> Path:
    folder = tmp_path / "theirs"
    (folder / "fact_price").mkdir(parents=True)
    prices = daily("close", note="extra", source="an exchange")
    for asset_id, part in prices.groupby("asset_id"):
        part.to_parquet(folder / "fact_price" / f"{asset_id}.parquet", index=False)
    daily("marketcap", source="coingecko").to_parquet(folder / "fact_marketcap.parquet")
    daily("volume").to_parquet(folder / "fact_volume.parquet")
    kinds = pd.DataFrame({"asset_id": ["BTC", "ETH"], "kind": ["coin", None], "rank": [1, 2]})
    kinds.to_parquet(folder / "dim_asset.parquet")
    return folder


def fingerprint(folder: Path) -> list[tuple[str, int, int, bytes]]:
    return [
        (str(p), p.stat().st_mtime_ns, p.stat().st_mode, p.read_bytes() if p.is_file() else b"")
        for p in sorted([folder, *folder.rglob("*")])
    ]


def stored(name: str) -> pd.DataFrame:
    rows = pd.concat(pd.read_parquet(f) for f in find_tables(lake_dir(), verify=True)[name])
    return rows.reset_index(drop=True)


def test_a_lake_without_knowledge_becomes_assumed_history(theirs):
    import_lake(theirs, now=NOW)

    facts = check_tables(find_tables(lake_dir(), verify=True))
    assert facts.row_counts == {
        "fact_price": 30,
        "fact_marketcap": 30,
        "fact_volume": 30,
        "dim_asset": 2,
    }
    assert facts.share_assumed == 1.0
    assert str(stored("fact_price")["known_at"].iloc[0]) == "2024-01-02 00:30:00"
    assert str(stored("fact_marketcap")["known_at"].iloc[0]) == "2024-01-02 00:45:00"
    assert stored("fact_price")["close"].tolist() == daily("close")["close"].tolist()


def test_taking_it_in_twice_changes_nothing(theirs):
    import_lake(theirs, now=NOW)
    before = fingerprint(lake_dir())

    report = import_lake(theirs, now=datetime(2024, 7, 1, tzinfo=UTC))

    assert report.unchanged == {"fact_price": 30, "fact_marketcap": 30, "fact_volume": 30}
    after = fingerprint(lake_dir())
    assert [entry[0::3] for entry in after] == [entry[0::3] for entry in before]


def test_the_lake_that_is_taken_in_is_not_touched(theirs):
    before = fingerprint(theirs)

    import_lake(theirs, now=NOW)

    assert fingerprint(theirs) == before


def test_a_read_only_lake_can_be_taken_in(theirs):
    for path in [*theirs.rglob("*"), theirs]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    import_lake(theirs, now=NOW)
    for path in [theirs, *theirs.rglob("*")]:
        path.chmod(0o755)

    assert len(stored("fact_price")) == 30


def test_all_versions_of_a_key_keep_their_knowledge(theirs):
    versions = (
        daily("volume")
        .iloc[[0, 0, 0]]
        .assign(
            volume=[100.0, 101.0, 100.0],
            known_at=pd.to_datetime(["2024-01-02 01:00", "2024-01-05 00:00", "2024-01-09 00:00"]),
            known_basis=["observed", "observed", None],
        )
    )
    volumes = pd.concat([daily("volume").iloc[1:], versions])
    volumes.to_parquet(theirs / "fact_volume.parquet")

    import_lake(theirs, now=NOW)
    again = import_lake(theirs, now=NOW)

    first_key = stored("fact_volume").iloc[:3]
    assert first_key["volume"].tolist() == [100.0, 101.0, 100.0]
    assert [str(t) for t in first_key["known_at"]] == [
        "2024-01-02 01:00:00",
        "2024-01-05 00:00:00",
        "2024-01-09 00:00:00",
    ]
    assert set(first_key["known_basis"]) == {"observed"}
    assert again.unchanged["fact_volume"] == 32


def test_a_corrected_lake_adds_versions_known_from_now(theirs):
    import_lake(theirs, now=NOW)
    volumes = daily("volume")
    volumes.loc[4, "volume"] = 1.0
    volumes.to_parquet(theirs / "fact_volume.parquet")

    report = import_lake(theirs, now=NOW)

    assert report.revised == {"fact_price": 0, "fact_marketcap": 0, "fact_volume": 1}
    newest = stored("fact_volume").iloc[-1]
    assert (newest["volume"], str(newest["known_at"]), newest["known_basis"]) == (
        1.0,
        "2024-06-01 00:00:00",
        "observed",
    )


def test_a_sealed_lake_can_be_taken_into_another(theirs, tmp_path, monkeypatch):
    import_lake(theirs, now=NOW)
    ours, facts = lake_dir(), check_tables(find_tables(lake_dir()))
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "copy"))

    import_lake(ours, now=datetime(2025, 1, 1, tzinfo=UTC))

    assert check_tables(find_tables(lake_dir())) == facts


def test_missing_values_are_left_out(theirs):
    caps = daily("marketcap")
    caps.loc[3, "marketcap"] = np.nan
    caps.to_parquet(theirs / "fact_marketcap.parquet")

    assert import_lake(theirs, now=NOW).added["fact_marketcap"] == 29


def test_the_command_reports_what_it_took(theirs, capsys):
    assert run_command(module.main, [str(theirs)]) == 0

    out = capsys.readouterr()
    assert "fact_price: 30 new, 0 revised, 0 unchanged, 0 outranked" in out.out
    assert out.err == ""


def test_a_lake_that_breaks_the_contract_is_exit_1_and_nothing_is_stored(theirs, capsys):
    daily("close").assign(close=-1.0).to_parquet(theirs / "fact_price" / "BTC.parquet")

    assert run_command(module.main, [str(theirs)]) == 1

    assert "fact_price: 30 rows with a close that is not positive" in capsys.readouterr().err
    assert not lake_dir().exists()


def test_wrong_calls_are_told_apart(tmp_path, capsys):
    assert run_command(module.main, []) == 2
    assert run_command(module.main, [str(tmp_path / "nowhere")]) == 1
    lake_dir().mkdir(parents=True)
    assert run_command(module.main, [os.path.relpath(lake_dir())]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


@pytest.mark.real_lake
def test_the_real_lake_is_taken_in_without_a_loss(real_lake):
    report = import_lake(real_lake, now=datetime(2026, 1, 1, tzinfo=UTC))

    facts = check_tables(find_tables(lake_dir()))
    theirs = check_tables(find_tables(real_lake))
    assert len(report.quarantined) == 0
    assert facts.row_counts == theirs.row_counts
    assert (facts.first_day, facts.last_day) == (theirs.first_day, theirs.last_day)
