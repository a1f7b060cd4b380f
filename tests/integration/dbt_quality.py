"""The rules of dbt-project-evaluator over ``manifest.json``; ``make quality`` prints the counts.

The package itself needs a download, so its rules are restated here; a rule returns its findings.
``python -m tests.integration.dbt_quality`` builds a small lake with every test, applies the rules,
lints the SQL, and exits 1 when anything was found.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from pipeline_kit import paths
from pipeline_kit.warehouse import build
from tests.fixtures.lakes import make_lake
from tests.reference.knowledge import table_files

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
        self.seeds = {k: n for k, n in nodes.items() if n["resource_type"] == "seed"}
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


def every_seed_has_a_reader(p: Project) -> Iterable[str]:
    return (s for s in p.seeds if not p.children[s])


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
    return {**p.models, **p.seeds}.keys() - tested


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
    described = {**p.models, **p.seeds, **p.sources, **p.exposures}
    return (name for name, node in described.items() if len(node["description"]) < 15)


def every_column_is_described_with_unit_or_time(p: Project) -> Iterable[str]:
    for name, node in {**p.models, **p.seeds, **p.sources}.items():
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
            if parent not in p.seeds and (parent not in p.models or p.is_view(parent)):
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
    yield from (m for m, node in {**p.models, **p.seeds}.items() if not node["group"])
    yield from (e for e, node in p.exposures.items() if not node["owner"]["email"])


RULES: Final[dict[str, list[Rule]]] = {
    "modelling": [
        only_staging_reads_sources,
        no_model_joins_a_source_with_a_model,
        no_model_joins_sources,
        each_source_feeds_exactly_one_model,
        sources_are_declared_once,
        every_seed_has_a_reader,
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


def build_with_all_tests(folder: Path) -> Path:
    """Return dbt's artefacts of a build that ran every model, data test and unit test."""
    lake = make_lake(folder / "lake", 1, n_assets=4, n_days=10)
    build(
        table_files(lake),
        {},
        folder / "warehouse.duckdb",
        with_unit_tests=True,
        target_dir=folder / "target",
    )
    return folder / "target"


def findings(project: Project) -> list[str]:
    """Return what the rules of the evaluator found, each with the rule's name."""
    rules = [rule for group in RULES.values() for rule in group]
    return [f"{rule.__name__}: {finding}" for rule in rules for finding in sorted(rule(project))]


def sql_findings() -> list[str]:
    """Return what sqlfluff found in the models, one line each."""
    models = paths.dbt_project_dir() / "models"
    result = subprocess.run(
        [sys.executable, "-m", "sqlfluff", "lint", "--format", "json", str(models)],
        cwd=paths.project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        f"{file['filepath']}:{v['start_line_no']} {v['code']} {v['description']}"
        for file in json.loads(result.stdout)
        for v in file["violations"]
    ]


def sql_exclusions() -> list[str]:
    """Return the rules that sqlfluff is told to leave out, in its settings or in a model."""
    project = paths.dbt_project_dir()
    settings = configparser.ConfigParser(inline_comment_prefixes="#", allow_no_value=True)
    settings.read(project / ".sqlfluff", "utf-8")
    rules = settings["sqlfluff"]["exclude_rules"].replace("\n", "").split(",")
    in_models = [
        f.name for f in sorted(project.rglob("*.sql")) if "-- noqa" in f.read_text("utf-8")
    ]
    return [rule.strip() for rule in rules if rule.strip()] + in_models


def main() -> int:
    """Print the counts; return 1 when there is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        target = build_with_all_tests(Path(folder))
        project = Project(json.loads((target / "manifest.json").read_text("utf-8")))
        n_nodes = len(json.loads((target / "run_results.json").read_text("utf-8"))["results"])
    documented = {**project.models, **project.seeds, **project.sources}
    columns = [c for node in documented.values() for c in node["columns"].values()]
    found, in_sql, excluded = findings(project), sql_findings(), sql_exclusions()
    n_rules = sum(map(len, RULES.values()))
    lines = [
        f"dbt: {len(project.models)} models, {len(project.seeds)} seeds, "
        f"{len(project.sources)} sources, "
        f"{len(project.exposures)} exposures; {n_nodes} nodes built and passed",
        f"columns: {sum(bool(c['description']) for c in columns)} of {len(columns)} described",
        f"tests: {len(project.tests)} data tests, {len(project.unit_tests)} unit tests, all passed",
        f"evaluator: {n_rules} rules, {len(found)} findings",
        f"sqlfluff: {len(in_sql)} findings, {len(excluded)} exclusions ({', '.join(excluded)})",
        *found,
        *in_sql,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(found or in_sql))


if __name__ == "__main__":
    sys.exit(main())
