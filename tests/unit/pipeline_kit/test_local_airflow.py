"""What `make run` decides before Airflow starts, and what it prints at the end."""

import json

from pipeline_kit.bucket import Bucket
from pipeline_kit.local_airflow import print_summary, synthetic_clock


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
