"""One contract per dataset; the Parquet schema, the gate's suite and the dbt source come from it.

Columns, types and keys are ``pipeline_kit.contract``; units, ranges, sources, lags, freshness and
owners are ``datasets.yaml``. ``python -m lake_ingest.datasets`` writes the suite files again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lake_ingest.errors import SettingsError
from pipeline_kit import atomic
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.contract import ASSET_ID_PATTERN, KINDS, TABLES, Kind, Table
from pipeline_kit.manifest import readable_json
from pipeline_kit.paths import suites_dir

DAYS_SINCE_END: Final = "days_since_end"
"""Column the gate adds: whole days from the end of what a row describes to its fetch."""

_ARROW: Final = {
    Kind.TEXT: pa.string(),
    Kind.DAY: pa.date32(),
    Kind.INSTANT: pa.timestamp("us"),
    Kind.NUMBER: pa.float64(),
    Kind.FLAG: pa.bool_(),
}


class _Frozen(BaseModel):
    """Immutable, and a misspelt key is an error rather than a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Frozen):
    """Where a value must lie, in the dataset's unit; null = no bound."""

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def kwargs(self) -> dict[str, Any]:
        """Return the bounds in the words of Great Expectations."""
        if self.above is not None:
            return {"min_value": self.above, "max_value": self.at_most, "strict_min": True}
        return {"min_value": self.at_least, "max_value": self.at_most}


class Dataset(_Frozen):
    """What one table of the lake promises beyond its columns."""

    description: str
    unit: str
    owner: str
    """Who acts when the contract is broken."""

    sources: tuple[str, ...] = ()
    """Vendors, best first; a worse one never supersedes a better one."""

    is_one_source: bool = False
    """Whether one asset's history may come from one source only."""

    value: Range | None = None
    """Outside of it the row is held back."""

    usual: Range | None = None
    """Outside of it the report warns."""

    is_rate: bool = False
    """Whether the value is a funding rate, whose unit vendors disagree about."""

    level_factor: float | None = Field(default=None, gt=1)
    """Largest change against the median of the days before that needs no explanation."""

    warn_after_days: int | None = None
    error_after_days: int | None = None
    """Age of the newest day, counted from the last complete one."""

    def rank(self, source: str | None) -> int:
        """Return 0 for the best source; one that is not listed comes after all of them."""
        return self.sources.index(source) if source in self.sources else len(self.sources)

    def age_word(self, days: int) -> str:
        """Return "late" or "stale" for a newest day that is so many days behind, else nothing."""
        if self.error_after_days is not None and days > self.error_after_days:
            return "stale"
        return "late" if self.warn_after_days is not None and days > self.warn_after_days else ""


class Quarantine(_Frozen):
    """How much may be held back before nothing is sealed at all."""

    budget_share: float = Field(ge=0, le=1)
    core_assets: tuple[str, ...]


class Agreement(_Frozen):
    """How far vendors may differ from each other, and a level from its past."""

    price: float = Field(gt=0)
    funding: float = Field(gt=0)
    funding_settled_hours: int = Field(ge=0)
    unit_factor: float = Field(gt=1)
    unit_min_values: int = Field(ge=1)
    unit_least_rate: float = Field(ge=0)
    level_days: int = Field(ge=1)
    level_min_days: int = Field(ge=1)


class Contracts(_Frozen):
    """Everything of datasets.yaml."""

    publication_lag_minutes: Mapping[str, int]
    quarantine: Quarantine
    agreement: Agreement
    datasets: Mapping[str, Dataset]

    @model_validator(mode="after")
    def _covers_the_contract(self) -> Contracts:
        if set(self.datasets) != set(TABLES):
            raise ValueError(f"datasets must be {sorted(TABLES)}, was {sorted(self.datasets)}")
        if "default" not in self.publication_lag_minutes:
            raise ValueError("publication_lag_minutes needs a default")
        return self

    def lag_minutes(self, source: str | None) -> int:
        """Return the publication lag of a source, by how its name starts."""
        for vendor, minutes in self.publication_lag_minutes.items():
            if source and source.lower().startswith(vendor):
                return minutes
        return self.publication_lag_minutes["default"]


@lru_cache(maxsize=1)
def load_contracts() -> Contracts:
    """Return datasets.yaml, checked.

    Raises
    ------
    SettingsError
        If the file is wrong.
    """
    text = resources.files("lake_ingest").joinpath("datasets.yaml").read_text("utf-8")
    try:
        return Contracts.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as e:
        raise SettingsError(f"lake_ingest/datasets.yaml: {e}") from e


def parquet_schema(table: Table) -> pa.Schema:
    """Return the schema of the table's files in our lake.

    Examples
    --------
    >>> parquet_schema(TABLES["fact_price"]).names
    ['asset_id', 'date', 'close', 'source', 'known_at', 'known_basis']
    """
    must_be_there = {*table.key, "known_at", "known_basis"}
    return pa.schema(
        [
            pa.field(c.name, _ARROW[c.kind], nullable=c.name not in must_be_there)
            for c in table.columns
        ]
    )


def suite(table: Table) -> dict[str, Any]:
    """Return the Great Expectations suite of gate 1 for the table."""
    return {
        "name": f"lake_{table.name}",
        "meta": {"gate": 1, "owner": load_contracts().datasets[table.name].owner},
        "expectations": list(_expectations(table, load_contracts().datasets[table.name])),
    }


def dbt_source() -> dict[str, Any]:
    """Return the dbt source ``lake`` with its tables, columns, types and freshness."""
    contracts = load_contracts()
    return {
        "name": "lake",
        "tables": [
            {
                "name": name,
                "description": contracts.datasets[name].description,
                "columns": [{"name": c.name, "data_type": c.kind.value} for c in table.columns],
            }
            for name, table in TABLES.items()
        ],
    }


def main(argv: Sequence[str]) -> None:
    """Write the suite of every table again."""
    Parser(prog="python -m lake_ingest.datasets", description=main.__doc__).parse_args(argv)
    for table in TABLES.values():
        path = suites_dir() / f"lake_{table.name}.json"
        atomic.write_text(path, readable_json(suite(table)))
        sys.stdout.write(f"{path}\n")


def _expectations(table: Table, dataset: Dataset) -> Iterator[dict[str, Any]]:
    for column in table.key:
        yield _expect("values_to_not_be_null", column, f"null {column}")
    yield _expect(
        "values_to_match_regex",
        "asset_id",
        "not an asset_id",
        regex=f"^{ASSET_ID_PATTERN}\\Z",
    )
    if table.value and dataset.value:
        yield _expect("values_to_not_be_null", table.value, "not finite")
        yield _expect("values_to_be_between", table.value, "out of range", **dataset.value.kwargs())
        yield _expect(
            "values_to_be_between", DAYS_SINCE_END, "still forming", min_value=0, max_value=None
        )
    if table.value and dataset.usual:
        yield _expect(
            "values_to_be_between",
            table.value,
            "unusual value",
            "warning",
            **dataset.usual.kwargs(),
        )
    yield from _special_expectations(table)


def _special_expectations(table: Table) -> Iterator[dict[str, Any]]:
    if table.name == "fact_funding_settlement":
        yield _expect("values_to_not_be_null", "interval_hours", "no interval")
        yield _expect(
            "values_to_be_between",
            "interval_hours",
            "impossible interval",
            **Range(above=0, at_most=24).kwargs(),
        )
        yield _expect(
            "values_to_be_between",
            "mark_price",
            "impossible mark price",
            **Range(above=0, at_most=1e8).kwargs(),
        )
    if table.name == "dim_asset":
        yield _expect("values_to_be_in_set", "kind", "unknown kind", value_set=list(KINDS))
    if table.name == "dim_instrument":
        yield _expect("values_to_not_be_null", "listed_on", "no listing day", "warning")
        yield _expect(
            "values_to_be_between",
            "multiplier",
            "impossible multiplier",
            **Range(above=0, at_most=1e9).kwargs(),
        )


def _expect(
    what: str, column: str, reason: str, severity: str = "critical", **kwargs: Any
) -> dict[str, Any]:
    return {
        "type": f"expect_column_{what}",
        "kwargs": {"column": column, **kwargs},
        "severity": severity,
        "meta": {"reason": reason},
    }


if __name__ == "__main__":
    sys.exit(run_command(main))
