"""What a delivered day says of itself: metrics, lineage, and the alerts it still earns."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from majors_alts_monitor.daily import day_folder
from majors_alts_monitor.health import report_health
from pipeline_kit.calendar import parse_day

RUN = {
    "run_id": "0123456789abcdef",
    "inputs": {
        "fact_price": {"rows": 3, "sha256": "ab"},
        "fact_volume": {"rows": 2, "sha256": "c"},
    },
    "outputs": {"kpis.json": "ef"},
    "durations": {"prepare_s": 1.5},
    "share_assumed": 0.25,
}


@pytest.fixture
def deliver(tmp_path, monkeypatch):
    """Report a day with a given status and warnings, and return the subjects of all mail so far."""
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path / 'bucket'}")
    for name in ("MAM_SMTP_URL", "MAM_ALERT_WEBHOOK", "MAM_REPORT_RECIPIENTS"):
        monkeypatch.delenv(name, raising=False)
    told = []

    def report(asof, status, warnings=()):
        folder = day_folder(parse_day(asof, "asof"))
        signal = {"regime": "BALANCED", "data_status": status}
        for name, value in {
            "run/manifest.json": RUN | {"last_day": "2024-07-18"},
            "run/signals_today.json": signal,
            "dq/warnings.json": list(warnings),
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(value))
        monkeypatch.setenv("MAM_NOW", "2024-07-25T00:55:00Z")
        before = set((tmp_path / "data" / "outbox").rglob("*.eml"))
        report_health(asof)
        new = sorted(set((tmp_path / "data" / "outbox").rglob("*.eml")) - before)
        lines = [line for mail in new for line in mail.read_text().splitlines()]
        told.extend(line for line in lines if line.startswith("Subject: "))
        return told

    return report


def test_days_of_one_outage_are_one_message_and_its_end_is_another(deliver):
    deliver("2024-07-18", "ok")
    deliver("2024-07-19", "stale")
    deliver("2024-07-19", "stale")
    deliver("2024-07-20", "stale")
    deliver("2024-07-21", "degraded")
    deliver("2024-07-22", "ok")

    assert deliver("2024-07-23", "stale") == [
        "Subject: [WARN] 2024-07-19 stale data",
        "Subject: [OK] 2024-07-19 stale data: recovered",
        "Subject: [WARN] 2024-07-23 stale data",
    ]


def test_warnings_of_a_day_are_one_message_that_names_the_first(deliver, tmp_path):
    told = deliver("2024-07-19", "ok", ["a jump of ETH", "another"])
    deliver("2024-07-19", "ok", ["a jump of ETH", "another"])

    assert told == ["Subject: [WARN] 2024-07-19 gate warning"]
    (mail,) = (tmp_path / "data" / "outbox").rglob("*.eml")
    assert "Cause: a jump of ETH (and 1 more)" in mail.read_text()
    assert "Runbook: docs/runbooks/gate_warning.md" in mail.read_text()


def test_the_metrics_are_what_a_prometheus_server_reads(deliver, tmp_path):
    deliver("2024-07-19", "ok", ["a jump"])

    text = (tmp_path / "bucket/runs/daily/dt=2024-07-19/metrics.prom").read_text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    read = {
        (sample.name, sample.labels.get("name")): sample.value
        for family in families.values()
        for sample in family.samples
    }

    assert {family.type for family in families.values()} == {"gauge"}
    assert read["mam_lake_rows", "fact_price"] == 3
    assert read["mam_duration_seconds", "prepare"] == 1.5
    assert read["mam_gate_warnings", None] == 1
    assert read["mam_data_age_days", None] == 1
    assert read["mam_share_assumed", None] == 0.25
