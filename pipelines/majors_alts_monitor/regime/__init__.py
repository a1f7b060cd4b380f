"""Score the day, name its regime, and judge what the regime is worth."""

from __future__ import annotations

from majors_alts_monitor.regime.scoring import (
    ScoreTable,
    Timeline,
    classify,
    filter_states,
    high_vol_gate,
    score,
    timeline,
)

__all__ = [
    "ScoreTable",
    "Timeline",
    "classify",
    "filter_states",
    "high_vol_gate",
    "score",
    "timeline",
]
