"""One fetch at a time, and a killed one can be found again."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from lake_ingest.errors import FetchBusyError
from lake_ingest.fetch_state import Run, fetch_lock, load_unfinished, run_id_for, save_run
from lake_ingest.plan import Job

AT = datetime(2024, 1, 2, 0, 50, tzinfo=UTC)
ARGUMENTS = {"start": "2024-01-01", "end": "2024-01-01", "symbols": ["BTC"]}
JOB = Job("klines", "BTC", "BTCUSDT", date(2023, 12, 30), date(2024, 1, 1), date(2024, 1, 1))


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))


def run(**changes: object) -> Run:
    return dataclasses.replace(
        Run("r1", ARGUMENTS, AT, (JOB, dataclasses.replace(JOB, missing_from=None))), **changes
    )


def test_an_unfinished_run_is_found_with_the_same_arguments() -> None:
    save_run(run())

    assert load_unfinished(ARGUMENTS) == run()
    assert load_unfinished(ARGUMENTS | {"end": "2024-01-02"}) is None


def test_a_finished_run_and_no_run_are_nothing_to_resume() -> None:
    assert load_unfinished(ARGUMENTS) is None

    save_run(run(is_finished=True))

    assert load_unfinished(ARGUMENTS) is None


def test_a_run_id_is_a_file_name() -> None:
    assert run_id_for(AT, ARGUMENTS).startswith("20240102T005000-")
    assert "/" not in run_id_for(AT, ARGUMENTS)


def test_a_second_fetch_is_refused() -> None:
    with fetch_lock(), pytest.raises(FetchBusyError) as caught, fetch_lock():
        pass

    assert caught.value.exit_code == 1


def test_the_lock_of_a_killed_fetch_is_free() -> None:
    code = (
        "from lake_ingest.fetch_state import fetch_lock; import time\n"
        "with fetch_lock():\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(FetchBusyError), fetch_lock():
            pass
        os.kill(process.pid, signal.SIGKILL)
    with fetch_lock():
        pass
