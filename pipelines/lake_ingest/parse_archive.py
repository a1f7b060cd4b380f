"""Binance's archive files to typed rows: pure; the known defects of the files are handled here."""

from __future__ import annotations

import csv
import io
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from lake_ingest.bronze import Answer
from lake_ingest.errors import ContractError
from lake_ingest.parse import (
    DAY_MS,
    FIRST_LISTING_MS,
    HOUR_MS,
    MINUTE_MS,
    day_ms,
    instant_ms,
    one_per_time,
    traded_bars,
    whole_numbers,
)

MAX_FILE_BYTES: Final = 1 << 28
STAMPED_AT_START_FROM: Final = date(2026, 6, 25)
"""First file whose rows carry the start of their five minutes instead of the end
(binance-public-data issue 491): a look-ahead trap."""
BROKEN_FILE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    csv.Error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What ``zipfile`` and ``csv`` raise on bytes that are none of theirs."""
KLINE_FIELDS: Final = {"open_time": 0, "close": 4, "quote_volume": 7, "count": 8}
FUNDING_FIELDS: Final = {"calc_time": 0, "funding_interval_hours": 1, "last_funding_rate": 2}


def archive_klines(answer: Answer) -> pd.DataFrame:
    """Return the daily bars of a file in which something traded.

    Returns
    -------
    DataFrame of shape (n_bars, 3)
        ``time`` (open, ms), ``close``, ``quote_volume``; the header line is optional.
    """
    frame = _columns(answer, _read_rows(answer), KLINE_FIELDS)
    times = _times(answer, frame.pop("open_time"), "open_time")
    frame.insert(0, "time", times)
    if (frame["time"] % DAY_MS != 0).any():
        raise ContractError(answer.path, "open_time", "is not the opening of a day")
    is_closed = frame["time"] + DAY_MS <= instant_ms(answer.fetched_at)
    return traded_bars(one_per_time(answer, frame[is_closed], "close"))


def archive_funding(answer: Answer) -> pd.DataFrame:
    """Return the settlements of a file, stamps rounded to the minute.

    Returns
    -------
    DataFrame of shape (n_settlements, 3)
        ``time`` (ms), ``funding_rate`` (decimal), ``interval_hours``.
    """
    frame = _columns(answer, _read_rows(answer), FUNDING_FIELDS)
    frame.columns = pd.Index(["time", "interval_hours", "funding_rate"])
    stamps = _times(answer, frame["time"], "calc_time")
    frame["time"] = (stamps + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    kept = one_per_time(answer, frame, "funding_rate")
    return kept[["time", "funding_rate", "interval_hours"]]


def archive_open_interest(answer: Answer, day: date) -> float | None:
    """Return the open interest in USD at the end of ``day``; None when the file ends early.

    Zeros and blanks are missing. The newest row of the last hour stands for the day's end.
    """
    rows = _read_rows(answer)
    if not rows:
        return None
    header = rows[0]
    if "create_time" not in header or "sum_open_interest_value" not in header:
        raise ContractError(answer.path, "sum_open_interest_value", "is missing")
    at, value = header.index("create_time"), header.index("sum_open_interest_value")
    shift = timedelta(minutes=5 if day >= STAMPED_AT_START_FROM else 0)
    day_end = day_ms(day) + DAY_MS
    newest: tuple[int, float] | None = None
    if any(len(row) <= max(at, value) for row in rows):
        raise ContractError(answer.path, "row", "is shorter than its columns")
    for row in rows[1:]:
        level = _to_float(answer, row[value], "sum_open_interest_value") if row[value] else 0.0
        known = _stamp_ms(answer, row[at]) + int(shift.total_seconds()) * 1000
        if level > 0 and day_end - HOUR_MS < known <= day_end and (not newest or known > newest[0]):
            newest = (known, level)
    return newest[1] if newest else None


def _read_rows(answer: Answer) -> list[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            (member,) = archive.infolist()
            if member.file_size > MAX_FILE_BYTES:
                raise ContractError(answer.path, "file", f"unpacks to {member.file_size} bytes")
            text = archive.read(member).decode("utf-8")
        return [row for row in csv.reader(io.StringIO(text)) if row]
    except BROKEN_FILE as e:
        raise ContractError(answer.path, "zip", f"is not one file of text ({e})") from e


def _times(answer: Answer, stamps: pd.Series[float], name: str) -> np.ndarray[Any, Any]:
    """Return stamps in milliseconds; the archive's spot files have microseconds."""
    times = whole_numbers(answer, name, stamps.to_numpy())
    if ((times < FIRST_LISTING_MS) | (times > instant_ms(answer.fetched_at) + DAY_MS)).any():
        raise ContractError(answer.path, name, "is not a time in milliseconds")
    return times


def _columns(answer: Answer, rows: list[list[str]], fields: dict[str, int]) -> pd.DataFrame:
    """Return the named columns as floats; by header where there is one, else by place."""
    places: dict[str, int] = dict(fields)
    if rows and not rows[0][0].strip().isdecimal():
        header = [name.strip() for name in rows.pop(0)]
        missing = sorted(set(fields) - set(header))
        if missing:
            raise ContractError(answer.path, missing[0], "is missing")
        places = {name: header.index(name) for name in fields}
    if any(len(row) <= max(places.values()) for row in rows):
        raise ContractError(answer.path, "row", "is shorter than its columns")
    columns: dict[str, Sequence[Any]] = {
        name: [_to_float(answer, row[place], name) for row in rows]
        for name, place in places.items()
    }
    return pd.DataFrame(columns, dtype=np.float64)


def _to_float(answer: Answer, text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as e:
        raise ContractError(answer.path, name, f"is not a number ({text[:40]!r})") from e


def _stamp_ms(answer: Answer, text: str) -> int:
    try:
        stamp = datetime.fromisoformat(f"{text}+00:00")
    except ValueError as e:
        raise ContractError(answer.path, "create_time", f"is not a time ({text[:40]!r})") from e
    return instant_ms(stamp)
