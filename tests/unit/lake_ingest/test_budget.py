"""No window ever holds more requests than the limit, over all processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_ingest.budget import Budget


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def most_in_any_window(starts: list[float], window_s: float) -> int:
    return max(sum(start <= other < start + window_s for other in starts) for start in starts)


def test_requests_within_the_limit_do_not_wait(tmp_path: Path) -> None:
    budget = Budget(tmp_path, "v", 3, 60.0, clock=Clock())

    assert [budget.reserve() for _ in range(3)] == [0.0, 0.0, 0.0]


def test_the_next_request_waits_for_the_oldest_to_leave_the_window(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(tmp_path, "v", 2, 60.0, clock=clock)
    budget.reserve()
    clock.now += 10
    budget.reserve()
    clock.now += 10

    # The first started 20 s ago: 40 s are left of its minute, and of the second's 50.
    assert budget.reserve() == 40.0
    assert budget.reserve() == 50.0


@given(
    gaps=st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=60),
    limit=st.integers(1, 7),
)
def test_no_window_holds_more_than_the_limit(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float], limit: int
) -> None:
    clock = Clock()
    budget = Budget(tmp_path_factory.mktemp("budget"), "v", limit, 60.0, clock=clock)
    starts = []
    for gap in gaps:
        clock.now += gap
        starts.append(clock.now + budget.reserve())

    assert most_in_any_window(starts, 59.999) <= limit


def test_a_lower_limit_of_the_vendor_counts_and_a_higher_one_does_not(tmp_path: Path) -> None:
    budget = Budget(tmp_path, "v", 5, 60.0, clock=Clock())

    budget.lower(2)
    budget.lower(1200)

    assert [budget.reserve() for _ in range(3)] == [0.0, 0.0, 60.0]


def test_a_pause_holds_every_process_and_keeps_what_was_counted(tmp_path: Path) -> None:
    clock = Clock()
    mine = Budget(tmp_path, "v", 2, 60.0, clock=clock)
    other = Budget(tmp_path, "v", 2, 60.0, clock=clock)
    mine.reserve()
    mine.reserve()

    mine.pause(7)

    assert other.paused_for() == 7.0
    assert other.reserve() == 60.0


def test_vendors_do_not_share_a_budget(tmp_path: Path) -> None:
    clock = Clock()
    Budget(tmp_path, "a", 1, 60.0, clock=clock).reserve()

    assert Budget(tmp_path, "b", 1, 60.0, clock=clock).reserve() == 0.0


def test_the_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_ingest.budget.KEEP_BYTES", 400)
    clock = Clock()
    budget = Budget(tmp_path, "v", 3, 60.0, clock=clock)
    starts = [clock.now + budget.reserve() for _ in range(200)]

    (file,) = tmp_path.iterdir()
    assert file.stat().st_size <= 408
    assert most_in_any_window(starts, 59.999) == 3


def _take(folder: str, n: int, waits: multiprocessing.Queue[float]) -> None:
    budget = Budget(Path(folder), "v", 5, 1000.0)
    for _ in range(n):
        waits.put(budget.reserve())


def test_processes_share_the_budget(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    waits: multiprocessing.Queue[float] = context.Queue()
    workers = [context.Process(target=_take, args=(str(tmp_path), 5, waits)) for _ in range(2)]
    for worker in workers:
        worker.start()
    taken = [waits.get(timeout=60) for _ in range(10)]
    for worker in workers:
        worker.join()

    # Ten requests at five a window: five at once, five a window later.
    assert sum(wait < 1 for wait in taken) == 5
    assert sum(wait > 900 for wait in taken) == 5
