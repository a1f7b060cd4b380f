from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.regime.long_short import forward_returns, long_short_return
from tests.fixtures.markets import market_of, simulated_market


def market():
    closes = pd.DataFrame(
        {
            "BTC": [100.0, 110.0, 110.0],
            "ETH": [100.0, 130.0, 130.0],
            "AAA": [10.0, 11.0, 11.0],
            "BBB": [10.0, 15.0, 12.0],
        },
        index=pd.date_range("2024-01-01", periods=3, name="date"),
    )
    made = market_of(closes)
    # Columns are AAA, BBB, BTC, ETH.
    caps = np.array([[1.0, 1, 9, 9], [3.0, 1.0, 9, 9], [np.nan, 2.0, 9, 9]])
    return replace(made, previous_market_cap_usd=caps)


def test_majors_are_weighted_equally_and_alts_by_the_cap_of_the_day_before():
    # Majors (10 % + 30 %) / 2 = 20 %; ALTs (3 x 10 % + 1 x 50 %) / 4 = 20 %.
    assert long_short_return(market()).iloc[1] == pytest.approx(0.0)


def test_an_alt_without_cap_does_not_count():
    # Only BBB counts: 0 - (12 / 15 - 1) = 0.2.
    assert long_short_return(market()).iloc[2] == pytest.approx(0.2)


def test_a_day_without_returns_has_no_long_short_return():
    assert np.isnan(long_short_return(market()).iloc[0])


def test_an_alt_that_is_not_eligible_changes_no_bit():
    base = simulated_market(80, 12, seed=3)
    caps = np.random.default_rng(0).uniform(1e8, 1e9, base.close_usd.shape)
    eligible = base.is_eligible.copy()
    eligible[:, 5] = False
    full = replace(base, previous_market_cap_usd=caps, is_eligible=eligible)
    poisoned = caps.copy()
    poisoned[:, 5] = 1e20

    changed = replace(full, previous_market_cap_usd=poisoned)

    pd.testing.assert_series_equal(
        long_short_return(full), long_short_return(changed), check_exact=True
    )


def test_forward_returns_compound_the_days_after():
    # From day 0 over two days: 1.1 x 0.5 - 1; with one day's delay: 0.5 x 1.2 - 1.
    returns = np.array([9.0, 0.1, -0.5, 0.2])

    assert forward_returns(returns, 2)[0] == pytest.approx(-0.45)
    assert forward_returns(returns, 2, delay=1)[0] == pytest.approx(-0.4)


def test_forward_returns_are_null_where_a_day_is_missing_or_not_there_yet():
    found = forward_returns(np.array([0.0, 0.1, np.nan, 0.2, 0.1]), 2)

    assert np.isnan(found).tolist() == [True, True, False, True, True]
    assert np.isnan(forward_returns(np.zeros(3), 5)).all()
