"""A coin's price, market cap and volume over all venues, stamped as CoinGecko does.

The point stamped ``D 00:00`` is the close of ``D - 1``. Market caps of small coins have holes:
a day left out, a zero, or a null, one in about seven hundred days each.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, Ints
from lake_ingest.sandbox.market import Array, stream
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import Coin

HOLE_SHARE: Final = 0.0015
MISSING: Final = -1.0
HOLES: Final = np.array([MISSING, 0.0, np.nan])

Points = tuple[Ints, Array, Array, Array]


class CoinDays:
    """Points of a coin's chart; the caller hides what is not published yet."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def daily(self, coin: Coin) -> Points:
        """Return stamps, prices, market caps and volumes of every whole day up to the clock.

        A market cap is ``MISSING`` where its point is left out and NaN where it is null.
        """
        bars = self._market.closed_bars(coin, Product.INDEX, 24)
        book = self._market.book(coin)
        days = book.days
        position = bars.time_ms // DAY_MS + book.day_position(0)
        caps = np.round(bars.close * days.supply[position])
        volumes = np.round(days.volume_usd[position])
        caps = np.where(self._holes(coin)[position], HOLES[position % 3], caps)
        return bars.time_ms + DAY_MS, bars.close, caps, volumes

    def hourly(self, coin: Coin, start_ms: int, end_ms: int) -> Points:
        """Return the points of every hour from start to end."""
        book = self._market.book(coin)
        ends, prices, traded = book.hourly(Product.INDEX, start_ms - 2 * DAY_MS, end_ms)
        total = np.cumsum(np.r_[0.0, traded])
        volumes = np.round(total[1:] - total[np.maximum(np.arange(len(ends)) - 23, 0)])
        position = (ends - 1) // DAY_MS + book.day_position(0)
        caps = np.round(prices * book.days.supply[position])
        kept = (ends >= start_ms) & (ends <= self._market.now_ms())
        return ends[kept], prices[kept], caps[kept], volumes[kept]

    def live(self, coin: Coin) -> tuple[float, float, float] | None:
        """Return price, market cap and trailing volume now; None where the coin is not alive."""
        now = self._market.now_ms()
        book = self._market.book(coin)
        price = book.level_at(Product.INDEX, now)
        if np.isnan(price):
            return None
        supply = float(book.days.supply[book.day_position(now) - 1])
        _, _, traded = book.hourly(Product.INDEX, now - DAY_MS, now - now % HOUR_MS)
        return price, float(round(price * supply)), float(round(traded[-24:].sum()))

    def _holes(self, coin: Coin) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        n_days = len(self._market.book(coin).days.supply)
        draws = stream(self._market.seed, coin.coingecko_id, "holes").random(n_days)
        is_small = coin.kind == "coin" and coin.market_cap_usd < 5e9
        return (draws < HOLE_SHARE) & is_small
