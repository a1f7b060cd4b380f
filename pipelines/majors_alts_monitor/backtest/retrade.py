"""The trades that were made, made again on another tape: stress without a second decision.

Flow: ``Strategy -> trades -> replay on a changed market -> daily returns``. The book trades what
it traded, whatever the stress did to it, until its next ordinary trade puts it right.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.backtest.engine import C_WEIGHT_OPEN, R_LS_NET, Book, Tape, Terms
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.types import Floats, Market

Trades = Sequence[Floats | None]


def trades_of(strategy: Strategy, lag: int) -> list[Floats | None]:
    """Return the targets traded at the close of each day; None where the book was held."""
    decisions = strategy.walk.decisions
    traded = strategy.walk.daily["rebalanced"].to_numpy()
    return [
        decisions[row - lag].targets if traded[row] and row >= lag else None
        for row in range(len(decisions))
    ]


def replay(tape: Tape, terms: Terms, trades: Trades) -> tuple[Floats, Floats]:
    """Return the net return of each day (n_days,) and the weights held into it (n_days, n_assets).

    A NaN inside a row of targets keeps what there is of the asset.
    """
    book = Book(tape, terms, nav=1.0)
    returns = np.empty(len(trades))
    weights = np.empty((len(trades), len(tape.legs)))
    for row, targets in enumerate(trades):
        book.advance(row, targets)
        returns[row] = book.totals[R_LS_NET]
        weights[row] = book.cells[C_WEIGHT_OPEN]
    return returns, weights


def without_shorts(trades: Trades, rows: Collection[int], is_alt: npt.NDArray[np.bool_]) -> Trades:
    """Return the trades with every ALT closed at the close of ``rows`` while majors stay.

    Examples
    --------
    >>> forced = without_shorts([None, None], [1], np.array([False, True]))
    >>> forced[0], forced[1].tolist()
    (None, [nan, 0.0])
    """
    closed = np.where(is_alt, 0.0, np.nan)
    wanted = set(rows)
    return [closed if row in wanted else targets for row, targets in enumerate(trades)]


def gapped(market: Market, rows: Collection[int], gap: float) -> Market:
    """Return the market whose ALTs close ``gap`` higher on ``rows``: shorts are bought back there.

    The jump stays in the return of the day; whoever was stopped out does not get it back.
    """
    returns = market.return_since_last_price.copy()
    cells = np.ix_(np.array(sorted(rows), dtype=np.int64), np.flatnonzero(market.is_alt))
    returns[cells] = (1 + returns[cells]) * (1 + gap) - 1
    return replace(market, return_since_last_price=returns)


def with_funding_times(market: Market, rows: Collection[int], factor: float) -> Market:
    """Return the market whose funding is paid at ``factor`` times by the short ALTs on ``rows``.

    A spike against the book: the sign is turned so that shorts pay.
    """
    rates = market.funding_rate_1d.copy()
    cells = np.ix_(np.array(sorted(rows), dtype=np.int64), np.flatnonzero(market.is_alt))
    rates[cells] = -np.abs(rates[cells]) * factor
    return replace(market, funding_rate_1d=rates)


def worst_squeezes(daily: pd.DataFrame, first: int, n: int) -> list[int]:
    """Return the rows from ``first`` on at which the shorts gained most, in order of time.

    Those are the days on which an exchange closes winning shorts against losing longs.
    """
    gains = daily["pnl_alts"].to_numpy()[first:]
    order = np.argsort(-gains, kind="stable")[:n]
    return sorted(first + int(i) for i in order if gains[i] > 0)
