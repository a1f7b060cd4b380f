"""The race of beta estimators: what it measures, and that it sees what it must see."""

import numpy as np
import pytest

from majors_alts_monitor.config import load_config
from majors_alts_monitor.errors import RangeError
from majors_alts_monitor.studies.beta_estimators import page
from majors_alts_monitor.studies.drifting_market import drifting_market
from majors_alts_monitor.studies.estimator_race import ERRORS, race

CONFIG = load_config(
    overrides=["universe.alt_selection.enabled=false", "universe.alt_selection.weighting=equal"]
)
ABSOLUTE, SCALED = ("ridge_absolute", 0.1), ("ridge", 0.3)


@pytest.fixture(scope="module")
def table():
    market, _ = drifting_market(500, 15, seed=1)
    return race(market, CONFIG, [ABSOLUTE, SCALED, ("ewma", 0.3)]).set_index("estimator")


def test_absolute_penalty_of_the_previous_system_leaves_half_the_beta_unhedged(table):
    assert table.loc["ridge_absolute", "share_hedged"] < 0.5
    assert 0.9 < table.loc["ridge", "share_hedged"] < 1.1


def test_absolute_penalty_loses_by_more_than_two_standard_errors(table):
    assert table.loc["ridge_absolute", "t_behind"] > 2
    assert (table.loc["ridge_absolute", list(ERRORS)] > table.loc["ridge", list(ERRORS)]).all()


def test_best_is_first_and_not_behind_itself(table):
    assert table["hedge_error"].is_monotonic_increasing
    assert table["t_behind"].iloc[0] == 0


def test_order_of_the_rivals_changes_nothing(table):
    market, _ = drifting_market(500, 15, seed=1)

    again = race(market, CONFIG, [("ewma", 0.3), SCALED, ABSOLUTE]).set_index("estimator")

    assert again.loc[table.index].equals(table)


def test_a_race_from_a_later_day_has_its_days_only_and_the_histories_before():
    market, _ = drifting_market(300, 12, seed=2)
    start = market.dates[200].date()

    late = race(market, CONFIG, [SCALED], start)

    # Every fifth day from row 200 to the last with twenty days after it, row 279.
    assert late["n_days"].tolist() == [16]
    assert late.equals(race(market, CONFIG, [SCALED], market.dates[198].date())) is False


def test_the_page_holds_every_race_and_loads_nothing(table):
    text = page({"lake": table.reset_index()})

    assert "<h2>lake</h2>" in text
    assert "ridge_absolute" in text
    assert "http" not in text


def test_market_without_two_separate_outcomes_is_refused():
    market, _ = drifting_market(90, 10, seed=0)

    with pytest.raises(RangeError, match="a race needs more than"):
        race(market, CONFIG, [SCALED])


def test_drifting_betas_are_those_of_the_simulated_returns():
    market, betas = drifting_market(4000, 2, seed=5)
    logs = np.diff(np.log(market.close_usd), axis=0)
    majors = logs[:, list(market.major_columns)]
    expected = np.einsum("tik,tk->ti", betas[1:], majors)
    alts = market.is_alt

    # What is left is noise: no slope on what the betas explain.
    rest = (logs - expected)[:, alts]
    slope = (rest * expected[:, alts]).sum(axis=0) / (expected[:, alts] ** 2).sum(axis=0)
    np.testing.assert_allclose(slope, 0, atol=0.06)
    np.testing.assert_allclose((logs - expected)[:, ~alts], 0, atol=1e-12)
