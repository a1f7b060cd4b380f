"""Binance's public archive: zipped CSV files with checksums, delisted symbols included.

Files appear on their own timetable, and the archive's known defects are here on their dates
(sources.md section 7).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.binance import KLINE_HOURS
from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, day_ms
from lake_ingest.sandbox.klines import kline_rows
from lake_ingest.sandbox.messages import Answer, Request, plain
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import Coin

ROOT: Final = "/data/futures/um"
DAILY_AFTER_MS: Final = 8 * HOUR_MS + HOUR_MS // 2
KLINE_HEADER: Final = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
METRICS_HEADER: Final = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
HEADERS_SINCE: Final = date(2022, 5, 1)
METRICS_SINCE: Final = date(2021, 12, 1)
METRICS_START_STAMPED_SINCE: Final = date(2026, 6, 25)
"""From this file on, create_time is the start of the five minutes, before it their end."""
MISSING_IN_MONTHLY: Final = (date(2022, 4, 1), date(2022, 4, 2), date(2023, 4, 7))
ZERO_METRICS: Final = (date(2022, 3, 7), date(2022, 3, 8))
SHORT_METRICS: Final = date(2024, 2, 16)
WRONG_CHECKSUMS: Final = date(2026, 7, 9)
FIVE_MINUTES_MS: Final = 300_000


class Archive:
    """Answers requests for files; a file that is not there yet is a 404."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._build = lru_cache(maxsize=512)(self._build_file)
        self._kinds: tuple[tuple[re.Pattern[str], Callable[..., list[str] | None]], ...] = (
            (
                re.compile(r"/(monthly|daily)/klines/(\w+)/(\w+)/\2-\3-([\d-]+)\.zip"),
                self._klines,
            ),
            (
                re.compile(r"/(monthly)/fundingRate/(\w+)/\2-fundingRate-([\d-]+)\.zip"),
                self._funding,
            ),
            (re.compile(r"/(daily)/metrics/(\w+)/\2-metrics-([\d-]+)\.zip"), self._metrics),
        )

    def answer(self, request: Request) -> Answer:
        """Return the zip file or its checksum line."""
        path = request.path.removesuffix(".CHECKSUM")
        built = self._build(path, self._edition(path))
        if built is None:
            body = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"
            return Answer(raw=body, status=404, content_type="application/xml")
        if request.path == path:
            return Answer(raw=built, content_type="application/zip")
        name = path.rsplit("/", 1)[-1]
        digest = hashlib.sha256(built + self._slip(name)).hexdigest()
        return Answer(raw=f"{digest}  {name}\n".encode(), content_type="text/plain")

    def _edition(self, path: str) -> bool:
        """Return whether the file is published; part of its cache key."""
        found = re.search(r"-(\d{4})-(\d{2})(?:-(\d{2}))?\.zip$", path)
        if found is None:
            return False
        year, month, day = found.groups()
        try:
            first = date(int(year), int(month), int(day or 1))
        except ValueError:
            return False
        return self._market.now_ms() >= (_daily_at(first) if day else _monthly_at(first))

    def _build_file(self, path: str, is_published: bool) -> bytes | None:
        if not is_published or not path.startswith(ROOT):
            return None
        for pattern, build in self._kinds:
            found = pattern.fullmatch(path.removeprefix(ROOT))
            if found is None:
                continue
            coin = self._market.by_binance_symbol.get(found.group(2))
            lines = build(coin, *found.groups()) if coin else None
            return zip_of(path.rsplit("/", 1)[-1], lines) if lines else None
        return None

    def _klines(
        self, coin: Coin, cycle: str, _: str, interval: str, stamp: str
    ) -> list[str] | None:
        span = _span(cycle, stamp)
        if interval not in KLINE_HOURS or span is None:
            return None
        bars = self._market.closed_bars(coin, Product.PERP, KLINE_HOURS[interval])
        bars = _between(bars, span)
        if cycle == "monthly":
            days = bars.time_ms // DAY_MS
            lost = np.isin(days, [day_ms(day) // DAY_MS for day in MISSING_IN_MONTHLY])
            bars = bars[~lost]
        if not len(bars):
            return None
        rows = _csv(kline_rows(coin, bars, KLINE_HOURS[interval]))
        return [KLINE_HEADER, *rows] if span[0] >= HEADERS_SINCE else rows

    def _funding(self, coin: Coin, cycle: str, _: str, stamp: str) -> list[str] | None:
        span = _span(cycle, stamp)
        if span is None:
            return None
        paid = self._market.book(coin).settlements
        kept = (paid.time_ms >= day_ms(span[0])) & (paid.time_ms < day_ms(span[1]))
        if not kept.any():
            return None
        columns = (paid.time_ms[kept], paid.interval_hours[kept], paid.rate_pct[kept])
        rows = [
            f"{time},{hours},{rate / 100:.8f}"
            for time, hours, rate in zip(*(one.tolist() for one in columns), strict=True)
        ]
        return ["calc_time,funding_interval_hours,last_funding_rate", *rows]

    def _metrics(self, coin: Coin, cycle: str, symbol: str, stamp: str) -> list[str] | None:
        span = _span(cycle, stamp)
        if span is None or span[0] < METRICS_SINCE:
            return None
        start = day_ms(span[0])
        book = self._market.book(coin)
        ends, values, _ = book.hourly(Product.BINANCE_OPEN_INTEREST, start - DAY_MS, start)
        _, prices, _ = book.hourly(Product.PERP, start - DAY_MS, start)
        instants = start + np.arange(1, 289, dtype=np.int64) * FIVE_MINUTES_MS
        life = book.life(Product.BINANCE_OPEN_INTEREST)
        instants = instants[(instants > life.start_ms) & (instants <= life.end_ms)]
        if not len(instants):
            return None
        if span[0] == SHORT_METRICS:
            instants = instants[instants <= start + 13 * HOUR_MS + HOUR_MS // 2]
        usd = np.interp(instants, ends, values) * (0.0 if span[0] in ZERO_METRICS else 1.0)
        contracts = usd / np.interp(instants, ends, prices)
        shift = FIVE_MINUTES_MS if span[0] >= METRICS_START_STAMPED_SINCE else 0
        ratios = "1.21000000,1.05000000,1.32000000,0.98000000"
        printed = plain(contracts.tolist(), 3), plain(usd.tolist(), 8)
        rows = [
            f"{_clock_text(time - shift)},{symbol},{held},{worth},{ratios}"
            for time, held, worth in zip(instants.tolist(), *printed, strict=True)
        ]
        return [METRICS_HEADER, *rows]

    def _slip(self, name: str) -> bytes:
        """Return what makes a checksum wrong: some metrics of one day have such."""
        is_wrong = f"-metrics-{WRONG_CHECKSUMS}" in name and name < "B"
        return b"replaced" if is_wrong else b""


def zip_of(name: str, lines: Sequence[str]) -> bytes:
    """Return a zip file that holds the lines as ``<name>.csv``; equal lines, equal bytes."""
    target = io.BytesIO()
    member = zipfile.ZipInfo(name.removesuffix(".zip") + ".csv", date_time=(2020, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w") as file:
        file.writestr(member, "\n".join(lines) + "\n", compresslevel=1)
    return target.getvalue()


def _span(cycle: str, stamp: str) -> tuple[date, date] | None:
    """Return the file's first day and the day after its last.

    Examples
    --------
    >>> _span("monthly", "2023-12")
    (datetime.date(2023, 12, 1), datetime.date(2024, 1, 1))
    """
    try:
        first = date.fromisoformat(stamp if cycle == "daily" else f"{stamp}-01")
    except ValueError:
        return None
    if cycle == "daily":
        return first, first + timedelta(days=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def _between(bars: Bars, span: tuple[date, date]) -> Bars:
    first, last = np.searchsorted(bars.time_ms, [day_ms(span[0]), day_ms(span[1])])
    return bars[int(first) : int(last)]


def _daily_at(day: date) -> int:
    return day_ms(day) + DAY_MS + DAILY_AFTER_MS


def _monthly_at(first: date) -> int:
    """Return when a month's file appears: the first Monday of the next month, 10:00 UTC.

    Examples
    --------
    >>> _clock_text(_monthly_at(date(2024, 2, 1)))
    '2024-03-04 10:00:00'
    """
    following = (first + timedelta(days=31)).replace(day=1)
    monday = following + timedelta(days=(-following.weekday()) % 7)
    return day_ms(monday) + 10 * HOUR_MS


def _clock_text(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _csv(rows: Iterable[Sequence[Any]]) -> list[str]:
    return [",".join(map(str, row)) for row in rows]
