"""Return, risk and its uncertainty, each from daily simple returns.

``returns`` is an array or Series of shape (n_days,), fractions, one a calendar day; a year has
365 of them. What is undefined (no days, no variance, a NaN or infinity among the returns) is NaN,
which the outputs write as null; nothing is dropped in silence.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from majors_alts_monitor.statistics import automatic_block, bootstrap_sharpes
from majors_alts_monitor.types import DAYS_PER_YEAR, Floats

Returns = npt.ArrayLike

_EULER_GAMMA: Final = float(np.euler_gamma)
_YEAR: Final = math.sqrt(DAYS_PER_YEAR)


def _values(returns: Returns) -> Floats:
    """Return the numbers; an infinite return leaves as much undefined as a missing one."""
    r = np.asarray(returns, dtype=np.float64)
    return r if np.isfinite(r).all() else np.where(np.isfinite(r), r, np.nan)


def _deviation(r: Floats) -> float:
    """Return the sample deviation; NaN with fewer than two days, exactly 0 for a constant."""
    if r.size < 2:
        return math.nan
    return 0.0 if np.ptp(r) == 0 else float(np.std(r, ddof=1))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else math.nan


def total_return(returns: Returns) -> float:
    """Return the compounded return.

    Examples
    --------
    >>> round(total_return([0.1, 0.1]), 6)
    0.21
    """
    r = _values(returns)
    return float(np.prod(1 + r)) - 1 if r.size else math.nan


def cagr(returns: Returns) -> float:
    """Return the compounded growth rate a year: prod(1 + r) ** (365 / n) - 1.

    Examples
    --------
    10 % in all over a fifth of a year is 1.1^5 - 1.

    >>> round(cagr([0.1] + [0.0] * 72), 5)
    0.61051
    """
    r = _values(returns)
    if not r.size:
        return math.nan
    growth = float(np.prod(1 + r))
    return growth ** (DAYS_PER_YEAR / r.size) - 1 if growth >= 0 else math.nan


def volatility(returns: Returns) -> float:
    """Return the annualised sample deviation.

    Examples
    --------
    >>> round(volatility([-0.01, 0.0, 0.01]), 6)
    0.19105
    """
    return _deviation(_values(returns)) * _YEAR


def sharpe_per_period(returns: Returns) -> float:
    """Return mean over sample deviation, not annualised; NaN without variance.

    Examples
    --------
    >>> sharpe_per_period([0.0, 0.01, 0.02])
    1.0
    """
    r = _values(returns)
    return _ratio(float(np.mean(r)), _deviation(r)) if r.size else math.nan


def sharpe(returns: Returns) -> float:
    """Return the annualised Sharpe ratio against cash at 0; NaN without variance.

    Examples
    --------
    >>> round(sharpe([0.0, 0.01, 0.02]), 4)
    19.105
    """
    return sharpe_per_period(returns) * _YEAR


def sortino(returns: Returns) -> float:
    """Return annualised mean over downside deviation, the latter over **all** days.

    The root mean square of the negative returns, positive days counting as 0; NaN without a
    negative day.

    Examples
    --------
    Mean 1 %, downside sqrt(0.01^2 / 2) = 0.7071 %: sqrt(2) a day.

    >>> round(sortino([0.03, -0.01]) / 365**0.5, 4)
    1.4142
    """
    r = _values(returns)
    if not r.size:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(r, 0.0) ** 2)))
    return _ratio(float(np.mean(r)), downside) * _YEAR


def drawdowns(returns: Returns) -> Floats:
    """Return equity over its highest value so far, the starting capital included, minus 1.

    Shape (n_days,), <= 0.

    Examples
    --------
    >>> drawdowns([-0.10, 0.05]).round(3).tolist()
    [-0.1, -0.055]
    """
    equity = np.cumprod(1 + _values(returns))
    # Adding 0 turns the -0.0 of 1 - 1 into 0.0.
    result: Floats = equity / np.maximum(np.maximum.accumulate(equity), 1.0) - 1 + 0.0
    return result


def max_drawdown(returns: Returns) -> float:
    """Return the deepest drawdown, <= 0.

    Examples
    --------
    >>> round(max_drawdown([-0.10, 0.05, -0.02]), 6)
    -0.1
    """
    falls = drawdowns(returns)
    return float(falls.min()) if falls.size else math.nan


def calmar(returns: Returns) -> float:
    """Return cagr over the size of the maximum drawdown; NaN without one.

    Examples
    --------
    A year that ends up 8 % after falling 10 %.

    >>> round(calmar([-0.1, 0.2] + [0.0] * 363), 4)
    0.8
    """
    return _ratio(cagr(returns), -max_drawdown(returns))


def hit_rate(returns: Returns, invested: npt.ArrayLike) -> float:
    """Return the share of days with a book that gained; NaN without such a day.

    Examples
    --------
    >>> hit_rate([0.01, -0.01, 0.02, 0.0], [True, True, True, False])
    0.6666666666666666
    """
    held = _values(returns)[np.asarray(invested, dtype=np.bool_)]
    if not held.size or np.isnan(held).any():
        return math.nan
    return float(np.mean(held > 0))


def skewness(returns: Returns) -> float:
    """Return the population skew; NaN without variance.

    Examples
    --------
    >>> skewness([-0.01, 0.0, 0.01])
    0.0
    """
    return _standardised_moment(returns, 3)


def raw_kurtosis(returns: Returns) -> float:
    """Return the population kurtosis, 3 for a normal; NaN without variance.

    Examples
    --------
    >>> round(raw_kurtosis([-0.01, 0.01]), 9)
    1.0
    """
    return _standardised_moment(returns, 4)


def _standardised_moment(returns: Returns, power: int) -> float:
    r = _values(returns)
    spread = float(r.std()) if r.size > 1 and np.ptp(r) != 0 else 0.0
    if spread == 0:
        return math.nan
    # A product rounds alike on every processor; a vectorised power does not.
    return float(np.mean(np.multiply.reduce([(r - r.mean()) / spread] * power)))


def psr(sharpe: float, benchmark: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds ``benchmark``.

    Parameters
    ----------
    sharpe, benchmark : float
        Sharpe ratios per period, not annualised.
    n : int
        Number of returns.
    skew, kurtosis : float
        Of the returns; raw kurtosis, 3 for a normal.

    References
    ----------
    .. [1] D. Bailey, M. Lopez de Prado (2012), "The Sharpe Ratio Efficient Frontier", Journal
       of Risk 15(2), eq. 8.

    Examples
    --------
    Against itself it is a coin toss.

    >>> psr(0.1, 0.1, 500, 0.0, 3.0)
    0.5
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if n < 2 or not spread > 0:
        return math.nan
    return float(ndtr((sharpe - benchmark) * math.sqrt(n - 1) / math.sqrt(spread)))


def expected_max_sharpe(variance: float, trials: int) -> float:
    """Return the Sharpe ratio the best of ``trials`` without skill is expected to show.

    Parameters
    ----------
    variance : float
        Sample variance of the trials' Sharpe ratios, per period.
    trials : int
        How many were tried; with fewer than two: 0.

    References
    ----------
    .. [1] D. Bailey, M. Lopez de Prado (2014), "The Deflated Sharpe Ratio", Journal of Portfolio
       Management 40(5).

    Examples
    --------
    >>> round(expected_max_sharpe(0.5 / 250, 100), 6)
    0.113172
    """
    if trials < 2:
        return 0.0
    best = (1 - _EULER_GAMMA) * ndtri(1 - 1 / trials)
    next_best = _EULER_GAMMA * ndtri(1 - 1 / (trials * math.e))
    return float(math.sqrt(variance) * (best + next_best))


def deflated_sharpe(
    sharpe: float, n: int, skew: float, kurtosis: float, variance: float, trials: int
) -> float:
    """Return the probability that the Sharpe ratio exceeds what luck gives the best trial.

    Parameters
    ----------
    sharpe : float
        Per period, not annualised.
    n : int
        Number of returns.
    skew, kurtosis : float
        Of the returns; raw kurtosis.
    variance : float
        Sample variance of the trials' Sharpe ratios, per period.
    trials : int
        How many were tried.

    References
    ----------
    .. [1] D. Bailey, M. Lopez de Prado (2014), "The Deflated Sharpe Ratio", Journal of Portfolio
       Management 40(5), with its worked example.

    Examples
    --------
    >>> round(deflated_sharpe(2.5 / 250**0.5, 1250, -3, 10, 0.5 / 250, 100), 6)
    0.900397
    """
    return psr(sharpe, expected_max_sharpe(variance, trials), n, skew, kurtosis)


def sharpe_interval(
    returns: Returns, *, level: float, block: float | None, reps: int, seed: int
) -> tuple[float, float]:
    """Return the stationary-bootstrap interval of the annualised Sharpe ratio.

    Parameters
    ----------
    returns : array of shape (n_days,)
        Simple daily returns.
    level : float
        Coverage, 0.95 for 95 %; the tails are cut equally.
    block : float or None
        Mean block length in days; None: Politis and White's automatic choice.
    reps, seed : int
        Draws and their seed: the same seed gives the same bounds.

    Returns
    -------
    tuple of float
        Low and high; NaN where the Sharpe ratio itself is undefined.

    Examples
    --------
    >>> r = [0.01, -0.02, 0.03, 0.0, 0.01] * 20
    >>> low, high = sharpe_interval(r, level=0.95, block=5, reps=500, seed=1)
    >>> low < sharpe(r) < high
    True
    """
    r = _values(returns)
    if math.isnan(sharpe_per_period(r)):
        return math.nan, math.nan
    length = automatic_block(r) if block is None else float(block)
    sharpes = bootstrap_sharpes(r, block=length, reps=reps, seed=seed)
    tail = (1 - level) / 2
    low, high = np.nanquantile(sharpes, [tail, 1 - tail]) * _YEAR
    return float(low), float(high)
