"""Who may import whom, and what a pure stage may not touch."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "pipelines"
OURS = {"pipeline_kit", "lake_ingest", "majors_alts_monitor", "legacy_monitor"}

MAY_IMPORT = {
    "pipeline_kit": {"pipeline_kit"},
    "lake_ingest": {"lake_ingest", "pipeline_kit"},
    "majors_alts_monitor": {"majors_alts_monitor", "pipeline_kit"},
    "legacy_monitor": {"legacy_monitor", "lake_ingest", "pipeline_kit"},
}

# A pure stage turns frames and frozen values into frames and frozen values.
PURE = [
    "features",
    "regime",
    "beta_neutral",
    "backtest",
    "metrics",
    "strategy",
    "types",
]
FORBIDDEN_IN_PURE = {
    "duckdb",
    "httpx",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "requests",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "time",
}
CLOCK_CALLS = {"now", "utcnow", "today"}


def modules():
    return sorted(SOURCE.rglob("*.py"))


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_package_imports_only_what_the_platform_allows(path):
    package = path.relative_to(SOURCE).parts[0]

    ours = {name.split(".")[0] for name in imported_names(path)} & OURS

    assert ours <= MAY_IMPORT[package]


def pure_modules():
    """Return the pure stages and whatever of our own they import, however deep."""
    todo = [f"majors_alts_monitor.{name}" for name in PURE]
    seen = {}
    while todo:
        name = todo.pop()
        path = SOURCE / (name.replace(".", "/") + ".py")
        if not path.is_file():
            path = path.with_suffix("") / "__init__.py"
        if name in seen or not path.is_file():
            continue
        seen[name] = path
        todo += [n for n in imported_names(path) if n.split(".")[0] == "majors_alts_monitor"]
    # Reading the YAML is the edge of config; the models in it are values.
    seen.pop("majors_alts_monitor.config", None)
    return seen


def test_every_pure_stage_exists():
    assert {f"majors_alts_monitor.{name}" for name in PURE} <= set(pure_modules())


@pytest.mark.parametrize("path", pure_modules().values(), ids=pure_modules().keys())
def test_a_pure_stage_touches_no_file_clock_environment_network_or_log(path):
    imported = {name.split(".")[0] for name in imported_names(path)}
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    opens = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"open", "print"}
    ]

    assert not imported & FORBIDDEN_IN_PURE
    assert not calls & CLOCK_CALLS
    assert not opens


def test_a_source_root_and_the_dbt_project_are_not_packages():
    assert not (SOURCE / "__init__.py").exists()
    assert not (ROOT / "dbt_project" / "__init__.py").exists()
    assert not (ROOT / "docker" / "__init__.py").exists()


def users_of(name):
    """Return the modules of ours that define, import or call ``name``."""
    found = {"defines": set(), "imports": set(), "calls": set()}
    for path in modules():
        module = str(path.relative_to(SOURCE).with_suffix(""))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                found["defines"].add(module)
            elif isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names}:
                found["imports"].add(module)
            elif isinstance(node, ast.Call) and name in (
                getattr(node.func, "id", ""),
                getattr(node.func, "attr", ""),
            ):
                found["calls"].add(module)
    return found


def test_one_function_decides_and_only_the_walk_asks_it():
    backtest = "majors_alts_monitor/backtest"

    assert users_of("decide") == {
        "defines": {f"{backtest}/decision"},
        "imports": {f"{backtest}/walk"},
        "calls": {f"{backtest}/walk"},
    }
    # Read back from a written state, a decision is not taken again.
    assert users_of("Decision")["calls"] == {f"{backtest}/decision", "majors_alts_monitor/state"}
