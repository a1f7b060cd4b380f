"""A sealed lake in the bucket: how workers that share no disk read the same snapshot.

``push`` copies the files that are not there yet below ``lake/`` and then the manifest to a key of
the caller's; ``pull`` makes the snapshot again on another machine and compares every hash. Part
files carry their hash in their name and never change, so snapshots share them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from pipeline_kit import atomic
from pipeline_kit.bucket import Bucket, BucketError
from pipeline_kit.errors import LakeContractError
from pipeline_kit.lake import MANIFEST, read_manifest
from pipeline_kit.manifest import readable_json

MIRROR: Final = "lake"
"""Where the part files of every snapshot are in the bucket."""


def push(lake: Path, bucket: Bucket, manifest_key: str) -> None:
    """Copy a sealed snapshot into the bucket, its manifest last.

    Raises
    ------
    LakeContractError
        If the lake is not sealed; only a list of files can be copied whole.
    """
    manifest = read_manifest(lake)
    if manifest is None:
        raise LakeContractError(f"{lake}: not sealed; import it into ours first")
    there = set(bucket.keys(MIRROR))
    for file in _files(manifest):
        if f"{MIRROR}/{file['path']}" not in there:
            bucket.put(f"{MIRROR}/{file['path']}", (lake / file["path"]).read_bytes())
    bucket.put(manifest_key, readable_json(manifest).encode())


def pull(bucket: Bucket, manifest_key: str, lake: Path) -> Path:
    """Make the snapshot of ``manifest_key`` in ``lake``, its manifest last, and return ``lake``.

    Raises
    ------
    BucketError
        If the manifest or a file is not in the bucket, or a file is not what the manifest says.
    """
    content = bucket.get(manifest_key)
    if content is None:
        raise BucketError(f"{bucket.uri}: no {manifest_key}; plan the sweep again")
    manifest = json.loads(content)
    for file in _files(manifest):
        part = bucket.get(f"{MIRROR}/{file['path']}")
        if part is None or hashlib.sha256(part).hexdigest() != file["sha256"]:
            state = "is missing" if part is None else "was changed"
            raise BucketError(
                f"{bucket.uri}: {MIRROR}/{file['path']} {state}; plan the sweep again"
            )
        atomic.write_bytes(lake / file["path"], part)
    atomic.write_text(lake / MANIFEST, readable_json(manifest))
    return lake


def _files(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [file for entry in manifest["tables"].values() for file in entry["files"]]
