"""The independent watch: ``python -m pipeline_kit.watchdog`` on the age of ``latest/daily.json``.

A dead scheduler cannot report itself, so this runs from cron, a systemd timer or its own
container, and knows nothing of Airflow. It opens an incident when the day's signal is not
published by 01:30 UTC, another when a whole day passed without one or the bucket cannot be read,
and closes both when it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pipeline_kit.alerts import close_incident, open_incident, open_incidents
from pipeline_kit.bucket import Bucket, BucketError
from pipeline_kit.calendar import last_complete_day, now_utc
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import DataProblem

POINTER: Final = "latest/daily.json"
DUE: Final = time(1, 30, tzinfo=UTC)
WATCHED: Final = ("deadline_missed", "no_signal")


class NoSignalError(DataProblem):
    """The day's signal is not published in time."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    Parser(prog="python -m pipeline_kit.watchdog", description=__doc__).parse_args(argv)
    sys.stdout.write(f"{watch(now_utc())}\n")


def watch(now: datetime) -> str:
    """Compare the published day with the day due, open or close incidents, return the finding.

    Raises
    ------
    NoSignalError
        If the signal is late.
    BucketError
        If the bucket cannot be read.
    """
    due = day_due(now)
    try:
        published = _published()
    except BucketError as e:
        open_incident("no_signal", due, f"nobody can see whether it is there: {e}")
        raise
    if published is not None and published >= due:
        for kind, day in open_incidents():
            if kind in WATCHED:
                close_incident(kind, day)
        return f"latest is {published}, due is {due}: in time"
    found = f"latest is {published or 'missing'}, due is {due}"
    kind = "no_signal" if published is None or published < due - timedelta(days=1) else WATCHED[0]
    open_incident(kind, due, f"{found}; the scheduler may be down")
    raise NoSignalError(f"{found}; see docs/runbooks/{kind}.md")


def day_due(now: datetime) -> date:
    """Return the newest day whose signal must be published at ``now``.

    Examples
    --------
    >>> day_due(datetime(2024, 1, 3, 1, 29, tzinfo=UTC))
    datetime.date(2024, 1, 1)
    >>> day_due(datetime(2024, 1, 3, 1, 30, tzinfo=UTC))
    datetime.date(2024, 1, 2)
    """
    newest = last_complete_day(now)
    return newest if now.astimezone(UTC).timetz() >= DUE else newest - timedelta(days=1)


def _published() -> date | None:
    pointer = Bucket().get(POINTER)
    return date.fromisoformat(json.loads(pointer)["asof"]) if pointer else None


if __name__ == "__main__":
    sys.exit(run_command(main))
