"""The dbt project keeps the rules of dbt-project-evaluator, its unit tests pass, its SQL lints."""

from __future__ import annotations

import io
import json
import re
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pytest
import yaml

from lake_ingest.asset_map import COLUMNS, load_map
from lake_ingest.errors import MapError
from pipeline_kit import paths
from tests.integration.dbt_quality import (
    RULES,
    Project,
    Rule,
    build_with_all_tests,
    sql_exclusions,
    sql_findings,
)

pytestmark = pytest.mark.dbt


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_with_all_tests(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def project(artifacts: Path) -> Project:
    return Project(json.loads((artifacts / "manifest.json").read_text("utf-8")))


@pytest.mark.parametrize(
    "rule",
    [rule for rules in RULES.values() for rule in rules],
    ids=lambda rule: rule.__name__,
)
def test_no_finding(project: Project, rule: Rule) -> None:
    assert sorted(rule(project)) == []


def test_rules_look_at_something(project: Project) -> None:
    assert len(project.models) > 30
    assert len(project.sources) == 10
    assert {node["name"] for node in project.seeds.values()} == {"asset_map"}
    assert {node["name"] for node in project.exposures.values()} == {
        "daily_signal",
        "backfill_backtest",
        "ingest_history",
        "dashboard",
        "email",
    }


def test_every_unit_test_and_data_test_passes(project: Project, artifacts: Path) -> None:
    results = json.loads((artifacts / "run_results.json").read_text("utf-8"))["results"]
    status = {result["unique_id"]: result["status"] for result in results}

    assert {status[name] for name in project.unit_tests} == {"pass"}
    assert {status[name] for name in project.tests} == {"pass"}


A = "AAA,coin-a,AAAUSDT,AAA|kAAA,1000,coin,,2024-01-31,"


@pytest.mark.parametrize(
    ("lines", "found_by"),
    [
        ([A, "BBB,coin-a,AAAUSDT,AAA,1,coin,2024-02-01,,passed on"], ""),
        ([A, "BBB,,,,1,coin,,,", "CCC,,,,1,coin,,,two without any identity"], ""),
        ([A, "BBB,coin-a,,,1,coin,2024-01-31,,"], "one_owner_a_day"),
        ([A, "BBB,,AAAUSDT,,1,coin,,,"], "one_owner_a_day"),
        ([A, "BBB,,,BBB|kAAA,1,coin,,,"], "one_owner_a_day"),
        ([A, "AAA,coin-b,,,1,coin,2023-12-31,,"], "one_owner_a_day"),
        (["AAA,coin-a,,,0.5,coin,,,"], "within"),
        (["AAA,coin-a,,,1,coin,2024-02-01,2024-01-31,"], "within"),
        (["AAA,coin-a,,,1,share,,,"], "accepted_values"),
        (["AAA,coin-a,,,1,,,,"], "column_types"),
        (["AAA,coin-a,,,,coin,,,"], "column_types"),
        ([",coin-a,,,1,coin,,,"], "unique_key"),
    ],
)
def test_dbt_finds_in_the_map_what_stops_a_fetch(
    project: Project, lines: list[str], found_by: str, tmp_path: Path
) -> None:
    seed = tmp_path / "asset_map.csv"
    seed.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")

    assert found_in_the_seed(project, seed) == ({found_by} if found_by else set())
    with pytest.raises(MapError) if found_by else nullcontext():
        load_map(io.StringIO(seed.read_text()))


def found_in_the_seed(project: Project, seed: Path) -> set[str]:
    """Load a file as dbt would, and return the names of the tests it fails."""
    (node,) = project.seeds.values()
    types = node["config"]["column_types"]
    assert tuple(types) == COLUMNS
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    with duckdb.connect() as con:
        con.execute("attach ':memory:' as warehouse; create schema warehouse.seeds")
        con.execute(f"create table warehouse.seeds.asset_map ({columns})")
        try:
            con.execute(f"copy warehouse.seeds.asset_map from '{seed}' (format csv, header true)")
        except duckdb.ConstraintException:
            return {"column_types"}
        return {
            test["test_metadata"]["name"]
            for test in project.tests.values()
            if test["attached_node"] == node["unique_id"]
            and con.execute(test["compiled_code"]).fetchall()
        }


def test_the_lineage_of_the_front_page_leads_from_raw_funding_to_its_score(
    project: Project,
) -> None:
    page = (paths.dbt_project_dir() / "models" / "docs.md").read_text("utf-8")
    (drawn,) = re.findall(r"g_i=(%2Bstg\S+?)\)", page)
    names = [name.removeprefix("+") for name in unquote(drawn).split()]
    by_name = {node["name"]: node for node in project.models.values()}

    assert len(names) == len(set(names))
    reached = {name for name in names if name.startswith("stg_lake__funding")}
    for name in names[len(reached) :]:
        reads = {m.rsplit(".", 1)[1] for m in by_name[name]["depends_on"]["nodes"]}
        assert reads & reached, f"{name} hangs in the air"
        reached.add(name)
    assert names[-1] == "fct_features_daily"


def test_no_model_asks_the_clock_or_chance(project: Project) -> None:
    asks = re.compile(r"current_date|current_timestamp|\bnow\(|random\(|today\(|uuid\(", re.I)

    assert [m for m, node in project.models.items() if asks.search(node["compiled_code"])] == []


def test_every_staging_column_is_cast(project: Project) -> None:
    for model in project.models:
        if project.layer(model) == "staging":
            sql = project.models[model]["compiled_code"]
            renamed = sql[sql.index("renamed as") :]
            selected = re.compile(r"^ {4}(?: {4}|select )(?!-)(\S.*) as \w+,?$", re.MULTILINE)
            columns = selected.findall(renamed)
            assert len(columns) == len(project.models[model]["columns"]), model
            assert all("cast(" in column for column in columns), model


def test_contracted_columns_are_all_documented_ones(project: Project) -> None:
    features = project.models["model.majors_alts_monitor.fct_features_daily"]["columns"]

    assert sum(name.startswith("raw_") for name in features) == 21
    assert sum(name.startswith("z_") for name in features) == 21


def test_defaults_of_dbt_are_those_of_the_shipped_configuration() -> None:
    project = yaml.safe_load((paths.dbt_project_dir() / "dbt_project.yml").read_text("utf-8"))
    shipped = paths.project_root() / "pipelines" / "majors_alts_monitor" / "config.yaml"
    config = yaml.safe_load(shipped.read_text("utf-8"))
    universe, features = config["universe"], config["features"]

    assert project["vars"] == {
        "known_at": None,
        "vintage": features["vintage"],
        "zscore_days": features["zscore_days"],
        "staleness_days": features["staleness_days"],
        "exclude_assets": universe["exclude_assets"],
        "min_mcap_usd": universe["min_mcap_usd"],
        "min_volume_usd": universe["min_volume_usd"],
        "min_listing_days": universe["min_listing_days"],
        "lag_minutes_coingecko": features["publication_lag_minutes"]["coingecko"],
        "lag_minutes_default": features["publication_lag_minutes"]["default"],
        "force_slow_path": False,
    }


def test_sql_lints_with_few_exclusions() -> None:
    assert sql_findings() == []
    assert sql_exclusions() == ["structure.column_order", "structure.using"]
