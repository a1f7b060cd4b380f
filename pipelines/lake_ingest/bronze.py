"""The archive of vendor answers: append-only, compressed, failures included.

Every fetch writes its own files, ``bronze/<vendor>/<day>/<run_id>-<n>.jsonl.gz``: gzip members one
after the other, each one line of JSON (``zcat`` reads them). An answer is written with one system
call, so a killed process loses at most the one it was writing, and a reader stops at the torn
end. No key is ever written: not the request's, and not one a vendor echoes.
"""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

KEPT_HEADERS: Final = frozenset(
    {
        "api-key-max-limit",
        "api-key-use-limit",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "retry-after",
        "server",
        "x-mbx-used-weight-1m",
    }
)
SANDBOX_SERVER: Final = "SyntheticMarket/"
LONGEST_WORDS: Final = 200
REDACTED: Final = b"[key removed]"
GZIP: Final = 31
"""zlib's number for a gzip member."""
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor answered to one request, key text removed."""

    vendor: str
    path: str
    params: Params
    status: int
    """HTTP status; 0 when no answer came."""
    headers: Mapping[str, str]
    """Those that matter, names in lower case."""
    body: bytes
    fetched_at: datetime
    error: str = ""
    """What the transport reported when no answer came."""

    @property
    def is_synthetic(self) -> bool:
        """Return whether the bundled sandbox made this answer."""
        return self.headers.get("server", "").startswith(SANDBOX_SERVER)


def request_id(vendor: str, path: str, params: Params) -> str:
    """Return the identity of a request; the order of parameters does not matter.

    Examples
    --------
    >>> request_id("v", "/a", {"x": 1, "y": "b"})
    'v /a?x=1&y=b'
    """
    return f"{vendor} {path}?" + "&".join(f"{k}={params[k]}" for k in sorted(params))


def redact(body: bytes, keys: tuple[str, ...]) -> bytes:
    """Return the body with every key's text replaced.

    Examples
    --------
    >>> redact(b'{"msg":"bad key abc123"}', ("abc123",))
    b'{"msg":"bad key [key removed]"}'
    """
    for key in keys:
        body = body.replace(key.encode(), REDACTED)
    return body


def printable(text: str) -> str:
    r"""Return a vendor's words on one line, short, without what a terminal would act on.

    Examples
    --------
    >>> printable("a\x1b[31m\n  b\ud800")
    'a?[31m b?'
    """
    line = " ".join(text.split())[:LONGEST_WORDS]
    return "".join(c if c.isprintable() else "?" for c in line)


class Archive:
    """Writer of one run's answers; safe to share between threads.

    Parameters
    ----------
    root : Path
        Folder of the archive.
    run_id : str
        Names the run's files.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        self._root = root
        self._run_id = run_id
        self._lock = threading.Lock()
        self._files: dict[str, int] = {}

    def append(self, answer: Answer) -> None:
        """Write one answer at the end of its vendor's file."""
        member = gzip.compress(_encode(answer), compresslevel=3, mtime=0)
        with self._lock:
            if answer.vendor not in self._files:
                self._files[answer.vendor] = self._open(answer.vendor, answer.fetched_at)
            _write_whole(self._files[answer.vendor], member, self._root)

    def close(self) -> None:
        """Make everything written durable."""
        with self._lock:
            for fd in self._files.values():
                os.fsync(fd)
                os.close(fd)
            self._files.clear()

    def _open(self, vendor: str, fetched_at: datetime) -> int:
        folder = self._root / vendor / fetched_at.astimezone(UTC).date().isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        # A resumed run starts a file of its own: nothing may follow a torn end.
        for number in range(10_000):
            path = folder / f"{self._run_id}-{number}.jsonl.gz"
            try:
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:
                continue
        raise FileExistsError(f"{folder}: {self._run_id} was resumed 10000 times")


def read_run(root: Path, run_id: str) -> Iterator[Answer]:
    """Yield the answers of a run, per vendor in the order they were written."""
    for path in sorted(root.glob(f"*/*/{run_id}-*.jsonl.gz")):
        yield from read_file(path)


def read_file(path: Path) -> Iterator[Answer]:
    """Yield the answers of one file up to its end, torn or not."""
    inflate, line = zlib.decompressobj(wbits=GZIP), b""
    with path.open("rb") as f:
        while data := f.read(1 << 20):
            while data:
                try:
                    line += inflate.decompress(data)
                except zlib.error:
                    return
                data = inflate.unused_data
                if inflate.eof:
                    yield _decode(line)
                    inflate, line = zlib.decompressobj(wbits=GZIP), b""


def _write_whole(fd: int, member: bytes, root: Path) -> None:
    """Write an answer or nothing: a torn one in the middle would hide those behind it."""
    size = os.fstat(fd).st_size
    try:
        if os.write(fd, member) < len(member):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as e:
        os.ftruncate(fd, size)
        e.filename = str(root)  # a descriptor has no name
        raise


def _encode(answer: Answer) -> bytes:
    record: dict[str, Any] = {
        "vendor": answer.vendor,
        "path": answer.path,
        "params": dict(answer.params),
        "status": answer.status,
        "headers": {k: v for k, v in answer.headers.items() if k in KEPT_HEADERS},
        "fetched_at": answer.fetched_at.isoformat(),
        "sha256": hashlib.sha256(answer.body).hexdigest(),
        "error": answer.error,
    }
    try:
        record["body"] = answer.body.decode("utf-8")
    except UnicodeDecodeError:
        record["body_base64"] = base64.b64encode(answer.body).decode("ascii")
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes) -> Answer:
    record = json.loads(line)
    text = record.get("body")
    body = text.encode() if text is not None else base64.b64decode(record["body_base64"])
    return Answer(
        vendor=record["vendor"],
        path=record["path"],
        params=record["params"],
        status=record["status"],
        headers=record["headers"],
        body=body,
        fetched_at=datetime.fromisoformat(record["fetched_at"]),
        error=record["error"],
    )
