"""Volatility scale: worked numbers, causality, days without a book."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.backtest import volatility_scale
from majors_alts_monitor.backtest.scaling import next_volatility_scale

WORKED = pd.Series([0.01, -0.02, 0.015, -0.01, 0.03, -0.04, 0.02])


def test_scale_is_the_worked_numbers_from_the_fourth_day():
    scale = volatility_scale(WORKED, target=0.2, window=3, max_scale=1.0)

    expected = [1, 1, 1, 0.553019, 0.580687, 0.518055, 0.298087]
    assert scale.tolist() == pytest.approx(expected, abs=5e-7)


def test_scale_decided_after_a_day_is_the_one_in_force_on_the_next():
    scale = volatility_scale(WORKED, target=0.2, window=3, max_scale=1.0)

    for t in range(len(WORKED)):
        decided = next_volatility_scale(WORKED.to_numpy()[:t], target=0.2, window=3, max_scale=1.0)
        assert decided == scale.iloc[t]


def test_days_without_a_book_are_skipped():
    with_gaps = np.array([0.01, np.nan, -0.02, np.nan, 0.015])

    scale = next_volatility_scale(with_gaps, target=0.2, window=3, max_scale=1.0)

    assert scale == pytest.approx(0.553019, abs=5e-7)


def test_scale_stays_between_its_bounds():
    calm, wild = np.tile([1e-6, -1e-6], 10), np.tile([0.5, -0.5], 10)
    bounds = {"target": 0.2, "window": 20, "min_scale": 0.1, "max_scale": 1.5}

    assert next_volatility_scale(calm, **bounds) == 1.5
    assert next_volatility_scale(wild, **bounds) == 0.1
    assert next_volatility_scale(np.zeros(20), **bounds) == 1.5


def test_rewriting_the_future_leaves_the_past_unchanged():
    x = pd.Series(np.random.default_rng(0).normal(0, 0.02, size=120))
    rewritten = x.copy()
    rewritten.iloc[80:] = 1e6
    options = {"target": 0.2, "window": 20, "max_scale": 2.0}

    before, after = volatility_scale(x, **options), volatility_scale(rewritten, **options)

    pd.testing.assert_series_equal(before.iloc[:81], after.iloc[:81])
