"""Prove that no day sees its future: ``python -m majors_alts_monitor.audit --start D --end D``.

Flow: ``lake -> dbt build, once -> for each cut: replay truncated and poisoned -> compare``. Every
mart row, decision and memory dated up to a cut must be bit-equal to the full run's, and the state
written at the cut must lead to the full run's next day. Exit 1 names table, column, day and cut of
the first difference. Results: ``audit.json`` and ``audit.html``, also in the bucket.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from majors_alts_monitor.beta_neutral.books import Memory
from majors_alts_monitor.causality import Leak, Reference, fact_leaks, poisoned, truncated
from majors_alts_monitor.causality_path import (
    book_leaks,
    execution_leaks,
    handed_on,
    path_leaks,
    path_tables,
    resumed_leaks,
)
from majors_alts_monitor.config import MonitorConfig, effective_values, load_config
from majors_alts_monitor.data_io import (
    Lake,
    check_range,
    dbt_artifacts,
    features_of,
    market_of,
    open_warehouse,
    read_features,
    read_market,
)
from majors_alts_monitor.errors import CausalityError, ConfigError
from majors_alts_monitor.recorded_lake import open_held
from majors_alts_monitor.strategy import Strategy, run_strategy
from pipeline_kit import atomic, paths
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import canonical_json, readable_json, sha256_text
from pipeline_kit.model_replay import Model, Replay, read_models

CUTS: Final = 20
WORKERS: Final = 2


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
    """What every cut is compared with."""

    tables: Mapping[str, list[Path]]
    models: tuple[Model, ...]
    built: Path
    path: Mapping[str, pd.DataFrame]
    """``path_tables`` of the full run."""
    config: MonitorConfig
    memory: Memory
    """Books of the full run: a day whose inputs are the same bytes is not worked out again."""


Cut = tuple[int, date]
"""Number and day."""
Found = tuple[Cut, list[Leak], str]
"""The leaks at a cut, and what the run that ended there hands on."""


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
    sys.stdout.write(f"bucket: {publish(audit, folder)}\n")
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
    """Return the audit of a lake; nothing is written but caches.

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
    opened = open_held(lake)
    check_range(opened, start, end)
    days = cut_days(start, end, cuts)
    built = open_warehouse(opened, config, None)
    whole, leaks, task = _full_run(opened, built, end, config)
    sys.stdout.write("full run: done\n")
    for done, (cut, found, text) in enumerate(_run(task, enumerate(days), workers), start=1):
        leaks += found + resumed_leaks(whole, text, cut[1], config)
        sys.stdout.write(f"cuts: {done} of {len(days)}\n")
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


def publish(audit: Audit, folder: Path) -> str:
    """Put the result into the bucket under the last day audited, and return the page's address."""
    bucket, key = Bucket(), f"audits/dt={audit.end}"
    for name in ("audit.json", "audit.html"):
        bucket.put(f"{key}/{name}", (folder / name).read_bytes())
    return bucket.locate(f"{key}/audit.html")


def _full_run(
    lake: Lake, built: Path, end: date, config: MonitorConfig
) -> tuple[Strategy, list[Leak], _Task]:
    """Check the replay against dbt's build, and return what the cuts are compared with."""
    models = read_models(dbt_artifacts(built))
    memory: Memory = {}
    strategy = run_strategy(read_market(built, end), read_features(built), config, memory)
    with Replay(lake.tables) as replay:
        replay.attach(built, "reference")
        replay.build(models, {})
        leaks = [
            *Reference(replay).mart_leaks(None, "rows in another order"),
            *fact_leaks(replay),
            *execution_leaks(strategy, config.execution.lag_days),
        ]
    task = _Task(lake.tables, models, built, path_tables(strategy), config, memory)
    return strategy, leaks, task


def _run(task: _Task, cuts: Iterable[Cut], workers: int) -> Iterator[Found]:
    if workers == 1:
        with _Auditor(task) as auditor:
            yield from map(auditor.at, cuts)
        return
    # A fresh interpreter each: DuckDB's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (task,)) as pool:
        for future in as_completed([pool.submit(_audit_in_worker, cut) for cut in cuts]):
            yield future.result()


class _Auditor:
    """Holds the lake in memory and replays it as it was at one cut after the other."""

    def __init__(self, task: _Task) -> None:
        self._task, self._memory = task, dict(task.memory)
        with ExitStack() as opened:
            self._replay = opened.enter_context(Replay(task.tables))
            self._replay.attach(task.built, "reference")
            self._reference = Reference(self._replay)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        """Return the auditor itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the lake."""
        self._opened.close()

    def at(self, cut: Cut) -> Found:
        """Return what differs at a cut."""
        number, day = cut
        leaks, _ = self._variant("poisoned", poisoned(day, number), day)
        more, strategy = self._variant("truncated", truncated(day), day)
        more += book_leaks(strategy, self._task.config, day)
        return cut, leaks + more, handed_on(strategy)

    def _variant(
        self, name: str, queries: Mapping[str, str], day: date
    ) -> tuple[list[Leak], Strategy]:
        self._replay.build(self._task.models, queries)
        leaks = self._reference.mart_leaks(day, name)
        with self._replay.reading() as con:
            market, features = market_of(con, day), features_of(con)
        strategy = run_strategy(market, features, self._task.config, self._memory)
        return leaks + path_leaks(self._task.path, path_tables(strategy), day, name), strategy


_worker: _Auditor | None = None
"""The auditor of this process, where it is a worker's."""


def _start_worker(task: _Task) -> None:
    global _worker
    _worker = _Auditor(task)


def _audit_in_worker(cut: Cut) -> Found:
    if _worker is None:
        raise RuntimeError("no worker was started in this process")
    return _worker.at(cut)


if __name__ == "__main__":
    sys.exit(run_command(main))
