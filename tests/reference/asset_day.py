"""Every asset's day as known for that day: levels, returns, medians, funding."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from itertools import pairwise
from typing import Any

import pandas as pd

from tests.reference.arithmetic import Value, change, mean, present
from tests.reference.funding import funding_of_day
from tests.reference.knowledge import DAY, Knowledge, Settings
from tests.reference.universe import is_delisted, is_listed_in_universe, median_volume

LOOKBACK_DAYS = 400
FUNDING_COLUMNS = (
    "asset_id",
    "date",
    "funding_rate_8h",
    "funding_rate_1d",
    "count_settlements",
    "hours_covered",
    "basis",
)


def reference_asset_day(
    lake: Mapping[str, pd.DataFrame],
    settings: Settings,
    days: Collection[date] | None = None,
) -> pd.DataFrame:
    """Return one row per asset and day with a row in any fact labelled ``t-3 .. t``."""
    known = Knowledge(lake, settings)
    rows = [
        asset_day(known, asset, t)
        for asset in known.assets()
        for t in (known.days() if days is None else sorted(days))
        if is_listed_in_universe(known, asset, t)
    ]
    return pd.DataFrame(rows)


def reference_funding(
    lake: Mapping[str, pd.DataFrame],
    settings: Settings,
    days: Collection[date] | None = None,
) -> pd.DataFrame:
    """Return the funding of every asset and day that has a settlement or a daily rate."""
    known = Knowledge(lake, settings)
    rows = []
    for asset in known.assets():
        for t in known.days() if days is None else sorted(days):
            funding = funding_of_day(known, asset, t, t)
            if funding.count_settlements or funding.basis is not None:
                rows.append(
                    {
                        "asset_id": asset,
                        "date": t,
                        "funding_rate_8h": funding.rate_8h,
                        "funding_rate_1d": funding.rate_1d,
                        "count_settlements": funding.count_settlements,
                        "hours_covered": funding.hours_covered,
                        "basis": funding.basis,
                    }
                )
    return pd.DataFrame(rows, columns=FUNDING_COLUMNS)


def asset_day(known: Knowledge, asset: str, t: date) -> dict[str, Any]:
    """Return everything one asset's day ``t`` says, as known for ``t``."""
    previous_close, close = known.window("fact_price", asset, 2, t)
    funding = funding_of_day(known, asset, t, t)
    rows = known.rows_labelled(asset, t, t)
    last_price_date = newest_close_day(known, asset, t, t)
    earlier = newest_close_day(known, asset, t - DAY, t)
    earlier_close = None if earlier is None else known.value("fact_price", asset, earlier, t)
    return {
        "asset_id": asset,
        "date": t,
        "close_usd": close,
        "previous_close_usd": previous_close,
        "return_1d": change(close, previous_close),
        "return_3d": return_3d(known, asset, t),
        "last_price_date": last_price_date,
        "return_since_last_price": change(close, earlier_close),
        "market_cap_usd": known.level("fact_marketcap", asset, t, t),
        "previous_market_cap_usd": known.level("fact_marketcap", asset, t - DAY, t),
        "volume_usd": known.value("fact_volume", asset, t, t),
        "volume_level_usd": known.level("fact_volume", asset, t, t),
        "volume_median_7d_usd": median_volume(known, asset, t),
        "open_interest_usd": known.level("fact_open_interest", asset, t, t),
        "perp_volume_usd": known.value("fact_perp_volume", asset, t, t),
        "funding_rate_8h": funding.rate_8h,
        "funding_rate_1d": funding.rate_1d,
        "is_delisted": is_delisted(known.dim_instrument, asset, t),
        "mean_return_3d": mean_return(known, asset, 3, t),
        "mean_return_7d": mean_return(known, asset, 7, t),
        "is_volume_high_30d": is_volume_high(known, asset, t),
        "count_rows": len(rows),
        "count_assumed": sum(row.is_assumed for row in rows),
    }


def newest_close_day(known: Knowledge, asset: str, day: date, t: date) -> date | None:
    """Return the newest day up to ``day`` with a close as known for ``t``, 400 days back."""
    for age in range((t - day).days, LOOKBACK_DAYS + 1):
        if known.row("fact_price", asset, t - age * DAY, t) is not None:
            return t - age * DAY
    return None


def returns(known: Knowledge, asset: str, n_days: int, t: date) -> list[float] | None:
    """Return the ``n_days`` one-day returns ending at ``t``, None when one is missing."""
    closes = known.window("fact_price", asset, n_days + 1, t)
    return present([change(now, then) for then, now in pairwise(closes)])


def mean_return(known: Knowledge, asset: str, n_days: int, t: date) -> Value:
    """Return the mean one-day return over ``n_days``, null when the window is incomplete."""
    window = returns(known, asset, n_days, t)
    return None if window is None else mean(window)


def return_3d(known: Knowledge, asset: str, t: date) -> Value:
    """Return the close of ``t`` over the close of ``t-3``, minus 1; the two end days only."""
    closes = known.window("fact_price", asset, 4, t)
    return change(closes[-1], closes[0])


def is_volume_high(known: Knowledge, asset: str, t: date) -> bool | None:
    """Return whether the volume is positive and its own 30-day maximum; needs all 30 rows."""
    window = present(known.window("fact_volume", asset, 30, t))
    return None if window is None else window[-1] > 0 and window[-1] == max(window)
