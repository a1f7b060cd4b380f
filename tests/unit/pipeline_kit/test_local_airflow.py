"""What `make run` decides before Airflow starts."""

from pipeline_kit.local_airflow import synthetic_clock


def test_a_synthetic_day_started_before_its_data_are_out_is_taken_at_ten_to_one(monkeypatch):
    monkeypatch.setenv("MAM_NOW", "2026-11-24T00:32:00Z")

    assert synthetic_clock("2026-11-23") == {"MAM_NOW": "2026-11-24T00:50:00+00:00"}


def test_later_the_clock_is_the_clock(monkeypatch):
    monkeypatch.setenv("MAM_NOW", "2026-11-24T00:50:00Z")

    assert synthetic_clock("2026-11-23") == {}
