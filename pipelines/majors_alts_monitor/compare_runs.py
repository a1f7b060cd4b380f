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

from majors_alts_monitor.config import by_dotted_key
from majors_alts_monitor.errors import ReproductionError
from majors_alts_monitor.metrics import sharpe
from majors_alts_monitor.outputs import RunTables, plain, read_run
from majors_alts_monitor.recorded_lake import remembered
from majors_alts_monitor.reproduce import other_inputs, request_from
from majors_alts_monitor.results import report
from majors_alts_monitor.run import Request, code_version, prepare, signal_document
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
    sys.stdout.write(book_table(recorded(a), recorded(b), effects))
    sys.stdout.write("\n".join(changes(a.manifest, b.manifest, code_version())) + "\n")
    if flags.json:
        document = plain({"effects": [asdict(effect) for effect in effects]})
        atomic.write_text(flags.json, readable_json(document))


def compare(a: RunTables, b: RunTables, lake_a: Path, lake_b: Path) -> list[Effect]:
    """Return the effects in the order in which the changes were made; they add up to B minus A.

    Nothing is written: neither a folder nor a trial.

    Raises
    ------
    ReproductionError
        If a lake is not the one its run read: what its data did would pass for code.
    RangeError
        If a lake does not hold the range of the other run.
    """
    for run, lake in ((a, lake_a), (b, lake_b)):
        other = other_inputs(run.manifest, lake)
        if other:
            raise ReproductionError(
                f"{lake}: {other[0]} is not what run {run.manifest['run_id']} read; name the lake "
                "of the run with --data-lake-a or --data-lake-b"
            )
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
    Sharpe: A +1.0000, B +1.5000
    cause        Sharpe   book moved  largest move
    data        +0.5000       0.1000  BTC +0.1000
    B minus A   +0.5000       0.1000
    """
    lines = [f"Sharpe: A {_signed(a.sharpe)}, B {_signed(b.sharpe)}"]
    lines.append(f"{'cause':<10} {'Sharpe':>8} {'book moved':>12}  largest move")
    for effect in effects:
        moves = sorted(effect.book_change.items(), key=lambda item: (-abs(item[1]), item[0]))
        largest = f"{moves[0][0]} {moves[0][1]:+.4f}" if moves else "none"
        lines.append(
            f"{effect.cause:<10} {_signed(effect.sharpe_change):>8} {effect.turnover:>12.4f}  "
            f"{largest}"
        )
    whole = _effect("B minus A", a, b)
    lines.append(f"{whole.cause:<10} {_signed(whole.sharpe_change):>8} {whole.turnover:>12.4f}")
    return "\n".join(lines) + "\n"


def _signed(value: float) -> str:
    """Return a ratio or a change of it; a signal has none.

    Examples
    --------
    >>> _signed(0.5), _signed(math.nan)
    ('+0.5000', 'none')
    """
    return "none" if math.isnan(value) else f"{value:+.4f}"


def book_table(a: Outcome, b: Outcome, effects: Sequence[Effect]) -> str:
    """Return the last day's book of A, what each cause did to it, and that of B, asset by asset.

    Examples
    --------
    >>> a, b = Outcome(1.0, {"BTC": 0.2}), Outcome(1.5, {"BTC": 0.3})
    >>> print(book_table(a, b, [Effect("data", 0.5, {"BTC": 0.1})]), end="")
    book             A      data         B
    BTC        +0.2000   +0.1000   +0.3000
    >>> print(book_table(a, a, []), end="")
    book: the same
    """
    moved = [effect for effect in effects if effect.book_change]
    assets = sorted({asset for effect in moved for asset in effect.book_change})
    if not assets:
        return "book: the same\n"
    lines = [f"{'book':<8}" + "".join(f"{name:>10}" for name in _columns(moved))]
    for asset in assets:
        moves = [effect.book_change.get(asset, 0.0) for effect in moved]
        weights = [a.book.get(asset, 0.0), *moves, b.book.get(asset, 0.0)]
        lines.append(f"{asset:<8}" + "".join(f"{weight:>+10.4f}" for weight in weights))
    return "\n".join(lines) + "\n"


def _columns(moved: Sequence[Effect]) -> list[str]:
    return ["A", *(effect.cause for effect in moved), "B"]


def changes(a: Mapping[str, Any], b: Mapping[str, Any], today: str) -> list[str]:
    """Return what differs between the manifests of A and B, cause by cause, in words.

    Parameters
    ----------
    a, b : mapping
        ``manifest.json``.
    today : str
        The code version both are run with in between.
    """
    said = [
        f"{cause}: {run['code_version'][:12]}, today's is {today[:12]}"
        for cause, run in (("code", a), ("code of B", b))
        if run["code_version"] != today
    ]
    inputs = [{name: one["sha256"] for name, one in run["inputs"].items()} for run in (a, b)]
    said += [f"data: {name} has other content" for name in _other_keys(*inputs)]
    if a["known_at"] != b["known_at"]:
        said.append(f"data: known_at {a['known_at']} -> {b['known_at']}")
    old, new = (by_dotted_key(run["config"]) for run in (a, b))
    said += [f"config: {key} {old.get(key)} -> {new.get(key)}" for key in _other_keys(old, new)]
    if a["command"] != b["command"]:
        words = (" ".join(map(str, run["command"].values())) for run in (a, b))
        said.append("range: " + " -> ".join(words))
    return said or ["nothing differs: same code, data, configuration and range"]


def _other_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


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
