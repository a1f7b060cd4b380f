"""The trial ledger: one row per run ever made, so that luck can be counted.

``<data>/ledger/trials.jsonl`` is append-only and hash-chained: each line holds the hash of the
line before it and its own, so a changed, moved or removed line is seen; ``head.json`` holds the
number of lines and the last hash, so a cut end is seen too. Writers take turns by a file lock.
A line whose writer died half-way was never counted: the next writer drops it.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from majors_alts_monitor.errors import LedgerError
from majors_alts_monitor.statistics import Trials, sample_variance
from pipeline_kit import atomic
from pipeline_kit.manifest import canonical_json, sha256_text
from pipeline_kit.paths import ledger_dir

_TRIALS: Final = "trials.jsonl"
_HEAD: Final = "head.json"
_LOCK: Final = "lock"
_GENESIS: Final = "0" * 64
_REMEDY: Final = "restore it from a backup, or move it away to start a new count"


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of the ledger."""

    run_id: str
    command: str
    inputs_id: str
    """Identity of the data; trials on the same data compete."""
    sharpe: float | None
    """Per period, net; null when undefined."""
    n_days: int
    previous: str
    """Hash of the row before."""
    hash: str


def record(
    run_id: str,
    *,
    command: str,
    inputs_id: str,
    sharpe: float,
    n_days: int,
    folder: Path | None = None,
) -> Trials:
    """Add a run to the ledger and return the trials on its inputs, itself included.

    A run that is already there adds nothing and gets what it got the first time, so repeating
    it gives the same bytes.

    Parameters
    ----------
    run_id : str
        Hash of command, effective configuration, inputs, known_at, lock and code.
    command : str
        What ran.
    inputs_id : str
        Hash of the input tables.
    sharpe : float
        Per-period Sharpe ratio of the net returns; NaN when undefined.
    n_days : int
        Number of returns.
    folder : Path, optional
        Instead of ``MAM_DATA_DIR/ledger``.

    Raises
    ------
    LedgerError
        If the ledger was altered.
    """
    place = folder or ledger_dir()
    with _locked(place):
        trials = _checked_rows(place)
        if all(trial.run_id != run_id for trial in trials):
            previous = trials[-1].hash if trials else _GENESIS
            content: dict[str, Any] = {
                "run_id": run_id,
                "command": command,
                "inputs_id": inputs_id,
                "sharpe": sharpe if math.isfinite(sharpe) else None,
                "n_days": n_days,
                "previous": previous,
            }
            trials.append(Trial(**content, hash=sha256_text(canonical_json(content))))
            _append(place, trials)
    return _as_of(trials, run_id)


def trials_of(run_id: str, *, folder: Path | None = None) -> Trials:
    """Return the trials a recorded run was counted among; nothing is written.

    Raises
    ------
    LedgerError
        If the run is not in the ledger, or the ledger was altered.
    """
    trials = read_trials(folder=folder)
    if all(trial.run_id != run_id for trial in trials):
        raise LedgerError(f"{folder or ledger_dir()}: no trial {run_id}")
    return _as_of(trials, run_id)


def read_trials(*, folder: Path | None = None) -> list[Trial]:
    """Return every trial in the order of recording, after checking the whole chain.

    Raises
    ------
    LedgerError
        If the ledger was altered.
    """
    place = folder or ledger_dir()
    with _shared(place):
        return _checked_rows(place)


def _as_of(trials: list[Trial], run_id: str) -> Trials:
    position = next(i for i, trial in enumerate(trials) if trial.run_id == run_id)
    inputs_id = trials[position].inputs_id
    rivals = [trial for trial in trials[: position + 1] if trial.inputs_id == inputs_id]
    sharpes = [trial.sharpe for trial in rivals if trial.sharpe is not None]
    return Trials(len(rivals), sample_variance(np.array(sharpes)))


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Hold the ledger alone; the folder is created."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / _LOCK).open("a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


@contextmanager
def _shared(place: Path) -> Iterator[None]:
    """Read the ledger while no one writes; nothing is created, a read-only disk is fine."""
    if not (place / _LOCK).exists():  # a writer creates it first, so no one writes
        yield
        return
    with (place / _LOCK).open() as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        yield


def _append(place: Path, trials: list[Trial]) -> None:
    path = place / _TRIALS
    line = canonical_json(asdict(trials[-1])) + "\n"
    with path.open("ab") as f:
        f.truncate(_whole_length(path))
        f.write(line.encode())
        f.flush()
        os.fsync(f.fileno())
    atomic.write_text(place / _HEAD, _head_of(trials))


def _head_of(trials: list[Trial]) -> str:
    last = trials[-1].hash if trials else _GENESIS
    return canonical_json({"count": len(trials), "hash": last}) + "\n"


def _whole_length(path: Path) -> int:
    """Return the bytes up to the last line feed; what follows is a line never finished."""
    return path.read_bytes().rfind(b"\n") + 1


def _checked_rows(place: Path) -> list[Trial]:
    path = place / _TRIALS
    content = path.read_bytes() if path.exists() else b""
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    trials: list[Trial] = []
    previous = _GENESIS
    for number, line in enumerate(lines, start=1):
        trial = _parsed(line)
        if trial is None or trial.previous != previous:
            raise LedgerError(f"{path}: line {number} was altered; {_REMEDY}")
        trials.append(trial)
        previous = trial.hash
    _check_head(place, trials)
    return trials


def _parsed(line: bytes) -> Trial | None:
    """Return the row of a line, None when it is none or does not match its own hash."""
    try:
        row = json.loads(line)
        trial = Trial(**row)
        digest = row.pop("hash")
        return trial if digest == sha256_text(canonical_json(row)) else None
    except (ValueError, TypeError):
        return None


def _check_head(place: Path, trials: list[Trial]) -> None:
    """Compare with the head; it may lag by the one row whose writer died before writing it."""
    path = place / _HEAD
    text = path.read_text("utf-8", "replace") if path.exists() else _head_of([])
    if text not in {_head_of(trials), _head_of(trials[:-1])}:
        raise LedgerError(
            f"{place / _TRIALS}: {len(trials)} lines do not match {path.name}; lines were "
            f"removed or replaced; {_REMEDY}"
        )
