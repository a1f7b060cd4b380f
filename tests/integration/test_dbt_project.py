"""The dbt project keeps the rules of dbt-project-evaluator, its unit tests pass, its SQL lints.

The package itself needs a download, so its rules are restated here over ``manifest.json``. A rule
returns its findings; ``make quality`` prints how many things each rule looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from pipeline_kit import paths
from pipeline_kit.warehouse import build
from tests.fixtures.lakes import make_lake
from tests.reference.knowledge import table_files

pytestmark = pytest.mark.dbt

Node = dict[str, Any]
MAX_LEAF_CHILDREN: Final = 2
MAX_PARENTS: Final = 6
MAX_CHAINED_VIEWS: Final = 4
PREFIXES: Final = {
    "staging": ("stg_",),
    "intermediate": ("int_",),
    "marts": ("fct_", "dim_"),
}
UNIT: Final = re.compile(
    r"USD|fraction|percent|deviations|[Dd]ays?\b|UTC|hours|[Mm]inutes|[Nn]umber|[Hh]ow many|"
    r"[Ww]hether|No unit|rows\b|[Nn]ame|unit|`|coin,|Exchange|Vendor|Units|Hours|What the asset|"
    r"kind|first rule",
)


class Project:
    """The graph of a manifest: models, sources, exposures, tests, and who reads whom."""

    def __init__(self, manifest: Node) -> None:
        self.manifest = manifest
        nodes = manifest["nodes"]
        self.models = {k: n for k, n in nodes.items() if n["resource_type"] == "model"}
        self.tests = {k: n for k, n in nodes.items() if n["resource_type"] == "test"}
        self.sources: dict[str, Node] = manifest["sources"]
        self.exposures: dict[str, Node] = manifest["exposures"]
        self.unit_tests: dict[str, Node] = manifest["unit_tests"]
        self.parents: dict[str, set[str]] = {
            name: set(node["depends_on"]["nodes"])
            for name, node in {**self.models, **self.exposures}.items()
        }
        self.children: dict[str, set[str]] = defaultdict(set)
        for child, parents in self.parents.items():
            for parent in parents:
                self.children[parent].add(child)

    def layer(self, model: str) -> str:
        return str(self.models[model]["fqn"][1])

    def model_parents(self, name: str) -> set[str]:
        return self.parents[name] & self.models.keys()

    def source_parents(self, name: str) -> set[str]:
        return self.parents[name] & self.sources.keys()

    def model_children(self, name: str) -> set[str]:
        return self.children[name] & self.models.keys()

    def is_view(self, name: str) -> bool:
        return bool(self.models[name]["config"]["materialized"] == "view")


Rule = Callable[[Project], Iterable[str]]


# ------------------------------------------------------------------ modelling


def only_staging_reads_sources(p: Project) -> Iterable[str]:
    return (m for m in p.models if p.source_parents(m) and p.layer(m) != "staging")


def no_model_joins_a_source_with_a_model(p: Project) -> Iterable[str]:
    return (m for m in p.models if p.source_parents(m) and p.model_parents(m))


def no_model_joins_sources(p: Project) -> Iterable[str]:
    return (m for m in p.models if len(p.source_parents(m)) > 1)


def each_source_feeds_exactly_one_model(p: Project) -> Iterable[str]:
    return (s for s in p.sources if len(p.model_children(s)) != 1)


def sources_are_declared_once(p: Project) -> Iterable[str]:
    relations = [source["relation_name"] for source in p.sources.values()]
    return sorted({name for name in relations if relations.count(name) > 1})


def every_model_has_a_parent(p: Project) -> Iterable[str]:
    return (m for m in p.models if not p.parents[m])


def staging_reads_no_model(p: Project) -> Iterable[str]:
    return (m for m in p.models if p.layer(m) == "staging" and p.model_parents(m))


def no_model_feeds_many_leaves(p: Project) -> Iterable[str]:
    for model in p.models:
        leaves = [child for child in p.model_children(model) if not p.children[child]]
        if len(leaves) > MAX_LEAF_CHILDREN:
            yield f"{model}: {len(leaves)} leaves"


def no_model_joins_many(p: Project) -> Iterable[str]:
    return (f"{m}: {len(p.parents[m])}" for m in p.models if len(p.parents[m]) > MAX_PARENTS)


def no_upstream_concept_is_rejoined(p: Project) -> Iterable[str]:
    """Find a model read together with its only other reader: a step that needs no model."""
    for child in p.models:
        for between in p.model_parents(child):
            if p.children[between] == {child}:
                for shared in p.parents[between] & p.parents[child]:
                    yield f"{shared} reaches {child} directly and through {between}"


def no_reference_is_hard_coded(p: Project) -> Iterable[str]:
    literal = re.compile(r"\b(?:from|join)\s+(\"[^\"]+\"|\w+)\s*\.\s*\w+", re.IGNORECASE)
    for model, node in p.models.items():
        sql = re.sub(r"\{[{%#].*?[}%#]\}", "", node["raw_code"], flags=re.DOTALL)
        sql = re.sub(r"--.*|distinct from", "", sql)
        if literal.search(sql):
            yield model


# ------------------------------------------------------------------ testing


def every_model_has_a_key_test(p: Project) -> Iterable[str]:
    tested = {
        test["attached_node"]
        for test in p.tests.values()
        if test["test_metadata"]["name"] == "unique_key"
    }
    return p.models.keys() - tested


def every_model_but_plain_staging_has_a_unit_test(p: Project) -> Iterable[str]:
    tested = {name for test in p.unit_tests.values() for name in test["depends_on"]["nodes"]}
    return (m for m in p.models.keys() - tested if p.layer(m) != "staging")


def every_fact_source_says_how_fresh_it_must_be(p: Project) -> Iterable[str]:
    for name, source in p.sources.items():
        freshness = source["freshness"]
        is_fresh = freshness and freshness["error_after"]["count"] and source["loaded_at_field"]
        # A dimension carries no day of its own.
        if not is_fresh and not source["name"].startswith("dim_"):
            yield name


# ------------------------------------------------------------------ documentation


def everything_is_described(p: Project) -> Iterable[str]:
    described = {**p.models, **p.sources, **p.exposures}
    return (name for name, node in described.items() if len(node["description"]) < 15)


def every_column_is_described_with_unit_or_time(p: Project) -> Iterable[str]:
    for name, node in {**p.models, **p.sources}.items():
        for column in node["columns"].values():
            if not UNIT.search(column["description"]):
                yield f"{name}.{column['name']}: {column['description']!r}"


def every_unit_test_says_what_it_shows(p: Project) -> Iterable[str]:
    return (name for name, test in p.unit_tests.items() if test["name"].count("_") < 2)


# ------------------------------------------------------------------ structure


def names_say_the_layer(p: Project) -> Iterable[str]:
    return (m for m, node in p.models.items() if not node["name"].startswith(PREFIXES[p.layer(m)]))


def models_and_their_yaml_share_a_folder(p: Project) -> Iterable[str]:
    for model, node in p.models.items():
        described_in = Path(node["patch_path"].split("://")[1])
        if described_in.parent != Path(node["original_file_path"]).parent:
            yield model


def yaml_of_sources_is_in_staging(p: Project) -> Iterable[str]:
    return (
        name
        for name, source in p.sources.items()
        if Path(source["original_file_path"]).parent.name != "staging"
    )


# ------------------------------------------------------------------ performance


def no_long_chain_of_views(p: Project) -> Iterable[str]:
    def length(model: str) -> int:
        if not p.is_view(model):
            return 0
        return 1 + max((length(parent) for parent in p.model_parents(model)), default=0)

    return (m for m in p.models if length(m) > MAX_CHAINED_VIEWS)


def exposures_read_tables(p: Project) -> Iterable[str]:
    for exposure in p.exposures:
        for parent in p.parents[exposure]:
            if parent not in p.models or p.is_view(parent):
                yield f"{exposure} reads {parent}"


# ------------------------------------------------------------------ governance


def marts_are_public_with_an_enforced_contract(p: Project) -> Iterable[str]:
    for model, node in p.models.items():
        is_public = node["access"] == "public"
        is_bound = node["contract"]["enforced"] and all(
            column["data_type"] for column in node["columns"].values()
        )
        if (p.layer(model) == "marts") != is_public or is_public != bool(is_bound):
            yield model


def exposures_read_public_models(p: Project) -> Iterable[str]:
    for exposure in p.exposures:
        for parent in p.parents[exposure] & p.models.keys():
            if p.models[parent]["access"] != "public":
                yield f"{exposure} reads {parent}"


def everything_has_an_owner(p: Project) -> Iterable[str]:
    yield from (m for m, node in p.models.items() if not node["group"])
    yield from (e for e, node in p.exposures.items() if not node["owner"]["email"])


RULES: Final[dict[str, list[Rule]]] = {
    "modelling": [
        only_staging_reads_sources,
        no_model_joins_a_source_with_a_model,
        no_model_joins_sources,
        each_source_feeds_exactly_one_model,
        sources_are_declared_once,
        every_model_has_a_parent,
        staging_reads_no_model,
        no_model_feeds_many_leaves,
        no_model_joins_many,
        no_upstream_concept_is_rejoined,
        no_reference_is_hard_coded,
    ],
    "testing": [
        every_model_has_a_key_test,
        every_model_but_plain_staging_has_a_unit_test,
        every_fact_source_says_how_fresh_it_must_be,
    ],
    "documentation": [
        everything_is_described,
        every_column_is_described_with_unit_or_time,
        every_unit_test_says_what_it_shows,
    ],
    "structure": [
        names_say_the_layer,
        models_and_their_yaml_share_a_folder,
        yaml_of_sources_is_in_staging,
    ],
    "performance": [no_long_chain_of_views, exposures_read_tables],
    "governance": [
        marts_are_public_with_an_enforced_contract,
        exposures_read_public_models,
        everything_has_an_owner,
    ],
}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return dbt's artefacts of a build that ran every model, data test and unit test."""
    folder = tmp_path_factory.mktemp("artifacts")
    lake = make_lake(folder / "lake", 1, n_assets=4, n_days=10)
    build(
        table_files(lake),
        {},
        folder / "warehouse.duckdb",
        with_unit_tests=True,
        target_dir=folder / "target",
    )
    return folder / "target"


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
            columns = re.findall(r"^ {8}(?!-)(\S.*) as \w+,?$", renamed, re.MULTILINE)
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


def test_sql_lints() -> None:
    models = paths.dbt_project_dir() / "models"
    result = subprocess.run(
        [sys.executable, "-m", "sqlfluff", "lint", str(models)],
        cwd=paths.project_root(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout
