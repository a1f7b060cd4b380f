"""Run the sandbox vendor server until it is told to stop.

Data flow: ``python -m lake_ingest.sandbox -> base URLs on stdout -> requests until SIGTERM``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from lake_ingest.sandbox.faults import load_faults
from lake_ingest.sandbox.server import DEFAULT_DAYS, DEFAULT_SEED, start
from lake_ingest.sandbox.universe import coins
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import UsageProblem


def _parser() -> Parser:
    parser = Parser(prog="python -m lake_ingest.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="which market")
    parser.add_argument("--assets", type=int, default=len(coins()), help="default: all")
    parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help="history, at least")
    parser.add_argument("--faults", type=Path, help="YAML or JSON file, see docs/sandbox.md")
    parser.add_argument(
        "--rate",
        type=int,
        default=int(os.environ.get("SANDBOX_RATE") or 0),
        help="requests a minute every vendor allows; default: what the key's plan allows",
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly."""
    arguments = _parser().parse_args(argv)
    if arguments.assets < 1 or arguments.days < 1 or arguments.rate < 0:
        raise UsageProblem("--assets and --days must be at least 1, --rate at least 0")
    settings, faults = load_faults(arguments.faults)
    if arguments.rate:
        settings = replace(settings, rate=arguments.rate)
    try:
        sandbox = start(
            port=arguments.port,
            seed=arguments.seed,
            assets=arguments.assets,
            days=arguments.days,
            settings=settings,
            faults=faults,
        )
    except OSError as e:
        raise UsageProblem(f"--port {arguments.port}: {e.strerror}; try --port 0") from e

    def stop(_number: int, _frame: FrameType | None) -> None:
        # shutdown() waits for serve_forever, which runs in this very thread.
        threading.Thread(target=sandbox.server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for name, url in sandbox.base_urls.items():
        sys.stdout.write(f"{name}={url}\n")
    sys.stdout.write("ready: " + " ".join(f"{n}={u}" for n, u in sandbox.base_urls.items()) + "\n")
    sys.stdout.flush()
    sandbox.server.serve_forever(0.1)
    sandbox.server.server_close()


if __name__ == "__main__":
    sys.exit(run_command(main))
