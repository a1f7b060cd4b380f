"""The compiled state machine: scores in, integer states and ages out (strategy.md section 4).

States are -2..2 with five states and -1..1 with three; negative favours ALTS. Many paths run in
one call, each with its own scores, gate and, day by day, thresholds.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from majors_alts_monitor.backtest._compiled import compiled
from majors_alts_monitor.types import FIVE_STATES, THREE_STATES, Bools, Floats, Regime

Codes = npt.NDArray[np.int8]
Ages = npt.NDArray[np.int64]

YOUNG_BAND: Final = 1.5
"""A young state is left only beyond this many bands."""


@compiled
def _classify(
    score: float, strong_low: float, low: float, high: float, strong_high: float, is_five: bool
) -> int:
    if score > high:
        return 2 if is_five and score > strong_high else 1
    if score < low:
        return -2 if is_five and score < strong_low else -1
    return 0


@compiled
def _walk(
    scores: Floats,
    gates: Bools,
    thresholds: Floats,
    band: float,
    min_days: int,
    is_five: bool,
    codes: Codes,
    ages: Ages,
) -> None:
    n_paths, n_days = scores.shape
    n_limits = thresholds.shape[1]
    for path in range(n_paths):
        limits = thresholds[path if thresholds.shape[0] > 1 else 0]
        state, age, is_first = 0, 0, True
        for day in range(n_days):
            today = day if n_limits > 1 else 0
            strong_low, low = limits[today, 0], limits[today, 1]
            high, strong_high = limits[today, 2], limits[today, 3]
            score = scores[path, day]
            # A score that is NaN is beyond no boundary, and so in BALANCED.
            new = _classify(score, strong_low, low, high, strong_high, is_five)
            is_outward = state == 0 or (new * state > 0 and abs(new) > abs(state))
            if not (is_outward or new == state or np.isnan(score)):
                width = YOUNG_BAND * band if age < min_days else band
                if state > 0:
                    has_left = score < (strong_high if state == 2 else high) - width
                else:
                    has_left = score > (strong_low if state == -2 else low) + width
                if not has_left:
                    new = state
            if gates[path, day] and new > max(state, 0):
                # No outward move on the majors' side; a move across ends in BALANCED.
                new = max(state, 0)
            age = age + 1 if new == state and not is_first else 0
            state, is_first = new, False
            codes[path, day] = state
            ages[path, day] = age


def walk_paths(
    scores: Floats,
    gates: Bools,
    thresholds: Floats,
    *,
    hysteresis_band: float,
    min_regime_days: int,
    n_regimes: int,
) -> tuple[Codes, Ages]:
    """Return state and age of every path and day, both of shape (n_paths, n_days).

    The age that decides the width of the band is the age the state had on the day before, 0 on
    its first day; so a state is young on the ``min_regime_days`` days that follow its first.

    Parameters
    ----------
    scores : array of shape (n_paths, n_days)
        ``score_raw`` in z-score units; NaN is a day without one, spent in BALANCED.
    gates : bool array of shape (n_paths, n_days)
        Days of the high-volatility gate.
    thresholds : array of shape (1 or n_paths, 1 or n_days, 4)
        strong_low, low, high, strong_high, ascending.
    hysteresis_band : float
        Distance beyond the inner boundary that an inward move needs.
    min_regime_days : int
        While a state is younger the band is 1.5 times as wide.
    n_regimes : int
        5 or 3; three states use low and high only.

    Examples
    --------
    >>> scores = np.array([[0.0, 0.6, 0.1, -0.6]])
    >>> limits = np.array([[[-1.5, -0.5, 0.5, 1.5]]])
    >>> codes, ages = walk_paths(scores, np.zeros((1, 4), bool), limits,
    ...                          hysteresis_band=0.3, min_regime_days=3, n_regimes=5)
    >>> codes[0].tolist(), ages[0].tolist()
    ([0, 1, 1, -1], [0, 0, 1, 0])
    """
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    gates = np.ascontiguousarray(gates, dtype=np.bool_)
    codes = np.empty(scores.shape, dtype=np.int8)
    ages = np.empty(scores.shape, dtype=np.int64)
    limits = np.ascontiguousarray(thresholds, dtype=np.float64)
    is_five = n_regimes == len(FIVE_STATES)
    _walk(scores, gates, limits, float(hysteresis_band), int(min_regime_days), is_five, codes, ages)
    return codes, ages


@compiled
def _hold(
    wanted: Codes, has_evidence: Bools, gates: Bools, min_days: int, codes: Codes, ages: Ages
) -> None:
    state, age, is_bound = 0, 0, False
    for day in range(len(wanted)):
        if not has_evidence[day]:
            new = 0
        elif is_bound and age + 1 < min_days:
            new = state
        else:
            new = wanted[day]
        if gates[day] and new > max(state, 0):
            new = max(state, 0)
        age = age + 1 if new == state and day > 0 else 0
        state, is_bound = new, has_evidence[day]
        codes[day] = state
        ages[day] = age


def hold_states(
    wanted: Codes, has_evidence: Bools, gates: Bools, *, min_persistence_days: int
) -> tuple[Codes, Ages]:
    """Return state and age of each day when a state, once entered, lasts a minimum of days.

    Days without evidence are spent in BALANCED and bind nobody. The gate works as in
    ``walk_paths``.

    Examples
    --------
    >>> wanted = np.array([1, -1, -1, -1], dtype=np.int8)
    >>> yes, no = np.ones(4, dtype=bool), np.zeros(4, dtype=bool)
    >>> hold_states(wanted, yes, no, min_persistence_days=3)[0].tolist()
    [1, 1, 1, -1]
    """
    codes = np.empty(len(wanted), dtype=np.int8)
    ages = np.empty(len(wanted), dtype=np.int64)
    _hold(wanted, has_evidence, gates, int(min_persistence_days), codes, ages)
    return codes, ages


def states_of(n_regimes: int) -> tuple[Regime, ...]:
    """Return the states of a mode, from ALTS to majors."""
    return FIVE_STATES if n_regimes == len(FIVE_STATES) else THREE_STATES


def name_states(codes: npt.NDArray[np.integer], n_regimes: int) -> npt.NDArray[np.object_]:
    """Return the regime name of each state code.

    Examples
    --------
    >>> name_states(np.array([-1, 0, 2]), 5).tolist()
    ['WEAK_RISK_ON_ALTS', 'BALANCED', 'STRONG_RISK_ON_MAJORS']
    """
    states = states_of(n_regimes)
    names = np.array([state.value for state in states], dtype=object)
    named: npt.NDArray[np.object_] = names[codes.astype(np.int64) + len(states) // 2]
    return named
