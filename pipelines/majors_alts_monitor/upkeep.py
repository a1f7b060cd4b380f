"""Weekly upkeep: prove causality on recent days, and remove old working files.

``python -m majors_alts_monitor.upkeep --days N`` removes what can be made again: warehouses in the
cache, working folders of days and sweeps. The lake, the ledger and the bucket are never touched.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from majors_alts_monitor.audit import audit_lake, publish, summary, write_audit
from majors_alts_monitor.daily import day_config
from majors_alts_monitor.data_io import open_lake
from majors_alts_monitor.errors import ConfigError
from pipeline_kit import paths
from pipeline_kit.calendar import now_utc
from pipeline_kit.cli import Parser, run_command

LEAST_DAYS = 7
"""Younger files may belong to work that is still being retried."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.upkeep", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="keep what is younger")
    for gone in expire_work(parser.parse_args(argv).days):
        sys.stdout.write(f"removed {gone}\n")


def audit_recent(days: int, cuts: int) -> None:
    """Prove causality on the lake's last ``days`` days with ``cuts`` cuts.

    Raises
    ------
    CausalityError
        If a value of the past changed with the future.
    """
    lake = paths.lake_dir()
    facts = open_lake(lake).facts
    start = max(facts.first_day, facts.last_day - timedelta(days=days))
    audit = audit_lake(lake, start, facts.last_day, cuts=cuts, config=day_config())
    page = publish(audit, write_audit(audit, paths.data_dir() / "audit"))
    sys.stdout.write(f"{summary(audit)}\naudit: {page}\n")
    audit.raise_for_leaks()


def expire_work(days: int) -> list[Path]:
    """Remove cached warehouses and working folders older than ``days``, and return them."""
    if days < LEAST_DAYS:
        raise ConfigError(f"an age of {days} days is below {LEAST_DAYS}; keep them longer")
    limit = now_utc() - timedelta(days=days)
    gone = [*_old_days(limit.date()), *_old_files(limit)]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return gone


def _old_days(limit: date) -> Iterator[Path]:
    for folder in sorted((paths.data_dir() / "runs" / "daily").glob("dt=*")):
        if date.fromisoformat(folder.name.removeprefix("dt=")) < limit:
            yield folder


def _old_files(limit: datetime) -> Iterator[Path]:
    """Yield by the file system's time: it says when a thing was made, and nothing else does."""
    cache = paths.data_dir() / day_config().outputs.cache_dir / "warehouse"
    sweeps = paths.data_dir() / "runs" / "backtests"
    for path in sorted([*cache.glob("*.duckdb"), *cache.glob("*.dbt"), *sweeps.glob("*")]):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < limit:
            yield path


if __name__ == "__main__":
    sys.exit(run_command(main))
