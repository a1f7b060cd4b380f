"""Take an existing lake into ours: ``python -m lake_ingest.import_lake DIR``.

The lake keeps contract.md section 3 and is only read. Taking it in twice changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lake_ingest.curate import CommitReport, commit_lake
from pipeline_kit.calendar import now_utc
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import UsageProblem
from pipeline_kit.lake import check_tables, find_tables, read_manifest
from pipeline_kit.manifest import canonical_json, sha256_text
from pipeline_kit.paths import lake_dir


def import_lake(folder: Path, *, now: datetime, lake: Path | None = None) -> CommitReport:
    """Check the lake at ``folder``, commit its versions to ours, return what that changed.

    Parameters
    ----------
    folder : Path
        A foreign or a sealed lake; never touched.
    now : datetime
        UTC; when values that differ from ours become known.
    lake : Path, optional
        Default: ``paths.lake_dir()``.

    Raises
    ------
    UsageProblem
        If ``folder`` is the lake it would go into.
    LakeContractError
        If it breaks contract.md section 3.
    GateBlockedError, MixedLakeError, SealError
        As ``curate.commit``.
    """
    destination = lake or lake_dir()
    if folder.resolve() == destination.resolve():
        raise UsageProblem(f"{folder} is our own lake; there is nothing to import")
    tables = find_tables(folder, verify=True)
    facts = check_tables(tables)
    manifest = read_manifest(folder) or {}
    return commit_lake(
        tables,
        run_id="import-" + sha256_text(canonical_json(dict(facts.content_sha256)))[:12],
        now=now,
        lake=destination,
        is_synthetic=bool(manifest.get("is_synthetic")),
    )


def main(argv: Sequence[str]) -> None:
    """Take an existing lake into ours."""
    parser = Parser(prog="python -m lake_ingest.import_lake", description=main.__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR", help="the lake to take in; only read")
    folder = parser.parse_args(argv).dir
    sys.stdout.write(f"importing {folder}\n")
    report = import_lake(folder, now=now_utc())
    for name in sorted(report.added):
        sys.stdout.write(
            f"{name}: {report.added[name]} new, {report.revised[name]} revised,"
            f" {report.unchanged[name]} unchanged, {report.outranked[name]} outranked\n"
        )
    for line in report.warnings:
        sys.stdout.write(f"warning: {line}\n")
    if len(report.quarantined):
        sys.stdout.write(f"held back: {len(report.quarantined)} rows, see {report.gate_file}\n")
    sys.stdout.write(f"snapshot {report.snapshot_id} in {lake_dir()}\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
