"""Several pieces of production at once, each in a process of its own that was forked at one time.

The argument is a JSON list of ``["day", asof]`` and ``["sweep", params]``; the output a JSON list
of ``[exit code, what was said]`` in the same order.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from majors_alts_monitor.backfill import main as sweep
from majors_alts_monitor.daily import build_day, gate_day, run_day
from majors_alts_monitor.delivery import deliver_day
from pipeline_kit.errors import PipelineError


def day(asof: str) -> None:
    """Do what the tasks of ``daily_signal`` do after the fetch."""
    for step in (build_day, gate_day, run_day, deliver_day):
        step(asof)


def whole_sweep(params: dict[str, Any]) -> None:
    """Do what the tasks of ``backfill_backtest`` do."""
    sweep([json.dumps(params)])


WORK: dict[str, Callable[..., None]] = {"day": day, "sweep": whole_sweep}


def main() -> None:
    """Start everything, wait for its end and say what came of it."""
    asked = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / str(number) for number in range(len(asked))]
        children = [
            start(WORK[name], value, log) for (name, value), log in zip(asked, logs, strict=True)
        ]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        said = [log.read_text() for log in logs]
    sys.stdout.write(json.dumps(list(zip(codes, said, strict=True))))


def start(work: Callable[..., None], value: Any, log: Path) -> int:
    """Start work in a child and return its process id."""
    child = os.fork()
    if child:
        return child
    code = 0
    with log.open("w", buffering=1) as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        try:
            work(value)
        except PipelineError as e:
            code = 1
            sys.stderr.write(f"{type(e).__name__}: {e}\n")
        except BaseException as e:
            code = 3
            sys.stderr.write(f"{type(e).__name__}: {e}\n")
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
