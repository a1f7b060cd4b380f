"""JSON of every shape the vendors send, and of shapes they should not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_ingest.bronze import Answer
from lake_ingest.errors import ContractError
from lake_ingest.parse import (
    DAY_MS,
    HOUR_MS,
    Window,
    binance_contracts,
    binance_funding,
    binance_klines,
    binance_open_interest,
    coingecko_chart,
    coingecko_names,
    coinglass_bars,
    coinglass_coins,
    coinglass_pairs,
    coinglass_subscription,
    day_ms,
    settlement_intervals,
)

NOW = datetime(2024, 1, 5, 0, 50, tzinfo=UTC)
DAYS = Window(day_ms(date(2024, 1, 1)), day_ms(date(2024, 1, 4)))


def answer(body: Any, at: datetime = NOW) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer("vendor", "/endpoint", {}, 200, {}, content, at)


def glass(*rows: Any) -> Answer:
    return answer({"code": "0", "data": list(rows)})


def bar(day: int, close: Any = 1.0) -> dict[str, Any]:
    return {"time": day_ms(date(2024, 1, day)), "close": close}


def test_numbers_and_texts_of_numbers_are_the_same() -> None:
    bars = coinglass_bars(glass(bar(1, "48970945539"), bar(2, 2), bar(3, 2.5)), ["close"], DAYS)

    assert bars["close"].tolist() == [48970945539.0, 2.0, 2.5]


def test_a_time_may_be_a_text() -> None:
    bars = coinglass_bars(glass({"time": str(DAYS.start_ms), "close": 1}), ["close"], DAYS)

    assert bars["time"].tolist() == [DAYS.start_ms]


@pytest.mark.parametrize("close", [float("nan"), float("inf"), "", None, "NaN", "Infinity"])
def test_what_is_no_finite_number_is_nan_among_others(close: Any) -> None:
    bars = coinglass_bars(glass(bar(1), bar(2, close)), ["close"], DAYS)

    assert np.isnan(bars["close"].iloc[1])
    assert bars["close"].iloc[0] == 1.0


@pytest.mark.parametrize("close", [True, {}, [], "many"])
def test_a_field_of_another_type_breaks_the_contract(close: Any) -> None:
    with pytest.raises(ContractError, match="/endpoint: field close"):
        coinglass_bars(glass(bar(1), bar(2, close)), ["close"], DAYS)


def test_a_field_that_holds_no_number_at_all_breaks_the_contract() -> None:
    with pytest.raises(ContractError, match="close holds no number"):
        coinglass_bars(glass(bar(1, None), bar(2, None)), ["close"], DAYS)


def test_a_renamed_field_is_named() -> None:
    with pytest.raises(ContractError) as caught:
        coinglass_bars(glass({"t": 1, "close": 1}), ["close"], DAYS)

    assert (caught.value.endpoint, caught.value.field) == ("/endpoint", "time")


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[]", b'{"code":"0"}', b'{"code":"0","data":{"a":1}}', b'{"data":[1]}'],
)
def test_an_envelope_of_another_shape_breaks_the_contract(body: bytes) -> None:
    with pytest.raises(ContractError):
        coinglass_bars(answer(body), ["close"], DAYS)


@pytest.mark.parametrize("data", [[], None])
def test_no_data_is_no_row_and_no_error(data: Any) -> None:
    assert coinglass_bars(answer({"code": "0", "data": data}), ["close"], DAYS).empty


def test_a_bar_that_is_still_forming_never_enters() -> None:
    at_end = answer({"code": "0", "data": [bar(3), bar(4)]}, datetime(2024, 1, 5, tzinfo=UTC))
    before = answer(
        {"code": "0", "data": [bar(3), bar(4)]}, datetime(2024, 1, 4, 23, 59, 59, tzinfo=UTC)
    )

    assert len(coinglass_bars(at_end, ["close"], DAYS)) == 2
    assert len(coinglass_bars(before, ["close"], DAYS)) == 1


def test_rows_outside_the_window_show_that_a_parameter_was_ignored() -> None:
    with pytest.raises(ContractError, match="outside the window asked for in 1 rows"):
        coinglass_bars(glass({"time": DAYS.start_ms - DAY_MS, "close": 1}), ["close"], DAYS)


def test_seconds_instead_of_milliseconds_break_the_contract() -> None:
    with pytest.raises(ContractError):
        coinglass_bars(glass({"time": 1704067200, "close": 1}), ["close"], DAYS)


@given(order=st.permutations([1, 2, 3, 4]), doubled=st.lists(st.integers(1, 4)))
def test_order_and_duplicates_change_nothing(order: list[int], doubled: list[int]) -> None:
    rows = [bar(day, day / 8) for day in [*order, *doubled]]

    bars = coinglass_bars(glass(*rows), ["close"], DAYS)

    assert bars["close"].tolist() == [0.125, 0.25, 0.375, 0.5]
    assert bars["time"].is_monotonic_increasing


def test_the_subscription_is_read() -> None:
    plan = coinglass_subscription(
        answer(
            {
                "code": "0",
                "data": {"level": "Hobbyist", "expire_time": 1805943491000, "expired": False},
            }
        )
    )

    assert (plan.level, plan.is_expired) == ("HOBBYIST", False)
    with pytest.raises(ContractError, match="level"):
        coinglass_subscription(answer({"code": "0", "data": {"plan": "x"}}))


def test_lists_are_read_under_every_spelling_of_the_venue() -> None:
    pairs = {
        "BINANCE": [{"instrument_id": "BTCUSDT", "funding_interval": 4}],
        "Gate": [{"instrument_id": "BTC_USDT"}],
    }

    assert coinglass_pairs(answer({"code": "0", "data": pairs}), "Binance") == {"BTCUSDT": 4}
    assert coinglass_pairs(answer({"code": "0", "data": pairs}), "Gate") == {"BTC_USDT": 8}
    assert coinglass_coins(answer({"code": "0", "data": ["BTC", "kPEPE"]})) == {"BTC", "kPEPE"}
    with pytest.raises(ContractError):
        coinglass_coins(answer({"code": "0", "data": [{"symbol": "BTC"}]}))


CHART_FROM, CHART_TO = 1704153600, 1704412800 + 60  # 2024-01-02 to 2024-01-05 00:01


def chart(**arrays: list[Any]) -> Answer:
    named = {"prices": [], "market_caps": [], "total_volumes": []} | arrays
    return answer(named)


def test_the_stamp_of_midnight_closes_the_day_before() -> None:
    midnight = day_ms(date(2024, 1, 2))

    rows = coingecko_chart(
        chart(
            prices=[[midnight, 10]], market_caps=[[midnight, 20]], total_volumes=[[midnight, 30]]
        ),
        CHART_FROM,
        CHART_TO,
    )

    assert rows["date"].tolist() == [pd.Timestamp("2024-01-01")]
    assert rows[["close", "marketcap", "volume"]].to_numpy().tolist() == [[10, 20, 30]]


def test_points_off_midnight_are_live_and_dropped() -> None:
    midnight = day_ms(date(2024, 1, 5))
    points = [[midnight, 1], [midnight + 1, 2], [midnight + 50 * 60_000, 3]]

    rows = coingecko_chart(chart(prices=points), CHART_FROM, CHART_TO)

    assert rows["close"].tolist() == [1]


def test_zero_and_null_are_missing_and_arrays_are_joined_by_time() -> None:
    first, second = day_ms(date(2024, 1, 2)), day_ms(date(2024, 1, 3))

    rows = coingecko_chart(
        chart(
            prices=[[first, 1], [second, 2]],
            market_caps=[[first, 0], [second, None]],
            total_volumes=[[second, 5]],
        ),
        CHART_FROM,
        CHART_TO,
    )

    assert rows["close"].tolist() == [1, 2]
    assert rows["marketcap"].isna().all()
    assert rows["volume"].isna().tolist() == [True, False]


def test_a_chart_outside_the_window_or_of_another_shape_breaks_the_contract() -> None:
    early = [[day_ms(date(2023, 12, 1)), 1]]
    with pytest.raises(ContractError, match="prices lies outside"):
        coingecko_chart(chart(prices=early), CHART_FROM, CHART_TO)
    with pytest.raises(ContractError, match="market_caps"):
        coingecko_chart(answer({"prices": []}), CHART_FROM, CHART_TO)
    with pytest.raises(ContractError, match="prices is not a list of"):
        coingecko_chart(chart(prices=[[1, 2, 3]]), CHART_FROM, CHART_TO)


def test_names_are_read_by_id() -> None:
    assert coingecko_names(answer([{"id": "pepe", "name": "Pepe"}, {"id": "x"}])) == {
        "pepe": "Pepe",
        "x": "x",
    }


def kline(day: int, close: str = "100", count: int = 5) -> list[Any]:
    opens = day_ms(date(2024, 1, day))
    return [opens, "1", "2", "0.5", close, "10", opens + DAY_MS - 1, "1000.5", count, "1", "2", "0"]


def test_a_kline_gives_close_and_quote_volume() -> None:
    bars = binance_klines(answer([kline(1), kline(2, "101.5")]), DAYS)

    assert bars["close"].tolist() == [100.0, 101.5]
    assert bars["quote_volume"].tolist() == [1000.5, 1000.5]


def test_a_bar_without_a_trade_repeats_a_price_and_is_dropped() -> None:
    assert len(binance_klines(answer([kline(1), kline(2, count=0)]), DAYS)) == 1


def test_a_short_kline_breaks_the_contract() -> None:
    with pytest.raises(ContractError):
        binance_klines(answer([[1, 2, 3]]), DAYS)


def settlement(at_ms: int, symbol: str = "BTCUSDT", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "fundingTime": at_ms, "fundingRate": "0.0001", **more}


def test_a_stamp_some_milliseconds_late_stays_in_its_day() -> None:
    midnight = day_ms(date(2024, 1, 2))
    rows = binance_funding(
        answer(
            [settlement(midnight + 7, markPrice="42000"), settlement(midnight - 9, markPrice="")]
        ),
        "BTCUSDT",
        DAYS,
    )

    assert rows["time"].tolist() == [midnight]
    assert rows["funding_rate"].tolist() == [0.0001]


def test_settlements_of_another_symbol_break_the_contract() -> None:
    with pytest.raises(ContractError, match="symbol"):
        binance_funding(answer([settlement(DAYS.start_ms, "ETHUSDT")]), "BTCUSDT", DAYS)


def test_an_interval_is_the_gap_before() -> None:
    hours = [0, 8, 16, 20, 24, 25, 41, 42]

    # 16 hours are no interval: a settlement is missing, and the one in force stands.
    assert settlement_intervals([h * HOUR_MS for h in hours]) == [8, 8, 8, 4, 4, 1, 1, 1]


def level(at: int, value: str, **more: str) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "timestamp": at, "sumOpenInterestValue": value, **more}


def test_open_interest_of_a_midnight_belongs_to_the_day_before_and_zero_is_missing() -> None:
    first, second = day_ms(date(2024, 1, 2)), day_ms(date(2024, 1, 3))
    rows = binance_open_interest(
        answer(
            [
                level(first, "5.5", CMCCirculatingSupply="1"),
                level(second, "0"),
                level(second + HOUR_MS, "9"),
            ]
        ),
        "BTCUSDT",
    )

    assert rows["date"].tolist() == [pd.Timestamp("2024-01-01")]
    assert rows["open_interest_usd"].tolist() == [5.5]


def test_only_perpetuals_are_contracts() -> None:
    listed = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "baseAsset": "BTC",
        "onboardDate": 1569398400000,
        "deliveryDate": 4133404800000,
    }
    quarter = listed | {"symbol": "BTCUSDT_240329", "contractType": "CURRENT_QUARTER"}

    contracts = binance_contracts(answer({"symbols": [listed, quarter]}))

    assert contracts["symbol"].tolist() == ["BTCUSDT"]
    with pytest.raises(ContractError, match="symbols"):
        binance_contracts(answer({"assets": []}))


SAME = "is there twice with different"
MIDNIGHT = day_ms(date(2024, 1, 2))


def test_a_bar_sent_twice_is_one_and_two_bars_of_one_time_are_none() -> None:
    assert len(coinglass_bars(glass(bar(1), bar(2), bar(2)), ["close"], DAYS)) == 2

    with pytest.raises(ContractError, match=SAME):
        coinglass_bars(glass(bar(1), bar(2), bar(2, 1.5)), ["close"], DAYS)
    twice = chart(prices=[[MIDNIGHT, 1], [MIDNIGHT, 2]])
    with pytest.raises(ContractError, match=SAME):
        coingecko_chart(twice, CHART_FROM, CHART_TO)
    levels = answer([level(MIDNIGHT, "1"), level(MIDNIGHT, "2")])
    with pytest.raises(ContractError, match=SAME):
        binance_open_interest(levels, "BTCUSDT")


@pytest.mark.parametrize("close", [10**400, "9" * 5000 + "x"])
def test_a_number_beyond_all_bounds_is_named_in_a_short_line(close: Any) -> None:
    with pytest.raises(ContractError, match="close is not a number") as e:
        coinglass_bars(glass(bar(1), bar(2, close)), ["close"], DAYS)

    assert len(str(e.value)) < 400


@pytest.mark.parametrize("stamp", [1.5, 1e300, float("nan"), 10**400, MIDNIGHT // 1000])
def test_a_stamp_that_is_no_time_in_milliseconds_breaks_the_contract(stamp: float) -> None:
    with pytest.raises(ContractError):
        coingecko_chart(chart(prices=[[stamp, 1]]), CHART_FROM, CHART_TO)
    with pytest.raises(ContractError):
        coinglass_bars(glass({"time": stamp, "close": 1}), ["close"], DAYS)
    with pytest.raises(ContractError):
        binance_open_interest(answer([level(stamp, "1")]), "BTCUSDT")  # type: ignore[arg-type]


def test_json_too_deep_for_anybody_is_no_json() -> None:
    with pytest.raises(ContractError, match="is not JSON"):
        coinglass_coins(answer(b'{"code":"0","data":' + b"[" * 100_000))


@pytest.mark.parametrize("stamp", [-1, 1e300, 1569398400, 1569398400000000])
def test_a_listing_in_another_unit_of_time_breaks_the_contract(stamp: float) -> None:
    listed = {"symbol": "X", "contractType": "PERPETUAL", "baseAsset": "X"}
    rows = [listed | {"onboardDate": stamp, "deliveryDate": 4133404800000}]

    with pytest.raises(ContractError, match="onboardDate"):
        binance_contracts(answer({"symbols": rows}))


def test_open_interest_of_another_symbol_is_refused() -> None:
    with pytest.raises(ContractError, match="is not the ETHUSDT asked for"):
        binance_open_interest(answer([level(MIDNIGHT, "1")]), "ETHUSDT")


def test_a_name_that_no_file_can_hold_is_made_printable() -> None:
    assert coingecko_names(answer([{"id": "x", "name": "a\ud800\u001b[31m"}])) == {"x": "a??[31m"}
    # The end of the plan is not read: no number in it can harm.
    plan = {"code": "0", "data": {"level": "hobbyist", "expire_time": 10**300}}
    assert coinglass_subscription(answer(plan)).level == "HOBBYIST"
