"""The vintage gap in words: of a run, and of the members of a sweep.

Flow: ``vintage_gap.csv -> gap_sentence, gap_rows -> page, mail``. A run on ``vintage: latest`` has
no such table: it is itself the claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report.formatting import number, percent

TABLE: Final = "vintage_gap"
SHOWN: Final = (
    ("Sharpe", "sharpe", number),
    ("CAGR", "cagr", percent),
    ("maximum drawdown", "max_drawdown", percent),
)
NAMES: Final = {
    "pit": "What was known then (this run)",
    "latest": "What is known today",
    "difference": "Difference",
}
NO_GAP: Final = "no value was ever revised, or came too late for the row of its own day"


def gap_sentence(run: RunTables) -> str:
    """Return the gap in one sentence; empty for a run without the table."""
    table = run.tables.get(TABLE)
    if table is None:
        return ""
    n_revised, n_missed = (int(table[name].iloc[0]) for name in ("n_revised", "n_missed"))
    if not n_revised and not n_missed:
        return f"Vintage gap: zero, {NO_GAP}."
    rows = _by_vintage(table)
    claims = ", ".join(
        f"{label} {show(rows['latest'][name])} instead of {show(rows['pit'][name])}"
        for label, name, show in SHOWN
    )
    revised = f"{n_revised:,} value{' was' if n_revised == 1 else 's were'} revised"
    return (
        f"Vintage gap: {revised} after the row of the day, {n_missed:,} came too late for it; "
        f"on today's history a naive pipeline would have claimed {claims}."
    )


def gap_rows(run: RunTables) -> list[list[str]]:
    """Return both results and their difference, formatted; empty where the gap is zero."""
    table = run.tables.get(TABLE)
    if table is None or not (table["n_revised"].iloc[0] or table["n_missed"].iloc[0]):
        return []
    return [
        [
            NAMES[vintage],
            *(show(row[name], signed=vintage == "difference") for _, name, show in SHOWN),
        ]
        for vintage, row in _by_vintage(table).items()
    ]


def sweep_sentence(runs: Mapping[str, RunTables]) -> str:
    """Return what today's history would have claimed for the members of a sweep.

    Empty where every member reads today's history itself.
    """
    judged = {name: run for name, run in runs.items() if TABLE in run.tables}
    if not judged:
        return ""
    both = {name: _by_vintage(run.tables[TABLE]) for name, run in judged.items() if gap_rows(run)}
    if not both:
        return f"Vintage gap: zero, {NO_GAP}."
    moved = {name: rows["difference"]["sharpe"] for name, rows in both.items()}
    known = sorted(name for name, gap in moved.items() if not pd.isna(gap))
    if not known:
        return "Vintage gap: values were revised; no member has a Sharpe ratio that could differ."
    most = max(known, key=lambda name: abs(moved[name]))
    return (
        "Vintage gap: on today's history a naive pipeline would have claimed Sharpe ratios "
        f"{number(min(moved[name] for name in known), signed=True)} to "
        f"{number(max(moved[name] for name in known), signed=True)} off; most for {most}, "
        f"{number(both[most]['latest']['sharpe'])} instead of "
        f"{number(both[most]['pit']['sharpe'])}. Each member's page has its own."
    )


def _by_vintage(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    columns = [name for _, name, _ in SHOWN]
    return {
        str(row["vintage"]): {name: row[name] for name in columns}
        for row in table.to_dict("records")
    }
