"""Write down what gate 1 found: JSON and a page per run, and both once more per day.

``data/dq/<run>.gate1.json`` and ``.html`` belong to a run; ``data/dq/dt=D/gate1.*`` unite all runs
whose newest day is ``D``, so that a task that was repeated loses no warning of its first try. The
pages are our own (``quality_page``): those of Great Expectations load from six other hosts and
differ at every call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from lake_ingest.gate import SAMPLES
from lake_ingest.quality_page import page
from pipeline_kit import atomic
from pipeline_kit.manifest import canonical_json, readable_json
from pipeline_kit.paths import quality_dir

Record = Mapping[str, Any]


def gate_file(run_id: str) -> Path:
    """Return where a run's findings are."""
    return quality_dir() / f"{run_id}.gate1.json"


def write_run(record: Record) -> None:
    """Write a run's findings beside those it had before it was resumed.

    Parameters
    ----------
    record : mapping
        ``run_id``, ``newest_day`` (ISO or null), ``tables`` (rows, held_back, newest_day, and what
        ``gate.report`` says), ``held_back`` (table, reason, rows, sample) and ``warnings``.
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
    held: dict[tuple[str, str], tuple[int, list[str]]] = {}
    warnings: set[str] = set()
    newest: set[str] = set()
    for record in records:
        newest |= {record["newest_day"]} - {None}
        warnings |= set(record["warnings"])
        for name, found in record["tables"].items():
            tables[name] = _unite_table(tables.get(name, found), found)
        for one in record["held_back"]:
            rows, sample = held.get(key := (one["table"], one["reason"]), (0, []))
            both = sorted({*sample, *one.get("sample", ())})[:SAMPLES]
            held[key] = (max(rows, one["rows"]), both)
    return {
        "newest_day": max(newest, default=None),
        "tables": dict(sorted(tables.items())),
        "held_back": [
            {"table": table, "reason": reason, "rows": rows, "sample": sample}
            for (table, reason), (rows, sample) in sorted(held.items())
        ],
        "warnings": sorted(warnings),
    }


def _unite_table(one: Record, other: Record) -> dict[str, Any]:
    findings = {canonical_json(f): f for f in [*one["findings"], *other["findings"]]}
    days = [str(of["newest_day"]) for of in (one, other) if of.get("newest_day")]
    return {
        "rows": max(one["rows"], other["rows"]),
        "judged": max(one.get("judged", 0), other.get("judged", 0)),
        "held_back": max(one["held_back"], other["held_back"]),
        "newest_day": max(days, default=None),
        "measured": _unite_measures(one.get("measured", {}), other.get("measured", {})),
        "findings": [findings[text] for text in sorted(findings)],
    }


def _unite_measures(one: Record, other: Record) -> dict[str, Any]:
    """Return the widest range per column of two halves of a run, or two runs of a day."""
    united = {**other, **one}
    for column in one.keys() & other.keys():
        both = (one[column], other[column])
        united[column] = {
            "lowest": min((m["lowest"] for m in both if m["lowest"] is not None), default=None),
            "highest": max((m["highest"] for m in both if m["highest"] is not None), default=None),
            "missing": max(m["missing"] for m in both),
        }
    return dict(sorted(united.items()))
