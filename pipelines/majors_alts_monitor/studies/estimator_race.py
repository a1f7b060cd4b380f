"""How estimators of beta compare on a market: forecasts against the next 20 days, paired by day.

Flow: ``Market -> forecast days -> squared errors per rival -> one row a rival``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.beta_neutral.basket import screen
from majors_alts_monitor.beta_neutral.betas import fit_betas
from majors_alts_monitor.beta_neutral.books import closes_needed
from majors_alts_monitor.config import BetaConfig, MonitorConfig
from majors_alts_monitor.errors import RangeError
from majors_alts_monitor.types import Floats, Market

HORIZON_DAYS: Final = 20
EVERY_DAYS: Final = 5
"""Forecasts are made every 5 days; standard errors use every 4th, whose outcomes do not overlap."""

ERRORS: Final = ("beta_rmse", "hedge_error", "basket_rmse")


@dataclass(frozen=True, slots=True)
class _Day:
    """One forecast date: returns up to it, and after it."""

    y: Floats
    x: Floats
    next_y: Floats
    next_x: Floats


def race(
    market: Market,
    config: MonitorConfig,
    rivals: Sequence[tuple[str, float]],
    start: date | None = None,
) -> pd.DataFrame:
    """Return one row per rival: its errors, its bias, and how surely it loses to the best.

    Parameters
    ----------
    market : Market
        Forecasts read closes as known on their day; outcomes are the closes of the days after.
    config : MonitorConfig
        Filters, window, prior and clamp of every rival.
    rivals : sequence of (estimator, ridge_alpha)
    start : date, optional
        No forecast is made before it; histories are read from before.

    Returns
    -------
    DataFrame
        Columns estimator, ridge_alpha, the three errors, ``share_hedged`` (sum of the basket's
        forecast betas over the realised sum: 0.5 leaves half unhedged), ``t_behind`` (mean
        difference in squared hedge error to the best over its standard error, on
        non-overlapping days), n_days. Smallest ``hedge_error`` first.

    Raises
    ------
    RangeError
        If the market is too short for two outcomes that do not overlap.
    """
    days = _days(market, config, start or market.dates[0].date())
    if len(days) <= HORIZON_DAYS // EVERY_DAYS:
        raise RangeError(
            f"{len(days)} forecast days up to {market.dates[-1]:%Y-%m-%d}; a race needs more than "
            f"{HORIZON_DAYS // EVERY_DAYS}, each with {HORIZON_DAYS} days after it"
        )
    squares, shares = [], []
    for estimator, alpha in rivals:
        beta = config.beta.model_copy(update={"estimator": estimator, "ridge_alpha": alpha})
        per_day = np.array([_errors(day, beta) for day in days]).reshape(-1, len(ERRORS) + 2)
        squares.append(per_day[:, : len(ERRORS)])
        shares.append(per_day[:, -2].sum() / per_day[:, -1].sum())
    by_day = np.stack(squares)
    best = by_day[:, :, 1].mean(axis=1).argmin()
    table = pd.DataFrame(list(rivals), columns=["estimator", "ridge_alpha"])
    table[list(ERRORS)] = np.sqrt(by_day.mean(axis=1))
    table["share_hedged"] = shares
    table["t_behind"] = _t_of(by_day[:, :: HORIZON_DAYS // EVERY_DAYS, 1], int(best))
    table["n_days"] = len(days)
    return table.sort_values("hedge_error", kind="stable", ignore_index=True)


def _days(market: Market, config: MonitorConfig, start: date) -> list[_Day]:
    days = []
    window = closes_needed(config)
    first = max(window - 1, int(market.dates.searchsorted(pd.Timestamp(start))))
    for row in range(first, len(market.dates) - HORIZON_DAYS, EVERY_DAYS):
        known = market.closes_as_known(row, window)
        after = market.close_usd[row : row + HORIZON_DAYS + 1]
        is_used = market.is_eligible[row] & market.is_alt & np.isfinite(after).all(axis=0)
        columns = np.flatnonzero(is_used)
        majors = list(market.major_columns)
        alts, both = known[:, columns].T, known[:, majors].T
        passes = screen(alts, both, config.universe.alt_selection).passes
        if passes.sum() >= config.universe.min_names and np.isfinite(after[:, majors]).all():
            after_alts, after_majors = after[:, columns[passes]].T, after[:, majors].T
            days.append(
                _Day(_logs(alts[passes]), _logs(both), _logs(after_alts), _logs(after_majors))
            )
    return days


def _logs(closes: Floats) -> Floats:
    return np.asarray(np.log(np.ascontiguousarray(closes[:, 1:] / closes[:, :-1])))


def _errors(day: _Day, config: BetaConfig) -> tuple[float, ...]:
    """Return the squared errors in the order of ``ERRORS``, and both basket betas' sums."""
    y, x = day.y[:, -config.lookback_days :], day.x[:, -config.lookback_days :]
    forecast = fit_betas(y, x, config).betas
    centred = day.next_x - day.next_x.mean(axis=1, keepdims=True)
    realised = np.linalg.lstsq(centred.T, day.next_y.T, rcond=None)[0].T
    gap = forecast - realised
    missed = gap @ centred
    return (
        float((gap**2).mean()),
        float((missed**2).mean()),
        float((gap.mean(axis=0) ** 2).mean()),
        float(forecast.mean(axis=0).sum()),
        float(realised.mean(axis=0).sum()),
    )


def _t_of(squares: Floats, best: int) -> Floats:
    """Return the t-value of each rival's mean distance to the best, 0 for the best itself."""
    distance = squares - squares[best]
    error = distance.std(axis=1, ddof=1) / np.sqrt(distance.shape[1])
    behind: Floats = np.zeros(len(error))
    np.divide(distance.mean(axis=1), error, out=behind, where=error > 0)
    return behind
