"""Simulate a market whose betas drift and are known, to judge estimators and hedges by them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.types import MAJORS, CloseVersions, Floats, Market

MAJOR_VOLATILITY: Final = (0.03, 0.04)
MAJOR_CORRELATION: Final = 0.85
MEAN_BETA: Final = (0.4, 0.8)
BETA_SPREAD: Final = 0.25
"""Standard deviation over assets of an asset's mean beta."""
BETA_DRIFT: Final = 0.25
"""Standard deviation over time of a beta about its mean; the two drift against each other."""
DRIFT_CORRELATION: Final = -0.5
HALF_LIFE_DAYS: Final = 60
COMMON_VOLATILITY: Final = 0.012
OWN_VOLATILITY: Final = 0.03
"""Daily, of the factor that only ALTs share and of each ALT alone; Student with 4 degrees."""
DEGREES: Final = 4


def drifting_market(n_days: int, n_alts: int, *, seed: int) -> tuple[Market, Floats]:
    """Return a market and the true betas of its ALTs, shape (n_days, n_assets, 2).

    Majors have volatility that clusters; each ALT's two betas wander about means of their own with
    a half-life of 60 days, and its remaining return has fat tails and a part common to all ALTs.
    The majors' own betas are (1, 0) and (0, 1). Every ALT is eligible from the second day.
    """
    rng = np.random.default_rng(seed)
    majors = _major_returns(rng, n_days)
    betas = _drifting_betas(rng, n_days, n_alts)
    common = COMMON_VOLATILITY * _student(rng, (n_days, 1))
    own = OWN_VOLATILITY * _student(rng, (n_days, n_alts))
    alts = np.einsum("tik,tk->ti", betas, majors) + common + own
    closes = 100 * np.exp(np.cumsum(np.hstack([majors, alts]), axis=0))

    own_betas = np.broadcast_to(np.eye(2), (n_days, 2, 2))
    names = [*MAJORS, *(f"SIM{i:03d}" for i in range(n_alts))]
    order = np.argsort(names)
    market = _market(closes[:, order], [names[i] for i in order], rng)
    return market, np.concatenate([own_betas, betas], axis=1)[:, order]


def _student(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.standard_t(DEGREES, shape) * np.sqrt((DEGREES - 2) / DEGREES))


def _major_returns(rng: np.random.Generator, n_days: int) -> Floats:
    level = 0.4 * _wander(rng, (n_days, 1), half_life=20)
    z = _student(rng, (n_days, 2))
    mix = np.array([[1.0, 0.0], [MAJOR_CORRELATION, np.sqrt(1 - MAJOR_CORRELATION**2)]])
    result: Floats = (z @ mix.T) * np.asarray(MAJOR_VOLATILITY) * np.exp(level - 0.08)
    return result


def _drifting_betas(rng: np.random.Generator, n_days: int, n_alts: int) -> Floats:
    means = np.asarray(MEAN_BETA) + BETA_SPREAD * rng.normal(size=(n_alts, 2))
    drift = _wander(rng, (n_days, n_alts, 2), half_life=HALF_LIFE_DAYS)
    against = np.sqrt(1 - DRIFT_CORRELATION**2) * drift[..., 1] + DRIFT_CORRELATION * drift[..., 0]
    drift = BETA_DRIFT * np.stack([drift[..., 0], against], axis=-1)
    return np.clip(means + drift, 0.0, 3.0)


def _wander(rng: np.random.Generator, shape: tuple[int, ...], *, half_life: float) -> Floats:
    """Return mean-reverting paths along the first axis with variance 1."""
    keep = 0.5 ** (1 / half_life)
    paths = rng.normal(size=shape)
    for day in range(1, shape[0]):
        paths[day] = keep * paths[day - 1] + np.sqrt(1 - keep * keep) * paths[day]
    return paths


def _market(closes: Floats, names: list[str], rng: np.random.Generator) -> Market:
    returns = np.full_like(closes, np.nan)
    returns[1:] = closes[1:] / closes[:-1] - 1
    volumes = 1e7 * np.exp(rng.normal(size=closes.shape[1])) * np.ones_like(closes)
    unknown = np.full_like(closes, np.nan)
    none = np.zeros(0, dtype=np.int64)
    is_alt = ~np.isin(names, MAJORS)
    return Market(
        dates=pd.date_range("2020-01-01", periods=len(closes), name="date"),
        assets=pd.Index(names, name="asset_id", dtype="str"),
        close_usd=closes,
        return_1d=returns,
        return_since_last_price=returns.copy(),
        market_cap_usd=volumes * 50,
        previous_market_cap_usd=volumes * 50,
        volume_usd=volumes,
        volume_median_7d_usd=volumes.copy(),
        perp_volume_usd=unknown,
        funding_rate_8h=unknown.copy(),
        funding_rate_1d=unknown.copy(),
        is_eligible=np.isfinite(returns) & is_alt,
        is_delisted=np.zeros(closes.shape, dtype=np.bool_),
        close_versions=CloseVersions(none, none, none, none, np.zeros(0)),
    )
