"""The walk through time: settle, trade what was decided, remember, decide again.

Flow: ``Market, Timeline arrays, Books -> walk -> Walk``. Every day runs the compiled day of
``engine.py`` and then ``decision.decide``; a decision of day ``t`` is executed at the close of
``t + lag`` and earns from the day after. The walk starts on the lake's first day with NAV 1.0,
whatever range is reported, so the book of a day never depends on ``--start``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.backtest.decision import (
    RISK_REASONS,
    Action,
    Decision,
    Outlook,
    State,
    decide,
    remember,
)
from majors_alts_monitor.backtest.engine import (
    C_WEIGHT_OPEN,
    FUNDING_ALTS,
    FUNDING_MAJORS,
    R_LS_GROSS,
    R_LS_NET,
    RUIN,
    Book,
    PositionLog,
    Tape,
    Terms,
    daily_frame,
)
from majors_alts_monitor.beta_neutral.books import Books, apply_scale
from majors_alts_monitor.beta_neutral.rich_objective import enrich_targets
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.errors import RuinError
from majors_alts_monitor.types import Bools, Floats, Market, Regime

ADV_DAYS: Final = 30
ADV_MIN_DAYS: Final = 7
SIGMA_DAYS: Final = 20
_EPOCH: Final = pd.Timestamp(0)


@dataclass(frozen=True, slots=True)
class Signals:
    """The regime's say on every day of the market; arrays of shape (n_days,)."""

    regime: tuple[Regime, ...]
    score: Floats
    """After the high-volatility gate."""
    is_gated: Bools
    high: Floats
    strong_high: Floats
    """Thresholds in force."""


@dataclass(frozen=True)
class Walk:
    """What happened on every day from the lake's first to ``asof``."""

    decisions: tuple[Decision, ...]
    """One a day."""
    states: tuple[State, ...]
    """After the close and the decision of each day."""
    daily: pd.DataFrame
    """One row a day: ``engine.TOTALS`` and the columns of bt_daily_pnl that the walk knows."""
    positions: pd.DataFrame
    """bt_positions over all days."""
    nav: Floats
    """(n_days,): after the close."""
    betas: Floats
    """(n_assets, 2): the estimates the last day's book was built on; NaN where never held."""
    carried: Carried
    """What the next day starts from."""


@dataclass(frozen=True)
class Carried:
    """All that one day hands to the next; arrays over the market's assets."""

    state: State
    nav: float
    age: npt.NDArray[np.int64]
    """(n_assets,): days since each asset last had a price."""
    betas: Floats
    """(n_assets, 2): the estimates the book was built on."""


def walk(market: Market, signals: Signals, books: Books, config: MonitorConfig) -> Walk:
    """Return the strategy's path; row ``t`` of every input is what ``t`` knew.

    Raises
    ------
    RuinError
        If the book loses all of its NAV, naming the day.
    """
    tape = market_tape(market, config)
    book = Book(tape, cost_terms(config), nav=1.0)
    walker = _Walker(market, signals, books, config, book, PositionLog(tape))
    rows = [walker.day(row) for row in range(len(market.dates))]
    daily = daily_frame(market.dates, np.array([row.totals for row in rows]))
    for name in ("regime_scale", "vol_scale", "position_scale", "exit_reason"):
        daily[name] = [getattr(row, name) for row in rows]
    daily["rebalanced"] = [row.is_rebalanced for row in rows]
    daily[["beta_btc", "beta_eth"]] = np.array([row.betas for row in rows])
    positions = walker.log.frame(market.dates, market.assets)
    positions[["beta_btc", "beta_eth"]] = _position_betas(positions, market, rows)
    return Walk(
        decisions=tuple(row.decision for row in rows),
        states=tuple(row.state for row in rows),
        daily=daily,
        positions=positions,
        nav=daily["nav"].to_numpy(),
        betas=rows[-1].traded_betas,
        carried=walker.carried(),
    )


def walk_on(
    market: Market, signals: Signals, books: Books, config: MonitorConfig, carried: Carried
) -> tuple[Decision, Carried]:
    """Return the decision of the market's last day, and what it hands on.

    The same day as ``walk`` runs, started from what the day before handed on instead of from the
    lake's first day; the two agree to the bit.
    """
    tape = market_tape(market, config)
    book = Book(tape, cost_terms(config), nav=carried.nav)
    book.held[:], book.age[:] = carried.state.weights, carried.age
    walker = _Walker(market, signals, books, config, book, PositionLog(tape), carried)
    day = walker.day(len(market.dates) - 1)
    return day.decision, walker.carried()


def cost_terms(config: MonitorConfig) -> Terms:
    """Return the engine's terms of the configured costs."""
    costs = config.costs
    return Terms.of(
        fee_bps=costs.fee_bps,
        slippage_bps=costs.slippage_bps,
        delist_penalty_bps=costs.delist_penalty_bps,
        impact_coefficient=costs.impact_coefficient,
        account_usd=config.execution.account_usd,
        max_stale_days=config.backtest.max_stale_days,
        sizing_basis=config.execution.sizing_basis,
    )


def market_tape(market: Market, config: MonitorConfig) -> Tape:
    """Return what the engine needs of the market; volume and volatility only for impact."""
    has_impact = config.costs.impact_coefficient > 0
    return Tape.of(
        market.assets,
        market.return_since_last_price,
        funding=market.funding_rate_1d if config.costs.funding_enabled else None,
        adv_usd=average_daily_volume(market) if has_impact else None,
        sigma=daily_volatility(market) if has_impact else None,
        is_delisted=market.is_delisted,
    )


def average_daily_volume(market: Market) -> Floats:
    """Return the mean volume of up to 30 days before each day, USD; NaN with fewer than 7.

    Perp volume on days it is known, else all volume; shape (n_days, n_assets).
    """
    known = np.where(np.isnan(market.perp_volume_usd), market.volume_usd, market.perp_volume_usd)
    total, count = np.zeros(known.shape), np.zeros(known.shape)
    for lagged in _days_before(known, ADV_DAYS):
        is_known = ~np.isnan(lagged)
        total += np.where(is_known, lagged, 0.0)
        count += is_known
    return np.where(count >= ADV_MIN_DAYS, total / np.maximum(count, 1), np.nan)


def daily_volatility(market: Market) -> Floats:
    """Return the sample deviation of the 20 daily returns before each day; NaN with a gap."""
    returns = list(_days_before(market.return_1d, SIGMA_DAYS))
    mean = sum(returns, np.zeros(market.return_1d.shape)) / SIGMA_DAYS
    squares = sum(((r - mean) ** 2 for r in returns), np.zeros(mean.shape))
    return np.asarray(np.sqrt(squares / (SIGMA_DAYS - 1)))


def _days_before(panel: Floats, days: int) -> Iterator[Floats]:
    """Yield the panel as it was 1, 2, ... days earlier; NaN before the first day."""
    for lag in range(1, days + 1):
        lagged = np.full(panel.shape, np.nan)
        lagged[lag:] = panel[:-lag]
        yield lagged


def _position_betas(positions: pd.DataFrame, market: Market, rows: list[_Day]) -> Floats:
    """Return the betas (n_positions, 2) behind each held weight; of a new one, the trade's.

    Positions are in the order of days.
    """
    days = market.dates.get_indexer(pd.DatetimeIndex(positions["date"]))
    columns = market.assets.get_indexer(pd.Index(positions["asset_id"]))
    is_held = positions["weight_open"].to_numpy() != 0
    bounds = np.searchsorted(days, np.arange(len(rows) + 1))
    betas = np.full((len(positions), 2), np.nan)
    for row, first, end in zip(rows, bounds, bounds[1:], strict=False):
        own = columns[first:end]
        held = is_held[first:end, None]
        betas[first:end] = np.where(held, row.held_betas[own], row.traded_betas[own])
    return betas


@dataclass(frozen=True, slots=True)
class _Day:
    """What one day leaves behind."""

    decision: Decision
    state: State
    totals: Floats
    betas: Floats
    """(2,): of the book held into the day."""
    held_betas: Floats
    traded_betas: Floats
    """(n_assets, 2): the book's estimates before and after the day's trade."""
    regime_scale: float
    vol_scale: float
    position_scale: float
    is_rebalanced: bool
    exit_reason: str


class _Walker:
    """Carries the book and the state from day to day."""

    def __init__(
        self,
        market: Market,
        signals: Signals,
        books: Books,
        config: MonitorConfig,
        book: Book,
        log: PositionLog,
        carried: Carried | None = None,
    ) -> None:
        self._market, self._signals, self._books = market, signals, books
        self._config, self._book, self.log = config, book, log
        self._lag = config.execution.lag_days
        self._state = carried.state if carried else State.flat(len(market.assets))
        self._betas = np.full((len(market.assets), 2), np.nan)
        self._betas[list(market.major_columns)] = np.eye(2)
        if carried:
            self._betas = carried.betas
        rich = config.universe.rich_objective
        self._rich = rich if rich is not None and rich.enabled else None
        self._adv_usd = average_daily_volume(market) if self._rich else None
        self._sigma = daily_volatility(market) if self._rich else None

    def carried(self) -> Carried:
        """Return what the day after the last one run starts from."""
        return Carried(self._state, self._book.nav, self._book.age.copy(), self._betas)

    def day(self, row: int) -> _Day:
        """Run one day and return what it leaves behind."""
        before = self._state
        outlook = self._outlook(row)
        if self._lag == 0:
            # The diagnostic without a lag decides at the close and fills at the same close.
            decision = self._decide(outlook, self._settled_without_trading(row, before))
            before = remember(before, decision, outlook)
        due = [d for d in before.pending if d.row + self._lag == row]
        trade = due[0] if due else None
        try:
            self._book.advance(row, None if trade is None else trade.targets)
        except RuinError as e:
            raise RuinError(f"{self._market.dates[row]:%Y-%m-%d}: {RUIN}") from e
        self.log.add(row, self._book.cells)

        held_betas = self._betas
        if trade is not None and trade.action is Action.REBALANCE:
            self._adopt_betas(trade)
        after = _after_close(before, row, trade, self._book, self._config)
        if self._lag > 0:
            decision = self._decide(outlook, after)
            after = remember(after, decision, outlook)
        self._state = after
        return self._leave(before, after, decision, trade, held_betas)

    def _decide(self, outlook: Outlook, state: State) -> Decision:
        """Return the day's decision; a rebalance minds its costs when the configuration says so."""
        decision = decide(outlook, state, self._config)
        is_new_book = decision.action is Action.REBALANCE and decision.reason != "take_profit"
        if self._rich is None or self._adv_usd is None or self._sigma is None or not is_new_book:
            return decision
        fresh = self._books.betas[outlook.row]
        targets = enrich_targets(
            decision.targets,
            state.weights,
            scale=decision.position_scale,
            market=self._market,
            row=outlook.row,
            betas=np.where(np.isnan(fresh), self._betas, fresh),
            adv_usd=self._adv_usd[outlook.row],
            sigma=self._sigma[outlook.row],
            config=self._config,
            objective=self._rich,
        )
        return replace(decision, targets=targets)

    def _leave(
        self,
        before: State,
        after: State,
        decision: Decision,
        trade: Decision | None,
        held_betas: Floats,
    ) -> _Day:
        opened = self._book.cells[C_WEIGHT_OPEN]
        held = np.flatnonzero(opened)
        # An exit that meets a flat book trades nothing and is no event.
        is_event = trade is not None and (trade.action is Action.REBALANCE or held.size > 0)
        is_out = trade is not None and (trade.action is Action.EXIT or trade.reason in RISK_REASONS)
        return _Day(
            decision=decision,
            state=after,
            totals=self._book.totals.copy(),
            betas=np.array([math.fsum(opened[held] * held_betas[held, k]) for k in (0, 1)]),
            held_betas=held_betas,
            traded_betas=self._betas,
            regime_scale=before.regime_scale,
            vol_scale=before.volatility_scale,
            position_scale=before.position_scale,
            is_rebalanced=is_event,
            exit_reason=trade.reason if trade is not None and is_event and is_out else "",
        )

    def _outlook(self, row: int) -> Outlook:
        signals, books = self._signals, self._books
        weights = books.weights[row] if books.has_book[row] else None
        _, limit = (
            (None, 0.0)
            if weights is None
            else apply_scale(weights, math.inf, self._config.universe)
        )
        return Outlook(
            row=row,
            epoch_day=(self._market.dates[row] - _EPOCH).days,
            regime=signals.regime[row],
            score=float(signals.score[row]),
            is_gated=bool(signals.is_gated[row]),
            high=float(signals.high[row]),
            strong_high=float(signals.strong_high[row]),
            book=weights,
            scale_limit=limit,
        )

    def _adopt_betas(self, trade: Decision) -> None:
        """Keep the betas the decision was taken on; they are the book's until the next one."""
        fresh = self._books.betas[trade.row]
        wanted = (trade.targets != 0) & ~np.isnan(fresh).any(axis=1)
        self._betas = self._betas.copy()
        self._betas[wanted] = fresh[wanted]

    def _settled_without_trading(self, row: int, state: State) -> State:
        """Return the state as it would be after the close if nothing were traded."""
        book = self._book
        nav, held, age = book.nav, book.held.copy(), book.age.copy()
        book.advance(row, None)
        after = _after_close(state, row, None, book, self._config)
        book.nav, book.held[:], book.age[:] = nav, held, age
        return after


def _after_close(
    state: State, row: int, trade: Decision | None, book: Book, config: MonitorConfig
) -> State:
    """Return the state after the day's settlement and trade."""
    state = _after_settlement(state, book, config)
    state = replace(state, weights=book.held.copy())
    if trade is None:
        return state
    pending = tuple(d for d in state.pending if d is not trade)
    if trade.action is Action.EXIT:
        is_risk = trade.reason in RISK_REASONS and state.is_invested
        return replace(
            state,
            pending=pending,
            position_scale=0.0,
            regime_scale=0.0,
            entry_row=None,
            is_halved=False,
            own_returns=(),
            equity_path=(),
            risk_exit_row=row if is_risk else state.risk_exit_row,
        )
    is_entry = not state.is_invested
    is_half = trade.reason == "take_profit"
    return replace(
        state,
        pending=pending,
        position_scale=trade.position_scale,
        regime_scale=trade.regime_scale,
        volatility_scale=trade.volatility_scale,
        entry_row=row if is_entry else state.entry_row,
        is_halved=is_half or (state.is_halved and not is_entry),
        equity_path=(1.0,) if is_entry else state.equity_path,
        own_returns=() if is_entry else state.own_returns,
    )


def _after_settlement(state: State, book: Book, config: MonitorConfig) -> State:
    """Return the state that has lived through the day with the book held into it."""
    risk = config.backtest.risk_management
    net = float(book.totals[R_LS_NET])
    if state.is_invested:
        state = replace(
            state,
            own_returns=(*state.own_returns, net)[-risk.stop_loss.lookback_days :],
            equity_path=(*state.equity_path, state.equity_path[-1] * (1 + net))[
                -max(risk.trailing_stop.lookback_days, 1) :
            ],
        )
    if state.position_scale > 0:
        funding = book.totals[FUNDING_ALTS] + book.totals[FUNDING_MAJORS]
        unscaled = float(book.totals[R_LS_GROSS] + funding) / state.position_scale
        window = risk.volatility_targeting.window
        state = replace(state, unscaled_returns=(*state.unscaled_returns, unscaled)[-window:])
    return state
