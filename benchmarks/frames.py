"""The eight feature groups in Polars and in pandas; runs in an environment of their own.

Reads the facts of a lake without revisions, times each version with the facts already in memory,
each row marked as assumed or observed, and writes the columns of ``fct_features_daily`` as Parquet
and the seconds as JSON.
Usage: ``python benchmarks/frames.py LAKE RESULTS ROUNDS``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

FACTS = {
    "fact_price": "close",
    "fact_marketcap": "marketcap",
    "fact_volume": "volume",
    "fact_funding": "funding_rate",
    "fact_open_interest": "open_interest_usd",
}
ASSUMED = {name: f"{name}_is_assumed" for name in FACTS}
MAJORS = ["BTC", "ETH"]
MIN_MCAP, MIN_VOLUME, STALENESS = 50e6, 1e6, 3
ZSCORE_DAYS = 60
PRIMARY = [
    "alt_breadth_pct_up",
    "btc_dominance",
    "funding_skew",
    "funding_heating",
    "liquidity_7d_median",
    "volatility_spread",
    "momentum_spread_7d",
    "oi_risk",
]


def polars_features(facts: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the features: one spine of asset and day, sorted once, windows over it."""
    days = _polars_panel(facts)
    is_alt = ~pl.col("asset_id").is_in(MAJORS)
    is_eligible = (
        is_alt
        & (pl.col("cap") >= MIN_MCAP)
        & (pl.col("volume_median") >= MIN_VOLUME)
        & pl.col("volume_level").is_not_null()
        & pl.col("r0").is_not_null()
    )
    alts = days.filter(is_eligible).group_by("date").agg(*_polars_aggregates())
    majors = days.filter(~is_alt).group_by("date").agg(*_polars_majors())
    btc = days.filter(pl.col("asset_id") == "BTC").select(
        "date", "btc_std", pl.col("cap").alias("btc_cap"), "return_3d", "oi_growth", "cap_growth"
    )
    calendar = days.select(pl.col("date").unique()).sort("date")
    daily = (
        calendar.join(alts, "date", "left").join(majors, "date", "left").join(btc, "date", "left")
    )
    return _polars_daily(daily.sort("date").collect())


def _polars_panel(facts: dict[str, pl.DataFrame]) -> pl.LazyFrame:
    """Return one row per asset and calendar day between its first and last, with its windows."""
    tables = [frame.lazy() for frame in facts.values()]
    keys = pl.concat([table.select("asset_id", "date") for table in tables])
    spine = (
        keys.group_by("asset_id")
        .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
        .sort("asset_id")
        .select("asset_id", pl.date_ranges("first", "last").alias("date"))
        .explode("date", empty_as_null=False)
    )
    for table in tables:
        spine = spine.join(table, ["asset_id", "date"], "left", maintain_order="left")
    by = "asset_id"
    close, volume = pl.col("close"), pl.col("volume")
    returns = {f"r{k}": pl.col("r").shift(k).over(by) for k in range(7)}
    return (
        spine.with_columns(
            r=(close / close.shift(1) - 1).over(by),
            return_3d=(close / close.shift(3) - 1).over(by),
            cap=pl.col("marketcap").forward_fill(STALENESS).over(by),
            volume_level=volume.forward_fill(STALENESS).over(by),
            interest=pl.col("open_interest_usd").forward_fill(STALENESS).over(by),
            volume_median=volume.rolling_median(7, min_samples=1).over(by),
            volume_max=volume.rolling_max(30, min_samples=30).over(by),
            oi_growth=(
                100 * (pl.col("open_interest_usd") / pl.col("open_interest_usd").shift(3) - 1)
            ).over(by),
            cap_growth=(100 * (pl.col("marketcap") / pl.col("marketcap").shift(3) - 1)).over(by),
            n_rows=pl.sum_horizontal(pl.col(name).is_not_null() for name in ASSUMED.values()),
            n_assumed=pl.sum_horizontal(ASSUMED.values()),
        )
        .with_columns(
            **returns,
            previous_cap=pl.col("cap").shift(1).over(by),
            btc_std=pl.when(pl.col(by) == "BTC").then(
                pl.col("r").rolling_std(7, min_samples=7).over(by)
            ),
        )
        .with_columns(
            mean_3d=(pl.col("r2") + pl.col("r1") + pl.col("r0")) / 3,
            mean_7d=sum((pl.col(f"r{k}") for k in range(6)), pl.col("r6")) / 7,
            is_high=pl.when(pl.col("volume_max").is_not_null()).then(
                (volume > 0) & (volume == pl.col("volume_max"))
            ),
        )
    )


def _polars_aggregates() -> list[pl.Expr]:
    r, rate, interest = pl.col("r0"), pl.col("funding_rate"), pl.col("interest")
    has_both = rate.is_not_null() & interest.is_not_null()
    return [
        (100 * (r > 0).mean()).alias("pct_up"),
        r.median().alias("median_ret"),
        (r.quantile(0.75, "linear") - r.quantile(0.25, "linear")).alias("iqr"),
        pl.col("cap").sum().alias("alt_cap"),
        pl.col("volume_level").sum().alias("total_volume"),
        (100 * pl.col("is_high").mean()).alias("pct_at_high"),
        (
            (pl.col("previous_cap") * r).sum()
            / pl.col("previous_cap").filter(r.is_not_null()).sum()
        ).alias("index_return"),
        pl.col("mean_3d").median().alias("alt_3d"),
        pl.col("mean_7d").median().alias("alt_7d"),
        pl.when(2 * has_both.sum() > rate.count())
        .then((rate * interest).sum() / interest.filter(has_both).sum())
        .otherwise(rate.mean())
        .alias("alt_rate"),
        (has_both.sum() / rate.count()).alias("coverage"),
        pl.col("n_rows").sum().alias("alt_rows"),
        pl.col("n_assumed").sum().alias("alt_assumed"),
    ]


def _polars_majors() -> list[pl.Expr]:
    rate, interest = pl.col("funding_rate"), pl.col("interest")
    both = [pl.when(pl.col(m).count() == 2).then(pl.col(m).mean()) for m in ("mean_3d", "mean_7d")]
    has_both = rate.is_not_null() & interest.is_not_null()
    return [
        both[0].alias("major_3d"),
        both[1].alias("major_7d"),
        pl.when(has_both.sum() == 2)
        .then((rate * interest).sum() / interest.filter(has_both).sum())
        .otherwise(rate.mean())
        .alias("major_rate"),
        pl.col("n_rows").sum().alias("major_rows"),
        pl.col("n_assumed").sum().alias("major_assumed"),
    ]


def _polars_daily(daily: pl.DataFrame) -> pl.DataFrame:
    """Return the features of the daily aggregates; a few thousand rows, so in pandas for both."""
    frame = daily.to_pandas()
    return pl.from_pandas(daily_features(frame))


def pandas_features(facts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the features: one matrix of days by assets per fact, windows down columns."""
    wide = {
        name: facts[name].pivot(index="date", columns="asset_id", values=column)
        for name, column in FACTS.items()
    }
    assumed = [
        facts[name].pivot(index="date", columns="asset_id", values=column).fillna(False)
        for name, column in ASSUMED.items()
    ]
    index = pd.date_range(
        min(w.index[0] for w in wide.values()), max(w.index[-1] for w in wide.values())
    )
    columns = wide["fact_price"].columns
    close, cap_row, volume, rate, interest_row = (
        w.reindex(index=index, columns=columns) for w in wide.values()
    )
    cap, volume_level, interest = (
        w.ffill(limit=STALENESS) for w in (cap_row, volume, interest_row)
    )
    r = close / close.shift(1) - 1
    mean_3d = (r.shift(2) + r.shift(1) + r) / 3
    mean_7d = sum((r.shift(k) for k in range(5, -1, -1)), r.shift(6)) / 7
    is_alt = ~columns.isin(MAJORS)
    member = (
        (cap >= MIN_MCAP)
        & (volume.rolling(7, min_periods=1).median() >= MIN_VOLUME)
        & volume_level.notna()
        & r.notna()
        & is_alt
    )
    highest = volume.rolling(30, min_periods=30).max()
    own = r.where(member)
    funded = rate.where(member)
    has_oi = funded.notna() & interest.notna()
    weights = cap.shift(1).where(member & cap.shift(1).notna())
    daily = pd.DataFrame(index=index)
    daily["pct_up"] = 100 * (own > 0).sum(axis=1) / own.notna().sum(axis=1)
    daily["median_ret"] = own.median(axis=1)
    daily["iqr"] = own.quantile(0.75, axis=1) - own.quantile(0.25, axis=1)
    daily["alt_cap"] = cap.where(member).sum(axis=1)
    daily["total_volume"] = volume_level.where(member).sum(axis=1, min_count=1)
    full = member & highest.notna()
    at_high = full & (volume > 0) & (volume == highest)
    daily["pct_at_high"] = 100 * at_high.sum(axis=1) / full.sum(axis=1)
    daily["index_return"] = (weights * own).sum(axis=1) / weights.sum(axis=1)
    daily["alt_3d"] = mean_3d.where(member).median(axis=1)
    daily["alt_7d"] = mean_7d.where(member).median(axis=1)
    weighted = (funded * interest).sum(axis=1) / interest.where(has_oi).sum(axis=1)
    is_weighted = 2 * has_oi.sum(axis=1) > funded.notna().sum(axis=1)
    daily["alt_rate"] = weighted.where(is_weighted, funded.mean(axis=1))
    daily["coverage"] = has_oi.sum(axis=1) / funded.notna().sum(axis=1)
    n_rows = sum(w.notna().astype(int) for w in (close, cap_row, volume, rate, interest_row))
    n_assumed = sum(
        w.reindex(index=index, columns=columns, fill_value=False).astype(int) for w in assumed
    )
    daily["alt_rows"], daily["alt_assumed"] = (
        n.where(member).sum(axis=1) for n in (n_rows, n_assumed)
    )
    daily["major_rows"], daily["major_assumed"] = (
        n[MAJORS].sum(axis=1) for n in (n_rows, n_assumed)
    )
    for n, means in ((3, mean_3d), (7, mean_7d)):
        daily[f"major_{n}d"] = means[MAJORS].mean(axis=1, skipna=False)
    major_rate, major_interest = rate[MAJORS], interest[MAJORS]
    has_both = (major_rate.notna() & major_interest.notna()).all(axis=1)
    weighted = (major_rate * major_interest).sum(axis=1) / major_interest.sum(axis=1)
    daily["major_rate"] = weighted.where(has_both, major_rate.mean(axis=1))
    daily["btc_std"] = r["BTC"].rolling(7).std()
    daily["btc_cap"] = cap["BTC"]
    daily["return_3d"] = close["BTC"] / close["BTC"].shift(3) - 1
    daily["oi_growth"] = 100 * (interest_row["BTC"] / interest_row["BTC"].shift(3) - 1)
    daily["cap_growth"] = 100 * (cap_row["BTC"] / cap_row["BTC"].shift(3) - 1)
    return daily_features(daily.rename_axis("date").reset_index())


def daily_features(day: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``fct_features_daily`` from one row of aggregates per day."""
    out = pd.DataFrame({"date": pd.to_datetime(day["date"])})
    no_alts = day["total_volume"].isna()
    dominance = (day["btc_cap"] / (day["btc_cap"] + day["alt_cap"])).mask(no_alts)
    skew = day["alt_rate"] - day["major_rate"]
    growth = day["oi_growth"].where(day["oi_growth"].notna(), day["cap_growth"])
    risk = np.clip(growth / 50, 0, 1) * np.where(day["return_3d"] > 0, 1.0, 0.5)
    median_7d = day["total_volume"].rolling(7).median()
    raw: dict[str, Any] = {
        "alt_breadth_pct_up": day["pct_up"],
        "alt_breadth_median_ret": day["median_ret"],
        "alt_breadth_iqr": day["iqr"],
        "alt_breadth_slope_5d": day["pct_up"].diff(5),
        "alt_breadth_slope_20d": day["pct_up"].diff(20),
        "btc_dominance": dominance,
        "btc_dominance_d1d": dominance.diff(),
        "btc_dominance_d5d": dominance.diff(5),
        "btc_dominance_zscore": zscore(dominance, ZSCORE_DAYS),
        "funding_skew": skew,
        "funding_skew_zscore_3d": zscore(skew, 3),
        "funding_heating": skew.rolling(10).mean() - skew.rolling(20).mean(),
        "oi_risk": risk.mask(day["return_3d"].isna() | growth.isna()),
        "liquidity_7d_median": median_7d,
        "liquidity_z_delta": zscore(day["total_volume"] - median_7d, 30),
        "liquidity_pct_at_high": day["pct_at_high"],
        "volatility_spread": day["index_return"].rolling(7).std() - day["btc_std"],
        "momentum_alt_3d": day["alt_3d"],
        "momentum_alt_7d": day["alt_7d"],
        "momentum_spread_3d": day["alt_3d"] - day["major_3d"],
        "momentum_spread_7d": day["alt_7d"] - day["major_7d"],
    }
    for name, values in raw.items():
        out[f"raw_{name}"] = values
        out[f"z_{name}"] = zscore(values, ZSCORE_DAYS)
    out["has_funding"] = skew.notna()
    out["funding_oi_coverage"] = day["coverage"]
    out["oi_is_proxy"] = day["oi_growth"].isna()
    out["valid"] = out[[f"z_{name}" for name in PRIMARY]].notna().all(axis=1)
    known = day["alt_rows"].fillna(0) + day["major_rows"].fillna(0)
    out["share_assumed"] = (day["alt_assumed"].fillna(0) + day["major_assumed"].fillna(0)) / known
    return out


def zscore(values: pd.Series, days: int) -> pd.Series:
    """Return the z-score in a window, null where the window is constant."""
    window = values.rolling(days)
    return ((values - window.mean()) / window.std()).where(window.max() > window.min())


def main(lake: Path, results: Path, rounds: int) -> None:
    """Run both and save what came out."""
    tables = {
        name: pl.read_parquet(
            lake / f"{name}.parquet", columns=["asset_id", "date", column]
        ).with_columns(pl.lit(True).alias(ASSUMED[name]))
        for name, column in FACTS.items()
    }
    frames = {name: table.to_pandas() for name, table in tables.items()}
    calls: dict[str, Callable[[], Any]] = {
        "polars": lambda: polars_features(tables),
        "pandas": lambda: pandas_features(frames),
    }
    seconds: dict[str, Any] = {}
    for name, call in calls.items():
        times, busy = [], []
        for _ in range(rounds):
            start, cpu = time.perf_counter(), time.process_time()
            features = call()
            times.append(time.perf_counter() - start)
            busy.append(time.process_time() - cpu)
        seconds[name] = [statistics.median(times), statistics.median(busy)]
        frame = features.to_pandas() if isinstance(features, pl.DataFrame) else features
        frame.to_parquet(results / f"{name}.parquet")
    seconds["versions"] = f"Polars {pl.__version__}, pandas {pd.__version__}"
    (results / "seconds.json").write_text(json.dumps(seconds), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
