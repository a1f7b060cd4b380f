"""The contracts, the suites and the dbt source say the same."""

import json

import pyarrow as pa
import pytest
import yaml

from lake_ingest import datasets
from lake_ingest.datasets import Contracts, load_contracts, parquet_schema, suite
from pipeline_kit.contract import TABLES
from pipeline_kit.paths import dbt_project_dir, suites_dir


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_suite_is_the_generated_one(name):
    committed = json.loads((suites_dir() / f"lake_{name}.json").read_text("utf-8"))

    assert committed == suite(TABLES[name])


def test_writing_the_suites_again_changes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets, "suites_dir", lambda: tmp_path)

    datasets.main([])

    for path in tmp_path.iterdir():
        assert path.read_bytes() == (suites_dir() / path.name).read_bytes()
    assert len(capsys.readouterr().out.splitlines()) == len(TABLES)


def test_the_dbt_source_has_exactly_the_contracts_tables_and_columns():
    files = (dbt_project_dir() / "models" / "staging").glob("*sources.yml")
    sources = [s for f in files for s in yaml.safe_load(f.read_text("utf-8"))["sources"]]

    (lake,) = [source for source in sources if source["name"] == "lake"]

    declared = {t["name"]: [c["name"] for c in t["columns"]] for t in lake["tables"]}
    assert declared.pop("dim_table") == ["table_name"]  # which tables the lake has; not one of them
    generated = {
        t["name"]: [c["name"] for c in t["columns"]] for t in datasets.dbt_source()["tables"]
    }
    assert declared == generated


def test_the_schema_requires_key_and_knowledge():
    schema = parquet_schema(TABLES["fact_funding_settlement"])

    assert [f.name for f in schema if not f.nullable] == [
        "asset_id",
        "settled_at",
        "known_at",
        "known_basis",
    ]
    assert schema.field("known_at").type == pa.timestamp("us")


@pytest.mark.parametrize(
    ("source", "minutes"),
    [("coingecko", 45), ("CoinGecko_demo", 45), ("binance", 30), (None, 30)],
)
def test_the_lag_is_that_of_the_vendor(source, minutes):
    assert load_contracts().lag_minutes(source) == minutes


def test_sources_are_ranked_and_strangers_come_last():
    price = load_contracts().datasets["fact_price"]

    assert [price.rank(s) for s in ("binance", "coinglass", "coingecko", "x", None)] == [
        0,
        1,
        2,
        3,
        3,
    ]


def test_a_dataset_without_a_table_is_refused():
    content = load_contracts().model_dump()
    del content["datasets"]["fact_price"]

    with pytest.raises(ValueError, match="datasets must be"):
        Contracts.model_validate(content)
