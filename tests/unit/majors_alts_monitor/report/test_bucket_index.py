"""The bucket's front page lists what is finished, links what is there, and escapes the rest."""

import json

import pytest

from majors_alts_monitor.report.bucket_index import list_entries, write_index
from pipeline_kit.bucket import Bucket

SIGNAL = {"regime": "BALANCED", "score": 0.2, "action": "hold", "gross_exposure": 0.0}


@pytest.fixture
def bucket(tmp_path):
    filled = Bucket(f"file://{tmp_path}")

    def put(key, value):
        filled.put(key, json.dumps(value).encode())

    for day in ("2024-01-01", "2024-01-02"):
        folder = f"runs/daily/dt={day}/run=r"
        put(f"{folder}/manifest.json", {"is_synthetic": True})
        put(f"{folder}/signals_today.json", {**SIGNAL, "data_status": "ok"})
        put(f"{folder}/dashboard.html", "page")
    put("runs/daily/dt=2024-01-03/run=unfinished/dashboard.html", "page")
    put("runs/daily/dt=2024-01-02/metrics.json", {})
    put("runs/backtests/abc/plan.json", {"params": {"start": "<b>", "end": "2024-01-02"}})
    put("runs/backtests/abc/overfitting.json", {"n_members": 3, "pbo": 0.25, "is_synthetic": True})
    put("runs/backtests/abc/leaderboard.csv", "member")
    put("latest/daily.json", {"path": "runs/daily/dt=2024-01-02/run=r"})
    return filled


def test_the_newest_day_is_first_and_an_unfinished_run_is_left_out(bucket):
    entries = list_entries(bucket)
    assert [entry.label for entry in entries] == ["2024-01-02", "2024-01-01", "abc"]
    assert [entry.is_latest for entry in entries] == [True, False, False]
    assert entries[0].summary == "SYNTHETIC, Balanced, +0.20, hold, gross 0.0%"
    assert entries[2].summary.startswith("SYNTHETIC, ")
    assert entries[2].summary.endswith("PBO 0.25")


def test_only_files_that_exist_are_linked(bucket):
    linked = [key for entry in list_entries(bucket) for _, key in entry.links]
    assert linked
    assert all(bucket.get(key) is not None for key in linked)


def test_the_page_is_written_escaped_and_stable(bucket):
    write_index(bucket)
    first = bucket.get("index.html")
    assert b"<b> to" not in first
    assert b"&lt;b&gt; to" in first
    write_index(bucket)
    assert bucket.get("index.html") == first


def test_an_empty_bucket_has_a_page(tmp_path):
    empty = Bucket(f"file://{tmp_path}")
    write_index(empty)
    assert b"None yet" in empty.get("index.html")


def test_lineage_and_quality_are_linked_per_run(bucket):
    folder = "runs/daily/dt=2024-01-02/run=r"
    for name in ("dbt_docs/index.html", "dq/gate1.html", "explain.html"):
        bucket.put(f"{folder}/{name}", b"page")
    newest, older, _ = list_entries(bucket)
    linked = dict(newest.links)
    assert linked["model lineage"] == f"{folder}/dbt_docs/index.html"
    assert linked["data quality"] == f"{folder}/dq/gate1.html"
    assert linked["each weight"] == f"{folder}/explain.html"
    assert "model lineage" not in dict(older.links)
