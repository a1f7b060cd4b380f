"""One fetch at a time, and what a killed one was doing: the lock and the run that is resumed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from lake_ingest.errors import FetchBusyError
from lake_ingest.plan import Job
from pipeline_kit.atomic import write_text
from pipeline_kit.manifest import readable_json, sha256_text
from pipeline_kit.paths import data_dir


@dataclass(frozen=True, slots=True)
class Run:
    """A fetch that has begun."""

    run_id: str
    arguments: Mapping[str, Any]
    started_at: datetime
    jobs: tuple[Job, ...]
    is_finished: bool = False


def state_file() -> Path:
    """Return the file that describes the newest fetch."""
    return data_dir() / "fetch" / "run.json"


@contextmanager
def fetch_lock() -> Iterator[None]:
    """Hold this data folder for one fetch; the lock ends with the process, however it ends.

    Raises
    ------
    FetchBusyError
        If another fetch holds it.
    """
    path = data_dir() / "fetch" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise FetchBusyError(
                f"{path.parent}: another fetch is running on this data folder; wait for it"
            ) from e
        yield
    finally:
        os.close(fd)


def run_id_for(started_at: datetime, arguments: Mapping[str, Any]) -> str:
    """Return a name of a run that sorts by time and tells different arguments apart."""
    digest = sha256_text(json.dumps(arguments, sort_keys=True, default=str))[:8]
    return f"{started_at:%Y%m%dT%H%M%S}-{digest}-{os.getpid():x}"


def save_run(run: Run) -> None:
    """Write the run down before its first request, and again when it is done."""
    record = {
        "run_id": run.run_id,
        "arguments": dict(run.arguments),
        "started_at": run.started_at.isoformat(),
        "is_finished": run.is_finished,
        "jobs": [
            [job.series, job.asset_id, job.identity, *map(_text, _days_of(job))] for job in run.jobs
        ],
    }
    write_text(state_file(), readable_json(record))


def load_unfinished(arguments: Mapping[str, Any]) -> Run | None:
    """Return the last run if it was not finished and had the same arguments."""
    path = state_file()
    if not path.exists():
        return None
    record = json.loads(path.read_text("utf-8"))
    if record["is_finished"] or record["arguments"] != dict(arguments):
        return None
    return Run(
        record["run_id"],
        record["arguments"],
        datetime.fromisoformat(record["started_at"]),
        tuple(_job(fields) for fields in record["jobs"]),
    )


def _days_of(job: Job) -> Sequence[date | None]:
    return (job.first_day, job.last_day, job.missing_from)


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _job(fields: Sequence[Any]) -> Job:
    series, asset_id, identity, first, last, missing = fields
    return Job(
        series,
        asset_id,
        identity,
        date.fromisoformat(first),
        date.fromisoformat(last),
        None if missing is None else date.fromisoformat(missing),
    )
