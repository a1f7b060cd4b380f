"""Prove that no day sees its future: ``python -m majors_alts_monitor.audit --start D --end D``.

Flow: ``lake -> dbt build, once -> for each cut: replay truncated and poisoned -> compare``. Every
mart row and every decision dated up to a cut must be bit-equal to the full run's. Exit 1 names
table, column, day and cut of the first difference. Results: ``audit.json`` and ``audit.html``.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from majors_alts_monitor.causality import (
    Leak,
    Reference,
    execution_leaks,
    fact_leaks,
    path_leaks,
    path_tables,
    poisoned,
    truncated,
)
from majors_alts_monitor.config import MonitorConfig, effective_values, load_config
from majors_alts_monitor.data_io import (
    Lake,
    check_range,
    dbt_artifacts,
    open_lake,
    open_warehouse,
    read_features,
    read_market,
)
from majors_alts_monitor.errors import CausalityError, ConfigError
from majors_alts_monitor.strategy import run_strategy
from pipeline_kit import atomic, paths
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import canonical_json, readable_json, sha256_text
from pipeline_kit.model_replay import Model, Replay, read_models

CUTS: Final = 20
WORKERS: Final = 2
CUTS_A_TASK: Final = 4


@dataclass(frozen=True, slots=True)
class Audit:
    """What was compared, and what was found."""

    start: date
    end: date
    cuts: tuple[date, ...]
    lake: Mapping[str, str]
    """SHA-256 of the content of every table."""
    config_sha256: str
    leaks: tuple[Leak, ...]

    @property
    def is_clean(self) -> bool:
        """True when no past changed with its future."""
        return not self.leaks

    def raise_for_leaks(self) -> None:
        """Raise a ``CausalityError`` naming the first leak, if there is one."""
        if self.leaks:
            more = f"; {len(self.leaks) - 1} more" if len(self.leaks) > 1 else ""
            raise CausalityError(f"audit: {self.leaks[0]}{more}")


@dataclass(frozen=True, slots=True)
class _Task:
    """Some cuts for one worker."""

    tables: Mapping[str, list[Path]]
    models: tuple[Model, ...]
    built: Path
    path: Mapping[str, pd.DataFrame]
    """``path_tables`` of the full run."""
    config: MonitorConfig
    cuts: tuple[tuple[int, date], ...]
    """Number and day."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.audit", description=__doc__)
    parser.add_argument("--start", required=True, help="first day a cut may fall on, YYYY-MM-DD")
    parser.add_argument("--end", required=True, help="last day of the range, YYYY-MM-DD")
    parser.add_argument("--cuts", type=int, default=CUTS, help=f"how many; default {CUTS}")
    parser.add_argument("--data-lake", type=Path, help="lake to read; default: ours")
    parser.add_argument("--config", type=Path, help="YAML; default: the shipped config.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one config key"
    )
    parser.add_argument("--out", type=Path, help="folder of audit.json and audit.html")
    flags = parser.parse_args(argv)
    audit = audit_lake(
        flags.data_lake or paths.lake_dir(),
        parse_day(flags.start, "--start"),
        parse_day(flags.end, "--end"),
        cuts=flags.cuts,
        config=load_config(flags.config, flags.set),
    )
    folder = write_audit(audit, flags.out or paths.data_dir() / "audit")
    sys.stdout.write(f"{summary(audit)}\naudit: {folder / 'audit.html'}\n")
    audit.raise_for_leaks()


def audit_lake(
    lake: Path,
    start: date,
    end: date,
    *,
    cuts: int = CUTS,
    config: MonitorConfig | None = None,
    workers: int = WORKERS,
) -> Audit:
    """Return the audit of a lake; nothing is written but the cached warehouse.

    Parameters
    ----------
    lake : Path
        Only read.
    start, end : date
        The range the cuts are spread over; ``end`` is the last day of the full run.
    cuts : int
        How many, at least 1; never more than there are days.
    workers : int
        Processes; the result does not depend on it.

    Raises
    ------
    ConfigError
        If the range is empty or ``cuts`` below 1.
    """
    if start > end or cuts < 1:
        raise ConfigError(f"audit: {cuts} cuts between {start} and {end}; give at least one day")
    config = config or load_config()
    opened = open_lake(lake)
    check_range(opened, start, end)
    days = cut_days(start, end, cuts)
    built = open_warehouse(opened, config, None)
    leaks, task = _full_run(opened, built, end, config)
    numbered = list(enumerate(days))
    tasks = [
        _with_cuts(task, numbered[i : i + CUTS_A_TASK])
        for i in range(0, len(numbered), CUTS_A_TASK)
    ]
    for done, found in enumerate(_run_tasks(tasks, workers), start=1):
        leaks += found
        sys.stdout.write(f"cuts: {min(done * CUTS_A_TASK, len(days))} of {len(days)}\n")
    return Audit(
        start=start,
        end=end,
        cuts=days,
        lake=dict(sorted(opened.facts.content_sha256.items())),
        config_sha256=sha256_text(canonical_json(effective_values(config))),
        leaks=tuple(sorted(leaks)),
    )


def cut_days(start: date, end: date, cuts: int) -> tuple[date, ...]:
    """Return days spread evenly over the range, each in the middle of its share.

    Examples
    --------
    >>> [str(day) for day in cut_days(date(2024, 1, 1), date(2024, 1, 10), 2)]
    ['2024-01-03', '2024-01-08']
    """
    n_days = (end - start).days + 1
    cuts = min(cuts, n_days)
    return tuple(start + timedelta(days=(2 * k + 1) * n_days // (2 * cuts)) for k in range(cuts))


def summary(audit: Audit) -> str:
    """Return the verdict in one line."""
    span = f"{len(audit.cuts)} cuts, {audit.start} to {audit.end}"
    if audit.is_clean:
        return f"no leak: {span}; truncated and poisoned, every table and decision is bit-equal"
    return f"{len(audit.leaks)} leaks: {span}; first {audit.leaks[0]}"


def write_audit(audit: Audit, folder: Path) -> Path:
    """Write ``audit.json`` and ``audit.html`` and return the folder; same audit, same bytes."""
    content: dict[str, Any] = {
        "start": str(audit.start),
        "end": str(audit.end),
        "cuts": [str(day) for day in audit.cuts],
        "lake": dict(audit.lake),
        "config_sha256": audit.config_sha256,
        "is_clean": audit.is_clean,
        "leaks": [asdict(leak) for leak in audit.leaks],
    }
    environment = Environment(
        loader=PackageLoader("majors_alts_monitor"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("audit.html.j2").render(
        audit=audit, summary=summary(audit), leaky={leak.cut for leak in audit.leaks}
    )
    atomic.write_text(folder / "audit.json", readable_json(content))
    atomic.write_text(folder / "audit.html", page)
    return folder


def _full_run(
    lake: Lake, built: Path, end: date, config: MonitorConfig
) -> tuple[list[Leak], _Task]:
    """Check the replay against dbt's build, and return what the cuts are compared with."""
    models = read_models(dbt_artifacts(built))
    strategy = run_strategy(read_market(built, end), read_features(built), config)
    with Replay(lake.tables) as replay:
        replay.attach(built, "reference")
        replay.build(models, {})
        leaks = [
            *Reference(replay).mart_leaks(None, "rows in another order"),
            *fact_leaks(replay),
            *execution_leaks(strategy, config.execution.lag_days),
        ]
    return leaks, _Task(lake.tables, models, built, path_tables(strategy), config, ())


def _with_cuts(task: _Task, cuts: Sequence[tuple[int, date]]) -> _Task:
    return _Task(task.tables, task.models, task.built, task.path, task.config, tuple(cuts))


def _run_tasks(tasks: Sequence[_Task], workers: int) -> Iterator[list[Leak]]:
    if workers == 1:
        yield from map(_audit_cuts, tasks)
        return
    # A fresh interpreter each: DuckDB's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for future in as_completed([pool.submit(_audit_cuts, task) for task in tasks]):
            yield future.result()


def _audit_cuts(task: _Task) -> list[Leak]:
    leaks: list[Leak] = []
    with Replay(task.tables) as replay:
        replay.attach(task.built, "reference")
        reference = Reference(replay)
        for number, cut in task.cuts:
            replay.build(task.models, poisoned(cut, number))
            leaks += reference.mart_leaks(cut, "poisoned")
            replay.build(task.models, truncated(cut))
            leaks += reference.mart_leaks(cut, "truncated")
            leaks += _path_leaks(replay, task, cut)
    return leaks


def _path_leaks(replay: Replay, task: _Task, cut: date) -> list[Leak]:
    """Return what the strategy decides otherwise on the marts of the last build."""
    with tempfile.TemporaryDirectory(prefix="audit.") as folder:
        marts = Path(folder) / "cut.duckdb"
        replay.export(marts)
        strategy = run_strategy(read_market(marts, cut), read_features(marts), task.config)
    return path_leaks(task.path, path_tables(strategy), cut, "truncated")


if __name__ == "__main__":
    sys.exit(run_command(main))
