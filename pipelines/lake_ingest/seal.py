"""Seal a snapshot: part files first, the manifest last, each there whole or not at all.

``<lake>/manifest.json`` lists every file of the snapshot with bytes, SHA-256 and rows, and readers
take its list. A commit writes new part files under names no snapshot uses yet, then replaces
the manifest; killed anywhere in between, the old snapshot stays what readers see, and the next
commit removes the orphans. The snapshot's id is a hash of its files.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lake_ingest.errors import SealError
from pipeline_kit import atomic
from pipeline_kit.contract import TABLES
from pipeline_kit.lake import MANIFEST, read_manifest
from pipeline_kit.manifest import canonical_json, readable_json, sha256_text

ASKED: Final = "asked"
"""Our own record beside the tables: which days of which series a fetch was answered for."""

_PART: Final = re.compile(r"part-(\d{6})-[0-9a-f]{8}\.parquet")
_TEMPORARY: Final = re.compile(r"\..*\.tmp")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a sealed manifest says."""

    snapshot_id: str = ""
    sealed_at: str = ""
    sequence: int = 0
    """Number of the commit that sealed it."""

    is_synthetic: bool | None = None
    """Whether the rows come from the sandbox; null while there are none."""

    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def files(self, lake: Path, name: str) -> list[Path]:
        """Return the files of a table or record, oldest commit first."""
        entry = self.tables.get(name) or self.records.get(name) or {"files": []}
        return [lake / file["path"] for file in entry["files"]]


def read_snapshot(lake: Path) -> Snapshot:
    """Return the sealed snapshot of a lake, an empty one where nothing was sealed yet.

    Raises
    ------
    SealError
        If the manifest has other keys than ours.
    """
    manifest = read_manifest(lake)
    if manifest is None:
        return Snapshot()
    try:
        return Snapshot(**manifest)
    except TypeError as e:
        raise SealError(f"{lake / MANIFEST}: not a manifest of this version ({e})") from e


@contextmanager
def writer_lock(lake: Path) -> Iterator[None]:
    """Hold the lake's only writer's place; the kernel frees it when the process dies.

    Raises
    ------
    SealError
        If another process holds it.
    """
    lake.mkdir(parents=True, exist_ok=True)
    with (lake / ".lock").open("a") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise SealError(f"{lake}: another process is writing; try again when it is done") from e
        yield


def clean(lake: Path, snapshot: Snapshot) -> None:
    """Remove what a killed commit left behind; call it with the lock held.

    Raises
    ------
    SealError
        If the lake holds tables that no manifest lists and no commit of ours wrote.
    """
    listed = {
        path
        for group in (snapshot.tables, snapshot.records)
        for name in group
        for path in snapshot.files(lake, name)
    }
    foreign = []
    for path in sorted(_candidates(lake)):
        if path in listed:
            continue
        if _PART.fullmatch(path.name) or _TEMPORARY.fullmatch(path.name):
            path.unlink()
        elif path.suffix == ".parquet":
            foreign.append(path.relative_to(lake).as_posix())
    if foreign and not snapshot.sequence:
        raise SealError(
            f"{lake}: {foreign[0]} is in no manifest; move the folder away and take it in with"
            ' "python -m lake_ingest.import_lake DIR"'
        )


def seal(
    lake: Path,
    snapshot: Snapshot,
    *,
    appended: Mapping[str, pa.Table],
    replaced: Mapping[str, pa.Table],
    sealed_at: datetime,
    is_synthetic: bool,
) -> Snapshot:
    """Write the new part files and then the manifest that names them; return the new snapshot.

    Parameters
    ----------
    lake : Path
        Our lake; the lock is held and ``clean`` was called.
    snapshot : Snapshot
        What is sealed now.
    appended : mapping of table name to rows
        One new part file each; the files that are there stay.
    replaced : mapping of table or record name to rows
        One new part file each that takes the place of all others.
    sealed_at : datetime
        UTC; recorded when the tables' files change.
    is_synthetic : bool
        Whether these rows come from the sandbox.

    Raises
    ------
    SealError
        If a file cannot be written, or a table would have fewer rows than before; the old
        snapshot stays.
    """
    sequence = snapshot.sequence + 1
    entries = {**snapshot.tables, **snapshot.records}
    for name in set(replaced) & set(snapshot.tables):
        if replaced[name].num_rows < entries[name]["rows"]:
            raise SealError(
                f"{name}: {replaced[name].num_rows} rows would take the place of"
                f" {entries[name]['rows']}; nothing was sealed"
            )
    try:
        for name, rows in {**appended, **replaced}.items():
            kept = [] if name in replaced else entries.get(name, {"files": []})["files"]
            entries[name] = _entry([*kept, _write_part(lake, name, sequence, rows)], rows)
        tables = {name: entries[name] for name in sorted(entries) if name in TABLES}
        snapshot_id = sha256_text(canonical_json(tables))[:16]
        is_same = snapshot_id == snapshot.snapshot_id
        sealed = Snapshot(
            snapshot_id=snapshot_id,
            sealed_at=snapshot.sealed_at if is_same else sealed_at.astimezone(UTC).isoformat(),
            sequence=sequence,
            is_synthetic=is_synthetic,
            tables=tables,
            records={name: entries[name] for name in sorted(entries) if name not in TABLES},
        )
        atomic.write_text(lake / MANIFEST, readable_json(asdict(sealed)))
    except OSError as e:
        raise SealError(f"{lake}: nothing was sealed, the old snapshot stays ({e})") from e
    clean(lake, sealed)
    return sealed


def _candidates(lake: Path) -> Iterator[Path]:
    yield from (path for path in lake.glob("*") if path.is_file() and path.name != ".lock")
    for name in (*TABLES, ASKED):
        yield from (path for path in (lake / name).rglob("*") if path.is_file())


def _write_part(lake: Path, name: str, sequence: int, rows: pa.Table) -> dict[str, Any]:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_statistics=True)
    content = sink.getvalue().to_pybytes()
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"{name}/part-{sequence:06d}-{sha256[:8]}.parquet"
    atomic.write_bytes(lake / path, content)
    return {"path": path, "sha256": sha256, "bytes": len(content), "rows": rows.num_rows}


def _entry(files: list[dict[str, Any]], rows: pa.Table) -> dict[str, Any]:
    return {
        "files": files,
        "rows": sum(file["rows"] for file in files),
        "columns": {field.name: str(field.type) for field in rows.schema},
    }
