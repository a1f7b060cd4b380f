"""Keep the state of assets and instruments: what is new replaces, what vanished stays.

A fetch that did not hear from a vendor does not know a name or an interval, and says null; that is
no reason to forget it.
"""

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


def completed(table: Table, stored: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``frame`` in canonical form, with what it leaves null as ``stored`` has it.

    A column ``is_traded`` tells of contracts that are alive, so that no day ended them; without
    it null in ``delisted_on`` means the same.
    """
    (key,) = table.key
    whole = canonical(table, frame).set_index(key)
    before = stored.set_index(key).reindex(whole.index)
    is_known = whole.notna()
    if "delisted_on" in whole:
        is_traded = frame.get("is_traded", pd.Series(data=True, index=frame.index))
        is_known["delisted_on"] |= whole.index.isin(frame.loc[is_traded.astype(bool), key])
    return canonical(table, whole.where(is_known, before).reset_index())


def changed_rows(stored: pd.DataFrame, incoming: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``incoming`` that are not in ``stored`` as they are; both canonical."""
    columns = list(incoming.columns)
    matched = incoming.astype(object).merge(
        stored.astype(object), how="left", on=columns, indicator=True
    )
    is_new = (matched["_merge"] == "left_only").to_numpy()
    return incoming[is_new].reset_index(drop=True)


def merge(table: Table, stored: pd.DataFrame, changed: pd.DataFrame) -> pa.Table:
    """Return the rows of ``stored`` overwritten by key with ``changed``; both canonical.

    A row that nobody mentions stays: a coin that died was there while it lived.
    """
    whole = canonical(table, pd.concat([stored, changed], ignore_index=True))
    schema = pa.schema([field.with_nullable(True) for field in parquet_schema(table)])
    rows = pa.Table.from_pandas(whole.astype(object), schema, preserve_index=False, safe=False)
    return rows.cast(parquet_schema(table))
