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

from majors_alts_monitor.config import HighVolGateConfig, RegimeConfig
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import composite
from majors_alts_monitor.regime._states import (
    Ages,
    Codes,
    hold_states,
    name_states,
    states_of,
    walk_paths,
)
from majors_alts_monitor.regime.calibration import History, calibrate
from majors_alts_monitor.regime.composite import THRESHOLDS, Parameters
from majors_alts_monitor.regime.unsupervised import filter_states, state_probabilities
from majors_alts_monitor.regime.walk_forward import walk_forward
from majors_alts_monitor.types import GROUPS, Bools, Floats

__all__ = [
    "ScoreTable",
    "Timeline",
    "classify",
    "filter_states",
    "high_vol_gate",
    "score",
    "timeline",
]


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
    weights: pd.DataFrame
    """Weight of each group in force on the day."""
    thresholds: pd.DataFrame
    """strong_low, low, high, strong_high in force on the day."""
    probabilities: pd.DataFrame | None
    """Filtered probability of each regime; None in composite mode."""
    calibration: pd.DataFrame | None
    """One row a window, the columns of ``calibration.csv``; None when calibration is off."""


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
    is_gated = (score_raw > high) & _is_extreme(ratio, config)
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
    features: pd.DataFrame,
    btc_close_ratio_7d: pd.Series[float],
    config: RegimeConfig,
    long_short: pd.Series[float],
) -> Timeline:
    """Return score and regime of every day of ``features``; no day reads a later one.

    In the unsupervised modes the score stays the composite's, so a day without score is a day in
    BALANCED there too: nothing could be sized on it.

    Parameters
    ----------
    features : DataFrame
        ``fct_features_daily`` indexed by date, every calendar day from the lake's first.
    btc_close_ratio_7d : Series
        See ``high_vol_gate``; by date.
    config : RegimeConfig
    long_short : Series
        Majors' return over the ALT index, by date, a fraction; read by calibration and by the
        unsupervised modes.
    """
    earned = _array(long_short.reindex(features.index))
    ratio = btc_close_ratio_7d.reindex(features.index)
    in_force, table = _parameters(
        features, earned, _is_extreme(ratio, config.high_vol_gate), config
    )
    scored = score(features, config, in_force.weights)
    raw = scored.score_raw
    thresholds = pd.DataFrame(in_force.thresholds, index=features.index, columns=list(THRESHOLDS))
    gate = high_vol_gate(ratio, raw, config.high_vol_gate, thresholds["high"])
    probabilities = None
    if config.mode == "composite":
        is_insufficient = raw.isna()
        labels = _classify(raw, in_force.thresholds, _state_rules(config), gate)
    else:
        probabilities = _probabilities(features, earned, config)
        is_insufficient = raw.isna() | probabilities.isna().any(axis="columns")
        labels = _classify_probabilities(probabilities, is_insufficient, gate, config)
    daily = pd.DataFrame(
        {
            "score_raw": raw,
            "score": raw.where(~gate, thresholds["high"]),
            "regime": labels["regime"],
            "days_in_regime": labels["days_in_regime"],
            "high_vol_gate": gate,
            "insufficient_data": is_insufficient,
        }
    )
    weights = pd.DataFrame(in_force.weights, index=features.index, columns=list(GROUPS))
    return Timeline(daily, scored.contributions, weights, thresholds, probabilities, table)


def _parameters(
    features: pd.DataFrame, long_short: Floats, is_extreme: Bools, config: RegimeConfig
) -> tuple[Parameters, pd.DataFrame | None]:
    """Return weights and thresholds in force day by day, and the table of windows."""
    plain = composite.configured(config.weights, config.thresholds)
    settings = config.calibration
    if not settings.enabled:
        n_days = len(features)
        weights, thresholds = (
            np.tile(values, (n_days, 1)) for values in (plain.weights, plain.thresholds)
        )
        return Parameters(weights, thresholds), None
    history = History(
        dates=pd.DatetimeIndex(features.index),
        signed=composite.signed_scores(features, config.directions, config.z_clip),
        long_short=long_short,
        is_extreme=is_extreme,
    )
    windows = walk_forward(
        _valid(features), settings.lookback_window_days, settings.test_window_days
    )
    return calibrate(history, windows, config)


def _probabilities(
    features: pd.DataFrame, long_short: Floats, config: RegimeConfig
) -> pd.DataFrame:
    settings = config.unsupervised
    columns = [PRIMARY[group] for group in settings.features]
    values = state_probabilities(
        features[columns].to_numpy(dtype=np.float64, na_value=np.nan),
        long_short,
        walk_forward(_valid(features), settings.lookback_window_days, settings.test_window_days),
        mode="hmm" if config.mode == "hmm" else "kmeans",
        n_states=config.n_regimes,
        seed=settings.seed,
    )
    names = [regime.value for regime in states_of(config.n_regimes)]
    return pd.DataFrame(values, index=features.index, columns=names)


def _classify_probabilities(
    probabilities: pd.DataFrame,
    is_insufficient: pd.Series[bool],
    gate: pd.Series[bool],
    config: RegimeConfig,
) -> pd.DataFrame:
    """Return the likeliest regime of each day, held for the minimum persistence."""
    likeliest = np.argmax(probabilities.fillna(0.0).to_numpy(), axis=1)
    codes, ages = hold_states(
        (likeliest - config.n_regimes // 2).astype(np.int8),
        ~is_insufficient.to_numpy(dtype=np.bool_),
        gate.to_numpy(dtype=np.bool_),
        min_persistence_days=config.unsupervised.min_persistence_days,
    )
    return _labels(codes, ages, config.n_regimes, probabilities.index)


def _is_extreme(ratio: pd.Series[float], config: HighVolGateConfig) -> Bools:
    return ((ratio - 1).abs() > config.btc_7d_return).to_numpy(dtype=np.bool_) & config.enabled


def _valid(features: pd.DataFrame) -> Bools:
    return features["valid"].fillna(value=False).to_numpy(dtype=np.bool_)


def _classify(
    scores: pd.Series[float],
    thresholds: Floats,
    rules: Mapping[str, Any],
    gate: pd.Series[bool] | None,
) -> pd.DataFrame:
    values = _array(scores)[np.newaxis]
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
    return _labels(codes[0], ages[0], rules["n_regimes"], scores.index)


def _labels(codes: Codes, ages: Ages, n_regimes: int, index: pd.Index[Any]) -> pd.DataFrame:
    names = pd.Series(name_states(codes, n_regimes), index=index, dtype="str")
    return pd.DataFrame({"regime": names, "days_in_regime": ages + 1})


def _array(values: pd.Series[float]) -> Floats:
    return np.array(values.to_numpy(dtype=float, na_value=np.nan), dtype=np.float64)


def _state_rules(config: RegimeConfig | Mapping[str, Any]) -> dict[str, Any]:
    keys = ("n_regimes", "thresholds", "hysteresis_band", "min_regime_days")
    values = config.model_dump() if isinstance(config, RegimeConfig) else config
    missing = [key for key in keys if key not in values]
    if not missing:
        missing = [f"thresholds.{name}" for name in THRESHOLDS if name not in values["thresholds"]]
    if missing:
        raise ConfigError(f"regime: missing key {missing[0]}; see config.yaml")
    return {key: values[key] for key in keys}
