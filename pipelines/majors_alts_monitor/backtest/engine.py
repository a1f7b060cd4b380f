"""The book between two closes: advance it a day at a time and keep what it did.

Flow: ``Tape -> Book.advance, once a day -> totals, cells -> daily_frame, PositionLog``. The
strategy's walk uses this; what happens inside a day is ``_day.settle_and_trade``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from majors_alts_monitor.backtest._day import (
    ALT_GROSS,
    ALT_TURNOVER,
    C_ACTION,
    C_DRIFTED,
    C_FEE,
    C_IMPACT,
    C_PNL_FUNDING,
    C_PNL_PRICE,
    C_SLIPPAGE,
    C_TRADED,
    C_WEIGHT_OPEN,
    C_WEIGHT_TARGET,
    CELLS,
    CLOSE,
    COUNT_FORCED_CLOSES,
    COUNT_MISSING_FUNDING,
    COUNT_UNKNOWN_IMPACT,
    FEES,
    FUNDING_ALTS,
    FUNDING_MAJORS,
    IMPACT,
    KEEP,
    LEGS,
    MAJOR_GROSS,
    MAJOR_TURNOVER,
    NAV,
    NET_EXPOSURE,
    NOTIONAL_MISSING_FUNDING,
    PNL_ALTS,
    PNL_BTC,
    PNL_ETH,
    R_LS_GROSS,
    R_LS_NET,
    REBALANCED,
    RUIN,
    SLIPPAGE,
    TOTAL_GROSS,
    TOTALS,
    TRADE,
    Ints,
    Terms,
    settle_and_trade,
)
from majors_alts_monitor.errors import RuinError
from majors_alts_monitor.types import MAJORS, Bools, Floats

__all__ = [
    "ALT_GROSS",
    "ALT_TURNOVER",
    "CELLS",
    "CLOSE",
    "COUNT_FORCED_CLOSES",
    "COUNT_MISSING_FUNDING",
    "COUNT_UNKNOWN_IMPACT",
    "C_ACTION",
    "C_DRIFTED",
    "C_FEE",
    "C_IMPACT",
    "C_PNL_FUNDING",
    "C_PNL_PRICE",
    "C_SLIPPAGE",
    "C_TRADED",
    "C_WEIGHT_OPEN",
    "C_WEIGHT_TARGET",
    "FEES",
    "FUNDING_ALTS",
    "FUNDING_MAJORS",
    "IMPACT",
    "KEEP",
    "LEGS",
    "MAJOR_GROSS",
    "MAJOR_TURNOVER",
    "NAV",
    "NET_EXPOSURE",
    "NOTIONAL_MISSING_FUNDING",
    "PNL_ALTS",
    "PNL_BTC",
    "PNL_ETH",
    "REBALANCED",
    "RUIN",
    "R_LS_GROSS",
    "R_LS_NET",
    "SLIPPAGE",
    "TOTALS",
    "TOTAL_GROSS",
    "TRADE",
    "Book",
    "Ints",
    "PositionLog",
    "Tape",
    "Terms",
    "daily_frame",
    "legs_of",
    "settle_and_trade",
]


@dataclass(frozen=True, slots=True)
class Tape:
    """What the market did, one row a day: arrays of shape (n_days, n_assets), and the legs."""

    returns: Floats
    """Close over the newest earlier close minus 1; NaN without a close."""
    funding: Floats
    """The day's rate on the book held into it; NaN when unknown."""
    adv_usd: Floats
    sigma: Floats
    """Volume and daily volatility known before the day, for impact; NaN when unknown."""
    is_delisted: Bools
    legs: Ints
    """Shape (n_assets,): 0 ALT, 1 BTC, 2 ETH."""

    @classmethod
    def of(
        cls,
        assets: Iterable[str],
        returns: Floats,
        *,
        funding: Floats | None = None,
        adv_usd: Floats | None = None,
        sigma: Floats | None = None,
        is_delisted: Bools | None = None,
    ) -> Tape:
        """Return a tape; without funding nothing is charged, without volume impact is unknown."""
        shape = returns.shape
        return cls(
            _own(returns),
            np.zeros(shape) if funding is None else _own(funding),
            np.full(shape, np.nan) if adv_usd is None else _own(adv_usd),
            np.full(shape, np.nan) if sigma is None else _own(sigma),
            np.zeros(shape, dtype=np.bool_)
            if is_delisted is None
            else np.array(is_delisted, dtype=np.bool_, order="C"),
            legs_of(assets),
        )


def _own(values: Floats) -> Floats:
    # A read-only or strided array would compile a second version of the core.
    return np.array(values, dtype=np.float64, order="C")


def legs_of(assets: Iterable[str]) -> Ints:
    """Return 0 for every ALT, 1 for BTC and 2 for ETH, shape (n_assets,).

    Examples
    --------
    >>> legs_of(["BTC", "ETH", "SOL"]).tolist()
    [1, 2, 0]
    """
    return np.array([1 + MAJORS.index(a) if a in MAJORS else 0 for a in assets], dtype=np.int64)


class Book:
    """A book that is advanced one day at a time.

    Parameters
    ----------
    tape : Tape
        The market.
    terms : Terms
        Costs and gap rules.
    nav : float
        NAV before the first day.

    Attributes
    ----------
    nav : float
        NAV after the last day advanced.
    held : array of shape (n_assets,)
        Weights after its close, fractions of ``nav``.
    age : int array of shape (n_assets,)
        Days since each asset last had a price.
    totals : array of shape (len(TOTALS),)
        That day added up; index with ``R_LS_NET`` and its neighbours.
    cells : array of shape (len(CELLS), n_assets)
        That day per asset; index with ``C_TRADED`` and its neighbours.

    Examples
    --------
    >>> tape = Tape.of(["SOL"], np.array([[0.0], [0.1]]))
    >>> book = Book(tape, Terms.of(fee_bps=10.0, slippage_bps=0.0), nav=1.0)
    >>> book.advance(0, np.array([0.5]))
    >>> book.advance(1)
    >>> round(book.nav, 6)
    1.0495
    """

    def __init__(self, tape: Tape, terms: Terms, nav: float) -> None:
        n_assets = len(tape.legs)
        self._tape = tape
        self._terms = terms
        self._hold = np.full(n_assets, np.nan)
        self.nav = float(nav)
        self.held = np.zeros(n_assets)
        self.age = np.zeros(n_assets, dtype=np.int64)
        self.totals = np.zeros(len(TOTALS))
        self.cells = np.zeros((len(CELLS), n_assets))

    def advance(self, row: int, targets: Floats | None = None) -> None:
        """Settle day ``row`` and trade to ``targets`` at its close; None holds.

        Parameters
        ----------
        row : int
            Row of the tape.
        targets : array of shape (n_assets,), optional
            Fractions of NAV; NaN keeps what there is of the asset.

        Raises
        ------
        RuinError
            If NAV falls to 0 or below: the path ends there.
        """
        tape = self._tape
        self.nav = settle_and_trade(
            self.nav,
            self.held,
            self.age,
            tape.returns[row],
            tape.funding[row],
            self._hold if targets is None else targets,
            tape.adv_usd[row],
            tape.sigma[row],
            tape.is_delisted[row],
            tape.legs,
            self._terms,
            self.cells,
            self.totals,
        )
        if self.nav <= 0.0:
            raise RuinError(f"row {row}: {RUIN}")


class PositionLog:
    """Collects the cells of the assets that were held, wanted or traded, day by day."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._rows: list[Ints] = []
        self._columns: list[Ints] = []
        self._cells: list[Floats] = []

    def add(self, row: int, cells: Floats) -> None:
        """Keep what day ``row`` did; ``cells`` as ``Book.cells``."""
        is_seen = (cells[C_WEIGHT_OPEN] != 0) | (cells[C_WEIGHT_TARGET] != 0)
        columns = np.flatnonzero(is_seen | (cells[C_TRADED] != 0))
        self._rows.append(np.full(columns.size, row))
        self._columns.append(columns)
        self._cells.append(cells[:, columns])

    def frame(self, dates: pd.Index, assets: pd.Index) -> pd.DataFrame:
        """Return one row per day and asset, columns of bt_positions without betas.

        ``return_1d`` is the return booked that day: over the whole gap when a price comes back,
        null without a price. ``funding_rate`` is null when unknown, and charged 0.
        """
        rows = np.concatenate([np.empty(0, np.int64), *self._rows])
        columns = np.concatenate([np.empty(0, np.int64), *self._columns])
        cells = np.concatenate([np.empty((len(CELLS), 0)), *self._cells], axis=1)
        returns = self._tape.returns[rows, columns]
        return pd.DataFrame(
            {
                "date": dates[rows],
                "asset_id": assets[columns],
                "leg": np.asarray(LEGS, dtype=object)[self._tape.legs[columns]],
                "weight_open": cells[C_WEIGHT_OPEN],
                "return_1d": returns,
                "funding_rate": self._tape.funding[rows, columns],
                "pnl_price": cells[C_PNL_PRICE],
                "pnl_funding": cells[C_PNL_FUNDING],
                "weight_target": cells[C_WEIGHT_TARGET],
                "traded": cells[C_TRADED],
                "fee": cells[C_FEE],
                "slippage": cells[C_SLIPPAGE],
                "impact": cells[C_IMPACT],
                "stale_price": np.isnan(returns),
            }
        )


def daily_frame(dates: pd.Index, totals: Floats) -> pd.DataFrame:
    """Return ``totals`` (n_days, len(TOTALS)) as a frame with a ``date`` column, indexed by day."""
    frame = pd.DataFrame(totals, index=pd.Index(dates, name=None), columns=list(TOTALS))
    frame.insert(0, "date", dates)
    frame["rebalanced"] = frame["rebalanced"] > 0
    counts = [name for name in TOTALS if name.startswith("count_")]
    return frame.astype(dict.fromkeys(counts, "int64"))
