"""Impact and funding in USD."""

import numpy as np
import pytest

from majors_alts_monitor.backtest import funding_cash, impact_cost


def test_impact_is_the_worked_number():
    assert impact_cost(200e3, 20e6, 0.05, 1.0) == pytest.approx(1000.0)


def test_impact_grows_with_the_power_of_three_halves_and_not_with_the_sign():
    costs = impact_cost(np.array([1e6, -4e6]), 1e9, 0.04, 0.8)

    assert costs[1] / costs[0] == pytest.approx(8.0)


@pytest.mark.parametrize(("adv", "sigma"), [(np.nan, 0.05), (0.0, 0.05), (20e6, np.nan)])
def test_impact_is_zero_where_volume_or_volatility_is_unknown(adv, sigma):
    assert impact_cost([200e3], [adv], [sigma], 1.0).tolist() == [0.0]


def test_funding_of_a_short_is_the_worked_number():
    assert funding_cash(-10, [100, 102, 99], [1e-4, -0.5e-4, 3e-4]) == pytest.approx(0.346)


def test_quantity_may_change_between_settlements():
    # Pays 1 x 100 x 1 %, then earns 2 x 50 x 2 %.
    assert funding_cash([1, -2], [100, 50], [0.01, 0.02]) == pytest.approx(-1 + 2)
