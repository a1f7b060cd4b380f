"""What a run reads of a lake, held and remembered, so that it can be run again by its folder alone.

Flow: ``lake folder -> open_held -> run -> remember -> remembered``. Our lake grows: every commit
replaces its listings, compaction its parts. So a run reads its snapshot through hard links in
``MAM_DATA_DIR/runs/lakes/<snapshot_id>``, which cost no room until the lake lets go of a part.
Any other lake is only read, and remembered by its place.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from majors_alts_monitor.data_io import Lake, open_lake
from majors_alts_monitor.errors import ReproductionError
from pipeline_kit import atomic, paths
from pipeline_kit.errors import LakeContractError
from pipeline_kit.lake import MANIFEST, read_manifest, sealed_tables
from pipeline_kit.manifest import readable_json


def open_held(folder: Path) -> Lake:
    """Return a lake whose files stay what they are, whoever writes to ours meanwhile.

    Raises
    ------
    LakeContractError
        As ``open_lake``, or if a file of the manifest is not there.
    """
    is_ours = folder.resolve() == paths.lake_dir().resolve()
    sealed = read_manifest(folder) if is_ours else None
    if sealed is None:
        return open_lake(folder)
    held = held_lakes() / str(sealed["snapshot_id"])
    try:
        pin_lake(folder, held)
    except (LakeContractError, FileNotFoundError):
        if read_manifest(folder) == sealed:
            raise
        return open_held(folder)  # a commit came in between
    os.utime(held)  # upkeep goes by its last use
    return replace(open_lake(held), folder=folder)


def remember(run_id: str, lake: Lake) -> None:
    """Keep where the files of a run's lake are: its manifest must not depend on a place."""
    atomic.write_text(_note(run_id), f"{lake.files.resolve()}\n")


def remembered(run_id: str) -> Path:
    """Return the lake that a run read, if it is still there, else ours.

    Raises
    ------
    ReproductionError
        If there is neither.
    """
    note = _note(run_id)
    folder = Path(note.read_text("utf-8").strip()) if note.is_file() else paths.lake_dir()
    if folder.is_dir():
        return folder
    if not paths.lake_dir().is_dir():
        raise ReproductionError(f"{folder}: the lake of run {run_id} is gone; name where it is now")
    return paths.lake_dir()


def held_lakes() -> Path:
    """Return the folder of notes by run id and of snapshots by theirs."""
    return paths.data_dir() / "runs" / "lakes"


def pin_lake(lake: Path, pinned: Path) -> Path:
    """Hold a sealed snapshot in ``pinned`` by hard links, whole or not at all; return where it is.

    A lake without a manifest stays where it is, and what is pinned already as it is. A file system
    without hard links gets copies.
    """
    manifest = read_manifest(lake)
    if manifest is None:
        return lake
    work = pinned.with_name(f".{pinned.name}.{uuid.uuid4().hex}.tmp")
    try:
        if not (pinned / MANIFEST).is_file():
            for files in sealed_tables(lake, manifest).values():
                for file in files:
                    _link(file, work / file.relative_to(lake))
            for folder in work.glob("*/"):
                atomic.fsync_folder(folder)
            atomic.write_text(work / MANIFEST, readable_json(manifest))
            work.rename(pinned)
            atomic.fsync_folder(pinned.parent)
    except OSError:
        # Another run that read the same snapshot may have been quicker; then all is well.
        if not (pinned / MANIFEST).is_file():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return pinned


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _note(run_id: str) -> Path:
    # The id comes out of a file that anyone may have edited.
    return held_lakes() / f"{Path(run_id).name}.txt"
