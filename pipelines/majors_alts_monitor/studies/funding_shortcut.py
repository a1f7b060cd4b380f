"""The shortcut others take for a day's funding: its last settlement, times three."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd

from majors_alts_monitor.data_io import Lake
from majors_alts_monitor.types import Floats, Market

SETTLEMENTS_A_DAY: Final = 3


def last_rate_times_three(lake: Lake, market: Market) -> Floats:
    """Return three times the last settled rate of each day, shape (n_days, n_assets).

    No mark, no regard to the interval, and newest versions: as the shortcut is taken. Without a
    settlement, three times the day's mean rate; NaN where neither is known.
    """
    rates = SETTLEMENTS_A_DAY * market.funding_rate_8h
    files = lake.tables.get("fact_funding_settlement")
    if not files:
        return rates
    last = _last_settlements(list(files))
    rows = market.dates.get_indexer(pd.DatetimeIndex(last["date"]))
    columns = market.assets.get_indexer(pd.Index(last["asset_id"]))
    inside = (rows >= 0) & (columns >= 0)
    settled = last["funding_rate"].to_numpy(dtype=np.float64)[inside]
    rates[rows[inside], columns[inside]] = SETTLEMENTS_A_DAY * settled
    return rates


def _last_settlements(files: list[Path]) -> pd.DataFrame:
    """Return date, asset_id, funding_rate of the last settlement in (t 00:00, t+1 00:00]."""
    with duckdb.connect() as con:
        relation = con.read_parquet([str(file) for file in files], union_by_name=True)
        # A version is told apart by known_at alone; lakes without it have one version a key.
        version = "known_at" if "known_at" in relation.columns else "settled_at"
        return con.execute(
            f"""
            select cast(date_trunc('minute', settled_at) - interval 1 minute as date) as date,
                   cast(asset_id as varchar) as asset_id,
                   cast(funding_rate as double) as funding_rate
            from relation
            qualify row_number() over (
                partition by asset_id,
                    cast(date_trunc('minute', settled_at) - interval 1 minute as date)
                order by settled_at desc, {version} desc nulls last
            ) = 1
            """  # noqa: S608 - the name is this module's own
        ).fetch_df()
