"""The book's memory: written, read back, and carried from day to day."""

import json

import numpy as np
import pytest

from majors_alts_monitor.books import propose_books
from majors_alts_monitor.config import load_config
from majors_alts_monitor.outputs import plain
from majors_alts_monitor.state import carried_document, carried_from, state_text
from majors_alts_monitor.strategy import run_strategy
from majors_alts_monitor.walk import Signals, walk_on
from pipeline_kit.manifest import readable_json
from tests.leaks.markets import market_and_features

STOPS = [
    "backtest.risk_management.stop_loss.enabled=true",
    "backtest.risk_management.trailing_stop.enabled=true",
    "backtest.risk_management.volatility_targeting.enabled=true",
]


def signals_until(signals, row):
    return Signals(
        signals.regime[: row + 1],
        *(getattr(signals, n)[: row + 1] for n in ("score", "is_gated", "high", "strong_high")),
    )


@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("seed", [3, 8])
def test_a_path_built_day_by_day_from_the_written_state_is_the_backtest(seed, lag):
    settings = load_config(overrides=[*STOPS, f"execution.lag_days={lag}"])
    market, features = market_and_features(seed)
    whole = run_strategy(market, features, settings)
    first = 75
    lived = market.until(first)
    started = run_strategy(lived, features.iloc[: first + 1], settings)
    document = carried_document(started.walk.carried, lived)

    for row in range(first + 1, len(market.dates)):
        today = market.until(row)
        # Only the text of state.json passes from one day to the next.
        carried = carried_from(json.loads(readable_json(plain(document))), today)
        signals = signals_until(whole.signals, row)
        decision, carried = walk_on(
            today, signals, propose_books(today, settings), settings, carried
        )
        document = carried_document(carried, today)

        assert decision.action is whole.walk.decisions[row].action
        np.testing.assert_array_equal(decision.targets, whole.walk.decisions[row].targets)
        assert carried.nav == whole.walk.nav[row]
    assert any(d.action.value == "rebalance" for d in whole.walk.decisions[first:])


def test_the_document_names_days_and_assets_and_says_how_old_the_regime_is():
    market, features = market_and_features(3)
    strategy = run_strategy(market, features, load_config())

    document = json.loads(state_text(strategy))

    assert document["asof"] == f"{market.dates[-1]:%Y-%m-%d}"
    assert document["days_in_regime"] == strategy.timeline.daily["days_in_regime"].iloc[-1]
    assert set(document["weights"]) <= set(market.assets)
    assert document["nav"] == strategy.walk.nav[-1]
