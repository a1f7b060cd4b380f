"""Only what is missing is asked for, plus an overlap; the estimate adds up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_ingest.asset_map import MapRow
from lake_ingest.plan import (
    SOURCES,
    Job,
    Known,
    Planner,
    coingecko_floor,
    count_requests,
    deepest_floor,
    describe_plan,
    first_gap,
    plan_besides,
    plan_jobs,
)
from lake_ingest.settings import load_settings

SETTINGS = load_settings({})
ROW = MapRow("PEPE", "pepe", "1000PEPEUSDT", ("PEPE", "kPEPE"), 1000, "coin", None, None, "")
COVERAGE = ["table", "source", "asset_id", "first_day", "last_day", "rows"]
ASKED = ["table", "source", "asset_id", "first_day", "last_day", "asked_at"]
START, END = date(2024, 1, 1), date(2024, 6, 30)


def known(
    coverage: list[tuple[object, ...]] | None = None, asked: list[tuple[object, ...]] | None = None
) -> Known:
    return Known.of(
        pd.DataFrame(coverage or [], columns=COVERAGE), pd.DataFrame(asked or [], columns=ASKED)
    )


def held(series_tables: list[str], source: str, first: date, last: date) -> Known:
    return known([(table, source, "PEPE", first, last, 1) for table in series_tables])


def klines(planner: Planner) -> Job:
    (job,) = planner.jobs(ROW, "klines", [ROW.binance_symbol])
    return job


def test_an_empty_lake_is_asked_the_whole_span_and_nothing_before() -> None:
    job = klines(Planner(known(), START, END, SETTINGS))

    assert (job.first_day, job.last_day, job.missing_from) == (START, END, START)


def test_what_is_held_is_not_asked_again_but_for_the_overlap() -> None:
    lake = held(["fact_price", "fact_perp_volume"], "binance", START, END)

    job = klines(Planner(lake, START, END, SETTINGS))

    assert (job.first_day, job.last_day, job.missing_from) == (END - timedelta(3), END, None)


def test_one_table_of_a_series_that_lacks_days_is_enough_to_ask() -> None:
    job = klines(Planner(held(["fact_price"], "binance", START, END), START, END, SETTINGS))

    assert job.missing_from == START


def test_a_new_day_is_asked_with_the_days_before_it_that_may_be_revised() -> None:
    day = END + timedelta(1)
    lake = held(["fact_price", "fact_perp_volume"], "binance", START, END)

    job = klines(Planner(lake, day, day, SETTINGS))

    assert (job.first_day, job.last_day, job.missing_from) == (day - timedelta(3), day, day)


def test_days_that_an_outage_left_out_are_healed() -> None:
    day = END + timedelta(8)
    lake = held(["fact_price", "fact_perp_volume"], "binance", START, END)

    job = klines(Planner(lake, day, day, SETTINGS))

    assert job.missing_from == END + timedelta(1)


def test_a_year_old_lake_is_not_healed_behind_a_persons_back() -> None:
    day = END + timedelta(365)
    lake = held(["fact_price", "fact_perp_volume"], "binance", START, END)

    job = klines(Planner(lake, day, day, SETTINGS))

    assert job.first_day == day - timedelta(SETTINGS.plan.heal_days)


def test_days_that_were_answered_with_nothing_are_settled_after_36_hours() -> None:
    tables = ["fact_price", "fact_perp_volume"]
    late = [(t, "binance", "PEPE", START, END, pd.Timestamp("2024-07-05")) for t in tables]
    fresh = [(t, "binance", "PEPE", START, END, pd.Timestamp("2024-07-01 00:50")) for t in tables]

    assert klines(Planner(known(None, late), START, END, SETTINGS)).missing_from is None
    # 36 hours before July 1, 00:50 is June 29, 12:50: the 28th had ended then.
    assert klines(Planner(known(None, fresh), START, END, SETTINGS)).missing_from == date(
        2024, 6, 29
    )


def test_a_full_page_is_asked_where_it_costs_what_a_day_costs() -> None:
    lake = held(["fact_open_interest"], "coinglass", date(2020, 1, 1), END)

    jobs = Planner(lake, END, END, SETTINGS).jobs(ROW, "open_interest", ROW.coinglass_spellings)

    assert [job.identity for job in jobs] == ["PEPE", "kPEPE"]
    assert jobs[0].n_days == 997
    assert count_requests(jobs[0], SETTINGS) == 1


def test_a_row_is_asked_only_for_the_days_it_is_valid() -> None:
    row = MapRow("PEPE", "pepe", "P", (), 1, "coin", date(2024, 2, 1), date(2024, 2, 9), "")
    (job,) = Planner(known(), START, END, SETTINGS).jobs(row, "klines", ["P"])

    assert (job.first_day, job.last_day) == (date(2024, 2, 1), date(2024, 2, 9))


def test_a_plan_that_shows_less_cuts_the_span_before_it_is_asked() -> None:
    planner = Planner(known(), START, END, SETTINGS)

    assert planner.jobs(ROW, "market_chart", ["pepe"], floor=date(2024, 6, 1))[0].first_day == date(
        2024, 6, 1
    )
    assert planner.jobs(ROW, "market_chart", ["pepe"], floor=date(2024, 7, 1)) == []


def test_the_demo_plan_of_coingecko_shows_365_days() -> None:
    """The stamp of a midnight closes the day before it, and must not be older than the depth."""
    at_0050 = datetime(2024, 12, 31, 0, 50, tzinfo=UTC)  # 365 days before: January 1, 00:50
    midnight = datetime(2024, 12, 31, tzinfo=UTC)

    assert coingecko_floor(at_0050, SETTINGS) == date(2024, 1, 1)
    assert coingecko_floor(midnight, SETTINGS) == date(2023, 12, 31)
    assert coingecko_floor(midnight, load_settings({"COINGECKO_PLAN": "pro"})) == date.min


def test_only_the_sources_asked_for_are_planned() -> None:
    planner = Planner(known(), START, END, SETTINGS)

    jobs = plan_jobs([ROW], planner, sources=("binance",), floor=date.min)

    assert [job.series for job in jobs] == ["klines", "funding_rates"]


def test_the_plan_says_requests_and_minutes() -> None:
    planner = Planner(known(), START, END, SETTINGS)
    jobs = plan_jobs([ROW], planner, sources=("coinglass", "coingecko"), floor=date.min)

    # Two spellings of 182 days: a page each, and four lists; 6 / 28 minutes.
    assert describe_plan(jobs, ("coinglass", "coingecko"), SETTINGS) == [
        "plan: coinglass: 2 series, 6 requests, 0.2 minutes at 28 a minute",
        "plan: coingecko: 1 series, 2 requests, 0.1 minutes at 25 a minute",
    ]


def besides(*sources: str, **options: bool) -> dict[str, list[str]]:
    rows = [
        MapRow("BTC", "bitcoin", "BTCUSDT", ("BTC",), 1, "coin", None, None, ""),
        MapRow("LEO", "leo-token", "", ("LEO",), 1, "coin", None, None, ""),
        ROW,
    ]
    planner = Planner(known(), START, END, SETTINGS)
    jobs = plan_besides(rows, planner, sources=sources, floor=date.min, checked=("BTC",), **options)
    asked: dict[str, list[str]] = {}
    for job in jobs:
        asked.setdefault(job.series, []).append(job.identity)
    return asked


def test_what_is_compared_and_what_stands_in_is_planned_too() -> None:
    """By hand: BTC is compared, LEO has no contract; without Binance all pairs stand in."""
    pairs, bases = ["BTCUSDT", "1000PEPEUSDT"], ["BTC", "LEO", "PEPE"]

    assert besides(*SOURCES) == {
        "pair_price": ["BTCUSDT"],
        "pair_funding": ["BTCUSDT"],
        "oi_weighted_funding": ["LEO"],
    }
    assert besides("coinglass") == {
        "pair_price": pairs,
        "pair_funding": pairs,
        "oi_weighted_funding": bases,
    }
    assert besides("coinglass", is_derivatives_only=True) == {"oi_weighted_funding": bases}
    assert besides("coingecko", "binance") == {}


def test_the_deepest_plan_is_assumed_until_the_vendor_tells_ours() -> None:
    # 720 days of 8h bars, that of today included.
    now = datetime(2024, 12, 31, 0, 50, tzinfo=UTC)

    assert deepest_floor(now, SETTINGS) == date(2024, 12, 31) - timedelta(719)


@pytest.mark.parametrize(
    ("days_ago", "span", "may"),
    [(None, 30, True), (None, 1, False), (0, 1, True), (40, 1, False)],
)
def test_history_of_what_is_gone_is_asked_while_it_can_come(
    days_ago: int | None, span: int, may: bool
) -> None:
    last = END
    job = Job("klines", "PEPE", "X", last - timedelta(span), last, last - timedelta(span))
    lake = known()
    if days_ago is not None:
        ended = last - timedelta(days_ago + span + 1)
        lake = held(["fact_price"], "binance", START, ended)

    assert Planner(lake, START, END, SETTINGS).may_have_history(job) is may


@given(
    spans=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), max_size=6),
    start=st.integers(0, 30),
    length=st.integers(0, 30),
)
def test_the_first_gap_is_the_first_day_in_no_span(
    spans: list[list[int]], start: int, length: int
) -> None:
    day = date(2024, 1, 1)
    days = [day + timedelta(start + i) for i in range(length + 1)]
    dated = [(day + timedelta(a), day + timedelta(b)) for a, b in spans]
    lacking = [d for d in days if not any(a <= d <= b for a, b in dated)]

    assert first_gap(dated, days[0], days[-1]) == (lacking[0] if lacking else None)


@pytest.mark.parametrize(("days", "is_decided"), [(1, True), (3, True), (4, False)])
def test_a_day_is_decided_without_a_series_while_its_last_value_is_a_level(
    days: int, is_decided: bool
) -> None:
    lake = held(["fact_perp_volume"], "binance", START, END)
    planner = Planner(lake, START, END + timedelta(days), SETTINGS)

    assert planner.is_decided_without(klines(planner)) is is_decided


def test_what_the_lake_never_had_decides_nothing() -> None:
    planner = Planner(known(), START, END, SETTINGS)

    assert not planner.is_decided_without(klines(planner))


@pytest.mark.parametrize("coingecko_plan", ["demo", "pro"])
def test_500_assets_over_three_years_take_what_the_documents_say(coingecko_plan: str) -> None:
    """Least possible: pages of 1,000 days, of 1,500 bars, of 1,000 settlements, and one chart."""
    settings = load_settings({"COINGECKO_PLAN": coingecko_plan})
    tickers = [f"A{n:03d}" for n in range(500)]
    rows = [MapRow(t, t.lower(), f"{t}USDT", (t,), 1.0, "coin", None, None, "") for t in tickers]
    end = date(2026, 11, 22)
    planner = Planner(known(), end - timedelta(1095), end, settings)
    floor = coingecko_floor(datetime(2026, 11, 23, 0, 50, tzinfo=UTC), settings)

    jobs = plan_jobs(rows, planner, sources=SOURCES, floor=floor)
    lines = describe_plan(jobs, SOURCES, settings)

    assert [line.split(", ")[1] for line in lines] == [
        f"{500 * 2 + 4} requests",  # 1,096 days in two pages; subscription and three lists
        f"{500 + 2} requests",  # 250 ids a page of the list
        f"{500 + 500 * 4 + 1} requests",  # 3,288 settlements in four pages; the list of contracts
    ]
