"""The book's memory: written, read back, and carried from day to day."""

import json
from dataclasses import replace

import numpy as np
import pytest

from majors_alts_monitor.backtest.decision import RISK_REASONS
from majors_alts_monitor.backtest.walk import Signals, walk_on
from majors_alts_monitor.beta_neutral.books import propose_books
from majors_alts_monitor.config import load_config
from majors_alts_monitor.outputs import plain
from majors_alts_monitor.state import carried_document, carried_from, state_text
from majors_alts_monitor.strategy import run_strategy
from pipeline_kit.manifest import readable_json
from tests.leaks.markets import market_and_features

RULES = "backtest.risk_management"
STOPS = [
    f"{RULES}.stop_loss.enabled=true",
    f"{RULES}.stop_loss.threshold=0.003",
    f"{RULES}.take_profit.enabled=true",
    f"{RULES}.take_profit.threshold=0.004",
    f"{RULES}.time_exit.enabled=true",
    f"{RULES}.time_exit.days=3",
    f"{RULES}.trailing_stop.enabled=true",
    f"{RULES}.trailing_stop.threshold=0.004",
    f"{RULES}.volatility_targeting.enabled=true",
    f"{RULES}.cooldown_days=1",
]
N_LIVED = 30


def signals_until(signals, row):
    return Signals(
        signals.regime[: row + 1],
        *(getattr(signals, n)[: row + 1] for n in ("score", "is_gated", "high", "strong_high")),
    )


@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("seed", [5, 8])
def test_thirty_days_lived_one_by_one_from_the_written_state_are_the_backtest(seed, lag):
    settings = load_config(overrides=[*STOPS, f"execution.lag_days={lag}"])
    market, features = market_and_features(seed)
    whole, books = run_strategy(market, features, settings), {}
    first = len(market.dates) - N_LIVED - 1
    lived = market.until(first)
    started = run_strategy(lived, features.iloc[: first + 1], settings)
    document = carried_document(started.walk.carried, lived)

    for row in range(first + 1, len(market.dates)):
        today = market.until(row)
        # Only the text of state.json passes from one day to the next.
        carried = carried_from(json.loads(readable_json(plain(document))), today)
        signals = signals_until(whole.signals, row)
        decision, carried = walk_on(
            today, signals, propose_books(today, settings, memory=books), settings, carried
        )
        document = carried_document(carried, today)

        assert decision.action is whole.walk.decisions[row].action
        assert decision.reason == whole.walk.decisions[row].reason
        np.testing.assert_array_equal(decision.targets, whole.walk.decisions[row].targets)
        backtest = replace(carried, state=whole.walk.states[row], nav=float(whole.walk.nav[row]))
        assert plain(document) == plain(carried_document(backtest, today))
    lived = whole.walk.decisions[first + 1 :]
    assert {"rebalance", "hold", "exit"} == {d.action.value for d in lived}
    assert {d.reason for d in lived} & set(RISK_REASONS)


def test_the_document_names_days_and_assets_and_says_how_old_the_regime_is():
    market, features = market_and_features(3)
    strategy = run_strategy(market, features, load_config())

    document = json.loads(state_text(strategy))

    assert document["asof"] == f"{market.dates[-1]:%Y-%m-%d}"
    assert document["days_in_regime"] == strategy.timeline.daily["days_in_regime"].iloc[-1]
    assert set(document["weights"]) <= set(market.assets)
    assert document["nav"] == strategy.walk.nav[-1]
