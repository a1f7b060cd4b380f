"""Show what gate 1 found: one page that loads nothing, with the contract of every dataset.

Flow: ``record of quality.py, suites, datasets.yaml -> page``. Every text is escaped and no clock is
read, so that equal runs have equal pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from lake_ingest.datasets import Contracts, Dataset, load_contracts
from pipeline_kit.contract import TABLES
from pipeline_kit.paths import suites_dir

Record = Mapping[str, Any]
STYLE: Final = (
    "body{font:14px/1.4 sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:2px 8px;text-align:left;vertical-align:top}"
    "th{background:#eee}.critical{background:#f6c6c6}.warning{background:#fbeab5}"
    "h2{margin-top:2em}.box{overflow-x:auto}"
)


def page(record: Record) -> str:
    """Return the findings as one HTML page: every expectation, and what it met."""
    title = escape(f"Gate 1 {record.get('run_id') or record['newest_day'] or ''}".strip())
    contracts = load_contracts()
    tables = record["tables"]
    body = [
        f"<h1>{title}</h1>",
        f"<p>{escape(_said(record))}</p>",
        *(f"<p class='warning'>{escape(line)}</p>" for line in record["warnings"]),
        _held_back(record["held_back"]),
        _overview(tables, contracts),
        *(_dataset(name, found, contracts) for name, found in tables.items()),
        _compared(contracts),
    ]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _said(record: Record) -> str:
    rows = sum(found["rows"] for found in record["tables"].values())
    judged = sum(found.get("judged", 0) for found in record["tables"].values())
    held = sum(one["rows"] for one in record["held_back"])
    return (
        f"{rows} rows came in, {judged} of them new or changed and judged; {held} held back,"
        f" {len(record['warnings'])} warnings. Newest day {record['newest_day'] or 'none'}."
    )


def _held_back(held: Sequence[Record]) -> str:
    if not held:
        return "<p>nothing was held back</p>"
    lines = [
        (one["table"], one["rows"], one["reason"], "; ".join(one.get("sample", ()))) for one in held
    ]
    return "<h2>Held back</h2>" + _grid(
        ("dataset", "rows", "because", "such as"), lines, ["critical"] * len(lines)
    )


def _overview(tables: Mapping[str, Record], contracts: Contracts) -> str:
    lines, marks = [], []
    for name, found in tables.items():
        failed = [f["severity"] for f in found["findings"]]
        worst = next((word for word in ("critical", "warning") if word in failed), "")
        n_expectations = len(_suite(name))
        marks.append(worst)
        lines.append(
            (
                name,
                found["rows"],
                found.get("judged", ""),
                found["held_back"],
                f"{n_expectations - len(failed)} of {n_expectations}",
                found.get("newest_day") or "",
                contracts.datasets[name].owner,
            )
        )
    heads = ("dataset", "rows", "judged", "held back", "expectations met", "newest day", "owner")
    return "<h2>Datasets</h2>" + _grid(heads, lines, marks)


def _dataset(name: str, found: Record, contracts: Contracts) -> str:
    dataset = contracts.datasets[name]
    measured = found.get("measured", {})
    lines, marks = [], []
    for expectation in _suite(name):
        column = str(expectation["kwargs"].get("column", ""))
        met = _failures(expectation, column, found["findings"])
        marks.append(expectation["severity"] if met else "")
        lines.append(
            (
                column,
                expectation["meta"]["reason"],
                _bounds(expectation["kwargs"]),
                expectation["severity"],
                _observed(measured.get(column), found.get("judged", 0)),
                "; ".join(met) or "yes",
            )
        )
    heads = ("column", "must not be", "allowed", "severity", "observed", "met")
    return (
        f"<h2 id='{escape(name)}'>{escape(name)}</h2><p>{escape(dataset.description)}</p>"
        f"<p>{escape(_contract(name, dataset, contracts))}</p>"
        f"<p>{found['rows']} rows came in, {found['held_back']} held back</p>"
        + _grid(heads, lines, marks)
    )


def _contract(name: str, dataset: Dataset, contracts: Contracts) -> str:
    """Return unit, key, owner, sources, lag and freshness of a dataset in one line."""
    lags = {source: contracts.lag_minutes(source) for source in dataset.sources}
    parts = [
        f"unit: {dataset.unit}",
        f"key: {', '.join(TABLES[name].key)}",
        f"owner: {dataset.owner}",
    ]
    if lags:
        told = ", ".join(f"{source} ({lag} minutes)" for source, lag in lags.items())
        parts.append(f"sources, best first, and how long after the day they publish: {told}")
    if dataset.error_after_days is not None:
        parts.append(
            f"late when the newest day is more than {dataset.warn_after_days} days behind the last"
            f" complete one, stale beyond {dataset.error_after_days}"
        )
    return "; ".join(parts)


def _compared(contracts: Contracts) -> str:
    """Return the bounds of what needs more than one row, and is no expectation."""
    bounds = contracts.agreement
    levels = [
        (f"{name} against its median of {bounds.level_days} days", f"factor {d.level_factor:g}")
        for name, d in contracts.datasets.items()
        if d.level_factor
    ]
    lines = [
        ("price of a source against the median of the sources", f"{bounds.price:.0%}"),
        ("one settlement of two vendors, a day after it", f"{bounds.funding:g}"),
        ("unit of a funding series, of two sources of a series", f"factor {bounds.unit_factor:g}"),
        *levels,
        ("a stored value that its source states anew", f"as above, else {bounds.unit_factor:g}"),
        ("rows held back of a commit", f"{contracts.quarantine.budget_share:.0%}"),
        (f"rows held back of {' and '.join(contracts.quarantine.core_assets)}", "none"),
    ]
    return "<h2>Compared across sources and days</h2>" + _grid(
        ("what", "at most"), lines, [""] * len(lines)
    )


def _suite(name: str) -> list[Record]:
    expectations: list[Record] = json.loads(
        (suites_dir() / f"lake_{name}.json").read_text("utf-8")
    )["expectations"]
    return expectations


def _failures(expectation: Record, column: str, findings: Iterable[Record]) -> list[str]:
    reason = expectation["meta"]["reason"]
    return [
        f"{f['rows'] or 'all'} rows, such as {'; '.join(f.get('sample', ())) or f['observed']}"
        for f in findings
        if (f["expectation"], f["column"], f["reason"]) == (expectation["type"], column, reason)
    ]


def _bounds(kwargs: Record) -> str:
    """Return what an expectation allows, in words.

    Examples
    --------
    >>> _bounds({"column": "close", "min_value": 0.0, "max_value": 1e8, "strict_min": True})
    'above 0, at most 1e+08'
    """
    least, most = kwargs.get("min_value"), kwargs.get("max_value")
    words = (
        [] if least is None else [f"{'above' if kwargs.get('strict_min') else 'from'} {least:g}"]
    )
    words += (
        [] if most is None else [f"{'below' if kwargs.get('strict_max') else 'at most'} {most:g}"]
    )
    words += [kwargs["regex"]] if "regex" in kwargs else []
    words += [", ".join(map(str, kwargs["value_set"]))] if "value_set" in kwargs else []
    return ", ".join(words)


def _observed(measured: Record | None, judged: int) -> str:
    if measured is None:
        return "not measured"
    if measured["missing"] >= judged:
        return f"no value in {judged} rows"
    span = " to ".join(
        f"{value:.6g}" if isinstance(value, float) else str(value).removesuffix(" 00:00:00")
        for value in (measured["lowest"], measured["highest"])
    )
    return f"{span}; {measured['missing']} of {judged} without a value"


def _grid(heads: Sequence[str], lines: Iterable[Sequence[object]], marks: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    rows = []
    for line, mark in zip(lines, marks, strict=True):
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in line)
        rows.append(f"<tr class='{escape(mark)}'>{cells}</tr>" if mark else f"<tr>{cells}</tr>")
    return f"<div class='box'><table><tr>{head}</tr>{''.join(rows)}</table></div>"
