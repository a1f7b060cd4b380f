"""The eight feature groups of strategy.md section 3, one day and one sum at a time.

Data flow: ``lake -> one dictionary of daily aggregates per day -> windows over them``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import pandas as pd

from tests.reference.arithmetic import (
    Value,
    change,
    deviation,
    difference,
    mean,
    median,
    present,
    quantile,
    zscore,
)
from tests.reference.asset_day import is_volume_high, mean_return, return_3d, returns
from tests.reference.funding import alts_rate, funding_of_day, majors_rate
from tests.reference.knowledge import DAY, MAJORS, Knowledge, Settings
from tests.reference.universe import eligible_alts

Row = dict[str, Any]
RAW: Final = (
    "alt_breadth_pct_up",
    "alt_breadth_median_ret",
    "alt_breadth_iqr",
    "alt_breadth_slope_5d",
    "alt_breadth_slope_20d",
    "btc_dominance",
    "btc_dominance_d1d",
    "btc_dominance_d5d",
    "btc_dominance_zscore",
    "funding_skew",
    "funding_skew_zscore_3d",
    "funding_heating",
    "oi_risk",
    "liquidity_7d_median",
    "liquidity_z_delta",
    "liquidity_pct_at_high",
    "volatility_spread",
    "momentum_alt_3d",
    "momentum_alt_7d",
    "momentum_spread_3d",
    "momentum_spread_7d",
)
PRIMARY: Final = (
    "alt_breadth_pct_up",
    "btc_dominance",
    "funding_skew",
    "funding_heating",
    "liquidity_7d_median",
    "volatility_spread",
    "momentum_spread_7d",
    "oi_risk",
)


def reference_features(lake: Mapping[str, pd.DataFrame], settings: Settings) -> pd.DataFrame:
    """Return one row per calendar day from the lake's first day to its last.

    Columns are ``date``, ``raw_X`` and ``z_X`` of the 21 features, ``has_funding``,
    ``funding_oi_coverage``, ``oi_is_proxy``, ``valid`` and ``share_assumed``.
    """
    known = Knowledge(lake, settings)
    assets, days = known.assets(), known.days()
    rows: list[Row] = []
    for t in days:
        rows.append(daily_aggregates(known, assets, t))
        add_windows(rows, settings.zscore_days)
    for name in RAW:
        values = [row[f"raw_{name}"] for row in rows]
        for i, row in enumerate(rows):
            row[f"z_{name}"] = zscore(_last(values[: i + 1], settings.zscore_days))
    for row in rows:
        row["valid"] = all(row[f"z_{name}"] is not None for name in PRIMARY)
    numbers = [f"{kind}_{name}" for kind in ("raw", "z") for name in RAW]
    numbers += ["funding_oi_coverage", "share_assumed"]
    features = pd.DataFrame(rows)[["date", *numbers, "has_funding", "oi_is_proxy", "valid"]]
    return features.astype(dict.fromkeys(numbers, float))


def daily_aggregates(known: Knowledge, assets: list[str], t: date) -> Row:
    """Return what day ``t`` says by itself, from its own ``E``."""
    members = eligible_alts(known, assets, t)
    row: Row = {"date": t}
    row |= breadth(known, members, t)
    row["raw_btc_dominance"] = dominance(known, members, t)
    row |= funding_sides(known, members, t)
    row["raw_oi_risk"], row["oi_is_proxy"] = oi_risk_of_day(known, t)
    row["total_volume"] = total_volume(known, members, t)
    row["raw_liquidity_pct_at_high"] = share_at_high(known, members, t)
    row["index_return"] = index_return(known, members, t)
    row["btc_deviation"] = btc_deviation(known, t)
    row |= momentum(known, members, t)
    row["share_assumed"] = share_assumed(known, members, t)
    return row


def breadth(known: Knowledge, members: list[str], t: date) -> Row:
    """Return the share of members that rose, their median return and its quartile range."""
    r = [value for asset in members if (value := mean_return(known, asset, 1, t)) is not None]
    return {
        "raw_alt_breadth_pct_up": 100 * sum(x > 0 for x in r) / len(r) if r else None,
        "raw_alt_breadth_median_ret": median(r),
        "raw_alt_breadth_iqr": difference(quantile(r, 0.75), quantile(r, 0.25)),
    }


def dominance(known: Knowledge, members: list[str], t: date) -> Value:
    """Return BTC's market cap over its own plus that of the members."""
    btc = known.level("fact_marketcap", "BTC", t, t)
    alts = present([known.level("fact_marketcap", asset, t, t) for asset in members])
    return None if btc is None or alts is None else btc / (btc + math.fsum(alts))


def funding_sides(known: Knowledge, members: list[str], t: date) -> Row:
    """Return the skew F(E) - F(majors), whether it exists, and the coverage behind it."""
    alts, majors = _funded(known, members, t), _funded(known, list(MAJORS), t)
    alts_oi = _with_open_interest(known, members, t)
    majors_oi = _with_open_interest(known, list(MAJORS), t)
    skew = difference(alts_rate(alts, alts_oi), majors_rate(majors, majors_oi))
    covered = sum(asset in alts_oi for asset in alts)
    return {
        "raw_funding_skew": skew,
        "has_funding": skew is not None,
        "funding_oi_coverage": covered / len(alts) if alts else None,
    }


def _funded(known: Knowledge, assets: list[str], t: date) -> dict[str, float]:
    rates = {asset: funding_of_day(known, asset, t, t).rate_8h for asset in assets}
    return {asset: rate for asset, rate in rates.items() if rate is not None}


def _with_open_interest(known: Knowledge, assets: list[str], t: date) -> dict[str, float]:
    levels = {asset: known.level("fact_open_interest", asset, t, t) for asset in assets}
    return {asset: level for asset, level in levels.items() if level is not None}


def oi_risk_of_day(known: Knowledge, t: date) -> tuple[Value, bool]:
    """Return the risk of BTC's open interest, and whether market cap stood in for it."""
    interest = _end_days(known, "fact_open_interest", t)
    is_proxy = None in interest
    now, then = _end_days(known, "fact_marketcap", t) if is_proxy else interest
    return oi_risk(change(now, then), return_3d(known, "BTC", t)), is_proxy


def _end_days(known: Knowledge, table: str, t: date) -> tuple[Value, Value]:
    return known.value(table, "BTC", t, t), known.value(table, "BTC", t - 3 * DAY, t)


def oi_risk(growth: Value, btc_return_3d: Value) -> Value:
    """Return clamp(g / 50, 0, 1), halved unless BTC rose; g is the growth in percent.

    Examples
    --------
    >>> oi_risk(0.25, 0.1), oi_risk(0.25, 0.0), oi_risk(0.75, 0.1)
    (0.5, 0.25, 1.0)
    >>> oi_risk(-0.25, 0.1), oi_risk(None, 0.1), oi_risk(0.25, None)
    (0.0, None, None)
    """
    if growth is None or btc_return_3d is None:
        return None
    clamped = min(max(100 * growth / 50, 0.0), 1.0)
    return clamped * (1.0 if btc_return_3d > 0 else 0.5)


def total_volume(known: Knowledge, members: list[str], t: date) -> Value:
    """Return the sum of the members' volume levels, null without members."""
    volumes = present([known.level("fact_volume", asset, t, t) for asset in members])
    return None if volumes is None else math.fsum(volumes)


def share_at_high(known: Knowledge, members: list[str], t: date) -> Value:
    """Return 100 x the share at their 30-day volume high, among those with all 30 rows."""
    judged = [is_volume_high(known, asset, t) for asset in members]
    highs = [is_high for is_high in judged if is_high is not None]
    return 100 * sum(highs) / len(highs) if highs else None


def index_return(known: Knowledge, members: list[str], t: date) -> Value:
    """Return the members' mean return weighted by the market cap of the day before."""
    caps, weighted = [], []
    for asset in members:
        cap = known.level("fact_marketcap", asset, t - DAY, t)
        r = mean_return(known, asset, 1, t)
        if cap is not None and r is not None:
            caps.append(cap)
            weighted.append(cap * r)
    return math.fsum(weighted) / math.fsum(caps) if caps else None


def btc_deviation(known: Knowledge, t: date) -> Value:
    """Return the deviation of BTC's 7 one-day returns, its closes as known for ``t``."""
    window = returns(known, "BTC", 7, t)
    return None if window is None else deviation(window)


def momentum(known: Knowledge, members: list[str], t: date) -> Row:
    """Return the members' median mean return, and how far it is above the majors' mean."""
    row: Row = {}
    for n_days in (3, 7):
        means = [mean_return(known, asset, n_days, t) for asset in members]
        alts = median([value for value in means if value is not None])
        both = present([mean_return(known, major, n_days, t) for major in MAJORS])
        row[f"raw_momentum_alt_{n_days}d"] = alts
        row[f"raw_momentum_spread_{n_days}d"] = difference(alts, mean(both) if both else None)
    return row


def share_assumed(known: Knowledge, members: list[str], t: date) -> Value:
    """Return the share of assumed rows among those labelled ``t`` of members and majors."""
    rows = [row for asset in (*members, *MAJORS) for row in known.rows_labelled(asset, t, t)]
    return sum(row.is_assumed for row in rows) / len(rows) if rows else None


def add_windows(rows: list[Row], zscore_days: int) -> None:
    """Add to the last row what needs the days before it, each day's own aggregate."""
    row = rows[-1]

    def window(name: str, n_days: int) -> list[Value]:
        return _last([earlier[name] for earlier in rows], n_days)

    def difference_over(name: str, n_days: int) -> Value:
        ends = window(name, n_days + 1)
        return difference(ends[-1], ends[0])

    def mean_over(name: str, n_days: int) -> Value:
        values = present(window(name, n_days))
        return None if values is None else mean(values)

    row["raw_alt_breadth_slope_5d"] = difference_over("raw_alt_breadth_pct_up", 5)
    row["raw_alt_breadth_slope_20d"] = difference_over("raw_alt_breadth_pct_up", 20)
    row["raw_btc_dominance_d1d"] = difference_over("raw_btc_dominance", 1)
    row["raw_btc_dominance_d5d"] = difference_over("raw_btc_dominance", 5)
    row["raw_btc_dominance_zscore"] = zscore(window("raw_btc_dominance", zscore_days))
    row["raw_funding_skew_zscore_3d"] = zscore(window("raw_funding_skew", 3))
    row["raw_funding_heating"] = difference(
        mean_over("raw_funding_skew", 10), mean_over("raw_funding_skew", 20)
    )
    volumes = present(window("total_volume", 7))
    row["raw_liquidity_7d_median"] = None if volumes is None else median(volumes)
    row["liquidity_delta"] = difference(row["total_volume"], row["raw_liquidity_7d_median"])
    row["raw_liquidity_z_delta"] = zscore(window("liquidity_delta", 30))
    index = present(window("index_return", 7))
    alt_deviation = None if index is None else deviation(index)
    row["raw_volatility_spread"] = difference(alt_deviation, row["btc_deviation"])


def _last(values: list[Value], n_days: int) -> list[Value]:
    """Return the last ``n_days`` values; days before the lake's first are missing."""
    return [None] * (n_days - len(values)) + values[-n_days:]
