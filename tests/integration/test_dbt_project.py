"""The dbt project keeps the rules of dbt-project-evaluator, its unit tests pass, its SQL lints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

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
    assert {node["name"] for node in project.exposures.values()} == {
        "daily_signal",
        "backfill_backtest",
        "dashboard",
        "email",
    }


def test_every_unit_test_and_data_test_passes(project: Project, artifacts: Path) -> None:
    results = json.loads((artifacts / "run_results.json").read_text("utf-8"))["results"]
    status = {result["unique_id"]: result["status"] for result in results}

    assert {status[name] for name in project.unit_tests} == {"pass"}
    assert {status[name] for name in project.tests} == {"pass"}


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
