"""Neutrality as realised: intervals, calibration, size, and the promise on simulated markets."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from majors_alts_monitor.beta_neutral import propose_books
from majors_alts_monitor.beta_neutral.neutrality import (
    calibration,
    leg_betas,
    neutrality_figures,
    rolling_betas,
    share_neutral,
    size_factor,
    size_loading,
    verify_neutrality,
)
from majors_alts_monitor.config import load_config
from majors_alts_monitor.studies.drifting_market import drifting_market
from tests.fixtures.markets import market_of, simulated_market

CONFIG = load_config(
    overrides=["universe.alt_selection.enabled=false", "universe.alt_selection.weighting=equal"]
)


def book_returns(market, books, lag=1):
    """Hold each day's book from the close after it, rebalanced daily and free of costs."""
    held = np.zeros_like(books.weights)
    held[1 + lag :] = books.weights[: -1 - lag]
    return pd.Series(np.nansum(held * market.return_1d, axis=1), index=market.dates)


def majors_of(market):
    frame = pd.DataFrame(market.return_1d, index=market.dates, columns=market.assets)
    return frame[["BTC", "ETH"]]


@pytest.fixture(scope="module")
def simulated():
    paths = []
    for seed in range(4):
        market, _ = drifting_market(91 * 8 + 70, 12, seed=seed)
        books = propose_books(market, CONFIG)
        returns = book_returns(market, books).iloc[70:]
        paths.append((market, books, returns))
    return paths


def test_realised_beta_is_within_two_errors_of_zero_in_nine_of_ten_quarters(simulated):
    shares = [verify_neutrality(r, m, b).share_neutral for m, b, r in simulated]

    for major in ("BTC", "ETH"):
        assert np.mean([share[major] for share in shares]) >= 0.9


def test_forecast_betas_of_the_leg_hit_what_comes_on_average(simulated):
    legs = pd.concat([leg_betas(m, b) for m, b, _ in simulated])

    total = legs.sum()
    forecast = total["forecast_btc"] + total["forecast_eth"]
    assert forecast == pytest.approx(total["realised_btc"] + total["realised_eth"], rel=0.1)


def test_unhedged_leg_is_found_out(simulated):
    market, books, _ = simulated[0]
    unhedged = books.weights.copy()
    unhedged[:, list(market.major_columns)] = 0
    held = np.vstack([np.zeros((2, unhedged.shape[1])), unhedged[:-2]])
    returns = pd.Series(np.nansum(held * market.return_1d, axis=1), index=market.dates)

    result = verify_neutrality(returns.iloc[70:], market, books)

    assert result.share_neutral["BTC"] < 0.9
    assert result.share_neutral["ETH"] < 0.9


def dumb_newey_west(y, x):
    """Leverage-adjusted Newey-West with five lags, one pair of days at a time."""
    X = sm.add_constant(x).to_numpy()
    fit = sm.OLS(y.to_numpy(), X).fit()
    u = fit.resid / (1 - fit.get_influence().hat_matrix_diag)
    meat = np.zeros((3, 3))
    for s in range(len(y)):
        for t in range(len(y)):
            if abs(s - t) <= 5:
                meat += (1 - abs(s - t) / 6) * u[s] * u[t] * np.outer(X[s], X[t])
    inverse = np.linalg.inv(X.T @ X)
    return fit.params, np.sqrt(np.diag(inverse @ meat @ inverse))


def test_rolling_betas_agree_with_sums_over_pairs_of_days():
    market = simulated_market(200)
    majors = majors_of(market)
    returns = majors @ [0.2, -0.1] + np.random.default_rng(0).normal(0, 0.01, 200)

    table = rolling_betas(returns.iloc[1:], majors.iloc[1:], window=60, step=7)

    slopes, errors = dumb_newey_west(returns.iloc[134:194], majors.iloc[134:194])
    last = table.iloc[-1]
    assert table.index[-1] == market.dates[193]
    assert len(table) == 20
    for i, major in enumerate(["btc", "eth"], start=1):
        assert last[f"beta_{major}"] == pytest.approx(slopes[i])
        assert last[f"beta_{major}_low"] == pytest.approx(slopes[i] - 1.959964 * errors[i])
        assert last[f"beta_{major}_high"] == pytest.approx(slopes[i] + 1.959964 * errors[i])


def test_fewer_days_than_a_window_are_no_window():
    majors = majors_of(simulated_market(50))

    table = rolling_betas(majors["BTC"], majors, window=91, step=1)

    assert table.empty
    assert np.isnan(share_neutral(table, "BTC"))


def test_share_neutral_counts_intervals_that_hold_zero():
    windows = pd.DataFrame(
        {"beta_btc_low": [-0.1, 0.1, -0.3, np.nan], "beta_btc_high": [0.1, 0.2, -0.1, np.nan]}
    )

    assert share_neutral(windows, "BTC") == pytest.approx(1 / 3)


def test_calibration_slope_is_that_of_realised_on_forecast():
    forecast = np.linspace(0.2, 1.2, 12)
    legs = pd.DataFrame(
        {
            "forecast_btc": forecast,
            "forecast_eth": forecast,
            "realised_btc": 0.1 + 0.5 * forecast,
            "realised_eth": forecast,
        }
    )

    table = calibration(legs)

    np.testing.assert_allclose(table["slope"], [0.5, 1.0])
    assert table["n_forecasts"].tolist() == [12, 12]


def test_calibration_without_forecasts_is_undefined():
    legs = leg_betas(*_short())

    table = calibration(legs)

    assert legs.empty
    assert table["slope"].isna().all()


def _short():
    market = simulated_market(70)
    return market, propose_books(market, CONFIG, range(60, 70))


def test_size_factor_is_small_minus_large():
    # Caps 1, 2, 3 against 5, 6, 7 (4 is in the middle): mean .01 - mean .04 = -.03.
    dates = pd.date_range("2024-01-01", periods=2)
    names = ["A", "B", "C", "D", "E", "F", "G", "BTC", "ETH"]
    closes = pd.DataFrame(100.0, index=dates, columns=names)
    closes.iloc[1, :3], closes.iloc[1, 3], closes.iloc[1, 4:7] = 101.0, 150.0, 104.0
    volumes = pd.DataFrame([[1.0, 2, 3, 4, 5, 6, 7, 99, 99]] * 2, index=dates, columns=names)
    market = market_of(closes, volumes)

    factor = size_factor(market)

    assert np.isnan(factor.iloc[0])
    assert factor.iloc[1] == pytest.approx(-0.03)


def test_size_factor_needs_six_assets():
    assert size_factor(simulated_market(10, 5)).isna().all()


def test_size_loading_is_found_beside_both_majors():
    market = simulated_market(150)
    majors, rng = majors_of(market).iloc[1:], np.random.default_rng(4)
    size = pd.Series(rng.normal(0, 0.02, 149), index=majors.index)
    returns = majors @ [0.1, 0.0] - 0.4 * size + rng.normal(0, 0.002, 149)

    loading = size_loading(returns, majors, size)

    assert loading["loading"] == pytest.approx(-0.4, abs=0.03)
    assert loading["low"] < loading["loading"] < loading["high"] < 0


def test_figures_are_those_of_the_verification_and_flat_quarters_do_not_count(simulated):
    market, books, returns = simulated[0]
    flat = returns.copy()
    flat.iloc[len(flat) // 91 * 91 - 182 :] = 0.0

    result, figures = verify_neutrality(returns, market, books), neutrality_figures
    whole, half_flat = (figures(r, market, books) for r in (returns, flat))

    slope = result.calibration.loc["BTC"]
    assert whole["beta_slope_btc"] == slope["slope"]
    assert whole["beta_slope_btc_ci_low"] == slope["slope_low"]
    assert whole["size_loading"] == result.size_loading["loading"]
    assert whole["quarters_neutral_eth"] == result.share_neutral["ETH"]
    quarters = rolling_betas(returns, majors_of(market).loc[returns.index], window=91, step=91)
    assert half_flat["quarters_neutral_btc"] == share_neutral(quarters.iloc[:-2], "BTC")
