"""What a DAG file may be: a timetable, nothing more."""

import ast
import json
import os
import runpy
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.sdk.definitions._internal.templater import ds_filter
from jinja2 import Environment, StrictUndefined

from pipeline_kit.calendar import parse_day
from pipeline_kit.errors import UsageProblem

ROOT = Path(__file__).parents[2]
DAGS = {"daily_signal", "backfill_backtest", "ingest_history", "maintenance"}
OURS = {"pipeline_kit", "lake_ingest", "majors_alts_monitor", "legacy_monitor"}
HEAVY = {"pandas", "numpy", "duckdb", "great_expectations", "httpx", "pydantic", "os", "subprocess"}
FILES = sorted((ROOT / "dags").glob("*.py"))

DESCRIBE = """
import json, sys, time
from airflow.models.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
begin = time.perf_counter()
bag = DagBag(sys.argv[1])
seconds = time.perf_counter() - begin
again = DagBag(sys.argv[1])
described = {
    name: {
        "tasks": dag.task_ids,
        "params": sorted(dag.params),
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "doc": dag.doc_md,
        "timeouts": [t.execution_timeout is not None for t in dag.tasks],
        "alerts": [bool(t.on_failure_callback) for t in dag.tasks],
        "serialized": DagSerialization.to_dict(dag),
        "again": DagSerialization.to_dict(again.dags[name]),
    }
    for name, dag in bag.dags.items()
}
print("RESULT" + json.dumps(
    {"dags": described, "errors": bag.import_errors, "seconds": seconds}, default=str
))
"""


def top_level_imports(path):
    """Return the modules a file imports while it is parsed, outside of functions."""
    todo, found = [ast.parse(path.read_text("utf-8"))], set()
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        todo += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_dag_file_imports_nothing_of_ours_or_heavy_at_parse(path):
    assert not top_level_imports(path) & (OURS | HEAVY)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_dag_file_reads_no_clock(path):
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert not calls & {"now", "today", "utcnow"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_dag_names_a_runbook_that_exists(path):
    named = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    runbook = f"docs/runbooks/{path.stem}_failed.md"

    assert runbook in named
    assert (ROOT / runbook).is_file()


def test_a_daily_run_without_a_day_fails_at_once_in_words():
    template = runpy.run_path(str(ROOT / "dags" / "daily_signal.py"))["ASOF"]
    # As Airflow renders a task's arguments, which are no page.
    environment = Environment(undefined=StrictUndefined)  # noqa: S701
    environment.filters["ds"] = ds_filter
    rendered = environment.from_string(template).render

    assert rendered(params={"asof": "2024-07-19"}) == "2024-07-19"
    interval = {"data_interval_start": datetime(2024, 7, 19, 0, 50, tzinfo=UTC)}
    assert rendered(params={"asof": None}, **interval) == "2024-07-19"
    with pytest.raises(UsageProblem, match="'None' is not a day such as"):
        parse_day(rendered(params={"asof": None}), "asof")


def describe(home):
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DESCRIBE, str(ROOT / "dags")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("RESULT"))


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    return describe(tmp_path_factory.mktemp("airflow"))


@pytest.mark.airflow
def test_the_dag_ids_are_exactly_the_contract_s(parsed):
    assert parsed["errors"] == {}
    assert set(parsed["dags"]) == DAGS


@pytest.mark.airflow
def test_parsing_stays_within_its_budget(parsed):
    assert parsed["seconds"] < 20


@pytest.mark.airflow
def test_every_task_has_a_timeout_and_an_alert(parsed):
    for dag in parsed["dags"].values():
        assert all(dag["timeouts"])
        assert all(dag["alerts"])


@pytest.mark.airflow
def test_no_dag_catches_up_and_the_lake_has_one_writer(parsed):
    assert not any(dag["catchup"] for dag in parsed["dags"].values())
    assert parsed["dags"]["daily_signal"]["max_active_runs"] == 1
    assert parsed["dags"]["ingest_history"]["max_active_runs"] == 1


@pytest.mark.airflow
def test_the_backfill_has_the_params_of_the_contract(parsed):
    wanted = "start end config overrides sweep known_at max_runs email_to dry_run"

    assert parsed["dags"]["backfill_backtest"]["params"] == sorted(wanted.split())


@pytest.mark.airflow
def test_parsing_twice_serialises_to_the_same(parsed):
    for dag in parsed["dags"].values():
        assert dag["again"] == dag["serialized"]
