"""What a fetch lacks, whether that is an error, and which exit code it ends with."""

from __future__ import annotations

from datetime import date

import pandas as pd

from lake_ingest.collect import Collected
from lake_ingest.errors import (
    AuthError,
    BlockedError,
    FetchIncompleteError,
    FetchRefusedError,
    UnavailableError,
    VendorError,
)
from lake_ingest.judge import combine, judge
from lake_ingest.plan import Job
from lake_ingest.series import Series
from pipeline_kit.errors import PipelineError

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 5)
DAYS = pd.date_range(FIRST, LAST)


def series(days: pd.DatetimeIndex, asset_id: str = "SOL", **changes: object) -> Series:
    rows = pd.DataFrame({"date": days, "open_interest_usd": 1.0})
    job = Job("open_interest", asset_id, asset_id, FIRST, LAST, FIRST)
    return Series(job, rows).replace(**changes)


def judged(
    *found: Series, is_newest: bool = True, failures: list[VendorError] | None = None
) -> tuple[list[PipelineError], list[str]]:
    collected = Collected(series=list(found), failures=failures or [])
    return judge(collected, end=LAST, is_newest=is_newest, core_assets=("BTC", "ETH"))


def test_a_whole_answer_is_not_mentioned() -> None:
    assert judged(series(DAYS)) == ([], [])


def test_the_newest_day_missing_is_an_error_that_names_the_series() -> None:
    errors, _ = judged(series(DAYS[:-1]))

    assert [str(e) for e in errors] == [
        "coinglass open_interest SOL: no 2024-01-05, newest day 2024-01-04"
    ]


def test_an_empty_answer_is_an_error_on_the_newest_day_and_told_in_history() -> None:
    empty = series(DAYS[:0])

    assert [str(e) for e in judged(empty)[0]] == [
        "coinglass open_interest SOL: no data for 2024-01-01 to 2024-01-05"
    ]
    assert judged(empty, is_newest=False) == (
        [],
        ["coinglass open_interest SOL: no data for 2024-01-01 to 2024-01-05"],
    )


def test_a_history_cut_in_silence_is_told_and_for_a_core_asset_an_error() -> None:
    asked = "coinglass open_interest {}: asked for 2024-01-01 to 2024-01-05"
    line = f"{asked}, found 2 days from 2024-01-04"

    assert judged(series(DAYS[3:])) == ([], [line.format("SOL")])
    assert [str(e) for e in judged(series(DAYS[3:], "BTC"))[0]] == [line.format("BTC")]


def test_days_before_a_listing_are_not_missing() -> None:
    assert judged(series(DAYS[3:], "BTC", listed_on=date(2024, 1, 4))) == ([], [])


def test_what_is_no_longer_listed_owes_no_newest_day() -> None:
    assert judged(series(DAYS[:2], is_live=False)) == ([], [])


def test_what_is_no_longer_listed_and_left_nothing_is_told() -> None:
    line = "coinglass open_interest SOL: no longer listed, and no data for 2024-01-01 to 2024-01-05"

    assert judged(series(DAYS[:0], is_live=False)) == ([], [line])
    assert judged(series(DAYS[:0], is_live=False, was_asked=False)) == ([], [])


def chart(asset_id: str, **values: list[float | None]) -> Series:
    whole = {name: [1.0] * len(DAYS) for name in ("close", "marketcap", "volume")}
    rows = pd.DataFrame({"date": DAYS, **whole, **values}).replace({None: float("nan")})
    return Series(Job("market_chart", asset_id, "coin", FIRST, LAST, FIRST), rows)


def test_a_chart_of_points_without_values_is_no_whole_answer() -> None:
    """Once an array of nulls passed for one of prices: the days were there, the values not."""
    no_values, no_newest = [None] * 5, [1.0, 1.0, 1.0, 1.0, None]
    line = "coingecko market_chart coin: no {}"

    assert judged(chart("LEO")) == ([], [])
    for asset_id, value, values, said, is_bad in (
        ("LEO", "close", no_values, "close for 2024-01-01 to 2024-01-05", True),
        ("LEO", "close", no_newest, "close of 2024-01-05", True),
        ("LEO", "marketcap", no_values, "marketcap for 2024-01-01 to 2024-01-05", False),
        ("LEO", "marketcap", no_newest, "marketcap of 2024-01-05", False),
        ("BTC", "marketcap", no_newest, "marketcap of 2024-01-05", True),
        ("BTC", "volume", no_values, "volume for 2024-01-01 to 2024-01-05", True),
    ):
        errors, notes = judged(chart(asset_id, **{value: values}))
        told = [str(e) for e in errors] if is_bad else notes
        assert told == [line.format(said)]
        assert bool(errors) == is_bad
    # A day of the past without a value is a vendor's hole, not a broken answer.
    assert judged(chart("LEO", close=no_newest), is_newest=False) == ([], [])


def test_a_blocked_vendor_degrades_and_does_not_fail() -> None:
    errors, notes = judged(series(DAYS), failures=[BlockedError("binance: HTTP 451")])

    assert errors == []
    assert notes == ["degraded: binance: HTTP 451"]


def test_one_failure_of_many_series_is_told_once() -> None:
    down = UnavailableError("coinglass GET /x: HTTP 500")

    errors, _ = judged(series(DAYS[:0], error=down), series(DAYS[:0], "ADA", error=down))

    assert errors == [down]


def test_the_worst_exit_code_wins_and_everything_is_said() -> None:
    worst = combine([UnavailableError("binance down"), AuthError("key missing")])

    assert isinstance(worst, FetchRefusedError)
    assert worst.exit_code == 2
    assert str(worst) == "key missing; binance down"


def test_many_errors_are_cut_to_a_line() -> None:
    worst = combine([UnavailableError(f"series {i}") for i in range(9)])

    assert isinstance(worst, FetchIncompleteError)
    assert str(worst).endswith("series 5; and 3 more")
    assert combine([]) is None
