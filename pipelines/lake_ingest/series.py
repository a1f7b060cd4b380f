"""What one job brings, and the small steps every vendor's series shares.

Data flow: ``Job -> requests of one vendor -> parse -> Series``. Nothing is written here: the
client's channel archives every answer before it is parsed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import pandas as pd

from lake_ingest.bronze import Answer
from lake_ingest.errors import VendorError
from lake_ingest.plan import Job

VENUE: Final = "Binance"


@dataclass(frozen=True, slots=True)
class Series:
    """What one job brought."""

    job: Job
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    """``date`` or ``settled_at``, values in contract units, ``fetched_at``."""
    error: VendorError | None = None
    traded_to: date | None = None
    """Day of the newest bar, whole or not; klines only."""
    listed_on: date | None = None
    """First day of the contract; Binance only."""
    is_live: bool = True
    """Whether the vendor lists it now, so that the newest day is expected."""
    answered_to: date | None = None
    """Last day for which the vendor has published; None for the whole span."""
    was_asked: bool = True
    """Whether a vendor was asked for the whole span."""

    def replace(self, **changes: Any) -> Series:
        """Return the series with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def days(self) -> pd.DatetimeIndex:
        """Return the days that have a row, ascending."""
        if self.rows.empty:
            return pd.DatetimeIndex([])
        if "date" in self.rows:
            return pd.DatetimeIndex(self.rows["date"].unique()).sort_values()
        return pd.DatetimeIndex(settled_day(self.rows["settled_at"]).unique()).sort_values()


def settled_day(settled_at: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Return the day a settlement belongs to: that of ``(t 00:00, t+1 00:00]``.

    Examples
    --------
    >>> settled_day(pd.Series(pd.to_datetime(["2024-01-02 00:00"])))[0].date().isoformat()
    '2024-01-01'
    """
    return (settled_at - pd.Timedelta(1, "us")).dt.normalize()


def between(rows: pd.DataFrame, job: Job) -> pd.DataFrame:
    """Return the rows whose ``date`` lies in the job's span."""
    inside = rows["date"].between(pd.Timestamp(job.first_day), pd.Timestamp(job.last_day))
    return rows[inside].reset_index(drop=True)


def stamp(answer: Answer) -> pd.Timestamp:
    """Return when the answer came, UTC without a zone."""
    return pd.Timestamp(answer.fetched_at).tz_convert("UTC").tz_localize(None)


def concat(pages: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the pages below each other; empty, with typed columns, when all are empty."""
    filled = [page for page in pages if not page.empty]
    if not filled:
        return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in columns})
    return pd.concat(filled, ignore_index=True)[list(columns)]


def _dtype(column: str) -> str:
    if column == "time":
        return "int64"
    return "datetime64[us]" if column in {"date", "fetched_at"} else "float64"
