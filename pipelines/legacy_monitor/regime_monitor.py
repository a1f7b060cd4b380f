"""The previous API-based monitor: ``python -m legacy_monitor.regime_monitor --asof D``.

It scores, appends one row a day to ``regime_history.csv`` and trades nothing; a day that is there
already is left as it is. ``--historical N`` scores the last N complete days; ``--data-lake DIR``
reads a lake instead of the vendors, which is how the comparison study drives it. CoinGecko's demo
plan shows 365 days, 100 of which are warm-up, so live N ends near 260.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from legacy_monitor.formulas import COLUMNS, history
from legacy_monitor.inputs import from_lake, from_vendors
from pipeline_kit import atomic
from pipeline_kit.calendar import last_complete_day, now_utc, parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import DataProblem, UsageProblem

HISTORY: Final = "regime_history.csv"
MOST_DAYS: Final = 10_000
"""More days than the asset class has."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m legacy_monitor.regime_monitor", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--asof", help="score this complete UTC day")
    what.add_argument("--historical", type=int, metavar="N", help="score the last N complete days")
    parser.add_argument("--end", help="with --historical: the last of the days")
    parser.add_argument("--data-lake", type=Path, help="read a lake instead of the vendors")
    parser.add_argument("--history", type=Path, default=Path(HISTORY), help="the file appended to")
    flags = parser.parse_args(argv)
    first, last = _span(flags.asof, flags.historical, flags.end)
    inputs = (
        from_lake(flags.data_lake, first, last) if flags.data_lake else from_vendors(first, last)
    )
    rows = history(inputs.closes, inputs.funding_8h, inputs.btc_open_interest)
    fresh = rows[rows["date_iso"] >= str(first)]
    added = append(flags.history, fresh)
    newest = fresh.iloc[-1]
    score = "no score" if pd.isna(newest["regime_score"]) else f"{newest['regime_score']:.1f}"
    sys.stdout.write(f"{newest['date_iso']}  {score}  {newest['bucket'] or 'inputs missing'}\n")
    sys.stdout.write(f"{flags.history}: {added} rows added\n")


def append(path: Path, rows: pd.DataFrame) -> int:
    """Add the days that ``path`` does not hold yet and return how many; the file stays whole.

    Raises
    ------
    DataProblem
        If the file is not a history of this monitor.
    """
    present = path.read_text("utf-8") if path.is_file() else ",".join(COLUMNS) + "\n"
    header, *lines = present.splitlines()
    if header.split(",") != list(COLUMNS):
        raise DataProblem(f"{path}: has other columns; move it away or name another --history")
    known = {line.split(",", 1)[0] for line in lines}
    new = rows[~rows["date_iso"].isin(known)]
    if new.empty:
        return 0
    text = new.to_csv(index=False, header=False, columns=list(COLUMNS), lineterminator="\n")
    ordered = sorted([*lines, *text.splitlines()])
    atomic.write_text(path, "\n".join([header, *ordered]) + "\n")
    return len(new)


def _span(asof: str | None, historical: int | None, end: str | None) -> tuple[date, date]:
    newest = last_complete_day(now_utc())
    flag, text = ("--asof", asof) if asof is not None else ("--end", end)
    last = newest if text is None else parse_day(text, flag)
    if last > newest:
        raise DataProblem(f"{flag} {last} has not ended; the last complete day is {newest}")
    if asof is not None:
        return last, last
    if historical is None or not 1 <= historical <= MOST_DAYS:
        raise UsageProblem(f"--historical: must be 1 to {MOST_DAYS}, was {historical}")
    return last - timedelta(days=historical - 1), last


if __name__ == "__main__":
    sys.exit(run_command(main))
