"""Means, quantiles and deviations, written out; ``None`` is a missing value."""

from __future__ import annotations

import math
from collections.abc import Sequence

Value = float | None


def present(values: Sequence[Value]) -> list[float] | None:
    """Return the values when there are some and none is missing, else None.

    Examples
    --------
    >>> present([1.0, 2.0]), present([1.0, None]), present([])
    ([1.0, 2.0], None, None)
    """
    complete = [value for value in values if value is not None]
    return complete if complete and len(complete) == len(values) else None


def mean(values: Sequence[float]) -> Value:
    """Return the mean, its sum rounded once.

    Examples
    --------
    >>> mean([0.1] * 10), mean([])
    (0.1, None)
    """
    return math.fsum(values) / len(values) if values else None


def quantile(values: Sequence[float], q: float) -> Value:
    """Return the ``q`` quantile by linear interpolation.

    Examples
    --------
    >>> quantile([4.0, 1.0, 2.0], 0.75), quantile([7.0], 0.25), quantile([], 0.5)
    (3.0, 7.0, None)
    """
    if not values:
        return None
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def median(values: Sequence[float]) -> Value:
    """Return the middle value, or the mean of the middle two.

    Examples
    --------
    >>> median([3.0, 1.0, 2.0]), median([1.0, 2.0])
    (2.0, 1.5)
    """
    if not values:
        return None
    ordered = sorted(values)
    n = len(ordered)
    return mean([ordered[(n - 1) // 2], ordered[n // 2]])


def deviation(values: Sequence[float]) -> Value:
    """Return the sample standard deviation, n - 1 below.

    Examples
    --------
    >>> deviation([1.0, 3.0]) == math.sqrt(2), deviation([1.0])
    (True, None)
    """
    if len(values) < 2:
        return None
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def zscore(window: Sequence[Value]) -> Value:
    """Return how many deviations the last value lies above the window's mean.

    Null when a value is missing or the maximum equals the minimum.

    Examples
    --------
    >>> zscore([1.0, 2.0, 3.0]), zscore([2.0, 2.0]), zscore([1.0, None, 3.0])
    (1.0, None, None)
    """
    values = present(window)
    if values is None or max(values) == min(values):
        return None
    centre, spread = mean(values), deviation(values)
    assert centre is not None
    assert spread is not None
    return (values[-1] - centre) / spread


def difference(a: Value, b: Value) -> Value:
    """Return ``a - b``, null when one is missing.

    Examples
    --------
    >>> difference(3.0, 1.0), difference(None, 1.0)
    (2.0, None)
    """
    return None if a is None or b is None else a - b


def change(now: Value, then: Value) -> Value:
    """Return ``now / then - 1``, null when one is missing.

    Examples
    --------
    >>> change(125.0, 100.0), change(125.0, None)
    (0.25, None)
    """
    return None if now is None or then is None else now / then - 1
