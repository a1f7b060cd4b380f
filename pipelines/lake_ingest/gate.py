"""Gate 1: what comes from outside is judged by its suite before anything is sealed.

A critical finding holds back the rows it names; the commit is blocked when a core asset or more
than the budget is among them (``curate``). A warning is reported and stops nothing. Suites:
``expectations/suites/lake_<table>.json``, written from ``datasets.yaml``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from lake_ingest.datasets import DAYS_SINCE_END
from pipeline_kit.contract import Table
from pipeline_kit.expectations import Finding, Severity, judge
from pipeline_kit.paths import suites_dir

SAMPLES: Final = 5
"""Rows that stand for those of one finding."""


def inspect(table: Table, rows: pd.DataFrame) -> list[Finding]:
    """Return what the table's suite finds; positions in a finding are those of ``rows``.

    Parameters
    ----------
    table : Table
        What the rows belong to.
    rows : DataFrame
        The contract's columns; of a fact also ``day_end`` or ``settled_at``, ``fetched_at`` and
        ``given_at`` (UTC without a zone).
    """
    if rows.empty:
        return []
    return judge(_judged(table, rows), suites_dir() / f"lake_{table.name}.json")


def report(table: Table, rows: pd.DataFrame, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what was judged and found, for the record of a run.

    Returns
    -------
    dict
        ``judged`` (rows), ``measured`` (lowest, highest, missing per column; missing is also what
        is not finite) and ``findings``, each with a ``sample`` of its rows.
    """
    return {
        "judged": len(rows),
        "measured": {str(name): _measure(values) for name, values in _judged(table, rows).items()},
        "findings": [
            finding.as_record()
            | {"sample": describe(table, rows.iloc[list(finding.rows[:SAMPLES])])}
            for finding in findings
        ],
    }


def describe(table: Table, rows: pd.DataFrame) -> list[str]:
    """Return one text per row: its key, source and value.

    Examples
    --------
    >>> from pipeline_kit.contract import TABLES
    >>> row = {"asset_id": "SOL", "date": "2024-06-14", "close": -5.0, "source": "binance"}
    >>> describe(TABLES["fact_price"], pd.DataFrame([row]))
    ['SOL 2024-06-14 binance -5.0']
    """
    wanted = [*table.key, "source", table.value or "kind"]
    columns = [name for name in wanted if name in rows]
    return [
        " ".join(str(cell).removesuffix(" 00:00:00") for cell in row)
        for row in rows[columns].itertuples(index=False)
    ]


def _judged(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    columns = [c.name for c in table.columns if c.name in rows]
    if not table.is_fact:
        return rows[columns]
    return rows[columns].assign(**{DAYS_SINCE_END: _days_since_end(table, rows)})


def _measure(values: pd.Series[Any]) -> dict[str, Any]:
    there = values.replace([math.inf, -math.inf], math.nan).dropna()
    ends = (None, None) if there.empty else (there.min(), there.max())
    lowest, highest = (
        end if end is None else float(end) if isinstance(end, (int, float)) else str(end)
        for end in ends
    )
    return {"lowest": lowest, "highest": highest, "missing": len(values) - len(there)}


def held_back(table: Table, rows: pd.DataFrame, findings: list[Finding]) -> pd.DataFrame:
    """Return the rows that critical findings name: columns table, row_id, reason.

    A row that breaks several expectations is held back for the first of them. A critical
    finding about the whole table holds back all of it.
    """
    reasons = pd.Series(pd.NA, index=range(len(rows)), dtype="object")
    for finding in findings:
        if finding.severity is Severity.CRITICAL:
            positions = list(finding.rows) or list(range(len(rows)))
            open_rows = reasons.iloc[positions].isna()
            reasons.loc[open_rows[open_rows].index] = finding.reason
    is_held = reasons.notna().to_numpy()
    return pd.DataFrame(
        {
            "table": table.name,
            "row_id": rows["row_id"].to_numpy()[is_held],
            "reason": reasons[is_held].to_numpy(),
        }
    )


def _days_since_end(table: Table, rows: pd.DataFrame) -> pd.Series[float]:
    """Return whole days from the end of what a row describes to its fetch; negative = forming.

    Rows whose knowledge was given to us (another lake, a released row) are taken at their word.
    """
    end = rows["settled_at"] if "settled_at" in table.key else rows["day_end"]
    days = (rows["fetched_at"] - end).dt.days.astype(float)
    return days.where(rows["given_at"].isna(), 0.0)
