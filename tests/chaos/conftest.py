"""Which tests of chaos run, and the report of what was killed where."""

from __future__ import annotations

import os

import pytest

from tests.chaos.disks import HOW
from tests.chaos.kills import TRIED

# What takes half a minute of two cores or more is left to `make chaos`.
SLOW = ["test_scheduler.py", "test_sweep_killed.py", "test_vendor_down.py"]
collect_ignore = [] if os.environ.get("CHAOS") == "all" else SLOW


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the points with ``CHAOS=all``, their number otherwise."""
    if not TRIED:
        return
    terminalreporter.section("killed with signal 9 at")
    for work, points in sorted(TRIED.items()):
        names = list(dict.fromkeys(points))
        terminalreporter.line(f"{work}: {len(points)} kills at {len(names)} named points")
        if os.environ.get("CHAOS") == "all":
            for name in names:
                terminalreporter.line(f"  {name}")
    for fault, way in sorted(HOW.items()):
        terminalreporter.line(f"{fault}: by {way}")
