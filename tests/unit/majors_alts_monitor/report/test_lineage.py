"""Events hold what version 2-0-2 of the OpenLineage specification requires, and nothing else."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from majors_alts_monitor.report.lineage import run_events

MANIFEST = {
    "run_id": "0123456789abcdef",
    "durations": {"prepare_s": 30.0, "render_s": 1.5},
    "inputs": {"fact_price": {"rows": 3, "sha256": "aa"}},
    "outputs": {"kpis.json": "bb", "bt_equity_curve.csv": "cc"},
}
ENDED = datetime(2024, 7, 20, 0, 55, tzinfo=UTC)
REQUIRED = {"eventTime", "producer", "schemaURL", "run", "job"}
ALLOWED = REQUIRED | {"eventType", "inputs", "outputs"}
EVENT_TYPES = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}


@pytest.fixture
def events():
    return run_events(
        MANIFEST,
        "daily_signal",
        ENDED,
        lake="/lake",
        address="s3://b/runs/x",
        tags={"asof": "2024-07-19"},
    )


def test_every_event_has_the_fields_the_specification_requires(events):
    for event in json.loads(json.dumps(events)):
        assert set(event) >= REQUIRED
        assert set(event) <= ALLOWED
        assert event["eventType"] in EVENT_TYPES
        assert datetime.fromisoformat(event["eventTime"]).tzinfo
        assert str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"]
        assert event["job"]["namespace"]
        assert event["job"]["name"] == "daily_signal"
        tags = event["run"]["facets"]["tags"]
        assert tags["tags"] == [{"key": "asof", "value": "2024-07-19", "source": "USER"}]
        for dataset in [*event["inputs"], *event.get("outputs", [])]:
            assert dataset["namespace"]
            assert dataset["name"]
            for facet in [tags, *dataset["facets"].values()]:
                assert facet["_producer"].startswith("https://")
                assert facet["_schemaURL"].startswith("https://")


def test_a_run_starts_and_completes_under_one_id_with_every_file(events):
    start, complete = events

    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert start["run"] == complete["run"]
    took = datetime.fromisoformat(complete["eventTime"]) - datetime.fromisoformat(
        start["eventTime"]
    )
    assert took == timedelta(seconds=31.5)
    assert [o["name"] for o in complete["outputs"]] == ["bt_equity_curve.csv", "kpis.json"]
    assert complete["inputs"][0]["facets"]["version"]["datasetVersion"] == "aa"
