"""Compare what the strategy said and remembered with what it says when the future is another.

Flow: ``run_strategy -> path_tables -> path_leaks``; ``resumed_leaks`` goes on from a written state;
``execution_leaks`` finds what no change of the future can show, a fill at the price that the
decision was made on. contract.md section 6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor import state as state_module
from majors_alts_monitor.backtest.decision import Decision, State
from majors_alts_monitor.backtest.walk import Signals, walk_on
from majors_alts_monitor.beta_neutral.books import propose_books
from majors_alts_monitor.causality import Leak, first_difference, leak_at
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.outputs import plain
from majors_alts_monitor.results import decisions_frame
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.types import Floats, Market
from pipeline_kit.manifest import readable_json

REDONE: Final = 5
"""Books before the cut that are worked out anew."""

_IN_BOOK: Final = frozenset({"weights", "last_targets"})
"""Of a state; told one asset a row."""
_ABOUT_BOOKS: Final = frozenset({"rows", "dates", "assets"})


def path_tables(strategy: Strategy) -> dict[str, pd.DataFrame]:
    """Return everything the strategy says about its days and remembers of them, as dated tables.

    ``book_after_close`` and ``state`` are what each day hands on, so that a memory which knows more
    than its day is found even where no decision up to the cut has used it yet.
    """
    market, walk = strategy.market, strategy.walk
    decisions = decisions_frame(walk.decisions, market)
    said = pd.DataFrame(
        {
            "date": market.dates,
            "action": [d.action.value for d in walk.decisions],
            "reason": [d.reason for d in walk.decisions],
            "position_scale": [d.position_scale for d in walk.decisions],
        }
    )
    remembered = [_remembered(state, market) for state in walk.states]
    regimes = strategy.timeline
    calibrated = {} if regimes.calibration is None else {"calibration": _fits(regimes.calibration)}
    return calibrated | {
        "regime_timeline": regimes.daily.rename_axis("date").reset_index(),
        "regime_weights": regimes.weights.rename_axis("date").reset_index(),
        "regime_thresholds": regimes.thresholds.rename_axis("date").reset_index(),
        "decisions": said,
        "bt_decisions": decisions.fillna({"asset_id": ""}),
        "bt_daily_pnl": walk.daily,
        "bt_positions": walk.positions,
        "book_after_close": _by_asset([state.weights for state in walk.states], market),
        "last_targets": _by_asset([state.last_targets for state in walk.states], market),
        "state": pd.DataFrame(remembered).assign(date=market.dates),
    }


def path_leaks(
    expected: Mapping[str, pd.DataFrame],
    found: Mapping[str, pd.DataFrame],
    cut: date,
    variant: str,
) -> list[Leak]:
    """Return the first difference of each table of ``path_tables`` among the days up to ``cut``."""
    leaks = []
    for table in expected:
        full, lived = (
            frame[frame["date"] <= pd.Timestamp(cut)] for frame in (expected[table], found[table])
        )
        keys = tuple(k for k in ("date", "asset_id") if k in full.columns)
        leak = first_difference(table, full, lived, keys, cut, variant)
        leaks += [leak] if leak else []
    return leaks


def book_leaks(strategy: Strategy, config: MonitorConfig, cut: date) -> list[Leak]:
    """Return where a book of the last days is another when it is worked out anew.

    Books are remembered by the bytes of their inputs; one that knew anything else would be taken
    from the full run's memory as it was, and no change of the future could show it.
    """
    market, n_days = strategy.market, len(strategy.market.dates)
    rows = range(max(n_days - REDONE, 0), n_days)
    anew = propose_books(market, config, rows)
    for field in fields(anew):
        kept, found = getattr(strategy.books, field.name), getattr(anew, field.name)
        if field.name in _ABOUT_BOOKS:
            continue
        kept = kept[rows.start :]
        if kept.tobytes() != found.tobytes():
            odd = np.flatnonzero(
                [k.tobytes() != f.tobytes() for k, f in zip(kept, found, strict=True)]
            )
            at = int(odd[0])
            day = f"{market.dates[rows[at]]:%Y-%m-%d}"
            return [
                leak_at(cut, "worked out anew", "books", day, field.name, "", kept[at], found[at])
            ]
    return []


def handed_on(strategy: Strategy) -> str:
    """Return what the last day hands to the next one, as the text a run folder keeps."""
    document = state_module.carried_document(strategy.walk.carried, strategy.market)
    return readable_json(plain(document))


def resumed_leaks(whole: Strategy, text: str, cut: date, config: MonitorConfig) -> list[Leak]:
    """Return where the day after ``cut``, decided from the written state, is not the full run's.

    A state that was written wrong, or does not hold all that the decision needs, shows here.

    Parameters
    ----------
    whole : Strategy
        The full run; days after ``cut`` + 1 are not read.
    text : str
        ``handed_on`` of a run that ended at ``cut``.
    """
    row = int(whole.market.dates.get_indexer(pd.DatetimeIndex([cut]))[0]) + 1
    if row >= len(whole.market.dates):
        return []
    market = whole.market.until(row)
    carried = state_module.carried_from(json.loads(text), market)
    signals = _signals_until(whole.signals, row)
    decision, after = walk_on(market, signals, whole.books, config, carried)
    expected = _all_told(whole.walk.decisions[row], whole.walk.states[row], market)
    found = _all_told(decision, after.state, market)
    expected["nav"], found["nav"] = repr(float(whole.walk.nav[row])), repr(float(after.nav))
    day = f"{market.dates[row]:%Y-%m-%d}"
    return [
        leak_at(cut, "resumed", "state", day, name, "", expected[name], found[name])
        for name in expected
        if expected[name] != found[name]
    ][:1]


def execution_leaks(strategy: Strategy, lag_days: int) -> list[Leak]:
    """Return the first trade that is not the decision made ``lag_days`` before it.

    A fill at the close that the decision was made on shows here, and nowhere else.
    """
    walk, dates = strategy.walk, strategy.market.dates
    wanted = {d.row + lag_days for d in walk.decisions if d.action.value != "hold"}
    positions = walk.positions
    # Without a price nobody trades: what is sold then was closed by the rules of missing prices.
    bought = positions[(positions["traded"] != 0) & ~positions["stale_price"]]
    traded = dates.get_indexer(pd.DatetimeIndex(bought["date"].unique()))
    unasked = sorted(set(traded.tolist()) - wanted)
    if not unasked:
        return []
    day = f"{dates[unasked[0]]:%Y-%m-%d}"
    said = (f"a decision {lag_days} days before", "none")
    return [leak_at(None, "execution", "bt_positions", day, "traded", "", *said)]


def _fits(calibration: pd.DataFrame) -> pd.DataFrame:
    """Return what each window's fit gave, dated by the first day it is applied to.

    How it did out of sample is known only later, and decides nothing.
    """
    dated = calibration.assign(date=calibration["apply_start"])
    return dated.drop(columns="objective_out_of_sample")


def _by_asset(weights: list[Floats], market: Market) -> pd.DataFrame:
    stacked = np.stack(weights)
    rows, columns = np.nonzero(stacked)
    return pd.DataFrame(
        {
            "date": market.dates[rows],
            "asset_id": market.assets[columns],
            "weight": stacked[rows, columns],
        }
    )


def _remembered(state: State, market: Market) -> dict[str, str]:
    """Return every field of a state but its weights as text; numbers keep every digit."""
    told: dict[str, str] = {}
    for field in fields(state):
        value: Any = getattr(state, field.name)
        if field.name == "pending":
            value = [_told(decision, market) for decision in value]
        if field.name not in _IN_BOOK:
            told[field.name] = repr(value)
    return told


def _told(decision: Decision, market: Market) -> list[Any]:
    scales = (decision.regime_scale, decision.volatility_scale, decision.position_scale)
    named = [decision.row, decision.action.value, decision.reason, *map(float, scales)]
    return [*named, _named(decision.targets, market)]


def _named(weights: Floats, market: Market) -> dict[str, float]:
    return {str(market.assets[i]): float(weights[i]) for i in np.flatnonzero(weights).tolist()}


def _all_told(decision: Decision, state: State, market: Market) -> dict[str, str]:
    return {
        "decision": repr(_told(decision, market)),
        **{name: repr(_named(getattr(state, name), market)) for name in sorted(_IN_BOOK)},
        **_remembered(state, market),
    }


def _signals_until(signals: Signals, row: int) -> Signals:
    return replace(
        signals,
        **{field.name: getattr(signals, field.name)[: row + 1] for field in fields(signals)},
    )
