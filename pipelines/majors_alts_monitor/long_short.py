"""What the regime is about: the majors' return over the ALT index, day by day and forward."""

from __future__ import annotations

import numpy as np
import pandas as pd

from majors_alts_monitor.types import Floats, Market

GATE_LOOKBACK_DAYS = 7
"""The high-volatility gate looks at a week of BTC."""


def long_short_return(market: Market) -> pd.Series[float]:
    """Return mean(BTC, ETH) minus the ALT index return of each day, a fraction, by date.

    The index weights the eligible ALTs that have M(t-1) and r by M(t-1). Null when a major has
    no return or no ALT can be counted.
    """
    returns = market.return_1d
    btc, eth = market.major_columns
    caps = market.previous_market_cap_usd
    counts = market.is_eligible & market.is_alt & ~np.isnan(caps) & ~np.isnan(returns)
    # One by one in asset order: a column that never counts must not change the last bit.
    weights = np.where(counts, caps, 0.0)
    total = np.add.accumulate(weights, axis=1)[:, -1]
    earned = np.add.accumulate(weights * np.where(counts, returns, 0.0), axis=1)[:, -1]
    index = earned / np.where(total > 0, total, np.nan)
    majors = (returns[:, btc] + returns[:, eth]) / 2
    return pd.Series(majors - index, index=market.dates, name="long_short_return")


def btc_close_ratio_7d(market: Market) -> pd.Series[float]:
    """Return close_BTC(t) / close_BTC(t-7), both as known for t, by date; null if either misses."""
    btc, _ = market.major_columns
    now = market.close_usd[:, btc]
    before = np.full_like(now, np.nan)
    before[GATE_LOOKBACK_DAYS:] = now[:-GATE_LOOKBACK_DAYS]
    versions = market.close_versions
    reader = versions.day + GATE_LOOKBACK_DAYS
    is_read = (versions.read_from <= reader) & (reader < versions.read_to)
    is_read &= (versions.asset == btc) & (reader < len(now)) & (reader >= 0)
    before[reader[is_read]] = versions.close_usd[is_read]
    return pd.Series(now / before, index=market.dates, name="btc_close_ratio_7d")


def forward_returns(returns: Floats, horizon: int, *, delay: int = 0) -> Floats:
    """Return the compounded return of days t+1+delay .. t+horizon+delay, shape of ``returns``.

    Null near the end, and where a day inside the window is null.

    Examples
    --------
    >>> forward_returns(np.array([0.0, 0.1, -0.5, 0.2]), 2).round(2).tolist()
    [-0.45, -0.4, nan, nan]
    """
    n = len(returns)
    first = 1 + delay
    forward = np.full(n, np.nan)
    n_known = n - horizon - delay
    if n_known > 0:
        windows = np.lib.stride_tricks.sliding_window_view(1.0 + returns[first:], horizon)
        forward[:n_known] = np.multiply.accumulate(windows, axis=1)[:n_known, -1] - 1.0
    return forward
