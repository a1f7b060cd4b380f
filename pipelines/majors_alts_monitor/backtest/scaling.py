"""Scale a book to a volatility it had, never to one it will have."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from majors_alts_monitor.types import DAYS_PER_YEAR, Floats


def next_volatility_scale(
    returns: Floats, *, target: float, window: int, max_scale: float, min_scale: float = 0.0
) -> float:
    """Return the scale of the book decided after the last of ``returns``.

    ``min(max_scale, target / sigma)``, at least ``min_scale``; sigma is the annualised sample
    deviation of the last ``window`` values that are not NaN (days without a book). With fewer
    values: 1.

    Examples
    --------
    The deviation of -1 %, 0, 1 % is 1 % a day, 19.1 % a year.

    >>> u = np.array([-0.01, 0.0, 0.01])
    >>> round(next_volatility_scale(u, target=0.1, window=3, max_scale=1.0), 4)
    0.5234
    """
    values = returns[~np.isnan(returns)][-window:]
    if len(values) < window:
        return 1.0
    sigma = float(np.std(values, ddof=1)) * math.sqrt(DAYS_PER_YEAR)
    scale = target / sigma if sigma > 0 else math.inf
    return max(min_scale, min(max_scale, scale))


def volatility_scale(
    returns: pd.Series[float],
    *,
    target: float,
    window: int,
    max_scale: float,
    min_scale: float = 0.0,
) -> pd.Series[float]:
    """Return the scale in force on each day, from the returns of the days before it.

    Parameters
    ----------
    returns : Series of shape (n_days,)
        Daily returns of the unscaled book; NaN on days without one, which are skipped.
    target : float
        Annualised volatility, fraction.
    window : int
        Number of returns the estimate takes.
    max_scale, min_scale : float
        Bounds of the scale.

    Returns
    -------
    Series of shape (n_days,)
        1 until ``window`` earlier returns exist.

    Examples
    --------
    >>> r = pd.Series([-0.01, 0.0, 0.01, 0.5])
    >>> volatility_scale(r, target=0.1, window=3, max_scale=1.0).round(4).tolist()
    [1.0, 1.0, 1.0, 0.5234]
    """
    values = np.asarray(returns, dtype=np.float64)
    scales = [
        next_volatility_scale(
            values[:t], target=target, window=window, max_scale=max_scale, min_scale=min_scale
        )
        for t in range(len(values))
    ]
    return pd.Series(scales, index=returns.index, dtype=np.float64)
