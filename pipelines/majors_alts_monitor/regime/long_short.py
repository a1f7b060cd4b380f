"""What the regime is about: the majors' return over the ALT index, day by day and forward."""

from __future__ import annotations

import numpy as np
import pandas as pd

from majors_alts_monitor.types import Floats, Market


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
