"""Keep the lake small without changing what it says: ``python -m lake_ingest.compact``.

A commit adds one part file per table; compaction writes a table's parts as one, sorted by key
and knowledge. Every version stays, so no query result changes. Archived answers and quarantined
rows are removed only when an age is given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_ingest.datasets import parquet_schema
from lake_ingest.seal import Snapshot, clean, read_snapshot, seal, writer_lock
from pipeline_kit.calendar import now_utc
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.contract import FACTS, TABLES
from pipeline_kit.errors import UsageProblem
from pipeline_kit.lake import connect, select_sql
from pipeline_kit.paths import bronze_dir, lake_dir, quarantine_dir

LEAST_DAYS: Final = 7
"""Younger answers may still be needed to resume a fetch."""


def compact(lake: Path, *, now: datetime, min_files: int = 8) -> dict[str, int]:
    """Write every fact that has at least ``min_files`` parts as one; return parts saved per table.

    Raises
    ------
    SealError
        If another process writes, or a file cannot be written; the old parts stay.
    """
    with writer_lock(lake):
        snapshot = read_snapshot(lake)
        clean(lake, snapshot)
        many = [name for name in FACTS if len(snapshot.files(lake, name)) >= max(min_files, 2)]
        if not many:
            return {}
        seal(
            lake,
            snapshot,
            appended={},
            replaced={name: _whole(lake, snapshot, name) for name in many},
            sealed_at=now,
            is_synthetic=bool(snapshot.is_synthetic),
        )
        return {name: len(snapshot.files(lake, name)) - 1 for name in many}


def expire_bronze(root: Path, *, today: date, keep_days: int) -> int:
    """Remove archived answers fetched more than ``keep_days`` ago; return the files removed.

    The age is that of the folder's day, never of a file.
    """
    _refuse_short(keep_days)
    removed = 0
    for folder in sorted(root.glob("*/*/")):
        if date.fromisoformat(folder.name) < today - timedelta(days=keep_days):
            for file in sorted(folder.glob("*.jsonl.gz")):
                file.unlink()
                removed += 1
            if not any(folder.iterdir()):
                folder.rmdir()
    return removed


def expire_quarantine(root: Path, *, today: date, keep_days: int) -> int:
    """Remove quarantine files whose newest row was fetched more than ``keep_days`` ago."""
    _refuse_short(keep_days)
    removed = 0
    for file in sorted(root.glob("*.parquet")):
        newest = pc.max(pq.read_table(file, columns=["fetched_at"])["fetched_at"]).as_py()
        if newest is not None and newest.date() < today - timedelta(days=keep_days):
            file.unlink()
            file.with_suffix(".released.json").unlink(missing_ok=True)
            removed += 1
    return removed


def main(argv: Sequence[str]) -> None:
    """Compact the lake, and remove what is older than the ages given."""
    parser = Parser(prog="python -m lake_ingest.compact", description=main.__doc__)
    parser.add_argument("--min-files", type=int, default=8, help="leave tables with fewer parts")
    parser.add_argument("--bronze-days", type=int, help="remove older vendor answers")
    parser.add_argument("--quarantine-days", type=int, help="remove older quarantined rows")
    arguments = parser.parse_args(argv)
    now = now_utc()
    saved = compact(lake_dir(), now=now, min_files=arguments.min_files)
    for name, parts in saved.items():
        sys.stdout.write(f"{name}: {parts + 1} parts are one\n")
    today = now.astimezone(UTC).date()
    if arguments.bronze_days is not None:
        n = expire_bronze(bronze_dir(), today=today, keep_days=arguments.bronze_days)
        sys.stdout.write(f"bronze: {n} files removed\n")
    if arguments.quarantine_days is not None:
        n = expire_quarantine(quarantine_dir(), today=today, keep_days=arguments.quarantine_days)
        sys.stdout.write(f"quarantine: {n} files removed\n")


def _whole(lake: Path, snapshot: Snapshot, name: str) -> pa.Table:
    table = TABLES[name]
    order = ", ".join([*table.key, "known_at"])
    with connect() as con:
        rows = select_sql(table, snapshot.files(lake, name))
        return con.execute(f"{rows} order by {order}").to_arrow_table().cast(parquet_schema(table))


def _refuse_short(keep_days: int) -> None:
    if keep_days < LEAST_DAYS:
        raise UsageProblem(f"an age of {keep_days} days is below {LEAST_DAYS}; keep them longer")


if __name__ == "__main__":
    sys.exit(run_command(main))
