"""Say what was decided on ``asof`` and why: the content of ``signals_today.json``.

Flow: ``Strategy row -> document``. ``run`` (for its last day) and ``signals`` call this one
function on the same walk, so they cannot tell two stories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor.backtest.decision import Action, Decision
from majors_alts_monitor.backtest.walk import Walk
from majors_alts_monitor.beta_neutral.books import Books
from majors_alts_monitor.beta_neutral.lots import orders
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import Timeline
from majors_alts_monitor.types import GROUPS, MAJORS, Floats, Market

_GROUP_WORDS: Final = {
    **{group: group.replace("_", " ") for group in GROUPS},
    "alt_breadth": "breadth",
    "btc_dominance": "dominance",
    "oi_risk": "open-interest risk",
}


def describe(
    market: Market,
    timeline: Timeline,
    features: pd.DataFrame,
    books: Books,
    walk: Walk,
    config: MonitorConfig,
    instruments: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Return the document of the market's last day, without ``run_id`` and ``known_at``.

    Parameters
    ----------
    timeline, features
        One row a day, the last row is ``asof``.
    instruments : DataFrame, optional
        Columns of ``dim_instrument``, for the names of contracts.
    """
    row = len(market.dates) - 1
    daily, parts = timeline.daily, timeline.contributions.iloc[-1]
    today, decision = daily.iloc[-1], walk.decisions[row]
    betas = walk.betas
    if decision.action is Action.REBALANCE:
        fresh = books.betas[row]
        # An asset kept on its way out of the basket has the betas it was bought on.
        betas = np.where(np.isnan(fresh), walk.betas, fresh)
    targets = _named(decision.targets, market)
    missing = missing_groups(features.iloc[-1], config)
    status = data_status(market, missing)
    book = _named(walk.states[row].weights, market)
    return {
        "asof": f"{market.dates[row]:%Y-%m-%d}",
        "data_status": status,
        "regime": today["regime"],
        "previous_regime": daily["regime"].iloc[-2] if row else None,
        "days_in_regime": int(today["days_in_regime"]),
        "score": float(today["score"]),
        "score_raw": float(today["score_raw"]),
        "contributions": _contributions(
            parts, features.iloc[-1], timeline.weights.iloc[-1], config
        ),
        "high_vol_gate": bool(today["high_vol_gate"]),
        "insufficient_data": bool(today["insufficient_data"]),
        "action": decision.action.value,
        "action_reason": decision.reason,
        "position_scale": decision.position_scale,
        "regime_scale": decision.regime_scale,
        "vol_scale": decision.volatility_scale,
        "target_weights": targets,
        "current_weights": book,
        "basket": books.basket(row) if books.has_book[row] else [],
        "betas": _betas_of(targets, betas, market),
        "expected_daily_funding": expected_funding(decision.targets, market),
        "net_exposure": math.fsum(decision.targets),
        "gross_exposure": math.fsum(np.abs(decision.targets)),
        "residual_betas": _residual(decision.targets, betas),
        "binding_limits": list(books.limits(row)),
        "excluded": books.excluded(row),
        "reasons": reasons(today, parts, decision, missing, books, row),
        **orders(
            targets,
            pd.DataFrame(betas, index=market.assets, columns=list(MAJORS)),
            dict(zip(market.assets, market.close_usd[row].tolist(), strict=True)),
            instruments,
            market.dates[row].date(),
            config.execution,
        ),
    }


def missing_groups(features: pd.Series[Any], config: MonitorConfig) -> list[str]:
    """Return the groups that carry weight and have no z-score on the day."""
    return [
        group
        for group in GROUPS
        if getattr(config.regime.weights, group) > 0 and pd.isna(features[PRIMARY[group]])
    ]


def data_status(market: Market, missing: list[str]) -> str:
    """Return stale without a price of a major today, degraded without a group, else ok."""
    majors = list(market.major_columns)
    if np.isnan(market.close_usd[-1, majors]).any():
        return "stale"
    return "degraded" if missing else "ok"


def expected_funding(targets: Floats, market: Market) -> float:
    """Return tomorrow's funding at today's rates, fraction of NAV; unknown rates count as none."""
    rates = market.funding_rate_1d[-1]
    known = (targets != 0) & ~np.isnan(rates)
    return -math.fsum(targets[known] * rates[known])


def score_sentence(score: float, contributions: Mapping[str, float]) -> str:
    """Return the score as the sum of its parts, largest first.

    Examples
    --------
    >>> score_sentence(0.63, {"btc_dominance": 0.41, "alt_breadth": 0.22, "momentum": 0.0})
    'score +0.63 = dominance +0.41, breadth +0.22, momentum +0.00'
    """
    if math.isnan(score):
        return "no score: too few feature groups"
    known = [(g, c) for g, c in contributions.items() if not math.isnan(c)]
    ordered = sorted(known, key=lambda item: (-abs(item[1]), item[0]))
    return f"score {score:+.2f} = " + ", ".join(f"{_GROUP_WORDS[g]} {c:+.2f}" for g, c in ordered)


def reasons(
    today: pd.Series[Any],
    contributions: pd.Series[float],
    decision: Decision,
    missing: list[str],
    books: Books,
    row: int,
) -> list[str]:
    """Return the day's explanation, most important first, one sentence each."""
    parts = {group: float(contributions[group]) for group in GROUPS if group in contributions}
    said = [
        f"{today['regime']}, day {int(today['days_in_regime'])}",
        score_sentence(float(today["score_raw"]), parts),
        _action_sentence(decision),
    ]
    if today["high_vol_gate"]:
        said.append("high-volatility gate: entries and increases are blocked")
    if today["insufficient_data"]:
        said.append("insufficient data: the day counts as BALANCED")
    if missing:
        said.append("no value today for " + ", ".join(_GROUP_WORDS[g] for g in missing))
    if not books.has_book[row]:
        said.append(f"no basket today: {books.no_book_reason(row)}")
    elif books.binding[row]:
        said.append("limits that bind: " + ", ".join(books.limits(row)))
    return said


def _action_sentence(decision: Decision) -> str:
    if decision.action is Action.HOLD:
        return "hold: nothing asks for a trade"
    return f"{decision.action.value}: {decision.reason.replace('_', ' ')}"


def _contributions(
    contributions: pd.Series[float],
    features: pd.Series[Any],
    weights: pd.Series[float],
    config: MonitorConfig,
) -> list[dict[str, Any]]:
    return [
        {
            "group": group,
            "contribution": float(contributions[group]),
            "z": float(features[PRIMARY[group]]),
            "weight": float(weights[group]),
            "direction": getattr(config.regime.directions, group),
        }
        for group in GROUPS
    ]


def _named(weights: Floats, market: Market) -> dict[str, float]:
    return {str(market.assets[int(i)]): float(weights[i]) for i in np.flatnonzero(weights)}


def _betas_of(
    targets: Mapping[str, float], betas: Floats, market: Market
) -> dict[str, dict[str, float]]:
    columns = market.assets.get_indexer(pd.Index(list(targets)))
    return {
        asset: {major: float(betas[column, k]) for k, major in enumerate(MAJORS)}
        for asset, column in zip(targets, columns, strict=True)
    }


def _residual(targets: Floats, betas: Floats) -> dict[str, float]:
    held = np.flatnonzero(targets)
    return {
        major: math.fsum(targets[held] * betas[held, k]) if held.size else 0.0
        for k, major in enumerate(MAJORS)
    }
