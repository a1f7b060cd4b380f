"""Markets with features, cut short, and the path the strategy takes through them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd

from majors_alts_monitor.beta_neutral.books import Memory
from majors_alts_monitor.causality import Leak
from majors_alts_monitor.causality_path import (
    book_leaks,
    execution_leaks,
    handed_on,
    path_leaks,
    path_tables,
    resumed_leaks,
)
from majors_alts_monitor.config import MonitorConfig, load_config
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.strategy import Strategy, run_strategy
from majors_alts_monitor.types import Market
from tests.fixtures.markets import simulated_market

N_DAYS = 130
Run = Callable[[Market, pd.DataFrame], Strategy]
BOOKS: Memory = {}
"""Books under the default configuration: equal days are worked out once for all tests."""


@cache
def config(*overrides: str) -> MonitorConfig:
    return load_config(overrides=list(overrides))


def market_and_features(seed: int) -> tuple[Market, pd.DataFrame]:
    """Return a market, and z-scores that wander far enough to change regimes."""
    market = simulated_market(N_DAYS, 9, seed=seed)
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, (N_DAYS, len(PRIMARY)))
    smooth = pd.DataFrame(steps, index=market.dates).ewm(halflife=3).mean() * 4
    features = smooth.set_axis(list(PRIMARY.values()), axis="columns")
    return market, features.assign(valid=True)


def honest(market: Market, features: pd.DataFrame) -> Strategy:
    return run_strategy(market, features, config(), BOOKS)


def leaks_of(run: Run, seed: int, cuts: tuple[int, ...] = (100,), *sets: str) -> list[Leak]:
    """Return what the audit finds in a way of running the strategy, under overrides ``sets``."""
    market, features = market_and_features(seed)
    strategy = run(market, features)
    whole, found = path_tables(strategy), execution_leaks(strategy, lag_days=1)
    for row in cuts:
        cut = market.dates[row].date()
        lived = run(market.until(row), features.iloc[: row + 1])
        found += path_leaks(whole, path_tables(lived), cut, "truncated")
        found += book_leaks(lived, config(*sets), cut)
        found += resumed_leaks(strategy, handed_on(lived), cut, config(*sets))
    return found
