"""Trade a neutral book off against what it costs to get there: turnover, impact, funding, limits.

Data flow: ``neutral book, book held -> enrich_book -> RichBook``. The daily path does not use it:
it follows the closed form of ``hedge``. ``studies.hedge_objectives`` compares the two.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from majors_alts_monitor.config import UniverseConfig
from majors_alts_monitor.types import BPS, Floats

TOLERANCE: Final = 1e-7
"""A side of a limit that the solver reaches this closely counts as reached, fraction of NAV."""


@dataclass(frozen=True, slots=True)
class RichTerms:
    """Prices of what the plain objective ignores; 0 or infinity switches a term off."""

    horizon_days: float
    """Risk and funding are counted over so many days, trading once."""
    risk_aversion: float
    """Of NAV lost per unit of variance."""
    cost_bps: float
    """Fee and slippage per traded notional."""
    impact_coefficient: float
    """Y of the square-root law."""
    participation: float
    """Largest trade as a share of the asset's daily volume."""


@dataclass(frozen=True, slots=True)
class RichBook:
    """Result of ``enrich_book``."""

    weights: Floats
    """Shape (n_assets,), fractions of NAV."""
    residual: Floats
    """Beta left over to BTC and ETH, shape (2,)."""
    is_solved: bool
    """False: the solver gave no answer within the limits, and the book held is kept."""


def enrich_book(
    neutral: Floats,
    held: Floats,
    *,
    betas: Floats,
    covariance: Floats,
    own_variance: Floats,
    funding_rate_1d: Floats,
    adv_usd: Floats,
    sigma: Floats,
    account_usd: float,
    universe: UniverseConfig,
    terms: RichTerms,
) -> RichBook:
    r"""Return the book that is best after costs, near the neutral one.

    .. math:: \min_w\; \gamma h \left[ (B^\top w)^\top S (B^\top w)
              + \sum_i v_i (w_i - n_i)^2 \right] + \sum_i c |w_i - p_i|
              + \sum_i Y \sigma_i \sqrt{\tfrac{NAV}{ADV_i}} |w_i - p_i|^{3/2} + h \sum_i f_i w_i

    with :math:`n` the neutral book, :math:`p` the one held and :math:`h` the horizon, within the
    caps of the universe, on the same side as in the neutral book (an asset that left it may only
    shrink), and with :math:`|w_i - p_i|` at most a share of the asset's volume.

    Parameters
    ----------
    neutral, held : array of shape (n_assets,)
        Fractions of NAV.
    betas : array of shape (n_assets, 2)
        The majors' own are (1, 0) and (0, 1).
    covariance : array of shape (2, 2)
        Of the majors' daily returns.
    own_variance : array of shape (n_assets,)
        Daily variance beside the majors; 0 for them.
    funding_rate_1d : array of shape (n_assets,)
        Expected, paid by longs.
    adv_usd, sigma : array of shape (n_assets,)
        Daily volume and daily volatility.
    account_usd : float
        NAV.
    universe : UniverseConfig
        Caps.
    terms : RichTerms
        What the terms weigh.

    References
    ----------
    .. [1] S. Boyd et al. (2017), "Multi-Period Trading via Convex Optimization", Foundations and
       Trends in Optimization 3(1), sections 2 and 4.
    """
    import cvxpy as cp  # takes seconds; only studies need it

    low, high = _sides(neutral, held, universe)
    w = cp.Variable(len(neutral))
    trade = cp.abs(w - held)
    root = np.linalg.cholesky(covariance + 1e-12 * np.trace(covariance) * np.eye(2))
    risk = cp.sum_squares((betas @ root).T @ w)
    risk += cp.sum_squares(cp.multiply(np.sqrt(own_variance), w - neutral))
    cost: Any = terms.risk_aversion * terms.horizon_days * risk
    cost += terms.horizon_days * (funding_rate_1d @ w) + terms.cost_bps * BPS * cp.sum(trade)
    if terms.impact_coefficient > 0:
        price = terms.impact_coefficient * sigma * np.sqrt(account_usd / adv_usd)
        cost += price @ cp.power(trade, 1.5)
    limits = [w >= low, w <= high, cp.norm1(w) <= universe.gross_cap]
    if np.isfinite(terms.participation):
        limits.append(trade <= terms.participation * adv_usd / account_usd)
    # In basis points, so that the solver's tolerances fit the size of the numbers.
    problem = cp.Problem(cp.Minimize(cost / BPS), limits)
    with warnings.catch_warnings():
        # A point short of the last digits is good enough, and the status tells it from none.
        warnings.simplefilter("ignore", UserWarning)
        problem.solve(solver=cp.CLARABEL)
    if problem.status not in {cp.OPTIMAL, cp.OPTIMAL_INACCURATE}:
        return RichBook(held.copy(), held @ betas, is_solved=False)
    weights = np.clip(w.value, low, high)
    weights[np.abs(weights) < TOLERANCE] = 0.0
    return RichBook(weights, weights @ betas, is_solved=True)


def _sides(neutral: Floats, held: Floats, universe: UniverseConfig) -> tuple[Floats, Floats]:
    """Return the lowest and highest weight of each asset."""
    name_cap = universe.per_name_cap * universe.alt_gross
    is_short, is_long = neutral < 0, neutral > 0
    low = np.where(is_short, -name_cap, np.where(is_long, 0.0, np.minimum(held, 0.0)))
    high = np.where(is_long, universe.major_cap, np.where(is_short, 0.0, np.maximum(held, 0.0)))
    return low, high
