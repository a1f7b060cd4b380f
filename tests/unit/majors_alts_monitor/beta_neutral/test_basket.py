"""Filters, rank and capped shares of the basket."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from majors_alts_monitor.beta_neutral.basket import (
    Exclusion,
    annualised_volatility,
    cap_weights,
    largest_correlation,
    largest_volumes,
    screen,
)
from majors_alts_monitor.config import load_config

SELECTION = load_config().universe.alt_selection

sizes = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


def capped_by_bisection(raw, cap):
    """Find k by halving, the slow way."""
    low, high = 0.0, 1.0
    while np.minimum(cap, high * raw).sum() < 1:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(cap, middle * raw).sum() < 1 else (low, middle)
    return np.minimum(cap, high * raw)


def walk(n_days=61, *, seed=0, n=1, volatility=0.02):
    steps = np.random.default_rng(seed).normal(0, volatility, (n, n_days - 1))
    return np.hstack([np.full((n, 1), 100.0), 100 * np.exp(np.cumsum(steps, axis=1))])


def test_weight_above_the_cap_is_shared_by_the_others_in_proportion():
    # 6:3:1 -> .6 is above .5; the other half goes 3:1.
    np.testing.assert_allclose(cap_weights(np.array([6.0, 3, 1]), 0.5), [0.5, 0.375, 0.125])


def test_sharing_may_push_the_next_name_to_the_cap():
    # 10:4:1:1 at cap .3: 10 -> .3; then 4/6 of .7 = .4667 -> .3; the rest .4 is shared 1:1.
    weights = cap_weights(np.array([10.0, 4, 1, 1]), 0.3)

    np.testing.assert_allclose(weights, [0.3, 0.3, 0.2, 0.2])


def test_what_caps_cannot_hold_stays_in_cash():
    weights = cap_weights(np.array([1.0, 2, 3]), 0.25)

    np.testing.assert_array_equal(weights, [0.25, 0.25, 0.25])


def test_a_size_of_zero_gets_nothing_even_when_there_is_cash_left():
    np.testing.assert_array_equal(cap_weights(np.array([0.0, 2.0]), 0.25), [0.0, 0.25])


def test_nothing_to_weight_is_all_cash():
    np.testing.assert_array_equal(cap_weights(np.zeros(2), 0.5), [0.0, 0.0])
    assert cap_weights(np.zeros(0), 0.5).size == 0


def test_labels_come_back():
    weights = cap_weights(pd.Series({"SOL": 3.0, "ADA": 1.0}), 1.0)

    assert weights.to_dict() == {"SOL": 0.75, "ADA": 0.25}


@pytest.mark.parametrize("raw", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_sizes_must_be_finite_and_not_negative(raw):
    with pytest.raises(ValueError, match="finite and not negative"):
        cap_weights(np.array(raw), 0.5)


@pytest.mark.parametrize("cap", [0.0, -0.1, 1.01, np.nan])
def test_cap_must_be_a_positive_fraction(cap):
    with pytest.raises(ValueError, match="cap must lie in"):
        cap_weights(np.ones(3), cap)


@given(raw=sizes, cap=st.floats(0.01, 1.0))
def test_capped_weights_agree_with_bisection(raw, cap):
    raw = np.array(raw)

    weights = cap_weights(raw, cap)

    assert (weights <= cap).all()
    if len(raw) * cap <= 1:
        np.testing.assert_array_equal(weights, cap)
    else:
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(weights, capped_by_bisection(raw, cap), atol=1e-9)


@given(raw=sizes, cap=st.floats(0.01, 1.0), seed=st.integers(0, 99))
def test_capped_weights_do_not_depend_on_order(raw, cap, seed):
    raw = np.array(raw)
    order = np.random.default_rng(seed).permutation(len(raw))

    np.testing.assert_array_equal(cap_weights(raw[order], cap), cap_weights(raw, cap)[order])


def test_volatility_is_the_sample_deviation_times_the_root_of_365():
    # Deviations -.01, 0, .01 -> variance .0002 / 2 = .0001 -> sd .01.
    volatility = annualised_volatility(np.array([[0.0, 0.01, 0.02]]))

    assert volatility[0] == pytest.approx(0.01 * 365**0.5)


def test_larger_of_both_correlations_counts_and_its_sign_does_not():
    rng = np.random.default_rng(1)
    majors = rng.normal(size=(2, 60))
    returns = np.stack([-majors[1], rng.normal(size=60)])

    correlation = largest_correlation(returns, majors)

    frame = pd.DataFrame({"x": returns[1], "btc": majors[0], "eth": majors[1]}).corr().abs()
    np.testing.assert_allclose(correlation, [1.0, frame.loc["x", ["btc", "eth"]].max()])


def test_correlation_needs_thirty_joint_returns():
    majors = np.random.default_rng(1).normal(size=(2, 60))
    returns = np.tile(majors[0], (2, 1))
    returns[0, :30] = np.nan
    returns[1, :31] = np.nan

    correlation = largest_correlation(returns, majors)

    assert correlation[0] == pytest.approx(1.0)
    assert np.isnan(correlation[1])


def screened(closes, selection=SELECTION, seed=5):
    majors = walk(seed=seed, n=2)
    return screen(closes, majors, selection), majors


def like_btc(seed=5):
    """Follow BTC exactly, so that only what the test changes can fail."""
    return walk(seed=seed, n=2)[:1].copy()


def test_asset_that_passes_every_filter_is_not_excluded():
    result, _ = screened(like_btc())

    assert result.passes.tolist() == [True]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.__setitem__((0, 50), np.nan), "volatility_history"),
        (lambda c: c.__setitem__((0, slice(1, None)), c[0, 0]), "zero_volatility"),
        (lambda c: c.__setitem__((0, slice(1, None, 2)), c[0, 1::2] * 1.2), "volatility"),
        (lambda c: c.__setitem__((0, slice(0, 31)), np.nan), "correlation_history"),
        (lambda c: c.__setitem__((0, slice(None)), walk(seed=77)[0]), "correlation"),
        (lambda c: c.__setitem__((0, slice(54, None)), c[0, 54:] * 1.6), "volatility"),
    ],
)
def test_first_filter_that_fails_is_the_reason(change, reason):
    closes = like_btc()
    change(closes)

    result, _ = screened(closes)

    assert Exclusion(result.code[0]).reason == reason


@pytest.mark.parametrize(
    ("daily", "reason"), [(0.06, ""), (0.061, "momentum"), (-0.10, "momentum"), (-0.09, "")]
)
def test_week_outside_the_momentum_bounds_excludes(daily, reason):
    # 1.06^7 = 1.5036 ... so scale to land on either side of +-50 %.
    bound = 1.5 if daily > 0 else 0.5
    inside = abs(daily) in {0.06, 0.09}
    closes = like_btc()
    gap = (
        bound * (0.999 if inside else 1.001) if daily > 0 else bound * (1.001 if inside else 0.999)
    )
    closes[0, -7:] = closes[0, -8] * gap ** (np.arange(1, 8) / 7)
    loose = SELECTION.model_copy(update={"max_volatility": 9.0, "min_correlation": 0.0})

    result, _ = screened(closes, loose)

    assert Exclusion(result.code[0]).reason == reason


def test_missing_close_a_week_ago_is_a_reason_of_its_own():
    closes = like_btc()
    closes[0, -8] = np.nan
    short = SELECTION.model_copy(update={"volatility_lookback_days": 5})

    result, _ = screened(closes, short)

    assert Exclusion(result.code[0]).reason == "momentum_history"


def test_volatility_at_the_bound_is_allowed():
    closes = like_btc()
    exact = float(screened(closes)[0].volatility[0])

    at = screened(closes, SELECTION.model_copy(update={"max_volatility": exact}))[0]
    above = screened(
        closes, SELECTION.model_copy(update={"max_volatility": np.nextafter(exact, 0)})
    )[0]

    assert at.passes.all()
    assert Exclusion(above.code[0]) is Exclusion.VOLATILITY


def test_selection_switched_off_filters_nothing_when_shares_are_equal():
    closes = np.full((1, 61), np.nan)
    off = SELECTION.model_copy(update={"enabled": False, "weighting": "equal"})

    assert screened(closes, off)[0].passes.all()


def test_inverse_volatility_shares_need_a_volatility_even_without_filters():
    closes = np.vstack([np.full(61, np.nan), np.full(61, 1.0)])
    off = SELECTION.model_copy(update={"enabled": False})

    codes = screened(closes, off)[0].code

    assert [Exclusion(c).reason for c in codes] == ["volatility_history", "zero_volatility"]


def test_ties_of_volume_go_to_the_first_name():
    assert largest_volumes(np.array([1.0, 7.0, 7.0, 9.0]), 3).tolist() == [3, 1, 2]
