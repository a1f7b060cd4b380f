"""What gate 1 found is kept per run and per day, and no repetition loses a word of it."""

import json
from datetime import date

import pytest

from lake_ingest.quality import gate_file, page, write_day, write_run

FINDING = {
    "expectation": "expect_column_values_to_be_between",
    "column": "close",
    "severity": "critical",
    "reason": "out of range",
    "rows": 1,
    "observed": "[-5.0]",
}
HELD = {"table": "fact_price", "reason": "out of range", "rows": 1}


def record(run="run", findings=(), held=(), warnings=(), rows=9, newest="2024-06-14"):
    table = {"rows": rows, "held_back": len(held), "findings": list(findings)}
    return {
        "run_id": run,
        "newest_day": newest,
        "tables": {"fact_price": table},
        "held_back": list(held),
        "warnings": list(warnings),
    }


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_run_that_is_resumed_keeps_the_warnings_of_its_first_half():
    write_run(record(warnings=["first"], held=[HELD], findings=[FINDING]))
    write_run(record(warnings=["second"], rows=0))

    found = json.loads(gate_file("run").read_text())

    assert found["warnings"] == ["first", "second"]
    assert found["held_back"] == [HELD]
    assert found["tables"]["fact_price"] == {"rows": 9, "held_back": 1, "findings": [FINDING]}


def test_a_day_unites_its_runs_and_another_day_is_not_its_business(home):
    write_run(record("a", warnings=["of a"], held=[HELD], findings=[FINDING]))
    write_run(record("b", warnings=["of b"]))
    write_run(record("c", warnings=["of the day before"], newest="2024-06-13"))

    found = json.loads(write_day(date(2024, 6, 14)).read_text())

    assert found["warnings"] == ["of a", "of b"]
    assert found["held_back"] == [HELD]
    assert "run_id" not in found


def test_a_run_that_brings_nothing_new_changes_no_byte_of_the_day(home):
    write_run(record("a", warnings=["of a"], held=[HELD], findings=[FINDING]))
    folder = write_day(date(2024, 6, 14)).parent
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    write_run(record("b", rows=3))
    write_day(date(2024, 6, 14))

    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert set(before) == {"gate1.json", "gate1.html"}


def test_a_day_without_a_run_has_findings_of_nothing():
    found = json.loads(write_day(date(2024, 6, 14)).read_text())

    assert found["tables"] == {}
    assert found["warnings"] == []


def test_the_page_shows_every_expectation_and_lets_no_text_act():
    html = page(record(findings=[FINDING | {"observed": "<script>"}], warnings=["<b>"]))

    assert html.count("<tr") == 1 + 7  # the heading and the suite of fact_price
    assert "<tr class='critical'><td>close</td><td>out of range</td>" in html
    assert "1 rows, such as &lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "http" not in html
