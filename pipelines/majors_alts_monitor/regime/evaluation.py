"""What the regimes were worth, judged against chance.

Flow: ``timeline, features, long-short return -> evaluate -> Evaluation``: rank IC of every score
input with its sign, forward return by regime, dwell times, and placebo gates. Forward returns
are compounded over the whole horizon; they overlap, and every interval allows for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from majors_alts_monitor.config import DirectionsConfig
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import Timeline
from majors_alts_monitor.regime.long_short import forward_returns
from majors_alts_monitor.regime.placebo import (
    TIE,
    Placebo,
    placebo_test,
    shifted_sums,
    spell_lengths,
)
from majors_alts_monitor.regime.rank_ic import rank_ic, rank_ic_intervals
from majors_alts_monitor.types import DAYS_PER_YEAR, GROUPS, TRADING_REGIMES, Bools, Floats, Regime

LEVEL: Final = 0.95
BLOCK_HORIZONS: Final = 2
"""Bootstrap blocks and Newey-West lags reach over twice the overlap."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the evaluation is asked for."""

    directions: DirectionsConfig
    horizons_days: tuple[int, ...]
    window_days: int
    """Length of the consecutive windows in which signs are judged again."""
    lag_days: int
    """Execution lag."""
    cost_per_switch: float
    """Of entering or leaving the whole book, a fraction of NAV."""
    n_boot: int
    seed: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Tables of the report, and the placebo gates."""

    rank_ic: pd.DataFrame
    """One row per input, window and horizon; see ``rank_ic_table``."""
    by_regime: pd.DataFrame
    """One row per regime and horizon; see ``returns_by_regime``."""
    dwell: pd.DataFrame
    """One row per regime; see ``dwell_times``."""
    switches_per_year: float
    placebo: Placebo


def evaluate(
    timeline: Timeline, features: pd.DataFrame, long_short: pd.Series[float], settings: Settings
) -> Evaluation:
    """Return how the regimes and their inputs fared against chance.

    Parameters
    ----------
    timeline : Timeline
    features : DataFrame
        By date; its days decide what is judged.
    long_short : Series
        Majors' return over the ALT index, by date, a fraction.
    settings : Settings
    """
    daily = timeline.daily.loc[features.index]
    earned = long_short.reindex(features.index)
    inputs = features[[PRIMARY[group] for group in GROUPS]].set_axis(list(GROUPS), axis="columns")
    inputs = inputs.assign(score_raw=daily["score_raw"])
    is_open = daily["regime"].isin([regime.value for regime in TRADING_REGIMES])
    return Evaluation(
        rank_ic=rank_ic_table(inputs, earned, settings),
        by_regime=returns_by_regime(daily["regime"], earned, settings.horizons_days),
        dwell=dwell_times(daily["regime"]),
        switches_per_year=switches_per_year(daily["regime"]),
        placebo=placebo_test(
            is_open.to_numpy(dtype=np.bool_),
            np.asarray(earned, dtype=np.float64),
            delay_days=1 + settings.lag_days,
            cost_per_switch=settings.cost_per_switch,
            n_surrogates=settings.n_boot,
            seed=settings.seed,
        ),
    )


def rank_ic_table(
    inputs: pd.DataFrame, long_short: pd.Series[float], settings: Settings
) -> pd.DataFrame:
    """Return the rank IC of each input with the forward return, per window and horizon.

    Parameters
    ----------
    inputs : DataFrame of shape (n_days, n_inputs)
        Columns are groups, or ``score_raw``, whose direction is +1.
    long_short : Series of shape (n_days,)
    settings : Settings

    Returns
    -------
    DataFrame
        input, direction, horizon_days, window (``all``, then 0, 1, ..), start, end (of the
        days ranked), n_pairs, rank_ic, ci_low, ci_high, verdict: ``agrees`` or ``disagrees``
        when the interval lies on one side of 0, else ``unclear``.
    """
    values = inputs.to_numpy(dtype=np.float64, na_value=np.nan).T
    names = list(inputs.columns)
    directions = [getattr(settings.directions, name, 1) for name in names]
    tables = []
    for horizon in settings.horizons_days:
        forward = forward_returns(np.asarray(long_short, dtype=np.float64), horizon)
        for label, days in _windows(len(inputs), settings.window_days):
            ahead = _inside(forward, days, horizon, is_all=label == "all")
            ics = rank_ic(values[:, days], ahead)
            low, high = rank_ic_intervals(
                values[:, days],
                ahead,
                block=BLOCK_HORIZONS * horizon,
                n_boot=settings.n_boot,
                seed=settings.seed,
                level=LEVEL,
            )
            tables.append(
                pd.DataFrame(
                    {
                        "input": names,
                        "direction": directions,
                        "horizon_days": horizon,
                        "window": label,
                        "start": inputs.index[days][0],
                        "end": inputs.index[days][-1],
                        "n_pairs": (~np.isnan(values[:, days]) & ~np.isnan(ahead)).sum(axis=1),
                        "rank_ic": ics,
                        "ci_low": low,
                        "ci_high": high,
                    }
                )
            )
    table = pd.concat(tables, ignore_index=True)
    return table.assign(verdict=_verdict(table))


def _windows(n_days: int, window_days: int) -> list[tuple[str, slice]]:
    """Return the whole and its consecutive windows; a remainder joins none."""
    starts = range(0, n_days - window_days + 1, window_days)
    parts = [(str(i), slice(start, start + window_days)) for i, start in enumerate(starts)]
    return [("all", slice(0, n_days)), *parts]


def _inside(forward: Floats, days: slice, horizon: int, *, is_all: bool) -> Floats:
    """Return forward returns that end inside the window, so that windows share no day."""
    ahead = forward[days].copy()
    if not is_all:
        ahead[max(0, len(ahead) - horizon) :] = np.nan
    return ahead


def _verdict(table: pd.DataFrame) -> pd.Series[str]:
    sign = np.where(table["ci_low"] > 0, 1, np.where(table["ci_high"] < 0, -1, 0))
    words = np.where(sign == table["direction"], "agrees", "disagrees")
    return pd.Series(np.where(sign == 0, "unclear", words), index=table.index, dtype="str")


def returns_by_regime(
    regimes: pd.Series[str], long_short: pd.Series[float], horizons_days: tuple[int, ...]
) -> pd.DataFrame:
    """Return the forward long-short return after days in each regime, against all days.

    The p-value of the excess over the mean of all days is the share of circular shifts of the
    regimes against the returns whose excess is as far from 0: overlap and dwell times stay as
    they are. Its interval takes Newey-West errors with lags over twice the overlap, and Student's
    t with as many degrees of freedom as the regime has whole horizons, less one.

    Returns
    -------
    DataFrame
        regime, horizon_days, n_days, mean_return, excess_return, p_value (two-sided),
        standard_error, ci_low, ci_high (of the excess, 95 %); null where a regime was seen for
        less than two horizons.

    References
    ----------
    .. [1] W. K. Newey, K. D. West (1987), "A Simple, Positive Semi-Definite, Heteroskedasticity
       and Autocorrelation Consistent Covariance Matrix", Econometrica 55(3).
    """
    seen = set(regimes)
    rows = []
    for horizon in horizons_days:
        forward = forward_returns(np.asarray(long_short, dtype=np.float64), horizon)
        for regime in (name.value for name in Regime if name.value in seen):
            inside = (regimes == regime).to_numpy(dtype=np.bool_)
            rows.append([regime, horizon, *_excess(inside, forward, horizon)])
    columns = [
        "regime",
        "horizon_days",
        "n_days",
        "mean_return",
        "excess_return",
        "p_value",
        "standard_error",
        "ci_low",
        "ci_high",
    ]
    return pd.DataFrame(rows, columns=columns)


def _excess(inside: Bools, forward: Floats, horizon: int) -> list[float]:
    """Return n_days and the numbers of ``returns_by_regime``; NaN where they are undefined."""
    is_known = ~np.isnan(forward)
    d, f = inside[is_known], forward[is_known]
    n_inside = int(d.sum())
    if n_inside == 0:
        return [0, *[np.nan] * 6]
    mean, everywhere = float(f[d].mean()), float(f.mean())
    excess = mean - everywhere
    degrees = n_inside / horizon - 1
    if degrees < 1 or n_inside == len(d):
        return [n_inside, mean, excess, *[np.nan] * 4]
    shifted = np.abs(shifted_sums(d, f - everywhere)) / n_inside
    p_value = float((shifted >= abs(excess) - TIE).mean())
    influence = np.where(d, (f - mean) * (len(d) / n_inside), 0.0) - (f - everywhere)
    error = newey_west_error(influence, BLOCK_HORIZONS * horizon)
    reach = float(stdtrit(degrees, (1 + LEVEL) / 2)) * error
    return [n_inside, mean, excess, p_value, error, excess - reach, excess + reach]


def newey_west_error(x: Floats, lags: int) -> float:
    """Return the standard error of the mean of ``x``, Bartlett weights over ``lags`` lags.

    Examples
    --------
    >>> newey_west_error(np.array([1.0, -1.0, 1.0, -1.0]), 0)
    0.5
    """
    n = len(x)
    centred = x - x.mean()
    variance = float((centred * centred).sum())
    for lag in range(1, min(lags, n - 1) + 1):
        weight = 1 - lag / (lags + 1)
        variance += 2 * weight * float((centred[lag:] * centred[:-lag]).sum())
    return float(np.sqrt(max(variance, 0.0)) / n)


def dwell_times(regimes: pd.Series[str]) -> pd.DataFrame:
    """Return how long each regime lasted, once entered.

    Returns
    -------
    DataFrame
        regime, n_spells, n_days, share_of_days, mean_days, median_days, max_days.

    Examples
    --------
    >>> table = dwell_times(pd.Series(["BALANCED"] * 3 + ["RISK_ON_ALTS"] + ["BALANCED"]))
    >>> table[["regime", "n_spells", "mean_days"]].to_numpy().tolist()
    [['RISK_ON_ALTS', 1, 1.0], ['BALANCED', 2, 2.0]]
    """
    values = regimes.to_numpy(dtype=object)
    lengths = spell_lengths(values)
    names = values[np.add.accumulate(lengths) - 1]
    rows = []
    for regime in (name.value for name in Regime):
        own = lengths[names == regime]
        if own.size:
            share = own.sum() / len(values)
            spread = [float(own.mean()), float(np.median(own)), int(own.max())]
            rows.append([regime, own.size, int(own.sum()), share, *spread])
    columns = [
        "regime",
        "n_spells",
        "n_days",
        "share_of_days",
        "mean_days",
        "median_days",
        "max_days",
    ]
    return pd.DataFrame(rows, columns=columns)


def switches_per_year(regimes: pd.Series[str]) -> float:
    """Return the number of changes of regime per 365 days.

    Examples
    --------
    >>> switches_per_year(pd.Series(["A", "B"] * 365))
    364.5
    """
    n_switches = len(spell_lengths(regimes.to_numpy(dtype=object))) - 1
    return n_switches / len(regimes) * DAYS_PER_YEAR
