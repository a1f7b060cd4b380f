"""A day is held by one run at a time, and yesterday's decision is taken again without blocking."""

import json
from datetime import date

import pytest

from majors_alts_monitor import replay
from majors_alts_monitor.daily import (
    day_folder,
    day_lock,
    gate_warnings,
    replay_before,
    take_gate1,
)
from majors_alts_monitor.errors import DayBusyError, ReproductionError
from majors_alts_monitor.replay import Replayed

DAY, BEFORE = date(2024, 7, 19), date(2024, 7, 18)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def yesterday(home):
    manifest = day_folder(BEFORE) / "run" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")


def answer(monkeypatch, **fields):
    nothing = dict.fromkeys(("broken", "changed", "arrivals", "dimensions", "config_keys"), ())
    found = Replayed(BEFORE, **nothing | fields, is_code_changed=False)
    monkeypatch.setattr(replay, "replay_day", lambda _day: found)


def test_a_day_that_is_held_is_refused_to_a_second_run(home):
    with (
        day_lock(DAY),
        pytest.raises(DayBusyError, match="another run works on this day"),
        day_lock(DAY),
    ):
        pass
    with day_lock(DAY), day_lock(BEFORE):
        pass


def test_without_a_run_of_the_day_before_there_is_nothing_to_replay(home):
    assert replay_before(str(DAY))["warnings"] == []
    assert gate_warnings(DAY) == []


def test_a_score_that_moved_with_new_rows_is_noted_but_no_warning(home, yesterday, monkeypatch):
    answer(monkeypatch, changed=("score",), arrivals=("fact_price SOL ...",))

    found = replay_before(str(DAY))

    assert found["warnings"] == []
    assert "fact_price SOL" in found["text"]
    kept = json.loads((day_folder(DAY) / "dq" / "replay.json").read_text())
    assert kept == found


def test_another_regime_or_a_broken_replay_is_a_warning_of_the_report(home, yesterday, monkeypatch):
    answer(monkeypatch, broken=("score",), changed=("regime", "score"))

    replay_before(str(DAY))

    assert gate_warnings(DAY) == [
        "replay of 2024-07-18: score not as published; see dq/replay.json",
        "replay of 2024-07-18: today's knowledge gives another regime; see dq/replay.json",
    ]


def test_a_replay_that_is_not_possible_holds_nothing_back(home, yesterday, monkeypatch):
    def refuse(_day):
        raise ReproductionError("the inputs are gone")

    monkeypatch.setattr(replay, "replay_day", refuse)

    assert replay_before(str(DAY))["warnings"] == [
        "replay of 2024-07-18 is not possible: the inputs are gone"
    ]


def test_what_gate_1_found_stands_beside_gate_2_and_among_the_warnings(home):
    source = home / "data" / "dq" / f"dt={DAY}"
    source.mkdir(parents=True)
    held = {"table": "fact_price", "reason": "not finite", "rows": 2}
    found = {"held_back": [held], "warnings": ["fact_volume: stale"]}
    (source / "gate1.json").write_text(json.dumps(found))
    (source / "gate1.html").write_text("<p>page</p>")

    said = take_gate1(DAY)

    assert said == [
        "gate 1: fact_price: 2 rows held back: not finite",
        "gate 1: fact_volume: stale",
    ]
    assert (day_folder(DAY) / "dq" / "gate1.html").read_text() == "<p>page</p>"
    assert take_gate1(BEFORE) == []
