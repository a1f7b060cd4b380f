"""Joint betas: worked numbers, shrinkage, missing days, independence of neighbours."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from majors_alts_monitor.beta_neutral import estimate_betas
from majors_alts_monitor.beta_neutral.betas import SMALLEST_SPREAD, fit_betas
from majors_alts_monitor.config import load_config

CONFIG = load_config().beta
ESTIMATORS = ("ridge", "ridge_absolute", "vasicek", "welch", "ewma")


def config(**changes):
    return CONFIG.model_copy(update=changes)


def panel(n_days=60, n_assets=6, seed=0, noise=0.02):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, n_days))
    majors = np.stack([0.03 * z[0], 0.04 * (0.85 * z[0] + 0.5268 * z[1])], axis=1)
    slopes = rng.uniform(0.2, 1.2, (2, n_assets))
    y = majors @ slopes + rng.normal(0, noise, (n_days, n_assets))
    names = [f"A{i}" for i in range(n_assets)]
    return pd.DataFrame(y, columns=names), pd.DataFrame(majors, columns=["BTC", "ETH"])


def plain_winsorised(values, share=0.05):
    low, high = np.quantile(values, [share, 1 - share])
    return np.clip(values, low, high)


def dumb_ridge(y, majors, alpha, prior):
    """Ridge as an augmented least squares problem, asset by asset, with numpy's quantiles."""
    joint = np.isfinite(y) & np.isfinite(majors).all(axis=1)
    x = np.column_stack([plain_winsorised(majors[joint, j]) for j in range(2)])
    t = plain_winsorised(y[joint])
    penalty = alpha * joint.sum() * np.var(x, axis=0).mean()
    rows = np.vstack([x - x.mean(axis=0), np.sqrt(penalty) * np.eye(2)])
    right = np.concatenate([t - t.mean(), np.sqrt(penalty) * np.asarray(prior)])
    return np.linalg.lstsq(rows, right, rcond=None)[0]


X = np.array([[0.01, 0.012], [-0.02, -0.025], [0.03, 0.028], [-0.01, -0.006], [0.015, 0.02]])


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [(0.0, (0.5, 0.7)), (1e-4, (0.5461, 0.6233)), (0.1, (0.0191, 0.0204))],
)
def test_absolute_penalty_gives_the_worked_numbers(penalty, expected):
    centred = X - X.mean(axis=0)
    majors = pd.DataFrame(centred, columns=["BTC", "ETH"])
    y = pd.DataFrame({"SOL": centred @ [0.5, 0.7]})
    absolute = config(estimator="ridge_absolute", ridge_alpha=penalty, winsorize_pct=0, min_days=5)

    betas = estimate_betas(y, majors, absolute)

    np.testing.assert_allclose(betas.loc["SOL"], expected, atol=5e-5)


def test_ridge_agrees_with_an_augmented_least_squares_problem():
    y, majors = panel()
    y.iloc[:20, 0] = np.nan
    y.iloc[3::7, 1] = np.nan

    betas = estimate_betas(y, majors, config(ridge_alpha=0.3))

    m = majors.to_numpy()
    alone = [dumb_ridge(y[c].to_numpy(), m, 0.0, (0, 0)) for c in y]
    prior = np.median(np.clip(alone, 0, 3), axis=0)
    expected = [np.clip(dumb_ridge(y[c].to_numpy(), m, 0.3, prior), 0, 3) for c in y]
    np.testing.assert_allclose(betas, expected, atol=1e-10)
    np.testing.assert_allclose(betas.attrs["prior"]["value"], prior, atol=1e-10)
    assert betas.attrs["prior"]["assets"] == list(y.columns)
    assert betas.attrs["from_prior"] == []


def test_without_penalty_or_clipping_it_is_ordinary_least_squares():
    y, majors = panel(n_assets=3)

    betas = estimate_betas(y, majors, config(ridge_alpha=0.0, winsorize_pct=0.0))

    for name in y:
        slopes = sm.OLS(y[name], sm.add_constant(majors)).fit().params[1:]
        np.testing.assert_allclose(betas.loc[name], slopes, atol=1e-10)


def test_large_penalty_gives_everyone_the_prior():
    y, majors = panel()

    betas = estimate_betas(y, majors, config(ridge_alpha=1e9))

    np.testing.assert_allclose(betas, np.tile(betas.attrs["prior"]["value"], (6, 1)), atol=1e-6)


def test_asset_with_29_joint_days_gets_the_prior_and_is_named():
    y, majors = panel()
    y.iloc[:31, 2] = np.nan
    y.iloc[:30, 3] = np.nan

    betas = estimate_betas(y, majors, CONFIG)

    assert betas.attrs["from_prior"] == ["A2"]
    assert "A2" not in betas.attrs["prior"]["assets"]
    assert "A3" in betas.attrs["prior"]["assets"]
    assert betas.loc["A2"].tolist() == betas.attrs["prior"]["value"]


def test_a_day_without_a_major_is_not_joint():
    y, majors = panel()
    majors.iloc[:31, 1] = np.nan

    betas = estimate_betas(y, majors, CONFIG)

    assert betas.attrs["from_prior"] == list(y.columns)


def test_nobody_with_history_gets_the_default_prior():
    y, majors = panel(n_days=29)

    betas = estimate_betas(y, majors, CONFIG)

    assert betas.attrs["prior"] == {"assets": [], "value": [0.5, 0.6]}
    assert (betas.to_numpy() == [0.5, 0.6]).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_majors_that_do_not_move_fail_closed_on_the_prior(estimator):
    y, majors = panel()
    majors[:] = 0.0

    betas = estimate_betas(y, majors, config(estimator=estimator, ridge_alpha=0.0))

    assert betas.attrs["from_prior"] == list(y.columns)
    assert (betas.to_numpy() == [0.5, 0.6]).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_asset_at_all_is_an_empty_answer(estimator):
    y, majors = panel()

    betas = estimate_betas(y[[]], majors, config(estimator=estimator))

    assert betas.shape == (0, 2)


def test_result_is_clamped():
    y, majors = panel(n_assets=2, noise=0.0)
    y["A0"], y["A1"] = 9 * majors["BTC"], -9 * majors["BTC"]

    betas = estimate_betas(y, majors, config(ridge_alpha=0.0))

    np.testing.assert_allclose(betas["BTC"], [3.0, 0.0])


def test_prior_is_the_median_of_clamped_fits():
    y, majors = panel(n_assets=2, noise=0.0)
    # Fits of BTC's beta 5 and .4, clamped 3 and .4, median 1.7.
    y["A0"], y["A1"] = 5 * majors["BTC"], 0.4 * majors["BTC"]

    betas = estimate_betas(y, majors, config(winsorize_pct=0.0))

    np.testing.assert_allclose(betas.attrs["prior"]["value"], [1.7, 0.0], atol=1e-12)


def test_only_the_last_window_is_read():
    y, majors = panel(n_days=100)

    longer = estimate_betas(y, majors, CONFIG)
    exact = estimate_betas(y.tail(60), majors.tail(60), CONFIG)

    pd.testing.assert_frame_equal(longer, exact)


def test_one_wild_day_hardly_moves_a_winsorised_beta():
    y, majors = panel(n_assets=5, noise=0.01)
    before = estimate_betas(y, majors, CONFIG)
    y.iloc[10, 0] = 2.0

    after = estimate_betas(y, majors, CONFIG)

    assert (after - before).loc["A0"].abs().max() < 0.15


@pytest.mark.parametrize("estimator", ESTIMATORS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), missing=st.floats(0, 0.6))
def test_neighbours_order_and_empty_assets_change_no_bit(estimator, seed, missing):
    y, majors = panel(n_assets=9, seed=seed)
    rng = np.random.default_rng(seed)
    y = y.mask(rng.random(y.shape) < missing)
    shuffled = y[list(rng.permutation(y.columns))]
    shuffled.insert(4, "EMPTY", np.nan)

    one = estimate_betas(y, majors, config(estimator=estimator))
    other = estimate_betas(shuffled, majors, config(estimator=estimator))

    np.testing.assert_array_equal(other.loc[y.columns], one)
    assert other.attrs["prior"] == one.attrs["prior"]


def test_a_single_asset_is_fitted_as_among_many():
    y, majors = panel()
    many = estimate_betas(y, majors, config(estimator="ridge_absolute"))

    for name in y:
        alone = estimate_betas(y[[name]], majors, config(estimator="ridge_absolute"))
        np.testing.assert_array_equal(alone.loc[name], many.loc[name])


def test_mapping_and_model_are_the_same_configuration():
    y, majors = panel()

    from_mapping = estimate_betas(y, majors, CONFIG.model_dump())

    pd.testing.assert_frame_equal(from_mapping, estimate_betas(y, majors, CONFIG))


def test_vasicek_trusts_a_precise_fit_more_than_a_noisy_one():
    y, majors = panel(n_assets=8, noise=0.005)
    noise = np.random.default_rng(3).normal(0, 0.06, 60)
    y["A0"] = 1.5 * majors["BTC"] + 0.1 * majors["ETH"]
    y["A1"] = y["A0"] + noise

    plain = estimate_betas(y, majors, config(ridge_alpha=0.0))
    shrunk = estimate_betas(y, majors, config(estimator="vasicek"))

    moved = (shrunk - plain).abs().sum(axis=1)
    assert moved["A0"] < 0.01 < moved["A1"]


def test_vasicek_is_the_posterior_mean_computed_with_matrices():
    y, majors = panel(n_assets=7)
    got = fit_betas(
        y.to_numpy().T.copy(),
        majors.to_numpy().T.copy(),
        config(estimator="vasicek", winsorize_pct=0),
    )

    x = (majors - majors.mean()).to_numpy()
    inverse = np.linalg.inv(x.T @ x)
    fits = np.array([sm.OLS(y[c], sm.add_constant(majors)).fit().params[1:] for c in y])
    prior = np.median(np.clip(fits, 0, 3), axis=0)
    noise = [sm.OLS(y[c], sm.add_constant(majors)).fit().ssr / (60 - 3) * inverse for c in y]
    spread = (fits - prior).T @ (fits - prior) / len(fits) - np.mean(noise, axis=0)
    values, vectors = np.linalg.eigh(spread)
    spread = vectors @ np.diag(np.maximum(values, SMALLEST_SPREAD)) @ vectors.T
    expected = [
        prior + spread @ np.linalg.solve(spread + c, b - prior)
        for b, c in zip(fits, noise, strict=True)
    ]
    np.testing.assert_allclose(got.betas, np.clip(expected, 0, 3), atol=1e-9)


def test_ewma_follows_a_recent_change_of_beta_faster():
    _, majors = panel()
    recent = np.arange(60) >= 40
    y = pd.DataFrame({"A0": np.where(recent, 1.5, 0.5) * majors["BTC"], "A1": 0.7 * majors["BTC"]})

    even = estimate_betas(y, majors, config(ridge_alpha=0.01))
    decayed = estimate_betas(y, majors, config(ridge_alpha=0.01, estimator="ewma"))

    assert decayed.loc["A0"].sum() > even.loc["A0"].sum() + 0.05


def test_ewma_without_penalty_is_weighted_least_squares():
    y, majors = panel(n_assets=2)
    weights = 0.5 ** (np.arange(60)[::-1] / 30)

    betas = estimate_betas(y, majors, config(estimator="ewma", ridge_alpha=0, winsorize_pct=0))

    for name in y:
        slopes = sm.WLS(y[name], sm.add_constant(majors), weights).fit().params[1:]
        np.testing.assert_allclose(betas.loc[name], np.clip(slopes, 0, 3), atol=1e-9)


def test_welch_clips_returns_beyond_four_times_what_the_prior_predicts():
    _, majors = panel(n_assets=1)
    expected = 0.5 * majors["BTC"] + 0.6 * majors["ETH"]
    y = pd.DataFrame({"A0": expected})
    wild, clipped = y.copy(), y.copy()
    wild.iloc[5] = 50 * abs(expected.iloc[5])
    clipped.iloc[5] = expected.iloc[5] + 3 * abs(expected.iloc[5])

    welch = config(estimator="welch")

    pd.testing.assert_frame_equal(
        estimate_betas(wild, majors, welch), estimate_betas(clipped, majors, welch)
    )
