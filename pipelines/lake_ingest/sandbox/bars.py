"""Bars of any whole-hour interval from hourly values, the last one cut off by the clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lake_ingest.sandbox.contracts import HOUR_MS, Ints
from lake_ingest.sandbox.market import Array

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars in ascending order; arrays of shape (n_bars,).

    Attributes
    ----------
    time_ms : array
        Opening instants, multiples of the interval.
    open, high, low, close : array
        Values in the series' unit.
    volume_usd : array
        USD traded in the bar; zeros where the series has none.
    """

    time_ms: Ints
    open: Array
    high: Array
    low: Array
    close: Array
    volume_usd: Array

    def __len__(self) -> int:
        return len(self.time_ms)

    def __getitem__(self, rows: slice | Mask) -> Bars:
        return Bars(
            self.time_ms[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume_usd[rows],
        )

    def then(self, other: Bars) -> Bars:
        """Return these bars followed by the other ones."""
        return Bars(
            np.concatenate([self.time_ms, other.time_ms]),
            np.concatenate([self.open, other.open]),
            np.concatenate([self.high, other.high]),
            np.concatenate([self.low, other.low]),
            np.concatenate([self.close, other.close]),
            np.concatenate([self.volume_usd, other.volume_usd]),
        )


def make_bars(ends_ms: Ints, values: Array, volumes: Array, hours: int, opening: float) -> Bars:
    """Return bars of ``hours`` hours over consecutive hourly values.

    Parameters
    ----------
    ends_ms : array of shape (n_hours,)
        Each hour's end; the last hour may be cut short.
    values, volumes : array of shape (n_hours,)
        Value at the hour's end, and USD traded within it.
    hours : int
        Length of a bar; a bar begins on a multiple of it since 1970.
    opening : float
        The value before the first hour; a bar opens on the value before it.

    Examples
    --------
    >>> ends = np.array([1, 2, 3, 4]) * HOUR_MS
    >>> bars = make_bars(ends, np.array([2.0, 5.0, 3.0, 4.0]), np.ones(4), 2, 1.0)
    >>> bars.open.tolist(), bars.high.tolist(), bars.close.tolist(), bars.volume_usd.tolist()
    ([1.0, 5.0], [5.0, 5.0], [5.0, 4.0], [2.0, 2.0])
    """
    if not len(ends_ms):
        return Bars(ends_ms, *(values[:0] for _ in range(5)))
    bar = (ends_ms - 1) // (hours * HOUR_MS)
    starts = np.flatnonzero(np.r_[True, bar[1:] != bar[:-1]])
    opens = np.r_[opening, values[:-1]][starts]
    return Bars(
        time_ms=bar[starts] * hours * HOUR_MS,
        open=opens,
        high=np.maximum(opens, np.maximum.reduceat(values, starts)),
        low=np.minimum(opens, np.minimum.reduceat(values, starts)),
        close=values[np.r_[starts[1:], len(values)] - 1],
        volume_usd=np.add.reduceat(volumes, starts),
    )


def cut_hours(
    ends_ms: Ints, values: Array, volumes: Array, now_ms: int
) -> tuple[Ints, Array, Array]:
    """Return the hours begun before ``now_ms``, the last one stopped half-way.

    Its value lies on the straight line between its neighbours.

    Examples
    --------
    >>> ends = np.array([1, 2]) * HOUR_MS
    >>> cut = cut_hours(ends, np.array([2.0, 4.0]), np.array([8.0, 8.0]), 5400_000)
    >>> [column.tolist() for column in cut]
    [[3600000, 5400000], [2.0, 3.0], [8.0, 4.0]]
    """
    keep = ends_ms - HOUR_MS < now_ms
    ends, values, volumes = ends_ms[keep].copy(), values[keep].copy(), volumes[keep].copy()
    if len(ends) and ends[-1] > now_ms:
        part = 1 - (ends[-1] - now_ms) / HOUR_MS
        before = values[-2] if len(values) > 1 else values[-1]
        values[-1] = before + (values[-1] - before) * part
        volumes[-1] *= part
        ends[-1] = now_ms
    return ends, values, volumes
