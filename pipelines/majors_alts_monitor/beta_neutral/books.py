"""Propose the neutral book of every day, before the regime scales it.

Data flow: ``Market -> screen -> rank -> shares -> betas -> hedge -> Books``. One pass over the
days, each vectorised over its eligible ALTs and reading closes as known on that day, so a row
cannot see a later one.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.beta_neutral.basket import (
    Exclusion,
    Screen,
    cap_weights,
    largest_volumes,
    screen,
    simple_returns,
)
from majors_alts_monitor.beta_neutral.betas import BetaFit, fit_betas
from majors_alts_monitor.beta_neutral.hedge import (
    CAP_NAMES,
    GROSS_NAME,
    Hedge,
    Matrix,
    hedge_exposure,
)
from majors_alts_monitor.config import MonitorConfig, UniverseConfig
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


@dataclass(frozen=True, slots=True)
class Proposal:
    """The book of one day, over its candidates: the eligible ALTs in alphabetical order."""

    code: Codes
    """(n,): an ``Exclusion``."""
    rank: npt.NDArray[np.int16]
    volatility: Floats
    covariance_days: int
    no_book: NoBook
    passing: npt.NDArray[np.intp]
    """Places of those that pass the filters; the three below are None without a book."""
    members: npt.NDArray[np.intp]
    fit: BetaFit | None
    weights: Floats | None
    """(n_members,): fractions of NAV."""
    hedge: Hedge | None


Memory = dict[bytes, Proposal]
"""Proposals under one configuration by the digest of all their inputs."""


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


def propose_books(
    market: Market,
    config: MonitorConfig,
    rows: range | None = None,
    memory: Memory | None = None,
) -> Books:
    """Return the unscaled neutral book of each row, and why each eligible ALT is in or out.

    Parameters
    ----------
    market : Market
        Row ``t`` reads nothing later than ``t``.
    config : MonitorConfig
        ``universe`` and ``beta`` are used.
    rows : range, optional
        Rows wanted, step 1; default all.
    memory : dict, optional
        Days worked out before under the same ``config``; new ones are added. A day whose every
        input has the same bytes has the same book, so the result does not depend on it.
    """
    rows = range(len(market.dates)) if rows is None else rows
    books = _empty_books(market, rows)
    window, majors = closes_needed(config), list(market.major_columns)
    memory = {} if memory is None else memory
    for position, row in enumerate(rows):
        candidates = np.flatnonzero(market.is_eligible[row] & market.is_alt)
        closes = market.closes_as_known(row, window)
        inputs = (
            np.ascontiguousarray(closes[:, candidates].T),
            np.ascontiguousarray(closes[:, majors].T),
            market.volume_median_7d_usd[row, candidates],
        )
        key = hashlib.sha256(b"".join(array.tobytes() for array in inputs)).digest()
        if key not in memory:
            memory[key] = _propose(*inputs, config)
        _record(books, position, candidates, majors, memory[key])
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


def _propose(alts: Floats, majors: Floats, volumes: Floats, config: MonitorConfig) -> Proposal:
    """Return the book of a day.

    Parameters
    ----------
    alts, majors : arrays of shape (n, window) and (2, window)
        Closes of the candidates and of BTC and ETH as known on the day, oldest first.
    volumes : array of shape (n,)
        Medians of seven days, USD.
    config : MonitorConfig
        ``universe`` and ``beta`` are used.
    """
    universe, days = config.universe, config.beta.lookback_days
    screened = screen(alts, majors, universe.alt_selection)
    passing = np.flatnonzero(screened.passes)
    code, rank, members = _select(screened, passing, volumes, universe.basket_size)
    covariance, covariance_days = _covariance(majors, days)
    no_book = NoBook.NO_COVARIANCE if covariance is None else NoBook.HAS_BOOK
    no_book = NoBook.NO_BASKET if members.size < universe.min_names else no_book
    fit, weights, hedge = None, None, None
    if covariance is not None and no_book is NoBook.HAS_BOOK:
        fit = fit_betas(
            _log_returns(alts[passing, -days - 1 :]),
            _log_returns(majors[:, -days - 1 :]),
            config.beta,
        )
        leg = -universe.alt_gross * _shares(screened.volatility[members], universe)
        hedge = _hedge(leg, fit.betas[np.searchsorted(passing, members)], covariance, universe)
        weights = hedge.alt_scale * leg
    volatility = screened.volatility
    return Proposal(
        code, rank, volatility, covariance_days, no_book, passing, members, fit, weights, hedge
    )


def _record(
    books: Books,
    position: int,
    candidates: npt.NDArray[np.intp],
    majors: list[int],
    proposal: Proposal,
) -> None:
    """Fill one position of ``books`` with the proposal over its ``candidates``."""
    books.exclusion[position, candidates] = proposal.code
    books.rank[position, candidates] = proposal.rank
    books.volatility[position, candidates] = proposal.volatility
    books.covariance_days[position] = proposal.covariance_days
    books.no_book[position] = proposal.no_book
    fit, hedge = proposal.fit, proposal.hedge
    if fit is None or hedge is None:
        return
    passing = candidates[proposal.passing]
    books.betas[position, passing] = fit.betas
    books.betas[position, majors] = np.eye(2)
    books.is_prior[position, passing] = fit.is_prior
    books.prior[position] = fit.prior
    books.weights[position, candidates[proposal.members]] = proposal.weights
    books.weights[position, majors] = hedge.weights
    books.residual[position] = hedge.residual
    books.gross[position] = hedge.gross
    books.alt_scale[position] = hedge.alt_scale
    books.binding[position] = sum(1 << LIMIT_NAMES.index(name) for name in hedge.binding)


def _select(
    screened: Screen, passing: npt.NDArray[np.intp], volumes: Floats, basket_size: int
) -> tuple[Codes, npt.NDArray[np.int16], npt.NDArray[np.intp]]:
    """Return codes and ranks of the candidates, and the members' places among them.

    Members come in alphabetical order, in which sums over the basket are taken.
    """
    ranked = passing[largest_volumes(volumes[passing], passing.size)]
    code = screened.code.copy()
    code[ranked[basket_size:]] = Exclusion.RANK
    rank = np.zeros(len(code), dtype=np.int16)
    rank[ranked] = np.arange(1, ranked.size + 1)
    return code, rank, np.sort(ranked[:basket_size])


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
