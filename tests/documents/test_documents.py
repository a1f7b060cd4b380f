"""Documents say what is there: their commands parse, their links resolve, their names exist."""

import ast
import functools
import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from pipeline_kit import cli
from pipeline_kit.errors import UsageProblem

ROOT = Path(__file__).parents[2]
OURS = ("pipeline_kit", "lake_ingest", "majors_alts_monitor", "legacy_monitor")
SKIPPED = {"data", "output", "reports", "artifacts", "dbt_project"}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in SKIPPED or part[0] == "." for part in path.relative_to(ROOT).parts)
)
CODE = re.compile(r"^(?:    |)\$ (?P<line>.+)$|`(?P<span>[^`\n]+)`|^    (?P<bare>make .+)$", re.M)
LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)#:\s]+)(?:#[^)]*)?\)")
IN_REPOSITORY = re.compile(
    r"(?:docs|pipelines|dags|tests|dbt_project|expectations|docker|benchmarks|requirements)"
    r"/[\w./-]*\w\.(?:md|py|sql|ya?ml|json|csv|lock|in)"
)
STANDS_FOR_A_NUMBER = {"N", "P"}
MADE_BY_THE_TUTORIAL = ("lake_ingest.fetch_kraken",)
"""Run by test_tutorial.py on the copy that has it."""


class ParsedError(Exception):
    """The command line was understood; the command itself is not run."""


def commands():
    """Return (document, command) of every make verb and module call in the documents."""
    found = []
    for document in DOCUMENTS:
        for match in CODE.finditer(document.read_text("utf-8")):
            text = match["line"] or match["span"] or match["bare"]
            text = re.sub(r"<[^>]+>", "X", text)
            text = text.split("#")[0].split("|")[0].split("&&")[0].strip()
            if re.match(r"(?:LAKE=\S+ )?make [a-z]", text) or re.search(r"python -m [a-z]", text):
                found.append((document, text))
    return found


def modules_called():
    return [
        pytest.param(text, id=f"{document.relative_to(ROOT)}: {text}")
        for document, text in commands()
        if re.search(rf"python -m (?:{'|'.join(OURS)})\b", text)
        and not any(name in text for name in MADE_BY_THE_TUTORIAL)
        and not re.search(r"\.[A-Z]+\b|\{|\.\.\.$", text.split("--")[0])
    ]


def verbs_called():
    return [
        pytest.param(text, id=f"{document.relative_to(ROOT)}: {text}")
        for document, text in commands()
        if "make " in text
    ]


def test_there_is_something_to_check():
    assert len(modules_called()) > 10
    assert len(verbs_called()) > 10


@pytest.mark.parametrize("text", verbs_called())
def test_a_verb_and_its_variables_are_in_the_makefile(text):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    words = [word for word in shlex.split(text.replace("...", "")) if word != "make"]

    for word in words:
        if "=" in word:
            assert f"$({word.split('=')[0]}" in makefile, word
        else:
            assert re.search(rf"^{re.escape(word)}:", makefile, re.M), word


def understands(parser, arguments):
    """Parse as far as the documents say; a placeholder that is left out is not an error."""
    for word in arguments:
        if word.startswith("--"):
            assert word.split("=")[0] in parser._option_string_actions, f"{parser.prog} {word}"
    try:
        parse(parser, arguments)
    except UsageProblem as e:
        if "required" not in str(e):
            raise
    raise ParsedError


parse = cli.Parser.parse_args


@pytest.mark.parametrize("text", modules_called())
def test_a_module_is_there_and_takes_the_flags(text, monkeypatch):
    name, *arguments = shlex.split(text.split("python -m ")[1].replace("...", ""))
    arguments = [word.strip("[]") for word in arguments]
    arguments = ["1" if word in STANDS_FOR_A_NUMBER else word for word in arguments]
    module = importlib.import_module(name)
    if not hasattr(module, "main"):
        assert importlib.util.find_spec(f"{name}.__main__"), text
        module = importlib.import_module(f"{name}.__main__")
    if not hasattr(module, "main"):
        assert not arguments
        return
    monkeypatch.setattr(cli.Parser, "parse_args", understands)

    with pytest.raises(ParsedError):
        module.main(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(document):
    text = document.read_text("utf-8")
    created_by_the_tutorial = set(re.findall(r"^`([^`]+)`:$", text, re.M))
    links = [document.parent / target for target in LINK.findall(text)]
    paths = set(IN_REPOSITORY.findall(text)) - created_by_the_tutorial

    assert [str(path) for path in links if not path.exists()] == []
    assert sorted(p for p in paths if not (ROOT / p).exists() and "X" not in p) == []


def test_a_document_that_code_names_exists():
    named = {
        name
        for folder, kinds in {
            "pipelines": ("py", "yaml"),
            "dags": ("py",),
            "dbt_project": ("sql",),
        }.items()
        for kind in kinds
        for path in (ROOT / folder).rglob(f"*.{kind}")
        for name in re.findall(r"docs/[a-z0-9_/.-]+\.md", path.read_text("utf-8"))
    }

    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def rows_of(document):
    """Return the cells of every table row of a document."""
    lines = document.read_text("utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]


METHODOLOGY = [row for row in rows_of(ROOT / "docs" / "methodology.md") if len(row) == 4]


@functools.cache
def names_of_tests():
    """Return the names of the test functions of every test file."""
    return {
        path.name: {
            node.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        for path in (ROOT / "tests").rglob("test_*.py")
    }


@functools.cache
def dbt_names():
    """Return the names of all models and of all their unit tests."""
    models = {path.stem for path in (ROOT / "dbt_project" / "models").rglob("*.sql")}
    unit_tests = {
        test["name"]
        for path in (ROOT / "dbt_project" / "models").rglob("*.yml")
        for test in yaml.safe_load(path.read_text("utf-8")).get("unit_tests", ())
    }
    return models, unit_tests


def is_function(name):
    """Say whether a name is a dbt model or an attribute of one of our modules."""
    if "." not in name:
        return name in dbt_names()[0]
    module, attribute = name.rsplit(".", 1)
    return hasattr(importlib.import_module(module), attribute)


def is_test(name):
    """Say whether a name is a dbt unit test, a test file or a test in one."""
    if name.startswith("dbt:"):
        return name.removeprefix("dbt:") in dbt_names()[1]
    file, _, test = name.partition("::")
    return file in names_of_tests() and (not test or test in names_of_tests()[file])


def test_the_methodology_covers_every_stage():
    assert len(METHODOLOGY) > 45


def test_every_formula_names_a_function_that_exists_and_a_test_that_holds_it():
    for quantity, _, functions, tests in METHODOLOGY:
        if quantity == "quantity" or set(quantity) == {"-"}:
            continue
        named, held = re.findall(r"`([^`]+)`", functions), re.findall(r"`([^`]+)`", tests)
        assert named, quantity
        assert held, quantity
        assert [name for name in named if not is_function(name)] == [], quantity
        assert [name for name in held if not is_test(name)] == [], quantity


def test_every_module_of_the_ingestion_is_placed_in_the_architecture():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    modules = {path.stem for path in (ROOT / "pipelines" / "lake_ingest").glob("[a-z]*.py")}
    named = set(re.findall(r"`(\w+)`", text))

    assert modules - named - {"errors"} == set()
