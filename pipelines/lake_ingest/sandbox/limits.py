"""Request budgets: how many requests a key has made in the last minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class Budget:
    """Requests counted in a sliding window, by key.

    Parameters
    ----------
    window_s : float
        Length of the window in seconds.
    clock : callable
        Monotonic seconds; the frozen clock of a replay does not slow a budget down.

    Examples
    --------
    >>> budget = Budget(60, clock=lambda: 0.0)
    >>> budget.spend("a"), budget.spend("a", 5), budget.spend("b")
    (1, 6, 1)
    """

    def __init__(self, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._clock = clock
        self._spent: dict[str, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def spend(self, key: str, weight: int = 1) -> int:
        """Return what the key has spent in the window, this request included."""
        with self._lock:
            now = self._clock()
            spent = self._spent.setdefault(key, deque())
            while spent and spent[0][0] <= now - self._window_s:
                spent.popleft()
            spent.append((now, weight))
            return sum(one for _, one in spent)

    def seconds_to_wait(self, key: str) -> int:
        """Return after how many whole seconds the key's oldest request is forgotten."""
        with self._lock:
            spent = self._spent.get(key)
            if not spent:
                return 0
            return max(1, round(spent[0][0] + self._window_s - self._clock()))
