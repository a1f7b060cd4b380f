"""Walk-forward search of weights and thresholds; a window never sees the days it is applied to.

Flow: ``windows -> draws -> objective on the purged training days -> parameters in force``. The
last ``eval_horizon_days`` of a training window are purged, since their forward returns reach into
the days that follow it. Directions, and whatever has no search range, stay configured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor.config import RegimeConfig
from majors_alts_monitor.regime import composite
from majors_alts_monitor.regime._states import walk_paths
from majors_alts_monitor.regime.composite import THRESHOLDS, Parameters
from majors_alts_monitor.regime.long_short import forward_returns
from majors_alts_monitor.regime.rank_ic import MIN_PAIRS, rank_ic
from majors_alts_monitor.regime.walk_forward import Window
from majors_alts_monitor.types import DAYS_PER_YEAR, GROUPS, Bools, Floats

MAX_REDRAWS: Final = 100
"""Thresholds that do not ascend are drawn again so often before the configured ones are taken."""
HIGH: Final = THRESHOLDS.index("high")


@dataclass(frozen=True, slots=True)
class History:
    """What calibration reads, one row per calendar day."""

    dates: pd.DatetimeIndex
    signed: Floats
    """d clip(z) of the groups, shape (n_days, 8)."""
    long_short: Floats
    """Majors' return over the ALT index, fractions."""
    is_extreme: Bools
    """Days whose week of BTC was extreme enough for the high-volatility gate."""


def calibrate(
    history: History, windows: Sequence[Window], config: RegimeConfig
) -> tuple[Parameters, pd.DataFrame]:
    """Return the parameters in force day by day, and one row a window (``calibration.csv``).

    Days before the first window's keep the configured values, shapes (n_days, 8) and
    (n_days, 4).
    """
    plain = composite.configured(config.weights, config.thresholds)
    n_days = len(history.dates)
    weights = np.tile(plain.weights, (n_days, 1))
    thresholds = np.tile(plain.thresholds, (n_days, 1))
    forward = forward_returns(history.long_short, config.calibration.eval_horizon_days)
    rows = []
    for window in windows:
        chosen, in_sample = search(history, forward, window, config)
        weights[window.apply_from : window.apply_to] = chosen.weights
        thresholds[window.apply_from : window.apply_to] = chosen.thresholds
        out_of_sample = _out_of_sample(history, forward, window, chosen, config)
        rows.append(_row(history.dates, window, chosen, in_sample, out_of_sample, config))
    return Parameters(weights, thresholds), pd.DataFrame(rows, columns=_columns())


def search(
    history: History, forward: Floats, window: Window, config: RegimeConfig
) -> tuple[Parameters, float]:
    """Return the best draw of one window, shapes (8,) and (4,), and its objective in sample.

    Rank IC does not depend on thresholds; under that objective the best weights are taken
    first and then, of the same draws, the thresholds with the best gated Sharpe. Where no draw
    has an objective the configured values stay.
    """
    settings = config.calibration
    rng = np.random.default_rng([settings.seed, window.number])
    draws = draw(config, rng)
    purged_from = window.fit_to - settings.eval_horizon_days
    days = slice(window.fit_from, purged_from)
    scores = _scores(history, window.fit_from, purged_from, draws.weights, config)
    if settings.objective == "rank_ic":
        values = rank_ic(scores, forward[days])
    else:
        values = _gated_sharpe(history, days, scores, forward, draws.thresholds, config)
    if np.isnan(values).all():
        return composite.configured(config.weights, config.thresholds), np.nan
    best = int(np.nanargmax(values))
    thresholds = draws.thresholds[best]
    if settings.objective == "rank_ic":
        own = np.tile(scores[best], (len(scores), 1))
        sharpes = _gated_sharpe(history, days, own, forward, draws.thresholds, config)
        if not np.isnan(sharpes).all():
            thresholds = draws.thresholds[int(np.nanargmax(sharpes))]
    return Parameters(draws.weights[best], thresholds), float(values[best])


def draw(config: RegimeConfig, rng: np.random.Generator) -> Parameters:
    """Return ``n_samples`` uniform draws from the ranges, shapes (n_samples, 8), (n_samples, 4).

    Thresholds that do not ascend are drawn again, all four.
    """
    settings, n = config.calibration, config.calibration.n_samples
    plain = composite.configured(config.weights, config.thresholds)
    weights = np.tile(plain.weights, (n, 1))
    for column, group in enumerate(GROUPS):
        if group in settings.ranges:
            weights[:, column] = rng.uniform(*settings.ranges[group], size=n)
    thresholds = np.tile(plain.thresholds, (n, 1))
    unordered: Bools = np.ones(n, dtype=np.bool_)
    for _ in range(MAX_REDRAWS):
        for column, name in enumerate(THRESHOLDS):
            if name in settings.ranges:
                again = rng.uniform(*settings.ranges[name], size=n)
                thresholds[unordered, column] = again[unordered]
        unordered = np.asarray((np.diff(thresholds, axis=1) <= 0).any(axis=1))
        if not unordered.any():
            break
    thresholds[unordered] = plain.thresholds
    return Parameters(weights, thresholds)


def _scores(
    history: History, first: int, end: int, weights: Floats, config: RegimeConfig
) -> Floats:
    """Return score_raw under each row of weights, shape (n_weights, end - first)."""
    signed = history.signed[first:end]
    return composite.combine(signed, weights[:, np.newaxis, :], config.min_weight_share)[0]


def _gated_sharpe(
    history: History,
    days: slice,
    scores: Floats,
    forward: Floats,
    thresholds: Floats,
    config: RegimeConfig,
    skip: int = 0,
) -> Floats:
    """Return the Sharpe ratio of holding majors over ALTs while the regime favours majors.

    One per path: the forward return counts on days in a majors' regime and is 0 on others; the
    first ``skip`` days lead the state machine in but are not judged. Annualised as if horizons
    did not overlap, which ranks draws but is no estimate of a tradable Sharpe ratio.
    """
    gates = history.is_extreme[days] & (scores > thresholds[:, HIGH, np.newaxis])
    codes, _ = walk_paths(
        scores,
        gates,
        thresholds[:, np.newaxis],
        hysteresis_band=config.hysteresis_band,
        min_regime_days=config.min_regime_days,
        n_regimes=config.n_regimes,
    )
    judged = forward[days][skip:]
    has_return = ~np.isnan(judged)
    if has_return.sum() < MIN_PAIRS:
        return np.full(len(scores), np.nan)
    earned = (codes[:, skip:] > 0)[:, has_return] * judged[has_return]
    deviation = earned.std(axis=1, ddof=1)
    per_year = np.sqrt(DAYS_PER_YEAR / config.calibration.eval_horizon_days)
    safe = np.where(deviation > 0, deviation, 1.0)
    sharpes: Floats = np.where(deviation > 0, earned.mean(axis=1) / safe * per_year, np.nan)
    return sharpes


def _out_of_sample(
    history: History, forward: Floats, window: Window, chosen: Parameters, config: RegimeConfig
) -> float:
    """Return the objective on the days applied to; NaN until their forward returns are known."""
    settings = config.calibration
    if window.apply_to + settings.eval_horizon_days > len(history.dates):
        return np.nan
    days = slice(window.fit_from, window.apply_to)
    weights = chosen.weights[np.newaxis]
    scores = _scores(history, window.fit_from, window.apply_to, weights, config)
    lead_in = window.apply_from - window.fit_from
    if settings.objective == "rank_ic":
        return float(rank_ic(scores[:, lead_in:], forward[window.apply_from : window.apply_to])[0])
    limits = chosen.thresholds[np.newaxis]
    return float(_gated_sharpe(history, days, scores, forward, limits, config, skip=lead_in)[0])


def _columns() -> list[str]:
    return [
        "window",
        "fit_start",
        "fit_end",
        "purged_from",
        "apply_start",
        "apply_end",
        "objective_in_sample",
        "objective_out_of_sample",
        *(f"weight_{group}" for group in GROUPS),
        *(f"threshold_{name}" for name in THRESHOLDS),
    ]


def _row(
    dates: pd.DatetimeIndex,
    window: Window,
    chosen: Parameters,
    in_sample: float,
    out_of_sample: float,
    config: RegimeConfig,
) -> list[Any]:
    first = dates[0]
    days = (
        window.fit_from,
        window.fit_to - 1,
        window.fit_to - config.calibration.eval_horizon_days,
        window.apply_from,
        # The planned last day may lie behind the lake's.
        window.apply_to - 1,
    )
    return [
        window.number,
        *(first + pd.Timedelta(days=day) for day in days),
        in_sample,
        out_of_sample,
        *chosen.weights.tolist(),
        *chosen.thresholds.tolist(),
    ]
