"""Series to rows: units, multipliers, sums over spellings, days that do not count."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from lake_ingest.assemble import (
    assemble_asked,
    assemble_checks,
    assemble_dim_asset,
    assemble_dim_instrument,
    assemble_missed,
    assemble_tables,
)
from lake_ingest.asset_map import MapRow
from lake_ingest.errors import UnavailableError
from lake_ingest.plan import Job
from lake_ingest.series import Series, settled_day

AT = pd.Timestamp("2024-01-10 00:50")
ROWS = [
    MapRow("PEPE", "pepe", "1000PEPEUSDT", ("PEPE", "kPEPE"), 1000.0, "coin", None, None, ""),
    MapRow("BTC", "bitcoin", "BTCUSDT", ("BTC",), 1.0, "coin", None, None, ""),
]
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 3)
DAYS = pd.date_range(FIRST, LAST)


def job(series: str, asset_id: str = "PEPE", identity: str = "1000PEPEUSDT") -> Job:
    return Job(series, asset_id, identity, FIRST, LAST, FIRST)


def klines(**changes: object) -> Series:
    rows = pd.DataFrame(
        {"date": DAYS, "close": [8.0, 16.0, 4.0], "quote_volume": [1.0, 2.0, 3.0], "fetched_at": AT}
    )
    return Series(job("klines"), rows, traded_to=LAST, listed_on=FIRST).replace(**changes)


def settlements(*stamps: str, rate: float = 3e-4, hours: float = 8.0, **changes: object) -> Series:
    rows = pd.DataFrame(
        {
            "settled_at": pd.to_datetime(list(stamps)),
            "funding_rate": rate,
            "interval_hours": hours,
            "mark_price": 2000.0,
            "fetched_at": AT,
        }
    )
    return Series(job("funding_rates"), rows).replace(**changes)


DAY_2 = ("2024-01-02 08:00", "2024-01-02 16:00", "2024-01-03 00:00")


def interest(spelling: str, days: pd.DatetimeIndex, value: float, **changes: object) -> Series:
    rows = pd.DataFrame({"date": days, "open_interest_usd": value, "fetched_at": AT})
    return Series(job("open_interest", identity=spelling), rows).replace(**changes)


def test_a_multiplied_contract_is_scaled_to_one_coin() -> None:
    tables = assemble_tables([klines(), settlements(*DAY_2)], ROWS)

    assert tables["fact_price"]["close"].tolist() == [0.008, 0.016, 0.004]
    assert tables["fact_perp_volume"]["volume"].tolist() == [1.0, 2.0, 3.0]
    assert tables["fact_funding_settlement"]["mark_price"].tolist() == [2.0] * 3


def test_the_last_bar_of_a_contract_that_ended_in_its_day_is_no_close() -> None:
    gone = klines(is_live=False)
    whole = settlements("2024-01-04 00:00", is_live=False)

    partial = assemble_tables([gone], ROWS)
    to_midnight = assemble_tables([gone, whole], ROWS)

    assert partial["fact_price"]["date"].tolist() == list(DAYS[:2])
    assert partial["fact_perp_volume"]["date"].tolist() == list(DAYS)
    assert to_midnight["fact_price"]["date"].tolist() == list(DAYS)


def test_a_days_funding_is_the_sum_of_its_settlements_over_three() -> None:
    (row,) = assemble_tables([settlements(*DAY_2)], ROWS)["fact_funding"].itertuples()

    # 3 x 3e-4 / 3; the settlement of the next midnight belongs to the day it ends.
    assert row.date == pd.Timestamp("2024-01-02")
    assert row.funding_rate == pytest.approx(3e-4, rel=1e-15)


def test_a_day_with_a_settlement_missing_and_the_day_of_listing_have_no_funding() -> None:
    missing = assemble_tables([settlements(*DAY_2[:2])], ROWS)
    listing = assemble_tables([settlements(*DAY_2), klines(listed_on=date(2024, 1, 2))], ROWS)

    assert "fact_funding" not in missing
    assert "fact_funding" not in listing
    assert len(listing["fact_funding_settlement"]) == 3


def test_four_hour_settlements_still_give_a_mean_per_eight_hours() -> None:
    stamps = pd.date_range("2024-01-02 04:00", "2024-01-03 00:00", freq="4h").astype(str)

    table = assemble_tables([settlements(*stamps, rate=1e-4, hours=4.0)], ROWS)["fact_funding"]

    # Six settlements of 1 bp: 6 bp a day, 2 bp per 8 hours.
    assert table["funding_rate"].tolist() == pytest.approx([2e-4], rel=1e-15)


def test_the_venues_mean_stands_in_only_on_days_without_any_settlement() -> None:
    rows = pd.DataFrame({"date": DAYS, "funding_rate": 9e-4, "fetched_at": AT})
    venues = Series(job("oi_weighted_funding", identity="PEPE"), rows)

    table = assemble_tables([settlements(DAY_2[0]), venues], ROWS)["fact_funding"]

    assert table["date"].tolist() == [DAYS[0], DAYS[2]]
    assert set(table["source"]) == {"coinglass"}


def test_open_interest_is_summed_over_spellings() -> None:
    table = assemble_tables([interest("PEPE", DAYS, 1.0), interest("kPEPE", DAYS[1:], 2.0)], ROWS)[
        "fact_open_interest"
    ]

    # kPEPE begins on the second day.
    assert table["open_interest_usd"].tolist() == [1.0, 3.0, 3.0]


@pytest.mark.parametrize(
    "second",
    [
        Series(job("open_interest", identity="kPEPE"), error=UnavailableError("down")),
        Series(job("open_interest", identity="kPEPE")),
    ],
    ids=["failed", "empty"],
)
def test_without_one_live_spelling_no_sum_is_stored(second: Series) -> None:
    assert assemble_tables([interest("PEPE", DAYS, 1.0), second], ROWS) == {}


def test_a_spelling_that_is_dead_and_empty_is_no_obstacle() -> None:
    dead = Series(job("open_interest", identity="kPEPE"), is_live=False)

    assert (
        len(assemble_tables([interest("PEPE", DAYS, 1.0), dead], ROWS)["fact_open_interest"]) == 3
    )


def test_a_day_that_one_spelling_lacks_is_left_out() -> None:
    holed = interest("kPEPE", DAYS.delete(1), 2.0)

    table = assemble_tables([interest("PEPE", DAYS, 1.0), holed], ROWS)["fact_open_interest"]

    assert table["date"].tolist() == [DAYS[0], DAYS[2]]


def test_missing_market_caps_give_no_row() -> None:
    rows = pd.DataFrame(
        {
            "date": DAYS,
            "close": [1.0, 2.0, 3.0],
            "marketcap": [float("nan"), 5.0, float("nan")],
            "volume": [1.0, 1.0, 1.0],
            "fetched_at": AT,
        }
    )

    tables = assemble_tables([Series(job("market_chart", identity="pepe"), rows)], ROWS)

    assert tables["fact_marketcap"]["date"].tolist() == [DAYS[1]]
    assert len(tables["fact_price"]) == 3


def test_checks_are_in_the_units_of_the_lake() -> None:
    price = Series(
        job("pair_price"), pd.DataFrame({"date": DAYS[:1], "close": [8.0], "fetched_at": AT})
    )
    funding = Series(
        job("pair_funding"),
        pd.DataFrame({"settled_at": DAYS[:1], "funding_rate": [1e-4], "fetched_at": AT}),
    )

    checks = assemble_checks([price, funding], ROWS)

    assert checks["table"].tolist() == ["fact_price", "fact_funding_settlement"]
    assert checks["value"].tolist() == [0.008, 1e-4]
    assert set(checks["source"]) == {"coinglass"}


def asked(series: list[Series], at: str = "2024-01-10 00:50") -> list[tuple[str, date, date]]:
    frame = assemble_asked(series, pd.Timestamp(at))
    return [(row.table, row.first_day, row.last_day) for row in frame.itertuples()]


def test_rows_answer_the_days_between_the_first_and_the_last_of_them() -> None:
    late = interest("PEPE", DAYS[1:2], 1.0)

    assert asked([late]) == [("fact_open_interest", date(2024, 1, 2), date(2024, 1, 2))]


def test_a_listing_answers_the_days_before_it() -> None:
    later = klines(rows=klines().rows.iloc[1:], listed_on=date(2024, 1, 2))

    assert asked([later])[0] == ("fact_price", FIRST, LAST)


def test_an_empty_answer_settles_nothing_but_fresh_days_were_asked_for() -> None:
    empty = Series(job("open_interest", identity="PEPE"))

    assert asked([empty]) == []
    assert asked([empty], "2024-01-04 00:50") == [
        ("fact_open_interest", date(2024, 1, 2), date(2024, 1, 3))
    ]


def test_a_failed_series_was_not_answered() -> None:
    failed = Series(job("open_interest", identity="kPEPE"), error=UnavailableError("down"))

    assert asked([interest("PEPE", DAYS, 1.0), failed]) == []


def test_an_instrument_carries_its_life() -> None:
    living = assemble_dim_instrument([klines(), settlements(*DAY_2, hours=4.0)], ROWS)
    ended = assemble_dim_instrument(
        [klines(is_live=False, traded_to=date(2024, 1, 2), listed_on=date(2023, 5, 5))], ROWS
    )

    (row,) = living.itertuples()
    assert (row.instrument_id, row.base_symbol, row.multiplier) == (
        "1000PEPEUSDT",
        "1000PEPE",
        1000,
    )
    assert (row.funding_interval_hours, row.listed_on, row.delisted_on) == (4.0, FIRST, None)
    # The day after its last bar.
    assert ended["delisted_on"].tolist() == [date(2024, 1, 3)]
    assert ended["listed_on"].tolist() == [date(2023, 5, 5)]


def test_a_contract_that_trades_to_the_end_of_the_fetch_has_no_end_yet() -> None:
    assert assemble_dim_instrument([klines(is_live=False)], ROWS)["delisted_on"].tolist() == [None]


def test_an_asset_has_the_vendors_name_or_none() -> None:
    assets = assemble_dim_asset(ROWS, {"pepe": "Pepe"})

    assert dict(zip(assets["asset_id"], assets["name"].fillna(""), strict=True)) == {
        "PEPE": "Pepe",
        "BTC": "",
    }


def test_an_interval_is_not_invented_where_no_settlement_came() -> None:
    instruments = assemble_dim_instrument([klines(listed_on=FIRST)], ROWS)

    assert instruments["funding_interval_hours"].isna().all()


def test_a_settlement_at_midnight_belongs_to_the_day_it_ends() -> None:
    stamps = pd.Series(pd.to_datetime(["2024-01-02 00:00", "2024-01-02 08:00"]))

    assert settled_day(stamps).tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")]


def test_the_fresh_days_of_a_vendor_that_was_down_were_asked_for_and_no_older_ones() -> None:
    wanted = [
        job("klines"),
        job("market_chart", identity="pepe"),
        job("open_interest", identity="PEPE"),
        job("open_interest", identity="kPEPE"),
    ]
    failed = Series(wanted[3], error=UnavailableError("coinglass: down"))
    brought = [klines(), interest("PEPE", DAYS, 1.0), failed]  # CoinGecko's list failed: no series

    missed = assemble_missed(wanted, brought, pd.Timestamp("2024-01-04 00:50"))

    spans = missed[["table", "first_day", "last_day"]].itertuples(index=False, name=None)
    assert sorted(spans) == [
        (table, date(2024, 1, 2), LAST)
        for table in ("fact_marketcap", "fact_open_interest", "fact_price", "fact_volume")
    ]
    assert assemble_missed(wanted, brought, AT).empty
