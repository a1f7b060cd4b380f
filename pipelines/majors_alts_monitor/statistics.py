"""How sure one can be of a result: bootstrap, overfitting, superior ability, robust regression.

Everything here is a function of the numbers and the seed it is given. The formulas that
contract.md names (PSR, deflated Sharpe, interval) are in ``metrics.py``; they stand on these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import ndtri

from majors_alts_monitor.backtest._compiled import compiled
from majors_alts_monitor.types import Floats

_DRAWS_AT_ONCE: Final = 250
_INTERVAL_LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Trials:
    """The attempts a Sharpe ratio was picked from."""

    n: int
    """How many, this one included."""
    variance: float
    """Sample variance of their per-period Sharpe ratios; 0 with fewer than two."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What combinatorially symmetric cross-validation says about picking the best variant."""

    pbo: float
    """Share of splits in which the best in sample falls below the median out of sample."""
    logits: Floats
    """Log odds of its relative rank out of sample, one a split; <= 0 counts for ``pbo``."""
    sharpe_in_sample: Floats
    sharpe_out_of_sample: Floats
    """Per-period Sharpe of the variant picked, one a split."""

    @property
    def loss_probability(self) -> float:
        """Share of splits in which the variant picked loses money out of sample."""
        return float(np.mean(self.sharpe_out_of_sample < 0))


@dataclass(frozen=True, slots=True)
class Regression:
    """Coefficients of an ordinary least-squares fit with Newey-West errors."""

    coefficients: Floats
    """Shape (1 + n_regressors,), the constant first."""
    low: Floats
    high: Floats
    """Bounds of the 95 % interval."""


def automatic_block(returns: Floats) -> float:
    """Return the mean block length of Politis and White for the stationary bootstrap, days >= 1.

    References
    ----------
    .. [1] D. Politis, H. White (2004), "Automatic Block-Length Selection for the Dependent
       Bootstrap", Econometric Reviews 23; corrected by Patton, Politis, White (2009).
    """
    n = returns.size
    deviations = returns - returns.mean()
    kept = max(5, int(math.log10(n)))
    lags = range(min(math.ceil(math.sqrt(n)) + kept + 1, n))
    products = np.array([deviations[lag:] @ deviations[: n - lag] for lag in lags])
    scale = np.array(
        [
            (deviations[lag + 1 :] @ deviations[lag + 1 :])
            * (deviations[: n - lag - 1] @ deviations[: n - lag - 1])
            for lag in lags
        ]
    )
    is_small = np.abs(products) < 2 * math.sqrt(math.log10(n) / n) * np.sqrt(scale)
    # Beyond the first run of small autocorrelations the rest counts as noise.
    runs = [lag for lag in range(len(lags) - kept) if is_small[lag : lag + kept].all()]
    last = min(2 * max(runs[0], 1) if runs else lags[-1], lags[-1])
    lag = np.arange(1, last + 1)
    taper = np.minimum(1.0, 2 * (1 - lag / last)) if last else np.empty(0)
    slope = 2 * float(taper @ (lag * products[1 : last + 1])) / n
    level = (products[0] + 2 * float(taper @ products[1 : last + 1])) / n
    if not level:
        return 1.0
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    return float(max(1.0, min((slope**2 / level**2 * n) ** (1 / 3), longest)))


@compiled
def _resampled_sharpes(
    returns: Floats, jumps: Floats, starts: Floats, block: float, sharpes: Floats
) -> None:
    n = returns.size
    centre = returns.mean()
    for k in range(sharpes.size):
        position = 0
        total = 0.0
        squares = 0.0
        # A sum of squares of equal days rounds to something above 0, so they are counted.
        changes = 0
        for t in range(n):
            last = position
            if t == 0 or jumps[k, t] * block < 1.0:
                position = min(int(starts[k, t] * n), n - 1)
            else:
                position = position + 1 if position + 1 < n else 0
            changes += t > 0 and returns[position] != returns[last]
            deviation = returns[position] - centre
            total += deviation
            squares += deviation * deviation
        variance = (squares - total * total / n) / (n - 1)
        mean = centre + total / n
        sharpes[k] = mean / math.sqrt(variance) if changes and variance > 0.0 else np.nan


def bootstrap_sharpes(returns: Floats, *, block: float, reps: int, seed: int) -> Floats:
    """Return per-period Sharpe ratios of stationary-bootstrap resamples, shape (reps,).

    Blocks start anywhere with equal chance, wrap around the end and have a geometric length of
    mean ``block`` days. A resample without variance is NaN.

    References
    ----------
    .. [1] D. Politis, J. Romano (1994), "The Stationary Bootstrap", Journal of the American
       Statistical Association 89.
    """
    generator = np.random.default_rng(seed)
    values = np.array(returns, dtype=np.float64)
    sharpes = np.empty(reps)
    for first in range(0, reps, _DRAWS_AT_ONCE):
        part = sharpes[first : first + _DRAWS_AT_ONCE]
        jumps = generator.random((part.size, values.size))
        starts = generator.random((part.size, values.size))
        _resampled_sharpes(values, jumps, starts, float(block), part)
    return sharpes


def estimate_overfitting(returns: Floats, *, n_blocks: int = 16) -> Overfitting:
    """Return the probability of backtest overfitting of picking the best of many variants.

    Parameters
    ----------
    returns : array of shape (n_days, n_variants)
        Daily returns of every variant tried. Days that do not fill the last block are left out
        at the start.
    n_blocks : int
        Even number S of blocks; every choice of S/2 of them is one split.

    Raises
    ------
    ValueError
        If there are fewer than two variants or two days a block, or ``n_blocks`` is odd.

    References
    ----------
    .. [1] D. Bailey, J. Borwein, M. Lopez de Prado, Q. Zhu (2017), "The Probability of Backtest
       Overfitting", Journal of Computational Finance 20(4).
    """
    n_days, n_variants = returns.shape
    length = n_days // n_blocks
    if n_blocks % 2 or n_variants < 2 or length < 2:
        raise ValueError(
            f"needs an even number of blocks of 2 days or more and 2 variants, was {n_blocks} "
            f"blocks of {length} days, {n_variants} variants"
        )
    blocks = returns[n_days - length * n_blocks :].reshape(n_blocks, length, n_variants)
    totals, squares = blocks.sum(axis=1), (blocks**2).sum(axis=1)
    half = length * n_blocks // 2
    chosen = np.zeros((math.comb(n_blocks, n_blocks // 2), n_blocks))
    for split, members in enumerate(combinations(range(n_blocks), n_blocks // 2)):
        chosen[split, list(members)] = 1.0
    inside = _sharpes_of_sums(chosen @ totals, chosen @ squares, half)
    outside = _sharpes_of_sums((1 - chosen) @ totals, (1 - chosen) @ squares, half)
    best = inside.argmax(axis=1)
    splits = np.arange(len(best))
    chosen_sharpe = outside[splits, best][:, None]
    below, tied = (outside < chosen_sharpe).sum(axis=1), (outside == chosen_sharpe).sum(axis=1)
    rank = (below + (tied + 1) / 2) / (n_variants + 1)
    logits = np.log(rank / (1 - rank))
    return Overfitting(
        float(np.mean(logits <= 0)), logits, inside[splits, best], outside[splits, best]
    )


def _sharpes_of_sums(totals: Floats, squares: Floats, n: int) -> Floats:
    mean = totals / n
    variance = np.maximum(squares - n * mean**2, 0.0) / (n - 1)
    # A variant that never trades is a Sharpe of 0, not of 0/0.
    safe = np.where(variance > 0, variance, 1.0)
    result: Floats = np.where(variance > 0, mean / np.sqrt(safe), 0.0)
    return result


def superior_ability(
    benchmark: Floats, candidates: Floats, *, block: float, reps: int, seed: int
) -> dict[str, float]:
    """Return Hansen's p-values that no candidate beats the benchmark's mean return.

    Parameters
    ----------
    benchmark : array of shape (n_days,)
        Daily returns, zeros for cash.
    candidates : array of shape (n_days, n_variants)
        Daily returns of every variant tried.
    block : float
        Mean block length of the stationary bootstrap, days.
    reps, seed : int
        Draws and their seed.

    Returns
    -------
    dict
        ``lower``, ``consistent``, ``upper``; the consistent one is the one to quote.

    References
    ----------
    .. [1] P. Hansen (2005), "A Test for Superior Predictive Ability", Journal of Business &
       Economic Statistics 23.
    """
    from arch.bootstrap import SPA  # takes a second to import

    test = SPA(-benchmark, -candidates, block_size=max(1, round(block)), reps=reps, seed=seed)
    test.compute()
    return {str(name): float(value) for name, value in test.pvalues.items()}


def minimum_track_record(
    sharpe: float, benchmark: float, skew: float, kurtosis: float, *, level: float
) -> float:
    """Return the number of returns after which PSR against ``benchmark`` reaches ``level``.

    Sharpe ratios per period, raw kurtosis. Infinite when ``sharpe`` does not exceed it.

    References
    ----------
    .. [1] D. Bailey, M. Lopez de Prado (2012), "The Sharpe Ratio Efficient Frontier", Journal
       of Risk 15(2), eq. 11.

    Examples
    --------
    Normal returns, Sharpe 0.1 a day: 1 + 1.005 x (1.645 / 0.1)^2.

    >>> round(minimum_track_record(0.1, 0.0, 0.0, 3.0, level=0.95), 2)
    272.91
    """
    if not sharpe > benchmark:
        return math.inf if not math.isnan(sharpe) else math.nan
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return float(1 + spread * (ndtri(level) / (sharpe - benchmark)) ** 2)


def regress_newey_west(y: Floats, regressors: Floats, *, lags: int) -> Regression:
    """Return the least-squares fit of ``y`` on a constant and ``regressors``.

    The 95 % interval uses Newey and West's covariance with Bartlett weights over ``lags`` days,
    without a small-sample correction, and normal quantiles. NaN when there are not more days
    than coefficients or the regressors are collinear.

    References
    ----------
    .. [1] W. Newey, K. West (1987), "A Simple, Positive Semi-Definite, Heteroskedasticity and
       Autocorrelation Consistent Covariance Matrix", Econometrica 55.
    """
    X = np.column_stack([np.ones(len(y)), regressors])
    n, k = X.shape
    if n <= k or np.linalg.matrix_rank(X) < k:
        return Regression(*(np.full(k, np.nan) for _ in range(3)))
    inverse = np.linalg.inv(X.T @ X)
    coefficients = inverse @ (X.T @ y)
    scores = X * (y - X @ coefficients)[:, None]
    meat = scores.T @ scores
    for lag in range(1, min(lags, n - 1) + 1):
        shifted = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (shifted + shifted.T)
    errors = np.sqrt(np.diag(inverse @ meat @ inverse))
    reach = float(ndtri(0.5 + _INTERVAL_LEVEL / 2)) * errors
    return Regression(coefficients, coefficients - reach, coefficients + reach)


def sample_variance(values: Floats | pd.Series[float]) -> float:
    """Return the sample variance, 0 with fewer than two values."""
    return float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
