"""The members of the configured studies: what differs, and that nothing else does."""

import math

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.config import effective_values, load_config
from majors_alts_monitor.statistics import bootstrap_sharpes
from majors_alts_monitor.studies.basket_sizes import SIZES, sized
from majors_alts_monitor.studies.compare_baseline_vs_enhanced import (
    baseline_of,
    sharpe_difference,
)
from majors_alts_monitor.studies.risk_management import RULES, against_none, risk_members
from majors_alts_monitor.studies.survivorship import (
    feature_differences,
    not_on_todays_list,
    without_assets,
)


def test_sizes_change_the_size_alone_and_min_names_follows_only_downwards():
    config = load_config()
    for size in SIZES:
        values = effective_values(sized(config, size).config)
        assert values["universe"].pop("basket_size") == size
        expected = effective_values(config)
        expected["universe"].pop("basket_size")
        assert values == expected
    assert sized(config, 2).config.universe.min_names == 2


def test_baseline_differs_from_enhanced_in_the_weights_alone():
    enhanced = load_config()
    values, expected = effective_values(baseline_of(enhanced, [])), effective_values(enhanced)
    assert values["regime"].pop("weights") != expected["regime"].pop("weights")
    assert values == expected


def test_overrides_reach_both_sides_of_the_comparison():
    overrides = ["regime.hysteresis_band=0.1", "universe.basket_size=7"]
    baseline = baseline_of(load_config(None, overrides), overrides)
    assert baseline.regime.hysteresis_band == 0.1
    assert baseline.universe.basket_size == 7


def test_difference_of_sharpe_is_paired_draw_by_draw():
    rng = np.random.default_rng(3)
    rival = rng.normal(0.0, 0.01, 300)
    candidate = rival + 0.001
    row = sharpe_difference(candidate, rival, block=5.0, reps=200, seed=1).iloc[0]
    draws = [bootstrap_sharpes(r, block=5.0, reps=200, seed=1) for r in (candidate, rival)]
    own = (draws[0] - draws[1]) * math.sqrt(365)
    assert row["ci_low"] == pytest.approx(np.quantile(own, 0.025))
    assert row["ci_high"] == pytest.approx(np.quantile(own, 0.975))
    # A constant gain is better in every draw, though each Sharpe alone is far from sure.
    assert row["share_above_zero"] == 1.0
    assert row["ci_high"] - row["ci_low"] < np.ptp(np.quantile(draws[0], [0.025, 0.975])) * 19


def test_difference_with_itself_is_zero_and_without_variance_is_null():
    r = np.array([0.01, -0.02, 0.03, 0.0])
    same = sharpe_difference(r, r, block=None, reps=50, seed=1).iloc[0]
    assert (same["sharpe_difference"], same["ci_low"], same["ci_high"]) == (0.0, 0.0, 0.0)
    flat = sharpe_difference(np.zeros(4), np.zeros(4), block=None, reps=50, seed=1).iloc[0]
    assert math.isnan(flat["ci_low"])


def test_ablation_switches_exactly_the_rules_it_names():
    members = {member.name: member.config for member in risk_members(load_config())}
    assert len(members) == 2 + 2 * len(RULES)

    def on(name):
        risk = members[name].backtest.risk_management
        return {rule for rule in RULES if getattr(risk, rule).enabled}

    assert on("none") == set()
    assert on("all") == set(RULES)
    for rule in RULES:
        assert on(f"only_{rule}") == {rule}
        assert on(f"without_{rule}") == set(RULES) - {rule}


def test_a_less_negative_drawdown_ranks_better():
    rows = {"member": ["none", "a", "b"], "sharpe": [1.0, 2.0, 0.0]}
    table = against_none(pd.DataFrame({**rows, "max_drawdown": [-0.20, -0.05, -0.30]}))
    assert table["rank_drawdown"].tolist() == [2, 1, 3]
    assert table["drawdown_saved"].round(12).tolist() == [0.0, 0.15, -0.10]
    assert table["sharpe_gained"].tolist() == [0.0, 1.0, -1.0]


def test_todays_list_leaves_out_who_died_and_who_dropped_out():
    universe = pd.DataFrame(
        {
            "date": [1, 1, 1, 2, 2, 2],
            "asset_id": ["DEAD", "LOW", "SOL", "LOW", "NEW", "SOL"],
            "is_eligible": [True, True, True, False, True, True],
        }
    )
    assert not_on_todays_list(universe) == ["DEAD", "LOW"]
    config = without_assets(load_config(None, ["universe.exclude_assets=[X]"]), ["DEAD"])
    assert config.universe.exclude_assets == ("DEAD", "X")


def test_feature_differences_by_hand():
    from majors_alts_monitor.features import PRIMARY

    days = pd.date_range("2024-01-01", periods=3)
    honest = pd.DataFrame({"date": days, **{key: [1.0, 2.0, None] for key in PRIMARY.values()}})
    biased = pd.DataFrame({"date": days, **{key: [1.5, 1.0, 9.0] for key in PRIMARY.values()}})
    row = feature_differences(honest, biased).iloc[0]
    assert row["n_days"] == 2
    assert row["mean_difference"] == -0.25
    assert row["mean_absolute_difference"] == 0.75
    assert row["correlation"] == pytest.approx(-1.0)
