import numpy as np
import pytest
from scipy.stats import spearmanr

from majors_alts_monitor.regime.rank_ic import block_counts, rank_ic, rank_ic_intervals


def sample(n=300, strength=0.5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, n))
    y = strength * x[0] + rng.normal(size=n)
    return x, y


def test_it_is_spearmans_coefficient_over_pairs_with_ties_and_holes():
    x, y = sample()
    x = x.round(1)
    x[1, ::7] = np.nan
    y[::11] = np.nan

    found = rank_ic(x, y)

    for row, value in zip(x, found, strict=True):
        both = ~np.isnan(row) & ~np.isnan(y)
        assert value == pytest.approx(spearmanr(row[both], y[both]).statistic, abs=1e-12)


def test_few_pairs_or_a_constant_have_no_coefficient():
    x, y = sample(n=29)

    assert np.isnan(rank_ic(x, y)).all()
    assert np.isnan(rank_ic(np.ones((1, 300)), sample()[1])).all()


def test_a_draw_of_blocks_has_as_many_days_as_the_sample():
    counts = block_counts(100, 7, 50, 3)

    assert counts.shape == (50, 100)
    assert (counts.sum(axis=1) == 100).all()
    assert np.allclose(counts.mean(), 1)


def test_the_interval_holds_the_coefficient_and_excludes_zero_for_a_strong_one():
    x, y = sample(n=600)

    low, high = rank_ic_intervals(x, y, block=5, n_boot=500, seed=1)

    ic = rank_ic(x, y)
    assert ((low < ic) & (ic < high)).all()
    assert low[0] > 0
    assert low[1] < 0 < high[1]


def test_the_interval_covers_nothing_in_nineteen_of_twenty_noise_worlds():
    missed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(1, 250))
        low, high = rank_ic_intervals(x, rng.normal(size=250), block=5, n_boot=200, seed=seed)
        missed += not low[0] <= 0 <= high[0]

    # 10 expected; a binomial(200, .08) stays under 28 in 999 of 1,000 cases.
    assert missed < 28


def test_too_few_blocks_have_no_interval():
    x, y = sample(n=100)

    low, high = rank_ic_intervals(x, y, block=40, n_boot=50, seed=0)

    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_a_row_is_not_moved_by_its_neighbours():
    x, y = sample()

    together = rank_ic_intervals(x, y, block=5, n_boot=100, seed=2)
    alone = rank_ic_intervals(x[:1], y, block=5, n_boot=100, seed=2)

    assert together[0][0] == alone[0][0]
    assert together[1][0] == alone[1][0]
