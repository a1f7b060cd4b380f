"""Choose the day's ALT basket, say why the others stay out, and share the leg among its members.

Data flow: ``closes, volumes -> screen -> rank -> cap_weights``. Everything works on arrays of shape
(n_assets, n_days) and sums along days only, so an asset's numbers do not depend on its neighbours,
not even in the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

import numpy as np
import pandas as pd

from majors_alts_monitor.config import AltSelectionConfig
from majors_alts_monitor.types import DAYS_PER_YEAR, Bools, Floats

MIN_JOINT_RETURNS: Final = 30
"""Of the correlation filter; a shorter window must be complete."""

ZERO_VOLATILITY: Final = 1e-12
"""Annualised; below it a series is constant up to rounding and has no inverse."""

Raw = TypeVar("Raw", Floats, "pd.Series[float]")


class Exclusion(IntEnum):
    """Why an asset is not in the basket; ``MEMBER`` is."""

    MEMBER = 0
    INELIGIBLE = 1
    VOLATILITY_HISTORY = 2
    VOLATILITY = 3
    ZERO_VOLATILITY = 4
    CORRELATION_HISTORY = 5
    CORRELATION = 6
    MOMENTUM_HISTORY = 7
    MOMENTUM = 8
    RANK = 9

    @property
    def reason(self) -> str:
        """The name used in reports; empty for a member."""
        return "" if self is Exclusion.MEMBER else self.name.lower()


def cap_weights(raw: Raw, cap: float) -> Raw:
    r"""Return weights proportional to ``raw`` but at most ``cap`` each, summing to 1.

    .. math:: w_i = \min(c, k\,raw_i), \qquad \sum_i w_i = 1 .

    When all positive entries at the cap still sum to less than 1, they stay at the cap and the
    rest is cash.

    Parameters
    ----------
    raw : array or Series of shape (n,)
        Sizes before capping, finite and not negative.
    cap : float
        Largest weight, in (0, 1].

    Returns
    -------
    array or Series of shape (n,)
        Labelled like ``raw``. Independent of its order, to the bit.

    Raises
    ------
    ValueError
        If an entry is negative or not finite, or the cap is outside (0, 1].

    Examples
    --------
    >>> cap_weights(np.array([6.0, 3.0, 1.0]), 0.5)
    array([0.5  , 0.375, 0.125])
    >>> cap_weights(np.array([2.0, 1.0]), 0.25)
    array([0.25, 0.25])
    """
    values = np.asarray(raw, dtype=np.float64)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("raw weights must be finite and not negative")
    if not 0 < cap <= 1:
        raise ValueError(f"cap must lie in (0, 1], was {cap}")
    weights = _fill_to_cap(values, cap)
    if isinstance(raw, pd.Series):
        return pd.Series(weights, index=raw.index)
    return weights


def _fill_to_cap(values: Floats, cap: float) -> Floats:
    if not values.size or values.max() == 0:
        return np.zeros_like(values)
    sizes = values / values.max()
    ascending = np.sort(sizes[sizes > 0])
    n = ascending.size
    if n * cap <= 1:
        return np.where(sizes > 0, cap, 0.0)
    # The m largest sit at the cap and the others share the rest in proportion; the right m is the
    # smallest for which the largest of those others stays below the cap.
    m = np.arange(n)
    shared = np.cumsum(ascending)[::-1]
    k = (1 - m * cap) / shared
    fits = k * ascending[::-1] <= cap
    first = int(np.argmax(fits)) if fits.any() else n - 1
    weights: Floats = np.minimum(cap, k[first] * sizes)
    return weights


@dataclass(frozen=True, slots=True)
class Screen:
    """Result of the filters, arrays of shape (n_assets,)."""

    code: np.ndarray[tuple[int], np.dtype[np.int8]]
    """An ``Exclusion``; 0 passes."""
    volatility: Floats
    """Annualised; NaN without the full window."""

    @property
    def passes(self) -> Bools:
        """True where no filter objects."""
        return np.asarray(self.code == Exclusion.MEMBER)


def screen(closes: Floats, majors: Floats, selection: AltSelectionConfig) -> Screen:
    """Return which assets pass the volatility, correlation and momentum filters, in that order.

    A filter that lacks history excludes the asset under a name of its own. With the selection
    switched off nothing is filtered, except that inverse-volatility shares need a volatility.

    Parameters
    ----------
    closes : array of shape (n_assets, n_days + 1)
        Closes as known on the decision day, oldest first, USD; NaN is missing.
    majors : array of shape (2, n_days + 1)
        The same of BTC and ETH.
    selection : AltSelectionConfig
        Bounds and windows, days; every window must fit into ``n_days``.
    """
    returns = simple_returns(closes)
    volatility = annualised_volatility(returns[:, -selection.volatility_lookback_days :])
    code = np.zeros(len(closes), dtype=np.int8)
    if selection.enabled or selection.weighting == "inverse_vol":
        _exclude(code, np.isnan(volatility), Exclusion.VOLATILITY_HISTORY)
        _exclude(code, volatility < ZERO_VOLATILITY, Exclusion.ZERO_VOLATILITY)
    if not selection.enabled:
        return Screen(code, volatility)

    _exclude(code, volatility > selection.max_volatility, Exclusion.VOLATILITY)
    days = selection.correlation_lookback_days
    correlation = largest_correlation(returns[:, -days:], simple_returns(majors)[:, -days:])
    _exclude(code, np.isnan(correlation), Exclusion.CORRELATION_HISTORY)
    _exclude(code, correlation < selection.min_correlation, Exclusion.CORRELATION)
    momentum = closes[:, -1] / closes[:, -1 - selection.momentum_lookback_days] - 1
    _exclude(code, np.isnan(momentum), Exclusion.MOMENTUM_HISTORY)
    outside = (momentum < selection.min_momentum) | (momentum > selection.max_momentum)
    _exclude(code, outside, Exclusion.MOMENTUM)
    return Screen(code, volatility)


def _exclude(code: np.ndarray[tuple[int], np.dtype[np.int8]], fails: Bools, why: Exclusion) -> None:
    """Name the first filter that fails; a later one does not overwrite it."""
    code[fails & (code == Exclusion.MEMBER)] = why


def largest_volumes(volume_usd: Floats, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the positions of the ``size`` largest volumes, largest first.

    Ties go to the earlier position, which is the alphabetical order of ``asset_id``.

    Examples
    --------
    >>> largest_volumes(np.array([5.0, 9.0, 9.0, 1.0]), 3)
    array([1, 2, 0])
    """
    return np.argsort(-volume_usd, kind="stable")[:size]


def simple_returns(closes: Floats) -> Floats:
    """Return one-day simple returns along the last axis; NaN next to a missing close.

    Examples
    --------
    >>> simple_returns(np.array([[100.0, 125.0, 100.0]]))
    array([[ 0.25, -0.2 ]])
    """
    return np.asarray(closes[..., 1:] / closes[..., :-1] - 1)


def annualised_volatility(returns: Floats) -> Floats:
    """Return the sample standard deviation along the last axis, times the root of 365 days."""
    n = returns.shape[-1]
    centred = returns - (returns.sum(axis=-1) / n)[..., None]
    return np.asarray(np.sqrt((centred * centred).sum(axis=-1) / (n - 1)) * np.sqrt(DAYS_PER_YEAR))


def largest_correlation(returns: Floats, majors: Floats) -> Floats:
    """Return the larger absolute correlation with BTC and ETH over joint days.

    NaN where either has fewer than 30 joint returns (or an incomplete shorter window), or a side
    does not move.

    Parameters
    ----------
    returns : array of shape (n_assets, n_days)
    majors : array of shape (2, n_days)

    Returns
    -------
    array of shape (n_assets,)
    """
    btc, eth = (np.abs(_correlation(returns, major)) for major in majors)
    return np.maximum(btc, eth)


def _correlation(returns: Floats, major: Floats) -> Floats:
    is_joint = np.isfinite(returns) & np.isfinite(major)
    n = is_joint.sum(axis=1)
    y = _centred(returns, is_joint, n)
    x = _centred(np.broadcast_to(major, returns.shape), is_joint, n)
    spread = np.sqrt((y * y).sum(axis=1) * (x * x).sum(axis=1))
    enough = (n >= min(MIN_JOINT_RETURNS, returns.shape[1])) & (spread > 0)
    product = (y * x).sum(axis=1)
    correlation: Floats = np.full(len(returns), np.nan)
    np.divide(product, spread, out=correlation, where=enough)
    return correlation


def _centred(
    values: Floats, is_joint: Bools, n: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Floats:
    mean = np.where(is_joint, values, 0.0).sum(axis=1) / np.maximum(n, 1)
    return np.where(is_joint, values - mean[:, None], 0.0)
