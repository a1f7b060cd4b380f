r"""Estimate the two betas of each ALT, jointly on BTC and ETH.

.. math:: r_i = a_i + b_i^{BTC} r_{BTC} + b_i^{ETH} r_{ETH} + e_i

BTC and ETH move together, so sixty days tell the sum of the two slopes well and their difference
badly. Each estimator says how it treats outliers and where it shrinks to. The study
``beta_estimators`` races them on the error of the next 20 days' beta; the default is its winner.

Arrays have shape (n_assets, n_days) and are summed along days only: an asset's fit does not depend
on which other assets are fitted with it, except through the prior, a median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor.config import BetaConfig
from majors_alts_monitor.types import MAJORS, Bools, Floats

SLOPE_BAND: Final = 3.0
"""Welch's delta: a return counts within [1 - 3, 1 + 3] times what the default prior predicts."""

HALF_LIFE_SHARE: Final = 0.5
"""Half-life of the exponential weights, as a share of the window."""

SMALLEST_SPREAD: Final = 1e-4
"""Variance of true betas over assets that Vasicek's estimator assumes at least."""

SINGULAR: Final = 1e-10
"""Determinant over product of the diagonal, below which two slopes cannot be told apart."""


@dataclass(frozen=True, slots=True)
class BetaFit:
    """Betas of one day."""

    betas: Floats
    """Shape (n_assets, 2), clamped."""
    is_prior: Bools
    """True where the asset's own history was too short or did not move."""
    prior: Floats
    """Shape (2,)."""
    in_prior: Bools
    """The assets whose fits made the prior; none: it is the configured default."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """What a regression sees: outliers clipped, weights summing to ``n`` and 0 on missing days."""

    y: Floats
    x1: Floats
    x2: Floats
    weight: Floats
    n: Floats


@dataclass(frozen=True, slots=True)
class _Moments:
    """Centred cross products, each of shape (n_assets,)."""

    g11: Floats
    g12: Floats
    g22: Floats
    h1: Floats
    h2: Floats
    yy: Floats


def estimate_betas(
    log_returns: pd.DataFrame, majors: pd.DataFrame, config: BetaConfig | Mapping[str, Any]
) -> pd.DataFrame:
    r"""Return the joint betas of each column of ``log_returns`` on BTC and ETH.

    The estimator ``ridge`` minimises, over the asset's joint days and after clipping each series at
    its own quantiles,

    .. math:: \sum_t (y_t - a - b'x_t)^2 + \lambda \lVert b - b_0 \rVert^2, \qquad
              \lambda = \alpha n \tfrac12 (\sigma^2_{BTC} + \sigma^2_{ETH}),

    where :math:`b_0`, the prior, is the median over the assets with at least ``min_days`` joint
    days of the same fit with :math:`\lambda = 0`, clamped.

    Parameters
    ----------
    log_returns : DataFrame of shape (n_days, n_assets)
        Daily log returns, oldest first; NaN is missing. The columns are the assets the prior is
        taken over. Only the last ``lookback_days`` rows are used.
    majors : DataFrame of shape (n_days, 2)
        Daily log returns of BTC and ETH, in columns of these names, on the same rows.
    config : BetaConfig or mapping
        The keys of ``beta`` in config.yaml.

    Returns
    -------
    DataFrame of shape (n_assets, 2)
        Columns BTC and ETH. ``attrs["prior"]`` holds ``assets`` and ``value`` of the prior,
        ``attrs["from_prior"]`` the assets that got the prior itself: fewer than ``min_days`` joint
        days, or majors that do not move or cannot be told apart when nothing is penalised.

    Examples
    --------
    >>> x = pd.DataFrame({"BTC": [0.01, -0.02, 0.03], "ETH": [0.02, 0.01, -0.01]})
    >>> y = pd.DataFrame({"SOL": 0.5 * x["BTC"] + 0.7 * x["ETH"]})
    >>> plain = {"lookback_days": 3, "min_days": 3, "ridge_alpha": 0.0, "winsorize_pct": 0.0,
    ...          "beta_clamp": (0.0, 3.0), "default_prior": (0.5, 0.6), "estimator": "ridge"}
    >>> estimate_betas(y, x, plain).round(6).loc["SOL"].to_dict()
    {'BTC': 0.5, 'ETH': 0.7}
    """
    if not isinstance(config, BetaConfig):
        config = BetaConfig.model_validate(dict(config))
    y = log_returns.tail(config.lookback_days)
    x = majors.reindex(y.index)[list(MAJORS)]
    fit = fit_betas(
        np.ascontiguousarray(y.to_numpy(dtype=np.float64).T),
        np.ascontiguousarray(x.to_numpy(dtype=np.float64).T),
        config,
    )
    betas = pd.DataFrame(fit.betas, index=log_returns.columns, columns=list(MAJORS))
    betas.attrs["prior"] = {
        "assets": sorted(log_returns.columns[fit.in_prior]),
        "value": fit.prior.tolist(),
    }
    betas.attrs["from_prior"] = sorted(log_returns.columns[fit.is_prior])
    return betas


def fit_betas(y: Floats, x: Floats, config: BetaConfig) -> BetaFit:
    """Return the betas of each row of ``y``; see ``estimate_betas``.

    Parameters
    ----------
    y : array of shape (n_assets, n_days)
        Log returns of the assets, NaN is missing.
    x : array of shape (2, n_days)
        Log returns of BTC and ETH.
    config : BetaConfig
        ``ridge``: data-scaled penalty towards the prior. ``ridge_absolute``: ``ridge_alpha`` is the
        penalty itself, towards zero, as in the previous system. ``vasicek``: precision-weighted
        mean of the unpenalised fit and the prior. ``welch``: as ridge, but only ``y`` is clipped,
        around what the default prior predicts. ``ewma``: as ridge, with weights that halve every
        half window.
    """
    is_joint = np.isfinite(y) & np.isfinite(x).all(axis=0)
    moments, n = _moments(_sample(y, x, is_joint, config)), is_joint.sum(axis=1)
    zero = np.zeros(2)
    plain, is_solved = _solve(moments, np.zeros(len(y)), zero)
    in_prior = is_solved & (n >= config.min_days)
    low, high = config.beta_clamp
    prior = np.asarray(config.default_prior, dtype=np.float64)
    if in_prior.any():
        prior = np.median(np.clip(plain[in_prior], low, high), axis=0)

    match config.estimator:
        case "vasicek":
            betas = _shrink_by_precision(plain, in_prior, prior, moments, n)
        case "ridge_absolute":
            betas, is_solved = _solve(moments, np.full(len(y), config.ridge_alpha), zero)
        case _:
            penalty = config.ridge_alpha * 0.5 * (moments.g11 + moments.g22)
            betas, is_solved = _solve(moments, penalty, prior)
    is_prior = ~is_solved | (n < config.min_days)
    betas = np.clip(np.where(is_prior[:, None], prior, betas), low, high)
    return BetaFit(betas, is_prior, prior, in_prior)


def _sample(y: Floats, x: Floats, is_joint: Bools, config: BetaConfig) -> _Sample:
    n = is_joint.sum(axis=1).astype(np.float64)
    weight = is_joint.astype(np.float64)
    if config.estimator == "welch":
        expected = config.default_prior[0] * x[0] + config.default_prior[1] * x[1]
        reach = SLOPE_BAND * np.abs(expected)
        # The majors stay as they are: clipping only them would steepen every slope.
        near = np.clip(y, expected - reach, expected + reach)
        y, x1, x2 = (np.where(is_joint, values, 0.0) for values in (near, x[0], x[1]))
        return _Sample(y, x1, x2, weight, n)

    share = config.winsorize_pct / 100
    y = _clip_at_quantiles(y, is_joint, share)
    x1, x2 = (_clip_major(major, is_joint, share) for major in x)
    if config.estimator == "ewma":
        age = np.arange(y.shape[1])[::-1]
        decay = weight * 0.5 ** (age / (HALF_LIFE_SHARE * config.lookback_days))
        weight = decay * (n / np.where(n > 0, decay.sum(axis=1), 1.0))[:, None]
    return _Sample(y, x1, x2, weight, n)


def _clip_major(major: Floats, is_joint: Bools, share: float) -> Floats:
    """Clip a major over each asset's joint days; assets that lack no day share one answer."""
    is_whole = is_joint.all(axis=1)
    clipped = np.empty(is_joint.shape)
    clipped[is_whole] = _clip_at_quantiles(major[None, :], is_joint[is_whole][:1], share)
    rest = is_joint[~is_whole]
    clipped[~is_whole] = _clip_at_quantiles(np.broadcast_to(major, rest.shape), rest, share)
    return clipped


def _clip_at_quantiles(values: Floats, is_joint: Bools, share: float) -> Floats:
    """Clip each row at its own ``share`` and ``1 - share`` quantiles; 0 on missing days."""
    ordered = np.sort(np.where(is_joint, values, np.nan), axis=1)
    last = np.maximum(is_joint.sum(axis=1) - 1, 0)
    low, high = (_quantile(ordered, last, q) for q in (share, 1 - share))
    return np.where(is_joint, np.clip(values, low[:, None], high[:, None]), 0.0)


def _quantile(
    ordered: Floats, last: np.ndarray[tuple[int], np.dtype[np.int64]], q: float
) -> Floats:
    """Interpolate linearly between order statistics 0 .. ``last`` of each row, as numpy does."""
    position = last * q
    below = np.floor(position).astype(np.int64)
    rows = np.arange(len(ordered))
    left, right = ordered[rows, below], ordered[rows, np.minimum(below + 1, last)]
    step = position - below
    # From the nearer end, so that step 1 gives `right` exactly.
    from_left, from_right = left + (right - left) * step, right - (right - left) * (1 - step)
    return np.asarray(np.where(step < 0.5, from_left, from_right))


def _moments(s: _Sample) -> _Moments:
    def centred(values: Floats) -> Floats:
        mean = (s.weight * values).sum(axis=1) / np.maximum(s.n, 1)
        return np.asarray(values - mean[:, None])

    def total(left: Floats, right: Floats) -> Floats:
        return np.asarray((left * right).sum(axis=1))

    y, x1, x2 = centred(s.y), centred(s.x1), centred(s.x2)
    wy, w1, w2 = s.weight * y, s.weight * x1, s.weight * x2
    return _Moments(
        g11=total(w1, x1),
        g12=total(w1, x2),
        g22=total(w2, x2),
        h1=total(w1, y),
        h2=total(w2, y),
        yy=total(wy, y),
    )


def _solve(m: _Moments, penalty: Floats, target: Floats) -> tuple[Floats, Bools]:
    """Solve (G + penalty I)(b - target) = h - G target; NaN where G cannot be inverted."""
    a11, a22 = m.g11 + penalty, m.g22 + penalty
    determinant = a11 * a22 - m.g12 * m.g12
    is_solved = determinant > SINGULAR * a11 * a22
    k1 = m.h1 - m.g11 * target[0] - m.g12 * target[1]
    k2 = m.h2 - m.g12 * target[0] - m.g22 * target[1]
    safe = np.where(is_solved, determinant, np.nan)
    b1 = target[0] + (a22 * k1 - m.g12 * k2) / safe
    b2 = target[1] + (a11 * k2 - m.g12 * k1) / safe
    return np.stack([b1, b2], axis=1), is_solved


def _shrink_by_precision(
    plain: Floats, in_prior: Bools, prior: Floats, m: _Moments, n: np.ndarray[Any, Any]
) -> Floats:
    r"""Return Vasicek's posterior mean, with both slopes at once.

    :math:`b = b_0 + V (V + C_i)^{-1} (\hat b_i - b_0)`: :math:`C_i` is the sampling covariance of
    the fit, :math:`V` the spread of true betas over assets, the covariance of the fits about the
    prior less the mean :math:`C_i`, kept positive definite by flooring its two eigenvalues.

    References
    ----------
    .. [1] O. A. Vasicek (1973), "A note on using cross-sectional information in Bayesian
       estimation of security betas", Journal of Finance 28(5).
    """
    determinant = np.where(np.isnan(plain[:, 0]), np.nan, m.g11 * m.g22 - m.g12 * m.g12)
    residual = m.yy - plain[:, 0] * m.h1 - plain[:, 1] * m.h2
    noise = np.maximum(residual, 0.0) / np.maximum(n - 3, 1) / determinant
    c11, c12, c22 = noise * m.g22, -noise * m.g12, noise * m.g11
    d1, d2 = plain[:, 0] - prior[0], plain[:, 1] - prior[1]
    v11, v12, v22 = _positive(
        *(
            _mean(spread[in_prior]) - _mean(sampling[in_prior])
            for spread, sampling in ((d1 * d1, c11), (d1 * d2, c12), (d2 * d2, c22))
        )
    )
    s11, s12, s22 = v11 + c11, v12 + c12, v22 + c22
    scale = s11 * s22 - s12 * s12
    u1, u2 = (s22 * d1 - s12 * d2) / scale, (s11 * d2 - s12 * d1) / scale
    return np.stack([prior[0] + v11 * u1 + v12 * u2, prior[1] + v12 * u1 + v22 * u2], axis=1)


def _mean(values: Floats) -> float:
    """Return the mean, the same to the bit in whatever order the assets come."""
    return float(np.sort(values).sum() / max(values.size, 1))


def _positive(v11: float, v12: float, v22: float) -> tuple[float, float, float]:
    """Floor the eigenvalues of a symmetric 2 x 2 matrix at ``SMALLEST_SPREAD``."""
    centre, reach = (v11 + v22) / 2, math.hypot((v11 - v22) / 2, v12)
    if reach == 0:
        level = max(centre, SMALLEST_SPREAD)
        return level, 0.0, level
    small = max(centre - reach, SMALLEST_SPREAD)
    stretch = (max(centre + reach, SMALLEST_SPREAD) - small) / (2 * reach)
    shift = centre - reach
    return (
        small + stretch * (v11 - shift),
        stretch * v12,
        small + stretch * (v22 - shift),
    )
