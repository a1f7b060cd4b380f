"""The time rule: which day a value belongs to, when it is known, which row may read it.

The row labelled ``t`` describes the UTC day ``[t 00:00, t+1 00:00)``. Its feature row reads,
per key, the newest version with ``known_at < t+2 00:00``, because the decision taken on ``t``
is executed at the close of ``t+1``. The SQL models state the same rule once, in
``dbt_project/macros/as_known.sql``; why it is so: ``docs/adr/0005-as-of-rule.md``.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pipeline_kit.errors import UsageProblem

ONE_DAY: Final = timedelta(days=1)
ASSUMED_AFTER: Final = timedelta(hours=24)
"""A key first fetched this long after its day ended is back-filled: known_at is assumed.

It is the instant at which the key's own row became final. Were it later, the day before the
first fetch would be observed too late for its own row, and the hole would leave every 60-day
window without a value for two months.
"""


def now_utc() -> datetime:
    """Return the clock's instant in UTC, or ``MAM_NOW`` where it is set.

    This is the only place that reads a clock that a result could depend on; the pure stages
    never call it.

    Raises
    ------
    UsageProblem
        If ``MAM_NOW`` is not an ISO instant.
    """
    frozen = os.environ.get("MAM_NOW")
    return parse_instant(frozen, "MAM_NOW") if frozen else datetime.now(UTC)


def parse_instant(text: str, name: str) -> datetime:
    """Return an ISO instant as an aware UTC time; without a zone it is UTC.

    Examples
    --------
    >>> parse_instant("2024-01-02T01:00:00+01:00", "--known-at").isoformat()
    '2024-01-02T00:00:00+00:00'
    >>> parse_instant("2024-01-02", "--known-at").isoformat()
    '2024-01-02T00:00:00+00:00'
    """
    try:
        instant = datetime.fromisoformat(text.strip())
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise UsageProblem(
            f"{name}: {text!r} is not an ISO time such as 2024-01-02T00:50:00Z"
        ) from e


def parse_day(text: str, name: str) -> date:
    """Return a day written as year, month and day with dashes; no other ISO form.

    Examples
    --------
    >>> parse_day("2024-02-29", "--asof")
    datetime.date(2024, 2, 29)
    >>> parse_day("20240229", "--asof")
    Traceback (most recent call last):
    ...
    pipeline_kit.errors.UsageProblem: --asof: '20240229' is not a day such as 2024-01-31
    """
    written = text.strip()
    try:
        day = date.fromisoformat(written)
    except ValueError:
        day = None
    if day is None or day.isoformat() != written:
        raise UsageProblem(f"{name}: {text!r} is not a day such as 2024-01-31")
    return day


def day_start(day: date) -> datetime:
    """Return the instant at which the UTC day begins."""
    return datetime.combine(day, time.min, UTC)


def last_complete_day(now: datetime) -> date:
    """Return the newest UTC day that has ended.

    Examples
    --------
    >>> last_complete_day(datetime(2024, 1, 2, 0, 50, tzinfo=UTC))
    datetime.date(2024, 1, 1)
    """
    return now.astimezone(UTC).date() - ONE_DAY


def assumed_known_at(day: date, lag_minutes: float) -> datetime:
    """Return when a back-filled value of ``day`` is taken to have become known.

    Examples
    --------
    >>> assumed_known_at(date(2024, 1, 1), 30).isoformat()
    '2024-01-02T00:30:00+00:00'
    """
    return day_start(day + ONE_DAY) + timedelta(minutes=lag_minutes)


def readable_before(day: date) -> datetime:
    """Return the instant before which a version must be known for the row of ``day`` to read it.

    Examples
    --------
    >>> readable_before(date(2024, 1, 1)).isoformat()
    '2024-01-03T00:00:00+00:00'
    """
    return day_start(day + 2 * ONE_DAY)


def first_row_to_read(day: date, known_at: datetime) -> date:
    """Return the first row that may read a value of ``day`` learnt at ``known_at``.

    Examples
    --------
    A bar fetched 50 minutes after its day ended is read by its own row; a revision that
    arrives a day later is first read by the next day's row.

    >>> first_row_to_read(date(2024, 1, 1), datetime(2024, 1, 2, 0, 50, tzinfo=UTC))
    datetime.date(2024, 1, 1)
    >>> first_row_to_read(date(2024, 1, 1), datetime(2024, 1, 3, 0, 0, tzinfo=UTC))
    datetime.date(2024, 1, 2)
    """
    return max(day, known_at.astimezone(UTC).date() - ONE_DAY)
