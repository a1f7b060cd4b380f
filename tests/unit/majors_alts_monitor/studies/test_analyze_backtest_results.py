"""Trades and worst days of a run, by hand."""

import pandas as pd
import pytest

from majors_alts_monitor.kpis import PARTS
from majors_alts_monitor.studies.analyze_backtest_results import trades, worst_days


def days_of(gross, net, reasons=None):
    n = len(gross)
    return pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=n),
            "total_gross": gross,
            "r_ls_net": net,
            "regime": ["BALANCED", *["RISK_ON_MAJORS"] * (n - 1)],
            "exit_reason": reasons or [""] * n,
        }
    )


def test_a_trade_runs_from_the_close_it_is_bought_at_to_its_exit():
    daily = days_of([0, 1, 1, 0], [-0.001, 0.10, -0.05, 0.0], ["", "", "stop_loss", ""])
    (trade,) = trades(daily).to_dict("records")
    assert (str(trade["entry"])[:10], str(trade["exit"])[:10]) == ("2024-01-01", "2024-01-03")
    assert (trade["days"], trade["reason"]) == (2, "stop_loss")
    assert trade["regime"] == "RISK_ON_MAJORS"
    assert trade["net_return"] == pytest.approx(0.999 * 1.10 * 0.95 - 1)
    assert trade["worst_drawdown"] == pytest.approx(-0.05)


def test_a_book_carried_in_and_never_left_is_open():
    (trade,) = trades(days_of([1, 1], [0.1, 0.1])).to_dict("records")
    assert (trade["days"], trade["reason"]) == (2, "open")
    assert trade["net_return"] == pytest.approx(0.21)


def test_two_stretches_are_two_trades_and_none_is_none():
    assert len(trades(days_of([0, 1, 0, 0, 1, 0], [0.0] * 6))) == 2
    assert trades(days_of([0, 0], [0.0, 0.0])).empty


def test_worst_days_name_the_parts_and_assets_that_lost_most():
    daily = days_of([1, 1], [-0.03, 0.02])
    daily[list(PARTS)] = 0.0
    daily.loc[0, ["pnl_alts", "pnl_btc", "fees"]] = [-0.04, 0.011, 0.001]
    daily.index = pd.DatetimeIndex(daily["date"].to_numpy())
    positions = pd.DataFrame(
        {
            "date": daily["date"].iloc[[0, 0]].to_numpy(),
            "asset_id": ["SOL", "BTC"],
            "pnl_price": [-0.04, 0.011],
            "pnl_funding": [0.0, 0.0],
            "fee": [0.001, 0.0],
            "slippage": [0.0, 0.0],
            "impact": [0.0, 0.0],
        }
    )
    (worst,) = worst_days(daily, positions).to_dict("records")
    assert worst["parts"] == "pnl_alts -400.0 bp, fees -10.0 bp"
    assert worst["assets"] == "SOL -410.0 bp"
