"""CoinGecko v3: demo and paid depth, granularity by window, the live last point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.coin_days import CoinDays
from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, Ints, day_ms
from lake_ingest.sandbox.limits import Budget
from lake_ingest.sandbox.market import EPOCH, Array
from lake_ingest.sandbox.messages import Answer, Request, Settings
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import Coin

DEMO_RATE: Final = 100
PRO_RATE: Final = 500
DEMO_HISTORY_DAYS: Final = 365
PUBLISHED_AFTER_MS: Final = 35 * 60_000
"""The point of a day's 00:00 appears this long after it."""
HOUSE_COINS: Final = (
    # Same ticker, other coin: why the map goes by id.
    ("tokamak-network", "ton", "Tokamak Network", 1.4),
    ("stox", "stx", "Stox", 0.02),
    ("unicorn-token", "uni", "UNICORN Token", 0.3),
)


class CoinGeckoError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, payload: dict[str, Any]) -> None:
        super().__init__(str(payload))
        self.answer = Answer(payload, status)


def coded(status: int, code: int, message: str) -> CoinGeckoError:
    """Return an error that carries one of CoinGecko's own codes."""
    body = {"status": {"error_code": code, "error_message": message}}
    return CoinGeckoError(status, {"error": body} if code == 10012 else body)


class CoinGecko:
    """Answers CoinGecko requests."""

    def __init__(self, market: Market, settings: Settings) -> None:
        self._market = market
        self._settings = settings
        self._budget = Budget(60)
        self._days = CoinDays(market)
        self._endpoints: dict[str, Callable[[Request], Any]] = {
            "/ping": lambda _: {"gecko_says": "(V3) To the Moon!"},
            "/coins/list": self._list,
            "/coins/markets": self._markets,
        }

    def answer(self, request: Request) -> Answer:
        """Return the answer; every request counts, failed ones too."""
        is_pro = "x-cg-pro-api-key" in request.headers
        name = "x-cg-pro-api-key" if is_pro else "x-cg-demo-api-key"
        key = request.headers.get(name, "")
        allowed = self._settings.rate or (PRO_RATE if is_pro else DEMO_RATE)
        if self._budget.spend(f"{name}:{key}") > allowed:
            status = {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}
            wait = str(self._budget.seconds_to_wait(f"{name}:{key}"))
            return Answer({"status": status}, 429, {"retry-after": wait})
        try:
            if key == "invalid":
                raise coded(401, 10002, "API Key Missing or invalid")
            return Answer(self._dispatch(request, is_pro=is_pro))
        except CoinGeckoError as e:
            return e.answer

    def _dispatch(self, request: Request, *, is_pro: bool) -> Any:
        endpoint = self._endpoints.get(request.path)
        if endpoint is not None:
            return endpoint(request)
        parts = request.path.strip("/").split("/")
        if len(parts) == 4 and parts[0] == "coins" and parts[2:] == ["market_chart", "range"]:
            return self._chart(request, parts[1], is_pro=is_pro)
        raise CoinGeckoError(
            404, {"error": "Incorrect path. Please check https://docs.coingecko.com/"}
        )

    def _chart(self, request: Request, gecko_id: str, *, is_pro: bool) -> dict[str, Any]:
        start, end = request.number("from"), request.number("to")
        if start is None or end is None or request.params.get("vs_currency") != "usd":
            raise CoinGeckoError(422, {"error": "Missing parameter vs_currency, from or to"})
        now = self._market.now_ms()
        if not is_pro and start * 1000 < now - DEMO_HISTORY_DAYS * DAY_MS:
            raise coded(
                401,
                10012,
                "Your request exceeds the allowed time range. Public API users are limited to "
                "querying historical data within the past 365 days.",
            )
        if not is_pro and "interval" in request.params:
            raise coded(401, 10005, "This request is limited to PRO API subscribers.")
        named = self._market.by_gecko_id.get(gecko_id)
        if named is None:
            return self._house_chart(gecko_id)
        is_daily = end - start > 90 * 86_400 or request.params.get("interval") == "daily"
        step = DAY_MS if is_daily else HOUR_MS
        columns = self._points(named, step, start * 1000, min(end * 1000, now))
        return _chart_of(*columns)

    def _house_chart(self, gecko_id: str) -> dict[str, Any]:
        for known, _, _, price in HOUSE_COINS:
            if known == gecko_id:
                stamp = self._market.now_ms() // DAY_MS * DAY_MS
                times = np.array([stamp - DAY_MS, stamp])
                flat = np.full(2, price)
                return _chart_of(times, flat, flat * 1e7, flat * 1e4)
        raise CoinGeckoError(404, {"error": "coin not found"})

    def _points(
        self, named: tuple[Coin, ...], step: int, start: int, end: int
    ) -> tuple[Ints, Array, Array, Array]:
        """Return stamps, prices, market caps and volumes; the newest point is live."""
        daily = step == DAY_MS
        parts = [
            self._days.daily(one) if daily else self._days.hourly(one, start, end) for one in named
        ]
        times, prices, caps, volumes = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        now = self._market.now_ms()
        published = times + (PUBLISHED_AFTER_MS if daily else 0) <= now
        kept = published & (times >= start) & (times <= end)
        times, prices, caps, volumes = times[kept], prices[kept], caps[kept], volumes[kept]
        if now - end < HOUR_MS and len(times) and times[-1] != now:
            live = self._live(named)
            if live is not None:
                times = np.r_[times, now]
                prices, caps, volumes = (
                    np.r_[column, value]
                    for column, value in zip((prices, caps, volumes), live, strict=True)
                )
        return times, prices, caps, volumes

    def _live(self, named: tuple[Coin, ...]) -> tuple[float, float, float] | None:
        points = (self._days.live(coin) for coin in named)
        return next((point for point in points if point is not None), None)

    def _list(self, request: Request) -> list[dict[str, Any]]:
        is_wanted_alive = request.params.get("status", "active") != "inactive"
        rows = [
            {"id": gecko_id, "symbol": coin.asset_id.lower(), "name": coin.name}
            for gecko_id, coin in self._born().items()
            if self._market.exists(coin, Product.INDEX) == is_wanted_alive
        ]
        if is_wanted_alive:
            rows += [
                {"id": one, "symbol": symbol, "name": name} for one, symbol, name, _ in HOUSE_COINS
            ]
        return sorted(rows, key=lambda row: row["id"])

    def _markets(self, request: Request) -> list[dict[str, Any]]:
        if request.params.get("vs_currency") != "usd":
            raise CoinGeckoError(422, {"error": "Missing parameter vs_currency"})
        wanted = request.params.get("ids")
        rows = [
            self._snapshot(gecko_id, coin)
            for gecko_id, coin in self._born().items()
            if self._market.exists(coin, Product.INDEX)
        ]
        rows.sort(key=lambda row: -row["market_cap"])
        for rank, row in enumerate(rows, start=1):
            row["market_cap_rank"] = rank
        if wanted:
            rows = [row for row in rows if row["id"] in wanted.split(",")]
        size = min(max(request.number("per_page", 100) or 100, 1), 250)
        page = max(request.number("page", 1) or 1, 1)
        return rows[(page - 1) * size : page * size]

    def _snapshot(self, gecko_id: str, coin: Coin) -> dict[str, Any]:
        live = self._days.live(coin)
        price, cap, volume = live if live is not None else (0.0, 0.0, 0.0)
        return {
            "id": gecko_id,
            "symbol": coin.asset_id.lower(),
            "name": coin.name,
            "current_price": price,
            "market_cap": round(cap),
            "market_cap_rank": None,
            "total_volume": round(volume),
            "circulating_supply": cap / price if price else None,
        }

    def _born(self) -> dict[str, Coin]:
        """Return the newest coin of every id, of those that have been born."""
        now = self._market.now_ms()
        return {
            gecko_id: born[-1]
            for gecko_id, named in self._market.by_gecko_id.items()
            if (born := [one for one in named if day_ms(max(one.born_on, EPOCH)) <= now])
        }


def _chart_of(times: Ints, prices: Array, caps: Array, volumes: Array) -> dict[str, Any]:
    """Return the three arrays of points; a market cap of -1 is a missing day, NaN a null."""
    stamps = times.tolist()
    cap_points = [
        [time, None if np.isnan(cap) else cap]
        for time, cap in zip(stamps, caps.tolist(), strict=True)
        if cap != -1
    ]
    return {
        "prices": [list(point) for point in zip(stamps, prices.tolist(), strict=True)],
        "market_caps": cap_points,
        "total_volumes": [list(point) for point in zip(stamps, volumes.tolist(), strict=True)],
    }
