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
SAMPLE = ["SOL 2024-06-14 binance -5.0"]
HELD = {"table": "fact_price", "reason": "out of range", "rows": 1, "sample": SAMPLE}


def record(run="run", findings=(), held=(), warnings=(), rows=9, newest="2024-06-14"):
    table = {
        "rows": rows,
        "judged": rows,
        "held_back": len(held),
        "newest_day": newest,
        "measured": {"close": {"lowest": -5.0, "highest": 9.5, "missing": 0}},
        "findings": list(findings),
    }
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
    whole = record(held=[HELD], findings=[FINDING])["tables"]["fact_price"]
    assert found["tables"]["fact_price"] == whole


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

    overview, of_price = html.split("<h2 id='fact_price'>")
    assert "<td>fact_price</td><td>9</td><td>9</td><td>0</td><td>6 of 7</td>" in overview
    assert of_price.split("</table>")[0].count("<tr") == 1 + 7  # the heading and the suite
    assert "<tr class='critical'><td>close</td><td>out of range</td><td>above 0, at most" in html
    assert "<td>-5 to 9.5; 0 of 9 without a value</td>" in html
    assert "1 rows, such as &lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "http" not in html


def test_the_page_says_what_every_dataset_promises_and_which_rows_broke_it():
    html = page(record(held=[HELD]))

    assert "unit: USD per coin; key: asset_id, date; owner: lake" in html
    assert "binance (30 minutes), coinglass (30 minutes), coingecko (45 minutes)" in html
    assert "more than 1 days behind the last complete one, stale beyond 3" in html
    assert "<td>1</td><td>out of range</td><td>SOL 2024-06-14 binance -5.0</td>" in html
    assert "<td>price of a source against the median of the sources</td><td>3%</td>" in html


def test_a_record_of_an_earlier_version_is_shown_too():
    old = {"rows": 9, "held_back": 0, "findings": []}
    gate_file("old").parent.mkdir(parents=True)
    gate_file("old").write_text(json.dumps(record("old") | {"tables": {"fact_price": old}}))

    found = json.loads(write_day(date(2024, 6, 14)).read_text())

    assert found["tables"]["fact_price"]["judged"] == 0
    assert "not measured" in page(found)
