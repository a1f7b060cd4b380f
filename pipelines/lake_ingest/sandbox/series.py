"""The market as the vendors see it at an instant: bars, settlements and levels by asset.

``Market`` holds what is expensive (one asset's bars over the whole horizon) and asks the clock
for what is visible, so a request costs a slice. Nothing it returns lies after the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np

from lake_ingest.sandbox.bars import Bars, cut_hours, make_bars
from lake_ingest.sandbox.contracts import (
    DAY_MS,
    HOUR_MS,
    Ints,
    Settlements,
    day_ms,
    ms,
    pair_rate_pct,
    settle,
)
from lake_ingest.sandbox.hours import Hours, build_hours
from lake_ingest.sandbox.market import (
    EPOCH,
    Array,
    AssetDays,
    Factors,
    horizon_days,
    simulate_asset,
    simulate_factors,
)
from lake_ingest.sandbox.universe import Coin, coins
from pipeline_kit.calendar import last_complete_day, now_utc

SPELLING_SHARES: Final = {1: (1.0,), 2: (0.4, 0.6), 3: (0.3, 0.6, 0.1)}
"""Each CoinGlass spelling's part of a coin's open interest."""


class Product(StrEnum):
    """What bars can be made of."""

    INDEX = "index"
    PERP = "perp"
    OPEN_INTEREST = "open_interest"
    BINANCE_OPEN_INTEREST = "binance_open_interest"
    WEIGHTED_FUNDING = "weighted_funding"
    PAIR_FUNDING = "pair_funding"


USUAL_BARS: Final = (
    (Product.INDEX, 24),
    (Product.PERP, 24),
    (Product.OPEN_INTEREST, 24),
    (Product.WEIGHTED_FUNDING, 8),
    (Product.PAIR_FUNDING, 8),
)
"""What every fetch asks for; other bars are built when first asked for."""
FAR_AWAY: Final = date(2999, 1, 1)


@dataclass(frozen=True, slots=True)
class Life:
    """When something trades, in epoch milliseconds: ``start <= instant < end``."""

    start_ms: int
    end_ms: int

    def covers(self, instant_ms: int) -> bool:
        """Return whether it trades at the instant.

        Examples
        --------
        >>> Life(0, 10).covers(9), Life(0, 10).covers(10)
        (True, False)
        """
        return self.start_ms <= instant_ms < self.end_ms


def life_of(coin: Coin, product: Product, visible_from_ms: int) -> Life:
    """Return when the product of the coin exists, cut at the first visible instant.

    Examples
    --------
    >>> from lake_ingest.sandbox.universe import coin_named
    >>> life_of(coin_named("LEO"), Product.PERP, 0)
    Life(start_ms=0, end_ms=0)
    """
    start = day_ms(max(coin.born_on, EPOCH))
    end = day_ms(min(coin.dies_on, FAR_AWAY))
    if product is not Product.INDEX:
        if not coin.spellings:
            return Life(0, 0)
        start = ms(coin.perp_listed_at) if coin.perp_listed_at else start
    if product in (Product.PERP, Product.PAIR_FUNDING, Product.BINANCE_OPEN_INTEREST):
        if not coin.binance_symbol:
            return Life(0, 0)
        end = ms(coin.perp_delisted_at) if coin.perp_delisted_at else end
    return Life(max(start, visible_from_ms), end)


def first_visible_day(now: datetime, days: int) -> date:
    """Return the first day of the month that holds the oldest of the last ``days`` whole days.

    Examples
    --------
    >>> from datetime import UTC
    >>> first_visible_day(datetime(2024, 3, 20, 1, tzinfo=UTC), 10)
    datetime.date(2024, 3, 1)
    >>> first_visible_day(datetime(2024, 3, 20, 1, tzinfo=UTC), 30)
    datetime.date(2024, 2, 1)
    """
    oldest = last_complete_day(now) - timedelta(days=days - 1)
    return max(oldest.replace(day=1), EPOCH + timedelta(days=31))


class Market:
    """The synthetic market, visible from ``first_day`` up to the clock.

    Parameters
    ----------
    seed : int
        Chooses the market; the same seed is the same market for ever.
    n_assets : int or None
        How many coins of the universe there are; None for all.
    days : int
        History of at least this many whole days, from the first of a month.
    clock : callable
        Returns the instant at which requests arrive.
    """

    def __init__(
        self,
        seed: int,
        n_assets: int | None,
        days: int,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self.seed = seed
        self.coins = coins()[:n_assets]
        self.first_day = first_visible_day(clock(), days)
        self._clock = clock
        self._lock = threading.RLock()
        self._factors: Factors | None = None
        self._books: dict[str, AssetBook] = {}

    def now_ms(self) -> int:
        """Return the clock in epoch milliseconds."""
        return ms(self._clock())

    @cached_property
    def by_spelling(self) -> dict[str, tuple[Coin, float]]:
        """Return each CoinGlass base symbol's coin and its part of the open interest."""
        return {
            spelling: (coin, share)
            for coin in self.coins
            for spelling, share in zip(
                coin.spellings, SPELLING_SHARES.get(len(coin.spellings), ()), strict=True
            )
        }

    @cached_property
    def by_binance_symbol(self) -> dict[str, Coin]:
        """Return the coins by their perpetual's symbol."""
        return {coin.binance_symbol: coin for coin in self.coins if coin.binance_symbol}

    @cached_property
    def by_gecko_id(self) -> dict[str, tuple[Coin, ...]]:
        """Return the coins of each CoinGecko id, in the order of their lives."""
        ids: dict[str, list[Coin]] = {}
        for coin in sorted(self.coins, key=lambda one: one.born_on):
            ids.setdefault(coin.coingecko_id, []).append(coin)
        return {gecko_id: tuple(named) for gecko_id, named in ids.items()}

    def exists(self, coin: Coin, product: Product) -> bool:
        """Return whether the product exists now."""
        return self.life(coin, product).covers(self.now_ms())

    def life(self, coin: Coin, product: Product) -> Life:
        """Return when the product exists, cut at the first visible day."""
        return life_of(coin, product, day_ms(self.first_day))

    def book(self, coin: Coin) -> AssetBook:
        """Return the asset's book over a horizon that holds today and tomorrow."""
        n_days = horizon_days(self._clock().date() + timedelta(days=1))
        with self._lock:
            if self._factors is None or len(self._factors.btc) < n_days:
                self._factors = simulate_factors(self.seed, n_days)
                self._books.clear()
            if coin.asset_id not in self._books:
                self._books[coin.asset_id] = AssetBook(
                    self.seed, coin, self._factors, self.first_day
                )
            return self._books[coin.asset_id]

    def bars(self, coin: Coin, product: Product, hours: int) -> Bars:
        """Return the bars opened so far; the last one may still be forming."""
        return self.book(coin).bars_until(product, hours, self.now_ms())

    def closed_bars(self, coin: Coin, product: Product, hours: int) -> Bars:
        """Return the bars that have ended."""
        return self.book(coin).bars_ended(product, hours, self.now_ms())

    def settlements(self, coin: Coin) -> Settlements:
        """Return the funding payments made so far."""
        paid = self.book(coin).settlements
        n = int(np.searchsorted(paid.time_ms, self.now_ms(), side="right"))
        return Settlements(
            paid.time_ms[:n], paid.rate_pct[:n], paid.interval_hours[:n], paid.mark_price[:n]
        )


class AssetBook:
    """One asset's whole life within the horizon; the caller hides what lies after the clock."""

    def __init__(self, seed: int, coin: Coin, factors: Factors, first_day: date) -> None:
        self.coin = coin
        self._seed = seed
        self.days: AssetDays = simulate_asset(seed, coin, factors)
        self._first = (first_day - EPOCH).days
        self._last = len(factors.btc) - 1
        self._visible_from_ms = day_ms(first_day)
        self._lock = threading.RLock()
        self._bars: dict[tuple[Product, int], Bars] = {}
        stretch = self._hours(self._first, self._last)
        for product, hours in USUAL_BARS:
            self._bars[product, hours] = self._to_bars(product, hours, stretch)
        self.settlements = self._settle(stretch)
        self._recent: tuple[tuple[int, int], Hours] | None = None

    def life(self, product: Product) -> Life:
        """Return when the product exists, cut at the first visible day."""
        return life_of(self.coin, product, self._visible_from_ms)

    def bars_ended(self, product: Product, hours: int, now_ms: int) -> Bars:
        """Return the bars whose end has come."""
        whole = self._whole_bars(product, hours)
        return whole[: int(np.searchsorted(whole.time_ms + hours * HOUR_MS, now_ms, side="right"))]

    def bars_until(self, product: Product, hours: int, now_ms: int) -> Bars:
        """Return the bars opened before ``now_ms``, the last one as it then stands."""
        ended = self.bars_ended(product, hours, now_ms)
        whole = self._whole_bars(product, hours)
        if len(ended) == len(whole) or whole.time_ms[len(ended)] >= now_ms:
            return ended
        return ended.then(self._forming(product, hours, now_ms))

    def level_at(self, product: Product, now_ms: int) -> float:
        """Return the product's value at the instant, NaN where it does not exist."""
        if not self.life(product).covers(now_ms):
            return float("nan")
        return float(self._forming(product, 24, now_ms).close[-1])

    def day_position(self, instant_ms: int) -> int:
        """Return the position in ``days`` of the day that holds the instant."""
        return instant_ms // DAY_MS - day_ms(EPOCH) // DAY_MS

    def hourly(self, product: Product, start_ms: int, end_ms: int) -> tuple[Ints, Array, Array]:
        """Return ends, values and USD traded of the hours of the days from start to end."""
        first = max(self.day_position(start_ms), self._first)
        last = min(self.day_position(end_ms), self._last)
        with self._lock:
            # Requests of one moment ask for the same few days again and again.
            if self._recent is None or self._recent[0] != (first, last):
                self._recent = (first, last), self._hours(first, last)
            stretch = self._recent[1]
        return self._points(product, stretch, first)

    def _whole_bars(self, product: Product, hours: int) -> Bars:
        with self._lock:
            if (product, hours) not in self._bars:
                stretch = self._hours(self._first, self._last)
                self._bars[product, hours] = self._to_bars(product, hours, stretch)
            return self._bars[product, hours]

    def _hours(self, first: int, last: int) -> Hours:
        return build_hours(self._seed, self.coin, self.days, first, last)

    def _ends(self, first: int, n_days: int) -> Ints:
        start = day_ms(EPOCH) + first * DAY_MS
        return start + np.arange(1, n_days * 24 + 1, dtype=np.int64) * HOUR_MS

    def _points(self, product: Product, hours: Hours, first: int) -> tuple[Ints, Array, Array]:
        """Return ends, values and USD traded of the hours in which the product exists."""
        ends = self._ends(first, len(hours.price))
        life = self.life(product)
        values, volumes = self._values(product, hours, ends)
        exists = (ends > life.start_ms) & (ends <= life.end_ms)
        return ends[exists], values[exists], volumes[exists]

    def _values(self, product: Product, hours: Hours, ends: Ints) -> tuple[Array, Array]:
        none = np.zeros(len(ends))
        if product is Product.INDEX:
            return hours.price.ravel(), hours.volume_usd.ravel()
        if product is Product.PERP:
            return hours.perp_price.ravel(), hours.perp_volume_usd.ravel()
        if product is Product.WEIGHTED_FUNDING:
            return np.round(hours.weighted_rate_8h.ravel() * 100, 6), none
        if product is Product.PAIR_FUNDING:
            return pair_rate_pct(self._seed, self.coin, hours, ends), none
        open_interest = hours.open_interest_usd.ravel()
        on_binance = open_interest * hours.binance_share
        if product is Product.BINANCE_OPEN_INTEREST:
            return on_binance, none
        # Where Binance has closed its contract, only the other venues are left.
        binance = self.life(Product.PERP)
        is_gone = (ends > binance.end_ms) & (binance.end_ms > 0)
        return np.where(is_gone, open_interest - on_binance, open_interest), none

    def _to_bars(self, product: Product, hours: int, stretch: Hours) -> Bars:
        ends, values, volumes = self._points(product, stretch, self._first)
        return make_bars(ends, values, volumes, hours, float(values[0]) if len(values) else 0.0)

    def _settle(self, stretch: Hours) -> Settlements:
        ends = self._ends(self._first, len(stretch.price))
        paid = settle(self._seed, self.coin, stretch, ends)
        life = self.life(Product.PAIR_FUNDING)
        alive = (paid.time_ms - paid.time_ms % HOUR_MS > life.start_ms) & (
            paid.time_ms <= life.end_ms
        )
        return Settlements(
            paid.time_ms[alive],
            paid.rate_pct[alive],
            paid.interval_hours[alive],
            paid.mark_price[alive],
        )

    def _forming(self, product: Product, hours: int, now_ms: int) -> Bars:
        """Return the one bar that ``now_ms`` falls into, as it stands."""
        today = self.day_position(now_ms)
        ends, values, volumes = self.hourly(product, now_ms - DAY_MS, now_ms)
        ends, values, volumes = cut_hours(ends, values, volumes, now_ms)
        opening = float(values[0]) if len(values) else 0.0
        bars = make_bars(ends, values, volumes, hours, opening)
        return bars[len(bars) - 1 :] if today >= self._first else bars
