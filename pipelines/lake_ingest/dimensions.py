"""Keep the state of assets and instruments: what is new replaces, what vanished stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from lake_ingest.datasets import parquet_schema
from pipeline_kit.contract import Kind, Table
from pipeline_kit.lake import connect, select_sql


def canonical(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the contract's columns in its types, one row per key, sorted by it.

    The last row of a key wins; a column that is not there is null.
    """
    columns = {}
    for column in table.columns:
        values = frame.get(column.name, pd.Series(pd.NA, index=frame.index, dtype="object"))
        if column.kind is Kind.DAY:
            values = pd.to_datetime(values, utc=True).dt.tz_localize(None).dt.normalize()
        columns[column.name] = values
    whole = pd.DataFrame(columns, index=frame.index)
    key = list(table.key)
    return whole.drop_duplicates(key, keep="last").sort_values(key).reset_index(drop=True)


def read_stored(table: Table, files: Sequence[Path]) -> pd.DataFrame:
    """Return the rows of a dimension's files in canonical form."""
    if not files:
        return canonical(table, parquet_schema(table).empty_table().to_pandas())
    with connect() as con:
        return canonical(table, con.execute(select_sql(table, files)).df())


def merge(table: Table, stored: pd.DataFrame, incoming: pd.DataFrame) -> pa.Table | None:
    """Return the rows of ``stored`` overwritten by key with ``incoming``, or null if none differs.

    Both must be canonical. A row that ``incoming`` does not have stays: a coin that died was
    there while it lived.
    """
    before = as_table(table, stored)
    after = as_table(table, canonical(table, pd.concat([stored, incoming], ignore_index=True)))
    return None if after.equals(before) else after


def as_table(table: Table, frame: pd.DataFrame) -> pa.Table:
    """Return a canonical frame as Arrow in the schema of our files."""
    schema = pa.schema([field.with_nullable(True) for field in parquet_schema(table)])
    rows = pa.Table.from_pandas(frame.astype(object), schema, preserve_index=False, safe=False)
    return rows.cast(parquet_schema(table))
