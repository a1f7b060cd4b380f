"""Settle and trade one day of a book, compiled; and a whole path of days with it.

Flow: ``targets, returns, funding -> settle_and_trade, one call a day -> daily parts, equity``.
``walk`` and ``walk_many`` loop over days in machine code (``simulation.py``), ``engine.Book``
from Python for the strategy, whose next target depends on the day before. All three run the
same function, so a day costs the same wherever it is simulated. The rules are strategy.md
section 6.

One day, in this order: the book held into the day earns its price return and pays the funding
settled in it; weights drift; what has no price for too long is closed; the rest is traded to
its target at the close. A target earns from the next day on.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from majors_alts_monitor.backtest._compiled import compiled
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.types import BPS, Bools, Floats

Ints = npt.NDArray[np.int64]

LEGS: Final = ("alt", "btc", "eth")
"""Names of the values of a ``legs`` array."""

TOTALS: Final = (
    "pnl_alts",
    "pnl_btc",
    "pnl_eth",
    "funding_alts",
    "funding_majors",
    "fees",
    "slippage",
    "impact",
    "r_ls_gross",
    "r_ls_net",
    "alt_turnover",
    "major_turnover",
    "alt_gross",
    "major_gross",
    "total_gross",
    "net_exposure",
    "rebalanced",
    "nav",
    "count_missing_funding",
    "notional_missing_funding",
    "count_unknown_impact",
    "count_forced_closes",
)
"""What a day adds up to. Fractions of the NAV the day opened with, except: turnovers, fractions
of NAV after growth; ``nav``, in the unit the book started in; counts. Gross and net exposure
are of the book held into the day."""

(
    PNL_ALTS,
    PNL_BTC,
    PNL_ETH,
    FUNDING_ALTS,
    FUNDING_MAJORS,
    FEES,
    SLIPPAGE,
    IMPACT,
    R_LS_GROSS,
    R_LS_NET,
    ALT_TURNOVER,
    MAJOR_TURNOVER,
    ALT_GROSS,
    MAJOR_GROSS,
    TOTAL_GROSS,
    NET_EXPOSURE,
    REBALANCED,
    NAV,
    COUNT_MISSING_FUNDING,
    NOTIONAL_MISSING_FUNDING,
    COUNT_UNKNOWN_IMPACT,
    COUNT_FORCED_CLOSES,
) = range(len(TOTALS))

CELLS: Final = (
    "weight_open",
    "pnl_price",
    "pnl_funding",
    "drifted",
    "weight_target",
    "traded",
    "fee",
    "slippage",
    "impact",
    "action",
)
"""What a day holds per asset. ``weight_open``, the parts of the PnL and the costs are fractions
of the NAV the day opened with; ``drifted``, ``weight_target`` and ``traded`` (their difference)
fractions of NAV after growth and before costs; ``action`` is KEEP, TRADE or CLOSE."""

(
    C_WEIGHT_OPEN,
    C_PNL_PRICE,
    C_PNL_FUNDING,
    C_DRIFTED,
    C_WEIGHT_TARGET,
    C_TRADED,
    C_FEE,
    C_SLIPPAGE,
    C_IMPACT,
    C_ACTION,
) = range(len(CELLS))

KEEP: Final = 0.0
TRADE: Final = 1.0
CLOSE: Final = 2.0

RUIN: Final = "the book lost all of its NAV (leverage, a short squeeze or costs); reduce targets"

_MAX_NEWTON_STEPS: Final = 200
_CONVERGED: Final = 1e-15


class Terms(NamedTuple):
    """Prices of trading and the rules for gaps; all rates are fractions of traded notional."""

    fee: float
    slippage: float
    delist_penalty: float
    impact_coefficient: float
    """Y of the square-root law; 0 switches impact off."""
    account_usd: float
    """USD that one unit of NAV stands for; only impact depends on it."""
    max_stale_days: int
    is_post_cost: bool

    @classmethod
    def of(
        cls,
        *,
        fee_bps: float,
        slippage_bps: float,
        delist_penalty_bps: float = 0.0,
        impact_coefficient: float = 0.0,
        account_usd: float = 1.0,
        max_stale_days: int = 3,
        sizing_basis: str = "pre_cost",
    ) -> Terms:
        """Return the terms of costs in basis points.

        Raises
        ------
        ConfigError
            If a number is negative or not finite, or the basis is unknown.

        Examples
        --------
        >>> Terms.of(fee_bps=5.0, slippage_bps=0.0).fee
        0.0005
        """
        numbers = {
            "fee_bps": fee_bps,
            "slippage_bps": slippage_bps,
            "delist_penalty_bps": delist_penalty_bps,
            "impact_coefficient": impact_coefficient,
            "account_usd": account_usd,
            "max_stale_days": max_stale_days,
        }
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name}: must be finite and not negative, was {value}")
        if sizing_basis not in {"pre_cost", "post_cost"}:
            raise ConfigError(f"sizing_basis: must be pre_cost or post_cost, was {sizing_basis!r}")
        return cls(
            float(fee_bps * BPS),
            float(slippage_bps * BPS),
            float(delist_penalty_bps * BPS),
            float(impact_coefficient),
            float(account_usd),
            int(max_stale_days),
            sizing_basis == "post_cost",
        )


@compiled
def _settle(
    held: Floats,
    age: Ints,
    returns: Floats,
    funding: Floats,
    legs: Ints,
    cells: Floats,
    totals: Floats,
) -> float:
    """Book price and funding of the day on the held weights; return 1 + growth."""
    for i in range(held.size):
        weight = held[i]
        price_return = returns[i]
        rate = funding[i]
        age[i] += 1
        if np.isnan(price_return):
            price_return = 0.0
        else:
            age[i] = 0
        if np.isnan(rate):
            rate = 0.0
            if weight != 0.0:
                totals[COUNT_MISSING_FUNDING] += 1.0
                totals[NOTIONAL_MISSING_FUNDING] += abs(weight)
        is_major = 1 if legs[i] > 0 else 0
        price = weight * price_return
        paid = 0.0 - weight * rate
        cells[C_WEIGHT_OPEN, i] = weight
        cells[C_PNL_PRICE, i] = price
        cells[C_PNL_FUNDING, i] = paid
        cells[C_DRIFTED, i] = weight * (1.0 + price_return)
        totals[PNL_ALTS + legs[i]] += price
        totals[FUNDING_ALTS + is_major] += paid
        totals[ALT_GROSS + is_major] += abs(weight)
        totals[NET_EXPOSURE] += weight
    totals[TOTAL_GROSS] = totals[ALT_GROSS] + totals[MAJOR_GROSS]
    totals[R_LS_GROSS] = totals[PNL_ALTS] + totals[PNL_BTC] + totals[PNL_ETH]
    return float(1.0 + totals[R_LS_GROSS] + (totals[FUNDING_ALTS] + totals[FUNDING_MAJORS]))


@compiled
def _choose_actions(
    age: Ints,
    returns: Floats,
    targets: Floats,
    is_delisted: Bools,
    growth: float,
    terms: Terms,
    cells: Floats,
    totals: Floats,
) -> None:
    """Let weights drift and decide per asset whether it is kept, traded or closed."""
    for i in range(age.size):
        drifted = cells[C_DRIFTED, i] / growth
        cells[C_DRIFTED, i] = drifted
        cells[C_ACTION, i] = KEEP
        if np.isnan(returns[i]):
            if drifted != 0.0 and (is_delisted[i] or age[i] > terms.max_stale_days):
                cells[C_ACTION, i] = CLOSE
                totals[COUNT_FORCED_CLOSES] += 1.0
        elif not np.isnan(targets[i]):
            cells[C_ACTION, i] = TRADE
            totals[REBALANCED] = 1.0


@compiled
def _impact_rates(
    adv_usd: Floats, sigma: Floats, nav_usd: float, terms: Terms, cells: Floats
) -> None:
    """Put c of ``impact = c |traded|^1.5`` into the impact row; NaN where it is unknown.

    With ``usd = |traded| nav_usd`` the law ``Y sigma usd^1.5 / sqrt(ADV)`` over ``nav_usd`` is
    ``Y sigma sqrt(nav_usd / ADV) |traded|^1.5``.
    """
    for i in range(adv_usd.size):
        rate = 0.0
        if terms.impact_coefficient > 0.0 and cells[C_ACTION, i] == TRADE:
            is_known = adv_usd[i] > 0.0 and sigma[i] >= 0.0
            root = math.sqrt(nav_usd / adv_usd[i]) if is_known else np.nan
            rate = terms.impact_coefficient * sigma[i] * root
        cells[C_IMPACT, i] = rate


@compiled
def _share_after_costs(targets: Floats, terms: Terms, cells: Floats) -> float:
    r"""Return q = NAV after costs over NAV before, when targets are fractions of the former.

    q solves :math:`q = 1 - C - \sum k |w q - d| + c |w q - d|^{3/2}` over the traded assets,
    C the cost of forced closes. The difference of both sides is convex and not negative at 1,
    so Newton's steps descend to the root and never pass it; without impact it is piecewise
    linear and they end exactly. NaN when no root exists.
    """
    linear = terms.fee + terms.slippage
    q = 1.0
    for _ in range(_MAX_NEWTON_STEPS):
        excess = q - 1.0
        slope = 1.0
        for i in range(targets.size):
            if cells[C_ACTION, i] == CLOSE:
                excess += (linear + terms.delist_penalty) * abs(cells[C_DRIFTED, i])
            elif cells[C_ACTION, i] == TRADE:
                traded = targets[i] * q - cells[C_DRIFTED, i]
                size = abs(traded)
                curved = 0.0 if np.isnan(cells[C_IMPACT, i]) else cells[C_IMPACT, i]
                excess += linear * size + curved * size * math.sqrt(size)
                steepness = linear + 1.5 * curved * math.sqrt(size)
                slope += targets[i] * steepness if traded >= 0.0 else -targets[i] * steepness
        if not slope > 0.0:
            return np.nan
        q -= excess / slope
        if abs(excess) <= _CONVERGED * slope:
            return q
    return np.nan


@compiled
def _trade(
    targets: Floats,
    legs: Ints,
    growth: float,
    share: float,
    terms: Terms,
    cells: Floats,
    totals: Floats,
) -> None:
    """Fill trades and costs of the day."""
    for i in range(targets.size):
        action = cells[C_ACTION, i]
        drifted = cells[C_DRIFTED, i]
        rate = cells[C_IMPACT, i]
        wanted = drifted
        if action == TRADE:
            wanted = targets[i] * share
        elif action == CLOSE:
            wanted = 0.0
        traded = wanted - drifted
        size = abs(traded)
        penalty = terms.delist_penalty if action == CLOSE else 0.0
        if np.isnan(rate):
            rate = 0.0
            if traded != 0.0:
                totals[COUNT_UNKNOWN_IMPACT] += 1.0
        cells[C_WEIGHT_TARGET, i] = wanted
        cells[C_TRADED, i] = traded
        cells[C_FEE, i] = size * terms.fee * growth
        cells[C_SLIPPAGE, i] = size * (terms.slippage + penalty) * growth
        cells[C_IMPACT, i] = rate * size * math.sqrt(size) * growth
        totals[FEES] += cells[C_FEE, i]
        totals[SLIPPAGE] += cells[C_SLIPPAGE, i]
        totals[IMPACT] += cells[C_IMPACT, i]
        totals[ALT_TURNOVER + (1 if legs[i] > 0 else 0)] += size


@compiled
def settle_and_trade(
    nav: float,
    held: Floats,
    age: Ints,
    returns: Floats,
    funding: Floats,
    targets: Floats,
    adv_usd: Floats,
    sigma: Floats,
    is_delisted: Bools,
    legs: Ints,
    terms: Terms,
    cells: Floats,
    totals: Floats,
) -> float:
    """Run one day in place and return the NAV after it; 0 when nothing is left.

    Parameters
    ----------
    nav : float
        NAV after the close of the day before.
    held : array of shape (n_assets,), changed
        Weights of the book, fractions of that NAV; afterwards of the NAV returned.
    age : int array of shape (n_assets,), changed
        Days since the asset last had a price.
    returns : array of shape (n_assets,)
        Close over the last known close, minus 1; NaN without a price today.
    funding : array of shape (n_assets,)
        The day's rate per unit of weight; NaN when unknown, which is charged 0 and counted.
    targets : array of shape (n_assets,)
        Weights wanted after the close; NaN keeps what there is of the asset.
    adv_usd, sigma : arrays of shape (n_assets,)
        Daily volume in USD and daily volatility for impact; NaN when unknown.
    is_delisted : bool array of shape (n_assets,)
        The asset is known to be delisted.
    legs : int array of shape (n_assets,)
        0 for an ALT, 1 for BTC, 2 for ETH.
    terms : Terms
        Costs and gap rules.
    cells : array of shape (len(CELLS), n_assets), written
        The day per asset.
    totals : array of shape (len(TOTALS),), written
        The day added up.
    """
    totals[:] = 0.0
    growth = _settle(held, age, returns, funding, legs, cells, totals)
    if not growth > 0.0:
        return 0.0
    _choose_actions(age, returns, targets, is_delisted, growth, terms, cells, totals)
    _impact_rates(adv_usd, sigma, nav * growth * terms.account_usd, terms, cells)
    share = _share_after_costs(targets, terms, cells) if terms.is_post_cost else 1.0
    _trade(targets, legs, growth, share, terms, cells, totals)
    costs = totals[FEES] + totals[SLIPPAGE] + totals[IMPACT]
    funded = totals[FUNDING_ALTS] + totals[FUNDING_MAJORS]
    totals[R_LS_NET] = totals[R_LS_GROSS] + funded - costs
    if not 1.0 + totals[R_LS_NET] > 0.0:
        return 0.0
    for i in range(held.size):
        held[i] = cells[C_WEIGHT_TARGET, i] * growth / (1.0 + totals[R_LS_NET])
    totals[NAV] = nav * (1.0 + totals[R_LS_NET])
    return float(totals[NAV])


@compiled
def walk(
    nav: float,
    returns: Floats,
    funding: Floats,
    targets: Floats,
    adv_usd: Floats,
    sigma: Floats,
    is_delisted: Bools,
    legs: Ints,
    terms: Terms,
    totals: Floats,
) -> int:
    """Fill ``totals`` (n_days, len(TOTALS)) day by day; return the ruinous row or -1."""
    n_days, n_assets = returns.shape
    held = np.zeros(n_assets)
    age = np.zeros(n_assets, dtype=np.int64)
    cells = np.zeros((len(CELLS), n_assets))
    for t in range(n_days):
        nav = settle_and_trade(
            nav,
            held,
            age,
            returns[t],
            funding[t],
            targets[t],
            adv_usd[t],
            sigma[t],
            is_delisted[t],
            legs,
            terms,
            cells,
            totals[t],
        )
        if nav <= 0.0:
            return t
    return -1


@compiled
def walk_many(
    nav: float,
    returns: Floats,
    funding: Floats,
    targets: Floats,
    adv_usd: Floats,
    sigma: Floats,
    is_delisted: Bools,
    legs: Ints,
    terms: Terms,
    equity: Floats,
) -> tuple[int, int]:
    """Fill ``equity`` (n_variants, n_days); return the ruined variant and row or (-1, -1)."""
    totals = np.zeros((returns.shape[0], len(TOTALS)))
    for k in range(targets.shape[0]):
        ruin = walk(
            nav, returns, funding, targets[k], adv_usd, sigma, is_delisted, legs, terms, totals
        )
        if ruin >= 0:
            return k, ruin
        equity[k] = totals[:, NAV]
    return -1, -1


@compiled
def returns_since_last_price(closes: Floats) -> Floats:
    """Return closes over the newest earlier close minus 1, shape (n_days, n_assets).

    NaN without a close, 0 on an asset's first one (nothing can be held before it).
    """
    returns = np.full(closes.shape, np.nan)
    for i in range(closes.shape[1]):
        last = np.nan
        for t in range(closes.shape[0]):
            close = closes[t, i]
            if not np.isnan(close):
                returns[t, i] = 0.0 if np.isnan(last) else close / last - 1.0
                last = close
    return returns
