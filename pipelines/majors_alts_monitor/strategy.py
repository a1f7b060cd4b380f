"""The whole strategy as one pure function of the marts: regime, sizing, walk.

Flow: ``Market, features -> timeline, books -> walk -> Strategy``. ``run``, ``signals``, the DAGs,
the audit and every study call ``run_strategy``; there is no second way to a weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from majors_alts_monitor.backtest.walk import Signals, Walk, walk
from majors_alts_monitor.beta_neutral.books import Books, Memory, propose_books
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.regime import Timeline, timeline
from majors_alts_monitor.regime.long_short import long_short_return
from majors_alts_monitor.types import Market, Regime

GATE_DAYS = 7


@dataclass(frozen=True)
class Strategy:
    """Everything the strategy did from the lake's first day to the market's last."""

    market: Market
    features: pd.DataFrame
    timeline: Timeline
    signals: Signals
    books: Books
    walk: Walk


def run_strategy(
    market: Market,
    features: pd.DataFrame,
    config: MonitorConfig,
    memory: Memory | None = None,
) -> Strategy:
    """Return the strategy's path over every day of ``market``.

    Parameters
    ----------
    market : Market
        Ends with ``asof``.
    features : DataFrame
        ``fct_features_daily`` by date; days after the market's last are not read.
    config : MonitorConfig
    memory : dict, optional
        Books worked out before, for who runs many pasts of one lake; see ``propose_books``.
    """
    known = features.loc[market.dates[0] : market.dates[-1]]
    regimes = timeline(
        known, btc_close_ratio(market, GATE_DAYS), config.regime, long_short_return(market)
    )
    signals = signals_of(regimes)
    books = propose_books(market, config, memory=memory)
    return Strategy(
        market=market,
        features=known,
        timeline=regimes,
        signals=signals,
        books=books,
        walk=walk(market, signals, books, config),
    )


def signals_of(regimes: Timeline) -> Signals:
    """Return the timeline as the arrays that the walk reads."""
    daily = regimes.daily
    return Signals(
        regime=tuple(Regime(name) for name in daily["regime"]),
        score=daily["score"].to_numpy(dtype=np.float64),
        is_gated=daily["high_vol_gate"].to_numpy(dtype=np.bool_),
        high=regimes.thresholds["high"].to_numpy(dtype=np.float64),
        strong_high=regimes.thresholds["strong_high"].to_numpy(dtype=np.float64),
    )


def btc_close_ratio(market: Market, days: int) -> pd.Series[float]:
    """Return close(t) / close(t - days) of BTC, both as day t knows them, by date."""
    column = market.major_columns[0]
    ratios = np.full(len(market.dates), np.nan)
    for row in range(days, len(market.dates)):
        closes = market.closes_as_known(row, days + 1)[:, column]
        ratios[row] = closes[-1] / closes[0]
    return pd.Series(ratios, index=market.dates)
