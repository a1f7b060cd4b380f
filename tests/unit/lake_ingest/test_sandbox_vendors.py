"""The four vendors answer in the shapes, units and limits of sources.md."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from lake_ingest.sandbox.archive import Archive
from lake_ingest.sandbox.binance import Binance
from lake_ingest.sandbox.coingecko import CoinGecko
from lake_ingest.sandbox.coinglass import CoinGlass
from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, day_ms, ms
from lake_ingest.sandbox.messages import Answer, Request, Settings
from lake_ingest.sandbox.series import Market

NOW = datetime(2024, 6, 20, 0, 50, tzinfo=UTC)
MIDNIGHT = day_ms(date(2024, 6, 20))
LIFTED = Settings(rate=10**6)
KEY = {"cg-api-key": "sandbox-hobbyist"}
UM = "/data/futures/um"


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7, 30, 420, lambda: NOW)


def coinglass(market: Market, path: str, key: str = "sandbox-hobbyist", **params: Any) -> Answer:
    vendor = CoinGlass(market, LIFTED)
    texts = {name: str(value) for name, value in params.items()}
    return vendor.answer(Request("coinglass", f"/api{path}", texts, {"cg-api-key": key}))


def gecko(
    market: Market, path: str, headers: dict[str, str] | None = None, **params: Any
) -> Answer:
    texts = {name.rstrip("_"): str(value) for name, value in params.items()}
    return CoinGecko(market, LIFTED).answer(Request("coingecko", path, texts, headers or {}))


def binance(market: Market, path: str, **params: Any) -> Answer:
    texts = {name: str(value) for name, value in params.items()}
    return Binance(market, LIFTED).answer(Request("binance", path, texts))


def csv_of(market: Market, path: str) -> list[list[str]]:
    answer = Archive(market).answer(Request("archive", UM + path))
    assert answer.status == 200, path
    with zipfile.ZipFile(io.BytesIO(answer.body())) as file:
        return [line.split(",") for line in file.read(file.namelist()[0]).decode().splitlines()]


def data_of(answer: Answer) -> Any:
    assert answer.status == 200
    assert answer.payload["code"] == "0"
    return answer.payload["data"]


# --- CoinGlass ---------------------------------------------------------------------------

OHLC = {"time", "open", "high", "low", "close"}


@pytest.mark.parametrize(
    ("path", "params", "fields", "is_text"),
    [
        ("/futures/open-interest/aggregated-history", {"symbol": "BTC"}, OHLC, True),
        ("/futures/funding-rate/oi-weight-history", {"symbol": "BTC"}, OHLC, False),
        (
            "/futures/funding-rate/history",
            {"exchange": "Binance", "symbol": "BTCUSDT"},
            OHLC,
            True,
        ),
        (
            "/futures/price/history",
            {"exchange": "Binance", "symbol": "BTCUSDT", "limit": 1000},
            OHLC | {"volume_usd"},
            True,
        ),
        (
            "/futures/liquidation/history",
            {"exchange": "Binance", "symbol": "BTCUSDT"},
            {"time", "long_liquidation_usd", "short_liquidation_usd"},
            True,
        ),
        (
            "/futures/liquidation/aggregated-history",
            {"exchange_list": "Binance", "symbol": "BTC"},
            {"time", "aggregated_long_liquidation_usd", "aggregated_short_liquidation_usd"},
            False,
        ),
    ],
)
def test_history_rows_have_the_vendors_fields_types_and_opening_times(
    market: Market, path: str, params: dict[str, Any], fields: set[str], is_text: bool
) -> None:
    rows = data_of(coinglass(market, path, interval="1d", **params))
    assert set(rows[0]) == fields
    values = [value for name, value in rows[-2].items() if name != "time"]
    assert all(isinstance(value, str) == is_text for value in values)
    times = [row["time"] for row in rows]
    assert times == sorted(set(times))
    assert {time % DAY_MS for time in times} == {0}
    assert times[-1] == MIDNIGHT  # today's bar is still forming


@pytest.mark.parametrize("types", ["strings", "numbers"])
def test_number_types_drift_by_switch(market: Market, types: Any) -> None:
    vendor = CoinGlass(market, Settings(rate=10**6, types=types))
    for path in ("open-interest/aggregated-history", "funding-rate/oi-weight-history"):
        request = Request(
            "coinglass", f"/api/futures/{path}", {"symbol": "BTC", "interval": "8h"}, KEY
        )
        row = vendor.answer(request).payload["data"][-1]
        assert isinstance(row["close"], str) == (types == "strings")


def test_funding_is_in_percent_and_the_close_is_what_binance_settles(market: Market) -> None:
    rows = data_of(
        coinglass(
            market,
            "/futures/funding-rate/history",
            exchange="Binance",
            symbol="BTCUSDT",
            interval="8h",
        )
    )
    paid = binance(market, "/fapi/v1/fundingRate", symbol="BTCUSDT", limit=1000).payload
    settled = {round(row["fundingTime"], -4): float(row["fundingRate"]) for row in paid}
    closes = {row["time"] + 8 * HOUR_MS: float(row["close"]) for row in rows[:-1]}
    assert len(closes) > 900
    assert all(abs(closes[end] / 100 - settled[end]) < 1e-12 for end in closes)
    assert rows[-1]["open"] == rows[-2]["close"]


def test_three_closes_of_a_day_sum_to_the_accumulated_rate(market: Market) -> None:
    rows = data_of(
        coinglass(
            market,
            "/futures/funding-rate/history",
            exchange="Binance",
            symbol="BTCUSDT",
            interval="8h",
        )
    )
    lists = data_of(
        coinglass(market, "/futures/funding-rate/accumulated-exchange-list", range="1d")
    )
    btc = next(row for row in lists if row["symbol"] == "BTC")
    total = sum(float(row["close"]) for row in rows[-4:-1])
    assert btc["stablecoin_margin_list"][0]["funding_rate"] == pytest.approx(total, abs=2e-6)


def test_the_price_of_a_pair_is_binances(market: Market) -> None:
    rows = data_of(
        coinglass(
            market,
            "/futures/price/history",
            exchange="Binance",
            symbol="1000PEPEUSDT",
            interval="1d",
            limit=50,
        )
    )
    klines = binance(
        market, "/fapi/v1/klines", symbol="1000PEPEUSDT", interval="1d", limit=50
    ).payload
    assert [float(row["close"]) for row in rows] == [float(row[4]) for row in klines]
    assert [float(row["volume_usd"]) for row in rows] == [float(row[7]) for row in klines]


def test_three_spellings_are_three_coins_in_the_lists(market: Market) -> None:
    supported = data_of(coinglass(market, "/futures/supported-coins"))
    assert {"PEPE", "1000PEPE", "kPEPE", "TSLA", "1"} <= set(supported)
    levels = [
        float(
            data_of(
                coinglass(
                    market, "/futures/open-interest/aggregated-history", symbol=name, interval="1d"
                )
            )[-2]["close"]
        )
        for name in ("PEPE", "1000PEPE", "kPEPE")
    ]
    assert len(set(levels)) == 3
    assert min(levels) > 0


def test_pairs_are_looked_up_by_venue(market: Market) -> None:
    venues = data_of(coinglass(market, "/futures/supported-exchange-pairs"))
    binance_row = next(row for row in venues["Binance"] if row["base_asset"] == "BTC")
    assert binance_row == {
        "instrument_id": "BTCUSDT",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "settlement_currency": "USDT",
        "max_leverage": 125,
        "funding_interval": 8,
        "price_tick_size": 0.1,
    }
    assert "BTCUSDT_UMCBL" in {row["instrument_id"] for row in venues["Bitget"]}
    assert "WAVESUSDT" not in {row["instrument_id"] for row in venues["Binance"]}
    gone = data_of(coinglass(market, "/futures/delisted-exchange-pairs"))["Binance"]
    assert {"instrument_id": "WAVESUSDT", "base_asset": "WAVES", "quote_asset": "USDT"} in gone


def test_aggregated_open_interest_ends_near_the_exchange_lists_sum(market: Market) -> None:
    last = data_of(
        coinglass(market, "/futures/open-interest/aggregated-history", symbol="BTC", interval="1d")
    )[-1]
    listed = data_of(coinglass(market, "/futures/open-interest/exchange-list", symbol="BTC"))
    everywhere = next(row for row in listed if row["exchange"] == "All")
    assert float(last["close"]) == pytest.approx(everywhere["open_interest_usd"], rel=0.003)


def test_funding_by_venue_misses_the_interval_where_the_vendor_does(market: Market) -> None:
    rows = data_of(coinglass(market, "/futures/funding-rate/exchange-list", symbol="ETH"))
    btc = next(row for row in rows if row["symbol"] == "BTC")
    by_venue = {row["exchange"]: row for row in btc["stablecoin_margin_list"]}
    assert by_venue["Hyperliquid"]["funding_rate_interval"] == 1
    assert "funding_rate_interval" not in by_venue["HTX"]
    assert len(rows) > 20  # ``symbol`` is ignored


def test_a_page_holds_at_most_a_thousand_rows(market: Market) -> None:
    path = "/futures/funding-rate/oi-weight-history"
    page = data_of(coinglass(market, path, symbol="BTC", interval="8h", start_time=0, limit=4500))
    assert len(page) == 1000


def test_history_beyond_the_plans_depth_is_cut_in_silence(market: Market) -> None:
    path, asked = "/futures/funding-rate/oi-weight-history", {"symbol": "BTC", "interval": "4h"}
    newest = data_of(coinglass(market, path, **asked))
    older = data_of(coinglass(market, path, **asked, end_time=newest[0]["time"] - 1))
    assert len(newest) + len(older) == 180 * 6
    assert data_of(coinglass(market, path, **asked, end_time=older[0]["time"] - 1)) == []


def test_daily_history_is_whole_on_every_plan(market: Market) -> None:
    path = "/futures/open-interest/aggregated-history"
    rows = data_of(coinglass(market, path, symbol="BTC", interval="1d"))
    assert rows[0]["time"] == day_ms(market.first_day)


def test_windows_are_obeyed_and_unknown_parameters_are_not(market: Market) -> None:
    path, base = "/futures/open-interest/aggregated-history", {"symbol": "BTC", "interval": "1d"}
    start, end = MIDNIGHT - 20 * DAY_MS, MIDNIGHT - 10 * DAY_MS
    asked = data_of(coinglass(market, path, **base, start_time=start, end_time=end))
    assert [asked[0]["time"], asked[-1]["time"], len(asked)] == [start, end, 11]
    misspelt = data_of(coinglass(market, path, **base, startTime=start, endTime=end))
    assert misspelt[-1]["time"] == MIDNIGHT
    wrong = data_of(coinglass(market, path, symbol="BTC", interval="4H", limit=3))
    assert wrong[1]["time"] - wrong[0]["time"] == 8 * HOUR_MS


@pytest.mark.parametrize(
    ("key", "path", "params", "status", "code", "message"),
    [
        ("", "/futures/supported-coins", {}, 200, "401", "API key missing."),
        ("invalid", "/futures/supported-coins", {}, 200, "400", "Invalid API key provided"),
        ("sandbox-noplan", "/user/account/subscription", {}, 200, "401", "Upgrade plan"),
        ("any", "/futures/coins-markets", {}, 200, "401", "Upgrade plan"),
        (
            "sandbox-hobbyist",
            "/futures/open-interest/aggregated-history",
            {"symbol": "BTC", "interval": "1h"},
            200,
            "403",
            "The requested interval is not available for your current API plan.",
        ),
        (
            "any",
            "/futures/price/history",
            {"exchange": "Binance", "symbol": "BTC", "limit": "1"},
            200,
            "400",
            "The requested pair does not exist on the exchange.",
        ),
        (
            "any",
            "/futures/liquidation/aggregated-history",
            {"symbol": "BTC"},
            200,
            "400",
            "Required String parameter 'exchange_list' is not present",
        ),
        ("any", "/futures/nothing", {}, 404, "404", "Endpoint not found."),
    ],
)
def test_errors_come_under_the_vendors_status_and_code(
    market: Market,
    key: str,
    path: str,
    params: dict[str, str],
    status: int,
    code: str,
    message: str,
) -> None:
    answer = coinglass(market, path, key=key, **params)
    assert (answer.status, answer.payload["code"]) == (status, code)
    assert answer.payload["msg"].startswith(message)


def test_a_larger_plan_opens_more(market: Market) -> None:
    assert data_of(coinglass(market, "/futures/coins-markets", key="sandbox-standard"))
    hourly = {"symbol": "BTC", "interval": "1h"}
    path = "/futures/open-interest/aggregated-history"
    assert data_of(coinglass(market, path, key="sandbox-startup", **hourly))
    level = data_of(coinglass(market, "/user/account/subscription", key="sandbox-startup"))["level"]
    assert level == "STARTUP"


def test_no_data_is_an_empty_list_and_no_error(market: Market) -> None:
    asked = {"exchange": "CME", "symbol": "BTCUSDT", "interval": "8h"}
    assert data_of(coinglass(market, "/futures/funding-rate/history", **asked)) == []


@pytest.mark.parametrize(("style", "status"), [("http", 429), ("body", 200)])
def test_the_plans_budget_ends_in_429_both_ways(market: Market, style: Any, status: int) -> None:
    vendor = CoinGlass(market, Settings(limit_style=style))
    request = Request("coinglass", "/api/futures/supported-coins", {}, KEY)
    answers = [vendor.answer(request) for _ in range(31)]
    assert [answer.payload["code"] for answer in answers] == ["0"] * 30 + ["429"]
    assert answers[-1].status == status
    assert answers[29].headers == {"API-KEY-MAX-LIMIT": "30", "API-KEY-USE-LIMIT": "30"}


def test_newest_closed_bars_are_provisional_by_switch(market: Market) -> None:
    path = "/api/futures/open-interest/aggregated-history"
    changed = 0
    for coin in market.coins:
        for spelling in coin.spellings:
            request = Request("coinglass", path, {"symbol": spelling, "interval": "1d"}, KEY)
            final = CoinGlass(market, LIFTED).answer(request).payload["data"]
            vendor = CoinGlass(market, Settings(rate=10**6, revisions=True))
            published = vendor.answer(request).payload["data"]
            assert published[:-2] == final[:-2]
            if published and published[-2] != final[-2]:
                changed += 1
                ratio = float(published[-2]["close"]) / float(final[-2]["close"])
                assert abs(ratio - 1) < 0.036
    assert 2 <= changed <= 20  # a quarter of some thirty series


def test_old_open_interest_is_restated_in_bulk_at_its_instant(market: Market) -> None:
    request = Request(
        "coinglass",
        "/api/futures/open-interest/aggregated-history",
        {"symbol": "BTC", "interval": "1d"},
        KEY,
    )

    def rows(restated_at: datetime) -> list[dict[str, Any]]:
        settings = Settings(rate=10**6, restated_at_ms=ms(restated_at))
        return list(CoinGlass(market, settings).answer(request).payload["data"])

    before, after = rows(NOW + timedelta(days=2)), rows(NOW)
    pairs = zip(before, after, strict=True)
    changes = [abs(float(b["close"]) / float(a["close"]) - 1) for b, a in pairs if b != a]
    assert len(changes) >= 290
    assert 0.0015 < sorted(changes)[len(changes) // 2] < 0.004


# --- CoinGecko ---------------------------------------------------------------------------


def chart(market: Market, gecko_id: str, days: int, **headers: str) -> dict[str, Any]:
    end = round(NOW.timestamp())
    answer = gecko(
        market,
        f"/coins/{gecko_id}/market_chart/range",
        headers,
        vs_currency="usd",
        from_=end - days * 86_400,
        to=end,
    )
    assert answer.status == 200
    return dict(answer.payload)


def test_over_ninety_days_points_are_daily_at_midnight_but_the_live_one(market: Market) -> None:
    points = chart(market, "bitcoin", 91)
    stamps = [stamp for stamp, _ in points["prices"]]
    assert {stamp % DAY_MS for stamp in stamps[:-1]} == {0}
    assert stamps[-2:] == [MIDNIGHT, ms(NOW)]
    assert set(points) == {"prices", "market_caps", "total_volumes"}


def test_up_to_ninety_days_points_are_hourly(market: Market) -> None:
    stamps = [stamp for stamp, _ in chart(market, "bitcoin", 90)["prices"]]
    assert stamps[1] - stamps[0] == HOUR_MS


def test_midnights_point_is_the_close_of_the_day_before(market: Market) -> None:
    daily = dict(map(tuple, chart(market, "solana", 91)["prices"]))
    hourly = dict(map(tuple, chart(market, "solana", 5)["prices"]))
    assert daily[MIDNIGHT] == hourly[MIDNIGHT]
    klines = binance(market, "/fapi/v1/klines", symbol="SOLUSDT", interval="1d", limit=3).payload
    yesterday = next(row for row in klines if row[0] == MIDNIGHT - DAY_MS)
    assert daily[MIDNIGHT] == pytest.approx(float(yesterday[4]), rel=5e-4)


def test_the_last_day_appears_35_minutes_after_midnight() -> None:
    early = datetime(2024, 6, 20, 0, 34, tzinfo=UTC)
    market = Market(7, 3, 150, lambda: early)
    end = round(early.timestamp())
    answer = gecko(
        market,
        "/coins/bitcoin/market_chart/range",
        vs_currency="usd",
        from_=end - 95 * 86_400,
        to=end,
    )
    stamps = [stamp for stamp, _ in answer.payload["prices"]]
    assert stamps[-2:] == [MIDNIGHT - DAY_MS, ms(early)]


def test_demo_reaches_365_days_back_and_pro_further(market: Market) -> None:
    end = round(NOW.timestamp())
    asked = {"vs_currency": "usd", "from_": end - 366 * 86_400, "to": end}
    path = "/coins/bitcoin/market_chart/range"
    refused = gecko(market, path, **asked)
    assert refused.status == 401
    assert refused.payload["error"]["status"]["error_code"] == 10012
    assert gecko(market, path, {"x-cg-pro-api-key": "sandbox"}, **asked).status == 200
    refused = gecko(market, path, interval="daily", **{**asked, "from_": end - 300 * 86_400})
    assert refused.payload["status"]["error_code"] == 10005


def test_market_caps_have_holes_and_never_those_of_the_majors(market: Market) -> None:
    holes = 0
    for coin in market.coins:
        answer = gecko(
            market,
            f"/coins/{coin.coingecko_id}/market_chart/range",
            {"x-cg-pro-api-key": "sandbox"},
            vs_currency="usd",
            from_=0,
            to=round(NOW.timestamp()),
        ).payload
        n_missing = len(answer["prices"]) - len(answer["market_caps"])
        n_bad = sum(1 for _, cap in answer["market_caps"] if not cap)
        holes += n_missing + n_bad
        assert not (coin.is_major and n_missing + n_bad)
    assert holes > 3


def test_one_ticker_names_two_coins(market: Market) -> None:
    listed = gecko(market, "/coins/list").payload
    assert len([row for row in listed if row["symbol"] == "uni"]) == 2
    inactive = {row["id"] for row in gecko(market, "/coins/list", status="inactive").payload}
    assert inactive == set()
    later = Market(7, 30, 60, lambda: datetime(2025, 6, 1, tzinfo=UTC))
    inactive = {row["id"] for row in gecko(later, "/coins/list", status="inactive").payload}
    assert "unifi-protocol-dao" in inactive


def test_coins_come_by_market_cap_in_pages(market: Market) -> None:
    first = gecko(market, "/coins/markets", vs_currency="usd", per_page=5).payload
    second = gecko(market, "/coins/markets", vs_currency="usd", per_page=5, page=2).payload
    ranks = [row["market_cap_rank"] for row in first + second]
    caps = [row["market_cap"] for row in first + second]
    assert ranks == list(range(1, 11))
    assert caps == sorted(caps, reverse=True)


def test_too_many_requests_say_when_to_come_back(market: Market) -> None:
    vendor = CoinGecko(market, Settings())
    answers = [vendor.answer(Request("coingecko", "/ping")) for _ in range(101)]
    assert answers[99].status == 200
    assert answers[100].status == 429
    assert int(answers[100].headers["retry-after"]) > 0
    assert answers[100].payload["status"]["error_code"] == 429


# --- Binance -----------------------------------------------------------------------------


def test_settlements_are_inclusive_strings_from_the_start_of_the_window(market: Market) -> None:
    start, end = MIDNIGHT - 3 * DAY_MS, MIDNIGHT
    rows = binance(
        market, "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=start, endTime=end + 20
    ).payload
    assert [row["fundingTime"] // 60_000 * 60_000 for row in rows] == list(
        range(start, end + 1, 8 * HOUR_MS)
    )
    assert all(re.fullmatch(r"-?0\.\d{8}", row["fundingRate"]) for row in rows)
    first = binance(
        market, "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=start, limit=2
    ).payload
    assert first == rows[:2]


def test_some_settlements_are_stamped_milliseconds_late(market: Market) -> None:
    rows = binance(market, "/fapi/v1/fundingRate", symbol="BTCUSDT", limit=1000).payload
    lateness = {row["fundingTime"] % HOUR_MS for row in rows}
    assert 0 in lateness
    assert 0 < max(lateness) < 1000


def test_gaps_between_settlements_follow_the_interval_in_force(market: Market) -> None:
    start = day_ms(date(2024, 2, 9))
    rows = binance(
        market, "/fapi/v1/fundingRate", symbol="SUIUSDT", startTime=start, limit=30
    ).payload
    hours = [round(row["fundingTime"] / HOUR_MS) for row in rows]
    changed = day_ms(date(2024, 2, 12)) // HOUR_MS
    gaps = {(b - a, b > changed) for a, b in pairwise(hours)}
    assert gaps == {(8, False), (4, True)}


def test_klines_have_twelve_columns_and_the_last_one_is_open(market: Market) -> None:
    rows = binance(market, "/fapi/v1/klines", symbol="ETHUSDT", interval="1d", limit=2).payload
    assert [len(row) for row in rows] == [12, 12]
    assert [row[0] for row in rows] == [MIDNIGHT - DAY_MS, MIDNIGHT]
    assert rows[-1][6] == MIDNIGHT + DAY_MS - 1 > ms(NOW)
    assert float(rows[0][7]) == pytest.approx(float(rows[0][5]) * float(rows[0][4]), rel=0.3)
    low, high = float(rows[0][3]), float(rows[0][2])
    assert low <= float(rows[0][1]) <= high
    assert low <= float(rows[0][4]) <= high


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": "NOPEUSDT", "interval": "1d"}, -1121),
        ({"symbol": "WAVESUSDT", "interval": "1d"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "1x"}, -1120),
        ({"interval": "1d"}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1d", "startTime": 2, "endTime": 1}, -1023),
    ],
)
def test_binance_errors_carry_its_codes(market: Market, params: dict[str, Any], code: int) -> None:
    answer = binance(market, "/fapi/v1/klines", **params)
    assert (answer.status, answer.payload["code"]) == (400, code)


def test_open_interest_reaches_thirty_days_back(market: Market) -> None:
    rows = binance(
        market, "/futures/data/openInterestHist", symbol="SOLUSDT", period="1d", limit=500
    ).payload
    assert len(rows) == 30
    assert rows[-1]["timestamp"] == MIDNIGHT
    assert float(rows[-1]["sumOpenInterestValue"]) > 0


def test_listings_hold_more_than_perpetuals_of_coins(market: Market) -> None:
    symbols = binance(market, "/fapi/v1/exchangeInfo").payload["symbols"]
    by_name = {row["symbol"]: row for row in symbols}
    assert by_name["BTCUSDT"]["onboardDate"] == ms(datetime(2019, 9, 8, 12, tzinfo=UTC))
    assert by_name["TSLAUSDT"]["underlyingType"] == "EQUITY"
    assert by_name["BTCUSDT_260626"]["contractType"] == "CURRENT_QUARTER"
    assert "WAVESUSDT" not in by_name


def test_weight_is_counted_and_its_limit_is_a_429_with_retry_after(market: Market) -> None:
    vendor = Binance(market, Settings())
    request = Request(
        "binance", "/fapi/v1/klines", {"symbol": "NOPEUSDT", "interval": "1d", "limit": "1500"}
    )  # refused requests weigh as much
    answers = [vendor.answer(request) for _ in range(241)]
    assert answers[239].headers["X-MBX-USED-WEIGHT-1M"] == "2400"
    assert answers[240].status == 429
    assert answers[240].payload["code"] == -1003
    assert int(answers[240].headers["Retry-After"]) > 0


def test_settled_funding_has_a_budget_of_its_own(market: Market) -> None:
    vendor = Binance(market, Settings())
    request = Request("binance", "/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "limit": "1"})
    statuses = [vendor.answer(request).status for _ in range(501)]
    assert statuses == [200] * 500 + [429]


# --- archive -----------------------------------------------------------------------------


def test_files_carry_their_checksum_and_are_the_same_bytes_every_time(market: Market) -> None:
    name = "BTCUSDT-1d-2024-04.zip"
    path = f"{UM}/monthly/klines/BTCUSDT/1d/{name}"
    file = Archive(market).answer(Request("archive", path)).body()
    line = Archive(market).answer(Request("archive", f"{path}.CHECKSUM")).body().decode()
    assert line.split() == [hashlib.sha256(file).hexdigest(), name]
    assert Archive(market).answer(Request("archive", path)).body() == file


def test_archived_klines_are_those_of_rest(market: Market) -> None:
    header, *rows = csv_of(market, "/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-05.zip")
    assert header[0] == "open_time"
    start = day_ms(date(2024, 5, 1))
    rest = binance(
        market, "/fapi/v1/klines", symbol="BTCUSDT", interval="1d", startTime=start, limit=31
    ).payload
    assert rows == [list(map(str, row)) for row in rest]


def test_a_delisted_contract_stays_up_to_its_last_partial_day(market: Market) -> None:
    rows = csv_of(market, "/daily/klines/WAVESUSDT/1d/WAVESUSDT-1d-2024-06-10.zip")[1:]
    assert len(rows) == 1
    before = csv_of(market, "/daily/klines/WAVESUSDT/1d/WAVESUSDT-1d-2024-06-09.zip")[1:]
    assert float(rows[0][7]) < float(before[0][7])
    after = f"{UM}/daily/klines/WAVESUSDT/1d/WAVESUSDT-1d-2024-06-11.zip"
    assert Archive(market).answer(Request("archive", after)).status == 404


def test_archived_funding_names_its_interval(market: Market) -> None:
    header, *rows = csv_of(market, "/monthly/fundingRate/SUIUSDT/SUIUSDT-fundingRate-2024-02.zip")
    assert header == ["calc_time", "funding_interval_hours", "last_funding_rate"]
    assert {row[1] for row in rows} == {"8", "4"}
    start = day_ms(date(2024, 2, 1))
    rest = binance(
        market, "/fapi/v1/fundingRate", symbol="SUIUSDT", startTime=start, limit=len(rows)
    ).payload
    assert [row[2] for row in rows] == [row["fundingRate"] for row in rest]


@pytest.mark.parametrize(
    ("path", "published"),
    [
        ("/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-05.zip", True),
        ("/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-06.zip", False),
        ("/daily/klines/BTCUSDT/1d/BTCUSDT-1d-2024-06-18.zip", True),
        ("/daily/klines/BTCUSDT/1d/BTCUSDT-1d-2024-06-19.zip", False),  # appears at 08:30
        ("/daily/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-06-18.zip", False),
        ("/monthly/klines/NOPEUSDT/1d/NOPEUSDT-1d-2024-05.zip", False),
        ("/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-99.zip", False),
        ("/elsewhere.zip", False),
    ],
)
def test_files_appear_on_their_timetable(market: Market, path: str, published: bool) -> None:
    status = Archive(market).answer(Request("archive", UM + path)).status
    assert status == (200 if published else 404)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2026, 6, 24), "2026-06-24 00:05:00", "2026-06-25 00:00:00"),
        (date(2026, 6, 25), "2026-06-25 00:00:00", "2026-06-25 23:55:00"),
    ],
)
def test_create_time_turns_from_end_to_start_of_the_period(
    day: date, first: str, last: str
) -> None:
    now = datetime(2026, 7, 20, 9, tzinfo=UTC)
    market = Market(7, 3, 60, lambda: now)
    header, *rows = csv_of(market, f"/daily/metrics/BTCUSDT/BTCUSDT-metrics-{day}.zip")
    assert header[:4] == [
        "create_time",
        "symbol",
        "sum_open_interest",
        "sum_open_interest_value",
    ]
    assert [rows[0][0], rows[-1][0], len(rows)] == [first, last, 288]


def test_known_defects_of_the_archive_are_on_their_dates() -> None:
    early = Market(7, 3, 60, lambda: datetime(2022, 5, 10, 9, tzinfo=UTC))
    zeros = csv_of(early, "/daily/metrics/BTCUSDT/BTCUSDT-metrics-2022-03-08.zip")
    assert {float(row[3]) for row in zeros[1:]} == {0.0}
    month = csv_of(early, "/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2022-04.zip")
    assert month[0][0] == str(day_ms(date(2022, 4, 3)))  # no header yet, two days missing
    assert csv_of(early, "/daily/klines/BTCUSDT/1d/BTCUSDT-1d-2022-04-01.zip")
    late = Market(7, 12, 60, lambda: datetime(2026, 7, 20, 9, tzinfo=UTC))
    path = f"{UM}/daily/metrics/ADAUSDT/ADAUSDT-metrics-2026-07-09.zip"
    file = Archive(late).answer(Request("archive", path)).body()
    line = Archive(late).answer(Request("archive", f"{path}.CHECKSUM")).body().decode()
    assert line.split()[0] != hashlib.sha256(file).hexdigest()


def test_the_last_row_of_a_days_metrics_is_its_closing_open_interest(market: Market) -> None:
    rows = csv_of(market, "/daily/metrics/SOLUSDT/SOLUSDT-metrics-2024-06-18.zip")
    rest = binance(
        market, "/futures/data/openInterestHist", symbol="SOLUSDT", period="1d", limit=2
    ).payload
    close = next(row for row in rest if row["timestamp"] == day_ms(date(2024, 6, 19)))
    assert float(rows[-1][3]) == pytest.approx(float(close["sumOpenInterestValue"]), rel=1e-9)
