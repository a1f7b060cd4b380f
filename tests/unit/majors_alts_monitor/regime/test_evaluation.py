import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import kstest

from majors_alts_monitor.config import load_config
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import timeline
from majors_alts_monitor.regime.evaluation import (
    Settings,
    dwell_times,
    evaluate,
    newey_west_error,
    rank_ic_table,
    returns_by_regime,
    switches_per_year,
)
from majors_alts_monitor.regime.long_short import forward_returns
from majors_alts_monitor.types import GROUPS

CONFIG = load_config().regime
SETTINGS = Settings(
    directions=CONFIG.directions,
    horizons_days=(5, 20),
    window_days=252,
    lag_days=1,
    cost_per_switch=0.001,
    n_boot=200,
    seed=1,
)
DAYS = pd.date_range("2022-01-01", periods=600, name="date")


def spells(rng, names, n=600, mean_days=10):
    drawn = np.repeat(rng.choice(names, n), rng.geometric(1 / mean_days, n))[:n]
    return pd.Series(drawn, index=pd.RangeIndex(n), dtype="str")


def test_newey_west_equals_statsmodels():
    rng = np.random.default_rng(0)
    x = np.convolve(rng.normal(size=300), np.ones(5), "valid")

    fit = sm.OLS(x, np.ones(len(x))).fit(cov_type="HAC", cov_kwds={"maxlags": 8})

    assert newey_west_error(x, 8) == pytest.approx(fit.bse[0], rel=1e-12)


def test_the_mean_by_regime_is_the_plain_mean_of_compounded_returns():
    rng = np.random.default_rng(1)
    regimes = spells(rng, ["BALANCED", "RISK_ON_MAJORS"])
    earned = pd.Series(rng.normal(0, 0.02, 600))

    row = returns_by_regime(regimes, earned, (5,)).set_index("regime").loc["BALANCED"]

    ahead = [np.prod(1 + earned[t + 1 : t + 6]) - 1 for t in range(595) if regimes[t] == "BALANCED"]
    assert row["n_days"] == len(ahead)
    assert row["mean_return"] == pytest.approx(np.mean(ahead))
    assert row["excess_return"] == pytest.approx(
        np.mean(ahead) - np.nanmean(forward_returns(earned.to_numpy(), 5))
    )
    assert row["ci_low"] < row["excess_return"] < row["ci_high"]
    assert 0 < row["p_value"] <= 1


def test_overlapping_returns_do_not_make_noise_significant():
    p_values = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        regimes = spells(rng, ["BALANCED", "RISK_ON_MAJORS"])
        table = returns_by_regime(regimes, pd.Series(rng.normal(0, 0.02, 600)), (10,))
        p_values.append(table["p_value"].iloc[0])

    assert kstest(p_values, "uniform").pvalue > 0.05


def test_a_regime_seen_too_briefly_is_not_judged():
    regimes = pd.Series(["BALANCED"] * 590 + ["RISK_ON_MAJORS"] * 10)
    earned = pd.Series(np.random.default_rng(0).normal(0, 0.02, 600))

    row = returns_by_regime(regimes, earned, (20,)).set_index("regime").loc["RISK_ON_MAJORS"]

    assert row["n_days"] == 0
    assert np.isnan(row["p_value"])


def test_a_planted_sign_is_confirmed_and_a_wrong_one_contradicted():
    rng = np.random.default_rng(2)
    right, wrong, noise = rng.normal(size=(3, 600))
    earned = rng.normal(0, 0.01, 600)
    earned[1:] += 0.01 * (right[:-1] + wrong[:-1])
    # Dominance is configured +1 (right), breadth -1 (contradicted by a positive coefficient).
    inputs = pd.DataFrame(
        {"btc_dominance": right, "alt_breadth": wrong, "oi_risk": noise}, index=DAYS
    )

    table = rank_ic_table(inputs, pd.Series(earned, index=DAYS), SETTINGS)

    whole = table[(table["window"] == "all") & (table["horizon_days"] == 5)]
    assert whole["verdict"].tolist() == ["agrees", "disagrees", "unclear"]


def test_windows_of_the_sign_table_share_no_return():
    inputs = pd.DataFrame({"btc_dominance": np.arange(600.0)}, index=DAYS)
    earned = pd.Series(np.random.default_rng(0).normal(0, 0.02, 600), index=DAYS)

    table = rank_ic_table(inputs, earned, SETTINGS)

    parts = table[(table["window"] != "all") & (table["horizon_days"] == 20)]
    assert parts["n_pairs"].tolist() == [232, 232]
    assert (parts["end"] - parts["start"]).dt.days.tolist() == [251, 251]


def test_dwell_and_switches_are_counted_by_hand():
    regimes = pd.Series(["BALANCED"] * 4 + ["RISK_ON_MAJORS"] * 2 + ["BALANCED"] * 2)

    table = dwell_times(regimes).set_index("regime")

    assert table.loc["BALANCED"].tolist() == [2, 6, 0.75, 3.0, 3.0, 4]
    # Two changes in eight days.
    assert switches_per_year(regimes) == pytest.approx(2 / 8 * 365)


def test_an_evaluation_holds_every_table_and_repeats_itself():
    rng = np.random.default_rng(0)
    z = pd.DataFrame(rng.normal(0, 1.5, (600, 8)), DAYS, [PRIMARY[g] for g in GROUPS])
    z["valid"] = True
    earned = pd.Series(rng.normal(0, 0.02, 600), index=DAYS)
    regimes = timeline(z, pd.Series(1.0, index=DAYS), CONFIG, earned)

    one = evaluate(regimes, z, earned, SETTINGS)
    two = evaluate(regimes, z, earned, SETTINGS)

    pd.testing.assert_frame_equal(one.rank_ic, two.rank_ic, check_exact=True)
    pd.testing.assert_frame_equal(one.by_regime, two.by_regime, check_exact=True)
    assert set(one.rank_ic["input"]) == {*GROUPS, "score_raw"}
    assert one.dwell["n_days"].sum() == 600
    assert one.switches_per_year > 0
    assert 0 < one.placebo.p_shifted <= 1
