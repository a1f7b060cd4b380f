"""The configuration refuses what it does not know."""

import pytest
import yaml

from majors_alts_monitor.config import build_config, effective_values, load_config, shipped_config
from majors_alts_monitor.errors import ConfigError


def leaves(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_the_effective_values_build_the_same_configuration():
    config = load_config()

    assert build_config(effective_values(config), "again") == config


def test_baseline_differs_in_the_weights_of_the_score_and_nowhere_else():
    enhanced = dict(leaves(shipped_config("config.yaml")))
    baseline = dict(leaves(shipped_config("config_baseline.yaml")))

    differing = {key for key in enhanced | baseline if enhanced.get(key) != baseline.get(key)}

    assert all(key.startswith("regime.weights.") for key in differing)
    for group in ("funding_skew", "funding_heating", "oi_risk"):
        assert baseline[f"regime.weights.{group}"] == 0
    # Both sets of weights are shares of one.
    for values in (enhanced, baseline):
        shares = [v for k, v in values.items() if k.startswith("regime.weights.")]
        assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("universe.baskt_size=3", "did you mean universe.basket_size"),
        ("regime.weight.alt_breadth=1", "did you mean regime.weights"),
        ("universe.basket_size=0", "greater than or equal to 1"),
        ("universe.per_name_cap=0", "greater than 0"),
        ("universe.major_cap=1.1", "less than or equal to 1"),
        ("universe.gross_cap=5.1", "less than or equal to 5"),
        ("execution.lag_days=31", "less than or equal to 30"),
        ("execution.lag_days=-1", "greater than or equal to 0"),
        ("costs.taker_fee_bps=-1", "greater than or equal to 0"),
        ("costs.slippage_bps=.nan", "finite"),
        ("costs.slippage_bps=.inf", "finite"),
        ("regime.weights.momentum=-0.1", "greater than or equal to 0"),
        ("regime.thresholds.low=0.7", "thresholds must ascend"),
        ("regime.directions.momentum=0", "-1"),
        ("universe.majors=[BTC, SOL]", "majors must be"),
        ("regime.calibration.ranges.lo=[0, 1]", "not a key"),
        ("regime.unsupervised.features=[momentm]", "did you mean momentum"),
        ("universe=3", "valid dictionary"),
        ("universe.basket_size=true", "must not be true or false"),
        ("beta.lookback_days=9999999999", "less than or equal to 100000"),
        ("features.staleness_days=401", "less than or equal to 400"),
        ("evaluation.bootstrap.seed=-1", "greater than or equal to 0"),
        ("universe.rich_objective.horizn_days=3", "did you mean universe.rich_objective.horizon"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(override, complaint):
    with pytest.raises(ConfigError) as raised:
        load_config(overrides=[override])

    assert complaint in str(raised.value)
    assert override.split("=")[0].split(".")[0] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_key_is_refused_because_code_holds_no_default(tmp_path):
    values = shipped_config()
    del values["costs"]["slippage_bps"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")

    with pytest.raises(ConfigError, match=r"missing key costs\.slippage_bps"):
        load_config(path)


def test_an_override_without_a_value_is_refused():
    with pytest.raises(ConfigError, match=r"must read dotted\.key=value"):
        load_config(overrides=["universe.basket_size"])


def test_the_fee_is_the_configured_mix_of_taker_and_maker():
    # a quarter at 5 bps, three quarters at 2 bps: 1.25 + 1.5
    config = load_config(overrides=["costs.taker_share=0.25"])

    assert config.costs.fee_bps == pytest.approx(2.75)
