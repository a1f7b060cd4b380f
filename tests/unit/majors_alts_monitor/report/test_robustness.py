"""The same decisions later, dearer and larger: against the walk itself and by hand."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.backtest.walk import walk
from majors_alts_monitor.beta_neutral.books import propose_books
from majors_alts_monitor.config import load_config
from majors_alts_monitor.regime import Timeline, classify
from majors_alts_monitor.regime.long_short import long_short_return
from majors_alts_monitor.regime.placebo import placebo_test
from majors_alts_monitor.report.report_tables import switch_cost
from majors_alts_monitor.report.robustness import (
    dearer,
    exits,
    gate_worth,
    moved,
    neighbours,
    placebo_table,
    robustness,
    variants,
)
from majors_alts_monitor.strategy import Strategy, signals_of
from tests.fixtures.markets import simulated_market

SETTINGS = ["universe.alt_selection.enabled=false", "regime.n_regimes=3"]


@pytest.fixture(scope="module")
def strategy():
    """A score that comes and goes, its regimes, and the walk on them."""
    config = load_config(None, SETTINGS)
    market = simulated_market(160, 8, seed=2)
    scores = pd.Series(1.2 * np.sin(np.arange(160) / 9), index=market.dates)
    gate = pd.Series(data=False, index=market.dates)
    labels = classify(scores, config.regime, gate)
    daily = labels.assign(score_raw=scores, score=scores, high_vol_gate=gate)
    limits = config.regime.thresholds
    thresholds = pd.DataFrame(
        {"high": limits.high, "strong_high": limits.strong_high}, index=market.dates
    )
    regimes = Timeline(daily, daily, daily, thresholds, None, None)
    signals, books = signals_of(regimes), propose_books(market, config)
    path = walk(market, signals, books, config)
    return Strategy(market, daily, regimes, signals, books, path)


def test_the_configured_variant_is_the_walk(strategy):
    config = load_config(None, SETTINGS)
    days = strategy.market.dates[100:]
    table = robustness(strategy, config, days).set_index(["part", "variant"])
    walked = strategy.walk.daily["r_ls_net"].loc[days]
    assert (walked != 0).any()
    own = np.prod(1 + walked) - 1
    assert table.loc[("lag", "1 day"), "total_return"] == pytest.approx(own, abs=1e-12)
    assert table.loc[("costs", "x1"), "total_return"] == pytest.approx(own, abs=1e-12)


def test_dearer_and_larger_never_earn_more(strategy):
    config = load_config(None, SETTINGS)
    table = robustness(strategy, config, strategy.market.dates[100:])
    for part in ("costs", "capacity"):
        earned = table.loc[table["part"] == part, "total_return"].to_numpy()
        assert (np.diff(earned) < 0).all()
    assert (table["sharpe_low"] < table["sharpe_high"]).all()


def test_small_account_is_not_held_back_and_a_large_one_takes_days(strategy):
    config = load_config(None, SETTINGS)
    table = robustness(strategy, config, strategy.market.dates[100:]).set_index("variant")
    at_once, capped = (table[table["part"] == part] for part in ("capacity", "capped"))
    assert at_once.index.tolist() == capped.index.tolist()
    # The simulated volume is about a million a day and name.
    small, large = "1e+05 USD", "1e+08 USD"
    assert capped.loc[small, "total_return"] == at_once.loc[small, "total_return"]
    assert capped.loc[small, "days_to_fill"] == 1
    assert capped.loc[large, "days_to_fill"] > 5
    assert capped.loc[large, "total_return"] != at_once.loc[large, "total_return"]


def test_days_to_exit_are_those_of_the_days_reported(strategy):
    config = load_config(None, SETTINGS)
    days = strategy.market.dates[100:]
    table = exits(strategy, config, days)
    held = strategy.walk.positions
    held = held[held["date"].isin(days) & (held["weight_open"] != 0)]
    assert table["n_days"].sum() == len(held) > 0
    doubled = config.execution.model_copy(update={"account_usd": 2 * config.execution.account_usd})
    twice = exits(strategy, config.model_copy(update={"execution": doubled}), days)
    np.testing.assert_allclose(twice["max_days_to_exit"], 2 * table["max_days_to_exit"])


def test_no_variant_is_named_twice(strategy):
    names = [(part, name) for part, name, *_ in variants(strategy, load_config(None, SETTINGS))]
    assert len(names) == len(set(names)) == 14


def test_costs_times_two_are_twice_the_costs():
    config = load_config(None, ["costs.slippage_bps=4", "costs.impact_coefficient=0.5"])
    doubled = dearer(config, 2.0).costs
    assert (doubled.slippage_bps, doubled.impact_coefficient) == (8.0, 1.0)


def test_trades_moved_out_of_the_range_are_gone():
    assert moved(["a", "b", "c"], 2) == [None, None, "a"]


def test_the_worth_of_a_gate_is_that_of_the_placebo_test():
    rng = np.random.default_rng(5)
    is_open, returns = rng.random(200) > 0.5, rng.normal(0, 0.02, 200)
    judged = placebo_test(
        is_open, returns, delay_days=2, cost_per_switch=0.001, n_surrogates=50, seed=1
    )
    assert gate_worth(is_open, returns, 2, 0.001) == pytest.approx(judged.value, abs=1e-12)
    table = placebo_table(judged)
    assert table["n_placebos"].sum() == 50
    assert table["is_this_gate"].sum() == 1
    own = table.loc[table["is_this_gate"], "worth"].iloc[0]
    half = (table["worth"].iloc[1] - table["worth"].iloc[0]) / 2
    assert abs(own - judged.value) <= half + 1e-12


def test_the_configured_neighbour_is_the_timeline_itself(strategy):
    config = load_config(None, SETTINGS)
    days, earned = strategy.market.dates[100:], long_short_return(strategy.market)
    table = neighbours(strategy, earned, config, days, switch_cost(config))
    own = table.loc[table["is_configured"], "value"]
    regimes = strategy.timeline.daily["regime"].loc[days].astype(str)
    is_open = regimes.str.endswith("RISK_ON_MAJORS").to_numpy()
    expected = gate_worth(is_open, earned.loc[days].to_numpy(), 2, switch_cost(config))
    assert own.tolist() == [pytest.approx(expected, abs=1e-12)]


def test_calibrated_thresholds_have_no_neighbourhood(strategy):
    config = load_config(None, ["regime.calibration.enabled=true"])
    days = strategy.market.dates[100:]
    assert neighbours(strategy, pd.Series(dtype=float), config, days, 0.0) is None
