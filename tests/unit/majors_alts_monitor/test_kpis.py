"""Key figures of a run, regimes, months and attribution from small days that add up by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from majors_alts_monitor import metrics
from majors_alts_monitor.backtest import simulate
from majors_alts_monitor.config import BootstrapConfig
from majors_alts_monitor.errors import IdentityError
from majors_alts_monitor.kpis import (
    attribution,
    attribution_by_asset,
    check_identity,
    earning_regime,
    explain_returns,
    kpis,
    monthly_returns,
    regime_metrics,
)
from majors_alts_monitor.statistics import Trials
from majors_alts_monitor.types import FIVE_STATES, Regime

DRAWS = BootstrapConfig(enabled=True, block_size=None, n_boot=200, seed=None)
OFF = BootstrapConfig(enabled=False, block_size=None, n_boot=200, seed=None)
CONTRACT = {
    "cagr",
    "sharpe",
    "sharpe_ci_low",
    "sharpe_ci_high",
    "psr",
    "deflated_sharpe",
    "trials",
    "sortino",
    "volatility",
    "max_drawdown",
    "calmar",
    "hit_rate",
    "exposure_share",
    "avg_turnover",
    "funding_drag",
    "cost_drag",
    "realised_beta_btc",
    "realised_beta_btc_ci_low",
    "realised_beta_btc_ci_high",
    "realised_beta_eth",
    "realised_beta_eth_ci_low",
    "realised_beta_eth_ci_high",
    "total_return",
    "n_days",
    "start",
    "end",
}


def simulated(n_days=200, seed=0):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", periods=n_days)
    assets = ["BTC", "ETH", "SOL", "XRP"]
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, (n_days, 4)), axis=0))
    closes = pd.DataFrame(closes, days, assets)
    targets = pd.DataFrame([[0.2, 0.3, -0.25, -0.25]] * n_days, days, assets)
    targets.iloc[:50] = np.nan
    funding = pd.DataFrame(rng.normal(1e-4, 1e-3, (n_days, 4)), days, assets)
    simulation = simulate(targets, closes, funding=funding, fee_bps=5, slippage_bps=5)
    return simulation, closes.pct_change()


def test_figures_are_those_of_the_contract_and_of_metrics():
    simulation, returns = simulated()
    daily = simulation.daily
    r = daily["r_ls_net"]

    figures = kpis(daily, returns, Trials(7, 1e-4), DRAWS, seed=1)

    assert set(figures) == CONTRACT
    per_period = r.mean() / r.std()
    moments = len(r), metrics.skewness(r), metrics.raw_kurtosis(r)
    assert figures["sharpe"] == pytest.approx(per_period * 365**0.5)
    assert figures["psr"] == metrics.psr(per_period, 0.0, *moments)
    assert figures["deflated_sharpe"] == metrics.deflated_sharpe(per_period, *moments, 1e-4, 7)
    assert figures["sharpe_ci_low"] < figures["sharpe"] < figures["sharpe_ci_high"]
    assert figures["exposure_share"] == 149 / 200  # traded on day 50, held from day 51 on
    assert figures["hit_rate"] == (r[51:] > 0).mean()
    assert (figures["n_days"], figures["start"], figures["end"]) == (
        200,
        "2024-01-01",
        "2024-07-18",
    )


def test_drags_are_a_years_mean_and_positive_when_lost():
    # 200 days; one of them costs 1 % in all and another pays 2 % of funding.
    simulation, returns = simulated()
    daily = simulation.daily.copy()
    daily[
        [
            "fees",
            "slippage",
            "impact",
            "funding_alts",
            "funding_majors",
            "alt_turnover",
            "major_turnover",
        ]
    ] = 0.0
    daily.loc["2024-02-01", ["fees", "slippage", "impact"]] = [0.002, 0.003, 0.005]
    daily.loc["2024-02-02", ["funding_alts", "funding_majors"]] = [-0.03, 0.01]
    daily.loc["2024-02-03", ["alt_turnover", "major_turnover"]] = [0.5, 0.7]

    figures = kpis(daily, returns, Trials(1, 0.0), OFF, seed=1)

    assert figures["cost_drag"] == pytest.approx(365 * 0.01 / 200)
    assert figures["funding_drag"] == pytest.approx(365 * 0.02 / 200)
    assert figures["avg_turnover"] == pytest.approx(1.2 / 200)
    assert math.isnan(figures["sharpe_ci_low"])


def test_realised_betas_use_the_days_on_which_both_majors_have_a_return():
    simulation, returns = simulated()
    y, x = simulation.daily["r_ls_net"].iloc[1:], returns[["BTC", "ETH"]].iloc[1:]
    theirs = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds={"maxlags": 5})

    figures = kpis(simulation.daily, returns, Trials(1, 0.0), OFF, seed=1)

    assert figures["realised_beta_eth"] == pytest.approx(theirs.params["ETH"])
    low, high = theirs.conf_int().loc["ETH"]
    assert figures["realised_beta_eth_ci_low"] == pytest.approx(low)
    assert figures["realised_beta_eth_ci_high"] == pytest.approx(high)


def test_run_without_a_book_has_undefined_figures_and_no_warning():
    simulation, returns = simulated()
    flat = simulation.daily.iloc[:50]

    figures = kpis(flat, returns, Trials(1, 0.0), DRAWS, seed=1)

    for name in ("sharpe", "sharpe_ci_low", "psr", "deflated_sharpe", "hit_rate", "sortino"):
        assert math.isnan(figures[name])
    assert figures["total_return"] == figures["max_drawdown"] == figures["exposure_share"] == 0


def test_day_belongs_to_the_regime_it_was_decided_in():
    regimes = pd.Series(["WEAK_RISK_ON_MAJORS", "STRONG_RISK_ON_MAJORS", "BALANCED"])

    assert earning_regime(regimes, lag=0).tolist() == [
        "BALANCED",
        "WEAK_RISK_ON_MAJORS",
        "STRONG_RISK_ON_MAJORS",
    ]
    assert earning_regime(regimes, lag=2).tolist() == ["BALANCED"] * 3


def test_regimes_split_days_and_profit():
    returns = pd.Series([0.01, 0.03, -0.01, 0.01])
    regimes = pd.Series(["BALANCED", "BALANCED", "WEAK_RISK_ON_ALTS", "WEAK_RISK_ON_ALTS"])

    table = regime_metrics(returns, regimes, FIVE_STATES).set_index("regime")

    assert list(table.index) == [state.value for state in FIVE_STATES]
    balanced = table.loc["BALANCED"]
    assert balanced["n_days"] == 2
    assert balanced["mean_return"] == balanced["median_return"] == pytest.approx(0.02)
    assert balanced["volatility"] == pytest.approx(0.01 * 2**0.5 * 365**0.5)
    assert balanced["sharpe"] == pytest.approx(2**0.5 * 365**0.5)
    assert table["pnl_share"].tolist() == pytest.approx([0.0, 0.0, 1.0, 0.0, 0.0])
    assert table.loc["STRONG_RISK_ON_MAJORS"].isna().sum() == 4


def test_share_of_no_profit_is_undefined():
    table = regime_metrics(pd.Series([0.0]), pd.Series(["BALANCED"]), [Regime.BALANCED])

    assert math.isnan(table["pnl_share"].iloc[0])


def test_months_compound_and_a_month_without_days_is_empty():
    days = pd.to_datetime(["2023-12-31", "2024-01-30", "2024-01-31", "2024-03-01"])

    table = monthly_returns(pd.Series([0.5, 0.1, 0.1, -0.1], index=days))

    assert table.loc[2023, 12] == 0.5
    assert table.loc[2024, [1, 3, "year"]].tolist() == pytest.approx([0.21, -0.1, 0.089])
    assert math.isnan(table.loc[2024, 2])


def test_attribution_adds_up_in_every_cut():
    simulation, _ = simulated()
    daily = simulation.daily
    months = pd.Series(daily.index.strftime("%Y-%m"), index=daily.index)

    table = attribution(daily, months)

    assert table.index[-1] == "total"
    march = -daily.loc["2024-03", "fees"].sum()
    assert table.loc["2024-03", "fees"] == pytest.approx(march, rel=1e-12)
    assert table["r_ls_net"].iloc[:-1].sum() == pytest.approx(table.loc["total", "r_ls_net"])
    pd.testing.assert_frame_equal(attribution(daily), table.iloc[[-1]])


def test_attribution_by_asset_is_ordered_and_adds_up():
    simulation, _ = simulated()

    table = attribution_by_asset(simulation.positions, simulation.daily)

    assert set(table.index[:-1]) == {"BTC", "ETH", "SOL", "XRP"}
    assert table["net"].iloc[:-1].is_monotonic_decreasing
    assert table.loc["total", "net"] == pytest.approx(simulation.daily["r_ls_net"].sum())


@pytest.mark.parametrize("column", ["r_ls_net", "r_ls_gross", "fees", "funding_alts"])
def test_part_that_does_not_add_up_is_named_with_its_day(column):
    daily = simulated()[0].daily.copy()
    daily.loc["2024-03-05", column] += 2e-9

    with pytest.raises(IdentityError, match="on 2024-03-05"):
        check_identity(daily)


def test_position_that_is_missing_is_noticed():
    simulation, _ = simulated()

    with pytest.raises(IdentityError, match="miss r_ls_net"):
        attribution_by_asset(simulation.positions.iloc[:-1], simulation.daily)


def test_return_is_explained_by_beta_carry_costs_and_a_remainder():
    simulation, returns = simulated()
    daily = simulation.daily.assign(beta_btc=0.1, beta_eth=np.nan)

    table = explain_returns(daily, returns)

    assert table.drop(columns="r_ls_net").sum(axis=1).tolist() == pytest.approx(
        daily["r_ls_net"].tolist(), abs=1e-15
    )
    assert table["residual_btc"].iloc[9] == pytest.approx(0.1 * returns["BTC"].iloc[9])
    assert (table["residual_eth"] == 0).all()
