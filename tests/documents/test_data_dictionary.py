"""The data dictionary is what the models say, whole and fresh."""

from pathlib import Path

import pytest

from pipeline_kit.data_dictionary import (
    LAYERS,
    PAGE,
    UndocumentedError,
    dictionary,
    read_models,
    unit_of,
)
from pipeline_kit.paths import dbt_project_dir, project_root, seeds_dir

DESCRIBED = """
models:
  - name: fct_thing
    description: "A thing. {{ doc('grain') }}"
    columns:
      - {name: size_usd, data_type: double, description: "Size | in USD."}
      - {name: speed, data_type: double, description: "SPEED"}
"""


def project_of(folder: Path, speed: str) -> Path:
    marts = folder / "models" / "marts"
    marts.mkdir(parents=True)
    (marts / "docs.md").write_text("{% docs grain %}One row\na day.{% enddocs %}", "utf-8")
    (marts / "fct_thing.yml").write_text(DESCRIBED.replace("SPEED", speed), "utf-8")
    return folder


def test_the_page_is_fresh():
    page = (project_root() / PAGE).read_text("utf-8")

    assert page == dictionary(dbt_project_dir()), "run make dictionary"


def test_every_model_seed_and_lake_table_of_the_project_has_its_section():
    models = {path.stem for path in (dbt_project_dir() / "models").rglob("*.sql")}
    seeds = {path.stem for path in seeds_dir().glob("*.csv")}
    tables = list(read_models(dbt_project_dir()))

    assert {table.name for table in tables if table.layer != "lake"} == models | seeds
    assert {table.layer for table in tables} == set(LAYERS)


def test_a_description_is_one_line_with_its_blocks_and_a_bar_does_not_split_the_row(tmp_path):
    text = dictionary(project_of(tmp_path, "Speed, fraction a day."))

    assert "### fct_thing\n\nA thing. One row a day.\n" in text
    assert "| `size_usd` | double | USD | Size \\| in USD. |" in text
    assert "| `speed` | double | fraction a day | Speed, fraction a day. |" in text


def test_a_column_without_a_unit_is_refused_by_name(tmp_path):
    with pytest.raises(UndocumentedError, match=r"fct_thing\.speed: states no unit"):
        dictionary(project_of(tmp_path, "Speed."))


def test_the_more_telling_unit_counts():
    assert unit_of("rate", "", "Mean per 8 hours over the UTC day, fraction.") == (
        "fraction of notional per 8 hours"
    )
