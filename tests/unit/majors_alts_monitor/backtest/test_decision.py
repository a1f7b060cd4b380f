"""What is decided on a day, rule by rule."""

import math

import numpy as np
import pytest

from majors_alts_monitor.backtest.decision import (
    Action,
    Decision,
    Outlook,
    State,
    annual_volatility,
    decide,
    regime_scale,
    remember,
    stop_distance,
    volatility_scale_now,
)
from majors_alts_monitor.config import load_config
from majors_alts_monitor.types import Regime

CONFIG = load_config()
BOOK = np.array([0.3, 0.2, -0.25, -0.25])
FLAT = State.flat(4)


def outlook(**changes):
    defaults = {
        "row": 100,
        "epoch_day": 19_000,
        "regime": Regime.WEAK_RISK_ON_MAJORS,
        "score": 1.0,
        "is_gated": False,
        "high": 0.5,
        "strong_high": 1.5,
        "book": BOOK,
        "scale_limit": 1.0,
    }
    return Outlook(**(defaults | changes))


def invested(**changes):
    """A book that was entered ten days ago at the regime and score of ``outlook()``."""
    defaults = {
        "weights": BOOK * 0.6,
        "last_targets": BOOK * 0.6,
        "anchor_regime": Regime.WEAK_RISK_ON_MAJORS,
        "anchor_score": 1.0,
        "position_scale": 0.6,
        "regime_scale": 0.6,
        "entry_row": 90,
        "own_returns": (0.0, 0.0, 0.0),
        "equity_path": (1.0, 1.0),
    }
    return State(**(defaults | changes))


def with_config(*overrides):
    return load_config(overrides=list(overrides))


def test_the_first_trading_regime_enters_with_the_regimes_share_of_the_book():
    decision = decide(outlook(), FLAT, CONFIG)

    # WEAK runs from 0.4 at 0.5 to 0.8 at 1.5; a score of 1.0 is half way.
    assert decision.action is Action.REBALANCE
    assert decision.targets == pytest.approx(BOOK * 0.6)
    assert decision.reason == "regime"


def test_no_trigger_means_hold_and_keeps_the_book_as_it_has_drifted():
    state = invested(weights=BOOK * 0.6 + 0.01)

    decision = decide(outlook(), state, CONFIG)

    assert decision.action is Action.HOLD
    assert decision.targets is state.weights


@pytest.mark.parametrize(
    ("score", "action"), [(1.29, Action.HOLD), (1.31, Action.REBALANCE), (0.69, Action.REBALANCE)]
)
def test_a_score_must_move_by_more_than_the_tolerance(score, action):
    assert decide(outlook(score=score), invested(), CONFIG).action is action


def test_a_missing_score_is_no_move():
    assert decide(outlook(score=math.nan), invested(), CONFIG).action is Action.HOLD


@pytest.mark.parametrize(("drift", "action"), [(0.019, Action.HOLD), (0.021, Action.REBALANCE)])
def test_one_weight_further_off_than_the_tolerance_rebalances(drift, action):
    targets = np.array([0.5, 0.0, 0.0, 0.0])
    state = invested(last_targets=targets, weights=targets + np.array([drift, 0, 0, 0]))

    assert decide(outlook(), state, CONFIG).action is action


def test_drift_is_not_judged_while_a_decision_waits():
    waiting = Decision(99, Action.REBALANCE, "score", BOOK, 0.5, 1.0, 0.5)
    state = invested(last_targets=BOOK, pending=(waiting,))

    assert decide(outlook(), state, CONFIG).action is Action.HOLD


def test_the_schedule_counts_days_from_1970():
    config = with_config("backtest.rebalance.every_days=7")

    assert decide(outlook(epoch_day=7 * 2_800), invested(), config).reason == "schedule"
    assert decide(outlook(epoch_day=7 * 2_800 + 1), invested(), config).action is Action.HOLD


def test_a_rebalance_in_a_regime_that_does_not_trade_is_an_exit():
    decision = decide(outlook(regime=Regime.BALANCED, score=0.0), invested(), CONFIG)

    assert (decision.action, decision.reason) == (Action.EXIT, "regime")
    assert not decision.targets.any()
    assert decision.position_scale == 0


def test_without_a_basket_a_triggered_rebalance_is_an_exit():
    decision = decide(outlook(book=None, score=1.4), invested(), CONFIG)

    assert (decision.action, decision.reason) == (Action.EXIT, "no_basket")


def test_without_a_basket_and_without_a_trigger_the_book_is_held():
    assert decide(outlook(book=None), invested(), CONFIG).action is Action.HOLD


def test_the_gate_keeps_a_flat_book_flat_and_the_trigger_waits():
    gated = decide(outlook(is_gated=True), FLAT, CONFIG)
    after = remember(FLAT, gated, outlook(is_gated=True))

    assert gated.action is Action.HOLD
    assert decide(outlook(row=101), after, CONFIG).action is Action.REBALANCE


def test_the_gate_lets_a_book_shrink_but_not_grow():
    state = invested(anchor_score=2.0, weights=BOOK * 0.3)

    decision = decide(outlook(is_gated=True), state, CONFIG)

    # The regime would allow 0.6 of the book; the book held is 0.3 of it.
    assert decision.action is Action.REBALANCE
    assert decision.position_scale == pytest.approx(0.3)
    assert np.abs(decision.targets).sum() == pytest.approx(np.abs(state.weights).sum())


@pytest.mark.parametrize(
    ("returns", "is_out"),
    [
        ((0.0, 0.0, -0.05), True),  # the last day alone
        ((-0.02, -0.02, -0.01), True),  # the three days together
        ((-0.02, -0.02, -0.009), False),
        ((-0.06, 0.02, 0.0), False),  # an older day, made good since
    ],
)
def test_the_stop_judges_the_last_day_and_the_sum_of_the_last_days(returns, is_out):
    decision = decide(outlook(), invested(own_returns=returns), CONFIG)

    assert (decision.reason == "stop_loss") is is_out


def test_a_volatility_adjusted_stop_is_stretched_between_half_and_a_ceiling():
    risk = CONFIG.backtest.risk_management
    # Alternating +d, -d has a sample deviation of d x sqrt(20/19).
    quiet, wild = (tuple([d, -d] * 10) for d in (0.001, 0.05))

    assert stop_distance((), risk) == 0.05
    assert stop_distance(quiet, risk) == pytest.approx(0.05 * 0.5)
    assert stop_distance(wild, risk) == pytest.approx(0.075)


def test_take_profit_leaves_or_halves_once():
    state = invested(equity_path=(1.0, 1.1))
    partial = with_config("backtest.risk_management.take_profit.partial=true")

    whole = decide(outlook(), state, CONFIG)
    half = decide(outlook(), state, partial)
    again = decide(outlook(), invested(equity_path=(1.0, 1.1), is_halved=True), partial)

    assert (whole.action, whole.reason) == (Action.EXIT, "take_profit")
    assert half.action is Action.REBALANCE
    assert half.targets == pytest.approx(state.weights / 2)
    assert half.position_scale == pytest.approx(0.3)
    assert again.action is Action.HOLD


def test_time_exit_counts_days_since_entry():
    assert decide(outlook(row=119), invested(entry_row=90), CONFIG).action is Action.HOLD
    assert decide(outlook(row=120), invested(entry_row=90), CONFIG).reason == "time_exit"


def test_the_trailing_stop_falls_from_the_highest_of_its_days():
    config = with_config("backtest.risk_management.trailing_stop.enabled=true")
    fallen = invested(equity_path=(1.0, 1.05, 0.89))  # -15.2 %
    not_yet = invested(equity_path=(1.0, 1.05, 0.90))  # -14.3 %

    assert decide(outlook(), fallen, config).reason == "trailing_stop"
    assert decide(outlook(), not_yet, config).action is Action.HOLD


def test_after_a_risk_exit_the_book_stays_flat_for_the_cooldown():
    state = State(
        weights=np.zeros(4),
        last_targets=np.zeros(4),
        anchor_regime=Regime.BALANCED,
        risk_exit_row=98,
    )

    # Traded on row 98: rows 99 and 100 wait, row 101 is the third day after.
    assert decide(outlook(row=100), state, CONFIG).action is Action.HOLD
    assert decide(outlook(row=101), state, CONFIG).action is Action.REBALANCE


def test_after_a_risk_exit_the_same_regime_does_not_enter_again_without_a_trigger():
    exited = decide(outlook(row=119, score=1.0), invested(entry_row=89), CONFIG)
    state = remember(invested(entry_row=89), exited, outlook(row=119))
    flat = State(
        weights=np.zeros(4),
        last_targets=state.last_targets,
        anchor_regime=state.anchor_regime,
        anchor_score=state.anchor_score,
        risk_exit_row=120,
    )

    assert decide(outlook(row=140, score=1.2), flat, CONFIG).action is Action.HOLD
    assert decide(outlook(row=140, score=1.35), flat, CONFIG).action is Action.REBALANCE


def test_an_exit_cancels_what_is_pending():
    waiting = Decision(99, Action.REBALANCE, "score", BOOK, 0.5, 1.0, 0.5)
    state = invested(pending=(waiting,), anchor_regime=Regime.STRONG_RISK_ON_MAJORS)
    day = outlook(regime=Regime.BALANCED)

    after = remember(state, decide(day, state, CONFIG), day)

    assert [d.action for d in after.pending] == [Action.EXIT]


def test_a_risk_exit_that_waits_is_not_decided_again():
    leaving = Decision(99, Action.EXIT, "stop_loss", np.zeros(4), 0.0, 1.0, 0.0)
    state = invested(pending=(leaving,), own_returns=(-0.2, -0.2, -0.2))

    assert decide(outlook(), state, CONFIG).action is Action.HOLD


@pytest.mark.parametrize(
    ("regime", "score", "expected"),
    [
        (Regime.STRONG_RISK_ON_MAJORS, 1.6, 1.0),
        (Regime.STRONG_RISK_ON_MAJORS, 1.2, 0.8),
        (Regime.STRONG_RISK_ON_MAJORS, 0.5, 0.6),
        (Regime.WEAK_RISK_ON_MAJORS, 0.2, 0.4),
        (Regime.WEAK_RISK_ON_MAJORS, 1.0, 0.6),
        (Regime.WEAK_RISK_ON_MAJORS, 1.7, 0.8),
        (Regime.RISK_ON_MAJORS, 1.0, 0.7),
        (Regime.BALANCED, 0.0, 0.0),
        (Regime.WEAK_RISK_ON_ALTS, -1.0, 0.0),
    ],
)
def test_the_regime_scale_follows_the_score_between_its_ends(regime, score, expected):
    assert regime_scale(outlook(regime=regime, score=score), CONFIG.backtest) == pytest.approx(
        expected
    )


def test_volatility_scale_follows_the_worked_numbers():
    # strategy.md section 6: target 20 %, window 3; the scale of a day uses the days before it.
    returns = (0.01, -0.02, 0.015, -0.01, 0.03, -0.04, 0.02)
    targeting = with_config(
        "backtest.risk_management.volatility_targeting.window=3"
    ).backtest.risk_management.volatility_targeting

    scales = [volatility_scale_now(returns[:t], targeting) for t in range(3, 7)]

    assert volatility_scale_now(returns[:2], targeting) == 1.0
    assert scales == pytest.approx([0.553019, 0.580687, 0.518055, 0.298087], abs=5e-7)
    assert math.isnan(annual_volatility(returns[:2], 3))
