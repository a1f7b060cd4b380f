"""CoinGlass series: open interest, funding and pair prices, in windows of at most 1000 bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

import pandas as pd

from lake_ingest.bronze import Answer
from lake_ingest.parse import (
    DAY_MS,
    HOUR_MS,
    Window,
    coinglass_bars,
    coinglass_market_caps,
    day_ms,
    to_days,
)
from lake_ingest.plan import Job
from lake_ingest.series import VENUE, Series, concat, stamp
from lake_ingest.settings import PlanSettings
from lake_ingest.vendors.coinglass import CoinglassClient
from pipeline_kit.calendar import ONE_DAY

PERCENT: Final = 100.0


def fetch_open_interest(client: CoinglassClient, job: Job, plan: PlanSettings) -> Series:
    """Return one spelling's open interest in USD at the end of each day."""

    def ask(window: Window) -> Answer:
        return client.open_interest(job.identity, "1d", window.start_ms, window.end_ms)

    bars = _pages_backwards(ask, ["close"], _days_window(job), plan)
    bars.insert(0, "date", to_days(bars.pop("time")))
    return Series(job, bars.rename(columns={"close": "open_interest_usd"}))


def fetch_oi_weighted_funding(client: CoinglassClient, job: Job, plan: PlanSettings) -> Series:
    """Return the mean of each day's three 8-hour closes as a fraction; whole days only."""

    def ask(window: Window) -> Answer:
        return client.oi_weighted_funding(job.identity, "8h", window.start_ms, window.end_ms)

    bars = _pages_backwards(ask, ["close"], _days_window(job, 8 * HOUR_MS), plan)
    return Series(job, mean_of_three(bars))


def mean_of_three(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the day's mean of three 8-hour closes over 100, for days that have all three.

    Examples
    --------
    >>> at = pd.Timestamp("2024-01-03")
    >>> bars = pd.DataFrame(
    ...     {"time": [0, 8 * HOUR_MS, 16 * HOUR_MS, 24 * HOUR_MS],
    ...      "close": [0.01, 0.02, 0.03, 0.5], "fetched_at": at}
    ... )
    >>> mean_of_three(bars)["funding_rate"].tolist()
    [0.0002]
    """
    by_day = bars.assign(date=to_days(bars["time"])).groupby("date", sort=True)
    days = by_day.agg(
        close=("close", "sum"), n=("close", "count"), fetched_at=("fetched_at", "max")
    )
    whole = days[days["n"] == 3].reset_index()
    whole["funding_rate"] = whole["close"] / 3 / PERCENT
    return whole[["date", "funding_rate", "fetched_at"]]


def fetch_pair_price(client: CoinglassClient, job: Job, plan: PlanSettings) -> Series:
    """Return the daily close of a Binance pair as CoinGlass has it, per contract unit."""

    def ask(window: Window) -> Answer:
        return client.pair_price(VENUE, job.identity, "1d", window.start_ms, window.end_ms)

    bars = _pages_backwards(ask, ["close"], _days_window(job), plan)
    bars.insert(0, "date", to_days(bars.pop("time")))
    return Series(job, bars)


def fetch_pair_funding(
    client: CoinglassClient, job: Job, plan: PlanSettings, interval_hours: int
) -> Series:
    """Return the settlements of a Binance pair as CoinGlass has them.

    A bar's close is the rate that settles at the bar's end, when the bar is as long as the
    contract's own interval.
    """
    interval_ms = interval_hours * HOUR_MS

    def ask(window: Window) -> Answer:
        return client.pair_funding(
            VENUE, job.identity, f"{interval_hours}h", window.start_ms, window.end_ms
        )

    bars = _pages_backwards(ask, ["close"], _days_window(job, interval_ms), plan)
    bars.insert(0, "settled_at", pd.to_datetime(bars.pop("time") + interval_ms, unit="ms"))
    bars["funding_rate"] = bars.pop("close") / PERCENT
    bars["interval_hours"] = float(interval_hours)
    return Series(job, bars)


def fetch_market_caps(client: CoinglassClient, jobs: Sequence[Job]) -> list[Series]:
    """Return the market caps of now for the newest day; there is no history of them."""
    found: dict[str, tuple[float, pd.Timestamp]] = {}
    for page in count(1):
        answer = client.coins_markets(page)
        caps = coinglass_market_caps(answer)
        if not set(caps) - set(found):
            break
        found |= {symbol: (cap, stamp(answer)) for symbol, cap in caps.items()}
    return [
        Series(
            job,
            pd.DataFrame(
                {
                    "date": [pd.Timestamp(job.last_day)],
                    "marketcap": [found[job.identity][0]],
                    "fetched_at": [found[job.identity][1]],
                }
            ),
        )
        for job in jobs
        if job.identity in found
    ]


def _pages_backwards(
    ask: Callable[[Window], Answer],
    fields: Sequence[str],
    whole: Window,
    plan: PlanSettings,
) -> pd.DataFrame:
    """Return bars of windows of at most 1000, newest first, until one is empty or all are read."""
    interval, end_ms, pages = whole.interval_ms, whole.end_ms, []
    while end_ms >= whole.start_ms:
        start_ms = max(whole.start_ms, end_ms - (plan.coinglass_bars - 1) * interval)
        window = Window(start_ms, end_ms, interval)
        answer = ask(window)
        page = coinglass_bars(answer, fields, window)
        if page.empty:
            break
        page["fetched_at"] = stamp(answer)
        pages.append(page)
        if start_ms == whole.start_ms:
            break
        end_ms = start_ms + (plan.coinglass_overlap_bars - 1) * interval
    rows = concat(pages[::-1], ["time", *fields, "fetched_at"])
    return rows.drop_duplicates("time", keep="last").sort_values("time").reset_index(drop=True)


def _days_window(job: Job, interval_ms: int = DAY_MS) -> Window:
    return Window(day_ms(job.first_day), day_ms(job.last_day + ONE_DAY) - interval_ms, interval_ms)
