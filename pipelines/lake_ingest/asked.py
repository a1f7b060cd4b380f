"""Remember which days of which series a vendor was asked for and answered.

A key that an earlier fetch asked for and did not get, and that arrives later, was observed to be
late; without this record it would look like back-filled history. It also tells the planner what
need not be asked again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lake_ingest.seal import ASKED, read_snapshot
from lake_ingest.staging import ASKED_SCHEMA, open_store
from pipeline_kit.contract import FACTS
from pipeline_kit.paths import lake_dir

SETTLED_AFTER_HOURS: Final = 36
"""A day that had ended this long before it was asked for is not asked for again."""


def asked_ranges(lake: Path | None = None) -> pd.DataFrame:
    """Return the days that were asked for: table, source, asset_id, first_day, last_day, asked_at.

    Days that had ended 36 hours before they were asked for are settled, and their ranges are
    merged; ``asked_at`` of a merged range is its newest. Fresher days keep their own rows.
    """
    lake = lake or lake_dir()
    files = read_snapshot(lake).files(lake, ASKED)
    rows = pa.concat_tables([ASKED_SCHEMA.empty_table(), *(pq.read_table(f) for f in files)])
    ranges: pd.DataFrame = rows.to_pandas()
    return ranges.rename(columns={"table_name": "table"})


def coverage(lake: Path | None = None) -> pd.DataFrame:
    """Return what is stored: table, asset_id, source, first_day, last_day, rows."""
    lake = lake or lake_dir()
    parts = []
    with open_store(lake, read_snapshot(lake)) as con:
        for name in FACTS:
            day = "settled_at - interval 1 microsecond" if "settlement" in name else "date"
            parts.append(
                con.execute(
                    f"""
                    select '{name}' as "table", asset_id, source,
                        min(cast({day} as date)) as first_day,
                        max(cast({day} as date)) as last_day, count(*) as rows
                    from newest_{name} group by asset_id, source order by asset_id, source
                    """  # noqa: S608
                ).df()
            )
    return pd.concat(parts, ignore_index=True)


def merge_asked(con: duckdb.DuckDBPyConnection, asked: pd.DataFrame) -> pa.Table:
    """Return the stored record with the new ranges in it, as small as it can be.

    A day counts only when it had ended before it was asked for. Settled ranges that touch or
    overlap become one; a fresh range that settled ranges cover is dropped.
    """
    asked_at = pd.to_datetime(asked["asked_at"], utc=True).dt.tz_localize(None)
    con.register("asked_now", asked.assign(asked_at=asked_at).rename(columns={"table": "name"}))
    series = "table_name, source, asset_id"
    rows = con.execute(
        f"""
        with everything as (
            select * from asked
            union all
            select name, source, asset_id, cast(first_day as date), cast(last_day as date),
                cast(asked_at as timestamp) from asked_now
        ),
        ended as (
            select * replace (least(last_day, cast(asked_at as date) - 1) as last_day),
                cast(asked_at - interval {SETTLED_AFTER_HOURS} hours as date) - 1 as settled_to
            from everything
        ),
        settled as (
            select {series}, first_day, least(last_day, settled_to) as last_day, asked_at
            from ended where first_day <= least(last_day, settled_to)
        ),
        starts as (
            select *, coalesce(
                first_day > 1 + max(last_day) over (
                    partition by {series} order by first_day, last_day
                    rows between unbounded preceding and 1 preceding
                ), true) as is_start
            from settled
        ),
        islands as (
            select *, sum(cast(is_start as int)) over (
                partition by {series} order by first_day, last_day
            ) as island
            from starts
        ),
        merged as (
            select {series}, min(first_day) as first_day, max(last_day) as last_day,
                max(asked_at) as asked_at
            from islands group by {series}, island
        ),
        fresh as (
            select {series}, greatest(first_day, settled_to + 1) as first_day, last_day,
                max(asked_at) as asked_at
            from ended where greatest(first_day, settled_to + 1) <= last_day group by all
        ),
        uncovered as (
            select f.* from fresh as f
            where not exists (
                select 1 from merged as m
                where m.table_name = f.table_name and m.source = f.source
                    and m.asset_id = f.asset_id
                    and m.first_day <= f.first_day and m.last_day >= f.last_day
            )
        )
        select * from merged union all select * from uncovered
        order by {series}, first_day, last_day, asked_at
        """  # noqa: S608
    ).to_arrow_table()
    con.unregister("asked_now")
    return rows.cast(ASKED_SCHEMA)
