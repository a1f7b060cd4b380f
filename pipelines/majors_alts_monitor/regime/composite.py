"""The composite score: weighted, signed, clipped z-scores of the eight groups.

    score_raw = W sum(w d clip(z)) / sum(w of the groups present),   W = sum of all w

Sums run over the groups in the order of ``GROUPS``, so the result does not depend on column
order, and one call scores many weight vectors (calibration) or one per day (its application).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.config import DirectionsConfig, ThresholdsConfig, WeightsConfig
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.types import GROUPS, Floats

THRESHOLDS: Final = ("strong_low", "low", "high", "strong_high")

SLACK: Final = 1e-12
"""Of W; a coverage of exactly the minimum must not fail for a rounding error."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Weights and thresholds in force; leading axes are samples or days."""

    weights: Floats
    """Shape (..., 8), in the order of ``GROUPS``."""
    thresholds: Floats
    """Shape (..., 4): strong_low, low, high, strong_high."""


def configured(weights: WeightsConfig, thresholds: ThresholdsConfig) -> Parameters:
    """Return the parameters of the configuration, shapes (8,) and (4,)."""
    return Parameters(
        weights=np.array([getattr(weights, group) for group in GROUPS], dtype=np.float64),
        thresholds=np.array([getattr(thresholds, name) for name in THRESHOLDS], dtype=np.float64),
    )


def signed_scores(features: pd.DataFrame, directions: DirectionsConfig, z_clip: float) -> Floats:
    """Return d clip(z) of the primary columns, shape (n_days, 8); NaN is missing."""
    z = features[[PRIMARY[group] for group in GROUPS]].to_numpy(dtype=np.float64, na_value=np.nan)
    d = np.array([getattr(directions, group) for group in GROUPS], dtype=np.float64)
    signed: Floats = np.clip(z, -z_clip, z_clip) * d
    return signed


def combine(
    signed: Floats, weights: Floats, min_weight_share: float
) -> tuple[Floats, Floats, Floats]:
    """Return score_raw, contributions to it, and the weight present.

    Parameters
    ----------
    signed : array of shape (..., 8)
        d clip(z), NaN where missing.
    weights : array of shape (..., 8)
        Broadcast against ``signed``.
    min_weight_share : float
        With a smaller share of W present there is no score.

    Returns
    -------
    tuple of arrays of shape (...), (..., 8), (...)
        Contributions sum to the score; a missing group's is NaN, as is everyone's without score.

    Examples
    --------
    >>> signed = np.array([[2.0, -1.0, np.nan]])
    >>> score, parts, present = combine(signed, np.array([0.5, 0.25, 0.25]), 0.6)
    >>> score, parts, present
    (array([1.]), array([[ 1.33333333, -0.33333333,         nan]]), array([0.75]))
    """
    signed, weights = np.broadcast_arrays(signed, weights)
    has_value = ~np.isnan(signed)
    total = _sum_in_order(weights)
    present = _sum_in_order(np.where(has_value, weights, 0.0))
    products = weights * signed
    weighted = _sum_in_order(np.where(has_value, products, 0.0))

    is_covered = (present >= (min_weight_share - SLACK) * total) & (present > 0)
    divisor = np.where(is_covered, present, np.nan)
    score = total * weighted / divisor
    contributions = products * (total / divisor)[..., np.newaxis]
    # Adding 0.0 turns -0.0 into 0.0, which prints without a sign.
    return score + 0.0, contributions + 0.0, present


def _sum_in_order(values: Floats) -> Floats:
    """Return the sum over the last axis, taken one by one from the left."""
    total: Floats = np.add.accumulate(values, axis=-1)[..., -1]
    return total
