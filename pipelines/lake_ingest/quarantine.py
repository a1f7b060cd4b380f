"""Keep the rows a gate held back with their reasons; show them, and release them by hand.

``python -m lake_ingest.quarantine`` lists the runs, ``show RUN`` their rows, ``release RUN``
commits them past the gates: a person looked and takes the blame, so the reason is recorded in
``<run>.released.json`` beside the rows.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lake_ingest.errors import QuarantineError
from pipeline_kit import atomic
from pipeline_kit.calendar import now_utc
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import readable_json
from pipeline_kit.paths import quarantine_dir

SCHEMA: Final = pa.schema(
    [
        ("table", pa.string()),
        ("asset_id", pa.string()),
        ("date", pa.date32()),
        ("settled_at", pa.timestamp("us")),
        ("value", pa.float64()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("interval_hours", pa.float64()),
        ("mark_price", pa.float64()),
        ("fetched_at", pa.timestamp("us")),
        ("known_at", pa.timestamp("us")),
        ("known_basis", pa.string()),
    ]
)
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write(run_id: str, held: pd.DataFrame) -> Path | None:
    """Write a run's held rows to ``<run>.parquet``; null when there are none.

    Parameters
    ----------
    run_id : str
        Names the file.
    held : DataFrame
        The columns of ``SCHEMA``; ``date`` is null for settlements, ``settled_at`` for the rest.
    """
    if held.empty:
        return None
    held = held[SCHEMA.names].astype(object)
    held = held.where(held.notna(), None)
    held = held.sort_values(["table", "asset_id", "reason", "date", "settled_at", "source"])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(held, SCHEMA, preserve_index=False), sink)
    path = _file(run_id)
    atomic.write_bytes(path, sink.getvalue())
    return path


def read(run_id: str) -> pd.DataFrame:
    """Return a run's held rows.

    Raises
    ------
    QuarantineError
        If the run held nothing back, or its file is not readable.
    """
    path = _file(run_id)
    if not path.is_file():
        runs = ", ".join(list_runs()[-3:]) or "none"
        raise QuarantineError(f"no quarantined rows of run {run_id}; newest runs: {runs}")
    try:
        rows: pd.DataFrame = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as e:
        raise QuarantineError(f"{path}: not readable ({e})") from e
    return rows


def list_runs() -> list[str]:
    """Return the runs that held rows back, by name."""
    return sorted(path.stem for path in quarantine_dir().glob("*.parquet"))


def release(
    run_id: str, reason: str, *, tables: Sequence[str] = (), assets: Sequence[str] = ()
) -> int:
    """Commit a run's held rows past the gates and record why; return how many versions it made.

    A row that would have been observed is known from now on; one that was back-filled history
    keeps its assumed time.

    Parameters
    ----------
    run_id : str
        The run that held them back.
    reason : str
        Why they are right after all.
    tables, assets : sequences of str
        Only these; empty = all.

    Raises
    ------
    QuarantineError
        If no row is left to release.
    """
    from lake_ingest.curate import commit_released

    rows = read(run_id)
    wanted = rows["table"].isin(tables or rows["table"].unique())
    wanted &= rows["asset_id"].isin(assets or rows["asset_id"].unique())
    wanted &= rows["value"].notna()
    if not wanted.any():
        raise QuarantineError(f"run {run_id}: no such row with a value to release")
    now = now_utc()
    report = commit_released(rows[wanted], run_id=f"{run_id}-released", now=now)
    path = _file(run_id).with_suffix(".released.json")
    done: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    entry = {
        "released_at": now.isoformat(),
        "reason": reason,
        "tables": sorted(tables),
        "assets": sorted(assets),
        "rows": int(wanted.sum()),
        "snapshot_id": report.snapshot_id,
    }
    atomic.write_text(path, readable_json([*done, entry]))
    return sum(report.added.values()) + sum(report.revised.values())


def main(argv: Sequence[str]) -> None:
    """Review and release the rows that a gate held back."""
    arguments = _parse(argv)
    if arguments.command == "release":
        n = release(arguments.run, arguments.reason, tables=arguments.table, assets=arguments.asset)
        sys.stdout.write(f"{n} versions of run {arguments.run} released\n")
    elif arguments.command == "show":
        shown = read(arguments.run).dropna(axis="columns", how="all")
        sys.stdout.write(shown.to_string(index=False) + "\n")
    else:
        for run_id in list_runs():
            counts = read(run_id).groupby(["table", "reason"]).size().reset_index(name="rows")
            for row in counts.itertuples():
                sys.stdout.write(f"{run_id}  {row.table}  {row.rows} rows  {row.reason}\n")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="python -m lake_ingest.quarantine", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", metavar="list | show RUN | release RUN")
    commands.add_parser("list", help="runs with tables, numbers and reasons (default)")
    commands.add_parser("show", help="the rows of a run").add_argument("run")
    releasing = commands.add_parser("release", help="commit rows of a run past the gates")
    releasing.add_argument("run")
    releasing.add_argument("--reason", required=True, help="why they are right after all")
    releasing.add_argument("--table", action="append", default=[], help="only this table")
    releasing.add_argument("--asset", action="append", default=[], help="only this asset")
    return parser.parse_args(argv)


def _file(run_id: str) -> Path:
    if not _RUN.fullmatch(run_id):
        raise QuarantineError(f"{run_id!r} is not the name of a run")
    return quarantine_dir() / f"{run_id}.parquet"


if __name__ == "__main__":
    sys.exit(run_command(main))
