"""Files and folders that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make the names inside ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``: temporary file beside it, fsync, rename, fsync folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
    except OSError as e:
        e.filename = e.filename or str(path)  # a full disk refuses a write without naming the file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Replace ``path`` by ``content`` in UTF-8."""
    write_bytes(path, content.encode())


def publish_folder(built: Path, destination: Path) -> None:
    """Put the finished folder ``built`` in place of ``destination``.

    Both must lie on one file system. The previous folder is moved aside before the new one
    takes its name and is removed afterwards, so a reader finds the old one, the new one, or for
    an instant none; never a mixture.
    """
    for file in sorted(built.rglob("*")):
        if file.is_file():
            with file.open("rb") as f:
                os.fsync(f.fileno())
    destination.parent.mkdir(parents=True, exist_ok=True)
    previous = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.old")
    if destination.exists():
        destination.rename(previous)
    built.rename(destination)
    fsync_folder(destination.parent)
    shutil.rmtree(previous, ignore_errors=True)
