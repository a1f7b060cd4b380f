"""Who is eligible on a day, and the first rule an asset fails: strategy.md section 2."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

import pandas as pd

from tests.reference.arithmetic import median
from tests.reference.knowledge import DAY, MAJORS, VALUE_COLUMNS, Knowledge, Settings

FLAGS = ("is_stable", "is_wrapped", "is_commodity_or_equity")


def reference_universe(
    lake: Mapping[str, pd.DataFrame],
    settings: Settings,
    days: Collection[date] | None = None,
) -> pd.DataFrame:
    """Return asset_id, date, is_eligible and exclusion_reason, sorted by asset and day."""
    known = Knowledge(lake, settings)
    rows = [
        {"asset_id": asset, "date": t, "exclusion_reason": first_failing_rule(known, asset, t)}
        for asset in known.assets()
        for t in (known.days() if days is None else sorted(days))
        if is_listed_in_universe(known, asset, t)
    ]
    universe = pd.DataFrame(rows, columns=["asset_id", "date", "exclusion_reason"], dtype=object)
    universe["is_eligible"] = [reason is None for reason in universe["exclusion_reason"]]
    return universe[["asset_id", "date", "is_eligible", "exclusion_reason"]]


def is_listed_in_universe(known: Knowledge, asset: str, t: date) -> bool:
    """Return whether any fact has a row of the asset labelled ``t-3 .. t``, as known for ``t``."""
    for age in range(4):
        day = t - age * DAY
        if any(known.row(table, asset, day, t) is not None for table in VALUE_COLUMNS):
            return True
        if known.settlements(asset, day, t):
            return True
    return False


def eligible_alts(known: Knowledge, assets: list[str], t: date) -> list[str]:
    """Return ``E`` of day ``t``, in the order of ``assets``."""
    # Whoever passes has a close on ``t``, hence a row in the universe.
    return [asset for asset in assets if first_failing_rule(known, asset, t) is None]


def first_failing_rule(known: Knowledge, asset: str, t: date) -> str | None:
    """Return the name of the first rule the asset fails on ``t``, None when it passes all."""
    for name, passes in _rules(known, asset, t):
        if not passes:
            return name
    return None


def _rules(known: Knowledge, asset: str, t: date) -> Iterator[tuple[str, bool]]:
    limits = known.settings
    yield "major", asset not in MAJORS
    yield "excluded", asset not in limits.exclude_assets
    yield "kind", not is_excluded_kind(known.dim_asset, asset)
    market_cap = known.level("fact_marketcap", asset, t, t)
    yield "mcap", market_cap is not None and market_cap >= limits.min_mcap_usd
    volume = median_volume(known, asset, t)
    yield "volume", volume is not None and volume >= limits.min_volume_usd
    yield "stale", known.level("fact_volume", asset, t, t) is not None
    closes = known.window("fact_price", asset, 2, t)
    yield "closes", None not in closes
    min_days = limits.min_listing_days
    yield (
        "listing",
        not known.has_instruments or is_long_listed(known.dim_instrument, asset, t, min_days),
    )


def median_volume(known: Knowledge, asset: str, t: date) -> float | None:
    """Return the median of the volume rows of the last 7 days, however many there are."""
    rows = known.window("fact_volume", asset, 7, t)
    return median([value for value in rows if value is not None])


def is_excluded_kind(dim_asset: Mapping[str, Mapping[str, Any]], asset: str) -> bool:
    """Return whether the asset is something else than a coin; the unknown are coins.

    Examples
    --------
    >>> dims = {"A": {"kind": "coin", "is_stable": True}, "B": {"kind": "alias"}, "C": {}}
    >>> [is_excluded_kind(dims, asset) for asset in "ABCD"]
    [True, True, False, False]
    """
    record = dim_asset.get(asset, {})
    has_flag = any(record.get(flag) is True for flag in FLAGS)
    return record.get("kind") not in (None, "coin") or has_flag


def is_long_listed(
    dim_instrument: list[dict[str, Any]], asset: str, t: date, min_days: int
) -> bool:
    """Return whether some perp of the asset is old enough and alive on ``t``."""
    for perp in dim_instrument:
        if perp["asset_id"] == asset and perp["listed_on"] is not None:
            is_old = (t - _day(perp["listed_on"])).days >= min_days
            delisted_on = perp.get("delisted_on")
            is_alive = delisted_on is None or _day(delisted_on) > t
            if is_old and is_alive:
                return True
    return False


def is_delisted(dim_instrument: list[dict[str, Any]], asset: str, t: date) -> bool:
    """Return whether the asset had perps by ``t`` and all of them had been delisted by then."""
    so_far = [
        perp
        for perp in dim_instrument
        if perp["asset_id"] == asset
        and perp["listed_on"] is not None
        and _day(perp["listed_on"]) <= t
    ]
    ends = [perp.get("delisted_on") for perp in so_far]
    return bool(so_far) and all(end is not None and _day(end) <= t for end in ends)


def _day(value: Any) -> date:
    return pd.Timestamp(value).date()
