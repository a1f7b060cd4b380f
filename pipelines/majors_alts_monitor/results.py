"""Cut the walk to the range that is reported, and shape it into the tables of a run.

Flow: ``Walk, Signals -> Reported``. ``--start`` cuts what is reported and nothing else: equity
restarts at 1.0 and the first row also pays for buying the book carried into it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.backtest.decision import Action, Decision
from majors_alts_monitor.backtest.engine import Tape
from majors_alts_monitor.backtest.walk import Signals, Walk, cost_terms, market_tape
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.kpis import check_identity
from majors_alts_monitor.types import Floats, Market, Regime

COSTS: Final = ("fees", "slippage", "impact")
CELL_COSTS: Final = ("fee", "slippage", "impact")


@dataclass(frozen=True, slots=True)
class Reported:
    """The tables of contract.md section 5 that come from the walk."""

    equity: pd.DataFrame
    daily: pd.DataFrame
    """bt_daily_pnl, and the counters of the engine."""
    decisions: pd.DataFrame
    positions: pd.DataFrame


def report(
    walk: Walk, signals: Signals, market: Market, config: MonitorConfig, first: int, window: Floats
) -> Reported:
    """Return the tables of rows ``first`` to the last.

    Parameters
    ----------
    walk, signals, market
        Over all days.
    config : MonitorConfig
        Costs and lag.
    first : int
        Row of ``--start``.
    window : array of shape (n_days,)
        Number of the walk-forward window each day's decision belongs to; NaN before the first.

    Raises
    ------
    IdentityError
        If a day's parts do not add up to its net return, which would be a defect.
    """
    start = market.dates[first]
    daily = walk.daily.iloc[first:].copy()
    positions = walk.positions[walk.positions["date"] >= start].reset_index(drop=True)
    if first > 0:
        _charge_carried_book(daily, positions, walk, market, config, first)
    check_identity(daily)

    # The book held into a day was decided the lag and one day earlier.
    decided = np.arange(first, len(market.dates)) - 1 - config.execution.lag_days
    is_decided, row_of = decided >= 0, np.maximum(decided, 0)
    regimes = [signals.regime[row].value if row >= 0 else Regime.BALANCED.value for row in decided]
    daily["regime"] = regimes
    daily["score"] = np.where(is_decided, signals.score[row_of], np.nan)
    daily["window"] = pd.Series(
        np.where(is_decided, window[row_of], np.nan), index=daily.index
    ).astype("Int64")
    return Reported(
        equity=equity_curve(daily),
        daily=daily,
        decisions=decisions_frame(walk.decisions[first:], market),
        positions=positions,
    )


def equity_curve(daily: pd.DataFrame) -> pd.DataFrame:
    """Return date, equity from 1.0, drawdown (<= 0, starting capital included), r_ls_net.

    Examples
    --------
    >>> d = pd.DataFrame({"date": [1, 2, 3], "r_ls_net": [-0.10, 0.05, -0.02]})
    >>> equity_curve(d)["drawdown"].round(4).tolist()
    [-0.1, -0.055, -0.0739]
    """
    equity = (1 + daily["r_ls_net"]).cumprod()
    peak = equity.cummax().clip(lower=1.0)
    return pd.DataFrame(
        {
            "date": daily["date"],
            "equity": equity,
            "drawdown": equity / peak - 1,
            "r_ls_net": daily["r_ls_net"],
        }
    )


def decisions_frame(decisions: Sequence[Decision], market: Market) -> pd.DataFrame:
    """Return bt_decisions: one row per wanted asset and day, one with null asset_id when flat."""
    rows: list[tuple[pd.Timestamp, str | None, str, float]] = []
    for decision in decisions:
        day = market.dates[decision.row]
        wanted = np.flatnonzero(decision.targets)
        if decision.action is Action.EXIT or not wanted.size:
            rows.append((day, None, decision.action.value, 0.0))
            continue
        rows += [
            (day, str(market.assets[int(i)]), decision.action.value, float(decision.targets[i]))
            for i in wanted
        ]
    columns = ["date", "asset_id", "action", "target_weight"]
    return pd.DataFrame(rows, columns=columns).astype({"asset_id": "str", "action": "str"})


def _charge_carried_book(
    daily: pd.DataFrame,
    positions: pd.DataFrame,
    walk: Walk,
    market: Market,
    config: MonitorConfig,
    first: int,
) -> None:
    """Add the cost of buying the book carried into the first row; weights stay as they are."""
    is_first = (positions["date"] == market.dates[first]) & (positions["weight_open"] != 0)
    held = positions.index[is_first]
    columns = market.assets.get_indexer(pd.Index(positions.loc[held, "asset_id"]))
    size = positions.loc[held, "weight_open"].abs().to_numpy()
    nav_usd = walk.nav[first - 1] * config.execution.account_usd
    parts = carried_costs(size, columns, market_tape(market, config), config, first, nav_usd)
    net = daily["r_ls_net"].to_numpy(copy=True)
    for total, cell, cost in zip(COSTS, CELL_COSTS, parts, strict=True):
        per_asset = positions[cell].to_numpy(copy=True)
        per_asset[held] += cost
        positions[cell] = per_asset
        per_day = daily[total].to_numpy(copy=True)
        per_day[0] += math.fsum(cost)
        daily[total] = per_day
        net[0] -= math.fsum(cost)
    daily["r_ls_net"] = net


def carried_costs(
    size: Floats,
    columns: npt.NDArray[np.intp],
    tape: Tape,
    config: MonitorConfig,
    row: int,
    nav_usd: float,
) -> tuple[Floats, Floats, Floats]:
    """Return fee, slippage and impact of buying weights of ``size``, fractions of NAV."""
    terms = cost_terms(config)
    known = tape.adv_usd[row, columns] > 0
    adv = np.where(known, tape.adv_usd[row, columns], np.inf)
    sigma = np.where(np.isnan(tape.sigma[row, columns]), 0.0, tape.sigma[row, columns])
    impact = terms.impact_coefficient * sigma * np.sqrt(nav_usd / adv) * size**1.5
    return size * terms.fee, size * terms.slippage, impact
