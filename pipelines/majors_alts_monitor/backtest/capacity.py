"""How much money fits: trades held to a share of the volume, and days to leave each name.

Flow: ``trades, volume -> replay_capped -> Worked``; ``positions, volume -> days_to_exit``. What a
day's volume leaves undone is carried: it is traded on the next closes, until it is done or the
next decision asks for something else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from majors_alts_monitor.backtest.engine import (
    C_WEIGHT_OPEN,
    C_WEIGHT_TARGET,
    NET_EXPOSURE,
    R_LS_NET,
    Book,
    Tape,
    Terms,
)
from majors_alts_monitor.backtest.retrade import Trades
from majors_alts_monitor.types import PARTICIPATION, Floats


@dataclass(frozen=True, slots=True)
class Worked:
    """The path of a book whose trades are held to a share of the volume; one row a day."""

    returns: Floats
    """(n_days,): net, fractions of NAV."""
    weights: Floats
    """(n_days, n_assets): held into the day."""
    net_exposure: Floats
    """(n_days,): held into the day. Majors fill sooner than ALTs, so it leaves the plan's."""
    undone: Floats
    """(n_days,): sum of what is left to trade after the close, fractions of NAV."""
    days_to_fill: int
    """Closes that the slowest order took, or has taken so far; 1 without a cut."""


def replay_capped(tape: Tape, terms: Terms, trades: Trades, participation: float) -> Worked:
    """Return the path of ``trades`` when no name's trade exceeds a share of its volume.

    A decision stays in work, name by name, until its weight is reached; a later decision replaces
    it. A name without a price is not traded: a new order is dropped, as in the backtest, one in
    work waits. Where the volume is unknown nothing is cut, as no impact is charged there. Sizes
    are before costs, whatever ``terms`` say.

    Parameters
    ----------
    tape : Tape
        With ``adv_usd``, the volume known before each day.
    terms : Terms
        Costs; ``account_usd`` says how much a weight is.
    trades : sequence of array of shape (n_assets,) or None
        Weights wanted at each close, as ``retrade.trades_of``; None decides nothing.
    participation : float
        Largest part of a day's volume that a trade may be.

    Examples
    --------
    A short of 50 of 100 USD, 20 a day: three closes.

    >>> tape = Tape.of(["SOL"], np.zeros((4, 1)), adv_usd=np.full((4, 1), 200.0))
    >>> free = Terms.of(fee_bps=0.0, slippage_bps=0.0, account_usd=100.0)
    >>> worked = replay_capped(tape, free, [np.array([-0.5]), None, None, None], 0.1)
    >>> worked.weights[:, 0].round(3).tolist(), worked.undone.round(3).tolist()
    ([0.0, -0.2, -0.4, -0.5], [0.3, 0.1, 0.0, 0.0])
    >>> worked.days_to_fill
    3
    """
    book = Book(tape, terms._replace(is_post_cost=False), nav=1.0)
    shape = tape.returns.shape
    worked = Worked(np.empty(shape[0]), np.empty(shape), np.empty(shape[0]), np.zeros(shape[0]), 1)
    order = np.full(shape[1], np.nan)
    closes = np.zeros(shape[1], dtype=np.int64)
    slowest = 1
    for row, targets in enumerate(trades):
        was_in_work = ~np.isnan(order)
        order = order if targets is None else targets.copy()
        drifted, nav_usd = _before_trading(book, tape, row, terms.account_usd)
        reach = np.nan_to_num(participation * tape.adv_usd[row] / nav_usd, nan=np.inf)
        is_cut = np.abs(order - drifted) > reach
        book.advance(row, np.where(is_cut, drifted + np.copysign(reach, order - drifted), order))
        has_price = ~np.isnan(tape.returns[row])
        order = np.where(np.where(has_price, is_cut, was_in_work), order, np.nan)
        closes = np.where(np.isnan(order), 0, closes + 1)
        slowest = max(slowest, int(closes.max(initial=0)) + 1)
        worked.returns[row] = book.totals[R_LS_NET]
        worked.weights[row] = book.cells[C_WEIGHT_OPEN]
        worked.net_exposure[row] = book.totals[NET_EXPOSURE]
        worked.undone[row] = np.nansum(np.abs(order - book.cells[C_WEIGHT_TARGET]))
    return replace(worked, days_to_fill=slowest)


def _before_trading(book: Book, tape: Tape, row: int, account_usd: float) -> tuple[Floats, float]:
    """Return the weights and the NAV in USD after the day's returns and funding."""
    returns, rates = np.nan_to_num(tape.returns[row]), np.nan_to_num(tape.funding[row])
    growth = 1 + float(np.sum(book.held * (returns - rates)))
    return book.held * (1 + returns) / growth, book.nav * growth * account_usd


def days_to_exit(
    positions: pd.DataFrame, adv_usd: pd.Series[float], account_usd: float
) -> pd.DataFrame:
    """Return per name how long its largest and its usual position take to leave.

    Parameters
    ----------
    positions : DataFrame
        Columns asset_id and weight_open (fraction of NAV), one row per day and asset.
    adv_usd : Series of shape (n_positions,)
        Average daily volume behind each row, USD; NaN where unknown.
    account_usd : float
        What the NAV is worth.

    Returns
    -------
    DataFrame
        asset_id, n_days held, median_days_to_exit, max_days_to_exit; slowest first. Days are
        position / (participation x volume); null where no volume is known.

    Examples
    --------
    1 % of 100 million is 1 million; a tenth of 5 million a day takes 2 days.

    >>> rows = pd.DataFrame({"asset_id": ["SOL"], "weight_open": [-0.01]})
    >>> days_to_exit(rows, pd.Series([5e6]), 1e8)["max_days_to_exit"].tolist()
    [2.0]
    """
    known = adv_usd.where(adv_usd > 0)
    days = positions["weight_open"].abs() * account_usd / (PARTICIPATION * known)
    is_held = positions["weight_open"] != 0
    grouped = days[is_held].groupby(positions.loc[is_held, "asset_id"].astype(str))
    table = pd.DataFrame(
        {
            "n_days": grouped.size(),
            "median_days_to_exit": grouped.median(),
            "max_days_to_exit": grouped.max(),
        }
    )
    ordered = table.sort_values("max_days_to_exit", ascending=False, kind="stable")
    return ordered.rename_axis("asset_id").reset_index()


def volume_behind(
    positions: pd.DataFrame, adv_usd: Floats, dates: pd.DatetimeIndex, assets: pd.Index[str]
) -> pd.Series[float]:
    """Return the cell of ``adv_usd`` (n_days, n_assets) behind each row of ``positions``."""
    rows = dates.get_indexer(pd.DatetimeIndex(positions["date"]))
    columns = assets.get_indexer(pd.Index(positions["asset_id"]))
    return pd.Series(np.asarray(adv_usd[rows, columns]), index=positions.index)
