"""After delivery: the day's metrics beside its run, and the alerts that a good run still earns.

Flow: ``day folder, lake, gates -> metrics.json, metrics.prom, openlineage.ndjson in the bucket``.
Warnings and stale data open their incidents; a delivered day closes the failures it had before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from majors_alts_monitor.daily import bucket_key, day_folder, gate_warnings
from majors_alts_monitor.outputs import read_manifest
from majors_alts_monitor.report.lineage import run_events
from pipeline_kit import paths
from pipeline_kit.alerts import close_incident, open_incident, open_incidents
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import day_start, now_utc, parse_day
from pipeline_kit.errors import PipelineError
from pipeline_kit.manifest import canonical_json, readable_json

HELP: Final[Mapping[str, str]] = {
    "duration_seconds": "Time a step of the run took.",
    "lake_rows": "Rows of a lake table that the run read.",
    "requests": "Requests to a vendor by the fetch that last changed the lake for the day.",
    "quarantined_rows": "Rows that gate 1 held back in all.",
    "gate_warnings": "Warnings that the gates let pass.",
    "data_age_days": "Days between the day decided on and the lake's last complete day.",
    "delivered_after_seconds": "Time between the end of the day and its delivery.",
    "share_assumed": "Share of the facts whose knowledge time is assumed.",
}


def report_health(asof: str) -> dict[str, Any]:
    """Publish the day's metrics, open and close its incidents, and return the metrics.

    A run that was delivered before keeps the metrics of that delivery. A mail server or webhook
    that is down is written to the log: the signal itself is out.
    """
    day = parse_day(asof, "asof")
    bucket = Bucket()
    values = _published(day, bucket) or day_metrics(day)
    bucket.put(f"runs/daily/dt={day}/metrics.json", readable_json(values).encode())
    bucket.put(f"runs/daily/dt={day}/metrics.prom", prometheus_text(values).encode())
    bucket.put(f"runs/daily/dt={day}/openlineage.ndjson", _lineage(day, values, bucket).encode())
    try:
        _alert(day)
    except PipelineError as e:
        sys.stderr.write(f"alert: {e}\n")
    return values


def day_metrics(day: date) -> dict[str, Any]:
    """Return the metrics of a delivered day."""
    run = read_manifest(day_folder(day) / "run")
    delivered_at = now_utc()
    delivered = delivered_at - day_start(day + timedelta(days=1))
    return {
        "asof": str(day),
        "run_id": run["run_id"],
        "duration_seconds": {
            name.removesuffix("_s"): value for name, value in run["durations"].items()
        },
        "lake_rows": {name: entry["rows"] for name, entry in run["inputs"].items()},
        "requests": _requests(day),
        "quarantined_rows": _quarantined(),
        "gate_warnings": len(gate_warnings(day)),
        "data_age_days": (day - date.fromisoformat(run["last_day"])).days,
        "delivered_at": delivered_at.isoformat(),
        "delivered_after_seconds": round(delivered.total_seconds()),
        "share_assumed": run["share_assumed"],
    }


def prometheus_text(values: Mapping[str, Any]) -> str:
    """Return the metrics in Prometheus' text format.

    Examples
    --------
    >>> print(prometheus_text({"lake_rows": {"fact_price": 3}, "gate_warnings": 1}), end="")
    # HELP mam_lake_rows Rows of a lake table that the run read.
    # TYPE mam_lake_rows gauge
    mam_lake_rows{name="fact_price"} 3
    # HELP mam_gate_warnings Warnings that the gates let pass.
    # TYPE mam_gate_warnings gauge
    mam_gate_warnings 1
    """
    lines = []
    for name, words in HELP.items():
        if name not in values:
            continue
        lines += [f"# HELP mam_{name} {words}", f"# TYPE mam_{name} gauge"]
        value = values[name]
        if isinstance(value, Mapping):
            lines += [f'mam_{name}{{name="{key}"}} {value[key]}' for key in sorted(value)]
        else:
            lines.append(f"mam_{name} {value}")
    return "\n".join(lines) + "\n"


def _published(day: date, bucket: Bucket) -> dict[str, Any] | None:
    """Return what is published of the day's present run, or None."""
    found = json.loads(bucket.get(f"runs/daily/dt={day}/metrics.json") or b"{}")
    is_same = found.get("run_id") == read_manifest(day_folder(day) / "run")["run_id"]
    return found if is_same else None


def _lineage(day: date, values: Mapping[str, Any], bucket: Bucket) -> str:
    run = read_manifest(day_folder(day) / "run")
    address = bucket.locate(bucket_key(day, run["run_id"]))
    signal = json.loads((day_folder(day) / "run" / "signals_today.json").read_text("utf-8"))
    tags = {"asof": str(day), "run_id": run["run_id"]}
    tags |= {name: signal[name] for name in ("regime", "data_status")}
    events = run_events(
        run,
        "daily_signal",
        datetime.fromisoformat(values["delivered_at"]),
        lake=str(paths.lake_dir()),
        address=address,
        tags=tags,
    )
    return "".join(f"{canonical_json(event)}\n" for event in events)


def _requests(day: date) -> dict[str, int]:
    """Return requests by vendor; a repeated fetch that brought nothing new does not count."""
    counted: dict[str, int] = {}
    for file in sorted((paths.data_dir() / "fetch").glob("*.json")):
        fetch = json.loads(file.read_text("utf-8"))
        changed = sum(sum(fetch.get(name, {}).values()) for name in ("added", "revised"))
        if changed and fetch.get("arguments", {}).get("end") == str(day):
            counted = fetch["requests"]
    return counted


def _quarantined() -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in paths.quarantine_dir().glob("*.parquet"))


def _alert(day: date) -> None:
    for kind, opened in open_incidents():
        if kind == "daily_signal_failed" and opened == day:
            close_incident(kind, day)
    warnings = gate_warnings(day)
    if warnings:
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        open_incident("gate_warning", day, f"{warnings[0]}{more}")
    signal = json.loads((day_folder(day) / "run" / "signals_today.json").read_text("utf-8"))
    stale = [since for kind, since in open_incidents() if kind == "stale_data" and since <= day]
    if signal["data_status"] == "stale":
        # Days of one outage are one incident, that of its first day.
        since = min(stale, default=day)
        open_incident("stale_data", since, "data_status is stale; see reasons in the report")
    else:
        for since in stale:
            close_incident("stale_data", since)
