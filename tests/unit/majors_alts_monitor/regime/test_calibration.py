from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from majors_alts_monitor.config import load_config
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import classify, timeline
from majors_alts_monitor.regime.calibration import History, calibrate, draw, search
from majors_alts_monitor.regime.composite import THRESHOLDS
from majors_alts_monitor.regime.long_short import forward_returns
from majors_alts_monitor.regime.walk_forward import walk_forward
from majors_alts_monitor.types import GROUPS

N_DAYS, FIRST = 460, 20
OBJECTIVES = ("rank_ic", "regime_sharpe")


def regime_config(objective="rank_ic", *more):
    return load_config(
        overrides=[
            "regime.calibration.enabled=true",
            f"regime.calibration.objective={objective}",
            *more,
        ]
    ).regime


def history(seed=0, n_days=N_DAYS, strength=0.0):
    """Return eight inputs of which dominance, slow, leads the long-short return by ``strength``."""
    rng = np.random.default_rng(seed)
    signed = np.clip(rng.normal(size=(n_days, 8)), -4, 4)
    for day in range(1, n_days):
        signed[day, 1] = 0.97 * signed[day - 1, 1] + np.sqrt(1 - 0.97**2) * signed[day, 1]
    earned = rng.normal(0, 0.01, n_days)
    earned[1:] += strength * signed[:-1, 1]
    return History(
        dates=pd.date_range("2023-01-01", periods=n_days, name="date"),
        signed=signed,
        long_short=earned,
        is_extreme=np.zeros(n_days, dtype=bool),
    )


def windows(n_days=N_DAYS):
    return walk_forward(np.arange(n_days) >= FIRST, 252, 63)


def poisoned_after(past, row):
    signed, earned = past.signed.copy(), past.long_short.copy()
    signed[row + 1 :] = np.random.default_rng(1).normal(size=signed[row + 1 :].shape)
    earned[row + 1 :] = -50 * earned[row + 1 :]
    return replace(past, signed=signed, long_short=earned)


def test_the_table_names_the_days_of_the_strategy_page():
    _, table = calibrate(history(), windows(), regime_config())

    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(FIRST + 63, unit="D")
    row = table.iloc[1]
    assert row["window"] == 1
    assert row["fit_start"] == days
    assert (row["fit_end"] - days).days == 251
    assert (row["purged_from"] - days).days == 232
    assert (row["apply_start"] - days).days == 252
    assert (row["apply_end"] - days).days == 314
    assert list(table.columns[8:]) == [
        *(f"weight_{group}" for group in GROUPS),
        *(f"threshold_{name}" for name in THRESHOLDS),
    ]


def test_parameters_change_on_the_days_they_are_applied_to_and_nowhere_else():
    config = regime_config()

    in_force, table = calibrate(history(), windows(), config)

    configured = [getattr(config.weights, group) for group in GROUPS]
    assert (in_force.weights[: FIRST + 252] == configured).all()
    fitted = table[[f"weight_{group}" for group in GROUPS]].to_numpy()
    assert (in_force.weights[FIRST + 252 : FIRST + 315] == fitted[0]).all()
    assert (in_force.weights[FIRST + 315 : FIRST + 378] == fitted[1]).all()


def test_draws_stay_in_their_ranges_ascend_and_leave_the_unlisted_alone():
    config = regime_config("rank_ic", "regime.calibration.n_samples=500")

    drawn = draw(config, np.random.default_rng(0))

    for column, name in enumerate((*GROUPS, *THRESHOLDS)):
        values = np.hstack([drawn.weights, drawn.thresholds])[:, column]
        if name in config.calibration.ranges:
            low, high = config.calibration.ranges[name]
            assert ((values >= low) & (values <= high)).all()
            assert len(set(values)) == 500
        else:
            assert set(values) == {getattr(config.weights, name)}
    assert (np.diff(drawn.thresholds, axis=1) > 0).all()


def test_ranges_that_cannot_ascend_leave_the_configured_thresholds():
    config = regime_config("rank_ic", "regime.calibration.ranges={low: [3.0, 4.0]}")

    drawn = draw(config, np.random.default_rng(0))

    assert (drawn.thresholds == [-1.5, -0.5, 0.5, 1.5]).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_planted_lead_is_weighted_up(objective):
    shares = []
    for seed in range(6):
        _, table = calibrate(history(seed, strength=0.01), windows(), regime_config(objective))
        weights = table[[f"weight_{group}" for group in GROUPS]].to_numpy()
        shares.extend(weights[:, 1] / weights.sum(axis=1))

    # The ranges alone give dominance a fifth.
    assert np.mean(shares) > 0.28


def test_the_rank_ic_in_sample_is_spearmans_on_the_days_before_the_purge():
    past, config = history(strength=0.01), regime_config()

    in_force, table = calibrate(past, windows(), config)

    fit = slice(FIRST, FIRST + 232)
    weights = in_force.weights[FIRST + 252]
    score = past.signed[fit] @ weights  # every group is present, so W cancels
    ahead = [np.prod(1 + past.long_short[t + 1 : t + 21]) - 1 for t in range(FIRST, FIRST + 232)]
    assert table["objective_in_sample"][0] == pytest.approx(spearmanr(score, ahead).statistic)


def test_the_gated_sharpe_is_that_of_the_forward_returns_in_a_majors_regime():
    past, config = history(strength=0.01), regime_config("regime_sharpe")

    in_force, table = calibrate(past, windows(), config)

    row = table.iloc[0]
    score = pd.Series(past.signed[FIRST : FIRST + 232] @ in_force.weights[FIRST + 252])
    limits = {name: row[f"threshold_{name}"] for name in THRESHOLDS}
    rules = config.model_dump() | {"thresholds": limits}
    in_majors = classify(score, rules)["regime"].str.endswith("MAJORS")
    ahead = forward_returns(past.long_short, 20)[FIRST : FIRST + 232]
    earned = pd.Series(ahead).where(in_majors, 0.0)
    expected = earned.mean() / earned.std() * np.sqrt(365 / 20)
    assert row["objective_in_sample"] == pytest.approx(expected)


def test_the_result_out_of_sample_is_null_until_its_horizon_is_known():
    # The first window applies to rows 272 .. 334; their returns end on row 354.
    cut = FIRST + 252 + 63 + 20

    for n_days, is_known in ((cut - 1, False), (cut, True)):
        _, table = calibrate(history(n_days=n_days), windows(n_days), regime_config())
        assert bool(table["objective_out_of_sample"].notna()[0]) is is_known


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_window_sees_nothing_behind_its_last_training_day(objective):
    config, past = regime_config(objective), history(strength=0.003)
    fit_end = FIRST + 251

    clean, _ = calibrate(past, windows(), config)
    poisoned, _ = calibrate(poisoned_after(past, fit_end), windows(), config)

    np.testing.assert_array_equal(clean.weights[: FIRST + 315], poisoned.weights[: FIRST + 315])
    np.testing.assert_array_equal(
        clean.thresholds[: FIRST + 315], poisoned.thresholds[: FIRST + 315]
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_planted_leak_into_the_test_days_would_be_noticed(objective):
    config, past = regime_config(objective), history(strength=0.003)
    honest = windows()[0]
    # Training that reaches over the days the window is applied to.
    leaky = replace(honest, fit_to=honest.apply_to)
    dirty = poisoned_after(past, FIRST + 251)

    results = [
        search(p, forward_returns(p.long_short, 20), leaky, config)[0] for p in (past, dirty)
    ]

    assert not np.array_equal(results[0].weights, results[1].weights)


def test_without_the_purge_the_forward_returns_would_leak():
    past = history(strength=0.003)
    dirty = poisoned_after(past, FIRST + 251)
    config, honest = regime_config(), windows()[0]
    # As if the last 20 training days were kept: their returns reach behind the window.
    unpurged = replace(honest, fit_to=honest.fit_to + 20)

    results = [
        search(p, forward_returns(p.long_short, 20), unpurged, config)[1] for p in (past, dirty)
    ]

    assert results[0] != results[1]


def test_a_window_draws_the_same_whatever_came_before_it():
    config, past = regime_config(), history()
    forward = forward_returns(past.long_short, 20)

    alone, _ = search(past, forward, windows()[1], config)
    in_force, _ = calibrate(past, windows(), config)

    np.testing.assert_array_equal(alone.weights, in_force.weights[FIRST + 315])


def test_a_window_without_any_return_keeps_the_configured_values():
    config = regime_config()
    past = history()
    empty = replace(past, long_short=np.full(N_DAYS, np.nan))

    in_force, table = calibrate(empty, windows(), config)

    assert (in_force.weights == [getattr(config.weights, group) for group in GROUPS]).all()
    assert table["objective_in_sample"].isna().all()


def test_a_calibrated_timeline_uses_the_parameters_of_its_day():
    config, past = regime_config(), history(strength=0.01)
    signs = np.array([getattr(config.directions, group) for group in GROUPS])
    features = pd.DataFrame(
        past.signed * signs, index=past.dates, columns=[PRIMARY[g] for g in GROUPS]
    )
    features["valid"] = np.arange(N_DAYS) >= FIRST
    ones = pd.Series(1.0, index=past.dates)

    found = timeline(features, ones, config, pd.Series(past.long_short, index=past.dates))

    expected = (past.signed * found.weights.to_numpy()).sum(axis=1)
    np.testing.assert_allclose(found.daily["score_raw"], expected, atol=1e-12)
    assert len(found.calibration) == len(windows())
    assert found.thresholds["high"].nunique() > 1


def test_a_seed_that_no_generator_takes_is_refused():
    with pytest.raises(ConfigError, match=r"regime\.calibration\.seed"):
        regime_config("rank_ic", "regime.calibration.seed=-1")
