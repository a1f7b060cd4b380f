"""Say why two runs differ: ``python -m majors_alts_monitor.compare_runs A B``.

Flow: ``A as recorded -> A with today's code -> on B's data -> with B's config -> over B's range ->
B as recorded``. Each step changes one thing, so the parts add up to the whole change in Sharpe and
in the last day's book. ``--data-lake-a`` and ``--data-lake-b`` name lakes; default: as recorded.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from majors_alts_monitor.metrics import sharpe
from majors_alts_monitor.outputs import RunTables, plain, read_run
from majors_alts_monitor.recorded_lake import remembered
from majors_alts_monitor.reproduce import request_from
from majors_alts_monitor.results import report
from majors_alts_monitor.run import Request, prepare, signal_document
from pipeline_kit import atomic
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import readable_json


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run is compared by."""

    sharpe: float
    """NaN for a signal, which has no returns."""
    book: Mapping[str, float]
    """Targets of the last day, fractions of NAV."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one change did."""

    cause: str
    """code, data, config, range, or "code of B": what B's own code did otherwise."""
    sharpe_change: float
    book_change: Mapping[str, float]
    """By asset, zeros left out."""

    @property
    def turnover(self) -> float:
        """Sum of absolute changes of the book, fraction of NAV."""
        return math.fsum(abs(change) for change in self.book_change.values())


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.compare_runs", description=__doc__)
    parser.add_argument("a", type=Path, metavar="A", help="a run folder")
    parser.add_argument("b", type=Path, metavar="B", help="another run folder")
    parser.add_argument("--data-lake-a", type=Path, help="the lake of A; default: as recorded")
    parser.add_argument("--data-lake-b", type=Path, help="the lake of B; default: as recorded")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    flags = parser.parse_args(argv)
    a, b = read_run(flags.a), read_run(flags.b)
    lake_a = flags.data_lake_a or remembered(str(a.manifest["run_id"]))
    lake_b = flags.data_lake_b or remembered(str(b.manifest["run_id"]))
    effects = compare(a, b, lake_a, lake_b)
    sys.stdout.write(table(recorded(a), recorded(b), effects))
    document = readable_json(plain({"effects": [asdict(e) for e in effects]}))
    if flags.json:
        atomic.write_text(flags.json, document)
    else:
        sys.stdout.write(document)


def compare(a: RunTables, b: RunTables, lake_a: Path, lake_b: Path) -> list[Effect]:
    """Return the effects in the order in which the changes were made; they add up to B minus A.

    Nothing is written: neither a folder nor a trial.

    Raises
    ------
    RangeError
        If a lake does not hold the range of the run.
    """
    first = request_from(a.manifest, lake_a, Path("unused"))
    last = request_from(b.manifest, lake_b, Path("unused"))
    effects, before = [], recorded(a)
    for cause, request in _steps(first, last):
        after = outcome(request)
        effects.append(_effect(cause, before, after))
        before = after
    effects.append(_effect("code of B", before, recorded(b)))
    return effects


def recorded(run: RunTables) -> Outcome:
    """Return the outcome that a run folder holds."""
    value = run.kpis.get("sharpe")
    return Outcome(math.nan if value is None else value, run.signal["target_weights"])


def outcome(request: Request) -> Outcome:
    """Return the outcome of a request under today's code."""
    prepared = prepare(request)
    strategy = prepared.strategy
    book: dict[str, float] = plain(signal_document(prepared)["target_weights"])
    if request.command == "signals":
        return Outcome(math.nan, book)
    dates = strategy.market.dates
    first = int(dates.get_indexer(pd.DatetimeIndex([request.start]))[0])
    reported = report(
        strategy.walk,
        strategy.signals,
        strategy.market,
        request.config,
        first,
        np.zeros(len(dates)),
    )
    return Outcome(float(sharpe(reported.daily["r_ls_net"])), book)


def table(a: Outcome, b: Outcome, effects: Sequence[Effect]) -> str:
    """Return the split as text.

    Examples
    --------
    >>> a, b = Outcome(1.0, {"BTC": 0.2}), Outcome(1.5, {"BTC": 0.3})
    >>> print(table(a, b, [Effect("data", 0.5, {"BTC": 0.1})]), end="")
    cause        Sharpe   book moved  largest move
    data        +0.5000       0.1000  BTC +0.1000
    B minus A   +0.5000       0.1000
    """
    lines = [f"{'cause':<10} {'Sharpe':>8} {'book moved':>12}  largest move"]
    for effect in effects:
        moves = sorted(effect.book_change.items(), key=lambda item: (-abs(item[1]), item[0]))
        largest = f"{moves[0][0]} {moves[0][1]:+.4f}" if moves else "none"
        lines.append(
            f"{effect.cause:<10} {effect.sharpe_change:>+8.4f} {effect.turnover:>12.4f}  {largest}"
        )
    whole = _effect("B minus A", a, b)
    lines.append(f"{whole.cause:<10} {whole.sharpe_change:>+8.4f} {whole.turnover:>12.4f}")
    return "\n".join(lines) + "\n"


def _steps(first: Request, last: Request) -> Iterator[tuple[str, Request]]:
    yield "code", first
    on_data = replace(first, lake=last.lake, known_at=last.known_at)
    yield "data", on_data
    with_config = replace(on_data, config=last.config)
    yield "config", with_config
    if (first.command, first.start, first.end) != (last.command, last.start, last.end):
        yield "range", last


def _effect(cause: str, before: Outcome, after: Outcome) -> Effect:
    names = sorted(before.book.keys() | after.book.keys())
    moves = {name: after.book.get(name, 0.0) - before.book.get(name, 0.0) for name in names}
    change: Any = after.sharpe - before.sharpe
    return Effect(cause, float(change), {name: move for name, move in moves.items() if move})


if __name__ == "__main__":
    sys.exit(run_command(main))
