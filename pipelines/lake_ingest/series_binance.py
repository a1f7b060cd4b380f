"""Binance series: bars, settlements and open interest, over REST or from the archive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import pandas as pd

from lake_ingest.parse import (
    MINUTE_MS,
    Window,
    binance_funding,
    binance_klines,
    binance_open_interest,
    day_ms,
    settlement_intervals,
    to_days,
)
from lake_ingest.parse_archive import archive_funding, archive_klines, archive_open_interest
from lake_ingest.plan import Job
from lake_ingest.series import Series, between, concat, settled_day, stamp
from lake_ingest.settings import PlanSettings
from lake_ingest.vendors.archive import ArchiveClient
from lake_ingest.vendors.binance import BinanceClient
from pipeline_kit.calendar import ONE_DAY

FIRST_PERPETUAL: Final = date(2019, 9, 1)
PROBED_MONTHS: Final = 3


def fetch_klines(
    client: BinanceClient, job: Job, plan: PlanSettings, listed_on: date | None
) -> Series:
    """Return close and quote volume of a perpetual per day, per contract unit."""
    first, pages, traded_to = max(job.first_day, listed_on or job.first_day), [], None
    while first <= job.last_day:
        last = min(job.last_day, first + timedelta(days=plan.binance_kline_bars - 1))
        window = Window(day_ms(first), day_ms(last))
        limit = max(1, (last - first).days + 1)
        answer = client.klines(job.identity, "1d", window.start_ms, window.end_ms, limit)
        page = binance_klines(answer, window)
        page["fetched_at"] = stamp(answer)
        pages.append(page)
        first = last + ONE_DAY
    rows = concat(pages, ["time", "close", "quote_volume", "fetched_at"])
    rows.insert(0, "date", to_days(rows.pop("time")))
    if not rows.empty:
        traded_to = rows["date"].max().date()
    return Series(job, rows, traded_to=traded_to)


def fetch_funding_rates(
    client: BinanceClient, job: Job, plan: PlanSettings, listed_on: date | None
) -> Series:
    """Return the settlements of a perpetual over ``(first 00:00, last+1 00:00]``.

    The day before is asked for too: an interval is the gap to the settlement before.
    """
    first = max(job.first_day, listed_on or job.first_day) - ONE_DAY
    start_ms, end_ms, pages = day_ms(first), day_ms(job.last_day + ONE_DAY) + MINUTE_MS - 1, []
    while start_ms <= end_ms:
        limit = plan.binance_funding_rows
        answer = client.funding_rates(job.identity, start_ms, end_ms, limit)
        page = binance_funding(answer, job.identity, Window(start_ms - MINUTE_MS, end_ms))
        page["fetched_at"] = stamp(answer)
        pages.append(page)
        # A fuller window is returned from its start.
        if len(page) < limit:
            break
        start_ms = int(page["time"].iloc[-1]) + MINUTE_MS
    columns = ["time", "funding_rate", "mark_price", "fetched_at"]
    rows = concat(pages, columns).drop_duplicates("time", keep="last")
    rows["interval_hours"] = settlement_intervals(rows["time"].tolist())
    return Series(job, _settlements(rows, job))


def fetch_archive_klines(client: ArchiveClient, job: Job) -> Series:
    """Return close and quote volume of a perpetual from monthly files, daily ones in gaps."""
    pages, months = [], list(_months(job.first_day, job.last_day))
    # A contract lives longer than a quarter: without a file there it has none at all.
    probes = {*months[::-PROBED_MONTHS], months[0]}
    if len(months) > PROBED_MONTHS and not any(
        client.klines_month(job.identity, month) for month in sorted(probes)
    ):
        return Series(job, answered_to=job.last_day)
    for month in months:
        answer = client.klines_month(job.identity, month)
        if answer is not None:
            pages.append(archive_klines(answer).assign(fetched_at=stamp(answer)))
    rows = concat(pages, ["time", "close", "quote_volume", "fetched_at"])
    for day in _days_to_fill(rows, job):
        answer = client.klines_day(job.identity, day)
        if answer is not None:
            pages.append(archive_klines(answer).assign(fetched_at=stamp(answer)))
    rows = concat(pages, ["time", "close", "quote_volume", "fetched_at"])
    rows = rows.drop_duplicates("time", keep="last").sort_values("time")
    rows.insert(0, "date", to_days(rows.pop("time")))
    rows = between(rows, job)
    traded_to = None if rows.empty else rows["date"].max().date()
    return Series(job, rows, traded_to=traded_to, answered_to=job.last_day)


def fetch_archive_funding(client: ArchiveClient, job: Job, today: date) -> Series:
    """Return the settlements of a perpetual from the archive, without mark prices."""
    pages = []
    for month in _months(job.first_day, job.last_day + ONE_DAY):
        answer = client.funding_month(job.identity, month)
        if answer is not None:
            pages.append(archive_funding(answer).assign(fetched_at=stamp(answer)))
    columns = ["time", "funding_rate", "interval_hours", "fetched_at"]
    rows = concat(pages, columns).drop_duplicates("time", keep="last").sort_values("time")
    rows["mark_price"] = float("nan")
    return Series(job, _settlements(rows, job), answered_to=_published_to(job, today))


def fetch_metrics(
    rest: BinanceClient, archive: ArchiveClient | None, job: Job, plan: PlanSettings
) -> Series:
    """Return Binance's own open interest in USD: REST for the last days, the archive before.

    Without the archive's client the older days are left out.
    """
    recent_from = job.last_day - timedelta(days=plan.binance_open_interest_days - 1)
    answer = rest.open_interest(job.identity, plan.binance_open_interest_days)
    pages = [binance_open_interest(answer, job.identity).assign(fetched_at=stamp(answer))]
    older = pd.date_range(job.first_day, min(job.last_day, recent_from - ONE_DAY))
    for day in older.date:
        file = archive.metrics_day(job.identity, day) if archive is not None else None
        level = archive_open_interest(file, day) if file is not None else None
        if file is not None and level is not None:
            row = {"date": [pd.Timestamp(day)], "open_interest_usd": [level]}
            pages.append(pd.DataFrame(row).assign(fetched_at=stamp(file)))
    rows = concat(pages, ["date", "open_interest_usd", "fetched_at"])
    return Series(job, between(rows.drop_duplicates("date").sort_values("date"), job))


def find_listing(client: ArchiveClient, symbol: str, traded: date) -> date:
    """Return the day of a contract's first bar, given one on which it traded.

    A contract is traded without a break, so the first month with a file is found by bisection.
    """
    months = list(_months(FIRST_PERPETUAL, traded))
    low, high = 0, len(months) - 1
    while low < high:
        middle = (low + high) // 2
        if client.klines_month(symbol, months[middle]) is None:
            low = middle + 1
        else:
            high = middle
    answer = client.klines_month(symbol, months[low])
    bars = pd.DataFrame() if answer is None else archive_klines(answer)
    return traded if bars.empty else min(traded, to_days(bars["time"]).min().date())


def _days_to_fill(rows: pd.DataFrame, job: Job) -> list[date]:
    """Return the days the monthly files lack: inside them, or after the last (the open month)."""
    wanted = pd.date_range(job.first_day, job.last_day)
    if rows.empty:
        is_one_month = job.first_day >= job.last_day.replace(day=1)
        return list(wanted.date) if is_one_month else []
    present = pd.DatetimeIndex(to_days(rows["time"]))
    lacking = wanted.difference(present)
    return list(lacking[lacking > present.min()].date)


def _published_to(job: Job, today: date) -> date:
    """Return the last day of the job whose monthly file is published for sure.

    That is on the first Monday of the next month, at the latest on the 7th.
    """
    open_month = (today - timedelta(days=7)).replace(day=1)
    # The settlement of a month's last midnight stands in the next month's file.
    return min(job.last_day, open_month - 2 * ONE_DAY)


def _settlements(rows: pd.DataFrame, job: Job) -> pd.DataFrame:
    rows = rows.assign(settled_at=pd.to_datetime(rows["time"], unit="ms")).drop(columns="time")
    day = settled_day(rows["settled_at"])
    inside = (day >= pd.Timestamp(job.first_day)) & (day <= pd.Timestamp(job.last_day))
    return rows[inside].reset_index(drop=True)


def _months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = (month + timedelta(days=31)).replace(day=1)
