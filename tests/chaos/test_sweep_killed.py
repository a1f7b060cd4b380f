"""A sweep killed anywhere, in its plan, a member or the comparison: repeated, it is the clean one.

Every point would take an hour, so one in thirty is tried.
"""

import json
import shutil
from datetime import date

import pytest
import yaml

from lake_ingest.import_lake import import_lake
from majors_alts_monitor.backfill import collect_backfill, plan_backfill, run_planned
from majors_alts_monitor.config import effective_values, load_config
from pipeline_kit.calendar import now_utc
from tests.chaos.kills import finish, hashes, kill_at, points_of
from tests.dags.world import SMALL
from tests.fixtures.lakes import make_lake

pytestmark = [pytest.mark.chaos, pytest.mark.dbt, pytest.mark.timeout(3000)]
EVERY = 30
ASKED = {
    "start": "2023-04-10",
    "end": "2023-06-10",
    "sweep": {"costs.slippage_bps": [1, 2]},
    "email_to": ["quant@b.example"],
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path / 'bucket'}")
    monkeypatch.setenv("MAM_NOW", "2023-06-20T00:50:00Z")
    for name in ("MAM_SMTP_URL", "MAM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    import_lake(make_lake(tmp_path / "given", 3, 8, 170, start=date(2023, 1, 1)), now=now_utc())
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    return tmp_path


def left_by(home):
    """Return what a sweep leaves for others: bucket, mail, number of trials."""
    left = {}
    for folder in (home / "bucket", home / "data" / "outbox"):
        for name, value in hashes(folder).items():
            if name.rpartition("/")[2].startswith("."):
                continue  # a killed writer's temporary file, which no reader opens
            timed = {"manifest.json": {"durations"}, "plan.json": {"n_to_run", "members"}}
            hidden = timed.get(name.rpartition("/")[2])
            if hidden:
                document = json.loads((folder / name).read_text())
                value = {k: v for k, v in document.items() if k not in hidden}
            left[f"{folder.name}/{name}"] = value
    ledger = home / "data" / "ledger" / "trials.jsonl"
    return left | {"trials": ledger.read_text().count("\n")}


def test_a_sweep_killed_anywhere_is_completed_by_the_next(home):
    def sweep():
        planned = plan_backfill(ASKED | {"config": str(home / "small.yaml")})
        for number in range(planned["n_members"]):
            run_planned(planned["sweep_id"], number)
        collect_backfill(planned["sweep_id"])

    def clear():
        for name in ("bucket", "data/runs", "data/outbox", "data/ledger"):
            shutil.rmtree(home / name, ignore_errors=True)

    log = home / "points.log"
    finish(sweep, log)  # builds the warehouse, which every sweep shares
    clear()
    points = points_of(sweep, log)
    clean = left_by(home)
    assert clean["trials"] == 2
    assert len([name for name in clean if name.endswith(".eml")]) == 1
    for point in range(0, len(points), EVERY):
        clear()

        kill_at(sweep, point, log)
        finish(sweep, log)

        assert left_by(home) == clean, f"point {point}, {points[point]}"
