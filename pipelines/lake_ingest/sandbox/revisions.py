"""Values that change after they were published, at the rates of sources.md section 4.

A closed bar is provisional for a day after its end: which bars, and by how much, follows from
seed, asset, series and bar, so that two requests agree and the final value is the market's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.contracts import DAY_MS
from lake_ingest.sandbox.market import Array, stream
from lake_ingest.sandbox.messages import Settings
from lake_ingest.sandbox.series import Market
from lake_ingest.sandbox.universe import Coin

SETTLED_AFTER_MS: Final = DAY_MS
RESTATED_BARS: Final = 294
RESTATED_SIZE: Final = 0.004
"""Standard deviation of the restatement; its median size is 0.27 %."""


class Series(StrEnum):
    """CoinGlass series that are revised, each in its own way."""

    OPEN_INTEREST = "open_interest"
    WEIGHTED_FUNDING = "weighted_funding"
    PAIR_FUNDING = "pair_funding"
    PRICE = "price"


RATES: Final = {
    Series.OPEN_INTEREST: (0.25, 0.006),
    Series.WEIGHTED_FUNDING: (0.10, 0.10),
    Series.PAIR_FUNDING: (0.03, 0.05),
    Series.PRICE: (0.48, 1.5e-6),
}
"""Share of the newest closed bars that later change, and the standard deviation of the change."""


def revise(bars: Bars, series: Series, coin: Coin, market: Market, settings: Settings) -> Bars:
    """Return the bars as published so far: provisional ones where the switch is on."""
    if settings.restated_at_ms is not None:
        bars = _before_restatement(bars, series, coin, market, settings.restated_at_ms)
    if not settings.revisions or len(bars) < 2:
        return bars
    ends = bars.time_ms + (bars.time_ms[1] - bars.time_ms[0])
    now = market.now_ms()
    is_provisional = (ends <= now) & (ends > now - SETTLED_AFTER_MS)
    factors = np.ones(len(bars))
    for row in np.flatnonzero(is_provisional):
        chance, size = RATES[series]
        draw = stream(market.seed, coin.asset_id, series, int(bars.time_ms[row]))
        if draw.random() < chance:
            factors[row] += size * draw.standard_normal()
    return scale(bars, factors)


def _before_restatement(
    bars: Bars, series: Series, coin: Coin, market: Market, restated_at_ms: int
) -> Bars:
    """Return BTC's open interest as it was before its old bars were restated in bulk."""
    if series is not Series.OPEN_INTEREST or coin.asset_id != "BTC":
        return bars
    if market.now_ms() >= restated_at_ms:
        return bars
    days = bars.time_ms // DAY_MS
    last = restated_at_ms // DAY_MS - 1
    noise = stream(market.seed, "restatement").standard_normal(RESTATED_BARS)
    position = np.clip(days - (last - RESTATED_BARS), 0, RESTATED_BARS - 1)
    is_old = (days >= last - RESTATED_BARS) & (days < last)
    return scale(bars, np.where(is_old, 1 + RESTATED_SIZE * noise[position], 1.0))


def scale(bars: Bars, factors: Array) -> Bars:
    """Return the bars with high, low, close and volume times the factors."""
    return Bars(
        bars.time_ms,
        bars.open,
        bars.high * factors,
        bars.low * factors,
        bars.close * factors,
        bars.volume_usd * factors,
    )
