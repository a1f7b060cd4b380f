"""One pure decision, used by the backtest, the live signal, both DAGs and every study.

Flow: ``Outlook`` (what ``asof`` knows of the market) and ``State`` (what the book remembers) ->
``decide`` -> ``Decision`` (rebalance, hold or exit). strategy.md section 5 is the text; the order
of the rules here is: risk rules, then triggers, then the regime, the cooldown, the basket and the
high-volatility gate. No trigger means hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from majors_alts_monitor.config import (
    BacktestConfig,
    MonitorConfig,
    RiskManagementConfig,
    VolatilityTargetingConfig,
)
from majors_alts_monitor.types import DAYS_PER_YEAR, TRADING_REGIMES, Floats, Regime

STOP_CEILING: Final = 0.075
"""A volatility-adjusted stop never lies further away than this (strategy.md section 6)."""
STOP_STRETCH: Final = (0.5, 2.0)
RISK_REASONS: Final = ("stop_loss", "take_profit", "time_exit", "trailing_stop")


class Action(StrEnum):
    """What is done with the book."""

    REBALANCE = "rebalance"
    HOLD = "hold"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the market on ``asof``; arrays have shape (n_assets,)."""

    row: int
    """Row number of ``asof`` in the market."""
    epoch_day: int
    """Days since 1970-01-01, for the fixed schedule."""
    regime: Regime
    score: float
    """After the high-volatility gate; NaN when the features do not suffice."""
    is_gated: bool
    high: float
    strong_high: float
    """Thresholds in force on ``asof``."""
    book: Floats | None
    """The neutral book before position scaling, fractions of NAV; None without a basket."""
    scale_limit: float
    """The largest position scale at which every cap of the book still holds."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on ``asof``, as fractions of NAV."""

    row: int
    action: Action
    reason: str
    """The trigger of a rebalance, or the reason of an exit; empty on a hold."""
    targets: Floats
    regime_scale: float
    volatility_scale: float
    position_scale: float


@dataclass(frozen=True, slots=True)
class State:
    """All that a decision may remember of the past; arrays have shape (n_assets,)."""

    weights: Floats
    """The book after the close, fractions of NAV."""
    last_targets: Floats
    """Targets of the last decision that was not hold."""
    anchor_regime: Regime = Regime.BALANCED
    anchor_score: float = math.nan
    """Regime and score of that decision."""
    pending: tuple[Decision, ...] = ()
    """Decisions not executed yet, oldest first."""
    position_scale: float = 0.0
    regime_scale: float = 0.0
    volatility_scale: float = 1.0
    """Scales of the book; ``position_scale`` is 0 after an exit."""
    entry_row: int | None = None
    is_halved: bool = False
    own_returns: tuple[float, ...] = ()
    """Net returns of the book's own days, oldest first, as many as the rules look back."""
    equity_path: tuple[float, ...] = ()
    """Equity since entry over equity at entry, as many days as the rules look back."""
    risk_exit_row: int | None = None
    """Row of the trade that closed the book for a risk rule."""
    unscaled_returns: tuple[float, ...] = ()
    """u of strategy.md section 5, oldest first, at most one window."""

    @classmethod
    def flat(cls, n_assets: int) -> State:
        """Return the state before the first day."""
        return cls(weights=np.zeros(n_assets), last_targets=np.zeros(n_assets))

    @property
    def is_invested(self) -> bool:
        """True while a book that was entered has not been exited."""
        return self.entry_row is not None


def decide(outlook: Outlook, state: State, config: MonitorConfig) -> Decision:
    """Return the decision on ``outlook.row``; the state is the one after that day's close."""
    backtest = config.backtest
    targeting = backtest.risk_management.volatility_targeting
    leaving = [d.reason for d in state.pending if d.action is Action.EXIT]
    if any(reason in RISK_REASONS for reason in leaving):
        return _hold(outlook, state)
    # A book that is on its way out is not sent out again, which would only delay it.
    reason = "" if leaving else risk_rule(outlook.row, state, backtest.risk_management)
    if reason == "take_profit" and backtest.risk_management.take_profit.partial:
        return _halve(outlook, state)
    if reason:
        return _exit(outlook, state, reason)

    trigger = find_trigger(outlook, state, backtest)
    if not trigger:
        return _hold(outlook, state)
    if outlook.regime not in TRADING_REGIMES:
        return _exit(outlook, state, "regime")
    if _is_cooling_down(outlook.row, state, backtest.risk_management):
        return _hold(outlook, state)
    if outlook.book is None:
        return _exit(outlook, state, "no_basket")
    if outlook.is_gated and not state.is_invested:
        return _hold(outlook, state)

    by_regime = regime_scale(outlook, backtest)
    by_volatility = volatility_scale_now(state.unscaled_returns, targeting)
    scale = min(by_regime * by_volatility, outlook.scale_limit)
    if outlook.is_gated:
        # Entries and increases are blocked: the day's book may not outgrow the one held.
        gross = float(np.abs(outlook.book).sum())
        scale = min(scale, float(np.abs(state.weights).sum()) / gross) if gross > 0 else scale
    return Decision(
        row=outlook.row,
        action=Action.REBALANCE,
        reason=trigger,
        targets=outlook.book * scale,
        regime_scale=by_regime,
        volatility_scale=by_volatility,
        position_scale=scale,
    )


def find_trigger(outlook: Outlook, state: State, config: BacktestConfig) -> str:
    """Return what asks for a trade on the day: regime, score, drift, schedule, or nothing."""
    rules = config.rebalance
    if outlook.regime != state.anchor_regime:
        return "regime"
    # A missing score on either side is no move.
    if abs(outlook.score - state.anchor_score) > rules.score_move:
        return "score"
    # While a decision waits for its execution the book cannot have drifted from it.
    drift = np.abs(state.weights - state.last_targets).max(initial=0.0)
    if not state.pending and drift > rules.drift_tolerance:
        return "drift"
    if rules.every_days and outlook.epoch_day % rules.every_days == 0:
        return "schedule"
    return ""


def risk_rule(row: int, state: State, config: RiskManagementConfig) -> str:
    """Return the first risk rule that wants out, or an empty string."""
    if state.entry_row is None or not state.own_returns:
        return ""
    if config.stop_loss.enabled:
        stop = stop_distance(state.unscaled_returns, config)
        recent = state.own_returns[-config.stop_loss.lookback_days :]
        if state.own_returns[-1] <= -stop or sum(recent) <= -stop:
            return "stop_loss"
    take = config.take_profit
    is_due = not (take.partial and state.is_halved)
    if take.enabled and is_due and state.equity_path[-1] - 1 >= take.threshold:
        return "take_profit"
    if config.time_exit.enabled and row - state.entry_row >= config.time_exit.days:
        return "time_exit"
    trailing = config.trailing_stop
    if trailing.enabled:
        path = state.equity_path[-trailing.lookback_days :]
        if path[-1] / max(path) - 1 <= -trailing.threshold:
            return "trailing_stop"
    return ""


def stop_distance(unscaled_returns: tuple[float, ...], config: RiskManagementConfig) -> float:
    """Return the loss at which the book is left, a positive fraction.

    Adjusted to volatility it is ``min(threshold x clip(sigma / target, 0.5, 2), 0.075)``, and
    the plain threshold before a volatility exists.
    """
    stop = config.stop_loss
    targeting = config.volatility_targeting
    sigma = annual_volatility(unscaled_returns, targeting.window)
    if not stop.volatility_adjusted or math.isnan(sigma):
        return stop.threshold
    stretch = min(max(sigma / targeting.target, STOP_STRETCH[0]), STOP_STRETCH[1])
    return min(stop.threshold * stretch, STOP_CEILING)


def annual_volatility(unscaled_returns: tuple[float, ...], window: int) -> float:
    """Return the annualised sample deviation of the last ``window`` values; NaN with fewer.

    Examples
    --------
    >>> round(annual_volatility((0.01, -0.02, 0.015), 3), 6)
    0.361651
    """
    if len(unscaled_returns) < window:
        return math.nan
    sample = unscaled_returns[-window:]
    mean = math.fsum(sample) / window
    variance = math.fsum((u - mean) ** 2 for u in sample) / (window - 1)
    return math.sqrt(variance * DAYS_PER_YEAR)


def volatility_scale_now(
    unscaled_returns: tuple[float, ...], config: VolatilityTargetingConfig
) -> float:
    """Return the scale that brings the book to the target volatility; 1 with fewer values."""
    sigma = annual_volatility(unscaled_returns, config.window)
    if not config.enabled or math.isnan(sigma):
        return 1.0
    wanted = config.target / sigma if sigma > 0 else math.inf
    return max(config.min_scale, min(config.max_scale, wanted))


def regime_scale(outlook: Outlook, config: BacktestConfig) -> float:
    """Return the share of the full book that the regime and the gated score allow."""
    scaling = config.regime_position_scaling
    if outlook.regime not in TRADING_REGIMES:
        return 0.0
    if not scaling.enabled:
        return 1.0
    if math.isnan(outlook.score):
        return scaling.weak_floor
    if outlook.regime is Regime.STRONG_RISK_ON_MAJORS:
        ratio = abs(outlook.score) / outlook.strong_high if outlook.strong_high > 0 else 1.0
        return min(max(ratio, scaling.strong_floor), 1.0)
    ceiling = 1.0 if outlook.regime is Regime.RISK_ON_MAJORS else scaling.weak_ceiling
    way = (outlook.score - outlook.high) / (outlook.strong_high - outlook.high)
    return scaling.weak_floor + (ceiling - scaling.weak_floor) * min(max(way, 0.0), 1.0)


def remember(state: State, decision: Decision, outlook: Outlook) -> State:
    """Return the state after a decision was taken: the queue, and what later days compare with."""
    if decision.action is Action.HOLD:
        return state
    keeps = () if decision.action is Action.EXIT else state.pending
    return replace(
        state,
        last_targets=decision.targets,
        anchor_regime=outlook.regime,
        anchor_score=outlook.score,
        pending=(*keeps, decision),
    )


def _hold(outlook: Outlook, state: State) -> Decision:
    return Decision(
        row=outlook.row,
        action=Action.HOLD,
        reason="",
        targets=state.weights,
        regime_scale=state.regime_scale,
        volatility_scale=state.volatility_scale,
        position_scale=state.position_scale,
    )


def _exit(outlook: Outlook, state: State, reason: str) -> Decision:
    return Decision(
        row=outlook.row,
        action=Action.EXIT,
        reason=reason,
        targets=np.zeros_like(state.weights),
        regime_scale=0.0,
        volatility_scale=state.volatility_scale,
        position_scale=0.0,
    )


def _halve(outlook: Outlook, state: State) -> Decision:
    return Decision(
        row=outlook.row,
        action=Action.REBALANCE,
        reason="take_profit",
        targets=state.weights * 0.5,
        regime_scale=state.regime_scale,
        volatility_scale=state.volatility_scale,
        position_scale=state.position_scale * 0.5,
    )


def _is_cooling_down(row: int, state: State, config: RiskManagementConfig) -> bool:
    return state.risk_exit_row is not None and row - state.risk_exit_row < config.cooldown_days
