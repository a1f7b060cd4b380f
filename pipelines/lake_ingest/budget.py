"""One request budget per vendor, shared by every worker and process on a data folder.

A vendor's file holds one instant until which nothing may start, then the instants (monotonic
seconds, 8 bytes each) at which requests were or will be allowed, in order. A new request may
start one window after the request ``limit`` places before it, so no window ever holds more than
``limit``. A place is reserved under a file lock and waited for outside it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

INSTANT: Final = struct.Struct("<d")
KEEP_BYTES: Final = 1 << 20
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Budget:
    """At most ``limit`` requests in any ``window_s`` seconds, over all processes.

    Parameters
    ----------
    folder : Path
        Where the budgets of a data folder are kept; made when missing.
    name : str
        What is counted, such as ``coinglass``.
    limit : int
        Requests a window.
    window_s : float
        Length of the window in seconds.
    clock : callable, optional
        Monotonic seconds, the same for all processes of a machine.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        limit: int,
        window_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}-{_boot()}.budget"
        self._limit = limit
        self._window_s = window_s
        self._clock = clock

    @property
    def limit(self) -> int:
        """Requests a window that are allowed now."""
        return self._limit

    def lower(self, limit: int) -> None:
        """Allow no more than ``limit`` requests a window; never raises the limit."""
        self._limit = max(1, min(self._limit, limit))

    def reserve(self) -> float:
        """Take a place and return the seconds to wait for it."""
        with self._locked() as fd:
            now = self._clock()
            size = _whole(os.fstat(fd).st_size)
            if size > KEEP_BYTES:
                size = self._compact(fd, size)
            start = max(now, self._free_at(fd, size), _paused_until(fd))
            os.pwrite(fd, INSTANT.pack(start), size)
        return start - now

    def pause(self, seconds: float) -> None:
        """Let no request of any process start during the next ``seconds``."""
        with self._locked() as fd:
            until = max(_paused_until(fd), self._clock() + seconds)
            os.pwrite(fd, INSTANT.pack(until), 0)

    def paused_for(self) -> float:
        """Return the seconds until a pause ends; 0 without one.

        To be asked after the wait for a place: a pause may have begun meanwhile, and then a new
        place has to be taken, because this one is counted at an instant that has passed.
        """
        with self._locked() as fd:
            return max(0.0, _paused_until(fd) - self._clock())

    def _free_at(self, fd: int, size: int) -> float:
        newest = self._newest(fd, size)
        full = len(newest) == self._limit * INSTANT.size
        oldest = INSTANT.unpack_from(newest)[0] + self._window_s if full else 0.0
        last = INSTANT.unpack_from(newest, len(newest) - INSTANT.size)[0] if newest else 0.0
        return max(oldest, last)

    def _newest(self, fd: int, size: int) -> bytes:
        length = min(size - INSTANT.size, self._limit * INSTANT.size)
        return os.pread(fd, length, size - length)

    def _compact(self, fd: int, size: int) -> int:
        kept = self._newest(fd, size)
        os.pwrite(fd, kept, INSTANT.size)
        os.ftruncate(fd, INSTANT.size + len(kept))
        return INSTANT.size + len(kept)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_size < INSTANT.size:
                os.pwrite(fd, INSTANT.pack(0.0), 0)
            yield fd
        finally:
            os.close(fd)


def _whole(size: int) -> int:
    return size // INSTANT.size * INSTANT.size


def _paused_until(fd: int) -> float:
    until: float = INSTANT.unpack(os.pread(fd, INSTANT.size, 0))[0]
    return until


def _boot() -> str:
    # Monotonic time restarts with the machine: places of an earlier boot mean nothing.
    return BOOT_ID.read_text().strip()[:8] if BOOT_ID.exists() else "boot"
