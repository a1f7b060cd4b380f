"""Members that ran side by side are counted as if they had run one after the other."""

import json
from datetime import date

import pytest

from majors_alts_monitor import outputs, sweep
from majors_alts_monitor.ledger import read_trials
from majors_alts_monitor.sweep import count_members, expand, plan_sweep
from pipeline_kit.manifest import sha256_file

RETURNS = {1: (0.01, -0.02, 0.03, 0.01), 2: (0.02, 0.01, -0.01, 0.03)}


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A sweep of two members, each as an uncounted run in ``tmp_path``."""
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sweep, "render_dashboard", lambda run: f"page of {run.kpis['trials']}")
    members = expand(None, [], {"execution.lag_days": list(RETURNS)})
    made = plan_sweep(members, date(2024, 1, 1), date(2024, 1, 4), tmp_path, None, 2)
    for lag, member in zip(RETURNS, made.members, strict=True):
        write_run(tmp_path / "members" / member.name, f"run{lag}", RETURNS[lag])
    return made


def write_run(folder, run_id, returns):
    folder.mkdir(parents=True)
    rows = "".join(f"2024-01-0{day},1.0,0.0,{r}\n" for day, r in enumerate(returns, start=1))
    (folder / "bt_equity_curve.csv").write_text(f"date,equity,drawdown,r_ls_net\n{rows}")
    (folder / "kpis.json").write_text('{"trials": 1, "deflated_sharpe": 0.5}')
    (folder / "dashboard.html").write_text("page of 1")
    listed = {path.name: sha256_file(path) for path in folder.iterdir()}
    manifest = {"run_id": run_id, "inputs": {"fact_price": {"sha256": "a"}}, "outputs": listed}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def figures(made, folder):
    return [outputs.read_run(folder / "members" / member.name).kpis for member in made.members]


def test_the_first_member_is_one_trial_and_the_second_two(two, tmp_path):
    count_members(two, tmp_path)

    assert [kpis["trials"] for kpis in figures(two, tmp_path)] == [1, 2]
    assert [trial.run_id for trial in read_trials()] == ["run1", "run2"]


def test_the_page_and_the_manifest_follow_the_count(two, tmp_path):
    count_members(two, tmp_path)

    second = tmp_path / "members" / two.members[1].name
    listed = outputs.read_manifest(second)["outputs"]
    assert (second / "dashboard.html").read_text() == "page of 2"
    assert listed["kpis.json"] == sha256_file(second / "kpis.json")
    assert listed["dashboard.html"] == sha256_file(second / "dashboard.html")


def test_counting_twice_changes_nothing(two, tmp_path):
    count_members(two, tmp_path)
    before = figures(two, tmp_path)

    count_members(two, tmp_path)

    assert figures(two, tmp_path) == before
    assert len(read_trials()) == 2
