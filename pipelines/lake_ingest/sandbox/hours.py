"""The hours of a simulated day, for any stretch of days: a pure function of seed and asset.

A stretch is cheap to build and equal to the same hours of a longer stretch, because slow
movements live in ``market.py`` and an hour adds only noise of its own block of days.
Rows are days, columns the 24 hours; a value at ``[d, h]`` belongs to the instant ``h + 1``
hours into the day, so column 23 is the close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lake_ingest.sandbox.market import BLOCK_DAYS, Array, AssetDays, stream
from lake_ingest.sandbox.universe import Coin

VENUES = (-0.4, 0.0, 0.3, 0.7)
"""How much longer each venue's crowd is than Binance's, in units of crowding."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of hours; arrays of shape (n_days, 24).

    Attributes
    ----------
    price : array
        USD price of one coin over all venues, at the hour's end.
    perp_price : array
        Price of one Binance contract, at the hour's end.
    volume_usd : array
        USD traded within the hour on all venues.
    perp_volume_usd : array
        USD traded within the hour in the Binance perpetual.
    rate_8h : array
        Funding that Binance would settle at the hour's end: fraction per 8 hours.
    weighted_rate_8h : array
        The same, averaged over venues by open interest.
    open_interest_usd : array
        Open interest of all venues at the hour's end.
    binance_share : float
        Binance's part of it.
    """

    price: Array
    perp_price: Array
    volume_usd: Array
    perp_volume_usd: Array
    rate_8h: Array
    weighted_rate_8h: Array
    open_interest_usd: Array
    binance_share: float


def funding_rate_8h(crowding: Array, offset: float) -> Array:
    """Return the 8-hour rate of a premium that rises with crowding, by Binance's formula.

    rate = P + clip(0.01 % - P, -0.05 %, 0.05 %): an idle contract pays exactly 0.01 %.

    Examples
    --------
    >>> funding_rate_8h(np.array([-2.0, 0.0, 3.0]), 0.0).round(6).tolist()
    [-0.0002, 0.0001, 0.001236]
    """
    rush = np.maximum(crowding - 0.5, 0.0) ** 1.5
    premium = offset - 2.0e-4 + 2.5e-4 * crowding + 3.0e-4 * rush
    rate = premium + np.clip(1e-4 - premium, -5e-4, 5e-4)
    return np.clip(rate, -0.02, 0.02)


def build_hours(seed: int, coin: Coin, days: AssetDays, first: int, last: int) -> Hours:
    """Return the hours of the days ``first`` to ``last`` (positions in ``days``, first >= 1)."""
    rows = slice(first, last + 1)
    price = _bridge(seed, coin, days, first, last)
    crowding = _hold(days.crowding, first, last)
    crowding = crowding + 0.3 * _noise(seed, coin, "crowding", first, last)
    volume = days.volume_usd[rows, None] * _profile(seed, coin, first, last)
    basis = 1.0 + 1.5e-4 * np.tanh(crowding)
    traits = stream(seed, coin.stream_id, "venues")
    share, offset = traits.uniform(0.2, 0.4), traits.uniform(-5e-5, 5e-5)
    venues = [funding_rate_8h(crowding + venue, offset) for venue in VENUES]
    open_interest = np.exp(_hold(np.log(days.open_interest_usd), first, last))
    open_interest *= 1.0 + 0.004 * np.tanh(_noise(seed, coin, "open interest", first, last))
    return Hours(
        price=price,
        perp_price=np.round(price * coin.multiplier * basis, coin.price_decimals),
        volume_usd=volume,
        perp_volume_usd=volume * share * (1 + 0.2 * np.tanh(crowding)),
        rate_8h=venues[1],
        weighted_rate_8h=(0.3 * venues[0] + 0.4 * venues[1] + 0.2 * venues[2] + 0.1 * venues[3]),
        open_interest_usd=open_interest,
        binance_share=float(share),
    )


def _noise(seed: int, coin: Coin, label: str, first: int, last: int) -> Array:
    """Return unit noise of shape (n_days, 24), drawn block by block."""
    blocks = range(first // BLOCK_DAYS, last // BLOCK_DAYS + 1)
    drawn = [
        stream(seed, coin.stream_id, label, "hours", block).standard_normal((BLOCK_DAYS, 24))
        for block in blocks
    ]
    offset = blocks.start * BLOCK_DAYS
    return np.concatenate(drawn)[first - offset : last + 1 - offset]


def _hold(daily: Array, first: int, last: int) -> Array:
    """Return the straight line from each day's opening to its closing value, hour by hour."""
    opening, closing = daily[first - 1 : last, None], daily[first : last + 1, None]
    return opening + (closing - opening) * (np.arange(1, 25) / 24)


def _bridge(seed: int, coin: Coin, days: AssetDays, first: int, last: int) -> Array:
    """Return hourly prices that end every day on its close."""
    scale = days.volatility[first : last + 1, None] / np.sqrt(24)
    walk = np.cumsum(_noise(seed, coin, "price", first, last) * scale, axis=1)
    walk -= walk[:, -1:] * (np.arange(1, 25) / 24)
    price: Array = np.exp(_hold(days.log_price, first, last) + walk)
    # Ten significant digits, as a vendor prints them.
    return np.round(price, 9 - int(np.floor(np.log10(coin.price_usd))))


def _profile(seed: int, coin: Coin, first: int, last: int) -> Array:
    """Return each hour's share of its day's volume; the afternoon trades most."""
    hour = np.arange(24)
    shape = 0.3 * np.sin((hour - 9) * np.pi / 12)
    weights: Array = np.exp(shape + 0.25 * _noise(seed, coin, "volume", first, last))
    totals: Array = weights.sum(axis=1, keepdims=True)
    return weights / totals
