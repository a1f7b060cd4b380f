"""How fresh, how complete and how certain each fact table of a lake is on a day.

Flow: ``Parquet files of a lake -> lake_health -> one row a fact table``. Only what is dated up to
the day and was known when its row became final is counted, so what is learnt later changes
nothing; nor do file layout and row order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd

from pipeline_kit.calendar import readable_before
from pipeline_kit.contract import TABLES, Table
from pipeline_kit.lake import column_names, select_sql

NEWEST_DAYS: Final = 7
"""An asset is expected on the day when it had a value in the week before it."""


_DAYS: Final = {
    # Rounded to the minute; a settlement at midnight belongs to the day it ends.
    "settled_at": "cast(date_trunc('minute', settled_at + to_seconds(30)) - to_minutes(1) as date)",
}


def lake_health(
    tables: Mapping[str, Sequence[Path]], asof: date, known_at: datetime | None = None
) -> pd.DataFrame:
    """Return one row for every fact table.

    Parameters
    ----------
    tables : mapping of table name to Parquet files
    asof : date
    known_at : datetime, optional
        What was learnt after it is not counted.

    Returns
    -------
    DataFrame
        table, rows (versions dated up to ``asof``), first_day, newest_day, age_days (of the newest
        day), assets_today (with a value on ``asof``), assets_week (with one in the seven days up to
        it), share_observed (of rows whose knowledge time was observed, a fraction), revised (keys
        with more than one version).
    """
    facts = [(TABLES[name], files) for name, files in sorted(tables.items())]
    with closing(duckdb.connect()) as con:
        con.execute("set timezone = 'UTC'; set threads = 1")
        final_at = readable_before(asof)
        known_at = final_at if known_at is None else known_at
        limits = {"asof": asof, "final_at": final_at.replace(tzinfo=None)}
        limits["known_at"] = known_at.replace(tzinfo=None)
        rows = [_health(con, table, files, limits) for table, files in facts if table.is_fact]
    return pd.DataFrame(rows)


def _health(
    con: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path], limits: Mapping[str, date]
) -> dict[str, Any]:
    moment = table.key[1]
    day = _DAYS.get(moment, moment)
    query = f"""
        with facts as (
            select asset_id, {moment} as moment, {day} as day, known_at, known_basis
            from ({select_sql(table, files, column_names(files))})
            where "{table.value}" is not null and {day} <= $asof
                and coalesce(known_at, {day} + interval 1 day) < $final_at
                and coalesce(known_at, {day} + interval 1 day) <= $known_at
        ),
        keys as (select asset_id, moment, count(*) as versions from facts group by all)
        select
            count(*) as rows,
            min(day) as first_day,
            max(day) as newest_day,
            date_diff('day', max(day), $asof) as age_days,
            count(distinct asset_id) filter (day = $asof) as assets_today,
            count(distinct asset_id) filter (day > $asof - {NEWEST_DAYS}) as assets_week,
            avg(case when known_at is null or known_basis = 'assumed' then 0.0 else 1.0 end)
                as share_observed,
            (select count(*) from keys where versions > 1) as revised
        from facts
    """  # noqa: S608 - names of the contract and paths quoted by select_sql
    found = con.execute(query, dict(limits)).fetch_df()
    return {"table": table.name, **{str(name): found[name].iloc[0] for name in found.columns}}
