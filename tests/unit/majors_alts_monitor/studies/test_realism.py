"""Replays, stress, capacity and the variants of the realism study."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.backtest.engine import Tape, Terms
from majors_alts_monitor.backtest.retrade import (
    gapped,
    replay,
    trades_of,
    with_funding_times,
    without_shorts,
    worst_squeezes,
)
from majors_alts_monitor.backtest.walk import Signals, cost_terms, market_tape, walk
from majors_alts_monitor.beta_neutral.books import propose_books
from majors_alts_monitor.config import load_config
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.studies.realism import (
    Part,
    always,
    capacity_curve,
    dearer,
    half_each,
    plain_figures,
)
from majors_alts_monitor.types import Regime
from tests.fixtures.markets import simulated_market


@pytest.fixture(scope="module")
def config():
    return load_config(None, ["universe.alt_selection.enabled=false"])


@pytest.fixture(scope="module")
def strategy(config):
    """A walk that is invested, leaves, and comes back."""
    market = simulated_market(120, 8, seed=2)
    n_days = len(market.dates)
    is_on = (np.arange(n_days) // 20) % 2 == 1
    signals = Signals(
        regime=tuple(Regime.STRONG_RISK_ON_MAJORS if on else Regime.BALANCED for on in is_on),
        score=np.where(is_on, 1.8, 0.0),
        is_gated=np.zeros(n_days, dtype=bool),
        high=np.full(n_days, 0.5),
        strong_high=np.full(n_days, 1.5),
    )
    books = propose_books(market, config)
    path = walk(market, signals, books, config)
    none = pd.DataFrame(index=market.dates)
    return Strategy(market, none, None, signals, books, path)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_the_trades_made_again_give_the_same_path_to_the_bit(strategy, config, lag):
    from dataclasses import replace

    execution = config.execution.model_copy(update={"lag_days": lag})
    own = config.model_copy(update={"execution": execution})
    path = walk(strategy.market, strategy.signals, strategy.books, own)
    trades = trades_of(replace(strategy, walk=path), lag)
    returns, _ = replay(market_tape(strategy.market, own), cost_terms(own), trades)
    assert np.count_nonzero(returns) > 20
    np.testing.assert_array_equal(returns, path.daily["r_ls_net"].to_numpy())


def test_shorts_closed_by_the_exchange_leave_the_majors_alone():
    tape = Tape.of(["BTC", "SOL"], np.array([[0.0, 0.0], [0.0, 0.0], [-0.1, 0.2]]))
    plan = without_shorts([np.array([0.5, -0.5]), None, None], [1], np.array([False, True]))
    returns, weights = replay(tape, Terms.of(fee_bps=0.0, slippage_bps=0.0), plan)
    assert weights[1].tolist() == [0.5, -0.5]
    assert weights[2].tolist() == [0.5, 0.0]
    assert returns[2] == pytest.approx(-0.05)


def test_a_gap_moves_the_alts_of_that_day_alone(strategy):
    market = strategy.market
    jumped = gapped(market, [30], 0.10)
    is_alt = market.is_alt
    old, new = market.return_since_last_price, jumped.return_since_last_price
    np.testing.assert_allclose(new[30, is_alt], (1 + old[30, is_alt]) * 1.1 - 1)
    np.testing.assert_array_equal(new[30, ~is_alt], old[30, ~is_alt])
    np.testing.assert_array_equal(np.delete(new, 30, axis=0), np.delete(old, 30, axis=0))
    np.testing.assert_array_equal(gapped(market, [], 0.1).return_since_last_price, old)


def test_a_funding_spike_is_paid_by_the_shorts():
    from dataclasses import replace

    market = simulated_market(5, 2)
    rates = np.full(market.close_usd.shape, 0.0001)
    spiked = with_funding_times(replace(market, funding_rate_1d=rates), [3], 20.0)
    assert spiked.funding_rate_1d[3, market.is_alt].tolist() == pytest.approx([-0.002, -0.002])
    assert (spiked.funding_rate_1d[3, ~market.is_alt] == 0.0001).all()
    assert (spiked.funding_rate_1d[2] == 0.0001).all()


def test_squeezes_are_the_days_the_shorts_gained_most():
    daily = pd.DataFrame({"pnl_alts": [0.9, 0.01, -0.02, 0.05, 0.03]})
    assert worst_squeezes(daily, 1, 2) == [3, 4]
    assert worst_squeezes(daily * -1, 3, 2) == []


def test_cost_tiers_scale_what_is_paid_to_trade_and_nothing_else():
    config = load_config()
    free = dearer(config, 0.0).costs
    assert (free.fee_bps, free.slippage_bps, free.funding_enabled) == (0.0, 0.0, True)
    assert free.delist_penalty_bps == config.costs.delist_penalty_bps
    assert dearer(config, 1.0) == config


def test_benchmark_plans_trade_on_schedule_with_the_lag(strategy):
    market = strategy.market
    halves = half_each(market, 50)
    assert [row for row, plan in enumerate(halves) if plan is not None] == [49]
    assert halves[49][list(market.major_columns)].tolist() == [0.5, 0.5]
    plan = always(strategy, 80, 1, market.is_alt)
    rows = [row for row, targets in enumerate(plan) if targets is not None]
    assert rows == list(range(79, 120, 7))
    expected = np.where(market.is_alt, strategy.books.weights[78], 0.0)
    np.testing.assert_array_equal(plan[79], expected)
    assert (plan[79] <= 0).all()


def test_the_capacity_curve_has_one_line_a_limit():
    names = ["1e+05 USD, no cap", "1e+05 USD, 5% of volume"]
    names += ["1e+09 USD, no cap", "1e+09 USD, 5% of volume"]
    table = pd.DataFrame({"variant": names, "sharpe": [0.4, 0.3, np.nan, -2.0]})
    chart = capacity_curve(Part("capped", "title", table, pd.DataFrame(), {}))
    assert list(chart.x) == ["100k USD", "1B USD"]
    free, capped = chart.series
    assert (free.name, capped.name, capped.values) == ("no cap", "5% of volume", [0.3, -2.0])
    assert free.values[0] == 0.4
    assert np.isnan(free.values[1])


def test_figures_of_cash_are_zero_and_its_sharpe_undefined():
    row = plain_figures(pd.DataFrame({"cash": [0.0, 0.0, 0.0]})).iloc[0]
    assert (row["total_return"], row["max_drawdown"], row["worst_day"]) == (0.0, 0.0, 0.0)
    assert np.isnan(row["sharpe"])
