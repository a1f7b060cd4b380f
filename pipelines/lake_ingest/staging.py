"""Put incoming rows and the stored lake side by side in one DuckDB, in canonical form.

Per fact table ``T`` there are ``stored_T`` (every version), ``newest_T`` (the newest per key) and
``staged_T`` (what came in, one ``row_id`` each). Times are UTC without a zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd
import pyarrow as pa

from lake_ingest.datasets import Contracts, load_contracts, parquet_schema
from lake_ingest.errors import SealError
from lake_ingest.seal import ASKED, Snapshot
from pipeline_kit.contract import FACTS, TABLES, Kind, Table
from pipeline_kit.lake import connect, select_sql

ASKED_SCHEMA: Final = pa.schema(
    [
        ("table_name", pa.string()),
        ("source", pa.string()),
        ("asset_id", pa.string()),
        ("first_day", pa.date32()),
        ("last_day", pa.date32()),
        ("asked_at", pa.timestamp("us")),
    ]
)


def measures(table: Table) -> list[str]:
    """Return the columns a version consists of, the value first.

    Examples
    --------
    >>> measures(TABLES["fact_funding_settlement"])
    ['funding_rate', 'interval_hours', 'mark_price']
    """
    return [column.name for column in table.columns if column.kind is Kind.NUMBER]


def open_store(lake: Path, snapshot: Snapshot) -> duckdb.DuckDBPyConnection:
    """Return a connection with the snapshot's versions and the record of what was asked."""
    con = connect()
    try:
        for name in FACTS:
            _store(con, TABLES[name], snapshot.files(lake, name))
        _store_asked(con, snapshot.files(lake, ASKED))
    except duckdb.Error as e:
        raise SealError(f"{lake}: not readable ({e}); run python -m lake_ingest.verify") from e
    return con


def stage_frame(con: duckdb.DuckDBPyConnection, table: Table, frame: pd.DataFrame) -> None:
    """Stage fetched rows: the contract's columns, ``source`` and ``fetched_at``.

    Rows that were judged before may carry ``given_at`` and ``given_basis``, their knowledge.
    """
    wanted = [*table.key, *measures(table), "source", "fetched_at", "given_at", "given_basis"]
    incoming = pd.DataFrame({name: frame.get(name) for name in wanted}, index=frame.index)
    for name in ("settled_at", "date", "fetched_at", "given_at"):
        if name in incoming:
            incoming[name] = _utc(incoming[name])
    con.register("incoming", incoming)
    _stage(con, table, "select distinct * from incoming", "")
    con.unregister("incoming")


def stage_files(
    con: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path], now: datetime
) -> None:
    """Stage the versions of another lake; one without ``known_at`` is assumed."""
    stamp = now.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    columns = ", ".join([*table.key, *measures(table), "source"])
    basis = "coalesce(known_basis, 'observed')"
    _stage(
        con,
        table,
        f"select distinct {columns}, timestamp '{stamp}' as fetched_at, known_at as given_at,"  # noqa: S608
        f" case when known_at is null then 'assumed' else {basis} end as given_basis"
        f" from ({select_sql(table, files)}) where {table.value} is not null",
        ", coalesce(given_at, assumed_at) as given_at",
    )


def _store(con: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path]) -> None:
    if files:
        rows = select_sql(table, files)
    else:
        con.register(f"none_{table.name}", parquet_schema(table).empty_table())
        rows = f"select * from none_{table.name}"  # noqa: S608
    rank = _rank_sql(table, load_contracts())
    key = ", ".join(table.key)
    con.execute(
        f"create temp table stored_{table.name} as select *, {rank} as rank from ({rows})"  # noqa: S608
    )
    con.execute(
        f"create temp view newest_{table.name} as select * from stored_{table.name}"  # noqa: S608
        f" qualify row_number() over (partition by {key} order by known_at desc) = 1"
    )


def _store_asked(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    con.register("none_asked", ASKED_SCHEMA.empty_table())
    paths = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    source = f"read_parquet([{paths}])" if files else "none_asked"
    con.execute(f"create temp table asked as select * from {source}")  # noqa: S608


def _stage(con: duckdb.DuckDBPyConnection, table: Table, rows: str, replaced: str) -> None:
    contracts = load_contracts()
    instant = "settled_at - interval 1 microsecond" if "settled_at" in table.key else "date"
    numbers = ", ".join(f"cast({name} as double) + 0.0 as {name}" for name in measures(table))
    keys = ", ".join(
        f"cast({name} as {table.column(name).kind.value}) as {name}" for name in table.key
    )
    order = ", ".join([*table.key, "rank", "fetched_at", "given_at", *measures(table), "source"])
    con.execute(
        f"""
        create temp table staged_{table.name} as
        with typed as (
            select {keys}, {numbers}, cast(source as varchar) as source,
                cast(fetched_at as timestamp) as fetched_at,
                cast(given_at as timestamp) as given_at, cast(given_basis as varchar) as given_basis
            from ({rows})
        ),
        dated as (
            select *, {_rank_sql(table, contracts)} as rank,
                cast({instant} as date) as day,
                cast(cast({instant} as date) + 1 as timestamp) as day_end,
                cast(cast({instant} as date) + 1 as timestamp)
                    + to_minutes({_lag_sql(contracts)}) as assumed_at
            from typed
        )
        select * replace (rank as rank{replaced}), row_number() over (order by {order}) as row_id
        from dated
        """  # noqa: S608
    )


def _rank_sql(table: Table, contracts: Contracts) -> str:
    sources = contracts.datasets[table.name].sources
    listed = ", ".join(f"'{source}'" for source in sources)
    return f"coalesce(list_position([{listed}]::varchar[], source), {len(sources) + 1})"


def _lag_sql(contracts: Contracts) -> str:
    lags = dict(contracts.publication_lag_minutes)
    default = lags.pop("default")
    cases = " ".join(
        f"when starts_with(lower(source), '{vendor}') then {minutes}"
        for vendor, minutes in sorted(lags.items())
    )
    return f"case {cases} else {default} end" if cases else str(default)


def _utc(times: pd.Series) -> pd.Series:
    """Return instants in UTC without a zone, in microseconds."""
    parsed = pd.to_datetime(times, utc=True)
    return parsed.dt.tz_localize(None).astype("datetime64[us]")
