"""Backtest: the strategy's walk through time, on the compiled engine."""

from __future__ import annotations

from majors_alts_monitor.backtest.costs import funding_cash, impact_cost
from majors_alts_monitor.backtest.scaling import volatility_scale
from majors_alts_monitor.backtest.simulation import Simulation, simulate, simulate_many

__all__ = [
    "Simulation",
    "funding_cash",
    "impact_cost",
    "simulate",
    "simulate_many",
    "volatility_scale",
]
