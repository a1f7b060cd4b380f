"""Held rows are kept with their reasons and shown on request."""

import pandas as pd
import pytest

from lake_ingest import quarantine
from lake_ingest.errors import QuarantineError
from pipeline_kit.cli import run_command


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))


def held(**changed: object) -> pd.DataFrame:
    row = {
        "table": "fact_volume",
        "asset_id": "SOL",
        "date": pd.Timestamp("2024-01-01").date(),
        "value": 5.0,
        "source": "coingecko",
        "reason": "out of range",
        "fetched_at": pd.Timestamp("2024-01-02 00:50"),
    }
    return pd.DataFrame([row | changed], columns=quarantine.SCHEMA.names)


def test_rows_of_all_kinds_share_a_file_and_come_back():
    settled = pd.Timestamp("2024-01-01 08:00")
    rows = pd.concat(
        [
            held(table="fact_funding_settlement", date=None, settled_at=settled),
            held(),
            held(table="dim_asset", date=None, value=None, reason="unknown kind of X"),
        ]
    )

    quarantine.write("run-1", rows)

    back = quarantine.read("run-1")
    assert back["table"].tolist() == ["dim_asset", "fact_funding_settlement", "fact_volume"]
    assert back["settled_at"].tolist()[1] == settled
    assert quarantine.list_runs() == ["run-1"]


def test_nothing_held_writes_no_file():
    assert quarantine.write("run-1", held().iloc[:0]) is None
    assert quarantine.list_runs() == []


def test_the_command_lists_and_shows(capsys):
    quarantine.write("run-1", held())

    assert run_command(quarantine.main, []) == 0
    assert capsys.readouterr().out == "run-1  fact_volume  1 rows  out of range\n"
    assert run_command(quarantine.main, ["show", "run-1"]) == 0
    assert "SOL" in capsys.readouterr().out
    assert run_command(quarantine.main, ["show", "run-2"]) == 1
    assert run_command(quarantine.main, ["release", "run-1"]) == 2
    assert "no quarantined rows of run run-2; newest runs: run-1" in capsys.readouterr().err


def test_a_damaged_file_is_named():
    path = quarantine.write("run-1", held())
    path.write_bytes(b"not parquet")

    with pytest.raises(QuarantineError, match=r"run-1.parquet: not readable"):
        quarantine.read("run-1")
