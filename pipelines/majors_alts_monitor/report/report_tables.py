"""What the report needs beyond the result itself, as tables of the run.

Flow: ``Strategy, Reported, config -> report_tables -> CSV files of the run folder``. Page and mail
read them back from the folder, so a page can be drawn again without running anything.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.beta_neutral.neutrality import WINDOW_DAYS, rolling_betas
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.regime import Timeline
from majors_alts_monitor.regime.evaluation import Evaluation, Settings, evaluate
from majors_alts_monitor.regime.long_short import long_short_return
from majors_alts_monitor.report.robustness import exits, neighbours, placebo_table, robustness
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.types import MAJORS, Market

SIGN_WINDOW_DAYS: Final = 180
"""Half a year: short enough to see a sign turn, long enough for a coefficient."""
MOST_DRAWS: Final = 500
BETA_STEP_DAYS: Final = 5
LEGS: Final = 2
"""A switch trades both sides of the book."""


def report_tables(
    strategy: Strategy, daily: pd.DataFrame, config: MonitorConfig, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the extra tables of a run by file stem.

    Parameters
    ----------
    strategy : Strategy
    daily : DataFrame
        Columns of bt_daily_pnl, indexed by the days reported.
    config : MonitorConfig
    seed : int
        Of bootstrap and placebo draws.

    Returns
    -------
    dict of DataFrame
        score_contributions, benchmarks, realised_betas, rank_ic, regime_forward_returns,
        regime_dwell, gate_value, placebo, robustness, days_to_exit; neighbours where
        thresholds cut regimes.
    """
    days = pd.DatetimeIndex(daily.index)
    earned = long_short_return(strategy.market)
    judged = evaluation(strategy.timeline, strategy.features.loc[days], earned, config, seed)
    around = neighbours(strategy, earned, config, days, switch_cost(config))
    return ({} if around is None else {"neighbours": around}) | {
        "score_contributions": _dated(strategy.timeline.contributions.loc[days]),
        "benchmarks": benchmarks(strategy.market, earned, days),
        "realised_betas": realised_betas(strategy.market, daily["r_ls_net"]),
        "rank_ic": judged.rank_ic,
        "regime_forward_returns": judged.by_regime,
        "regime_dwell": judged.dwell,
        "gate_value": gate_value(judged, switch_cost(config)),
        "placebo": placebo_table(judged.placebo),
        "robustness": robustness(strategy, config, days),
        "days_to_exit": exits(strategy, config, days),
    }


def evaluation(
    timeline: Timeline,
    features: pd.DataFrame,
    earned: pd.Series[float],
    config: MonitorConfig,
    seed: int,
) -> Evaluation:
    """Return how the regimes of the reported days fared against chance."""
    bootstrap = config.evaluation.bootstrap
    return evaluate(
        timeline,
        features,
        earned,
        Settings(
            directions=config.regime.directions,
            horizons_days=config.evaluation.horizons_days,
            window_days=SIGN_WINDOW_DAYS,
            lag_days=config.execution.lag_days,
            cost_per_switch=switch_cost(config),
            n_boot=min(MOST_DRAWS, bootstrap.n_boot),
            seed=seed,
        ),
    )


def switch_cost(config: MonitorConfig) -> float:
    """Return what entering or leaving costs per unit of one leg: fee and slippage on both legs."""
    costs = config.costs
    fee = costs.taker_share * costs.taker_fee_bps + (1 - costs.taker_share) * costs.maker_fee_bps
    return LEGS * (fee + costs.slippage_bps) / 1e4


def gate_value(judged: Evaluation, cost_per_switch: float) -> pd.DataFrame:
    """Return one row: the gate's value a year, its p-values, and how often it switched."""
    placebo = judged.placebo
    low, high = np.quantile(placebo.shuffled, [0.025, 0.975])
    return pd.DataFrame(
        {
            "value": [placebo.value],
            "placebo_low": [float(low)],
            "placebo_median": [float(np.median(placebo.shuffled))],
            "placebo_high": [float(high)],
            "p_shifted": [placebo.p_shifted],
            "p_shuffled": [placebo.p_shuffled],
            "n_spells": [placebo.n_spells],
            "n_placebos": [len(placebo.shuffled)],
            "switches_per_year": [judged.switches_per_year],
            "cost_per_switch": [cost_per_switch],
        }
    )


def benchmarks(market: Market, earned: pd.Series[float], days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return what else the money could have done, as equity from 1 before the first day.

    ``btc`` and ``majors`` (half BTC, half ETH, rebalanced daily) are long only; ``ungated`` is long
    the majors against the ALT index every day, without hedge, gate or cost.
    """
    btc, eth = market.major_columns
    rows = market.dates.get_indexer(days)
    simple = market.return_1d[rows]
    returns = {
        "btc": simple[:, btc],
        "majors": (simple[:, btc] + simple[:, eth]) / 2,
        "ungated": earned.reindex(days).to_numpy(dtype=np.float64),
    }
    curves = {
        name: np.multiply.accumulate(1.0 + np.nan_to_num(values, nan=0.0))
        for name, values in returns.items()
    }
    return pd.DataFrame({"date": days, "cash": 1.0, **curves})


def realised_betas(market: Market, net: pd.Series[float]) -> pd.DataFrame:
    """Return the realised betas of each quarter of days with their intervals, every fifth day."""
    btc, eth = market.major_columns
    rows = market.dates.get_indexer(pd.DatetimeIndex(net.index))
    majors = pd.DataFrame(market.return_1d[rows][:, [btc, eth]], net.index, list(MAJORS))
    return _dated(rolling_betas(net, majors, window=WINDOW_DAYS, step=BETA_STEP_DAYS))


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename_axis("date").reset_index()
