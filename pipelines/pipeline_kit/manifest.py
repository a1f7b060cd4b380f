"""Content hashes and canonical JSON: what makes two runs comparable to the byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys and the shortest numbers that read back equal.

    Raises
    ------
    ValueError
        If it holds a NaN or an infinity: undefined is ``null``.

    Examples
    --------
    >>> canonical_json({"b": 0.1, "a": None})
    '{"a":null,"b":0.1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def readable_json(value: Any) -> str:
    """Return ``value`` as indented JSON with sorted keys and a final line feed."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def sha256_text(text: str) -> str:
    """Return the SHA-256 of ``text`` in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def sha256_tree(root: Path, patterns: Iterable[str]) -> str:
    """Return one SHA-256 over the names and bytes of the files below ``root`` that match.

    The order of the file system does not matter; generated folders (``__pycache__``,
    ``target``, ``logs``) do not count.
    """
    skipped = {"__pycache__", "target", "logs"}
    files = {
        file
        for pattern in patterns
        for file in root.rglob(pattern)
        if file.is_file() and not skipped & set(file.relative_to(root).parts)
    }
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(root).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
