"""What was asked for is remembered in as few ranges as possible."""

from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

from lake_ingest.asked import merge_asked
from lake_ingest.staging import ASKED_SCHEMA
from pipeline_kit.lake import connect


def ask(first: int, last: int, asked_at: str, asset: str = "BTC") -> dict[str, object]:
    return {
        "table": "fact_price",
        "source": "binance",
        "asset_id": asset,
        "first_day": date(2024, 1, first),
        "last_day": date(2024, 1, last),
        "asked_at": pd.Timestamp(f"2024-01-{asked_at}"),
    }


def record(*batches: list[dict[str, object]]) -> list[tuple[str, int, int, str]]:
    with connect() as con:
        con.register("nothing", ASKED_SCHEMA.empty_table())
        con.execute("create temp table asked as select * from nothing")
        for batch in batches:
            merged = merge_asked(con, pd.DataFrame(batch))
            con.register("merged", merged)
            con.execute("create or replace temp table asked as select * from merged")
        rows = pa.Table.to_pylist(merged)
    return [
        (r["asset_id"], r["first_day"].day, r["last_day"].day, f"{r['asked_at']:%d %H:%M}")
        for r in rows
    ]


def test_daily_fetches_with_overlap_stay_one_settled_range_and_the_fresh_days():
    # Day 8 ended on the 9th 00:00 and is settled from the 10th 12:00 on.
    assert record([ask(1, 9, "10 00:50")], [ask(7, 10, "11 00:50")], [ask(8, 11, "12 00:50")]) == [
        ("BTC", 1, 9, "12 00:50"),
        ("BTC", 9, 10, "11 00:50"),
        ("BTC", 10, 11, "12 00:50"),
    ]


def test_ranges_apart_stay_apart_and_series_too():
    assert record([ask(1, 2, "20"), ask(5, 6, "20"), ask(3, 3, "20", asset="ETH")]) == [
        ("BTC", 1, 2, "20 00:00"),
        ("BTC", 5, 6, "20 00:00"),
        ("ETH", 3, 3, "20 00:00"),
    ]


def test_ranges_that_touch_become_one():
    assert record([ask(1, 2, "20"), ask(3, 4, "21")]) == [("BTC", 1, 4, "21 00:00")]


def test_days_that_had_not_ended_were_not_asked_for():
    assert record([ask(1, 9, "03 23:00")]) == [
        ("BTC", 1, 1, "03 23:00"),
        ("BTC", 2, 2, "03 23:00"),
    ]
    assert record([ask(9, 9, "09 23:00")]) == []


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_the_instant_may_have_a_zone(zone):
    row = ask(1, 1, "20") | {"asked_at": pd.Timestamp("2024-01-20", tz="UTC").tz_convert(zone)}

    assert record([row]) == [("BTC", 1, 1, "20 00:00")]
