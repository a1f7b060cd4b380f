"""Fetch funding and open interest from CoinGlass: ``python -m lake_ingest.fetch_coinglass_data``.

The narrow command of the first system, kept under its name: it writes ``fact_funding`` and
``fact_open_interest`` and nothing else, with one key. A day's funding is the mean of its three
8-hour OI-weighted closes, so it reaches back as far as the plan shows them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from lake_ingest.fetch import Request, run_fetch
from pipeline_kit.calendar import last_complete_day, now_utc, parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import UsageProblem

DEFAULT_DAYS: Final = 360


def main(argv: Sequence[str]) -> None:
    """Fetch what the arguments say; without any, the last 360 days of the whole map."""
    parser = Parser(prog="python -m lake_ingest.fetch_coinglass_data", description=__doc__)
    parser.add_argument("--start", help=f"first UTC day; default {DEFAULT_DAYS} days before --end")
    parser.add_argument("--end", help="last UTC day; default the last whole one")
    parser.add_argument("--symbols", help="tickers such as BTC,ETH; default the whole asset map")
    parser.add_argument("--resume", action="store_true", help="go on with the last unfinished run")
    arguments = parser.parse_args(argv)
    end = parse_day(arguments.end, "--end") if arguments.end else last_complete_day(now_utc())
    start = (
        parse_day(arguments.start, "--start")
        if arguments.start
        else end - timedelta(days=DEFAULT_DAYS - 1)
    )
    if start > end:
        raise UsageProblem(f"--start {start} is after --end {end}")
    symbols = None
    if arguments.symbols is not None:
        symbols = tuple(part.strip() for part in arguments.symbols.split(",") if part.strip())
    run_fetch(
        Request(
            start,
            end,
            sources=("coinglass",),
            symbols=symbols,
            is_resumed=arguments.resume,
            is_derivatives_only=True,
        )
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
