"""Bootstrap, overfitting, superior ability and robust errors against second sources."""

import math
from itertools import combinations

import numpy as np
import pytest
import statsmodels.api as sm
from arch.bootstrap import StationaryBootstrap, optimal_block_length

from majors_alts_monitor.metrics import psr
from majors_alts_monitor.statistics import (
    automatic_block,
    bootstrap_sharpes,
    estimate_overfitting,
    minimum_track_record,
    regress_newey_west,
    sample_variance,
    superior_ability,
)

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.01, (800, 20))


def persistent(n, seed=0):
    shocks, values = np.random.default_rng(seed).normal(0, 0.01, n), np.zeros(n)
    for t in range(1, n):
        values[t] = 0.6 * values[t - 1] + shocks[t]
    return values + 0.001


def test_resampled_sharpes_are_spread_like_those_of_arch():
    returns = persistent(500)
    theirs = StationaryBootstrap(10, returns, seed=1).apply(
        lambda r: np.array([r.mean() / r.std(ddof=1)]), 4000
    )

    ours = bootstrap_sharpes(returns, block=10, reps=4000, seed=1)

    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.005)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


def test_number_of_draws_does_not_change_the_first_ones():
    few = bootstrap_sharpes(persistent(100), block=5, reps=250, seed=1)
    many = bootstrap_sharpes(persistent(100), block=5, reps=600, seed=1)

    assert few.tolist() == many[:250].tolist()


def test_resample_without_variance_is_undefined():
    sharpes = bootstrap_sharpes(np.array([0.01, 0.02]), block=1e9, reps=20, seed=1)

    assert not np.isnan(sharpes).any()  # one endless block holds both days
    ones = bootstrap_sharpes(np.array([0.01, 0.02]), block=1, reps=50, seed=1)
    assert np.isnan(ones).any()


def test_automatic_block_is_longer_for_persistent_returns():
    assert automatic_block(persistent(2000)) > 5
    assert automatic_block(RNG.normal(size=2000)) < 5


def overfitting_by_hand(returns, n_blocks):
    """Probability of overfitting with one loop a split, straight from the paper."""
    blocks = np.split(returns, n_blocks)
    below = []
    for members in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[i] for i in members])
        outside = np.concatenate([blocks[i] for i in range(n_blocks) if i not in members])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1))
        scores = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = (scores <= scores[best]).sum() / (len(scores) + 1)
        below.append(math.log(rank / (1 - rank)))
    return np.array(below)


def test_overfitting_agrees_with_one_loop_a_split():
    result = estimate_overfitting(NOISE, n_blocks=8)

    expected = overfitting_by_hand(NOISE, 8)
    assert result.logits == pytest.approx(expected, abs=1e-12)
    assert result.pbo == np.mean(expected <= 0)


def test_variant_with_real_skill_is_not_called_overfitted():
    skilled = NOISE.copy()
    skilled[:, 7] += 0.003

    result = estimate_overfitting(skilled, n_blocks=8)

    assert result.pbo < 0.05
    assert result.loss_probability < 0.05


def test_variants_that_undo_in_one_half_what_they_gained_in_the_other_are():
    # Each variant wins in its own block and loses as much, spread over the others.
    days = np.repeat(np.eye(4), 50, axis=0)
    returns = days - days.mean(axis=0) + RNG.normal(0, 1e-3, days.shape)

    assert estimate_overfitting(returns, n_blocks=4).pbo == 1


def test_variant_that_never_trades_counts_as_zero():
    returns = np.column_stack([np.zeros(64), np.full(64, 0.01) + RNG.normal(0, 0.001, 64)])

    assert estimate_overfitting(returns, n_blocks=4).pbo == 0


@pytest.mark.parametrize(("shape", "n_blocks"), [((100, 1), 4), ((7, 3), 4), ((100, 3), 5)])
def test_overfitting_of_too_little_is_refused(shape, n_blocks):
    with pytest.raises(ValueError, match="2 variants"):
        estimate_overfitting(np.zeros(shape), n_blocks=n_blocks)


def test_superior_ability_finds_skill_and_not_noise():
    skilled = NOISE.copy()
    skilled[:, 7] += 0.003
    options = {"block": 3.0, "reps": 300, "seed": 1}

    assert superior_ability(np.zeros(800), NOISE, **options)["consistent"] > 0.05
    assert superior_ability(np.zeros(800), skilled, **options)["consistent"] < 0.01
    assert superior_ability(np.zeros(800), NOISE, **options) == superior_ability(
        np.zeros(800), NOISE, **options
    )


def test_track_record_of_minimum_length_reaches_the_level():
    n = minimum_track_record(0.08, 0.02, -0.5, 6.0, level=0.95)

    assert psr(0.08, 0.02, math.ceil(n), -0.5, 6.0) >= 0.95
    assert psr(0.08, 0.02, math.floor(n), -0.5, 6.0) < 0.95


def test_track_record_without_an_edge_is_endless():
    assert minimum_track_record(0.02, 0.02, 0, 3, level=0.95) == math.inf
    assert math.isnan(minimum_track_record(math.nan, 0.0, 0, 3, level=0.95))


@pytest.mark.parametrize("lags", [0, 5])
def test_regression_agrees_with_statsmodels(lags):
    x = NOISE[:300, :2]
    y = 0.001 + x @ [0.3, -0.2] + persistent(300)

    ours = regress_newey_west(y, x, lags=lags)

    theirs = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    assert ours.coefficients == pytest.approx(theirs.params, rel=1e-9)
    bounds = theirs.conf_int(0.05)
    assert ours.low == pytest.approx(bounds[:, 0], rel=1e-9)
    assert ours.high == pytest.approx(bounds[:, 1], rel=1e-9)


@pytest.mark.parametrize("x", [NOISE[:3, :2], np.ones((50, 2))])
def test_regression_without_enough_information_is_undefined(x):
    assert np.isnan(regress_newey_west(np.arange(len(x)) * 1.0, x, lags=5).coefficients).all()


def test_variance_of_fewer_than_two_values_is_zero():
    assert sample_variance(np.array([])) == sample_variance(np.array([1.0])) == 0
    assert sample_variance(np.array([1.0, 3.0])) == 2


@pytest.mark.parametrize("seed", range(12))
def test_automatic_block_is_that_of_arch(seed):
    generator = np.random.default_rng(seed)
    returns = persistent(int(generator.integers(20, 900)), seed)
    if seed % 3 == 0:
        returns[generator.random(returns.size) < 0.6] = 0.0  # days without a book

    theirs = float(optimal_block_length(returns)["stationary"].iloc[0])

    assert automatic_block(returns) == pytest.approx(max(1.0, theirs), rel=1e-10)


def test_automatic_block_of_a_constant_or_tiny_sample_is_defined():
    assert automatic_block(np.zeros(50)) == 1.0
    assert all(1 <= automatic_block(NOISE[:n, 0]) <= n for n in range(2, 20))
