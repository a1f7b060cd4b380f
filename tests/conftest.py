"""Fixtures that several folders of tests share, and the leak scoreboard at the end of a run.

The scoreboard is printed here because this file, unlike those of the folders below, is loaded by
the process that reports for parallel workers.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PLANTED = "tests/leaks/test_planted_leaks.py"
CLEAN = "tests/leaks/test_no_false_alarm.py"
REAL_LAKE = Path(__file__).resolve().parents[2] / "shared" / "data" / "real_lake"


# A busy machine fails no property, and a commit meets the same examples wherever it is tried.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_lake() -> Path:
    """Return the folder of real market data beside the checkout, or skip."""
    if not REAL_LAKE.is_dir():
        pytest.skip("../shared/data/real_lake is absent")
    return REAL_LAKE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many of the planted leaks were caught, and how often clean code raised an alarm."""
    caught, planted = _passed(terminalreporter, PLANTED)
    silent, clean = _passed(terminalreporter, CLEAN)
    if planted:
        terminalreporter.write_line(f"planted leaks caught: {caught} of {planted}")
    if clean:
        terminalreporter.write_line(f"false alarms on clean code: {clean - silent} of {clean}")


def _passed(reporter: pytest.TerminalReporter, file: str) -> tuple[int, int]:
    """Return how many tests of a file passed, and how many ran."""
    found = {
        outcome: {
            report.nodeid
            for report in reporter.stats.get(outcome, [])
            if report.nodeid.startswith(file) and (outcome != "passed" or report.when == "call")
        }
        for outcome in ("passed", "failed", "error")
    }
    return len(found["passed"]), len(set().union(*found.values()))
