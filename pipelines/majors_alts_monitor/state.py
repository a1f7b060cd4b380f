"""The book's memory as a document: what tomorrow's decision needs of the past, and nothing else.

Flow: ``Carried -> state.json -> Carried``. Assets and days are written by name, so the document
outlives a market with other columns or more history; numbers read back to the same double.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.backtest.decision import Action, Decision, State
from majors_alts_monitor.backtest.walk import Carried
from majors_alts_monitor.outputs import plain
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.types import MAJORS, Floats, Market, Regime
from pipeline_kit.manifest import readable_json

STATE_FILE: Final = "state.json"
_SCALES: Final = ("position_scale", "regime_scale", "volatility_scale")
_HISTORIES: Final = ("own_returns", "equity_path", "unscaled_returns")


def state_text(strategy: Strategy) -> str:
    """Return ``state.json`` of the market's last day."""
    today = strategy.timeline.daily.iloc[-1]
    document = carried_document(strategy.walk.carried, strategy.market)
    regime = {"regime": today["regime"], "days_in_regime": int(today["days_in_regime"])}
    return readable_json(plain(document | regime))


def carried_document(carried: Carried, market: Market) -> dict[str, Any]:
    """Return what the market's last day hands on, as plain values.

    Weights, ages and betas that are absent are those of an asset never held.
    """
    state = carried.state
    ages = {str(market.assets[int(i)]): int(carried.age[i]) for i in np.flatnonzero(carried.age)}
    known = np.flatnonzero(~np.isnan(carried.betas).any(axis=1))
    return {
        "asof": _day(market, len(market.dates) - 1),
        "nav": carried.nav,
        "weights": _named(state.weights, market),
        "last_targets": _named(state.last_targets, market),
        "anchor_regime": state.anchor_regime.value,
        "anchor_score": None if math.isnan(state.anchor_score) else state.anchor_score,
        "pending": [_decision_document(decision, market) for decision in state.pending],
        **{name: getattr(state, name) for name in _SCALES},
        "entered_on": _day(market, state.entry_row),
        "is_halved": state.is_halved,
        "risk_exit_on": _day(market, state.risk_exit_row),
        **{name: list(getattr(state, name)) for name in _HISTORIES},
        "days_without_price": ages,
        "betas": {
            str(market.assets[int(i)]): dict(zip(MAJORS, carried.betas[i].tolist(), strict=True))
            for i in known
        },
    }


def carried_from(document: Mapping[str, Any], market: Market) -> Carried:
    """Return what ``carried_document`` wrote, over the columns and rows of another market."""
    score = document["anchor_score"]
    ages = np.zeros(len(market.assets), dtype=np.int64)
    for asset, age in document["days_without_price"].items():
        ages[market.assets.get_loc(asset)] = age
    betas = np.full((len(market.assets), 2), np.nan)
    for asset, pair in document["betas"].items():
        betas[market.assets.get_loc(asset)] = [pair[major] for major in MAJORS]
    state = State(
        weights=_array(document["weights"], market),
        last_targets=_array(document["last_targets"], market),
        anchor_regime=Regime(document["anchor_regime"]),
        anchor_score=math.nan if score is None else score,
        pending=tuple(_decision_from(one, market) for one in document["pending"]),
        **{name: document[name] for name in _SCALES},
        entry_row=_row(market, document["entered_on"]),
        is_halved=document["is_halved"],
        risk_exit_row=_row(market, document["risk_exit_on"]),
    )
    histories: dict[str, Any] = {name: tuple(document[name]) for name in _HISTORIES}
    state = replace(state, **histories)
    return Carried(state, document["nav"], ages, betas)


def _decision_document(decision: Decision, market: Market) -> dict[str, Any]:
    return {
        "date": _day(market, decision.row),
        "action": decision.action.value,
        "reason": decision.reason,
        "targets": _named(decision.targets, market),
        **{name: getattr(decision, name) for name in _SCALES},
    }


def _decision_from(document: Mapping[str, Any], market: Market) -> Decision:
    return Decision(
        row=int(market.dates.get_indexer(pd.DatetimeIndex([document["date"]]))[0]),
        action=Action(document["action"]),
        reason=document["reason"],
        targets=_array(document["targets"], market),
        **{name: document[name] for name in _SCALES},
    )


def _named(weights: Floats, market: Market) -> dict[str, float]:
    return {str(market.assets[int(i)]): float(weights[i]) for i in np.flatnonzero(weights)}


def _array(weights: Mapping[str, float], market: Market) -> Floats:
    values: npt.NDArray[np.float64] = np.zeros(len(market.assets))
    for asset, weight in weights.items():
        values[market.assets.get_loc(asset)] = weight
    return values


def _day(market: Market, row: int | None) -> str | None:
    return None if row is None else f"{market.dates[row]:%Y-%m-%d}"


def _row(market: Market, day: str | None) -> int | None:
    return None if day is None else int(market.dates.get_indexer(pd.DatetimeIndex([day]))[0])
