"""Trades held to the volume, and days to exit: by hand and against a ledger of dollars."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majors_alts_monitor.backtest.capacity import days_to_exit, replay_capped, volume_behind
from majors_alts_monitor.backtest.engine import Tape, Terms
from majors_alts_monitor.backtest.retrade import replay

FREE = Terms.of(fee_bps=0.0, slippage_bps=0.0, account_usd=100.0)
PAID = Terms.of(
    fee_bps=5.0, slippage_bps=5.0, impact_coefficient=1.0, account_usd=1e4, max_stale_days=3
)
ASSETS = ("BTC", "ETH", "ADA", "SOL")


def a_market(seed, *, missing=0.1):
    rng = np.random.default_rng(seed)
    shape = (25, len(ASSETS))
    returns = rng.normal(0, 0.03, shape)
    returns[rng.random(shape) < missing] = np.nan
    volumes = np.exp(rng.normal(9, 1, shape))
    volumes[rng.random(shape) < 0.05] = np.nan
    tape = Tape.of(
        ASSETS,
        returns,
        funding=rng.normal(0, 1e-3, shape),
        adv_usd=volumes,
        sigma=np.full(shape, 0.03),
    )
    plan = [rng.uniform(-0.3, 0.3, len(ASSETS)) if rng.random() < 0.3 else None for _ in returns]
    return tape, plan


def still(volume, days, assets=("SOL",)):
    shape = (days, len(assets))
    return Tape.of(assets, np.zeros(shape), adv_usd=np.full(shape, volume))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_without_a_cut_the_path_is_that_of_the_trades_to_the_bit(seed):
    tape, plan = a_market(seed)
    worked = replay_capped(tape, PAID, plan, np.inf)
    returns, weights = replay(tape, PAID, plan)
    np.testing.assert_array_equal(worked.returns, returns)
    np.testing.assert_array_equal(worked.weights, weights)
    assert worked.undone.tolist() == [0.0] * len(plan)
    assert worked.days_to_fill == 1


def dollar_ledger(tape, plan, account, participation):
    """Return the weights held into each day, coin by coin and dollar by dollar, without costs."""
    cash, held, wanted, rows = account, [0.0] * len(ASSETS), {}, []
    for row, targets in enumerate(plan):
        nav = cash + sum(held)
        rows.append([usd / nav for usd in held])
        for i, usd in enumerate(held):
            cash -= usd * tape.funding[row, i]
            held[i] = usd * (1 + tape.returns[row, i])
        nav = cash + sum(held)
        if targets is not None:
            wanted = dict(enumerate(targets))
        for i in list(wanted):
            trade = wanted[i] * nav - held[i]
            most = participation * tape.adv_usd[row, i]
            if abs(trade) > most:
                trade = most if trade > 0 else -most
            else:
                del wanted[i]
            held[i] += trade
            cash -= trade
    return np.array(rows)


@given(st.integers(0, 10_000), st.floats(0.001, 0.5))
@settings(max_examples=40, deadline=None)
def test_capped_book_is_that_of_a_ledger_of_dollars(seed, participation):
    tape, plan = a_market(seed, missing=0.0)
    tape.adv_usd[np.isnan(tape.adv_usd)] = 5e3
    free = Terms.of(fee_bps=0.0, slippage_bps=0.0, account_usd=1e4)
    worked = replay_capped(tape, free, plan, participation)
    expected = dollar_ledger(tape, plan, 1e4, participation)
    np.testing.assert_allclose(worked.weights, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(worked.net_exposure, expected.sum(axis=1), rtol=0, atol=1e-12)


def test_a_later_decision_replaces_what_is_in_work():
    plan = [np.array([-0.5]), np.array([0.0]), None]
    worked = replay_capped(still(200.0, 3), FREE, plan, 0.1)
    assert worked.weights[:, 0].tolist() == [0.0, -0.2, 0.0]
    assert worked.undone.round(9).tolist() == [0.3, 0.0, 0.0]
    assert worked.days_to_fill == 2


def test_a_holding_day_carries_on_and_a_finished_name_is_held():
    # The first name is done at once and drifts; the second goes on.
    tape = Tape.of(
        ("ADA", "SOL"),
        np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.0]]),
        adv_usd=np.array([[1e6, 100.0]] * 3),
    )
    worked = replay_capped(tape, FREE, [np.array([0.2, 0.2]), None, None], 0.1)
    assert worked.weights[1].tolist() == [0.2, 0.1]
    # NAV grows by 0.2 x 50 %; SOL gets 10 USD more of 110.
    assert worked.weights[2].tolist() == pytest.approx([0.3 / 1.1, 0.2 / 1.1])


def test_work_waits_for_a_price_but_a_new_order_without_one_is_dropped():
    returns = np.zeros((4, 2))
    returns[1, 0] = returns[0, 1] = np.nan
    tape = Tape.of(("ADA", "SOL"), returns, adv_usd=np.full((4, 2), 100.0))
    worked = replay_capped(tape, FREE, [np.array([0.2, 0.2]), None, None, None], 0.1)
    assert worked.weights[:, 0].round(9).tolist() == [0.0, 0.1, 0.1, 0.2]
    assert worked.weights[:, 1].tolist() == [0.0] * 4
    assert worked.days_to_fill == 3


def test_unknown_volume_cuts_nothing_and_no_volume_all():
    plan = [np.array([0.4]), None]
    assert replay_capped(still(np.nan, 2), FREE, plan, 0.1).weights[1, 0] == 0.4
    dead = replay_capped(still(0.0, 2), FREE, plan, 0.1)
    assert dead.weights[1, 0] == 0.0
    assert dead.undone.tolist() == [0.4, 0.4]


def test_costs_are_those_of_what_was_traded_each_day():
    # 20, 20 and 10 USD at 10 bps of a NAV of 100, 99.98 and 99.96.
    terms = Terms.of(fee_bps=10.0, slippage_bps=0.0, account_usd=100.0)
    worked = replay_capped(still(200.0, 3), terms, [np.array([-0.5]), None, None], 0.1)
    assert worked.returns[0] == pytest.approx(-0.0002, abs=1e-12)
    assert worked.returns[1] == pytest.approx(-0.02 / 99.98, abs=1e-12)
    assert worked.returns[2] == pytest.approx(-(49.98 - 40) * 1e-3 / 99.96, abs=1e-12)


def test_days_to_exit_by_hand():
    rows = pd.DataFrame(
        {"asset_id": ["SOL", "SOL", "ADA", "OLD"], "weight_open": [-0.01, -0.03, -0.02, 0.0]}
    )
    table = days_to_exit(rows, pd.Series([5e6, 5e6, np.nan, 1e6]), 1e8).set_index("asset_id")
    assert table.loc["SOL"].tolist() == [2, 4.0, 6.0]
    assert np.isnan(table.loc["ADA", "max_days_to_exit"])
    assert "OLD" not in table.index


def test_volume_is_read_at_the_day_and_asset_of_the_position():
    dates, assets = pd.date_range("2024-01-01", periods=2), pd.Index(["ADA", "SOL"])
    rows = pd.DataFrame({"date": [dates[1], dates[0]], "asset_id": ["ADA", "SOL"]})
    adv = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert volume_behind(rows, adv, dates, assets).tolist() == [3.0, 2.0]
