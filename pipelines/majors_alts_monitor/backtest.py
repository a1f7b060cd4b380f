"""Backtest: the strategy's walk through time, on the compiled engine."""

from __future__ import annotations

from majors_alts_monitor.costs import funding_cash, impact_cost
from majors_alts_monitor.scaling import volatility_scale
from majors_alts_monitor.simulation import Simulation, simulate, simulate_many

__all__ = [
    "Simulation",
    "funding_cash",
    "impact_cost",
    "simulate",
    "simulate_many",
    "volatility_scale",
]
