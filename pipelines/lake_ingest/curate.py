"""Take rows into the lake: compare, judge, decide versions, seal; the only way in.

Data flow: ``incoming rows -> staging -> gate 1 and agreement -> versions -> seal``. Three doors
lead here: ``commit`` for a fetch, ``commit_lake`` for another lake, ``commit_released`` for rows
a person took out of quarantine. Nothing is ever edited or removed: a commit adds versions or
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd
import pyarrow as pa

from lake_ingest import agreement, dimensions, gate, quality, quarantine, versions
from lake_ingest.asked import asked_ranges, coverage, merge_asked
from lake_ingest.datasets import load_contracts
from lake_ingest.errors import GateBlockedError, MixedLakeError
from lake_ingest.seal import ASKED, Snapshot, clean, read_snapshot, seal, writer_lock
from lake_ingest.staging import open_store, stage_files, stage_frame
from pipeline_kit.calendar import last_complete_day
from pipeline_kit.contract import FACTS, TABLES, Table
from pipeline_kit.expectations import Finding, Severity
from pipeline_kit.lake import Tables
from pipeline_kit.paths import lake_dir

__all__ = [
    "CommitReport",
    "Fetched",
    "asked_ranges",
    "commit",
    "commit_lake",
    "commit_released",
    "coverage",
]

_HELD: Final = ["table", "row_id", "reason"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brings."""

    tables: Mapping[str, pd.DataFrame]
    """Facts: the contract's columns and units, ``source``, ``fetched_at``; all candidates of a key
    are welcome. Dimensions: the state as seen now."""

    asked: pd.DataFrame
    """Answered series: table, source, asset_id, first_day, last_day (inclusive), asked_at."""

    checks: pd.DataFrame | None = None
    """Rows that are compared and never stored: table, asset_id, at, value, source."""


@dataclass(frozen=True, slots=True)
class CommitReport:
    """What a commit did."""

    snapshot_id: str
    added: Mapping[str, int]
    """New keys per table."""

    revised: Mapping[str, int]
    """New versions of known keys per table."""

    unchanged: Mapping[str, int]
    outranked: Mapping[str, int]
    """Rows that a better source answers for, and versions older than ours."""

    quarantined: pd.DataFrame
    """Held rows in the columns of ``quarantine.SCHEMA``."""

    restatements: pd.DataFrame
    """Changed values: table_name, asset_id, source, rows, first_day, last_day, largest_change."""

    warnings: tuple[str, ...]
    gate_file: Path
    """The gate's result, one JSON file."""


@dataclass(slots=True)
class _Inspection:
    """What the gates said about the staged rows."""

    held: pd.DataFrame
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def judge(self, table: Table, rows: pd.DataFrame) -> pd.DataFrame:
        """Let gate 1 look at a table's rows; return those it holds back."""
        findings = self.findings[table.name] = gate.inspect(table, rows)
        self.reports[table.name] = gate.report(table, rows, findings)
        return gate.held_back(table, rows, findings)


def commit(
    fetched: Fetched,
    *,
    run_id: str,
    now: datetime,
    lake: Path | None = None,
    is_synthetic: bool = False,
) -> CommitReport:
    """Take a fetch into the lake and say what that changed.

    Parameters
    ----------
    fetched : Fetched
        Rows, what was asked for, and rows for comparison.
    run_id : str
        Names the quarantine file and the gate's result.
    now : datetime
        UTC; recorded as the time of sealing, and the day freshness is measured from.
    lake : Path, optional
        Default: ``paths.lake_dir()``.
    is_synthetic : bool
        Whether the sandbox made the rows.

    Raises
    ------
    GateBlockedError
        If a core asset or more than the budget is held back; nothing is sealed.
    MixedLakeError
        If synthetic rows meet a real lake, or the reverse.
    SealError
        If another process writes, or a file cannot be written.
    """

    def stage(con: duckdb.DuckDBPyConnection) -> list[str]:
        agreement.register_checks(con, fetched.checks)
        staged = [name for name in FACTS if len(fetched.tables.get(name, ()))]
        for name in staged:
            stage_frame(con, TABLES[name], fetched.tables[name])
        return staged

    dims = {name: frame for name, frame in fetched.tables.items() if not TABLES[name].is_fact}
    job = _Job(run_id, now, lake or lake_dir(), is_synthetic, is_compared=True)
    return _run(job, stage, dims, fetched.asked)


def commit_lake(
    tables: Tables, *, run_id: str, now: datetime, lake: Path, is_synthetic: bool
) -> CommitReport:
    """Take another lake's tables, which keep the contract, into ours.

    Versions keep their ``known_at``; without one they are assumed. A key we hold already gets
    only what is newer or differs. Raises like ``commit``.
    """

    def stage(con: duckdb.DuckDBPyConnection) -> list[str]:
        staged = [name for name in FACTS if tables.get(name)]
        for name in staged:
            stage_files(con, TABLES[name], tables[name], now)
        return staged

    dims = {
        name: dimensions.read_stored(TABLES[name], files)
        for name, files in tables.items()
        if not TABLES[name].is_fact
    }
    return _run(_Job(run_id, now, lake, is_synthetic), stage, dims, None)


def commit_released(rows: pd.DataFrame, *, run_id: str, now: datetime) -> CommitReport:
    """Take rows out of quarantine into the lake; no gate looks at them again.

    Parameters
    ----------
    rows : DataFrame
        Columns of ``quarantine.SCHEMA``.
    run_id, now
        As in ``commit``.
    """
    stamp = pd.Timestamp(now.astimezone(UTC).replace(tzinfo=None))
    is_assumed = rows["known_basis"] == "assumed"
    rows = rows.assign(
        given_at=rows["known_at"].where(is_assumed, stamp),
        given_basis=rows["known_basis"],
        fetched_at=stamp,
    )

    def stage(con: duckdb.DuckDBPyConnection) -> list[str]:
        names = [name for name in FACTS if (rows["table"] == name).any()]
        for name in names:
            own = rows[rows["table"] == name].rename(columns={"value": str(TABLES[name].value)})
            stage_frame(con, TABLES[name], own)
        return names

    lake = lake_dir()
    is_synthetic = bool(read_snapshot(lake).is_synthetic)
    job = _Job(run_id, now, lake, is_synthetic, is_judged=False)
    return _run(job, stage, {}, None)


@dataclass(frozen=True, slots=True)
class _Job:
    """How one commit is to be done."""

    run_id: str
    now: datetime
    lake: Path
    is_synthetic: bool
    is_judged: bool = True
    """Whether gate 1 looks at the rows."""

    is_compared: bool = False
    """Whether sources and levels are compared; only what was fetched is."""


def _run(
    job: _Job,
    stage: Callable[[duckdb.DuckDBPyConnection], list[str]],
    dims: Mapping[str, pd.DataFrame],
    asked: pd.DataFrame | None,
) -> CommitReport:
    with writer_lock(job.lake):
        snapshot = read_snapshot(job.lake)
        _refuse_mixture(job, snapshot)
        clean(job.lake, snapshot)
        with open_store(job.lake, snapshot) as con:
            staged = stage(con)
            for name in staged:
                versions.mark(con, TABLES[name])
            inspection = _inspect(con, job, staged)
            changed, bad_dims = _judge_dims(job, snapshot, dims, inspection)
            held = pd.concat([_describe_held(con, inspection.held), bad_dims], ignore_index=True)
            _record_findings(con, job, inspection, held)
            quarantine.write(job.run_id, held)
            _refuse_overdraft(job, inspection, held)
            counts = {
                name: versions.settle(con, TABLES[name], _of(inspection.held, name))
                for name in staged
            }
            appended = {name: versions.new_versions(con, TABLES[name]) for name in staged}
            sealed = _seal(con, job, snapshot, appended, changed, asked)
            warnings = tuple(_warnings(con, job, inspection, appended))
            if warnings:
                _record_findings(con, job, inspection, held, warnings)
            return CommitReport(
                snapshot_id=sealed.snapshot_id,
                added=_count(counts, "new"),
                revised=_count(counts, "revised", "later"),
                unchanged=_count(counts, "unchanged"),
                outranked=_count(counts, "outranked", "older"),
                quarantined=held,
                restatements=_restatements(con, staged),
                warnings=warnings,
                gate_file=quality.gate_file(job.run_id),
            )


def _refuse_mixture(job: _Job, snapshot: Snapshot) -> None:
    if snapshot.is_synthetic is not None and snapshot.is_synthetic != job.is_synthetic:
        there, here = ("synthetic", "real") if snapshot.is_synthetic else ("real", "synthetic")
        raise MixedLakeError(
            f"{job.lake} holds {there} rows, these are {here}; set MAM_DATA_DIR to another folder"
        )


def _inspect(con: duckdb.DuckDBPyConnection, job: _Job, staged: Sequence[str]) -> _Inspection:
    inspection = _Inspection(pd.DataFrame({name: [] for name in _HELD}))
    held, fresh = [inspection.held], []
    for name in staged:
        found = con.execute(f"select count(*) from staged_{name}").fetchone()  # noqa: S608
        inspection.rows[name] = int(found[0]) if found else 0
        if job.is_judged:
            rows = versions.fresh_rows(con, TABLES[name])
            fresh += [name] if len(rows) else []
            held.append(inspection.judge(TABLES[name], rows))
    if job.is_compared:
        held.append(agreement.disagreements(con, fresh))
    whole = pd.concat([frame for frame in held if len(frame)] or held[:1], ignore_index=True)
    inspection.held = whole.drop_duplicates(["table", "row_id"]).reset_index(drop=True)
    return inspection


def _judge_dims(
    job: _Job, snapshot: Snapshot, dims: Mapping[str, pd.DataFrame], inspection: _Inspection
) -> tuple[dict[str, pa.Table], pd.DataFrame]:
    """Return the dimensions that change, as they will be, and the rows gate 1 refuses."""
    changed: dict[str, pa.Table] = {}
    refused = [pd.DataFrame({name: [] for name in quarantine.SCHEMA.names})]
    for name, frame in dims.items():
        table = TABLES[name]
        stored = dimensions.read_stored(table, snapshot.files(job.lake, name))
        rows = dimensions.changed_rows(stored, dimensions.completed(table, stored, frame))
        inspection.rows[name] = len(frame)
        rows["row_id"] = range(len(rows))
        held = inspection.judge(table, rows)
        refused.append(_refused_dims(table, rows.merge(held, on="row_id")))
        rows = rows[~rows["row_id"].isin(held["row_id"])].drop(columns="row_id")
        if len(rows):
            changed[name] = dimensions.merge(table, stored, rows)
    return changed, pd.concat([f for f in refused if len(f)] or refused[:1], ignore_index=True)


def _refused_dims(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    described = rows["reason"] + " of " + rows[table.key[0]].astype(str)
    return pd.DataFrame(
        {"table": table.name, "asset_id": rows["asset_id"], "reason": described},
        columns=pd.Index(quarantine.SCHEMA.names),
    )


def _of(held: pd.DataFrame, name: str) -> pd.DataFrame:
    return held[held["table"] == name].astype({"row_id": "int64"})


def _describe_held(con: duckdb.DuckDBPyConnection, held: pd.DataFrame) -> pd.DataFrame:
    """Return the held facts in the columns of the quarantine file."""
    parts = [pd.DataFrame({name: [] for name in quarantine.SCHEMA.names})]
    for name in held["table"].unique():
        table = TABLES[name]
        con.register("held_rows", _of(held, name))
        rows = con.execute(
            f"select m.*, h.reason from marked_{name} as m join held_rows as h using (row_id)"  # noqa: S608
            " order by row_id"
        ).df()
        con.unregister("held_rows")
        rows = rows.rename(columns={str(table.value): "value"}).assign(table=name)
        if "date" in rows:
            rows["date"] = rows["date"].dt.date
        parts.append(rows.reindex(columns=quarantine.SCHEMA.names))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _refuse_overdraft(job: _Job, inspection: _Inspection, held: pd.DataFrame) -> None:
    """Block the commit when a core asset or more than the budget is held back."""
    bounds = load_contracts().quarantine
    total = sum(inspection.rows.values())
    core = held[held["asset_id"].isin(bounds.core_assets)]
    if core.empty and len(held) <= bounds.budget_share * total:
        return
    worst = (core if len(core) else held).iloc[0]
    day = worst["date"] if pd.notna(worst["date"]) else worst["settled_at"]
    raise GateBlockedError(
        f"gate 1: {len(held)} of {total} rows held back (budget {bounds.budget_share:.0%}),"
        f" {len(core)} of {' and '.join(bounds.core_assets)}; first {worst['table']}"
        f" {worst['asset_id']} {day}: {worst['reason']}; nothing was stored, review with"
        f' "python -m lake_ingest.quarantine show {job.run_id}"'
    )


def _seal(
    con: duckdb.DuckDBPyConnection,
    job: _Job,
    snapshot: Snapshot,
    appended: Mapping[str, pa.Table],
    changed: Mapping[str, pa.Table],
    asked: pd.DataFrame | None,
) -> Snapshot:
    """Seal what is new; return the old snapshot when nothing is."""
    replaced = dict(changed)
    if asked is not None and len(asked):
        before = con.execute("select * from asked").to_arrow_table()
        after = merge_asked(con, asked)
        if not after.equals(before.cast(after.schema)):
            replaced[ASKED] = after
    appended = {name: rows for name, rows in appended.items() if rows.num_rows}
    if not appended and not replaced:
        return snapshot
    return seal(
        job.lake,
        snapshot,
        appended=appended,
        replaced=replaced,
        sealed_at=job.now,
        is_synthetic=job.is_synthetic,
    )


def _count(counts: Mapping[str, Mapping[str, int]], *verdicts: str) -> dict[str, int]:
    return {name: sum(of.get(verdict, 0) for verdict in verdicts) for name, of in counts.items()}


def _restatements(con: duckdb.DuckDBPyConnection, staged: Sequence[str]) -> pd.DataFrame:
    frames = [versions.restatements(con, TABLES[name]) for name in staged]
    columns = ["table_name", "asset_id", "source", "rows", "first_day", "last_day"]
    empty = pd.DataFrame({name: [] for name in [*columns, "largest_change"]})
    return pd.concat([f for f in frames if len(f)] or [empty], ignore_index=True)


def _warnings(
    con: duckdb.DuckDBPyConnection,
    job: _Job,
    inspection: _Inspection,
    appended: Mapping[str, pa.Table],
) -> list[str]:
    lines = [
        f"{name}: {finding.reason}, {len(finding.rows) or 'all'} rows, such as {finding.observed}"
        for name, findings in inspection.findings.items()
        for finding in findings
        if finding.severity is Severity.WARNING
    ]
    if not job.is_compared:
        return lines
    alarm = agreement.funding_alarm(con)
    return [*lines, *([alarm] if alarm else []), *_stale(con, job, appended)]


def _stale(
    con: duckdb.DuckDBPyConnection, job: _Job, appended: Mapping[str, pa.Table]
) -> list[str]:
    """Return a line per table whose newest day, as it stands after the commit, is too old."""
    lines = []
    complete = last_complete_day(job.now)
    for name in FACTS:
        day = "settled_at - interval 1 microsecond" if "settlement" in name else "date"
        days = f"select max(cast({day} as date)) as newest from stored_{name}"  # noqa: S608
        if name in appended:
            days += f" union all select max(day) from settled_{name}"  # noqa: S608
        found = con.execute(f"select max(newest) from ({days})").fetchone()  # noqa: S608
        newest = found[0] if found else None
        word = load_contracts().datasets[name].age_word((complete - newest).days) if newest else ""
        if word:
            lines.append(f"{name}: {word}, newest day {newest}, last complete day {complete}")
    return lines


def _record_findings(
    con: duckdb.DuckDBPyConnection,
    job: _Job,
    inspection: _Inspection,
    held: pd.DataFrame,
    warnings: Sequence[str] = (),
) -> None:
    """Write what the gate looked at and found, for the run's data-quality folder."""
    tables: dict[str, Any] = {
        name: {
            "rows": rows,
            "held_back": int((held["table"] == name).sum()),
            "newest_day": _newest_day(con, [name] if TABLES[name].is_fact else []),
            **inspection.reports.get(name, {"findings": []}),
        }
        for name, rows in sorted(inspection.rows.items())
    }
    reasons = [
        {
            "table": name,
            "reason": reason,
            "rows": len(rows),
            "sample": gate.describe(
                TABLES[str(name)],
                rows.rename(columns={"value": TABLES[str(name)].value or "value"})[: gate.SAMPLES],
            ),
        }
        for (name, reason), rows in held.groupby(["table", "reason"])
    ]
    quality.write_run(
        {
            "run_id": job.run_id,
            "newest_day": _newest_day(con, [name for name in tables if TABLES[name].is_fact]),
            "tables": tables,
            "held_back": reasons,
            "warnings": list(warnings),
        }
    )


def _newest_day(con: duckdb.DuckDBPyConnection, staged: Sequence[str]) -> str | None:
    days = [con.execute(f"select max(day) from staged_{name}").fetchone() for name in staged]  # noqa: S608
    return max((str(found[0]) for found in days if found and found[0]), default=None)
