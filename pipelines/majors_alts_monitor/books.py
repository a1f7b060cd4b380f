"""Propose the neutral book of every day, before the regime scales it.

Data flow: ``Market -> screen -> rank -> shares -> betas -> hedge -> Books``. One pass over the
days, each vectorised over its eligible ALTs and reading closes as known on that day, so a row
cannot see a later one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.basket import (
    Exclusion,
    Screen,
    cap_weights,
    largest_volumes,
    screen,
    simple_returns,
)
from majors_alts_monitor.betas import fit_betas
from majors_alts_monitor.config import MonitorConfig, UniverseConfig
from majors_alts_monitor.hedge import CAP_NAMES, GROSS_NAME, Hedge, Matrix, hedge_exposure
from majors_alts_monitor.types import Bools, Floats, Market

Codes = npt.NDArray[np.int8]

LIMIT_NAMES: Final = (*CAP_NAMES, GROSS_NAME)
"""Bit i of ``Books.binding`` stands for the i-th of these."""


class NoBook(IntEnum):
    """Why a day has no book; ``HAS_BOOK`` has one."""

    HAS_BOOK = 0
    NO_BASKET = 1
    NO_COVARIANCE = 2

    @property
    def reason(self) -> str:
        """The name used in reports; empty for a day with a book."""
        return "" if self is NoBook.HAS_BOOK else self.name.lower()


@dataclass(frozen=True)
class Books:
    """Unscaled neutral books, one for each of ``rows`` of a ``Market``.

    First axis: position in ``rows``. Second axis of (n_rows, n_assets): column of the market.
    """

    rows: range
    dates: pd.DatetimeIndex
    assets: pd.Index[str]
    weights: Floats
    """(n_rows, n_assets): fractions of NAV, alts negative, majors positive; 0 without a book."""
    exclusion: Codes
    """(n_rows, n_assets): an ``Exclusion``; majors and whoever is not eligible are INELIGIBLE."""
    rank: npt.NDArray[np.int16]
    """(n_rows, n_assets): by volume among those that pass the filters, from 1; 0: no rank."""
    volatility: Floats
    """(n_rows, n_assets): annualised, of eligible ALTs; NaN without the full window."""
    betas: Floats
    """(n_rows, n_assets, 2): of every ALT that passes the filters, on days with a book; the majors'
    own are (1, 0) and (0, 1); NaN elsewhere."""
    is_prior: Bools
    """(n_rows, n_assets): the beta is the prior, for want of history."""
    prior: Floats
    """(n_rows, 2), NaN without a book."""
    residual: Floats
    """(n_rows, 2): beta left over to BTC and ETH."""
    gross: Floats
    """(n_rows,): sum of absolute weights."""
    alt_scale: Floats
    """(n_rows,): below 1 where a limit scaled the ALT leg."""
    binding: npt.NDArray[np.uint8]
    """(n_rows,): bits in the order of ``LIMIT_NAMES``."""
    covariance_days: npt.NDArray[np.int16]
    """(n_rows,): joint returns behind the majors' covariance; below the window some are missing."""
    no_book: Codes
    """(n_rows,): a ``NoBook``."""

    @property
    def has_book(self) -> Bools:
        """(n_rows,): True where the day has a book."""
        return np.asarray(self.no_book == NoBook.HAS_BOOK)

    def limits(self, position: int) -> tuple[str, ...]:
        """Return the names of the limits that shaped the book at ``position``."""
        bits = int(self.binding[position])
        return tuple(name for i, name in enumerate(LIMIT_NAMES) if bits >> i & 1)

    def no_book_reason(self, position: int) -> str:
        """Return why there is no book at ``position``, or an empty string."""
        return NoBook(int(self.no_book[position])).reason

    def excluded(self, position: int) -> dict[str, str]:
        """Return asset_id -> reason of the eligible ALTs outside the basket, alphabetically."""
        codes = self.exclusion[position]
        outside = np.flatnonzero((codes != Exclusion.MEMBER) & (codes != Exclusion.INELIGIBLE))
        return {str(self.assets[int(i)]): Exclusion(int(codes[i])).reason for i in outside}

    def basket(self, position: int) -> list[str]:
        """Return the members at ``position``, largest volume first."""
        members = np.flatnonzero(self.exclusion[position] == Exclusion.MEMBER)
        ordered = members[np.argsort(self.rank[position, members])]
        return [str(name) for name in self.assets[ordered]]


def propose_books(market: Market, config: MonitorConfig, rows: range | None = None) -> Books:
    """Return the unscaled neutral book of each row, and why each eligible ALT is in or out.

    Parameters
    ----------
    market : Market
        Row ``t`` reads nothing later than ``t``.
    config : MonitorConfig
        ``universe`` and ``beta`` are used.
    rows : range, optional
        Rows wanted, step 1; default all.
    """
    rows = range(len(market.dates)) if rows is None else rows
    books = _empty_books(market, rows)
    window = closes_needed(config)
    for position, row in enumerate(rows):
        _propose(books, position, market, row, market.closes_as_known(row, window), config)
    return books


def apply_scale(weights: Floats, scale: float, universe: UniverseConfig) -> tuple[Floats, float]:
    """Return a book times ``scale``, and the scale used: above 1 it is cut until the caps hold.

    The caps are ``major_cap`` on each long position (only majors are long) and ``gross_cap`` on the
    sum of absolute weights. The cap of an ALT is itself a multiple of the scale and holds anyway.

    Parameters
    ----------
    weights : array of shape (n_assets,)
        A book of ``propose_books``, fractions of NAV.
    scale : float
        Not negative.
    universe : UniverseConfig
        The caps.

    Examples
    --------
    With a gross of 0.75 under a cap of 1, no more than 4/3 fits:

    >>> from types import SimpleNamespace
    >>> caps = SimpleNamespace(major_cap=0.75, gross_cap=1.0)
    >>> apply_scale(np.array([0.25, 0.125, -0.375]), 0.5, caps)[0]
    array([ 0.125 ,  0.0625, -0.1875])
    >>> round(apply_scale(np.array([0.25, 0.125, -0.375]), 2.0, caps)[1], 6)
    1.333333
    """
    used = min(scale, scale_limit(weights, universe)) if scale > 1 else scale
    return weights * used, used


def scale_limit(weights: Floats, universe: UniverseConfig) -> float:
    """Return the largest scale at which the caps of ``apply_scale`` hold, never below 1.

    Infinite for an empty book.
    """
    gross = math.fsum(np.abs(weights))
    longest = max(float(weights.max(initial=0.0)), 0.0)
    by_gross = universe.gross_cap / gross if gross > 0 else math.inf
    by_major = universe.major_cap / longest if longest > 0 else math.inf
    # A book fits at scale 1 by construction; rounding must not say otherwise.
    return max(1.0, min(by_gross, by_major))


def closes_needed(config: MonitorConfig) -> int:
    """Return how many closes a day needs: one more than the longest window of returns."""
    selection = config.universe.alt_selection
    return 1 + max(
        selection.volatility_lookback_days,
        selection.correlation_lookback_days,
        selection.momentum_lookback_days,
        config.beta.lookback_days,
    )


def _empty_books(market: Market, rows: range) -> Books:
    shape = (len(rows), len(market.assets))
    return Books(
        rows=rows,
        dates=market.dates[rows.start : rows.stop],
        assets=market.assets,
        weights=np.zeros(shape),
        exclusion=np.full(shape, Exclusion.INELIGIBLE, dtype=np.int8),
        rank=np.zeros(shape, dtype=np.int16),
        volatility=np.full(shape, np.nan),
        betas=np.full((*shape, 2), np.nan),
        is_prior=np.zeros(shape, dtype=bool),
        prior=np.full((len(rows), 2), np.nan),
        residual=np.zeros((len(rows), 2)),
        gross=np.zeros(len(rows)),
        alt_scale=np.ones(len(rows)),
        binding=np.zeros(len(rows), dtype=np.uint8),
        covariance_days=np.zeros(len(rows), dtype=np.int16),
        no_book=np.zeros(len(rows), dtype=np.int8),
    )


def _propose(
    books: Books, position: int, market: Market, row: int, closes: Floats, config: MonitorConfig
) -> None:
    """Fill one position of ``books``; ``closes`` has shape (window, n_assets)."""
    universe, days = config.universe, config.beta.lookback_days
    candidates = np.flatnonzero(market.is_eligible[row] & market.is_alt)
    majors = np.ascontiguousarray(closes[:, list(market.major_columns)].T)
    alts = np.ascontiguousarray(closes[:, candidates].T)
    screened = screen(alts, majors, universe.alt_selection)
    volumes = market.volume_median_7d_usd[row, candidates]
    members = _select(books, position, candidates, screened, volumes, universe)

    covariance, books.covariance_days[position] = _covariance(majors, days)
    if members.size < universe.min_names:
        books.no_book[position] = NoBook.NO_BASKET
        return
    if covariance is None:
        books.no_book[position] = NoBook.NO_COVARIANCE
        return

    passing = np.flatnonzero(screened.passes)
    log_returns = _log_returns(alts[passing, -days - 1 :]), _log_returns(majors[:, -days - 1 :])
    fit = fit_betas(*log_returns, config.beta)
    columns = list(market.major_columns)
    books.betas[position, candidates[passing]] = fit.betas
    books.betas[position, columns] = np.eye(2)
    books.is_prior[position, candidates[passing]] = fit.is_prior
    books.prior[position] = fit.prior

    leg = -universe.alt_gross * _shares(screened.volatility[members], universe)
    hedge = _hedge(leg, books.betas[position, candidates[members]], covariance, universe)
    books.weights[position, candidates[members]] = hedge.alt_scale * leg
    books.weights[position, columns] = hedge.weights
    books.residual[position] = hedge.residual
    books.gross[position] = hedge.gross
    books.alt_scale[position] = hedge.alt_scale
    books.binding[position] = sum(1 << LIMIT_NAMES.index(name) for name in hedge.binding)


def _select(
    books: Books,
    position: int,
    candidates: npt.NDArray[np.int64],
    screened: Screen,
    volumes: Floats,
    universe: UniverseConfig,
) -> npt.NDArray[np.int64]:
    """Record codes and ranks, and return the members' places among the candidates.

    They come in alphabetical order, in which sums over the basket are taken.
    """
    passing = np.flatnonzero(screened.passes)
    ranked = passing[largest_volumes(volumes[passing], passing.size)]
    code = screened.code.copy()
    code[ranked[universe.basket_size :]] = Exclusion.RANK
    books.exclusion[position, candidates] = code
    books.volatility[position, candidates] = screened.volatility
    books.rank[position, candidates[ranked]] = np.arange(1, ranked.size + 1)
    return np.sort(ranked[: universe.basket_size])


def _shares(volatility: Floats, universe: UniverseConfig) -> Floats:
    is_inverse = universe.alt_selection.weighting == "inverse_vol"
    raw = 1 / volatility if is_inverse else np.ones_like(volatility)
    return cap_weights(raw, universe.per_name_cap)


def _hedge(leg: Floats, betas: Floats, covariance: Matrix, universe: UniverseConfig) -> Hedge:
    return hedge_exposure(
        (math.fsum(leg * betas[:, 0]), math.fsum(leg * betas[:, 1])),
        net=math.fsum(leg),
        gross=math.fsum(np.abs(leg)),
        covariance=lambda: covariance,
        caps=(universe.major_cap, universe.major_cap),
        gross_cap=universe.gross_cap,
        mode=universe.neutrality_mode,
    )


def _log_returns(closes: Floats) -> Floats:
    return np.log(np.ascontiguousarray(closes[:, 1:] / closes[:, :-1]))


def _covariance(majors: Floats, days: int) -> tuple[Matrix | None, int]:
    """Return the sample covariance of the majors' simple returns, and the joint days behind it.

    The window is that of the betas. Days that lack either return are left out; with fewer than two
    left there is no covariance.
    """
    returns = simple_returns(majors[:, -days - 1 :])
    joint = returns[:, np.isfinite(returns).all(axis=0)]
    n = joint.shape[1]
    if n < 2:
        return None, n
    btc, eth = joint[0] - joint[0].sum() / n, joint[1] - joint[1].sum() / n
    products: list[Any] = [(btc * btc).sum(), (btc * eth).sum(), (eth * eth).sum()]
    s11, s12, s22 = (float(p) / (n - 1) for p in products)
    return (s11, s12, s22), n
