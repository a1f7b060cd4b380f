"""Trade a neutral book off against what it costs to get there: turnover, impact, funding, limits.

Data flow: ``neutral book, book held -> enrich_book -> RichBook``. Off by default: targets are then
the closed form of ``hedge``. ``universe.rich_objective`` switches it on for every rebalance, and
``studies.hedge_objectives`` compares the two.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from majors_alts_monitor.beta_neutral.basket import simple_returns
from majors_alts_monitor.config import MonitorConfig, RichObjectiveConfig, UniverseConfig
from majors_alts_monitor.types import BPS, Floats, Market

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
    adv_share: float = np.inf
    """Largest position as a share of it."""


@dataclass(frozen=True, slots=True)
class RichBook:
    """Result of ``enrich_book``."""

    weights: Floats
    """Shape (n_assets,), fractions of NAV."""
    residual: Floats
    """Beta left over to BTC and ETH, shape (2,)."""
    is_solved: bool
    """False: the solver gave no answer within the limits, and the book held is kept."""


def enrich_targets(
    neutral: Floats,
    held: Floats,
    *,
    scale: float,
    market: Market,
    row: int,
    betas: Floats,
    adv_usd: Floats,
    sigma: Floats,
    config: MonitorConfig,
    objective: RichObjectiveConfig,
) -> Floats:
    """Return the targets of a rebalance after costs are weighed in, shape (n_assets,).

    The neutral targets themselves where the solver finds no answer. Only assets held or wanted
    enter the problem, so a column more in the market changes nothing.

    Parameters
    ----------
    neutral, held : array of shape (n_assets,)
        Scaled targets of the plain decision, and the book after the close; fractions of NAV.
    scale : float
        Position scale of the targets; caps of single ALTs shrink with it.
    market : Market
        Read up to ``row`` only.
    row : int
        The decision day.
    betas : array of shape (n_assets, 2)
        Of every asset held or wanted.
    adv_usd, sigma : array of shape (n_assets,)
        As known on the day; NaN: the asset's volume limits nothing and its impact counts 0.
    config : MonitorConfig
        Caps, costs, account and the window of the betas.
    objective : RichObjectiveConfig
        Weights and limits.
    """
    used = np.flatnonzero((neutral != 0) | (held != 0))
    closes = market.closes_as_known(row, config.beta.lookback_days + 1)
    returns = simple_returns(closes[:, used].T)
    majors = simple_returns(closes[:, list(market.major_columns)].T)
    is_joint = np.isfinite(majors).all(axis=0)
    beside = returns[:, is_joint] - betas[used] @ majors[:, is_joint]
    n_known = np.maximum(np.isfinite(beside).sum(axis=1), 1)
    mean = np.nansum(beside, axis=1) / n_known
    own = np.nansum((beside - mean[:, None]) ** 2, axis=1) / n_known
    rates = np.nan_to_num(market.funding_rate_1d[row, used])
    costs = config.costs
    book = enrich_book(
        neutral[used],
        held[used],
        betas=betas[used],
        covariance=np.cov(majors[:, is_joint]),
        own_variance=np.where(market.is_alt[used], own, 0.0),
        funding_rate_1d=rates if costs.funding_enabled else np.zeros(used.size),
        adv_usd=np.where(adv_usd[used] > 0, adv_usd[used], np.inf),
        sigma=np.nan_to_num(sigma[used]),
        account_usd=config.execution.account_usd,
        universe=config.universe,
        terms=RichTerms(
            horizon_days=objective.horizon_days,
            risk_aversion=objective.risk_aversion,
            cost_bps=costs.fee_bps + costs.slippage_bps,
            impact_coefficient=objective.impact_coefficient,
            participation=objective.max_participation,
            adv_share=objective.max_adv_share,
        ),
        scale=scale,
    )
    if not book.is_solved:
        return neutral
    targets = np.zeros(neutral.shape)
    targets[used] = book.weights
    return targets


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
    scale: float = 1.0,
) -> RichBook:
    r"""Return the book that is best after costs, near the neutral one.

    .. math:: \min_w\; \gamma h \left[ (B^\top w)^\top S (B^\top w)
              + \sum_i v_i (w_i - n_i)^2 \right] + \sum_i c |w_i - p_i|
              + \sum_i Y \sigma_i \sqrt{\tfrac{NAV}{ADV_i}} |w_i - p_i|^{3/2} + h \sum_i f_i w_i

    with :math:`n` the neutral book, :math:`p` the one held and :math:`h` the horizon, within the
    caps of the universe and the gross of the neutral book, on the same side as in it (an asset that
    left it may only shrink), and with :math:`|w_i - p_i|` and :math:`|w_i|` at most shares of the
    asset's volume. A cap that the largest trade cannot reach from the book held is neared.

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
    scale : float
        Of the neutral book; the cap of a single ALT shrinks with it.

    References
    ----------
    .. [1] S. Boyd et al. (2017), "Multi-Period Trading via Convex Optimization", Foundations and
       Trends in Optimization 3(1), sections 2 and 4.
    """
    import cvxpy as cp  # takes seconds; only studies need it

    reach = np.maximum(terms.participation * adv_usd / account_usd, 0.0)
    most = terms.adv_share * adv_usd / account_usd
    low, high = _sides(neutral, held, universe, scale, most, reach)
    gross = max(
        min(float(np.abs(neutral).sum()), universe.gross_cap),
        float(np.maximum(np.abs(held) - reach, 0.0).sum()),
    )
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
    limits = [w >= low, w <= high, cp.norm1(w) <= gross]
    is_limited = np.isfinite(reach)
    if is_limited.any():
        limits.append(trade[is_limited] <= reach[is_limited])
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


def _sides(
    neutral: Floats,
    held: Floats,
    universe: UniverseConfig,
    scale: float,
    most: Floats,
    reach: Floats,
) -> tuple[Floats, Floats]:
    """Return the lowest and highest weight of each asset."""
    is_short, is_long = neutral < 0, neutral > 0
    name_cap = np.minimum(universe.per_name_cap * universe.alt_gross * scale, most)
    major_cap = np.minimum(universe.major_cap, most)
    low = np.where(is_short, -name_cap, np.where(is_long, 0.0, np.minimum(held, 0.0)))
    high = np.where(is_long, major_cap, np.where(is_short, 0.0, np.maximum(held, 0.0)))
    return np.minimum(low, held + reach), np.maximum(high, held - reach)
