"""Score the day and name its regime, so that the past never changes.

Flow: ``features -> score -> high_vol_gate -> classify``; ``timeline`` runs all of it from the
lake's first day, with walk-forward calibration or an unsupervised mode where configured.
strategy.md section 4 is the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from majors_alts_monitor import composite
from majors_alts_monitor._states import name_states, walk_paths
from majors_alts_monitor.composite import THRESHOLDS, Parameters
from majors_alts_monitor.config import HighVolGateConfig, RegimeConfig
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.types import GROUPS, Floats

__all__ = ["ScoreTable", "Timeline", "classify", "high_vol_gate", "score", "timeline"]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The composite score and where it comes from, indexed by date."""

    score_raw: pd.Series[float]
    """Positive favours majors; null when too little weight is present."""
    contributions: pd.DataFrame
    """One column a group; a row sums to the score. Null: the group or the score is missing."""
    weight_present: pd.Series[float]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything the regime stage knows, one row per calendar day, indexed by date."""

    daily: pd.DataFrame
    """score_raw, score, regime, days_in_regime, high_vol_gate, insufficient_data."""
    contributions: pd.DataFrame
    """Contribution of each group to ``score_raw``."""
    thresholds: pd.DataFrame
    """strong_low, low, high, strong_high in force on the day."""


def score(
    features: pd.DataFrame, config: RegimeConfig, weights: Floats | None = None
) -> ScoreTable:
    """Return the composite score of every row of ``features``.

    Parameters
    ----------
    features : DataFrame of shape (n_days, n_columns)
        At least the eight primary z-scores, indexed by date.
    config : RegimeConfig
        Weights, directions, ``z_clip`` and ``min_weight_share`` are read.
    weights : array of shape (n_days, 8), optional
        Weights in force day by day; the configured ones by default.
    """
    if weights is None:
        weights = composite.configured(config.weights, config.thresholds).weights
    signed = composite.signed_scores(features, config.directions, config.z_clip)
    raw, parts, present = composite.combine(signed, weights, config.min_weight_share)
    return ScoreTable(
        score_raw=pd.Series(raw, index=features.index, name="score_raw"),
        contributions=pd.DataFrame(parts, index=features.index, columns=list(GROUPS)),
        weight_present=pd.Series(present, index=features.index, name="weight_present"),
    )


def high_vol_gate(
    btc_close_ratio_7d: pd.Series[float],
    score_raw: pd.Series[float],
    config: HighVolGateConfig,
    high: float | pd.Series[float],
) -> pd.Series[bool]:
    """Return the days on which entries and increases are blocked.

    Parameters
    ----------
    btc_close_ratio_7d : Series of shape (n_days,)
        close(t) / close(t-7) of BTC; a missing one means no gate.
    score_raw : Series of shape (n_days,)
    config : HighVolGateConfig
    high : float or Series of shape (n_days,)
        The threshold ``high`` in force.

    Examples
    --------
    >>> config = HighVolGateConfig(enabled=True, btc_7d_return=0.15)
    >>> ratio = pd.Series([1.2, 0.8, 1.1, float("nan"), 1.2])
    >>> high_vol_gate(ratio, pd.Series([0.6, 0.6, 0.6, 0.6, 0.5]), config, 0.5).tolist()
    [True, True, False, False, False]
    """
    ratio = btc_close_ratio_7d.reindex(score_raw.index)
    is_extreme = (ratio - 1).abs() > config.btc_7d_return
    is_gated = is_extreme & (score_raw > high) & config.enabled
    return is_gated.rename("high_vol_gate")


def classify(
    scores: pd.Series[float],
    config: RegimeConfig | Mapping[str, Any],
    gate: pd.Series[bool] | None = None,
) -> pd.DataFrame:
    """Return regime and days_in_regime of every day, with hysteresis.

    Parameters
    ----------
    scores : Series of shape (n_days,)
        ``score_raw`` in date order from the first day there is; null is a day in BALANCED.
    config : RegimeConfig or mapping with its keys
        ``n_regimes``, ``thresholds``, ``hysteresis_band`` and ``min_regime_days`` are read.
    gate : bool Series of shape (n_days,), optional
        Days without an outward move on the majors' side.

    Raises
    ------
    ConfigError
        If a mapping lacks one of the keys.

    Examples
    --------
    >>> rules = {"n_regimes": 3, "hysteresis_band": 0.3, "min_regime_days": 3,
    ...          "thresholds": {"strong_low": -1.5, "low": -0.5, "high": 0.5, "strong_high": 1.5}}
    >>> classify(pd.Series([0.6, 0.3, -0.6]), rules)
               regime  days_in_regime
    0  RISK_ON_MAJORS               1
    1  RISK_ON_MAJORS               2
    2    RISK_ON_ALTS               1
    """
    rules = _state_rules(config)
    limits = np.array([rules["thresholds"][name] for name in THRESHOLDS], dtype=np.float64)
    return _classify(scores, limits[np.newaxis], rules, gate)


def timeline(
    features: pd.DataFrame, btc_close_ratio_7d: pd.Series[float], config: RegimeConfig
) -> Timeline:
    """Return score and regime of every day of ``features``.

    Parameters
    ----------
    features : DataFrame
        ``fct_features_daily`` indexed by date, every calendar day from the lake's first.
    btc_close_ratio_7d : Series
        See ``high_vol_gate``; by date.
    config : RegimeConfig
    """
    in_force = _every_day(composite.configured(config.weights, config.thresholds), len(features))
    scored = score(features, config, in_force.weights)
    thresholds = pd.DataFrame(in_force.thresholds, index=features.index, columns=list(THRESHOLDS))
    high = thresholds["high"]
    gate = high_vol_gate(btc_close_ratio_7d, scored.score_raw, config.high_vol_gate, high)
    labels = _classify(scored.score_raw, in_force.thresholds, _state_rules(config), gate)
    daily = pd.DataFrame(
        {
            "score_raw": scored.score_raw,
            "score": scored.score_raw.where(~gate, high),
            "regime": labels["regime"],
            "days_in_regime": labels["days_in_regime"],
            "high_vol_gate": gate,
            "insufficient_data": scored.score_raw.isna(),
        }
    )
    return Timeline(daily=daily, contributions=scored.contributions, thresholds=thresholds)


def _every_day(parameters: Parameters, n_days: int) -> Parameters:
    return Parameters(
        weights=np.tile(parameters.weights, (n_days, 1)),
        thresholds=np.tile(parameters.thresholds, (n_days, 1)),
    )


def _classify(
    scores: pd.Series[float],
    thresholds: Floats,
    rules: Mapping[str, Any],
    gate: pd.Series[bool] | None,
) -> pd.DataFrame:
    values = np.array(scores.to_numpy(dtype=float, na_value=np.nan), dtype=np.float64)[np.newaxis]
    if gate is None:
        gates = np.zeros(values.shape, dtype=np.bool_)
    else:
        gates = gate.reindex(scores.index, fill_value=False).to_numpy(dtype=np.bool_)[np.newaxis]
    codes, ages = walk_paths(
        values,
        gates,
        thresholds[np.newaxis],
        hysteresis_band=rules["hysteresis_band"],
        min_regime_days=rules["min_regime_days"],
        n_regimes=rules["n_regimes"],
    )
    names = pd.Series(name_states(codes[0], rules["n_regimes"]), index=scores.index, dtype="str")
    return pd.DataFrame({"regime": names, "days_in_regime": ages[0] + 1})


def _state_rules(config: RegimeConfig | Mapping[str, Any]) -> dict[str, Any]:
    keys = ("n_regimes", "thresholds", "hysteresis_band", "min_regime_days")
    values = config.model_dump() if isinstance(config, RegimeConfig) else config
    missing = [key for key in keys if key not in values]
    if not missing:
        missing = [f"thresholds.{name}" for name in THRESHOLDS if name not in values["thresholds"]]
    if missing:
        raise ConfigError(f"regime: missing key {missing[0]}; see config.yaml")
    return {key: values[key] for key in keys}
