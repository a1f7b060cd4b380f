"""Simulate paths of target weights on closes: one path with all its parts, or many at once.

Flow: ``frames -> Tape -> engine.walk -> Simulation``. What a day does is decided in
``engine.py``; this module checks frames, aligns them and gives results their labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from majors_alts_monitor.backtest._day import (
    NAV,
    RUIN,
    TOTALS,
    Ints,
    Terms,
    returns_since_last_price,
    walk,
    walk_many,
)
from majors_alts_monitor.backtest.engine import Book, PositionLog, Tape, daily_frame
from majors_alts_monitor.errors import ConfigError, RuinError, TableContractError
from majors_alts_monitor.types import Bools, Floats

SizingBasis = Literal["pre_cost", "post_cost"]


@dataclass(frozen=True)
class Simulation:
    """A simulated path; frames are built when they are asked for.

    Assets are in alphabetical order whatever the order of the columns given.
    """

    dates: pd.Index
    assets: pd.Index
    tape: Tape
    terms: Terms
    targets: Floats
    initial_capital: float
    totals: Floats

    @cached_property
    def equity(self) -> pd.Series[float]:
        """NAV after each day's trades and costs."""
        return pd.Series(self.totals[:, NAV], index=self.dates, name="equity")

    @cached_property
    def daily(self) -> pd.DataFrame:
        """One row a day: ``date`` and ``TOTALS``, the columns of bt_daily_pnl where they exist."""
        return daily_frame(self.dates, self.totals)

    @cached_property
    def positions(self) -> pd.DataFrame:
        """One row per day and asset held, wanted or traded: bt_positions without betas."""
        book = Book(self.tape, self.terms, self.initial_capital)
        log = PositionLog(self.tape)
        for row in range(len(self.dates)):
            book.advance(row, self.targets[row])
            log.add(row, book.cells)
        return log.frame(self.dates, self.assets)


def simulate(
    targets: pd.DataFrame,
    closes: pd.DataFrame,
    *,
    funding: pd.DataFrame | None = None,
    fee_bps: float = 0.0,
    slippage_bps: float = 0.0,
    sizing_basis: SizingBasis = "pre_cost",
    initial_capital: float = 1.0,
    max_stale_days: int = 3,
    delist_penalty_bps: float = 0.0,
    is_delisted: pd.DataFrame | None = None,
    impact_coefficient: float = 0.0,
    adv_usd: pd.DataFrame | None = None,
    sigma: pd.DataFrame | None = None,
    account_usd: float = 1.0,
) -> Simulation:
    """Return the path of a book that is traded to ``targets`` at each close.

    Parameters
    ----------
    targets : DataFrame of shape (n_days, n_assets)
        Fraction of NAV wanted; row t is traded at the close of t and earns from t+1 on. A NaN
        keeps the asset's position as it is, so an all-NaN row holds the book.
    closes : DataFrame of shape (n_days, n_assets)
        USD, NaN = no price. Same days; columns beyond those of ``targets`` do not matter.
    funding : DataFrame of shape (n_days, n_assets), optional
        The day's rate charged on the book held into the day; longs pay a positive rate. NaN is
        charged 0 and counted. Default: none is charged.
    fee_bps, slippage_bps : float
        Basis points of traded notional.
    sizing_basis : {"pre_cost", "post_cost"}
        Whether a target is a fraction of NAV before or after the costs of reaching it. In
        both, an asset that cannot be traded keeps its value in USD.
    initial_capital : float
        NAV before the first day.
    max_stale_days : int
        Days without a price after which a position is closed at its last one.
    delist_penalty_bps : float
        Extra slippage of such a close.
    is_delisted : DataFrame of bool, shape (n_days, n_assets), optional
        The asset is known to be delisted: closed on the first day without a price.
    impact_coefficient : float
        Y of the square-root law; 0 switches impact off.
    adv_usd, sigma : DataFrame of shape (n_days, n_assets), optional
        Daily volume in USD and daily volatility, both known before the day.
    account_usd : float
        USD that one unit of NAV stands for.

    Returns
    -------
    Simulation
        ``.equity``, ``.daily``, ``.positions``.

    Raises
    ------
    ConfigError
        If the frames do not fit each other, hold no numbers, have a day or column twice or days
        out of order, or a cost is negative.
    TableContractError
        If a close is not positive or a value is infinite.
    RuinError
        If NAV falls to 0 or below: a path of fractions of NAV has no next day then.

    Examples
    --------
    Half in SOL at 100, which doubles: 1.5.

    >>> days = pd.date_range("2024-01-01", periods=2)
    >>> weights = pd.DataFrame({"SOL": [0.5, np.nan]}, index=days)
    >>> prices = pd.DataFrame({"SOL": [100.0, 200.0]}, index=days)
    >>> simulate(weights, prices).equity.tolist()
    [1.0, 1.5]
    """
    terms = Terms.of(
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
        delist_penalty_bps=delist_penalty_bps,
        impact_coefficient=impact_coefficient,
        account_usd=account_usd,
        max_stale_days=max_stale_days,
        sizing_basis=sizing_basis,
    )
    for name, frame in (("targets", targets), ("closes", closes)):
        _check_frame(name, frame)
    assets = _sorted_assets(targets.columns)
    tape = _tape_of(assets, closes, funding, is_delisted, adv_usd, sigma)
    if not targets.index.equals(closes.index):
        raise ConfigError(
            f"targets and closes must have the same days, was {len(targets)} rows "
            f"against {len(closes)}"
        )
    wanted = _finite("targets", targets[assets])
    totals = np.zeros((len(targets), len(TOTALS)))
    ruin = walk(_capital(initial_capital), *_arrays(tape, wanted), terms, totals)
    if ruin >= 0:
        raise RuinError(f"{targets.index[ruin]}: {RUIN}")
    return Simulation(targets.index, assets, tape, terms, wanted, float(initial_capital), totals)


def simulate_many(
    targets: Floats,
    closes: pd.DataFrame | Floats,
    *,
    funding: pd.DataFrame | Floats | None = None,
    fee_bps: float = 0.0,
    slippage_bps: float = 0.0,
    sizing_basis: SizingBasis = "pre_cost",
    initial_capital: float = 1.0,
    max_stale_days: int = 3,
    delist_penalty_bps: float = 0.0,
) -> Floats:
    """Return the equity of many paths of targets on the same closes.

    Parameters
    ----------
    targets : array of shape (n_variants, n_days, n_assets)
        As in ``simulate``, in the order of the columns of ``closes``.
    closes : DataFrame or array of shape (n_days, n_assets)
        USD, NaN = no price.
    funding : DataFrame or array of shape (n_days, n_assets), optional
        As in ``simulate``.
    fee_bps, slippage_bps, sizing_basis, initial_capital, max_stale_days, delist_penalty_bps
        As in ``simulate``.

    Returns
    -------
    array of shape (n_variants, n_days)
        NAV after each day's trades and costs.

    Raises
    ------
    ConfigError, TableContractError, RuinError
        As ``simulate``; one variant that is ruined ends the call and is named.

    Examples
    --------
    Long and short half in an asset that doubles.

    >>> weights = np.array([[[0.5], [np.nan]], [[-0.5], [np.nan]]])
    >>> simulate_many(weights, np.array([[100.0], [200.0]])).tolist()
    [[1.0, 1.5], [1.0, 0.5]]
    """
    terms = Terms.of(
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
        delist_penalty_bps=delist_penalty_bps,
        max_stale_days=max_stale_days,
        sizing_basis=sizing_basis,
    )
    prices = closes if isinstance(closes, pd.DataFrame) else pd.DataFrame(closes)
    if np.ndim(targets) != 3 or np.shape(targets)[1:] != prices.shape:
        raise ConfigError(
            f"targets must have shape (n_variants, {len(prices)}, {prices.shape[1]}) "
            f"to fit closes, was {np.shape(targets)}"
        )
    _check_frame("closes", prices)
    assets = _sorted_assets(prices.columns)
    tape = _tape_of(assets, prices, _labelled(funding, prices), None, None, None)
    order = prices.columns.get_indexer(assets)
    wanted = np.ascontiguousarray(np.asarray(targets, dtype=np.float64)[:, :, order])
    if np.isinf(wanted).any():
        raise ConfigError("targets: infinite weights; a weight is a fraction of NAV, NaN holds")
    equity = np.zeros(wanted.shape[:2])
    variant, row = walk_many(_capital(initial_capital), *_arrays(tape, wanted), terms, equity)
    if row >= 0:
        raise RuinError(f"variant {variant}, {prices.index[row]}: {RUIN}")
    return equity


def _labelled(values: pd.DataFrame | Floats | None, like: pd.DataFrame) -> pd.DataFrame | None:
    if values is None or isinstance(values, pd.DataFrame):
        return values
    if values.shape != like.shape:
        raise ConfigError(f"funding must have shape {like.shape}, was {values.shape}")
    return pd.DataFrame(values, index=like.index, columns=like.columns)


def _capital(value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ConfigError(f"initial_capital: must be positive and finite, was {value}")
    return float(value)


def _check_frame(name: str, frame: object) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise ConfigError(f"{name}: must be a DataFrame, was {type(frame).__name__}")
    if not frame.columns.is_unique:
        twice = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
        raise ConfigError(f"{name}: columns appear twice: {', '.join(twice)}")
    if not (frame.index.is_unique and frame.index.is_monotonic_increasing):
        raise ConfigError(f"{name}: each day must be one row, oldest first")


def _sorted_assets(columns: pd.Index) -> pd.Index:
    # Sums over assets are taken in one order, whatever the order of the columns given.
    ordered: pd.Index = pd.Index(sorted(columns, key=str))
    return ordered


def _arrays(
    tape: Tape, targets: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats, Bools, Ints]:
    return (
        tape.returns,
        tape.funding,
        targets,
        tape.adv_usd,
        tape.sigma,
        tape.is_delisted,
        tape.legs,
    )


def _tape_of(
    assets: pd.Index,
    closes: pd.DataFrame,
    funding: pd.DataFrame | None,
    is_delisted: pd.DataFrame | None,
    adv_usd: pd.DataFrame | None,
    sigma: pd.DataFrame | None,
) -> Tape:
    missing = assets.difference(closes.columns)
    if len(missing):
        raise ConfigError(f"closes: no column for {', '.join(map(str, missing))}")
    prices = _finite("closes", closes[assets])
    if (prices <= 0).any():
        row, column = np.argwhere(prices <= 0)[0]
        raise TableContractError(
            f"closes: {assets[column]} on {closes.index[row]} must be positive, "
            f"was {prices[row, column]}"
        )
    like = closes[assets]
    flags = None if is_delisted is None else _fitted("is_delisted", is_delisted, like)
    return Tape.of(
        assets,
        returns_since_last_price(prices),
        funding=None if funding is None else _finite("funding", _fitted("funding", funding, like)),
        adv_usd=None if adv_usd is None else _finite("adv_usd", _fitted("adv_usd", adv_usd, like)),
        sigma=None if sigma is None else _finite("sigma", _fitted("sigma", sigma, like)),
        is_delisted=None if flags is None else flags.fillna(value=False).to_numpy(dtype=np.bool_),
    )


def _fitted(name: str, frame: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return ``frame`` on the days and assets of ``like``; assets it does not have are NaN."""
    _check_frame(name, frame)
    if not frame.index.equals(like.index):
        raise ConfigError(
            f"{name} and closes must have the same days, was {len(frame)} rows against {len(like)}"
        )
    return frame.reindex(columns=like.columns)


def _finite(name: str, frame: pd.DataFrame) -> Floats:
    try:
        values = np.ascontiguousarray(frame.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as e:
        raise ConfigError(f"{name}: must hold numbers only: {e}") from e
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise TableContractError(
            f"{name}: {frame.columns[column]} on {frame.index[row]} is infinite"
        )
    return values
