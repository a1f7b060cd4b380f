"""Run dbt's compiled models again over other rows, without starting dbt.

Data flow: ``lake files -> origin -> lake views of a variant -> compiled models -> marts``. One dbt
build leaves the SQL of every model in its ``manifest.json``; a variant of the lake then costs only
the queries. The models are read as they are, so what is proved about the replay holds for the
build. A ``Replay`` lives in memory, and its ``export`` writes the marts to a file; ``rebuild`` goes
from file to file, and takes over from the build what its variant leaves as it is.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb

from pipeline_kit.atomic import fsync_folder
from pipeline_kit.contract import TABLES
from pipeline_kit.errors import WarehouseError
from pipeline_kit.warehouse import TABLE_LIST, create_lake_views

MARTS: Final = "marts"


@dataclass(frozen=True, slots=True)
class Model:
    """One compiled dbt model."""

    name: str
    schema: str
    sql: str
    is_view: bool
    reads: frozenset[str]
    """Names of the models it selects from."""

    def wrapped(self, template: str) -> Model:
        """Return the model with its query put into ``template`` at ``{model}``."""
        return replace(self, sql=template.replace("{model}", f"({self.sql})"))


def read_models(target_dir: Path) -> tuple[Model, ...]:
    """Return the models of a build in an order in which each follows what it reads.

    Parameters
    ----------
    target_dir : Path
        The folder given to ``warehouse.build``, holding its ``manifest.json``.

    Raises
    ------
    WarehouseError
        If the folder has no manifest, or one without compiled models.
    """
    try:
        manifest = json.loads((target_dir / "manifest.json").read_text("utf-8"))
    except OSError as e:
        raise WarehouseError(f"{target_dir}: no manifest.json; build the warehouse again") from e
    nodes = {
        name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"
    }
    order = TopologicalSorter(
        {name: sorted(set(nodes[name]["depends_on"]["nodes"]) & nodes.keys()) for name in nodes}
    )
    return tuple(_model(nodes[name], nodes) for name in order.static_order())


def _model(node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> Model:
    sql, config = node.get("compiled_code"), node["config"]
    if not isinstance(sql, str) or not isinstance(config, dict):
        raise WarehouseError(f"{node['name']}: was not compiled; build the warehouse again")
    return Model(
        name=str(node["name"]),
        schema=str(node["schema"]),
        sql=sql,
        is_view=config.get("materialized") == "view",
        reads=frozenset(
            str(nodes[name]["name"]) for name in node["depends_on"]["nodes"] if name in nodes
        ),
    )


def needed_for(models: Sequence[Model], wanted: Collection[str]) -> list[Model]:
    """Return the models that ``wanted`` ones read, directly or not, and themselves, in order."""
    needed = set(wanted)
    for model in reversed(models):
        if model.name in needed:
            needed |= model.reads
    return [model for model in models if model.name in needed]


def rebuild(
    models: Sequence[Model],
    tables: Mapping[str, Sequence[Path]],
    built: Path,
    changed: Mapping[str, str],
    destination: Path,
) -> Path:
    """Write the marts that follow from a warehouse when some of its tables had other rows.

    Parameters
    ----------
    models : sequence of Model
        In dependency order, no more than are wanted.
    tables : mapping of table name to Parquet files
        The lake that ``built`` was built from.
    built : Path
        The warehouse; only read.
    changed : mapping of model to query
        What takes the place of a model, over ``{model}``, its table in ``built``. Every other
        model runs again.
    destination : Path
        A DuckDB file with the marts and nothing else; it appears when it is finished.

    Raises
    ------
    WarehouseError
        Naming the model whose query failed.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{destination.name}.", suffix=".build", dir=destination.parent
    ) as folder:
        database, finished = Path(folder) / "work.duckdb", Path(folder) / "finished.duckdb"
        create_lake_views(database, tables)
        with duckdb.connect(config=_limits(Path(folder))) as connection:
            run = connection.execute
            run("set TimeZone = 'UTC'; set enable_progress_bar = false")
            run(f"attach '{database}' as warehouse; attach '{built}' as built (read_only)")
            run(f"attach '{finished}' as finished; create schema finished.{MARTS}; use warehouse")
            for schema in sorted({model.schema for model in models}):
                run(f"create schema {schema}")
            for model in models:
                _create(connection, model, changed.get(model.name))
                if model.schema == MARTS:
                    run(
                        f"create table finished.{MARTS}.{model.name} as "
                        f"from warehouse.{MARTS}.{model.name}"
                    )
        finished.replace(destination)
        fsync_folder(destination.parent)
    return destination


def _create(connection: duckdb.DuckDBPyConnection, model: Model, query: str | None) -> None:
    is_view = model.is_view or query is not None
    table = f"built.{model.schema}.{model.name}"
    sql = model.sql if query is None else query.replace("{model}", table)
    kind = "view" if is_view else "table"
    try:
        connection.execute(f"create {kind} warehouse.{model.schema}.{model.name} as {sql}")
    except duckdb.Error as e:
        raise WarehouseError(f"replay of {model.name}: {str(e).splitlines()[0]}") from e


def _limits(folder: Path) -> dict[str, str | bool | int | float | list[str]]:
    """Return the settings of ``dbt_project/profiles.yml``."""
    return {
        "threads": os.environ.get("MAM_DUCKDB_THREADS", "2"),
        "memory_limit": os.environ.get("MAM_DUCKDB_MEMORY", "4GB"),
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": False,
        "perfect_ht_threshold": 0,
    }


class Replay:
    """A DuckDB in memory: the lake's rows in ``origin``, one variant's models in ``warehouse``.

    ``origin`` keeps the rows in an order of its own, by hash, so a model whose result depends on
    the order of its input differs from the build.
    """

    def __init__(self, tables: Mapping[str, Sequence[Path]], *, threads: int = 1) -> None:
        self.connection = duckdb.connect(
            ":memory:", config={"threads": threads, "preserve_insertion_order": False}
        )
        self.connection.execute(
            "set TimeZone = 'UTC'; set enable_progress_bar = false; attach ':memory:' as origin"
        )
        self.connection.execute("attach ':memory:' as warehouse")
        with tempfile.TemporaryDirectory(prefix="replay.") as folder:
            views = Path(folder) / "sealed_views.duckdb"
            create_lake_views(views, tables)
            self.connection.execute(f"attach '{views}' as sealed (read_only)")
            for table in TABLES.values():
                # A file's own types differ: a column without any value has none.
                columns = ", ".join(
                    f"cast({c.name} as {c.kind}) as {c.name}" for c in table.columns
                )
                self.connection.execute(
                    f"create table origin.main.{table.name} as select {columns} "  # noqa: S608
                    f"from sealed.lake.{table.name} order by hash({', '.join(table.key)})"
                )
            self.connection.execute(
                f"create table origin.main.{TABLE_LIST} as select * from sealed.lake.{TABLE_LIST}"  # noqa: S608
            )
            self.connection.execute("detach sealed")

    def __enter__(self) -> Self:
        """Return the replay itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the database."""
        self.connection.close()

    def build(self, models: Sequence[Model], variant: Mapping[str, str]) -> None:
        """Build ``warehouse`` from a variant of the lake, in place of the one before.

        Parameters
        ----------
        models : sequence of Model
            In dependency order.
        variant : mapping of lake table to query
            Over ``origin.main.<table>``; a table left out is taken as it is.

        Raises
        ------
        WarehouseError
            Naming the model whose query failed.
        """
        run = self.connection.execute
        run("detach warehouse")
        run("attach ':memory:' as warehouse")
        run("use warehouse")
        run("create schema warehouse.lake")
        for schema in sorted({model.schema for model in models}):
            run(f"create schema warehouse.{schema}")
        for table in (*TABLES, TABLE_LIST):
            query = variant.get(table, f"select * from origin.main.{table}")  # noqa: S608
            run(f"create view warehouse.lake.{table} as {query}")
        for model in models:
            _create(self.connection, model, None)
        run("use memory")

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend the connection with the last ``build`` as its database, to whoever reads marts."""
        self.connection.execute("use warehouse")
        try:
            yield self.connection
        finally:
            self.connection.execute("use memory")

    def attach(self, database: Path, alias: str) -> None:
        """Attach a DuckDB file for reading."""
        self.connection.execute(f"attach '{database}' as {alias} (read_only)")

    def detach(self, alias: str) -> None:
        """Let go of a file that was attached."""
        self.connection.execute(f"detach {alias}")

    def export(self, file: Path) -> None:
        """Write the marts of the last ``build`` to a new DuckDB file."""
        self.connection.execute(f"attach '{file}' as exported; create schema exported.{MARTS}")
        for mart in self.marts():
            self.connection.execute(
                f"create table exported.{MARTS}.{mart} as select * from warehouse.{MARTS}.{mart}"  # noqa: S608
            )
        self.connection.execute("detach exported")

    def marts(self) -> list[str]:
        """Return the marts of the last ``build``, alphabetically."""
        found = self.connection.execute(
            "select table_name from information_schema.tables "
            "where table_catalog = 'warehouse' and table_schema = $1 order by 1",
            [MARTS],
        ).fetchall()
        return [row[0] for row in found]
