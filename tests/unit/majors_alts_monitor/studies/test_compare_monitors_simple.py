"""Buckets as regimes, scores as z-scores, and agreement by hand."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.config import load_config
from majors_alts_monitor.regime import classify
from majors_alts_monitor.studies.compare_monitors_simple import (
    agreement,
    align,
    legacy_signals,
    read_history,
    three_states,
    z_of_score,
)
from majors_alts_monitor.types import Regime

THRESHOLDS = load_config().regime.thresholds


def test_bucket_edges_fall_on_the_thresholds():
    scores = np.array([30.0, 45.0, 55.0, 70.0])
    expected = [THRESHOLDS.strong_low, THRESHOLDS.low, THRESHOLDS.high, THRESHOLDS.strong_high]
    assert z_of_score(scores, THRESHOLDS).tolist() == expected
    assert np.isnan(z_of_score(np.array([np.nan]), THRESHOLDS)[0])


def test_signals_follow_the_buckets_and_a_missing_day_is_balanced():
    legacy = pd.DataFrame(
        {
            "regime_score": [80.0, 60.0, 50.0, 40.0, 10.0, np.nan],
            "bucket": ["GREEN", "YELLOWGREEN", "YELLOW", "ORANGE", "RED", ""],
        }
    )
    signals = legacy_signals(legacy, THRESHOLDS)
    majors, alts = Regime.RISK_ON_MAJORS, Regime.RISK_ON_ALTS
    assert signals.regime == (majors, majors, Regime.BALANCED, alts, alts, Regime.BALANCED)
    assert not signals.is_gated.any()
    config = three_states(load_config()).regime
    assert config.n_regimes == 3
    first = [classify(pd.Series([z]), config)["regime"].iloc[0] for z in signals.score[:5]]
    assert first == [str(regime.value) for regime in signals.regime[:5]]


def aligned_of(legacy, current):
    n = len(legacy)
    return pd.DataFrame(
        {
            "legacy_score": np.arange(n, dtype=float),
            "legacy_regime": legacy,
            "score": np.arange(n, dtype=float),
            "regime": current,
        }
    )


def test_agreement_against_chance_by_hand():
    majors, alts = "RISK_ON_MAJORS", "RISK_ON_ALTS"
    row = agreement(
        aligned_of([majors, majors, alts, alts, ""], [majors, alts, alts, alts, alts])
    ).iloc[0]
    # Same on 3 of 4 days; independent: 1/2 x 1/4 + 1/2 x 3/4 = 1/2; kappa (3/4 - 1/2) / (1/2).
    assert (row["n_days"], row["agreement"], row["expected_agreement"]) == (4, 0.75, 0.5)
    assert (row["kappa"], row["opposite"]) == (0.5, 0.25)
    assert row["rank_correlation"] == pytest.approx(1.0)


def test_no_common_day_is_said_and_not_guessed():
    table = agreement(aligned_of(["", ""], ["BALANCED", "BALANCED"]))
    assert table["n_days"].tolist() == [0]


def test_days_are_aligned_and_five_states_collapse_to_three(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("date_iso,regime_score,bucket\n2024-01-02,71.5,GREEN\n2024-01-03,,\n", "utf-8")
    timeline = pd.DataFrame(
        {
            "score": [0.1, 1.7, -0.7],
            "regime": ["BALANCED", "STRONG_RISK_ON_MAJORS", "WEAK_RISK_ON_ALTS"],
            "insufficient_data": [True, False, False],
        },
        index=pd.date_range("2024-01-01", periods=3),
    )
    aligned = align(read_history(path), timeline)
    assert aligned["regime"].tolist() == ["", "RISK_ON_MAJORS", "RISK_ON_ALTS"]
    assert aligned["legacy_regime"].tolist() == ["", "RISK_ON_MAJORS", ""]
    assert aligned["legacy_score"].tolist()[1] == 71.5
