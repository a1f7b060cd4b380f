"""The extra tables of a run, against hand arithmetic."""

import numpy as np
import pandas as pd

from majors_alts_monitor.config import load_config
from majors_alts_monitor.regime.long_short import long_short_return
from majors_alts_monitor.report.report_tables import benchmarks, realised_betas, switch_cost
from tests.fixtures.markets import market_of, simulated_market


def test_a_switch_pays_fee_and_slippage_on_both_legs():
    settings = ["costs.taker_share=0.5", "costs.taker_fee_bps=5", "costs.maker_fee_bps=1"]
    config = load_config(None, [*settings, "costs.slippage_bps=5"])
    assert switch_cost(config) == 2 * (3 + 5) / 1e4


def test_benchmarks_compound_from_one():
    days = pd.date_range("2024-01-01", periods=3)
    closes = pd.DataFrame(
        {"BTC": [100.0, 110.0, 121.0], "ETH": [10.0, 10.0, 12.0], "SOL": [1.0, 1.0, 1.0]}, days
    )
    market = market_of(closes)
    table = benchmarks(market, long_short_return(market), days[1:])
    np.testing.assert_allclose(table["btc"], [1.1, 1.21])
    np.testing.assert_allclose(table["majors"], [1.05, 1.05 * 1.15])
    np.testing.assert_allclose(table["ungated"], [1.05, 1.05 * 1.15])
    assert (table["cash"] == 1).all()


def test_realised_betas_find_the_beta_of_half_a_bitcoin():
    market = simulated_market(120)
    column = market.major_columns[0]
    net = pd.Series(0.5 * market.return_1d[20:, column], market.dates[20:])
    table = realised_betas(market, net)
    np.testing.assert_allclose(table["beta_btc"], 0.5, atol=1e-9)
    np.testing.assert_allclose(table["beta_eth"], 0.0, atol=1e-9)
    assert table["date"].tolist() == [market.dates[20 + row] for row in (90, 95)]
    # Days to come add rows and change none, whatever their number.
    for n_days in (96, 98):
        pd.testing.assert_frame_equal(realised_betas(market, net.iloc[:n_days]), table)
