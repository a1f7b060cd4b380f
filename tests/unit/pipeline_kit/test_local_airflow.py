"""What `make run` decides before Airflow starts, and what it prints at the end."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_kit import local_airflow
from pipeline_kit.bucket import Bucket
from pipeline_kit.errors import UsageProblem
from pipeline_kit.local_airflow import airflow_environment, print_summary, synthetic_clock


def test_a_synthetic_day_started_before_its_data_are_out_is_taken_at_ten_to_one(monkeypatch):
    monkeypatch.setenv("MAM_NOW", "2026-11-24T00:32:00Z")

    assert synthetic_clock("2026-11-23") == {"MAM_NOW": "2026-11-24T00:50:00+00:00"}


def test_later_the_clock_is_the_clock(monkeypatch):
    monkeypatch.setenv("MAM_NOW", "2026-11-24T00:50:00Z")

    assert synthetic_clock("2026-11-23") == {}


def test_a_day_without_a_score_is_said_and_not_stumbled_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path}")
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    signal = {"regime": None, "score": None, "action": "exit", "target_weights": {}}
    bucket = Bucket()
    bucket.put("runs/a/signals_today.json", json.dumps(signal).encode())
    pointer = {"path": "runs/a", "asof": "2026-11-23"}
    bucket.put("latest/daily.json", json.dumps(pointer).encode())

    print_summary("2026-11-23")

    said = capsys.readouterr().out
    assert "2026-11-23  no regime  no score  exit" in said
    assert "flat: no position" in said


def test_airflow_finds_its_own_commands_and_its_home_is_the_owner_s_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))

    environment = airflow_environment()

    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert (tmp_path / "airflow").stat().st_mode & 0o077 == 0


def test_a_port_that_is_taken_is_said_before_anything_starts(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(local_airflow, "PORT", other.getsockname()[1])

        with pytest.raises(UsageProblem, match="is taken"):
            local_airflow.serve_ui()


def test_a_part_is_ended_with_all_that_it_started():
    part = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], start_new_session=True, stdout=subprocess.PIPE
    )
    with part:
        part.stdout.readline()

        local_airflow._stop_groups([part])

        # The pipe ends when nobody is left who holds it.
        assert part.stdout.read() == b""
        assert part.returncode is not None
