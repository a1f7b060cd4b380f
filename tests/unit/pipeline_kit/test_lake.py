"""A lake that keeps the contract is described; one that breaks it is refused."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_kit.contract import TABLES
from pipeline_kit.errors import LakeContractError
from pipeline_kit.lake import check_tables, connect, find_tables, select_sql
from pipeline_kit.manifest import readable_json, sha256_file

DAYS = pd.date_range("2024-01-01", periods=4)


def daily(value: str, *, assets: tuple[str, ...] = ("BTC", "ETH", "SOL")) -> pd.DataFrame:
    rows = pd.MultiIndex.from_product([assets, DAYS], names=["asset_id", "date"]).to_frame(
        index=False
    )
    rows[value] = np.arange(1.0, len(rows) + 1)
    return rows


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    return {
        "fact_price": daily("close"),
        "fact_marketcap": daily("marketcap"),
        "fact_volume": daily("volume"),
    }


def write(folder: Path, frames: dict[str, pd.DataFrame]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(LakeContractError) as caught:
        check_tables(find_tables(folder))
    return str(caught.value)


def test_facts_name_the_days_the_rows_and_the_assumed_share(tmp_path, frames):
    frames["fact_volume"] = frames["fact_volume"][frames["fact_volume"]["date"] < DAYS[3]]
    frames["fact_price"]["known_at"] = pd.Timestamp("2024-01-09")

    facts = check_tables(find_tables(write(tmp_path, frames)))

    assert (facts.first_day, facts.last_day) == (date(2024, 1, 1), date(2024, 1, 3))
    assert facts.row_counts == {"fact_price": 12, "fact_marketcap": 12, "fact_volume": 9}
    assert facts.share_assumed == 21 / 33  # 12 + 9 of 33 rows have no known_at


def test_a_table_may_be_one_file_or_a_folder_of_files(tmp_path, frames):
    one = write(tmp_path / "one", frames)
    many = tmp_path / "many"
    for name, frame in frames.items():
        for asset_id, part in frame.groupby("asset_id"):
            (many / name / "deep").mkdir(parents=True, exist_ok=True)
            part.to_parquet(many / name / "deep" / f"{asset_id}.parquet", index=False)

    assert check_tables(find_tables(one)) == check_tables(find_tables(many))


def test_the_content_hash_sees_values_only(tmp_path, frames):
    plain = check_tables(find_tables(write(tmp_path / "plain", frames)))
    dressed = {name: frame.copy() for name, frame in frames.items()}
    dressed["fact_price"] = dressed["fact_price"].sample(frac=1, random_state=1)
    dressed["fact_price"]["note"] = "extra"
    dressed["fact_price"]["known_at"] = pd.NaT
    dressed["fact_price"]["source"] = None
    empty = pd.DataFrame({"asset_id": ["XRP"], "date": [DAYS[0]], "marketcap": [np.nan]})
    dressed["fact_marketcap"] = pd.concat([dressed["fact_marketcap"], empty])
    dressed["fact_volume"]["date"] = dressed["fact_volume"]["date"].dt.date
    dressed["fact_volume"]["volume"] = dressed["fact_volume"]["volume"].astype("int64")

    redressed = check_tables(find_tables(write(tmp_path / "dressed", dressed)))

    assert redressed == plain


@pytest.mark.parametrize("column", ["asset_id", "date", "close", "source", "known_at"])
def test_the_content_hash_sees_every_value(tmp_path, frames, column):
    frames["fact_price"]["source"] = "a"
    frames["fact_price"]["known_at"] = pd.Timestamp("2024-01-09")
    before = check_tables(find_tables(write(tmp_path / "before", frames)))
    other = {"asset_id": "ADA", "date": DAYS[3], "close": 7.5, "source": "b"}
    row = frames["fact_price"].index[-1 if column != "date" else -2]
    if column == "date":
        frames["fact_price"] = frames["fact_price"].drop(index=11)
    frames["fact_price"].loc[row, column] = other.get(column, pd.Timestamp("2024-01-10"))

    after = check_tables(find_tables(write(tmp_path / "after", frames)))

    assert after.content_sha256["fact_price"] != before.content_sha256["fact_price"]
    assert after.content_sha256["fact_volume"] == before.content_sha256["fact_volume"]


def test_instants_with_a_zone_are_read_as_utc(tmp_path, frames):
    facts = check_tables(find_tables(write(tmp_path / "naive", frames)))
    shifted = frames["fact_price"]
    shifted["date"] = shifted["date"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")

    zoned = check_tables(find_tables(write(tmp_path / "zoned", frames)))

    assert zoned == facts


def spoil(column: str, value: object, row: int = 5):
    def apply(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object}) if not np.isscalar(value) else frame
        frame.loc[row, column] = value
        return frame

    return apply


FAULTS = {
    "close 0": ("fact_price", spoil("close", 0.0), "1 rows with a close that is not positive"),
    "close negative": ("fact_price", spoil("close", -1.0), "first ETH 2024-01-02"),
    "close null": ("fact_price", spoil("close", np.nan), "1 rows with a null close"),
    "close infinite": ("fact_price", spoil("close", np.inf), "1 rows with an infinite close"),
    "cap infinite": ("fact_marketcap", spoil("marketcap", -np.inf), "an infinite marketcap"),
    "null asset": ("fact_volume", spoil("asset_id", None), "1 rows with a null asset_id"),
    "null date": ("fact_volume", spoil("date", pd.NaT), "1 rows with a null date"),
    "lower case": ("fact_volume", spoil("asset_id", "eth"), "does not match"),
    "too long": ("fact_volume", spoil("asset_id", "A" * 33), "does not match"),
    "path": ("fact_volume", spoil("asset_id", "../X"), "does not match"),
    "noon": (
        "fact_price",
        spoil("date", pd.Timestamp("2024-01-02 12:00")),
        "1 rows whose date is not a UTC midnight",
    ),
    "twice": (
        "fact_marketcap",
        lambda f: pd.concat([f, f.iloc[[5]].assign(marketcap=9.0)]),
        "2 rows share the same key and known_at, first ETH 2024-01-02",
    ),
    "no column": (
        "fact_marketcap",
        lambda f: f.rename(columns={"marketcap": "mc"}),
        "has no column marketcap",
    ),
    "text value": (
        "fact_volume",
        lambda f: f.astype({"volume": str}),
        "column volume is",
    ),
    "text date": ("fact_price", lambda f: f.astype({"date": str}), "must be date"),
    "boolean value": ("fact_price", lambda f: f.assign(close=True), "column close is bool"),
    "text known_at": (
        "fact_price",
        lambda f: f.assign(known_at="2024-01-02"),
        "must be timestamp",
    ),
    "basis": ("fact_price", lambda f: f.assign(known_basis="guess"), "unknown known_basis"),
    "empty": ("fact_volume", lambda f: f.iloc[:0], "the table is empty"),
    "valueless": ("fact_volume", lambda f: f.assign(volume=np.nan), "0 rows with a value"),
    "no ETH": ("fact_price", lambda f: f[f["asset_id"] != "ETH"], "0 rows of ETH"),
}


@pytest.mark.parametrize(("table", "fault", "text"), FAULTS.values(), ids=FAULTS)
def test_a_broken_table_is_named_with_its_rows(tmp_path, frames, table, fault, text):
    frames[table] = fault(frames[table])

    message = refusal(write(tmp_path, frames))

    assert message.startswith(f"{table}: ")
    assert text in message


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_fault_is_found_in_whichever_file_it_is(tmp_path, frames, place):
    prices = frames.pop("fact_price")
    write(tmp_path, frames)
    (tmp_path / "fact_price").mkdir()
    for i, (_, part) in enumerate(prices.groupby("asset_id")):
        part = part.rename(columns={"close": "price"}) if i == place else part
        part.to_parquet(tmp_path / "fact_price" / f"{i}.parquet", index=False)

    assert f"{place}.parquet has no column close" in refusal(tmp_path)


def test_the_same_key_in_two_files_is_a_duplicate(tmp_path, frames):
    prices = frames.pop("fact_price")
    write(tmp_path, frames)
    (tmp_path / "fact_price").mkdir()
    prices.to_parquet(tmp_path / "fact_price" / "a.parquet", index=False)
    prices.iloc[:1].to_parquet(tmp_path / "fact_price" / "b.parquet", index=False)

    assert "2 rows share the same key and known_at, first BTC 2024-01-01" in refusal(tmp_path)


def test_two_versions_of_a_key_are_no_duplicate(tmp_path, frames):
    later = frames["fact_price"].iloc[[0]].assign(known_at=pd.Timestamp("2024-01-05"))
    frames["fact_price"] = pd.concat([frames["fact_price"], later])

    assert check_tables(find_tables(write(tmp_path, frames))).row_counts["fact_price"] == 13


def test_every_missing_table_is_named_at_once(tmp_path):
    tmp_path.joinpath("README.md").write_text("nothing here")

    message = refusal(tmp_path)

    assert all(f"{name}: the table is missing" in message for name in ("fact_price", "fact_volume"))
    with pytest.raises(LakeContractError, match="no lake at"):
        find_tables(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"PAR1 not really PAR1"])
def test_a_file_that_is_not_parquet_is_named(tmp_path, frames, content):
    write(tmp_path, frames)
    (tmp_path / "fact_volume.parquet").write_bytes(content)

    assert "fact_volume: fact_volume.parquet is not readable Parquet" in refusal(tmp_path)


def test_a_damaged_page_is_found(tmp_path, frames):
    write(tmp_path, frames)
    path = tmp_path / "fact_volume.parquet"
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(bytes(content))

    assert "fact_volume: not readable" in refusal(tmp_path)


def test_optional_tables_are_checked_too(tmp_path, frames):
    frames["fact_funding_settlement"] = pd.DataFrame(
        {
            "asset_id": ["BTC"] * 2,
            "settled_at": [pd.Timestamp("2024-01-01 08:00")] * 2,
            "funding_rate": [1e-4, 2e-4],
            "interval_hours": [8, np.inf],
        }
    )
    frames["dim_asset"] = pd.DataFrame({"asset_id": ["BTC", "ETH"], "kind": ["coin", "token"]})
    frames["dim_instrument"] = pd.DataFrame(
        {"instrument_id": ["X", None], "asset_id": ["BTC", "BTC"], "listed_on": [DAYS[0]] * 2}
    )

    message = refusal(write(tmp_path, frames))

    assert "1 rows with an infinite interval_hours, first BTC 2024-01-01 08:00:00" in message
    assert "2 rows share the same key and known_at" in message
    assert "dim_asset: 1 rows with an unknown kind, first ETH" in message
    assert "dim_instrument: 1 rows with a null instrument_id" in message


def test_a_dimension_without_kind_may_have_flags(tmp_path, frames):
    frames["dim_asset"] = pd.DataFrame({"asset_id": ["USDT"], "is_stable": [True]})
    assert check_tables(find_tables(write(tmp_path / "a", frames))).row_counts["dim_asset"] == 1

    frames["dim_asset"] = pd.DataFrame({"asset_id": ["USDT"], "name": ["Tether"]})
    assert "dim_asset.parquet has no column kind" in refusal(write(tmp_path / "b", frames))


def test_texts_may_be_dictionary_encoded(tmp_path, frames):
    facts = check_tables(find_tables(write(tmp_path, frames)))
    prices = pa.table(
        {
            "asset_id": pa.array(frames["fact_price"]["asset_id"]).dictionary_encode(),
            "date": pa.array(frames["fact_price"]["date"].dt.date),
            "close": pa.array(frames["fact_price"]["close"]),
            "known_at": pa.nulls(12),
        }
    )
    pq.write_table(prices, tmp_path / "fact_price.parquet")

    assert check_tables(find_tables(tmp_path)) == facts


def test_the_canonical_select_gives_the_contract_columns(tmp_path, frames):
    frames["fact_volume"].loc[0, "volume"] = np.nan
    write(tmp_path, frames)

    sql = select_sql(TABLES["fact_volume"], [tmp_path / "fact_volume.parquet"])
    with connect() as con:
        first = con.execute(f"{sql} order by asset_id, date limit 1").fetchone()

    assert first == ("BTC", date(2024, 1, 1), None, None, None, None)


def seal(folder: Path, frames: dict[str, pd.DataFrame]) -> Path:
    tables = {}
    for name, frame in frames.items():
        path = folder / name / "part-1.parquet"
        path.parent.mkdir(parents=True)
        frame.to_parquet(path, index=False)
        entry = {
            "path": f"{name}/part-1.parquet",
            "sha256": sha256_file(path),
            "bytes": path.stat().st_size,
            "rows": len(frame),
        }
        tables[name] = {"files": [entry], "rows": len(frame), "columns": list(frame.columns)}
    (folder / "manifest.json").write_text(readable_json({"snapshot_id": "x", "tables": tables}))
    return folder


def test_a_manifest_is_the_truth_about_the_files(tmp_path, frames):
    seal(tmp_path, frames)
    (tmp_path / "fact_price" / "part-2.parquet").write_bytes(b"an orphan of a killed commit")

    found = find_tables(tmp_path, verify=True)

    assert found["fact_price"] == [tmp_path / "fact_price" / "part-1.parquet"]
    assert check_tables(found).row_counts["fact_price"] == 12


def test_a_sealed_file_that_changed_is_refused(tmp_path, frames):
    seal(tmp_path, frames)
    path = tmp_path / "fact_price" / "part-1.parquet"
    content = path.read_bytes()

    path.write_bytes(content[:-20] + b"\0" + content[-19:])
    find_tables(tmp_path)
    with pytest.raises(LakeContractError, match="was changed"):
        find_tables(tmp_path, verify=True)
    path.write_bytes(content + b"\0")
    with pytest.raises(LakeContractError, match="bytes, the manifest says"):
        find_tables(tmp_path)
    path.unlink()
    with pytest.raises(LakeContractError, match="is missing"):
        find_tables(tmp_path)


def test_a_manifest_that_is_not_ours_is_ignored_and_a_torn_one_is_refused(tmp_path, frames):
    write(tmp_path, frames)

    (tmp_path / "manifest.json").write_text('{"made_by": "another tool"}')
    assert len(find_tables(tmp_path)) == 3
    (tmp_path / "manifest.json").write_text('{"snapshot_id": "x", "tab')
    with pytest.raises(LakeContractError, match="not readable"):
        find_tables(tmp_path)


def test_a_manifest_cannot_point_outside_its_lake(tmp_path, frames):
    lake = seal(tmp_path / "lake", frames)
    (tmp_path / "outside.parquet").write_bytes(b"x")
    manifest = (lake / "manifest.json").read_text()
    (lake / "manifest.json").write_text(
        manifest.replace("fact_price/part-1.parquet", "../outside.parquet")
    )

    with pytest.raises(LakeContractError, match="outside the lake"):
        find_tables(lake)


@pytest.mark.real_lake
def test_the_real_lake_keeps_the_contract(real_lake):
    facts = check_tables(find_tables(real_lake))

    assert (facts.first_day, facts.last_day) == (date(2020, 1, 1), date(2024, 12, 31))
    assert facts.row_counts["fact_price"] == 434_539
    assert facts.share_assumed == 1.0
