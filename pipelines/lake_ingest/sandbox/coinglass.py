"""CoinGlass v4: plans, envelopes, and the history and list endpoints of sources.md section 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.coinglass_lists import CoinGlassLists
from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS
from lake_ingest.sandbox.limits import Budget
from lake_ingest.sandbox.messages import Answer, Request, Settings, plain
from lake_ingest.sandbox.revisions import Series, revise
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import Coin

MAX_ROWS: Final = 1000
INTERVAL_HOURS: Final = {"1h": 1, "2h": 2, "4h": 4, "6h": 6, "8h": 8, "12h": 12, "1d": 24}
MINUTE_INTERVALS: Final = ("1m", "3m", "5m", "15m", "30m")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan allows.

    Attributes
    ----------
    level : str
        As the subscription check names it.
    requests_per_minute : int
        The plan's budget.
    history_days : dict of str to int
        Depth by interval; an interval that is not there is below the plan's floor, and 1d
        has no limit on any plan.
    """

    level: str
    requests_per_minute: int
    history_days: dict[str, int]


def _plan(level: str, rate: int, minutes: int, half: int, hour: int, four: int, eight: int) -> Plan:
    days = {"30m": half, "1h": hour, "2h": hour, "4h": four, "6h": eight, "8h": eight, "12h": eight}
    days |= dict.fromkeys(MINUTE_INTERVALS[:-1], minutes)
    return Plan(level, rate, {name: limit for name, limit in days.items() if limit})


PLANS: Final = {
    "hobbyist": _plan("HOBBYIST", 30, 0, 0, 0, 180, 360),
    "startup": _plan("STARTUP", 80, 0, 90, 180, 180, 360),
    "standard": _plan("STANDARD", 300, 30, 180, 360, 360, 360),
    "professional": _plan("PROFESSIONAL", 1200, 180, 360, 720, 720, 720),
}


class CoinGlassError(Exception):
    """An answer whose body carries an error code."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.answer = Answer({"code": code, "msg": message}, status)


def plan_of(key: str) -> Plan:
    """Return the plan of a key: ``sandbox-<plan>``, and hobbyist for any other.

    Raises
    ------
    CoinGlassError
        No key, the key ``invalid``, or the key ``sandbox-noplan``.

    Examples
    --------
    >>> plan_of("sandbox-startup").level, plan_of("anything").level
    ('STARTUP', 'HOBBYIST')
    """
    if not key:
        raise CoinGlassError("401", "API key missing.")
    if key == "invalid":
        raise CoinGlassError("400", "Invalid API key provided")
    if key == "sandbox-noplan":
        raise CoinGlassError("401", "Upgrade plan")
    return PLANS.get(key.removeprefix("sandbox-"), PLANS["hobbyist"])


class CoinGlass:
    """Answers CoinGlass requests; unknown parameters are ignored, as the vendor does."""

    def __init__(self, market: Market, settings: Settings) -> None:
        self._market = market
        self._settings = settings
        self._budget = Budget(60)
        self._lists = CoinGlassLists(market)
        self._endpoints: dict[str, Callable[[Request, Plan], Any]] = {
            "/user/account/subscription": self._subscription,
            "/futures/open-interest/aggregated-history": self._open_interest,
            "/futures/funding-rate/oi-weight-history": self._weighted_funding,
            "/futures/funding-rate/history": self._pair_funding,
            "/futures/price/history": self._price,
            "/futures/liquidation/history": self._liquidation,
            "/futures/liquidation/aggregated-history": self._aggregated_liquidation,
            "/futures/coins-markets": self._coins_markets,
            "/futures/supported-coins": lambda _, __: self._lists.supported_coins(),
            "/futures/supported-exchange-pairs": lambda _, __: self._lists.pairs(),
            "/futures/delisted-exchange-pairs": lambda _, __: self._lists.delisted_pairs(),
            "/futures/open-interest/exchange-list": self._exchange_open_interest,
            "/futures/funding-rate/exchange-list": lambda _, __: self._lists.funding(),
            "/futures/funding-rate/accumulated-exchange-list": self._accumulated,
        }

    def answer(self, request: Request) -> Answer:
        """Return the answer, with the limit headers where the key is known."""
        try:
            key = request.headers.get("cg-api-key", "")
            plan = plan_of(key)
            allowed = self._settings.rate or plan.requests_per_minute
            used = self._budget.spend(key)
            headers = {"API-KEY-MAX-LIMIT": str(allowed), "API-KEY-USE-LIMIT": str(used)}
            if used > allowed:
                return self._too_many(headers)
            answer = self._dispatch(request, plan)
            answer.headers.update(headers)
        except CoinGlassError as e:
            return e.answer
        return answer

    def _too_many(self, headers: dict[str, str]) -> Answer:
        status = 429 if self._settings.limit_style == "http" else 200
        return Answer({"code": "429", "msg": "Too Many Requests"}, status, headers)

    def _dispatch(self, request: Request, plan: Plan) -> Answer:
        endpoint = self._endpoints.get(request.path.removeprefix("/api"))
        if endpoint is None or not request.path.startswith("/api/"):
            message = "Endpoint not found. Please check the path and try again."
            raise CoinGlassError("404", message, 404)
        return Answer({"code": "0", "msg": "success", "data": endpoint(request, plan)})

    # --- history -------------------------------------------------------------------------

    def _open_interest(self, request: Request, plan: Plan) -> list[dict[str, Any]]:
        found = self._market.by_spelling.get(_needed(request, "symbol"))
        if found is None:
            return []
        coin, share = found
        bars = self._page(request, plan, coin, Product.OPEN_INTEREST)
        bars = revise(bars, Series.OPEN_INTEREST, coin, self._market, self._settings)
        if request.params.get("unit") == "coin":
            share /= self._market.book(coin).level_at(Product.INDEX, self._market.now_ms())
        return self._rows(bars, scale=share, decimals=0, as_text=True)

    def _weighted_funding(self, request: Request, plan: Plan) -> list[dict[str, Any]]:
        found = self._market.by_spelling.get(_needed(request, "symbol"))
        if found is None:
            return []
        bars = self._page(request, plan, found[0], Product.WEIGHTED_FUNDING)
        bars = revise(bars, Series.WEIGHTED_FUNDING, found[0], self._market, self._settings)
        return self._rows(_with_own_opens(bars), decimals=6, as_text=False)

    def _pair_funding(self, request: Request, plan: Plan) -> list[dict[str, Any]]:
        coin = self._pair(request)
        if coin is None:
            return []
        bars = self._page(request, plan, coin, Product.PAIR_FUNDING)
        bars = revise(bars, Series.PAIR_FUNDING, coin, self._market, self._settings)
        return self._rows(bars, decimals=6, as_text=True)

    def _price(self, request: Request, plan: Plan) -> list[dict[str, Any]]:
        _needed(request, "limit")
        coin = self._pair(request)
        if coin is None:
            return []
        bars = self._page(request, plan, coin, Product.PERP)
        bars = revise(bars, Series.PRICE, coin, self._market, self._settings)
        rows = self._rows(bars, decimals=coin.price_decimals, as_text=True)
        volumes = self._numbers(bars.volume_usd, 4, as_text=True)
        for row, volume in zip(rows, volumes, strict=True):
            row["volume_usd"] = volume
        return rows

    def _liquidation(self, request: Request, plan: Plan) -> list[dict[str, Any]]:
        coin = self._pair(request)
        names = ("long_liquidation_usd", "short_liquidation_usd")
        return self._liquidations(request, plan, coin, names, as_text=True)

    def _aggregated_liquidation(self, request: Request, plan: Plan) -> list[dict[str, Any]]:
        _needed(request, "exchange_list")
        found = self._market.by_spelling.get(_needed(request, "symbol"))
        names = ("aggregated_long_liquidation_usd", "aggregated_short_liquidation_usd")
        return self._liquidations(request, plan, found and found[0], names, as_text=False)

    def _liquidations(
        self,
        request: Request,
        plan: Plan,
        coin: Coin | None,
        names: tuple[str, str],
        *,
        as_text: bool,
    ) -> list[dict[str, Any]]:
        if coin is None:
            return []
        bars = self._page(request, plan, coin, Product.PERP)
        moves = bars.close / bars.open - 1
        rows = {"time": bars.time_ms.tolist()}
        for name, sign in zip(names, (-1, 1), strict=True):
            forced = bars.volume_usd * (2e-4 + 0.03 * np.maximum(sign * moves, 0))
            rows[name] = self._numbers(forced, 5, as_text=as_text)
        return [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]

    def _page(self, request: Request, plan: Plan, coin: Coin, product: Product) -> Bars:
        """Return the newest rows of the window that the plan's history still holds."""
        interval = request.params.get("interval", "1d")
        if interval in MINUTE_INTERVALS or interval in INTERVAL_HOURS:
            if interval != "1d" and interval not in plan.history_days:
                message = "The requested interval is not available for your current API plan."
                raise CoinGlassError("403", message)
        else:
            interval = "8h"  # an interval it does not know is ignored like any other parameter
        hours = INTERVAL_HOURS.get(interval)
        if hours is None:
            return self._market.bars(coin, product, 24)[:0]
        bars = self._market.bars(coin, product, hours)
        if interval in plan.history_days:
            oldest = self._market.now_ms() - plan.history_days[interval] * DAY_MS
            bars = bars[int(np.searchsorted(bars.time_ms, oldest, side="right")) :]
        start = request.number("start_time", 0) or 0
        end = request.number("end_time", self._market.now_ms()) or 0
        first = int(np.searchsorted(bars.time_ms, start, side="left"))
        last = int(np.searchsorted(bars.time_ms, end, side="right"))
        limit = min(max(request.number("limit", MAX_ROWS) or MAX_ROWS, 1), MAX_ROWS)
        return bars[max(first, last - limit) : max(first, last)]

    def _rows(
        self, bars: Bars, *, decimals: int, as_text: bool, scale: float = 1.0
    ) -> list[dict[str, Any]]:
        names = ("open", "high", "low", "close")
        columns = [bars.open, bars.high, bars.low, bars.close]
        printed = [self._numbers(one * scale, decimals, as_text=as_text) for one in columns]
        times = bars.time_ms.tolist()
        return [
            {"time": time, **dict(zip(names, row, strict=True))}
            for time, *row in zip(times, *printed, strict=True)
        ]

    def _numbers(self, values: Any, decimals: int, *, as_text: bool) -> list[Any]:
        if self._settings.types != "vendor":
            as_text = self._settings.types == "strings"
        if as_text:
            return plain(values.tolist(), decimals)
        rounded = np.round(values, decimals)
        # Whole numbers come without a point, next to others with one.
        return [int(one) if one.is_integer() else one for one in rounded.tolist()]

    def _pair(self, request: Request) -> Coin | None:
        exchange, pair = _needed(request, "exchange"), _needed(request, "symbol")
        if exchange == "CME":
            return None
        coin = self._lists.coin_of_pair(exchange, pair)
        if coin is None:
            raise CoinGlassError(
                "400",
                "The requested pair does not exist on the exchange. "
                "Please check the supported exchange pairs.",
            )
        return coin

    # --- lists and snapshots -------------------------------------------------------------

    def _subscription(self, _: Request, plan: Plan) -> dict[str, Any]:
        expires = self._market.now_ms() // DAY_MS * DAY_MS + 365 * DAY_MS
        return {"level": plan.level, "expire_time": expires, "expired": False}

    def _exchange_open_interest(self, request: Request, _: Plan) -> list[dict[str, Any]]:
        return self._lists.open_interest(_needed(request, "symbol"))

    def _accumulated(self, request: Request, _: Plan) -> list[dict[str, Any]]:
        days = {"1d": 1, "7d": 7, "30d": 30, "365d": 365}.get(_needed(request, "range"), 1)
        return self._lists.accumulated_funding(days)

    def _coins_markets(self, _: Request, plan: Plan) -> list[dict[str, Any]]:
        if plan.level in ("HOBBYIST", "STARTUP"):
            raise CoinGlassError("401", "Upgrade plan")
        return self._lists.coins_markets()


def _needed(request: Request, name: str) -> str:
    value = request.params.get(name, "")
    if not value:
        raise CoinGlassError("400", f"Required String parameter '{name}' is not present")
    return value


def _with_own_opens(bars: Bars) -> Bars:
    """Return the bars with one open in five off the close before it."""
    hours = bars.time_ms // HOUR_MS
    is_off = (hours * 2654435761) % 100 < 21
    opens = np.where(is_off, bars.open * 0.94 + bars.close * 0.06, bars.open)
    high, low = np.maximum(bars.high, opens), np.minimum(bars.low, opens)
    return Bars(bars.time_ms, opens, high, low, bars.close, bars.volume_usd)
