"""Write the data dictionary from the dbt project: ``python -m pipeline_kit.data_dictionary``.

Flow: ``models, seeds: **/*.yml, docs.md -> Table -> docs/data_dictionary.md``. Descriptions are
written once, beside models and seeds; the unit is read from them, and a column without one is an
error here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline_kit.atomic import write_text
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.contract import TABLES
from pipeline_kit.errors import DataProblem
from pipeline_kit.paths import dbt_project_dir, project_root

PAGE: Final = "docs/data_dictionary.md"
LAYERS: Final = {
    "lake": "What goes in: a Parquet file or folder of files per table. Types are those required.",
    "seeds": "Reviewed tables kept as files in `dbt_project/seeds`; schema `seeds`.",
    "marts": "What others may read, by contract. Schema `marts` of a run's warehouse.",
    "intermediate": "Versions and rules on the way; schema `intermediate`.",
    "staging": "One view per lake table: renamed and cast, nothing else; schema `staging`.",
}
UNITS: Final = (
    "whether: true or false",
    "percentage points: percentage points",
    "percent: percent",
    "standard deviations: standard deviations",
    "per 8 hours: fraction of notional per 8 hours",
    "8-hour funding: fraction of notional per 8 hours",
    "of notional: fraction of notional",
    "of the notional: fraction of notional",
    "fraction a day: fraction a day",
    "fraction: fraction",
    "usd: USD",
    "unit of the lake table: the lake table's",
    "between 0 and 1: 0 to 1",
    "minutes: minutes",
    "number of: number",
    "how many: number",
    "units of: number",
    "utc instant: UTC instant",
    "utc day: UTC day",
    "newest day: UTC day",
    "row day: UTC day",
    "hours: hours",
    "days: days",
    "no unit: text",
    "name: text",
    "vendor: text",
    "kind: text",
    "what the asset is: text",
    "exchange: text",
    "ticker: text",
    "`: text",
)
"""Words of a description, and the unit they state; the first that is found counts."""
BY_TYPE: Final = {
    "boolean": "true or false",
    "date": "UTC day",
    "timestamp": "UTC instant",
    "varchar": "text",
}
HEAD: Final = """\
# Data dictionary

Written by `python -m pipeline_kit.data_dictionary` (`make dictionary`) from the descriptions beside
the dbt models; do not edit. The same texts, with lineage, are in the dbt docs page of every run.

**Time.** A row dated `t` describes the UTC day [t 00:00, t+1 00:00). "As known for the day" is the
newest version with `known_at` before `t+2 00:00`, and never changes later. `read_from` and
`read_to` are the row days that read a version.

**Null** is unknown; nothing is filled forward. **Units** are fractions unless said otherwise;
funding is positive when longs pay.
"""

_DOC_BLOCK: Final = re.compile(r"{% docs (\w+) %}\s*(.*?)\s*{% enddocs %}", re.DOTALL)
_DOC_CALL: Final = re.compile(r"""{{ doc\(['"](\w+)['"]\) }}""")


class UndocumentedError(DataProblem):
    """A model or column does not say what it is."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as its model describes it."""

    name: str
    data_type: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One model or lake table."""

    name: str
    layer: str
    meaning: str
    columns: tuple[Column, ...]


def main(argv: Sequence[str]) -> None:
    """Write the page again."""
    Parser(prog="python -m pipeline_kit.data_dictionary", description=__doc__).parse_args(argv)
    page = project_root() / PAGE
    write_text(page, dictionary(dbt_project_dir()))
    sys.stdout.write(f"{page}\n")


def dictionary(project: Path) -> str:
    """Return the page of every model of a dbt project, marts first, by name.

    Raises
    ------
    UndocumentedError
        If a model has no description, or a column states no unit.
    """
    tables = sorted(read_models(project), key=lambda table: table.name)
    parts = [HEAD]
    for layer, meaning in LAYERS.items():
        parts.append(f"\n## {layer.capitalize()}\n\n{meaning}\n")
        parts += [_section(table) for table in tables if table.layer == layer]
    return "".join(parts)


def read_models(project: Path) -> Iterator[Table]:
    """Yield what every properties file of a dbt project says about models, sources and seeds."""
    blocks = {
        name: text
        for file in sorted((project / "models").rglob("*.md"))
        for name, text in _DOC_BLOCK.findall(file.read_text("utf-8"))
    }
    folders = (project / "models", project / "seeds")
    for file in (file for folder in folders for file in sorted(folder.rglob("*.yml"))):
        said = yaml.safe_load(file.read_text("utf-8"))
        for source in said.get("sources", ()):
            for table in source["tables"]:
                yield _table(table, source["name"], blocks)
        for model in [*said.get("models", ()), *said.get("seeds", ())]:
            yield _table(model, file.parent.name, blocks)


def unit_of(name: str, data_type: str, meaning: str) -> str:
    """Return the unit that a column's type, name or description states; empty for none.

    Examples
    --------
    >>> unit_of("raw_oi_risk", "double", "Growth over 3 days, between 0 and 1.")
    '0 to 1'
    >>> unit_of("known_at", "timestamp", "When we knew it.")
    'UTC instant'
    >>> unit_of("close_usd", "double", "Price at the end of the day.")
    'USD'
    """
    if data_type in BY_TYPE:
        return BY_TYPE[data_type]
    if name.endswith("_usd"):
        return "USD"
    if name.startswith("count_"):
        return "number"
    pairs = (line.split(": ") for line in UNITS)
    # What follows "Raw:" is the vendor's field, in the vendor's unit.
    ours = meaning.split("Raw:")[0].lower()
    return next((unit for words, unit in pairs if words in ours), "")


def _table(model: Mapping[str, Any], layer: str, blocks: Mapping[str, str]) -> Table:
    name, meaning = model["name"], _text(model.get("description", ""), blocks)
    if not meaning:
        raise UndocumentedError(f"{name}: no description; write one beside the model")
    columns = tuple(_column(name, column, blocks) for column in model.get("columns", ()))
    return Table(name, layer, meaning, columns)


def _column(table: str, column: Mapping[str, Any], blocks: Mapping[str, str]) -> Column:
    name = column["name"]
    kinds = {c.name: c.kind.value.lower() for c in TABLES[table].columns} if table in TABLES else {}
    data_type = str(column.get("data_type", kinds.get(name, "")))
    meaning = _text(column.get("description", ""), blocks)
    unit = unit_of(name, data_type, meaning)
    if not unit:
        raise UndocumentedError(f"{table}.{name}: states no unit; name it in the description")
    return Column(name, data_type, unit, meaning)


def _text(description: str, blocks: Mapping[str, str]) -> str:
    """Return a description on one line, its references to doc blocks resolved."""
    resolved = _DOC_CALL.sub(lambda match: blocks[match[1]], description)
    return " ".join(resolved.split())


def _section(table: Table) -> str:
    lines = [f"\n### {table.name}\n", table.meaning, ""]
    if table.columns:
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for column in table.columns:
        meaning = column.meaning.replace("|", "\\|")
        lines.append(f"| `{column.name}` | {column.data_type} | {column.unit} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(run_command(main))
