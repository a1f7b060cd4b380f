"""The first step of a production day: bring the lake up to date.

What the task ``ingest`` of ``daily_signal`` calls. It fetches the history that is missing up to
the day (one thousand days on an empty lake, so that every feature has its warm-up), or imports
an existing lake when one is named. Gate 1 and sealing are inside both; what the gate found is
united per day for the day's report.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Final

from lake_ingest.fetch import fetch_days
from lake_ingest.import_lake import import_lake
from lake_ingest.quality import write_day
from pipeline_kit.calendar import now_utc, parse_day
from pipeline_kit.errors import UsageProblem

DEFAULT_HISTORY_DAYS: Final = 1000


def ingest_day(asof: str, lake: str = "") -> None:
    """Fetch everything missing up to ``asof``, or import ``lake`` when it is named.

    Raises
    ------
    LakeError
        If a vendor, a key or the data was at fault; what passed is stored nevertheless.
    """
    day = parse_day(asof, "asof")
    try:
        if lake:
            import_lake(Path(lake), now=now_utc())
        else:
            # What an interrupted or partly refused fetch was answered is not asked again.
            fetch_days(str(day - timedelta(days=history_days())), asof, is_resumed=True)
    finally:
        write_day(day)


def history_days() -> int:
    """Return ``MAM_HISTORY_DAYS``: how far back an empty lake is filled."""
    text = os.environ.get("MAM_HISTORY_DAYS") or str(DEFAULT_HISTORY_DAYS)
    if not text.isdigit() or int(text) < 1:
        raise UsageProblem(f"MAM_HISTORY_DAYS: must be a positive number of days, was {text!r}")
    return int(text)
