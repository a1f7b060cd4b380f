"""Vendor JSON to typed rows: pure, strict about shape, tolerant of strings for numbers.

Times are integers in milliseconds UTC as the vendors send them; labels are days. A row whose value
is not a finite number keeps a NaN, which gate 1 holds back; a field that is missing or has another
type breaks the contract of its endpoint, and nothing of that series is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from lake_ingest.bronze import Answer, printable
from lake_ingest.errors import ContractError

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Window:
    """Bars asked for: those that open from ``start_ms`` to ``end_ms``, both included."""

    start_ms: int
    end_ms: int
    interval_ms: int = DAY_MS


@dataclass(frozen=True, slots=True)
class Subscription:
    """The CoinGlass plan behind a key."""

    level: str
    is_expired: bool


def day_ms(day: date) -> int:
    """Return the first millisecond of a UTC day.

    Examples
    --------
    >>> day_ms(date(1970, 1, 2))
    86400000
    """
    return (day - date(1970, 1, 1)).days * DAY_MS


def instant_ms(instant: datetime) -> int:
    """Return an aware instant in milliseconds since 1970."""
    return int(instant.timestamp() * SECOND_MS)


def to_days(times_ms: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    """Return the UTC day of each stamp, as midnights without a zone."""
    return pd.to_datetime(times_ms // DAY_MS * DAY_MS, unit="ms")


def coinglass_bars(answer: Answer, fields: Sequence[str], window: Window) -> pd.DataFrame:
    """Return the closed bars of a CoinGlass history answer.

    Returns
    -------
    DataFrame of shape (n_bars, 1 + n_fields)
        ``time`` (open, ms) ascending without duplicates, and the fields in the vendor's units.

    Raises
    ------
    ContractError
        If a field is missing or has another type, or rows lie outside the window: then a
        parameter was ignored and the newest page came back.
    """
    rows = _coinglass_list(answer)
    frame = pd.DataFrame(
        {"time": _integers(answer, rows, "time")}
        | {field: _numbers(answer, rows, field) for field in fields}
    )
    return _closed_bars(answer, frame, window)


def coinglass_subscription(answer: Answer) -> Subscription:
    """Return the plan behind the key."""
    data = _coinglass_data(answer)
    if not isinstance(data, dict) or not isinstance(data.get("level"), str):
        raise ContractError(answer.path, "level", "is missing or not a text")
    return Subscription(printable(data["level"].upper()), data.get("expired") is True)


def coinglass_coins(answer: Answer) -> frozenset[str]:
    """Return the base symbols that are live."""
    coins = _coinglass_list(answer)
    if not all(isinstance(coin, str) for coin in coins):
        raise ContractError(answer.path, "data", "holds something other than texts")
    return frozenset(coins)


def coinglass_pairs(answer: Answer, venue: str) -> dict[str, int]:
    """Return the instruments of one venue and the hours between their settlements.

    The vendor spells venues in several ways. An interval that is not given is 8 hours.
    """
    data = _coinglass_data(answer)
    if not isinstance(data, dict):
        raise ContractError(answer.path, "data", f"is {_kind(data)}, expected venues")
    pairs = [
        pair
        for name, listed in data.items()
        if name.upper() == venue.upper()
        for pair in _list(answer, listed, name)
    ]
    ids = [_field(answer, pair, "instrument_id") for pair in pairs]
    if not all(isinstance(i, str) for i in ids):
        raise ContractError(answer.path, "instrument_id", "is not a text")
    hours = np.nan_to_num(_optional_numbers(answer, pairs, "funding_interval"), nan=8.0)
    return {str(i): int(h) for i, h in zip(ids, hours, strict=True)}


def coinglass_market_caps(answer: Answer) -> dict[str, float]:
    """Return market caps in USD by base symbol; zero and null are missing."""
    rows = _coinglass_list(answer)
    symbols = [str(_field(answer, row, "symbol")) for row in rows]
    caps = _numbers(answer, rows, "market_cap_usd")
    return {symbol: cap for symbol, cap in zip(symbols, caps.tolist(), strict=True) if cap > 0}


def coingecko_names(answer: Answer) -> dict[str, str]:
    """Return id and name of the coins of a markets snapshot."""
    rows = _list(answer, _json(answer), "body")
    return {
        str(_field(answer, row, "id")): printable(str(row.get("name") or row["id"])) for row in rows
    }


def coingecko_symbols(answer: Answer) -> list[tuple[str, str]]:
    """Return id and upper-case ticker of the coins of a markets snapshot, in its order."""
    rows = _list(answer, _json(answer), "body")
    return [
        (str(_field(answer, row, "id")), str(_field(answer, row, "symbol")).upper()) for row in rows
    ]


def coingecko_chart(answer: Answer, start_s: int, end_s: int) -> pd.DataFrame:
    """Return the daily points of a market chart, labelled with the day they close.

    The point stamped ``D 00:00:00.000`` describes the end of ``D - 1``; points off midnight are
    live or hourly and do not count. Zero and null are missing.

    Returns
    -------
    DataFrame of shape (n_days, 4)
        ``date``, ``close``, ``marketcap``, ``volume`` in USD; NaN where missing.
    """
    body = _json(answer)
    columns = {
        "close": _chart_array(answer, body, "prices", start_s, end_s),
        "marketcap": _chart_array(answer, body, "market_caps", start_s, end_s),
        "volume": _chart_array(answer, body, "total_volumes", start_s, end_s),
    }
    frame = pd.DataFrame(columns).sort_index()
    frame = frame.where(frame != 0)
    frame.insert(0, "date", pd.to_datetime(frame.index.to_numpy() - DAY_MS, unit="ms"))
    return frame.reset_index(drop=True)


def binance_klines(answer: Answer, window: Window) -> pd.DataFrame:
    """Return the closed bars in which something traded.

    Returns
    -------
    DataFrame of shape (n_bars, 3)
        ``time`` (open, ms), ``close`` in quote currency per contract unit, ``quote_volume``.
    """
    rows = _list(answer, _json(answer), "body")
    if not all(isinstance(row, list) and len(row) >= 9 for row in rows):
        raise ContractError(answer.path, "bar", "is not a list of at least 9 values")
    named = [dict(zip(KLINE_COLUMNS, row, strict=False)) for row in rows]
    frame = pd.DataFrame(
        {
            "time": _integers(answer, named, "open_time"),
            "close": _numbers(answer, named, "close"),
            "quote_volume": _numbers(answer, named, "quote_volume"),
            "count": _integers(answer, named, "count"),
        }
    )
    return traded_bars(_closed_bars(answer, frame, window))


KLINE_COLUMNS: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
)


def traded_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the bars with a trade: after a delisting, bars repeat the last price."""
    return bars[bars["count"] > 0].drop(columns="count").reset_index(drop=True)


def binance_funding(answer: Answer, symbol: str, window: Window) -> pd.DataFrame:
    """Return settlements, their stamps rounded to the minute.

    Returns
    -------
    DataFrame of shape (n_settlements, 3)
        ``time`` (ms), ``funding_rate`` (decimal), ``mark_price`` (NaN where unknown).
    """
    rows = _list(answer, _json(answer), "body")
    _refuse_other_symbol(answer, rows, symbol)
    frame = pd.DataFrame(
        {
            "time": _to_minute(_integers(answer, rows, "fundingTime")),
            "funding_rate": _numbers(answer, rows, "fundingRate"),
            "mark_price": _optional_numbers(answer, rows, "markPrice"),
        }
    )
    return one_per_time(answer, _inside(answer, frame, window), "funding_rate")


def binance_open_interest(answer: Answer, symbol: str) -> pd.DataFrame:
    """Return daily levels, labelled with the day they close.

    Returns
    -------
    DataFrame of shape (n_days, 2)
        ``date``, ``open_interest_usd``; zero is missing and left out.
    """
    rows = _list(answer, _json(answer), "body")
    _refuse_other_symbol(answer, rows, symbol)
    frame = pd.DataFrame(
        {
            "time": _integers(answer, rows, "timestamp"),
            "open_interest_usd": _numbers(answer, rows, "sumOpenInterestValue"),
        }
    )
    now_ms = instant_ms(answer.fetched_at)
    frame = _inside(answer, frame, Window(now_ms - OPEN_INTEREST_DEPTH_MS, now_ms))
    frame = frame[(frame["time"] % DAY_MS == 0) & (frame["open_interest_usd"] != 0)]
    frame = one_per_time(answer, frame, "open_interest_usd")
    frame.insert(0, "date", to_days(frame.pop("time") - DAY_MS))
    return frame.reset_index(drop=True)


def binance_contracts(answer: Answer) -> pd.DataFrame:
    """Return the perpetual contracts that are listed now.

    Returns
    -------
    DataFrame of shape (n_contracts, 4)
        ``symbol``, ``base_asset``, ``onboard_ms``, ``delivery_ms`` (far ahead while it trades).
    """
    body = _json(answer)
    symbols = _list(answer, body.get("symbols") if isinstance(body, dict) else None, "symbols")
    rows = [row for row in symbols if _field(answer, row, "contractType") == "PERPETUAL"]
    listed = pd.DataFrame(
        {
            "symbol": [printable(str(_field(answer, row, "symbol"))) for row in rows],
            "base_asset": [printable(str(_field(answer, row, "baseAsset"))) for row in rows],
            "onboard_ms": _integers(answer, rows, "onboardDate"),
            "delivery_ms": _integers(answer, rows, "deliveryDate"),
        }
    )
    for field, column in (("onboardDate", "onboard_ms"), ("deliveryDate", "delivery_ms")):
        if not listed[column].between(FIRST_LISTING_MS, LAST_DELIVERY_MS).all():
            raise ContractError(answer.path, field, "is not a time in milliseconds")
    return listed


FIRST_LISTING_MS: Final = day_ms(date(2019, 9, 1))
LAST_DELIVERY_MS: Final = day_ms(date(2200, 1, 1))
OPEN_INTEREST_DEPTH_MS: Final = 32 * DAY_MS
"""The vendor keeps 30 days."""


def settlement_intervals(times_ms: Sequence[int]) -> list[float]:
    """Return the hours each settlement covers: the gap to the one before it.

    A gap that is no funding interval means a missing settlement: then the interval in force
    before it stands, or the next one where there is none before.

    Examples
    --------
    >>> h = HOUR_MS
    >>> settlement_intervals([0, 8 * h, 16 * h, 32 * h, 36 * h])
    [8.0, 8.0, 8.0, 8.0, 4.0]
    """
    gaps = pd.Series(times_ms, dtype="float64").diff() / HOUR_MS
    return gaps.where(gaps.isin(FUNDING_HOURS)).ffill().bfill().fillna(8.0).tolist()


FUNDING_HOURS: Final = (1.0, 2.0, 4.0, 8.0)


def _coinglass_data(answer: Answer) -> Any:
    body = _json(answer)
    if not isinstance(body, dict) or "data" not in body:
        raise ContractError(answer.path, "data", "is missing")
    return body["data"]


def _coinglass_list(answer: Answer) -> list[Any]:
    data = _coinglass_data(answer)
    return [] if data is None else _list(answer, data, "data")


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as e:
        raise ContractError(answer.path, "body", "is not JSON") from e


def _list(answer: Answer, value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ContractError(answer.path, name, f"is {_kind(value)}, expected a list")
    return value


def _refuse_other_symbol(answer: Answer, rows: Sequence[Any], symbol: str) -> None:
    if any(_field(answer, row, "symbol") != symbol for row in rows):
        raise ContractError(answer.path, "symbol", f"is not the {symbol} asked for")


def _field(answer: Answer, row: Any, name: str) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise ContractError(answer.path, name, "is missing")
    return row[name]


def _integers(answer: Answer, rows: Sequence[Any], name: str) -> np.ndarray[Any, Any]:
    return whole_numbers(answer, name, _to_floats(answer, name, _cells(answer, rows, name)))


def whole_numbers(answer: Answer, name: str, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return floats as integers.

    Raises
    ------
    ContractError
        If one is not whole, not finite, or beyond what a float holds exactly.
    """
    is_whole = (np.abs(numbers) < MAX_EXACT) & (np.floor(numbers) == numbers)
    if not is_whole.all():
        raise ContractError(answer.path, name, "is not a whole number")
    return numbers.astype(np.int64)


MAX_EXACT: Final = 2.0**53


def _numbers(answer: Answer, rows: Sequence[Any], name: str) -> np.ndarray[Any, Any]:
    numbers = _to_floats(answer, name, _cells(answer, rows, name))
    if len(numbers) and np.isnan(numbers).all():
        raise ContractError(answer.path, name, "holds no number at all")
    return numbers


def _cells(answer: Answer, rows: Sequence[Any], name: str) -> list[Any]:
    return [_field(answer, row, name) for row in rows]


def _optional_numbers(answer: Answer, rows: Sequence[Any], name: str) -> np.ndarray[Any, Any]:
    return _to_floats(answer, name, [row.get(name) for row in rows])


def _to_floats(answer: Answer, name: str, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    try:
        numbers = np.array([_to_number(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        raise ContractError(answer.path, name, f"is not a number ({printable(str(e))})") from e
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _to_number(value: Any) -> float:
    """Return a number or the text of one as a float; NaN for null and empty text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise TypeError(f"was {_kind(value)}")
    if value is None or value == "":
        return math.nan
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "missing"}
    return names.get(type(value), type(value).__name__)


def _to_minute(times_ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # A settlement may be stamped some ms late, which would put midnight's into the next day.
    rounded: np.ndarray[Any, Any] = (times_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    return rounded


def _inside(
    answer: Answer, frame: pd.DataFrame, window: Window, name: str = "time"
) -> pd.DataFrame:
    outside = (frame["time"] < window.start_ms) | (frame["time"] > window.end_ms)
    if outside.any():
        raise ContractError(
            answer.path, name, f"lies outside the window asked for in {int(outside.sum())} rows"
        )
    return frame


def one_per_time(answer: Answer, frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the rows by ``time``, those sent twice once.

    Raises
    ------
    ContractError
        If two rows of one time have different values: nobody knows which one is right.
    """
    if frame.drop_duplicates(["time", value])["time"].duplicated().any():
        raise ContractError(answer.path, "time", f"is there twice with different {value}")
    kept = frame.drop_duplicates("time", keep="last")
    return kept.sort_values("time").reset_index(drop=True)


def _closed_bars(answer: Answer, frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    if (frame["time"] % window.interval_ms != 0).any():
        raise ContractError(answer.path, "time", "is not the opening of a bar")
    bars = _inside(answer, frame, window)
    is_closed = bars["time"] + window.interval_ms <= instant_ms(answer.fetched_at)
    return one_per_time(answer, bars[is_closed], "close")


def _chart_array(
    answer: Answer, body: Any, name: str, start_s: int, end_s: int
) -> pd.Series[float]:
    points = _list(answer, body.get(name) if isinstance(body, dict) else None, name)
    if not all(isinstance(p, list) and len(p) == 2 and _is_number(p[0]) for p in points):
        raise ContractError(answer.path, name, "is not a list of [time, value]")
    times = whole_numbers(answer, name, _to_floats(answer, name, [p[0] for p in points]))
    values = _to_floats(answer, name, [p[1] for p in points])
    frame = pd.DataFrame({"time": times, "value": values})
    # The newest point may be live: off midnight, and later than what was asked for.
    is_live = frame["time"] % DAY_MS != 0
    window = Window(start_s * SECOND_MS, end_s * SECOND_MS)
    _inside(answer, frame[~is_live | (frame["time"] < window.start_ms)], window, name)
    at_midnight = one_per_time(answer, frame[~is_live], "value")
    return at_midnight.set_index("time")["value"]
