"""Write down what gate 1 found: JSON and a page per run, and both once more per day.

``data/dq/<run>.gate1.json`` and ``.html`` belong to a run; ``data/dq/dt=D/gate1.*`` unite all runs
whose newest day is ``D``, so that a task that was repeated loses no warning of its first try. The
pages are our own: those of Great Expectations load from a dozen hosts and differ at every call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from html import escape
from pathlib import Path
from typing import Any, Final

from pipeline_kit import atomic
from pipeline_kit.manifest import canonical_json, readable_json
from pipeline_kit.paths import quality_dir, suites_dir

Record = Mapping[str, Any]
STYLE: Final = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:2px 8px;text-align:left}"
    ".critical{background:#f6c6c6}.warning{background:#fbeab5}"
)


def gate_file(run_id: str) -> Path:
    """Return where a run's findings are."""
    return quality_dir() / f"{run_id}.gate1.json"


def write_run(record: Record) -> None:
    """Write a run's findings beside those it had before it was resumed.

    Parameters
    ----------
    record : mapping
        ``run_id``, ``newest_day`` (ISO or null), ``tables`` (rows, held_back, findings per table),
        ``held_back`` (table, reason, rows) and ``warnings``.
    """
    path = gate_file(record["run_id"])
    before = [json.loads(path.read_text("utf-8"))] if path.is_file() else []
    _write(path, {"run_id": record["run_id"]} | _unite([*before, record]))


def write_day(asof: date) -> Path:
    """Write what the runs up to a day found, ``dt=ASOF/gate1.json``, and return it.

    A run that brings nothing new changes no byte of it.
    """
    files = sorted(quality_dir().glob("*.gate1.json"))
    records = [json.loads(file.read_text("utf-8")) for file in files]
    of_day = [record for record in records if record["newest_day"] == asof.isoformat()]
    path = quality_dir() / f"dt={asof}" / "gate1.json"
    _write(path, _unite(of_day))
    return path


def _write(path: Path, record: Record) -> None:
    atomic.write_text(path, readable_json({"gate": 1, **record}))
    atomic.write_text(path.with_suffix(".html"), page(record))


def _unite(records: Iterable[Record]) -> dict[str, Any]:
    tables: dict[str, dict[str, Any]] = {}
    held: dict[tuple[str, str], int] = {}
    warnings: set[str] = set()
    newest: set[str] = set()
    for record in records:
        newest |= {record["newest_day"]} - {None}
        warnings |= set(record["warnings"])
        for name, found in record["tables"].items():
            tables[name] = _unite_table(tables.get(name, found), found)
        for one in record["held_back"]:
            key = (one["table"], one["reason"])
            held[key] = max(held.get(key, 0), one["rows"])
    return {
        "newest_day": max(newest, default=None),
        "tables": dict(sorted(tables.items())),
        "held_back": [
            {"table": table, "reason": reason, "rows": rows}
            for (table, reason), rows in sorted(held.items())
        ],
        "warnings": sorted(warnings),
    }


def _unite_table(one: Record, other: Record) -> dict[str, Any]:
    findings = {canonical_json(f): f for f in [*one["findings"], *other["findings"]]}
    return {
        "rows": max(one["rows"], other["rows"]),
        "held_back": max(one["held_back"], other["held_back"]),
        "findings": [findings[text] for text in sorted(findings)],
    }


def page(record: Record) -> str:
    """Return the findings as one HTML page: every expectation, and what it met.

    Every text is escaped; nothing is loaded from elsewhere, and no clock is read.
    """
    lines = [f"<li class='warning'>{escape(line)}</li>" for line in record["warnings"]]
    held = [
        f"<li class='critical'>{escape(one['table'])}: {one['rows']} rows held back:"
        f" {escape(one['reason'])}</li>"
        for one in record["held_back"]
    ]
    tables = "".join(_table(name, found) for name, found in record["tables"].items())
    title = f"Gate 1 {escape(str(record.get('run_id') or record['newest_day'] or ''))}"
    return (
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        f"<ul>{''.join([*held, *lines]) or '<li>nothing was held back, no warning</li>'}</ul>"
        f"{tables}</body></html>\n"
    )


def _table(name: str, found: Record) -> str:
    suite = json.loads((suites_dir() / f"lake_{name}.json").read_text("utf-8"))
    rows = [_row(expectation, found["findings"]) for expectation in suite["expectations"]]
    return (
        f"<h2>{escape(name)}</h2>"
        f"<p>{found['rows']} rows came in, {found['held_back']} held back</p>"
        "<table><tr><th>column</th><th>expectation</th><th>severity</th><th>met</th></tr>"
        f"{''.join(rows)}</table>"
    )


def _row(expectation: Record, findings: Iterable[Record]) -> str:
    column = str(expectation["kwargs"].get("column", ""))
    reason = expectation["meta"]["reason"]
    met = [
        f"{f['rows'] or 'all'} rows, such as {f['observed']}"
        for f in findings
        if (f["expectation"], f["column"], f["reason"]) == (expectation["type"], column, reason)
    ]
    mark = f" class='{escape(expectation['severity'])}'" if met else ""
    cells = [column, reason, expectation["severity"], "; ".join(met) or "yes"]
    return f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
