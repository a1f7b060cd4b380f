"""Progress of long work: a line that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Final, TextIO

PLAIN_EVERY_S: Final = 10.0
BAR_WIDTH: Final = 30


class Progress:
    """Counts finished parts; safe to share between threads.

    Parameters
    ----------
    name : str
        What is counted.
    total : int
        Parts there are.
    out : text file, optional
        Standard output by default.
    """

    def __init__(self, name: str, total: int, out: TextIO | None = None) -> None:
        self._name = name
        self._total = total
        self._out = sys.stdout if out is None else out
        self._done = 0
        self._lock = threading.Lock()
        self._told_at = time.monotonic()

    def advance(self) -> None:
        """Count one finished part and say so."""
        with self._lock:
            self._done = min(self._done + 1, self._total)
            now = time.monotonic()
            if self._out.isatty():
                self._out.write(f"\r{self._bar()}")
                self._out.flush()
            elif now - self._told_at >= PLAIN_EVERY_S:
                self._told_at = now
                self._out.write(f"{self._name}: {self._done} of {self._total}\n")
                self._out.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        if self._out.isatty() and self._done:
            self._out.write("\n")

    def _bar(self) -> str:
        filled = BAR_WIDTH * self._done // max(1, self._total)
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        return f"{self._name} [{bar}] {self._done}/{self._total}"
