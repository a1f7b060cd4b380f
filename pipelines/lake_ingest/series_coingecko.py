"""CoinGecko series: close, market cap and volume of a coin in one daily chart."""

from __future__ import annotations

from datetime import date, timedelta

from lake_ingest.parse import SECOND_MS, coingecko_chart, day_ms
from lake_ingest.plan import Job
from lake_ingest.series import Series, between, stamp
from lake_ingest.settings import PlanSettings
from lake_ingest.vendors.coingecko import CoingeckoClient
from pipeline_kit.calendar import ONE_DAY


def fetch_market_chart(
    client: CoingeckoClient, job: Job, plan: PlanSettings, oldest: date
) -> Series:
    """Return close, market cap and volume of a coin in USD.

    The window is always longer than 90 days, because shorter ones are answered by the hour;
    ``oldest`` is the first day the plan lets us see.
    """
    ask_from = max(
        min(job.first_day, job.last_day - timedelta(days=plan.coingecko_min_days)), oldest
    )
    ask_to = max(job.last_day, ask_from + timedelta(days=plan.coingecko_min_days))
    # The close of a day is the point stamped at the next midnight.
    start_s = day_ms(ask_from + ONE_DAY) // SECOND_MS
    end_s = day_ms(ask_to + ONE_DAY) // SECOND_MS + 60
    answer = client.market_chart(job.identity, start_s, end_s)
    rows = coingecko_chart(answer, start_s, end_s)
    rows["fetched_at"] = stamp(answer)
    return Series(job, between(rows, job))
