"""Gate 1 names the rows that break a table's suite, and how badly."""

import json

import pandas as pd
import pytest

from lake_ingest.gate import held_back, inspect
from pipeline_kit.contract import TABLES
from pipeline_kit.errors import SuiteError
from pipeline_kit.expectations import Finding, Severity, judge, worst

SETTLEMENTS = TABLES["fact_funding_settlement"]


def settlement(**changed: object) -> dict[str, object]:
    return {
        "asset_id": "SOL",
        "settled_at": pd.Timestamp("2024-01-01 16:00"),
        "funding_rate": 1e-4,
        "interval_hours": 8.0,
        "mark_price": None,
        "fetched_at": pd.Timestamp("2024-01-01 16:10"),
        "given_at": pd.NaT,
        **changed,
    }


def rows(*changes: dict[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame([settlement(**change) for change in changes])
    return frame.assign(row_id=range(10, 10 + len(frame)))


def test_every_fault_of_a_settlement_is_named():
    frame = rows(
        {},
        {"funding_rate": float("nan")},
        {"funding_rate": float("inf")},
        {"funding_rate": 0.2},
        {"asset_id": "sol"},
        {"interval_hours": 0.0},
        {"interval_hours": None},
        {"mark_price": -1.0},
        {"settled_at": pd.Timestamp("2024-01-01 16:11")},
        {"funding_rate": 0.04},
    )

    findings = inspect(SETTLEMENTS, frame)
    held = held_back(SETTLEMENTS, frame, findings)

    assert dict(zip(held["row_id"], held["reason"], strict=True)) == {
        11: "not finite",
        12: "out of range",
        13: "out of range",
        14: "not an asset_id",
        15: "impossible interval",
        16: "no interval",
        17: "impossible mark price",
        18: "still forming",
    }
    assert [f.rows for f in findings if f.severity is Severity.WARNING] == [(2, 3, 9)]
    assert worst(findings) is Severity.CRITICAL


def test_rows_that_came_with_their_knowledge_are_not_forming():
    future = {
        "settled_at": pd.Timestamp("2030-01-01"),
        "given_at": pd.Timestamp("2030-01-01 00:30"),
    }

    assert inspect(SETTLEMENTS, rows(future)) == []


def test_nothing_to_judge_is_nothing_found():
    assert inspect(SETTLEMENTS, rows({}).iloc[:0]) == []


def test_a_finding_about_the_whole_table_holds_back_all_of_it():
    frame = rows({}, {})
    whole = Finding("expect_x", "", Severity.CRITICAL, "too few rows", (), "2")

    assert held_back(SETTLEMENTS, frame, [whole])["reason"].tolist() == ["too few rows"] * 2


def test_a_metric_that_fails_is_an_error_not_a_finding(tmp_path):
    suite = tmp_path / "suite.json"
    expectation = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "nowhere"},
        "severity": "warning",
        "meta": {"reason": "null"},
    }
    suite.write_text(json.dumps({"name": "s", "expectations": [expectation]}))

    with pytest.raises(SuiteError, match=r"suite.json: .* of nowhere was not computed"):
        judge(rows({}), suite)
    with pytest.raises(SuiteError, match="not a readable suite"):
        judge(rows({}), tmp_path / "absent.json")
