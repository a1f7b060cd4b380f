"""A commit adds what passed the gates, says what it did, and changes nothing when it may not."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from lake_ingest import quarantine
from lake_ingest.curate import Fetched, asked_ranges, commit, coverage
from lake_ingest.errors import GateBlockedError, MixedLakeError, QuarantineError
from lake_ingest.quarantine import release
from lake_ingest.seal import read_snapshot
from pipeline_kit.lake import check_tables, find_tables
from pipeline_kit.paths import lake_dir

NOW = datetime(2024, 1, 21, 0, 50, tzinfo=UTC)
DAYS = pd.date_range("2024-01-01", "2024-01-20")
ASSETS = ["BTC", "ETH", *(f"A{i}" for i in range(8))]
NOTHING_ASKED = pd.DataFrame(
    columns=["table", "source", "asset_id", "first_day", "last_day", "asked_at"]
)


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))


def daily(value: str, source: str, level: float) -> pd.DataFrame:
    rows = pd.MultiIndex.from_product([ASSETS, DAYS], names=["asset_id", "date"]).to_frame(
        index=False
    )
    return rows.assign(
        **{value: level + np.arange(len(rows)) % 7}, source=source, fetched_at=pd.Timestamp(NOW)
    )


def facts(**changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {
        "fact_price": daily("close", "binance", 100.0),
        "fact_marketcap": daily("marketcap", "coingecko", 1e9),
        "fact_volume": daily("volume", "coingecko", 1e7),
        **changed,
    }


def asked(at: datetime = NOW) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "table": "fact_price",
            "source": "binance",
            "asset_id": ASSETS,
            "first_day": DAYS[0].date(),
            "last_day": DAYS[-1].date(),
            "asked_at": pd.Timestamp(at),
        }
    )


def put(tables, run_id="run", now=NOW, what=NOTHING_ASKED, **options):
    return commit(Fetched(tables, what), run_id=run_id, now=now, **options)


def spoiled(tables: dict, table: str, asset: str, day: str, **values: object) -> dict:
    frame = tables[table].copy()
    is_row = (frame["asset_id"] == asset) & (frame["date"] == pd.Timestamp(day))
    frame.loc[is_row, list(values)] = list(values.values())
    return tables | {table: frame}


def test_a_fetch_becomes_a_lake_that_keeps_the_contract():
    report = put(facts(), what=asked())

    found = check_tables(find_tables(lake_dir(), verify=True))
    assert report.added == {"fact_price": 200, "fact_marketcap": 200, "fact_volume": 200}
    assert found.row_counts == report.added
    assert report.snapshot_id == read_snapshot(lake_dir()).snapshot_id
    # Days 1 to 19 ended more than 24 hours before; only the 20th was observed: 1 of 20.
    assert found.share_assumed == 0.95
    assert (report.warnings, len(report.quarantined), len(report.restatements)) == ((), 0, 0)
    ranges = asked_ranges()
    assert len(ranges) == 20  # settled to the 18th, and the fresh 19th and 20th, per asset
    held = coverage()
    btc = held[(held["asset_id"] == "BTC") & (held["table"] == "fact_price")].iloc[0]
    assert (str(btc["first_day"])[:10], str(btc["last_day"])[:10]) == ("2024-01-01", "2024-01-20")


def test_the_same_fetch_again_changes_nothing():
    first = put(facts(), what=asked())
    manifest = (lake_dir() / "manifest.json").read_bytes()

    again = put(facts(), run_id="again", what=asked())

    assert again.snapshot_id == first.snapshot_id
    assert again.unchanged == first.added
    assert (lake_dir() / "manifest.json").read_bytes() == manifest


def test_an_empty_fetch_seals_nothing():
    put({})

    assert not (lake_dir() / "manifest.json").exists()


def test_an_empty_or_shorter_answer_deletes_nothing():
    put(facts())
    shorter = {name: frame.iloc[:5] for name, frame in facts().items()}

    put(shorter, run_id="shorter")

    assert check_tables(find_tables(lake_dir())).row_counts["fact_price"] == 200


def test_revisions_are_reported_as_restatements():
    put(facts())
    later = datetime(2024, 1, 22, 0, 50, tzinfo=UTC)
    changed = spoiled(facts(), "fact_price", "A3", "2024-01-05", close=100.5)

    report = put(changed, run_id="later", now=later)

    # Row 5 * 20 + 4 = 104, 104 mod 7 = 6: the close was 106.
    assert report.revised["fact_price"] == 1
    line = report.restatements.iloc[0]
    assert (line["asset_id"], line["rows"], str(line["first_day"])[:10]) == ("A3", 1, "2024-01-05")
    assert line["largest_change"] == pytest.approx(1 - 100.5 / 106)


def test_a_row_that_cannot_be_right_is_held_back_with_its_reason():
    bad = spoiled(facts(), "fact_price", "A3", "2024-01-20", close=np.nan)
    bad = spoiled(bad, "fact_volume", "A4", "2024-01-20", volume=-1.0)

    report = put(bad)

    held = quarantine.read("run")
    assert list(held[["table", "asset_id", "reason"]].itertuples(index=False, name=None)) == [
        ("fact_price", "A3", "not finite"),
        ("fact_volume", "A4", "out of range"),
    ]
    assert [str(day) for day in held["date"]] == ["2024-01-20", "2024-01-20"]
    assert report.added == {"fact_price": 199, "fact_marketcap": 200, "fact_volume": 199}
    written = json.loads(report.gate_file.read_text())
    assert written["tables"]["fact_price"]["findings"][0]["severity"] == "critical"
    assert written["held_back"][1] == {
        "table": "fact_volume",
        "reason": "out of range",
        "rows": 1,
        "sample": ["A4 2024-01-20 coingecko -1.0"],
    }


def test_one_row_of_a_core_asset_blocks_everything():
    bad = spoiled(facts(), "fact_price", "BTC", "2024-01-20", close=-5.0)

    with pytest.raises(GateBlockedError, match=r"1 of 600 rows held back.*BTC 2024-01-20"):
        put(bad)

    assert not (lake_dir() / "manifest.json").exists()
    assert quarantine.list_runs() == ["run"]


def test_more_than_the_budget_blocks_and_the_old_snapshot_stays():
    put(facts())
    manifest = (lake_dir() / "manifest.json").read_bytes()
    infinite = facts()
    infinite["fact_volume"] = infinite["fact_volume"].assign(
        volume=lambda f: f["volume"].where(f["asset_id"] != "A7", np.inf)
    )

    with pytest.raises(GateBlockedError, match=r"20 of 600 rows held back \(budget 1%\)"):
        put(infinite, run_id="flood")

    assert (lake_dir() / "manifest.json").read_bytes() == manifest


def test_a_bar_that_is_still_forming_never_enters():
    tables = facts()
    today = tables["fact_price"].iloc[[199]].assign(date=pd.Timestamp("2024-01-21"))
    tables["fact_price"] = pd.concat([tables["fact_price"], today])

    report = put(tables)

    assert report.quarantined["reason"].tolist() == ["still forming"]
    assert check_tables(find_tables(lake_dir())).row_counts["fact_price"] == 200


def test_an_unusual_value_is_stored_and_reported():
    tables = spoiled(facts(), "fact_price", "A3", "2024-01-20", close=2e6)

    report = put(tables)

    assert report.added["fact_price"] == 200
    assert report.warnings == ("fact_price: unusual value, 1 rows, such as [2000000.0]",)


def test_stale_content_is_reported():
    report = put(facts(), now=datetime(2024, 1, 22, 0, 50, tzinfo=UTC))
    assert report.warnings == ()

    late = put({}, now=datetime(2024, 1, 23, 0, 50, tzinfo=UTC))
    stale = put({}, now=datetime(2024, 1, 25, 0, 50, tzinfo=UTC))

    days = "newest day 2024-01-20, last complete day 2024-01"
    assert f"fact_price: late, {days}-22" in late.warnings
    assert f"fact_price: stale, {days}-24" in stale.warnings


def test_synthetic_rows_and_real_ones_never_share_a_lake():
    put(facts(), is_synthetic=True)

    with pytest.raises(MixedLakeError, match="holds synthetic rows, these are real"):
        put(facts(), run_id="real")


def test_dimensions_grow_and_their_faults_are_held_back():
    assets = pd.DataFrame({"asset_id": ["BTC", "USDT"], "kind": ["coin", "stablecoin"]})
    put(facts(dim_asset=assets))
    seen = pd.DataFrame({"asset_id": ["BTC", "NEW"], "kind": ["coin", "meme"]})

    report = put(facts(dim_asset=seen), run_id="second")

    assert report.quarantined["reason"].tolist() == ["unknown kind of NEW"]
    assert check_tables(find_tables(lake_dir())).row_counts["dim_asset"] == 2


def test_a_released_row_enters_and_is_known_from_then_on(monkeypatch):
    tables = facts()
    jump = spoiled(tables, "fact_marketcap", "A3", "2024-01-20", marketcap=9e9)
    put(jump)
    assert quarantine.read("run")["reason"].str.startswith("level changed").all()
    monkeypatch.setenv("MAM_NOW", "2024-01-22T08:00:00Z")

    released = release("run", "supply was unlocked", assets=["A3"])

    assert released == 1
    record = json.loads((quarantine.quarantine_dir() / "run.released.json").read_text())
    assert (record[0]["reason"], record[0]["rows"]) == ("supply was unlocked", 1)
    newest = pd.read_parquet(read_snapshot(lake_dir()).files(lake_dir(), "fact_marketcap")[-1])
    assert newest[["asset_id", "marketcap", "known_basis"]].values.tolist() == [
        ["A3", 9e9, "observed"]
    ]
    assert str(newest["known_at"].iloc[0]) == "2024-01-22 08:00:00"
    # What a person has released is not held back again.
    again = put(jump, run_id="again", now=datetime(2024, 1, 22, 9, tzinfo=UTC))
    assert len(again.quarantined) == 0


def test_only_rows_that_are_there_can_be_released():
    with pytest.raises(QuarantineError, match="no quarantined rows of run nothing"):
        release("nothing", "because")
    with pytest.raises(QuarantineError, match="not the name of a run"):
        quarantine.read("../run")


def test_the_order_of_rows_does_not_change_a_byte(tmp_path):
    shuffled = {name: f.sample(frac=1, random_state=3) for name, f in facts().items()}

    one = put(facts(), lake=tmp_path / "one")
    other = put(shuffled, lake=tmp_path / "other")

    assert one.snapshot_id == other.snapshot_id
