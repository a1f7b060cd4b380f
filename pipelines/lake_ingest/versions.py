"""Decide which incoming rows become versions, and when each was known.

Only a row whose value differs from the newest stored version becomes one. Which source wins, what
counts as observed and what as assumed: the last part of docs/sources.md and strategy.md
section 1. Verdicts:

``new``         the key was not there
``revised``     another value than the newest version, learnt now
``later``       a version of another lake that is newer than ours
``unchanged``   nothing to store
``outranked``   a better source answers for this key or asset
``older``       a version of another lake that is older than our newest one
"""

from __future__ import annotations

from typing import Final

import duckdb
import pandas as pd
import pyarrow as pa

from lake_ingest.datasets import load_contracts, parquet_schema
from lake_ingest.staging import measures
from pipeline_kit.calendar import ASSUMED_AFTER
from pipeline_kit.contract import Table

STORED_VERDICTS: Final = ("new", "revised", "later")
_STORED_SQL: Final = ", ".join(f"'{verdict}'" for verdict in STORED_VERDICTS)


def mark(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create ``marked_T``: the staged rows, each judged against what is stored.

    Adds ``verdict``, ``known_at``, ``known_basis``; measures a row leaves out keep their stored
    value.
    """
    name, key = table.name, ", ".join(table.key)
    con.execute(
        f"""
        create temp table marked_{name} as
        with best_of_asset as (
            select asset_id, min(rank) as asset_rank from stored_{name} group by asset_id
        ),
        compared as (
            select s.*, n.known_at as newest_at, n.rank as newest_rank, b.asset_rank,
                {_same("s", "n", table)} as is_same,
                given.known_at is not null and {_same("s", "given", table)} as is_stored,
                {_was_asked(table)} as was_asked,
                row_number() over (
                    partition by {", ".join(f"s.{column}" for column in table.key)},
                        s.given_at > n.known_at
                    order by s.given_at, s.rank
                ) = 1 as is_first,
                {", ".join(f"n.{measure} as stored_{measure}" for measure in measures(table))}
            from staged_{name} as s
            left join newest_{name} as n using ({key})
            left join best_of_asset as b on b.asset_id = s.asset_id
            left join stored_{name} as given
                on {" and ".join(f"given.{column} = s.{column}" for column in table.key)}
                and given.known_at = s.given_at
        ),
        judged as (select *, {_verdict(table)} as verdict from compared)
        select * exclude ({", ".join(measures(table))}, is_same, is_stored, is_first),
            {", ".join(f"coalesce({m}, stored_{m}) as {m}" for m in measures(table))},
            {_known_at()} as known_at, {_known_basis()} as known_basis
        from judged
        """  # noqa: S608
    )


def fresh_rows(con: duckdb.DuckDBPyConnection, table: Table) -> pd.DataFrame:
    """Return the marked rows that would be stored if no gate stopped them, by ``row_id``."""
    return con.execute(
        f"select * from marked_{table.name} where verdict in ({_STORED_SQL}) order by row_id"  # noqa: S608
    ).df()


def settle(con: duckdb.DuckDBPyConnection, table: Table, held: pd.DataFrame) -> dict[str, int]:
    """Create ``settled_T``: one row per key and knowledge, from the best source not held back.

    Parameters
    ----------
    con : DuckDBPyConnection
        After ``mark``.
    table : Table
        A fact.
    held : DataFrame
        Column ``row_id``: rows that a gate holds back.

    Returns
    -------
    dict of verdict to number of rows
        Of all rows that are not held back.
    """
    name, key = table.name, ", ".join(table.key)
    one_source = load_contracts().datasets[name].is_one_source
    of_asset = "min(rank) over (partition by asset_id)" if one_source else "rank"
    tie = ", ".join(["rank", "fetched_at desc", *measures(table)])
    con.register("held_rows", held[["row_id"]])
    con.execute(
        f"""
        create temp table settled_{name} as
        with passed as (
            select * from marked_{name} anti join held_rows using (row_id)
        ),
        placed as (
            select *, {of_asset} as best_rank,
                row_number() over (partition by {key}, given_at order by {tie}) as place
            from passed
        )
        select * exclude (place, best_rank) replace (
            case when place > 1 or rank > best_rank then 'outranked' else verdict end as verdict
        )
        from placed
        """  # noqa: S608
    )
    con.unregister("held_rows")
    counts = con.execute(f"select verdict, count(*) from settled_{name} group by all").fetchall()  # noqa: S608
    return dict(sorted(counts))


def new_versions(con: duckdb.DuckDBPyConnection, table: Table) -> pa.Table:
    """Return the rows to append, in the columns and order of our files."""
    schema = parquet_schema(table)
    rows = con.execute(
        f"select {', '.join(schema.names)} from settled_{table.name}"  # noqa: S608
        f" where verdict in ({_STORED_SQL}) order by {', '.join(table.key)}, known_at"
    ).to_arrow_table()
    return rows.cast(schema)


def restatements(con: duckdb.DuckDBPyConnection, table: Table) -> pd.DataFrame:
    """Return per asset and source how many stored values changed, when, and by how much at most.

    ``largest_change`` is a fraction of the stored value, null where that was 0.
    """
    value = table.value
    return con.execute(
        f"""
        select '{table.name}' as table_name, asset_id, source, count(*) as rows,
            min(day) as first_day, max(day) as last_day,
            max(abs({value} / nullif(stored_{value}, 0) - 1)) as largest_change
        from settled_{table.name}
        where verdict = 'revised' and {value} is distinct from stored_{value}
        group by asset_id, source order by asset_id, source
        """  # noqa: S608
    ).df()


def _same(left: str, right: str, table: Table) -> str:
    """Return the condition that a row says nothing its counterpart does not say.

    A measure that is left out says nothing: the archive has no mark prices, REST has.
    """
    optional = [
        f"({left}.{m} is null or {left}.{m} is not distinct from {right}.{m})"
        for m in measures(table)[1:]
    ]
    value = f"{left}.{table.value} is not distinct from {right}.{table.value}"
    return "(" + " and ".join([value, *optional]) + ")"


def _was_asked(table: Table) -> str:
    """Return whether an earlier fetch asked this source for the key and did not get it."""
    return f"""exists (
        select 1 from asked as a
        where a.table_name = '{table.name}' and a.source = s.source and a.asset_id = s.asset_id
            and s.day between a.first_day and a.last_day
            and a.asked_at >= s.day_end and a.asked_at < s.fetched_at
    )"""  # noqa: S608


def _verdict(table: Table) -> str:
    one_source = "true" if load_contracts().datasets[table.name].is_one_source else "false"
    return f"""case
        when is_stored then 'unchanged'
        when {one_source} and rank > asset_rank then 'outranked'
        when newest_at is null then 'new'
        when rank > newest_rank then 'outranked'
        when given_at > newest_at and not (is_first and is_same) then 'later'
        when is_same then 'unchanged'
        when given_at is null or given_basis = 'assumed' then 'revised'
        else 'older'
    end"""


def _known_at() -> str:
    return f"""case
        when verdict = 'revised' then greatest(fetched_at, newest_at + interval 1 microsecond)
        when given_at is not null then given_at
        when {_is_observed()} then fetched_at
        else assumed_at
    end"""


def _known_basis() -> str:
    return f"""case
        when verdict = 'revised' then 'observed'
        when given_at is not null then given_basis
        when {_is_observed()} then 'observed'
        else 'assumed'
    end"""


def _is_observed() -> str:
    minutes = int(ASSUMED_AFTER.total_seconds() // 60)
    return f"(was_asked or fetched_at < day_end + to_minutes({minutes}))"
