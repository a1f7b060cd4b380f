"""The output bucket: the same calls on ``file://`` and ``s3://``.

A folder is published file by file with its manifest last, and a pointer such as
``latest/daily.json`` is replaced after it, never by an older day. On a file system a put is a
rename; on S3 it is one atomic request, and the pointer's guard is a conditional put.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from upath import UPath

from pipeline_kit import atomic, paths
from pipeline_kit.errors import DataProblem, UsageProblem
from pipeline_kit.manifest import readable_json

MANIFEST: Final = "manifest.json"
SCHEMES: Final = ("file", "s3")
PUT_ATTEMPTS: Final = 8


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
        self._refusals: tuple[type[Exception], ...] = (OSError,)
        if not self._is_local:
            from botocore.exceptions import BotoCoreError  # a store out of reach; no OSError

            self._refusals = (OSError, BotoCoreError)

    @property
    def is_shared(self) -> bool:
        """Whether machines that share no disk can reach it."""
        return not self._is_local

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
        except self._refusals as e:
            raise BucketError(f"{self.uri}: cannot write {key}: {e}; check rights and space") from e

    def get(self, key: str) -> bytes | None:
        """Return the content of ``key``, or None where there is none."""
        try:
            path = self._path(key)
            # On S3 one request: UPath asks for the tag first and trips over a change in between.
            content: bytes = path.read_bytes() if self._is_local else path.fs.cat_file(path.path)
        except FileNotFoundError:
            return None
        except self._refusals as e:
            raise BucketError(f"{self.uri}: cannot read {key}: {e}; check rights") from e
        return content

    def put_new(self, key: str, content: bytes) -> bool:
        """Put ``key`` unless it is there, and return whether it was put: one of many writers wins.

        Raises
        ------
        BucketError
            If the store refuses.
        """
        if not self._is_local:
            return self._put_if(key, content, None)
        with _folder_lock(self._path(key).parent, self.uri):
            if self.get(key) is not None:
                return False
            self.put(key, content)
            return True

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
        content = readable_json({**pointer, "asof": day}).encode()
        if self._is_local:
            with _folder_lock(self._path(key).parent, self.uri):
                if _is_later(self.get(key), day):
                    return False
                self.put(key, content)
                return True
        for _ in range(PUT_ATTEMPTS):
            # The tag is taken first: content that is newer than its tag makes the put fail.
            tag = self._tag(key)
            if _is_later(self.get(key), day):
                return False
            if self._put_if(key, content, tag):
                return True
        raise BucketError(f"{self.uri}: {key} keeps changing under us; deliver again")

    def _tag(self, key: str) -> str | None:
        """Return the tag of the object at ``key`` on S3, or None where there is none."""
        path = self._path(key)
        try:
            path.fs.invalidate_cache()
            return str(path.fs.info(path.path)["ETag"])
        except FileNotFoundError:
            return None
        except self._refusals as e:
            raise BucketError(f"{self.uri}: cannot read {key}: {e}; check rights") from e

    def _put_if(self, key: str, content: bytes, tag: str | None) -> bool:
        """Replace ``key`` on S3 only while it has ``tag``; with None, only while it is absent."""
        path = self._path(key)
        name, _, inner = path.path.partition("/")
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            path.fs.call_s3("put_object", Bucket=name, Key=inner, Body=content, **condition)
        except FileExistsError:
            return False
        except self._refusals as e:
            if (
                isinstance(e, OSError) and e.errno == errno.EINVAL
            ):  # what s3fs makes of 412 Precondition Failed
                return False
            raise BucketError(f"{self.uri}: cannot write {key}: {e}; check rights") from e
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key below ``prefix``, sorted."""
        root = self._path(prefix)
        try:
            if not root.exists():
                return
            found = (p.relative_to(self._root).as_posix() for p in root.rglob("*") if p.is_file())
            listed = sorted(str(p) for p in found)
        except self._refusals as e:
            raise BucketError(f"{self.uri}: cannot list {prefix}: {e}; check rights") from e
        yield from listed

    def _path(self, key: str) -> Any:
        parts = key.split("/")
        if key.startswith("/") or any(part in {"", ".", ".."} for part in parts):
            raise UsageProblem(f"bucket key {key!r} leaves its folder")
        return self._root.joinpath(*parts)


def _is_later(pointer: bytes | None, day: str) -> bool:
    return pointer is not None and str(json.loads(pointer).get("asof", "")) > day


@contextmanager
def _folder_lock(folder: Path, uri: str) -> Iterator[None]:
    """Hold a folder for one process: reading, comparing and replacing must be one step."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as e:
        raise BucketError(f"{uri}: cannot open {folder.name}: {e}; check rights and space") from e
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
