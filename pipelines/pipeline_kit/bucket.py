"""The output bucket: the same calls on ``file://`` and ``s3://``.

A folder is published file by file with its manifest last, and a pointer such as
``latest/daily.json`` is replaced after it, never by an older day. On a file system a put is a
rename; on S3 it is one atomic request, and the pointer's guard is a conditional put.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from upath import UPath

from pipeline_kit import atomic, paths
from pipeline_kit.errors import DataProblem, UsageProblem
from pipeline_kit.manifest import readable_json

MANIFEST: Final = "manifest.json"
SCHEMES: Final = ("file", "s3")


class BucketError(DataProblem):
    """The bucket cannot be read or written."""


class Bucket:
    """A place for published files, addressed by relative POSIX keys.

    Parameters
    ----------
    uri : str
        ``file://DIR`` (a relative DIR counts from the working directory) or ``s3://NAME/PREFIX``.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or paths.bucket_uri()
        scheme = urlsplit(self.uri).scheme
        if scheme not in SCHEMES:
            raise UsageProblem(f"MAM_BUCKET_URI: {self.uri!r} must start with file:// or s3://")
        self._is_local = scheme == "file"
        root = self.uri.removeprefix("file://") if self._is_local else self.uri
        self._root: Any = Path(root).resolve() if self._is_local else UPath(self.uri)

    def locate(self, key: str) -> str:
        """Return the address of ``key`` for a person to open."""
        return str(self._path(key))

    def put(self, key: str, content: bytes) -> None:
        """Replace ``key`` by ``content``, whole or not at all.

        Raises
        ------
        BucketError
            If the store refuses; nothing half written is left.
        """
        try:
            if self._is_local:
                atomic.write_bytes(self._path(key), content)
            else:
                self._path(key).write_bytes(content)
        except OSError as e:
            raise BucketError(f"{self.uri}: cannot write {key}: {e}; check rights and space") from e

    def get(self, key: str) -> bytes | None:
        """Return the content of ``key``, or None where there is none."""
        try:
            content: bytes = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as e:
            raise BucketError(f"{self.uri}: cannot read {key}: {e}; check rights") from e
        return content

    def put_folder(self, key: str, folder: Path) -> None:
        """Publish every file of ``folder`` below ``key``; its manifest goes last."""
        files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
        for file in sorted(files, key=lambda p: (p.name == MANIFEST, p)):
            self.put(f"{key}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def advance(self, key: str, pointer: dict[str, Any], day: str) -> bool:
        """Replace the JSON pointer at ``key`` unless it already stands on a later day.

        Returns
        -------
        bool
            False when an older day was refused.
        """
        present = self.get(key)
        if present is not None and str(json.loads(present).get("asof", "")) > day:
            return False
        self.put(key, readable_json({**pointer, "asof": day}).encode())
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key below ``prefix``, sorted."""
        root = self._path(prefix)
        if not root.exists():
            return
        found = (p.relative_to(self._root).as_posix() for p in root.rglob("*") if p.is_file())
        yield from sorted(str(p) for p in found)

    def _path(self, key: str) -> Any:
        parts = key.split("/")
        if key.startswith("/") or any(part in {"", ".", ".."} for part in parts):
            raise UsageProblem(f"bucket key {key!r} leaves its folder")
        return self._root.joinpath(*parts)
