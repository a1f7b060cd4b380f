"""Key figures against hand arithmetic, the papers' numbers and second implementations."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from majors_alts_monitor import metrics

NORMAL = np.random.default_rng(0).normal(0.001, 0.02, 1000)
OF_RETURNS = [
    metrics.cagr,
    metrics.sharpe,
    metrics.volatility,
    metrics.sortino,
    metrics.max_drawdown,
    metrics.calmar,
    metrics.total_return,
    metrics.skewness,
    metrics.raw_kurtosis,
]
paths = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=50)


def test_drawdown_counts_the_starting_capital():
    assert metrics.max_drawdown([-0.10, 0.05, -0.02]) == pytest.approx(-0.10)


def test_drawdown_without_a_fall_is_zero_and_not_negative_zero():
    assert math.copysign(1, metrics.max_drawdown([0.1, 0.0])) == 1
    assert metrics.max_drawdown([0.1, 0.0]) == 0


@given(paths)
def test_drawdown_is_the_worst_of_all_pairs_of_days(returns):
    equity = [1.0]
    for r in returns:
        equity.append(equity[-1] * (1 + r))
    worst = min(later / earlier - 1 for i, earlier in enumerate(equity) for later in equity[i:])

    assert metrics.max_drawdown(returns) == pytest.approx(worst, abs=1e-12)


def test_cagr_compounds_over_365_days():
    # 1.1^5: a fifth of a year.
    assert metrics.cagr([0.1] + [0.0] * 72) == pytest.approx(1.1**5 - 1)


def test_sharpe_and_volatility_use_the_sample_deviation_and_365_days():
    # Mean 1 %, deviations -1, 0, 1 %: sample deviation 1 %.
    assert metrics.volatility([0.0, 0.01, 0.02]) == pytest.approx(0.01 * 365**0.5)
    assert metrics.sharpe([0.0, 0.01, 0.02]) == pytest.approx(365**0.5)


def test_sortino_divides_by_the_downside_over_all_days():
    # Mean 0.5 %, sqrt((0.01^2 + 0.02^2) / 4) = 1.118 %.
    expected = 0.005 / math.sqrt(0.0005 / 4) * 365**0.5
    assert metrics.sortino([0.03, -0.01, 0.02, -0.02]) == pytest.approx(expected)


def test_hit_rate_looks_at_days_with_a_book_only():
    assert metrics.hit_rate([0.01, -0.01, 0.02, 0.03], [1, 1, 0, 0]) == 0.5


def test_calmar_is_growth_over_the_deepest_fall():
    assert metrics.calmar([-0.1, 0.2] + [0.0] * 363) == pytest.approx(0.08 / 0.1)


def test_moments_are_those_of_the_population():
    assert metrics.skewness(NORMAL) == pytest.approx(scipy.stats.skew(NORMAL))
    expected = scipy.stats.kurtosis(NORMAL, fisher=False)
    assert metrics.raw_kurtosis(NORMAL) == pytest.approx(expected)


@pytest.mark.parametrize("figure", OF_RETURNS)
def test_figure_of_no_days_is_undefined(figure):
    assert math.isnan(figure([]))


@pytest.mark.parametrize("figure", OF_RETURNS)
@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf])
def test_figure_of_an_unknown_day_is_undefined(figure, unknown):
    assert math.isnan(figure([0.01, unknown, -0.02]))


@pytest.mark.parametrize("figure", OF_RETURNS)
def test_array_list_and_series_give_the_same(figure):
    assert figure(NORMAL) == figure(list(NORMAL)) == figure(pd.Series(NORMAL))


@pytest.mark.parametrize("returns", [[0.01], [0.01] * 7, [0.0, 0.0]])
def test_ratio_without_risk_is_undefined(returns):
    for figure in (metrics.sharpe, metrics.sortino, metrics.calmar, metrics.skewness):
        assert math.isnan(figure(returns))


def test_hit_rate_without_a_book_is_undefined():
    assert math.isnan(metrics.hit_rate([0.01, 0.02], [False, False]))


def test_growth_after_ruin_is_undefined_beyond_a_full_loss():
    assert metrics.cagr([-1.0, 0.5]) == -1
    assert math.isnan(metrics.cagr([-2.0]))


def test_deflated_sharpe_is_the_papers_number():
    luck = metrics.expected_max_sharpe(0.5 / 250, 100)
    result = metrics.deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, 0.5 / 250, 100)

    assert luck == pytest.approx(0.113172, abs=5e-7)
    assert result == pytest.approx(0.900397, abs=5e-7)


def test_psr_of_normal_returns_is_the_test_of_the_mean():
    # With skew 0 and kurtosis 3 the spread is 1 + SR^2 / 2.
    z = 0.1 * math.sqrt(99) / math.sqrt(1 + 0.1**2 / 2)

    assert metrics.psr(0.1, 0.0, 100, 0.0, 3.0) == pytest.approx(scipy.stats.norm.cdf(z))


@pytest.mark.parametrize(
    "arguments", [(0.1, 0, 1, 0, 3), (1.0, 0, 10, 1, 1), (math.nan, 0, 9, 0, 3)]
)
def test_psr_without_a_spread_is_undefined(arguments):
    assert math.isnan(metrics.psr(*arguments))


@pytest.mark.parametrize("trials", [0, 1])
def test_single_trial_is_not_deflated(trials):
    assert metrics.expected_max_sharpe(0.0, trials) == 0
    assert metrics.deflated_sharpe(0.1, 500, 0, 3, 0.0, trials) == metrics.psr(0.1, 0, 500, 0, 3)


def test_luck_of_many_trials_matches_simulated_maxima():
    draws = np.random.default_rng(1).normal(0, 0.05, (20_000, 50)).max(axis=1)

    assert metrics.expected_max_sharpe(0.05**2, 50) == pytest.approx(draws.mean(), rel=0.02)


def test_interval_repeats_with_its_seed_and_moves_with_another():
    options = {"level": 0.95, "block": None, "reps": 500}

    first = metrics.sharpe_interval(NORMAL, seed=1, **options)

    assert metrics.sharpe_interval(NORMAL, seed=1, **options) == first
    assert metrics.sharpe_interval(NORMAL, seed=2, **options) != first
    assert first[0] < metrics.sharpe(NORMAL) < first[1]


def test_interval_of_independent_returns_is_the_normal_one():
    # Standard error of a daily Sharpe of 0.05 over 1000 days is near sqrt(1.00125 / 1000).
    low, high = metrics.sharpe_interval(NORMAL, level=0.95, block=1, reps=5000, seed=3)

    reach = 2 * 1.96 * math.sqrt(1.00125 / 1000) * 365**0.5
    assert high - low == pytest.approx(reach, rel=0.07)


def test_interval_widens_when_days_come_in_runs():
    runs = np.repeat(np.random.default_rng(2).normal(0.001, 0.02, 200), 5)
    options = {"level": 0.9, "reps": 1000, "seed": 1}

    single = metrics.sharpe_interval(runs, block=1, **options)
    blocks = metrics.sharpe_interval(runs, block=None, **options)

    assert blocks[1] - blocks[0] > 1.5 * (single[1] - single[0])


@pytest.mark.parametrize("returns", [[0.01, -0.02, 0.03], [0.0] * 30 + [0.01]])
def test_interval_leaves_out_draws_of_equal_days(returns):
    # Such a draw has no variance; what rounding leaves of it would make a Sharpe ratio of billions.
    low, high = metrics.sharpe_interval(returns, level=0.95, block=1, reps=500, seed=1)

    assert -150 < low < high < 150


@pytest.mark.parametrize("returns", [[], [0.01], [0.01] * 50, [0.01, math.nan] * 20])
def test_interval_of_an_undefined_ratio_is_undefined(returns):
    low, high = metrics.sharpe_interval(returns, level=0.95, block=None, reps=10, seed=1)

    assert math.isnan(low)
    assert math.isnan(high)
