"""Weekly upkeep: prove causality on recent days, and remove old working files.

``python -m majors_alts_monitor.upkeep --days N`` removes what can be made again: warehouses in the
cache, working folders of days and sweeps. ``--lake-days N`` lets go of former states of the lake
that no run of so many days read; older runs cannot be rebuilt then. The lake, the ledger and the
bucket are never touched.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from majors_alts_monitor.audit import audit_lake, publish, summary, write_audit
from majors_alts_monitor.daily import day_config
from majors_alts_monitor.data_io import open_lake
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.recorded_lake import held_lakes
from pipeline_kit import paths
from pipeline_kit.calendar import now_utc
from pipeline_kit.cli import Parser, run_command

LEAST_DAYS = 7
"""Younger files may belong to work that is still being retried."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.upkeep", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="keep what is younger")
    parser.add_argument("--lake-days", type=int, help="let go of states of the lake read before")
    flags = parser.parse_args(argv)
    gone = expire_work(flags.days)
    if flags.lake_days is not None:
        gone += expire_lakes(flags.lake_days)
    for path in gone:
        sys.stdout.write(f"removed {path}\n")


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
    """Remove what the cache and the working folders keep from before ``days``; return it."""
    limit = _limit(days)
    cache = paths.data_dir() / day_config().outputs.cache_dir / "warehouse"
    sweeps = paths.data_dir() / "runs" / "backtests"
    warehouses = [*cache.glob("*.duckdb"), *cache.glob("*.dbt")]
    gone = [*_old_days(limit.date()), *_older([*warehouses, *sweeps.glob("*")], limit)]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return gone


def expire_lakes(days: int) -> list[Path]:
    """Let go of the states of our lake that no run of the last ``days`` read; return them.

    Notes of where a run's lake is stay: they are small, and those of other lakes stay true.
    """
    gone = _older(held_lakes().glob("*/"), _limit(days))
    for folder in gone:
        # Out of sight first: a state that was removed by half would pass for a whole one.
        shutil.rmtree(folder.rename(folder.with_name(f".{folder.name.strip('.')}.gone")))
    return gone


def _limit(days: int) -> datetime:
    if days < LEAST_DAYS:
        raise ConfigError(f"an age of {days} days is below {LEAST_DAYS}; keep them longer")
    return now_utc() - timedelta(days=days)


def _old_days(limit: date) -> Iterator[Path]:
    for folder in sorted((paths.data_dir() / "runs" / "daily").glob("dt=*")):
        if date.fromisoformat(folder.name.removeprefix("dt=")) < limit:
            yield folder


def _older(found: Iterable[Path], limit: datetime) -> list[Path]:
    """Return by the file system's time: it says when a thing was made, and nothing else does."""
    return [
        path for path in sorted(found) if datetime.fromtimestamp(path.stat().st_mtime, UTC) < limit
    ]


if __name__ == "__main__":
    sys.exit(run_command(main))
