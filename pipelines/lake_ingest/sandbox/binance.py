"""Binance USD-M REST: settled funding, klines, thirty days of open interest, listings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, Ints, ms
from lake_ingest.sandbox.klines import kline_rows
from lake_ingest.sandbox.limits import Budget
from lake_ingest.sandbox.messages import Answer, Request, Settings, plain
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import Coin

WEIGHT_PER_MINUTE: Final = 2400
FUNDING_PER_FIVE_MINUTES: Final = 500
KLINE_HOURS: Final = {
    "1h": 1,
    "2h": 2,
    "4h": 4,
    "6h": 6,
    "8h": 8,
    "12h": 12,
    "1d": 24,
}
PERPETUAL_DELIVERY_MS: Final = 4133404800000


class BinanceError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.answer = Answer({"code": code, "msg": message}, status, headers or {})


class Binance:
    """Answers Binance requests; a delisted symbol is unknown to it."""

    def __init__(self, market: Market, settings: Settings) -> None:
        self._market = market
        self._settings = settings
        self._weights = Budget(60)
        self._funding = Budget(300)
        self._endpoints: dict[str, Callable[[Request], Any]] = {
            "/fapi/v1/ping": lambda _: {},
            "/fapi/v1/time": lambda _: {"serverTime": self._market.now_ms()},
            "/fapi/v1/exchangeInfo": self._exchange_info,
            "/fapi/v1/fundingRate": self._funding_rate,
            "/fapi/v1/klines": self._klines,
            "/futures/data/openInterestHist": self._open_interest,
        }

    def answer(self, request: Request) -> Answer:
        """Return the answer, with the weight used so far in its header."""
        used = self._weights.spend("address", _weight(request))
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        try:
            if used > (self._settings.rate or WEIGHT_PER_MINUTE):
                headers["Retry-After"] = str(self._weights.seconds_to_wait("address"))
                raise BinanceError(429, -1003, "Too many requests.", headers)
            endpoint = self._endpoints.get(request.path)
            if endpoint is None:
                return Answer(raw=b"<html>404</html>", status=404, content_type="text/html")
            return Answer(endpoint(request), headers=headers)
        except BinanceError as e:
            e.answer.headers |= headers
            return e.answer

    def _funding_rate(self, request: Request) -> list[dict[str, Any]]:
        used = self._funding.spend("address")
        if used > max(self._settings.rate or 0, FUNDING_PER_FIVE_MINUTES):
            wait = str(self._funding.seconds_to_wait("address"))
            raise BinanceError(429, -1003, "Too many requests.", {"Retry-After": wait})
        coin = self._symbol(request)
        paid = self._market.settlements(coin)
        rows = _window(paid.time_ms, request, default=100, most=1000)
        columns = (paid.time_ms[rows], paid.rate_pct[rows], paid.mark_price[rows])
        return [
            {
                "symbol": coin.binance_symbol,
                "fundingTime": time,
                "fundingRate": f"{rate / 100:.8f}",
                "markPrice": f"{mark:.8f}",
            }
            for time, rate, mark in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _klines(self, request: Request) -> list[list[Any]]:
        coin = self._symbol(request)
        interval = _needed(request, "interval")
        if interval not in KLINE_HOURS:
            raise BinanceError(400, -1120, "Invalid interval.")
        bars = self._market.bars(coin, Product.PERP, KLINE_HOURS[interval])
        rows = _window(bars.time_ms, request, default=500, most=1500)
        return kline_rows(coin, bars[rows], KLINE_HOURS[interval])

    def _open_interest(self, request: Request) -> list[dict[str, Any]]:
        coin = self._symbol(request)
        period = _needed(request, "period")
        if period not in KLINE_HOURS:
            raise BinanceError(400, -1130, "Data sent for parameter 'period' is not valid.")
        now, step = self._market.now_ms(), KLINE_HOURS[period] * HOUR_MS
        book = self._market.book(coin)
        ends, values, _ = book.hourly(Product.BINANCE_OPEN_INTEREST, now - 30 * DAY_MS, now)
        _, prices, _ = book.hourly(Product.PERP, now - 30 * DAY_MS, now)
        kept = (ends % step == 0) & (ends <= now) & (ends > now - 30 * DAY_MS)
        ends, values, prices = ends[kept], values[kept], prices[kept]
        rows = _window(ends, request, default=30, most=500)
        [supply] = plain([float(book.days.supply[book.day_position(now) - 1])], 8)
        held = plain((values[rows] / prices[rows]).tolist(), 8)
        worth = plain(values[rows].tolist(), 8)
        return [
            {
                "symbol": coin.binance_symbol,
                "sumOpenInterest": contracts,
                "sumOpenInterestValue": usd,
                "CMCCirculatingSupply": supply,
                "timestamp": time,
            }
            for time, contracts, usd in zip(ends[rows].tolist(), held, worth, strict=True)
        ]

    def _exchange_info(self, _: Request) -> dict[str, Any]:
        now = self._market.now_ms()
        symbols = [
            {
                "symbol": symbol,
                "pair": symbol,
                "contractType": "PERPETUAL",
                "deliveryDate": PERPETUAL_DELIVERY_MS,
                "onboardDate": ms(coin.perp_listed_at) if coin.perp_listed_at else 0,
                "status": "TRADING",
                "baseAsset": coin.base_symbol,
                "quoteAsset": "USDT",
                "marginAsset": "USDT",
                "underlyingType": "COIN",
                "pricePrecision": coin.price_decimals,
            }
            for symbol, coin in self._market.by_binance_symbol.items()
            if self._is_trading(coin)
        ]
        return {
            "timezone": "UTC",
            "serverTime": now,
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self._settings.rate or WEIGHT_PER_MINUTE,
                }
            ],
            "symbols": [*symbols, *_other_contracts(now)],
        }

    def _symbol(self, request: Request) -> Coin:
        name = _needed(request, "symbol")
        coin = self._market.by_binance_symbol.get(name)
        if coin is None or not self._is_trading(coin):
            raise BinanceError(400, -1121, "Invalid symbol.")
        return coin

    def _is_trading(self, coin: Coin) -> bool:
        return self._market.exists(coin, Product.PERP)


def _needed(request: Request, name: str) -> str:
    value = request.params.get(name, "")
    if not value:
        message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        raise BinanceError(400, -1102, message)
    return value


def _window(times_ms: Ints, request: Request, *, default: int, most: int) -> slice:
    """Return the rows of [startTime, endTime]; a fuller window is cut at its end.

    Without a start the newest rows come.
    """
    start, end = request.number("startTime"), request.number("endTime")
    if start is not None and end is not None and start > end:
        raise BinanceError(400, -1023, "Start time is greater than end time.")
    limit = min(max(request.number("limit", default) or default, 1), most)
    last = len(times_ms) if end is None else int(np.searchsorted(times_ms, end, side="right"))
    if start is None:
        return slice(max(last - limit, 0), last)
    first = int(np.searchsorted(times_ms, start, side="left"))
    return slice(first, max(min(last, first + limit), first))


def _weight(request: Request) -> int:
    """Return the request's weight; settled funding has a limit of its own.

    Examples
    --------
    >>> _weight(Request("binance", "/fapi/v1/klines", {"limit": "1500"}))
    10
    """
    if request.path == "/fapi/v1/fundingRate":
        return 0
    if request.path != "/fapi/v1/klines":
        return 1
    limit = request.number("limit", 500) or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _other_contracts(now_ms: int) -> list[dict[str, Any]]:
    """Return contracts that are no perpetual of a coin: a quarterly, an index, a share."""
    common = {"quoteAsset": "USDT", "marginAsset": "USDT", "status": "TRADING"}
    quarter = (now_ms // (91 * DAY_MS) + 1) * 91 * DAY_MS
    return [
        {
            "symbol": "BTCUSDT_260626",
            "pair": "BTCUSDT",
            "contractType": "CURRENT_QUARTER",
            "deliveryDate": quarter,
            "onboardDate": quarter - 180 * DAY_MS,
            "baseAsset": "BTC",
            "underlyingType": "COIN",
            **common,
        },
        {
            "symbol": "BTCDOMUSDT",
            "pair": "BTCDOMUSDT",
            "contractType": "PERPETUAL",
            "deliveryDate": PERPETUAL_DELIVERY_MS,
            "onboardDate": 1624259600000,
            "baseAsset": "BTCDOM",
            "underlyingType": "INDEX",
            **common,
        },
        {
            "symbol": "TSLAUSDT",
            "pair": "TSLAUSDT",
            "contractType": "TRADIFI_PERPETUAL",
            "deliveryDate": PERPETUAL_DELIVERY_MS,
            "onboardDate": 1769590800000,
            "baseAsset": "TSLA",
            "underlyingType": "EQUITY",
            **common,
        },
    ]
