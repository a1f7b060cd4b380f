"""Prove that our lake is what its manifest says: ``python -m lake_ingest.verify``.

Checked are the manifest itself, bytes, SHA-256, rows and columns of every file, stray files, the
contract of every table, that no version lacks its knowledge, and the SHA-256 of every archived
vendor answer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lake_ingest.bronze import GZIP
from lake_ingest.errors import SealError
from lake_ingest.seal import Snapshot, read_snapshot
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.contract import TABLES
from pipeline_kit.lake import LakeFacts, check_tables, connect, find_tables
from pipeline_kit.manifest import canonical_json, sha256_file, sha256_text
from pipeline_kit.paths import bronze_dir, lake_dir


def verify_lake(lake: Path) -> LakeFacts:
    """Return what the lake holds when everything about it is true.

    Raises
    ------
    SealError
        If a file is missing, changed or stray, or the manifest contradicts itself.
    LakeContractError
        If a table breaks contract.md section 3.
    """
    snapshot = read_snapshot(lake)
    if not snapshot.sequence:
        raise SealError(f"{lake}: nothing was sealed here yet; fetch or import a lake")
    problems = [*_manifest_problems(snapshot), *_file_problems(lake, snapshot)]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise SealError(f"{lake}: {problems[0]}{more}; restore the lake from a copy")
    tables = find_tables(lake)
    facts = check_tables(tables)
    for name, files in tables.items():
        _refuse_unknown_knowledge(name, files)
    return facts


def verify_bronze(root: Path) -> tuple[int, int]:
    """Return how many archived answers are intact, and how many files end torn.

    A killed fetch leaves a torn end; what stands before it counts.

    Raises
    ------
    SealError
        If a file is damaged, or an answer is not the one that was archived.
    """
    answers = torn = 0
    for path in sorted(root.glob("*/*/*.jsonl.gz")):
        for line in _members(path):
            if not line:
                torn += 1
                continue
            answers += 1
            if _body_sha256(line) != json.loads(line)["sha256"]:
                raise SealError(f"{path}: an answer is not the one that was archived")
    return answers, torn


def main(argv: Sequence[str]) -> None:
    """Check every manifest, checksum and key of the lake."""
    Parser(prog="python -m lake_ingest.verify", description=main.__doc__).parse_args(argv)
    lake = lake_dir()
    facts = verify_lake(lake)
    snapshot = read_snapshot(lake)
    for name, rows in facts.row_counts.items():
        files = snapshot.tables[name]["files"]
        sys.stdout.write(f"{name}: {rows} rows in {len(files)} files\n")
    answers, torn = verify_bronze(bronze_dir())
    sys.stdout.write(f"bronze: {answers} answers, {torn} files with a torn end\n")
    sys.stdout.write(
        f"snapshot {snapshot.snapshot_id} is whole: {facts.first_day} to {facts.last_day},"
        f" {facts.share_assumed:.1%} assumed\n"
    )


def _members(path: Path) -> Iterator[bytes]:
    """Yield the lines of an archive file, and an empty one when its end is torn."""
    content = path.read_bytes()
    while content:
        inflate = zlib.decompressobj(wbits=GZIP)
        try:
            line = inflate.decompress(content)
        except zlib.error as e:
            raise SealError(f"{path}: damaged ({e}); restore it from a copy") from e
        yield line if inflate.eof else b""
        content = inflate.unused_data


def _body_sha256(line: bytes) -> str:
    record = json.loads(line)
    text = record.get("body")
    body = text.encode() if text is not None else base64.b64decode(record["body_base64"])
    return hashlib.sha256(body).hexdigest()


def _manifest_problems(snapshot: Snapshot) -> Iterator[str]:
    if sha256_text(canonical_json(snapshot.tables))[:16] != snapshot.snapshot_id:
        yield "the manifest's tables do not give its snapshot_id"
    for name, entry in {**snapshot.tables, **snapshot.records}.items():
        rows = sum(file["rows"] for file in entry["files"])
        if rows != entry["rows"]:
            yield f"{name}: the manifest says {entry['rows']} rows, its files {rows}"


def _file_problems(lake: Path, snapshot: Snapshot) -> Iterator[str]:
    listed = set()
    for name, entry in {**snapshot.tables, **snapshot.records}.items():
        for file in entry["files"]:
            listed.add(lake / file["path"])
            yield from _one_file(lake / file["path"], file, entry["columns"])
        strays = sorted(set((lake / name).rglob("*.parquet")) - listed)
        yield from (f"{stray.relative_to(lake)} is in no manifest" for stray in strays)


def _one_file(path: Path, entry: Mapping[str, Any], columns: Mapping[str, str]) -> Iterator[str]:
    if not path.is_file():
        yield f"{entry['path']} is missing"
        return
    if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
        yield f"{entry['path']} was changed, its SHA-256 is not the manifest's"
        return
    try:
        parquet = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as e:
        yield f"{entry['path']} is not readable ({e})"
        return
    with parquet:
        found = {field.name: str(field.type) for field in parquet.schema_arrow}
        if parquet.metadata.num_rows != entry["rows"] or found != columns:
            yield f"{entry['path']} has not the manifest's rows or columns"


def _refuse_unknown_knowledge(name: str, files: Sequence[Path]) -> None:
    if not TABLES[name].is_fact:
        return
    with connect() as con:
        rows = con.read_parquet([str(file) for file in files])
        missing = rows.filter("known_at is null or known_basis is null").count("*").fetchone()
    if missing and missing[0]:
        raise SealError(f"{name}: {missing[0]} rows without known_at or known_basis")


if __name__ == "__main__":
    sys.exit(run_command(main))
