"""Windows of the walk forward: fitted on the past, applied to the days that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from majors_alts_monitor.types import Bools


@dataclass(frozen=True, slots=True)
class Window:
    """Row numbers of one window; ends are exclusive."""

    number: int
    fit_from: int
    fit_to: int
    apply_from: int
    apply_to: int
    """Planned; it may lie behind the last row."""


def walk_forward(valid: Bools, lookback_days: int, test_days: int) -> list[Window]:
    """Return the windows that have a day to apply to, anchored at the first valid day.

    Window k is fitted on [a + k test, a + k test + lookback) and applied to the next ``test``
    days, so nothing that is fitted has seen the days it is applied to.

    Examples
    --------
    >>> [(w.fit_from, w.fit_to, w.apply_to) for w in walk_forward(np.arange(9) >= 1, 4, 2)]
    [(1, 5, 7), (3, 7, 9)]
    """
    if not valid.any():
        return []
    first = int(np.argmax(valid))
    windows = []
    for number, fit_from in enumerate(range(first, len(valid) - lookback_days, test_days)):
        fit_to = fit_from + lookback_days
        windows.append(Window(number, fit_from, fit_to, fit_to, fit_to + test_days))
    return windows
