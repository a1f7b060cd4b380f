"""Rank information coefficient: how a value today goes with the return ahead.

Ranks are doubled, so that ties stay whole numbers; sums of whole numbers are exact, and neither
block size nor thread count can move a bit of the result.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from majors_alts_monitor.types import Floats

MIN_PAIRS: Final = 30
"""Fewer pairs of value and return give no coefficient."""
MIN_BLOCKS: Final = 5
"""Fewer blocks cannot say how far a coefficient may be off."""


def doubled_ranks(values: Floats, partner: Floats) -> tuple[Floats, Floats]:
    """Return twice the average ranks of both where both have a value, else 0; shape (m, n).

    Examples
    --------
    >>> doubled_ranks(np.array([[3.0, 1.0, np.nan, 1.0]]), np.array([[1.0, 2.0, 3.0, 4.0]]))
    (array([[6., 3., 0., 3.]]), array([[2., 4., 0., 6.]]))
    """
    values, partner = np.broadcast_arrays(values, partner)
    is_pair = ~(np.isnan(values) | np.isnan(partner))
    return _rank(values, is_pair), _rank(partner, is_pair)


def _rank(values: Floats, is_pair: npt.NDArray[np.bool_]) -> Floats:
    # Values outside the pairs rank behind all others and are then set to 0.
    behind = np.where(is_pair, values, np.inf)
    order = np.argsort(behind, axis=-1, kind="stable")
    ascending = np.take_along_axis(behind, order, axis=-1)
    is_tied = ascending[..., 1:] == ascending[..., :-1]
    edge = np.zeros((*is_tied.shape[:-1], 1), dtype=np.bool_)
    # A rank, doubled: the first and the last place of the run of equal values, from 1.
    place = np.arange(1.0, behind.shape[-1] + 1)
    starts = np.where(np.concatenate([edge, is_tied], axis=-1), 0.0, place)
    ends = np.where(np.concatenate([is_tied, edge], axis=-1), np.inf, place)
    first = np.maximum.accumulate(starts, axis=-1)
    last = np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(behind.shape)
    np.put_along_axis(ranks, order, first + last, axis=-1)
    return np.where(is_pair, ranks, 0.0)


def rank_ic(values: Floats, forward: Floats) -> Floats:
    """Return Spearman's correlation of each row of ``values`` with ``forward``, shape (m,).

    Parameters
    ----------
    values : array of shape (m, n)
    forward : array of shape (n,) or (m, n)
        Pairs with a NaN are left out; null with fewer than ``MIN_PAIRS`` or without variation.

    Examples
    --------
    >>> days = np.arange(40.0)
    >>> rank_ic(np.array([days, -days]), days**3).tolist()
    [1.0, -1.0]
    """
    x, y = doubled_ranks(values, forward)
    ones = np.ones((1, x.shape[-1]))
    return _correlation(ones, x, y)[..., 0]


def rank_ic_intervals(
    values: Floats, forward: Floats, *, block: int, n_boot: int, seed: int, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Return circular-block-bootstrap intervals of each row's rank IC, two arrays of shape (m,).

    Days are drawn, so all rows see the same draws; ranks are those of the sample.

    Parameters
    ----------
    values : array of shape (m, n)
    forward : array of shape (n,)
    block : int
        Days in a block; longer than the overlap of the forward returns.
    n_boot, seed : int
    level : float

    Returns
    -------
    tuple of arrays of shape (m,)
        Lower and upper end; NaN with fewer than ``MIN_BLOCKS`` blocks of pairs.
    """
    is_known = ~np.isnan(forward)
    values, known = values[:, is_known], forward[is_known]
    low = np.full(len(values), np.nan)
    high = low.copy()
    n_pairs = (~np.isnan(values)).sum(axis=1)
    enough = n_pairs >= max(MIN_PAIRS, MIN_BLOCKS * block)
    if enough.any():
        x, y = doubled_ranks(values[enough], known)
        drawn = _correlation(block_counts(len(known), block, n_boot, seed), x, y)
        # A draw without variation says nothing; it counts as no correlation.
        drawn = np.where(np.isnan(drawn), 0.0, drawn)
        low[enough], high[enough] = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return low, high


def block_counts(n: int, block: int, n_boot: int, seed: int) -> Floats:
    """Return how often each of n days is drawn by circular blocks, shape (n_boot, n).

    The last block of a draw is cut so that every draw has n days.
    """
    rng = np.random.default_rng(seed)
    n_blocks = -(-n // block)
    starts = rng.integers(0, n, (n_boot, n_blocks))
    lengths = np.full(n_blocks, block)
    lengths[-1] = n - block * (n_blocks - 1)
    steps = np.zeros((n_boot, 2 * n), dtype=np.int16)
    draw = np.arange(n_boot)[:, np.newaxis]
    np.add.at(steps, (draw, starts), 1)
    np.add.at(steps, (draw, starts + lengths), -1)
    covered = np.add.accumulate(steps, axis=1, dtype=np.int16)
    return (covered[:, :n] + covered[:, n:]).astype(np.float64)


def _correlation(counts: Floats, x: Floats, y: Floats) -> Floats:
    """Return the correlation of rows of x and y under each row of counts, shape (m, n_counts)."""
    # 0 marks a day without a pair; a rank is at least 1, twice that at least 2.
    n = (x > 0).astype(np.float64) @ counts.T
    sx, sy = x @ counts.T, y @ counts.T
    sxx, syy, sxy = (x * x) @ counts.T, (y * y) @ counts.T, (x * y) @ counts.T
    spread = np.sqrt((n * sxx - sx * sx) * (n * syy - sy * sy))
    covariance = n * sxy - sx * sy
    is_known = (n >= MIN_PAIRS) & (spread > 0)
    return np.where(is_known, covariance / np.where(is_known, spread, 1.0), np.nan)
