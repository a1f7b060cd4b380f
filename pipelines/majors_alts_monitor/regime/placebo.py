"""A gate against chance: its value next to that of gates that know nothing.

Two kinds of placebo keep what the gate looks like and break what it knows. Circular shifts move
the whole gate in time; semi-Markov surrogates shuffle its open and its closed spells, so that
every dwell time occurs exactly as often. Both pay for their switches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from majors_alts_monitor.types import DAYS_PER_YEAR, Bools, Floats

TIE: Final = 1e-12
"""Values this close are equal; sums of the same days in another order are."""


@dataclass(frozen=True, slots=True)
class Placebo:
    """A gate's value and what chance would have given; fractions a year, net of cost."""

    value: float
    shifted: Floats
    """Value of every circular shift, shape (n_days - 1,)."""
    shuffled: Floats
    """Value of every semi-Markov surrogate."""
    p_shifted: float
    p_shuffled: float
    """Share of gates, the true one included, that were worth at least as much."""
    n_spells: int


def placebo_test(
    is_open: Bools,
    returns: Floats,
    *,
    delay_days: int,
    cost_per_switch: float,
    n_surrogates: int,
    seed: int,
) -> Placebo:
    """Return the value of holding ``returns`` while the gate is open, against placebo gates.

    Parameters
    ----------
    is_open : bool array of shape (n_days,)
    returns : array of shape (n_days,)
        Daily return of what is held; a missing one earns nothing.
    delay_days : int
        The gate of day t holds on day t + delay: 1 + the execution lag.
    cost_per_switch : float
        Paid at every opening and closing, a fraction.
    n_surrogates, seed : int

    Examples
    --------
    >>> is_open = np.array([True, True, False, False, True, False])
    >>> earned = np.array([0.0, 0.01, 0.01, -0.01, -0.01, 0.01])
    >>> found = placebo_test(is_open, earned, delay_days=1, cost_per_switch=0.0,
    ...                      n_surrogates=99, seed=1)
    >>> round(found.value, 6) == round(0.03 / 5 * 365, 6), found.p_shifted
    (True, 0.2)
    """
    held = is_open[: len(is_open) - delay_days]
    earned = np.nan_to_num(returns[delay_days:], nan=0.0)
    n = len(held)
    lengths = spell_lengths(held)
    ends = np.add.accumulate(lengths)[np.newaxis]
    first_open = bool(held[0])
    value = _values(ends, first_open, earned, cost_per_switch)[0]

    shifted = _shifted_values(held, earned, cost_per_switch)[1:]
    shuffled_ends = _shuffle(lengths, n_surrogates, seed)
    shuffled = _values(shuffled_ends, first_open, earned, cost_per_switch)
    return Placebo(
        value=float(value),
        shifted=shifted,
        shuffled=shuffled,
        p_shifted=float((1 + (shifted >= value - TIE).sum()) / n),
        p_shuffled=float((1 + (shuffled >= value - TIE).sum()) / (n_surrogates + 1)),
        n_spells=len(lengths),
    )


def spell_lengths(states: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return the lengths of runs of equal values, in order.

    Examples
    --------
    >>> spell_lengths(np.array([0, 0, 1, 0])).tolist()
    [2, 1, 1]
    """
    edges = np.flatnonzero(states[1:] != states[:-1]) + 1
    return np.diff(np.concatenate([[0], edges, [len(states)]])).astype(np.int64)


def _shuffle(lengths: npt.NDArray[np.int64], n_draws: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the ends of spells when each side's are shuffled, shape (n_draws, n_spells)."""
    rng = np.random.default_rng(seed)
    drawn = np.tile(lengths, (n_draws, 1))
    for side in (0, 1):
        drawn[:, side::2] = rng.permuted(drawn[:, side::2], axis=1)
    ends: npt.NDArray[np.int64] = np.add.accumulate(drawn, axis=1)
    return ends


def _values(ends: npt.NDArray[np.int64], first_open: bool, earned: Floats, cost: float) -> Floats:
    """Return the yearly value of gates given by the ends of their spells, shape (n_gates,)."""
    n = len(earned)
    cumulative = np.concatenate([[0.0], np.add.accumulate(earned)])
    starts = np.concatenate([np.zeros((len(ends), 1), dtype=np.int64), ends[:, :-1]], axis=1)
    of_spell = cumulative[ends] - cumulative[starts]
    gained = np.add.accumulate(of_spell[:, int(not first_open) :: 2], axis=1)
    total = gained[:, -1] if gained.shape[1] else np.zeros(len(ends))
    switches = ends.shape[1] - 1 + int(first_open)
    values: Floats = (total - cost * switches) / n * DAYS_PER_YEAR
    return values


def shifted_sums(inside: Bools, values: Floats) -> Floats:
    """Return the sum of ``values`` on the inside days, these moved by 0, 1, .. n-1 in a circle.

    Examples
    --------
    >>> shifted_sums(np.array([True, False, False]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    n = len(inside)
    ends = np.add.accumulate(spell_lengths(inside))
    starts = np.concatenate([[0], ends[:-1]])
    side = slice(int(not inside[0]), None, 2)
    twice = np.concatenate([[0.0], np.add.accumulate(np.tile(values, 2))])
    shift = np.arange(n)[:, np.newaxis]
    of_spell = twice[shift + ends[side]] - twice[shift + starts[side]]
    sums: Floats = np.add.accumulate(of_spell, axis=1)[:, -1] if of_spell.size else np.zeros(n)
    return sums


def _shifted_values(held: Bools, earned: Floats, cost: float) -> Floats:
    """Return the yearly value of the gate moved by 0, 1, .. n-1 days in a circle, shape (n,)."""
    # Moved by s the path starts with day n-s; the circle's edge there is not a switch.
    backwards = held[::-1]
    first = np.roll(backwards, 1)
    is_edge = first != backwards
    switches = int(is_edge.sum()) - is_edge.astype(np.int64) + first.astype(np.int64)
    values: Floats = (shifted_sums(held, earned) - cost * switches) / len(held) * DAYS_PER_YEAR
    return values
