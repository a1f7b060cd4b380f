"""How the reported result moves when what nobody knows exactly is a little different.

Flow: ``Strategy, config -> trades as decided, replayed -> robustness; score -> neighbours``. The
lag ladder, cost tiers and capacity curves make the same decisions again, later, dearer, larger or
no faster than volume allows, so they cost a replay and not a backtest, and nothing is chosen among
them: they are no trials. The full walks, with decisions that answer to their own path, are
``studies.realism``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor import metrics
from majors_alts_monitor.backtest.capacity import (
    days_to_exit,
    replay_capped,
    volume_behind,
)
from majors_alts_monitor.backtest.retrade import Trades, replay, trades_of
from majors_alts_monitor.backtest.walk import average_daily_volume, cost_terms, market_tape
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.regime import classify
from majors_alts_monitor.regime.placebo import Placebo
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.types import DAYS_PER_YEAR, PARTICIPATION, TRADING_REGIMES, Bools, Floats

LAGS: Final = (0, 1, 2, 3)
COST_FACTORS: Final = (0.0, 0.5, 1.0, 2.0, 3.0)
ACCOUNTS_USD: Final = (1e5, 1e6, 1e7, 1e8, 1e9)
THRESHOLD_MOVES: Final = (-0.2, -0.1, 0.0, 0.1, 0.2)
MIN_DAYS_MOVES: Final = (-2, -1, 0, 1, 2)
PLACEBO_BINS: Final = 24
TWO_SIDED_95: Final = 1.959963984540054


def robustness(strategy: Strategy, config: MonitorConfig, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return the result of the same decisions under other lags, costs and account sizes.

    Parameters
    ----------
    strategy : Strategy
        From the lake's first day on.
    config : MonitorConfig
    days : DatetimeIndex
        The days reported.

    Returns
    -------
    DataFrame
        One row a variant: part (lag, costs, capacity, capped), variant, is_configured, sharpe with
        the 95 % interval of Lo (2002), total_return, max_drawdown; of capped trades days_to_fill.
    """
    rows = strategy.market.dates.get_indexer(days)
    found, capped = [], []
    for part, variant, is_configured, priced, trades in variants(strategy, config):
        tape, terms = market_tape(strategy.market, priced), cost_terms(priced)
        net = replay(tape, terms, trades)[0][rows]
        named = {"part": part, "variant": variant, "is_configured": is_configured}
        found.append({**named, **figures(net)})
        if part == "capacity":
            worked = replay_capped(tape, terms, trades, PARTICIPATION)
            named = {"part": "capped", "variant": variant, "is_configured": False}
            fills = {"days_to_fill": float(worked.days_to_fill)}
            capped.append({**named, **figures(worked.returns[rows]), **fills})
    return pd.DataFrame(found + capped)


def exits(strategy: Strategy, config: MonitorConfig, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return per name held on ``days`` how long it takes to leave, for the configured account.

    Columns of ``capacity.days_to_exit``. Twice the account takes twice as long.
    """
    market, positions = strategy.market, strategy.walk.positions
    held = positions[positions["date"].isin(days)]
    adv = volume_behind(held, average_daily_volume(market), market.dates, market.assets)
    return days_to_exit(held, adv, config.execution.account_usd)


def variants(
    strategy: Strategy, config: MonitorConfig
) -> Iterator[tuple[str, str, bool, MonitorConfig, Trades]]:
    """Yield part, name, whether it is the configured one, its costs and its trades."""
    lag = config.execution.lag_days
    made = trades_of(strategy, lag)
    for days in LAGS:
        yield (
            "lag",
            f"{days} day{'' if days == 1 else 's'}",
            days == lag,
            config,
            moved(made, days - lag),
        )
    for factor in COST_FACTORS:
        yield "costs", f"x{factor:g}", factor == 1, dearer(config, factor), made
    impact = config.costs.impact_coefficient or 1.0
    charged = config.costs.model_copy(update={"impact_coefficient": impact})
    for account in ACCOUNTS_USD:
        sized = config.execution.model_copy(update={"account_usd": account})
        priced = config.model_copy(update={"costs": charged, "execution": sized})
        is_ours = priced.costs == config.costs and account == config.execution.account_usd
        yield "capacity", f"{account:.0e} USD", is_ours, priced, made


def moved(trades: Trades, days: int) -> Trades:
    """Return the trades ``days`` later, or earlier where negative.

    Examples
    --------
    >>> moved([1, 2, 3], 1), moved([1, 2, 3], -1), moved([1, 2, 3], 0)
    ([None, 1, 2], [2, 3, None], [1, 2, 3])
    """
    n = len(trades)
    return [trades[row - days] if 0 <= row - days < n else None for row in range(n)]


def dearer(config: MonitorConfig, factor: float) -> MonitorConfig:
    """Return the configuration with every fee, slippage and impact times ``factor``."""
    names = ("maker_fee_bps", "taker_fee_bps", "slippage_bps", "impact_coefficient")
    costs = config.costs.model_copy(
        update={name: getattr(config.costs, name) * factor for name in names}
    )
    return config.model_copy(update={"costs": costs})


def figures(net: Floats) -> dict[str, float]:
    """Return Sharpe with interval, total return and drawdown of daily net returns.

    Examples
    --------
    >>> figures(np.array([0.0, 0.0]))["total_return"]
    0.0
    """
    sharpe = metrics.sharpe(net)
    daily = sharpe / DAYS_PER_YEAR**0.5
    reach = TWO_SIDED_95 * ((1 + daily**2 / 2) / max(len(net), 1)) ** 0.5 * DAYS_PER_YEAR**0.5
    return {
        "sharpe": sharpe,
        "sharpe_low": sharpe - reach,
        "sharpe_high": sharpe + reach,
        "total_return": metrics.total_return(net),
        "max_drawdown": metrics.max_drawdown(net),
    }


def neighbours(
    strategy: Strategy,
    earned: pd.Series[float],
    config: MonitorConfig,
    days: pd.DatetimeIndex,
    cost_per_switch: float,
) -> pd.DataFrame | None:
    """Return what gates with thresholds and shortest spells next to the configured were worth.

    The worth is that of ``placebo``: majors over the alt index while the gate is open, a year,
    after switches. The high-volatility gate stays as it was. Null where thresholds are calibrated
    or regimes are not cut by thresholds: then there is no neighbourhood to look at.

    Returns
    -------
    DataFrame or None
        threshold_move (added to ``high`` and ``strong_high``, z-score units), min_regime_days,
        is_configured, value.
    """
    regime = config.regime
    if regime.mode != "composite" or regime.calibration.enabled:
        return None
    daily = strategy.timeline.daily
    returns = np.asarray(earned.reindex(days), dtype=np.float64)
    shortest = sorted({max(regime.min_regime_days + move, 0) for move in MIN_DAYS_MOVES})
    rows = []
    for move in THRESHOLD_MOVES:
        limits = regime.thresholds.model_dump()
        limits |= {name: limits[name] + move for name in ("high", "strong_high")}
        if not limits["low"] < limits["high"]:
            continue
        for n_days in shortest:
            rules = {
                "n_regimes": regime.n_regimes,
                "hysteresis_band": regime.hysteresis_band,
                "min_regime_days": n_days,
                "thresholds": limits,
            }
            labels = classify(daily["score_raw"], rules, daily["high_vol_gate"])
            is_open = labels["regime"].isin(sorted(name.value for name in TRADING_REGIMES))
            rows.append(
                {
                    "threshold_move": move,
                    "min_regime_days": n_days,
                    "is_configured": move == 0 and n_days == regime.min_regime_days,
                    "value": gate_worth(
                        is_open.loc[days].to_numpy(dtype=np.bool_),
                        returns,
                        1 + config.execution.lag_days,
                        cost_per_switch,
                    ),
                }
            )
    return pd.DataFrame(rows)


def gate_worth(is_open: Bools, returns: Floats, delay_days: int, cost_per_switch: float) -> float:
    """Return what holding ``returns`` while the gate is open is worth a year, after its switches.

    Examples
    --------
    >>> is_open = np.array([True, True, False, False])
    >>> worth = gate_worth(is_open, np.array([0.0, 0.01, 0.02, 0.04]), 1, 0.0)
    >>> round(worth / 365, 6)  # 3 % earned over the three days that a gate stands behind
    0.01
    """
    held = is_open[: len(is_open) - delay_days]
    if not held.size:
        return float("nan")
    gained = float(np.add.accumulate(np.where(held, np.nan_to_num(returns[delay_days:]), 0.0))[-1])
    switches = int((held[1:] != held[:-1]).sum()) + int(held[0])
    return (gained - cost_per_switch * switches) / len(held) * DAYS_PER_YEAR


def placebo_table(placebo: Placebo) -> pd.DataFrame:
    """Return how often a gate that knows nothing was worth how much, and where the true one lies.

    Returns
    -------
    DataFrame
        worth (middle of the bin, fraction a year), n_placebos, is_this_gate.
    """
    values = np.append(placebo.shuffled, placebo.value)
    edges = np.linspace(values.min(), values.max(), PLACEBO_BINS + 1)
    if edges[0] == edges[-1]:
        edges = edges[0] + np.linspace(-0.5, 0.5, PLACEBO_BINS + 1)
    counts, _ = np.histogram(placebo.shuffled, bins=edges)
    own = min(int(np.searchsorted(edges, placebo.value, side="right")) - 1, PLACEBO_BINS - 1)
    return pd.DataFrame(
        {
            "worth": (edges[:-1] + edges[1:]) / 2,
            "n_placebos": counts.astype(np.int64),
            "is_this_gate": np.arange(PLACEBO_BINS) == own,
        }
    )
