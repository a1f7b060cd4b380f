"""The signal of one day: ``python -m majors_alts_monitor.signals --asof 2024-12-30``.

It runs the same strategy over the same history as ``run --end`` of that day, so regime, score
and targets agree to the bit. It makes no backtest claim and writes no trial.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from majors_alts_monitor import outputs
from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.recorded_lake import remember
from majors_alts_monitor.run import (
    Request,
    add_common_flags,
    manifest,
    prepare,
    request_of,
    signal_document,
)
from pipeline_kit.calendar import last_complete_day, now_utc, parse_day
from pipeline_kit.cli import Parser, run_command


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.signals", description=__doc__)
    parser.add_argument("--asof", help="day of the signal; default: the last complete UTC day")
    add_common_flags(parser)
    flags = parser.parse_args(argv)
    asof = parse_day(flags.asof, "--asof") if flags.asof else last_complete_day(now_utc())
    request = request_of(flags, "signals", asof, asof)
    folder, document = write_signal(request)
    sys.stdout.write(summary(document))
    sys.stdout.write(f"signal: {folder / 'signals_today.json'}\n")


def write_signal(request: Request) -> tuple[Path, dict[str, Any]]:
    """Write the signal's folder and return it with the document."""
    prepared = prepare(request)
    document = signal_document(prepared)
    folder = request.out or Path(request.config.outputs.reports_dir) / prepared.run_id
    outputs.write_run(
        folder, RunTables(tables={}, kpis={}, signal=document, manifest=manifest(prepared, {}))
    )
    remember(prepared.run_id, prepared.lake)
    return folder, document


def summary(document: dict[str, Any]) -> str:
    """Return the day's decision as a person reads it on a terminal.

    Examples
    --------
    >>> print(summary({"asof": "2024-01-01", "data_status": "ok", "action": "hold",
    ...     "target_weights": {"BTC": 0.25, "SOL": -0.1}, "reasons": ["BALANCED, day 2"]}), end="")
    2024-01-01  data ok
      BALANCED, day 2
      book (hold), fractions of NAV:
        BTC     +0.2500
        SOL     -0.1000
    """
    lines = [f"{document['asof']}  data {document['data_status']}"]
    lines += [f"  {reason}" for reason in document["reasons"]]
    weights = document["target_weights"]
    if not weights:
        lines.append(f"  book ({document['action']}): flat")
        return "\n".join(lines) + "\n"
    lines.append(f"  book ({document['action']}), fractions of NAV:")
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    lines += [f"    {asset:<7} {weight:+.4f}" for asset, weight in ordered]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(run_command(main))
