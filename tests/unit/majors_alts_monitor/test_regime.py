import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majors_alts_monitor.config import HighVolGateConfig, load_config
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import classify, high_vol_gate, score, timeline
from majors_alts_monitor.types import GROUPS
from tests.reference import regime_states

CONFIG = load_config().regime
THRESHOLDS = {"strong_low": -1.5, "low": -0.5, "high": 0.5, "strong_high": 1.5}
RULES = {"n_regimes": 5, "thresholds": THRESHOLDS, "hysteresis_band": 0.3, "min_regime_days": 3}
NAN = float("nan")


def labels(scores, gate=None, **changed):
    series = pd.Series(scores, dtype=float)
    flags = None if gate is None else pd.Series(gate)
    return classify(series, RULES | changed, flags)["regime"].tolist()


def features_of(z, start="2024-01-01"):
    index = pd.date_range(start, periods=len(z), name="date")
    return pd.DataFrame(z, index=index, columns=[PRIMARY[g] for g in GROUPS])


def test_the_worked_path_of_the_strategy_page_is_reproduced():
    scores = [0.0, 0.6, 0.3, 0.1, 0.04, 0.7, 1.6, 1.3, 1.1, 1.0, -0.6, -0.1, 0.1]

    found = labels(scores)

    b, wm, sm, wa = (
        "BALANCED",
        "WEAK_RISK_ON_MAJORS",
        "STRONG_RISK_ON_MAJORS",
        "WEAK_RISK_ON_ALTS",
    )
    assert found == [b, wm, wm, wm, b, wm, sm, sm, sm, wm, wa, wa, b]


def test_days_in_regime_count_from_one_and_restart_with_a_new_state():
    found = classify(pd.Series([0.0, 0.1, 0.6, 0.5, -0.6]), RULES)["days_in_regime"]

    assert found.tolist() == [1, 2, 1, 2, 1]


def test_a_boundary_itself_is_not_beyond_it():
    assert labels([0.5, 0.5, -0.5, 1.5]) == ["BALANCED"] * 3 + ["WEAK_RISK_ON_MAJORS"]


def test_an_old_state_is_left_beyond_one_band_and_a_young_one_beyond_one_and_a_half():
    # Inner boundary 0.5: the wide band ends at 0.05, the plain one at 0.2.
    assert labels([0.6, 0.1, 0.1, 0.1, 0.1])[3:] == ["WEAK_RISK_ON_MAJORS", "BALANCED"]


def test_a_day_without_score_is_balanced_and_the_next_starts_from_there():
    # 0.3 would keep WEAK_RISK_ON_MAJORS; after a day without score it is just BALANCED.
    assert labels([0.6, NAN, 0.3]) == ["WEAK_RISK_ON_MAJORS", "BALANCED", "BALANCED"]


def test_days_without_score_prolong_a_balanced_state():
    found = classify(pd.Series([NAN, NAN, 0.1]), RULES)

    assert found["days_in_regime"].tolist() == [1, 2, 3]


def test_the_gate_blocks_the_way_out_on_the_side_of_the_majors():
    assert labels([0.0, 0.9, 0.9], [False, True, False]) == [
        "BALANCED",
        "BALANCED",
        "WEAK_RISK_ON_MAJORS",
    ]
    assert labels([0.9, 1.9], [False, True])[1] == "WEAK_RISK_ON_MAJORS"


def test_the_gate_forces_nobody_out():
    assert labels([1.9, 1.4], [False, True])[1] == "STRONG_RISK_ON_MAJORS"


def test_an_inward_move_on_a_gated_day_is_judged_on_the_raw_score():
    # Leaving STRONG while young needs a score under 1.5 - 0.45.
    assert labels([1.9, 1.0], [False, True])[1] == "WEAK_RISK_ON_MAJORS"


def test_a_gated_move_across_from_the_alts_ends_in_balanced():
    assert labels([-1.9, 1.9], [False, True])[1] == "BALANCED"


def test_a_gated_first_day_is_at_most_balanced():
    assert labels([1.9], [True]) == ["BALANCED"]


@pytest.mark.parametrize("n_regimes", [3, 5])
@pytest.mark.parametrize("seed", range(30))
def test_labels_equal_a_plain_state_machine_on_random_paths(n_regimes, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, rng.choice([0.3, 0.8, 2.0]), 400)
    if seed % 2:
        scores = np.cumsum(scores) / 4
    scores[rng.random(400) < 0.05] = NAN
    # Scores exactly on the edges are where strictness matters.
    edges = rng.random(400) < 0.2
    scores[edges] = rng.choice([-1.5, -0.5, 0.5, 1.5, 0.2, 1.2, -0.2, 0.05, 1.05], edges.sum())
    gate = rng.random(400) < 0.3
    band, min_days = rng.choice([0.0, 0.3, 1.1]), int(rng.integers(0, 6))

    found = classify(
        pd.Series(scores),
        RULES
        | {"n_regimes": n_regimes, "hysteresis_band": float(band), "min_regime_days": min_days},
        pd.Series(gate),
    )

    expected = regime_states.days(scores, gate, THRESHOLDS, float(band), min_days, n_regimes)
    assert list(found.itertuples(index=False, name=None)) == list(expected)


@given(
    st.lists(st.floats(-3, 3) | st.just(NAN), min_size=2, max_size=60),
    st.integers(0, 59),
    st.floats(-3, 3),
)
@settings(max_examples=50, deadline=None)
def test_rewriting_the_future_leaves_the_past_labels_unchanged(scores, cut, other):
    cut = cut % len(scores)
    rewritten = scores[:cut] + [other] * (len(scores) - cut)

    assert labels(scores)[:cut] == labels(rewritten)[:cut]


def test_a_mapping_without_a_key_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"thresholds\.high"):
        classify(pd.Series([0.0]), RULES | {"thresholds": {"strong_low": -1.5, "low": -0.5}})


def test_a_model_and_its_mapping_give_the_same_labels():
    scores = pd.Series(np.random.default_rng(3).normal(0, 1, 200))

    pd.testing.assert_frame_equal(
        classify(scores, CONFIG), classify(scores, CONFIG.model_dump(mode="json"))
    )


def test_the_score_is_the_weighted_sum_of_signed_clipped_scores():
    # .18(-1)1 + .22(1)2 + .12(1)0 + .10(1)0 + .13(-1)(-1) + .13(1)0 + .08(-1)0 + .04(-1)4(of 9)
    # = -.18 + .44 + .13 - .16 = .23
    table = score(features_of([[1.0, 2.0, 0.0, 0.0, -1.0, 0.0, 0.0, 9.0]]), CONFIG)

    assert table.score_raw.iloc[0] == pytest.approx(0.23, abs=1e-15)
    assert table.contributions.iloc[0].to_dict() == pytest.approx(
        {
            "alt_breadth": -0.18,
            "btc_dominance": 0.44,
            "funding_skew": 0.0,
            "funding_heating": 0.0,
            "liquidity": 0.13,
            "volatility_spread": 0.0,
            "momentum": 0.0,
            "oi_risk": -0.16,
        }
    )


def test_contributions_sum_to_the_score_when_groups_are_missing():
    rng = np.random.default_rng(1)
    z = rng.normal(0, 2, (500, 8))
    z[rng.random(z.shape) < 0.15] = NAN

    table = score(features_of(z), CONFIG)

    covered = table.score_raw.notna()
    assert 0 < covered.sum() < 500
    sums = table.contributions.sum(axis="columns")[covered]
    np.testing.assert_allclose(sums, table.score_raw[covered], rtol=0, atol=1e-14)
    assert table.contributions[~covered].isna().all(axis=None)


def test_sixty_per_cent_of_the_weight_is_enough_and_less_is_not():
    z = np.zeros((2, 8))
    # .22 + .12 + .13 + .13 = .60 present; without volatility_spread .47.
    z[0, [0, 3, 6, 7]] = NAN
    z[1, [0, 3, 5, 6, 7]] = NAN

    table = score(features_of(z), CONFIG)

    assert table.score_raw.isna().tolist() == [False, True]
    assert table.weight_present.tolist() == pytest.approx([0.6, 0.47])


def test_column_order_and_extra_columns_do_not_change_a_bit_of_the_score():
    z = features_of(np.random.default_rng(2).normal(size=(100, 8)))
    shuffled = z[z.columns[::-1]].assign(raw_extra=1.0)

    pd.testing.assert_series_equal(score(z, CONFIG).score_raw, score(shuffled, CONFIG).score_raw)


def test_the_gate_needs_both_the_extreme_week_and_a_high_score():
    ratio = pd.Series([1.16, 0.84, 1.15, 1.16, NAN])
    raw = pd.Series([0.6, 0.6, 0.6, 0.5, 0.6])

    config = HighVolGateConfig(enabled=True, btc_7d_return=0.15)
    off = HighVolGateConfig(enabled=False, btc_7d_return=0.15)

    assert high_vol_gate(ratio, raw, config, 0.5).tolist() == [True, True, False, False, False]
    assert not high_vol_gate(ratio, raw, off, 0.5).any()


def test_a_gated_day_scores_the_high_boundary_and_keeps_its_raw_score():
    z = np.zeros((3, 8))
    z[:, 1] = 4.0  # .22 x 4 = .88
    features = features_of(z)
    ratio = pd.Series([1.0, 1.3, 1.0], index=features.index)

    daily = timeline(features, ratio, CONFIG, 0 * ratio).daily

    assert daily["score_raw"].tolist() == pytest.approx([0.88] * 3)
    assert daily["score"].tolist() == pytest.approx([0.88, 0.5, 0.88])
    assert daily["high_vol_gate"].tolist() == [False, True, False]
    assert daily["regime"].tolist() == ["WEAK_RISK_ON_MAJORS"] * 3


def test_the_timeline_flags_days_without_score():
    z = np.zeros((2, 8))
    z[1] = NAN
    features = features_of(z)

    ones = pd.Series(1.0, index=features.index)

    daily = timeline(features, ones, CONFIG, 0 * ones).daily

    assert daily["insufficient_data"].tolist() == [False, True]
    assert daily["regime"].tolist() == ["BALANCED", "BALANCED"]
    assert daily["score"].isna().tolist() == [False, True]
    assert list(daily.reset_index().columns) == [
        "date",
        "score_raw",
        "score",
        "regime",
        "days_in_regime",
        "high_vol_gate",
        "insufficient_data",
    ]
