"""Read a lake, ours or a foreign one: find its files, refuse it when it breaks the contract.

Data flow: ``folder -> find_tables -> check_tables -> LakeFacts``. Nothing is written. A sealed
lake has a ``manifest.json``, and its list is the truth; any other folder holds ``<name>.parquet``
or ``<name>/**/*.parquet`` per table of contract.md section 3.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_kit.contract import (
    ASSET_ID_PATTERN,
    BASES,
    CORE_ASSETS,
    FLAGS,
    KINDS,
    REQUIRED,
    TABLES,
    Column,
    Kind,
    Table,
)
from pipeline_kit.errors import LakeContractError
from pipeline_kit.manifest import sha256_file

MANIFEST: Final = "manifest.json"
Tables = Mapping[str, Sequence[Path]]

_ACCEPTED: Final = {
    Kind.TEXT: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    Kind.DAY: (pa.types.is_date, pa.types.is_timestamp),
    Kind.INSTANT: (pa.types.is_timestamp, pa.types.is_date),
    Kind.NUMBER: (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal),
    Kind.FLAG: (pa.types.is_boolean,),
}


@dataclass(frozen=True, slots=True)
class LakeFacts:
    """What a lake that keeps the contract holds."""

    first_day: date
    """The oldest day that any required fact table has a value for."""

    last_day: date
    """The last complete day: the oldest of the required fact tables' newest days."""

    row_counts: Mapping[str, int]
    """Rows per table, those without a value not counted."""

    content_sha256: Mapping[str, str]
    """Per table, independent of row order, file layout, empty columns and empty rows."""

    share_assumed: float
    """Share of the facts' rows whose knowledge time is assumed, a fraction."""


def find_tables(folder: Path, *, verify: bool = False) -> dict[str, list[Path]]:
    """Return the Parquet files of every table that is there, sorted by path.

    Parameters
    ----------
    folder : Path
        A lake. With a manifest of ours in it, exactly the files it lists.
    verify : bool
        Also compare the SHA-256 of every listed file; the size is always compared.

    Raises
    ------
    LakeContractError
        If there is no such folder, or a listed file is missing or was changed.
    """
    if not folder.is_dir():
        raise LakeContractError(f"no lake at {folder}; fetch or import one first")
    manifest = read_manifest(folder)
    if manifest is not None:
        return sealed_tables(folder, manifest, verify=verify)
    found = {name: sorted(_loose_files(folder, name)) for name in TABLES}
    return {name: files for name, files in found.items() if files}


def sealed_tables(
    folder: Path, manifest: Mapping[str, Any], *, verify: bool = False
) -> dict[str, list[Path]]:
    """Return the files by table that a manifest lists; raises as ``find_tables``."""
    return {
        name: [_listed(folder, name, file, verify=verify) for file in entry["files"]]
        for name, entry in sorted(manifest["tables"].items())
        if name in TABLES and entry["files"]
    }


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a sealed lake, or null for a folder that has none of ours.

    Raises
    ------
    LakeContractError
        If the manifest is there and cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise LakeContractError(f"{path}: not readable ({e}); restore it from a copy") from e
    is_ours = isinstance(manifest, dict) and "snapshot_id" in manifest and "tables" in manifest
    return manifest if is_ours else None


def check_tables(tables: Tables) -> LakeFacts:
    """Return what the lake holds, or raise with every way in which it breaks the contract.

    Parameters
    ----------
    tables : mapping of table name to Parquet files
        What ``find_tables`` returned. Tables the contract does not name are ignored.

    Raises
    ------
    LakeContractError
        A required table or column is missing, a type is wrong, a key is null or twice there, a
        price is null or not positive, a value is infinite, a date is no UTC midnight, an
        asset_id or a kind is none, a file is unreadable, BTC or ETH has no price. The text names
        table, number of rows, one of them, and what to do.
    """
    problems = [
        f'{name}: the table is missing; add {name}.parquet or run "make fetch"'
        for name in REQUIRED
        if not tables.get(name)
    ]
    known = [TABLES[name] for name in TABLES if tables.get(name)]
    schemas = {}
    for table in known:
        broken, schemas[table.name] = _check_schemas(table, tables[table.name])
        problems += broken
    _raise_if(problems)
    with connect() as con:
        for table in known:
            con.execute(
                f"create temp view {table.name} as "
                + select_sql(table, tables[table.name], schemas[table.name], is_raw=True)
            )
            problems += _content_problems(con, table)
        _raise_if(problems)
        return _facts(con, known)


def connect() -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB whose times are UTC and whose results keep their order."""
    con = duckdb.connect(config={"threads": 2})
    con.execute("set TimeZone = 'UTC'")
    return con


def column_names(files: Sequence[Path]) -> set[str]:
    """Return the columns that at least one of the files has."""
    return {name for file in files for name in pq.read_schema(file).names}


def select_sql(
    table: Table, files: Sequence[Path], present: set[str] | None = None, *, is_raw: bool = False
) -> str:
    """Return the SELECT that reads a table with exactly the contract's columns and types.

    Files may differ in layout; a column none of them has is null; NaN is null, since it means
    missing. ``is_raw`` keeps what the checks must still see: NaN, and the time of day of a date.
    The connection's time zone must be UTC.
    """
    present = column_names(files) if present is None else present
    paths = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    columns = ",\n    ".join(_typed(column, present, is_raw=is_raw) for column in table.columns)
    return (
        f"select\n    {columns}\n"
        f"from read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
    )


def _typed(column: Column, present: set[str], *, is_raw: bool) -> str:
    name, kind = column.name, column.kind
    target = "timestamp" if is_raw and kind is Kind.DAY else kind.value
    if name not in present:
        return f'cast(null as {target}) as "{name}"'
    value = f'cast("{name}" as {target})'
    if kind is Kind.NUMBER and not is_raw:
        value = f"case when not isnan({value}) then {value} end"
    return f'{value} as "{name}"'


def _loose_files(folder: Path, name: str) -> Iterator[Path]:
    single = folder / f"{name}.parquet"
    if single.is_file():
        yield single
    yield from (file for file in (folder / name).glob("**/*.parquet") if file.is_file())


def _listed(folder: Path, name: str, entry: Mapping[str, Any], *, verify: bool) -> Path:
    path = folder / str(entry["path"])
    if not path.resolve().is_relative_to(folder.resolve()):
        raise LakeContractError(f"{name}: {entry['path']} lies outside the lake; run lake verify")
    if not path.is_file():
        raise LakeContractError(f"{name}: {entry['path']} of the manifest is missing; restore it")
    size = path.stat().st_size
    if size != entry.get("bytes", size):
        raise LakeContractError(
            f"{name}: {entry['path']} has {size} bytes, the manifest says {entry['bytes']};"
            " restore it from a copy"
        )
    if verify and sha256_file(path) != entry["sha256"]:
        raise LakeContractError(
            f"{name}: {entry['path']} was changed, its SHA-256 is not the manifest's;"
            " restore it from a copy"
        )
    return path


def _check_schemas(table: Table, files: Sequence[Path]) -> tuple[list[str], set[str]]:
    """Return what is wrong with the files' columns, and the columns that are there."""
    problems: list[str] = []
    present: set[str] = set()
    for file in files:
        try:
            schema = pq.read_schema(file)
        except (pa.ArrowException, OSError) as e:
            reason = str(e).splitlines()[0] if str(e) else type(e).__name__
            problems.append(f"{table.name}: {file.name} is not readable Parquet ({reason})")
            continue
        present |= set(schema.names)
        problems += [
            f"{table.name}: {file.name} {problem}" for problem in _schema_problems(table, schema)
        ]
    return problems, present


def _schema_problems(table: Table, schema: pa.Schema) -> Iterator[str]:
    if table.name == "dim_asset" and not {"kind", *FLAGS} & set(schema.names):
        yield "has no column kind and none of the flags; add one"
    for column in table.columns:
        places = schema.get_all_field_indices(column.name)
        if not places and column.is_required:
            yield f"has no column {column.name}; add it"
        elif len(places) > 1:
            yield f"has {len(places)} columns {column.name}; keep one"
        elif places and not _is_accepted(schema.field(places[0]).type, column, table):
            is_type = schema.field(places[0]).type
            yield f"column {column.name} is {is_type}, must be {column.kind.value}; cast it"


def _is_accepted(given: pa.DataType, column: Column, table: Table) -> bool:
    if pa.types.is_dictionary(given):
        given = given.value_type
    if pa.types.is_null(given):  # a column without any value carries no type
        return column.name not in table.key
    return any(accepts(given) for accepts in _ACCEPTED[column.kind])


def _content_problems(con: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    key = " || ' ' || ".join(f"coalesce(cast({column} as varchar), 'null')" for column in table.key)
    rules = list(_rules(table))
    counts = ", ".join(
        f"count(*) filter ({rule}), min({key}) filter ({rule})" for rule, _, _ in rules
    )
    version = ", known_at" if table.is_fact else ""
    keys = ", ".join(table.key)
    try:
        found = con.execute(f"select count(*), {counts} from {table.name}").fetchone()  # noqa: S608
        doubled = con.execute(
            f"select sum(n), min(example) from (select count(*) as n, min({key}) as example"  # noqa: S608
            f" from {table.name} group by {keys}{version} having count(*) > 1)"
        ).fetchone()
    except duckdb.Error as e:
        return [f"{table.name}: not readable ({str(e).splitlines()[0]}); restore the file"]
    if found is None or doubled is None or (found[0] == 0 and table.is_required):
        return [f'{table.name}: the table is empty; run "make fetch" or add its rows']
    problems = [
        f"{table.name}: {n} rows {what}, first {example}; {remedy}"
        for (_, what, remedy), n, example in zip(rules, found[1::2], found[2::2], strict=True)
        if n
    ]
    if doubled[0]:
        same = "the same key and known_at" if table.is_fact else "the same key"
        problems.append(
            f"{table.name}: {int(doubled[0])} rows share {same}, first {doubled[1]}; keep one each"
        )
    if table.name == "fact_price":
        problems += _missing_core(con)
    return problems


def _missing_core(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    rows = con.execute("select distinct asset_id from fact_price").fetchall()
    there = {asset_id for (asset_id,) in rows}
    for asset_id in CORE_ASSETS:
        if asset_id not in there:
            yield f"fact_price: 0 rows of {asset_id}; nothing can be decided without its price"


def _rules(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield per rule: the rows that break it, how to say so, and what to do about it."""
    for column in table.columns:
        name = column.name
        is_key = name in table.key or name == "asset_id"
        if is_key:
            yield f"{name} is null", f"with a null {name}", "remove or complete them"
        if name == "asset_id":
            yield (
                f"not regexp_full_match({name}, '{ASSET_ID_PATTERN}')",
                f"with an asset_id that does not match {ASSET_ID_PATTERN}",
                "use upper-case tickers",
            )
        if column.kind is Kind.DAY:
            yield (
                f"{name} <> date_trunc('day', {name})",
                f"whose {name} is not a UTC midnight",
                "label them with the day they describe",
            )
        if column.kind is Kind.NUMBER:
            yield f"isinf({name})", f"with an infinite {name}", "remove them"
    yield from _special_rules(table)


def _special_rules(table: Table) -> Iterator[tuple[str, str, str]]:
    if table.name == "fact_price":
        yield (
            "close is null or isnan(close)",
            "with a null close",
            "leave days without a price out",
        )
        yield "close <= 0", "with a close that is not positive", "correct or remove them"
    if table.name == "dim_asset":
        kinds = ", ".join(KINDS)
        quoted = ", ".join(f"'{kind}'" for kind in KINDS)
        yield f"kind not in ({quoted})", "with an unknown kind", f"use one of {kinds}"
    if table.is_fact:
        quoted = ", ".join(f"'{basis}'" for basis in BASES)
        yield (
            f"known_basis not in ({quoted})",
            "with an unknown known_basis",
            f"use {' or '.join(BASES)}",
        )


def _facts(con: duckdb.DuckDBPyConnection, known: Sequence[Table]) -> LakeFacts:
    counts: dict[str, int] = {}
    hashes: dict[str, str] = {}
    days: dict[str, tuple[date, date]] = {}
    assumed = total = 0
    for table in known:
        content = _content(con, table)
        counts[table.name], hashes[table.name] = content.num_rows, _hash(content)
        if table.is_fact:
            total += content.num_rows
            assumed += _count_assumed(content)
        if table.name in REQUIRED:
            if not content.num_rows:
                raise LakeContractError(f"{table.name}: 0 rows with a value; add its rows")
            dates = content["date"].to_numpy()
            days[table.name] = (dates.min().astype(object), dates.max().astype(object))
    return LakeFacts(
        first_day=min(first for first, _ in days.values()),
        last_day=min(last for _, last in days.values()),
        row_counts=counts,
        content_sha256=hashes,
        share_assumed=assumed / total if total else 0.0,
    )


def _content(con: duckdb.DuckDBPyConnection, table: Table) -> pa.Table:
    """Return the rows that say something, in canonical types and order."""
    columns = ", ".join(
        f"cast({c.name} as date) as {c.name}"
        if c.kind is Kind.DAY
        else f"case when not isnan({c.name}) then {c.name} + 0.0 end as {c.name}"
        if c.kind is Kind.NUMBER
        else c.name
        for c in table.columns
    )
    having = f"where {table.value} is not null and not isnan({table.value})" if table.value else ""
    order = ", ".join((*table.key, "known_at nulls first") if table.is_fact else table.key)
    query = f"select {columns} from {table.name} {having} order by {order}"  # noqa: S608
    return con.execute(query).to_arrow_table().combine_chunks()


def _count_assumed(content: pa.Table) -> int:
    is_assumed = pc.equal(content["known_basis"], "assumed").fill_null(False)
    return int(pc.sum(pc.or_(is_assumed, content["known_at"].is_null())).as_py() or 0)


def _hash(content: pa.Table) -> str:
    """Return one SHA-256 over every column: which cells are there, then what they hold."""
    digest = hashlib.sha256(str(content.num_rows).encode())
    for name in content.column_names:
        column = content[name]
        digest.update(f"\0{name}\0".encode())
        digest.update(np.packbits(column.is_valid().to_numpy()).tobytes())
        if pa.types.is_string(column.type):
            for part in _text_parts(column):
                digest.update(part)
        else:
            digest.update(_fixed_width(column).tobytes())
    return digest.hexdigest()


def _text_parts(column: pa.ChunkedArray) -> tuple[bytes, bytes]:
    """Return the lengths of the texts, and the texts on end."""
    if not len(column):
        return b"", b""
    whole = pa.concat_arrays(column.fill_null("").cast(pa.large_string()).chunks)
    _, offsets, text = whole.buffers()
    ends = np.frombuffer(offsets, dtype="<i8")[whole.offset : whole.offset + len(whole) + 1]
    return np.diff(ends).tobytes(), text.to_pybytes()[ends[0] : ends[-1]]


def _fixed_width(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False).to_numpy(), dtype="<i1")
    if pa.types.is_floating(column.type):
        return np.asarray(column.fill_null(0.0).to_numpy(), dtype="<f8")
    whole = pa.int32() if pa.types.is_date(column.type) else pa.int64()
    return np.asarray(column.cast(whole).fill_null(0).to_numpy(), dtype="<i8")


def _raise_if(problems: Sequence[str]) -> None:
    """Raise with the first four problems and the number of the others."""
    if problems:
        more = f" (and {len(problems) - 4} more)" if len(problems) > 4 else ""
        raise LakeContractError(" | ".join(problems[:4]) + more)
