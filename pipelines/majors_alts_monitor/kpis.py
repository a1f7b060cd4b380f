"""What a run is judged by: key figures, regimes, months, and where the result came from.

Flow: ``daily (columns of bt_daily_pnl), majors' returns -> kpis, regime_metrics, attribution``.
The single figures are in ``metrics.py``. Undefined is NaN; the outputs write it as null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor import metrics
from majors_alts_monitor.config import BootstrapConfig
from majors_alts_monitor.errors import IdentityError
from majors_alts_monitor.statistics import Trials, regress_newey_west
from majors_alts_monitor.types import DAYS_PER_YEAR, MAJORS, Bools, Floats, Regime

INTERVAL_LEVEL: Final = 0.95
NEWEY_WEST_LAGS: Final = 5
IDENTITY_TOLERANCE: Final = 1e-9

PARTS: Final = (
    "pnl_alts",
    "pnl_btc",
    "pnl_eth",
    "funding_alts",
    "funding_majors",
    "fees",
    "slippage",
    "impact",
)
"""The parts ``r_ls_net`` is the sum of, costs as positive numbers."""
COSTS: Final = ("fees", "slippage", "impact")

Kpi = float | int | str


def kpis(
    daily: pd.DataFrame,
    major_returns: pd.DataFrame,
    trials: Trials,
    bootstrap: BootstrapConfig,
    *,
    seed: int,
) -> dict[str, Kpi]:
    """Return the content of kpis.json; contract.md section 5 lists the names.

    Parameters
    ----------
    daily : DataFrame of shape (n_days, >= 10)
        Columns of bt_daily_pnl, indexed by day.
    major_returns : DataFrame of shape (n_days, 2)
        Simple daily returns of BTC and ETH on the same days.
    trials : Trials
        From the ledger, this run included.
    bootstrap : BootstrapConfig
        Block and draws; not enabled: the interval is NaN.
    seed : int
        Of the bootstrap.
    """
    r = daily["r_ls_net"].to_numpy()
    is_invested = daily["total_gross"].to_numpy() > 0
    costs = daily[list(COSTS)].to_numpy().sum(axis=1)
    funding = daily[["funding_alts", "funding_majors"]].to_numpy().sum(axis=1)
    turnover = daily[["alt_turnover", "major_turnover"]].to_numpy().sum(axis=1)
    result: dict[str, Kpi] = {
        "cagr": metrics.cagr(r),
        "sortino": metrics.sortino(r),
        "volatility": metrics.volatility(r),
        "max_drawdown": metrics.max_drawdown(r),
        "calmar": metrics.calmar(r),
        "hit_rate": metrics.hit_rate(r, is_invested),
        "exposure_share": _mean(is_invested),
        "avg_turnover": _mean(turnover),
        "funding_drag": -DAYS_PER_YEAR * _mean(funding),
        "cost_drag": DAYS_PER_YEAR * _mean(costs),
        "total_return": metrics.total_return(r),
        "n_days": len(r),
        "start": _iso_day(daily, 0),
        "end": _iso_day(daily, -1),
    }
    result |= _sharpe_figures(r, trials, bootstrap, seed)
    result |= _realised_betas(r, daily.index, major_returns)
    return result


def _mean(values: Floats | Bools) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _iso_day(daily: pd.DataFrame, position: int) -> str:
    return str(daily.index[position])[:10] if len(daily) else ""


def _sharpe_figures(
    r: Floats, trials: Trials, bootstrap: BootstrapConfig, seed: int
) -> dict[str, Kpi]:
    per_period = metrics.sharpe_per_period(r)
    skew, kurtosis = metrics.skewness(r), metrics.raw_kurtosis(r)
    low = high = float("nan")
    if bootstrap.enabled:
        low, high = metrics.sharpe_interval(
            r, level=INTERVAL_LEVEL, block=bootstrap.block_size, reps=bootstrap.n_boot, seed=seed
        )
    return {
        "sharpe": metrics.sharpe(r),
        "sharpe_ci_low": low,
        "sharpe_ci_high": high,
        "psr": metrics.psr(per_period, 0.0, len(r), skew, kurtosis),
        **trial_figures(r, trials),
    }


def trial_figures(r: Floats, trials: Trials) -> dict[str, Kpi]:
    """Return the figures of daily net returns, shape (n_days,), that the trial count decides."""
    per_period = metrics.sharpe_per_period(r)
    skew, kurtosis = metrics.skewness(r), metrics.raw_kurtosis(r)
    return {
        "deflated_sharpe": metrics.deflated_sharpe(
            per_period, len(r), skew, kurtosis, trials.variance, trials.n
        ),
        "trials": trials.n,
    }


def _realised_betas(r: Floats, index: pd.Index, major_returns: pd.DataFrame) -> dict[str, Kpi]:
    """Return the joint betas of the net return to the majors, over the days both have one."""
    x = major_returns.reindex(index)[list(MAJORS)].to_numpy(dtype=np.float64)
    is_known = ~np.isnan(x).any(axis=1)
    fit = regress_newey_west(r[is_known], x[is_known], lags=NEWEY_WEST_LAGS)
    figures: dict[str, Kpi] = {}
    for place, major in enumerate(MAJORS, start=1):
        name = f"realised_beta_{major.lower()}"
        figures[name] = float(fit.coefficients[place])
        figures[f"{name}_ci_low"] = float(fit.low[place])
        figures[f"{name}_ci_high"] = float(fit.high[place])
    return figures


def earning_regime(regimes: pd.Series[str], *, lag: int) -> pd.Series[str]:
    """Return the regime each day's result belongs to: that of ``t - 1 - lag``.

    A decision of day d trades at the close of d + lag and earns from the day after. Before the
    data: BALANCED.

    Examples
    --------
    >>> earning_regime(pd.Series(["A", "B", "C"]), lag=1).tolist()
    ['BALANCED', 'BALANCED', 'A']
    """
    return regimes.shift(1 + lag, fill_value=Regime.BALANCED.value)


def regime_metrics(
    returns: pd.Series[float], regimes: pd.Series[str], states: Sequence[Regime]
) -> pd.DataFrame:
    """Return one row per state: columns of regime_metrics.csv.

    Parameters
    ----------
    returns : Series of shape (n_days,)
        Net daily returns.
    regimes : Series of shape (n_days,)
        The regime each return belongs to, see ``earning_regime``.
    states : sequence of Regime
        The states of the mode, in the order of the rows; one that never occurred has 0 days.

    Examples
    --------
    >>> r = pd.Series([0.01, 0.03, -0.01])
    >>> names = pd.Series(["BALANCED", "BALANCED", "RISK_ON_ALTS"])
    >>> table = regime_metrics(r, names, [Regime.BALANCED, Regime.RISK_ON_ALTS])
    >>> table["pnl_share"].round(3).tolist()
    [1.333, -0.333]
    """
    total = float(returns.sum())
    rows = []
    for state in states:
        r = returns.to_numpy()[regimes.to_numpy() == state.value]
        rows.append(
            {
                "regime": state.value,
                "n_days": len(r),
                "mean_return": _mean(r),
                "median_return": float(np.median(r)) if len(r) else float("nan"),
                "volatility": metrics.volatility(r),
                "sharpe": metrics.sharpe(r),
                "pnl_share": float(r.sum()) / total if total else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def monthly_returns(returns: pd.Series[float]) -> pd.DataFrame:
    """Return compounded returns, one row a year, columns 1 to 12 and ``year``; NaN without days.

    Examples
    --------
    >>> days = pd.to_datetime(["2024-01-30", "2024-01-31", "2024-02-01"])
    >>> monthly_returns(pd.Series([0.1, 0.1, 0.0], index=days)).loc[2024, [1, 2, "year"]].tolist()
    [0.21, 0.0, 0.21]
    """
    days = pd.DatetimeIndex(returns.index)
    growth = 1 + returns
    months = growth.groupby([days.year, days.month]).prod().unstack().reindex(columns=range(1, 13))
    months["year"] = growth.groupby(days.year).prod()
    return (months - 1).round(15).rename_axis(index="year", columns=None)


def check_identity(daily: pd.DataFrame) -> None:
    """Check that every day's parts add up to its result, and its legs to the gross.

    Raises
    ------
    IdentityError
        Naming the first day and the gap, when one exceeds 1e-9.
    """
    gross = daily[["pnl_alts", "pnl_btc", "pnl_eth"]].sum(axis="columns")
    gaps = {"r_ls_net": daily["r_ls_net"] - _signed_parts(daily).sum(axis="columns")}
    gaps["r_ls_gross"] = daily["r_ls_gross"] - gross
    for name, gap in gaps.items():
        is_off = ~(gap.abs() <= IDENTITY_TOLERANCE)
        if is_off.any():
            day = gap.index[is_off][0]
            raise IdentityError(f"{name} on {str(day)[:10]}: its parts miss it by {gap[day]:.3g}")


def _signed_parts(daily: pd.DataFrame) -> pd.DataFrame:
    parts = daily[list(PARTS)].copy()
    parts[list(COSTS)] *= -1
    return parts


def attribution(daily: pd.DataFrame, by: pd.Series[str] | None = None) -> pd.DataFrame:
    """Return the sum of each signed part of the daily return, per group and in all.

    Parameters
    ----------
    daily : DataFrame of shape (n_days, >= 9)
        Columns of bt_daily_pnl.
    by : Series of shape (n_days,), optional
        The group of each day, a regime or a month; without it only the total.

    Returns
    -------
    DataFrame
        Index: groups in order of their names, then ``total``. Columns: ``PARTS`` (costs
        negative) and ``r_ls_net``.

    Raises
    ------
    IdentityError
        If a day or a group does not add up.
    """
    check_identity(daily)
    parts = _signed_parts(daily).assign(r_ls_net=daily["r_ls_net"])
    total = parts.sum().to_frame("total").T
    table = total if by is None else pd.concat([parts.groupby(by.to_numpy()).sum(), total])
    _check_sums(table, len(daily))
    return table


def _check_sums(table: pd.DataFrame, n_days: int) -> None:
    gap = (table["r_ls_net"] - table[list(PARTS)].sum(axis="columns")).abs()
    if (gap > IDENTITY_TOLERANCE * max(1, n_days)).any():
        raise IdentityError(f"attribution of {gap.idxmax()}: its parts miss it by {gap.max():.3g}")


def attribution_by_asset(positions: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return the sum of each part per asset, largest net result first, and in all.

    Parameters
    ----------
    positions : DataFrame of shape (n_positions, >= 7)
        Columns of bt_positions.
    daily : DataFrame of shape (n_days, >= 9)
        Columns of bt_daily_pnl of the same days.

    Returns
    -------
    DataFrame
        Index: asset_id, then ``total``. Columns: pnl_price, pnl_funding, fee, slippage, impact
        (costs negative), net.

    Raises
    ------
    IdentityError
        If the positions of a day do not add up to its net return.
    """
    columns = ["pnl_price", "pnl_funding", "fee", "slippage", "impact"]
    parts = positions[columns] * np.array([1.0, 1.0, -1.0, -1.0, -1.0])
    parts["net"] = parts.sum(axis="columns")
    per_day = parts["net"].groupby(positions["date"].to_numpy()).sum()
    gap = (per_day.reindex(daily.index, fill_value=0.0) - daily["r_ls_net"]).abs()
    if (gap > IDENTITY_TOLERANCE).any():
        raise IdentityError(
            f"positions on {str(gap.idxmax())[:10]} miss r_ls_net by {gap.max():.3g}"
        )
    per_asset = parts.groupby(positions["asset_id"].to_numpy()).sum()
    ordered = per_asset.sort_values("net", ascending=False, kind="stable")
    return pd.concat([ordered, parts.sum().to_frame("total").T])


def explain_returns(daily: pd.DataFrame, major_returns: pd.DataFrame) -> pd.DataFrame:
    """Return each day's net return as beta left over, carry, costs and the remainder.

    Columns ``residual_btc``, ``residual_eth`` (beta of the book held into the day times the
    major's return; 0 where either is unknown), ``carry``, ``costs`` (negative), ``remainder``
    (what the ALTs did beyond their betas) and ``r_ls_net``, which the others add up to.
    """
    explained = pd.DataFrame(index=daily.index)
    for major in MAJORS:
        beta = daily[f"beta_{major.lower()}"]
        explained[f"residual_{major.lower()}"] = (beta * major_returns[major]).fillna(0.0)
    explained["carry"] = daily["funding_alts"] + daily["funding_majors"]
    explained["costs"] = -daily[list(COSTS)].sum(axis="columns")
    explained["remainder"] = daily["r_ls_net"] - explained.sum(axis="columns")
    explained["r_ls_net"] = daily["r_ls_net"]
    return explained
