"""Build a run's own DuckDB file from sealed lake files, document it, publish it.

Data flow: ``lake files -> views in schema lake -> dbt build -> destination -> current.duckdb``.
DuckDB has one writer, so every run builds a file of its own and only a finished one is renamed
into place: ``docs/adr/0003-build-one-warehouse-file-per-input.md``.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline_kit import paths
from pipeline_kit.atomic import fsync_folder, write_text
from pipeline_kit.contract import TABLES, Column, Table
from pipeline_kit.errors import WarehouseError
from pipeline_kit.manifest import canonical_json

DATABASE: Final = "warehouse.duckdb"
"""What ``dbt_project/profiles.yml`` calls the file, in the folder dbt is started in."""

TABLE_LIST: Final = "dim_table"
"""View of schema ``lake`` that names the tables the lake has, were they empty."""


def build(
    tables: Mapping[str, Sequence[Path]],
    variables: Mapping[str, object],
    destination: Path,
    *,
    with_tests: bool = True,
    with_unit_tests: bool = False,
    target_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> Path:
    """Build the warehouse of one run and return ``destination``.

    Parameters
    ----------
    tables : mapping of table name to Parquet files
        The sealed snapshot. Files are only read. A table of contract.md section 3 that is optional
        and absent, or has no files, is built empty; names that are not lake tables are ignored.
    variables : mapping
        dbt variables, see ``dbt_project/dbt_project.yml``; what is left out has its default there.
    destination : Path
        The DuckDB file, replaced by rename when the build has succeeded, untouched otherwise.
    with_tests : bool
        Run the data tests too: what they stop must not be published.
    with_unit_tests : bool
        Run the unit tests of the models too. They say nothing about the lake; for `make test`.
    target_dir : Path, optional
        Folder that receives ``manifest.json`` and ``run_results.json``, also after a failure.
    cache_dir : Path, optional
        Folder for dbt's parse cache, shared between builds; saves about two seconds.

    Raises
    ------
    WarehouseError
        Naming the table, column, model or test at fault, in one line.
    """
    kinds = {"test": with_tests, "unit_test": with_unit_tests}
    excluded = [kind for kind, is_wanted in kinds.items() if not is_wanted]
    destination = destination.resolve()
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{destination.name}.", suffix=".build", dir=destination.parent
    ) as folder:
        workspace = Path(folder)
        database = workspace / DATABASE
        create_lake_views(database, tables)
        try:
            with _parse_cache(cache_dir, workspace / "target"):
                _run_dbt(workspace, variables, excluded)
        finally:
            if target_dir is not None:
                _keep_artifacts(workspace / "target", target_dir.resolve())
        database.replace(destination)
        fsync_folder(destination.parent)
    return destination


def publish(built: Path, asof: date, current: Path) -> bool:
    """Put a copy of ``built`` in place of ``current``, unless that is of a later day.

    Publishers take turns on a lock; readers see the old file or the new one. ``built`` is left as
    it is.

    Returns
    -------
    bool
        Whether ``current`` is now this build.
    """
    current = current.resolve()
    current.parent.mkdir(parents=True, exist_ok=True)
    with _locked(current.with_name(f".{current.name}.lock")):
        published = published_asof(current)
        if published is not None and published > asof:
            return False
        with tempfile.TemporaryDirectory(
            prefix=f".{current.name}.", suffix=".publish", dir=current.parent
        ) as folder:
            copy = Path(folder) / current.name
            shutil.copyfile(built, copy)
            with duckdb.connect(str(copy)) as connection:
                connection.execute("create or replace table main.published (date date)")
                connection.execute("insert into main.published values (?)", [asof])
            with copy.open("rb") as f:
                os.fsync(f.fileno())
            copy.replace(current)
        fsync_folder(current.parent)
    return True


def published_asof(current: Path) -> date | None:
    """Return the day ``current`` was published for; None where there is no readable warehouse."""
    if not current.is_file():
        return None
    try:
        with duckdb.connect(str(current), read_only=True) as connection:
            row = connection.execute("select max(date) from main.published").fetchone()
    except duckdb.Error:
        return None
    return row[0] if row else None


def generate_docs(built: Path, target_dir: Path, destination: Path) -> Path:
    """Write the dbt docs of ``built`` as one self-contained page and return its path.

    The page is dbt's own; manifest and catalog are put into it as ``dbt docs generate --static``
    does, but without times, ids and folders of this run, so that the same build gives the same
    bytes, and without starting dbt a second time.

    Parameters
    ----------
    built : Path
        The DuckDB file.
    target_dir : Path
        The folder given to ``build``, holding its ``manifest.json``.
    destination : Path
        The HTML file.
    """
    manifest = _without_run_details(json.loads((target_dir / "manifest.json").read_text("utf-8")))
    page = _docs_template().read_text("utf-8")
    for placeholder, content in (
        ('"MANIFEST.JSON INLINE DATA"', manifest),
        ('"CATALOG.JSON INLINE DATA"', _catalog(built, manifest)),
    ):
        # A description that holds "</script>" would otherwise end the page's script.
        page = page.replace(placeholder, canonical_json(content).replace("</", "<\\/"))
    write_text(destination, page)
    return destination


def create_lake_views(database: Path, tables: Mapping[str, Sequence[Path]]) -> None:
    """Create schema ``lake``: one view per lake table, over exactly the files given."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("create schema lake")
        for table in TABLES.values():
            files = tables.get(table.name, ())
            if not files and table.is_required:
                raise WarehouseError(f"{table.name}: no file; the lake must have this table")
            try:
                connection.execute(_lake_view(connection, table, files))
            except duckdb.Error as e:
                raise WarehouseError(f"{table.name}: {_first_line(str(e))}") from e
        given = ", ".join(f"'{name}'" for name in TABLES if tables.get(name))
        connection.execute(
            f"create view lake.{TABLE_LIST} as select unnest([{given}]) as table_name"
        )


def _lake_view(connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path]) -> str:
    if not files:
        columns = ", ".join(map(_null, table.columns))
        return f"create view lake.{table.name} as select {columns} where false"

    paths_in_sql = ", ".join(_quoted(file) for file in files)
    scan = f"read_parquet([{paths_in_sql}], union_by_name = true, hive_partitioning = false)"
    present = {row[0] for row in connection.execute(f"describe select * from {scan}").fetchall()}  # noqa: S608
    if missing := sorted(c.name for c in table.columns if c.is_required and c.name not in present):
        raise WarehouseError(f"{table.name}: no column {', '.join(missing)}")
    columns = ", ".join(f'"{c.name}"' if c.name in present else _null(c) for c in table.columns)
    return f"create view lake.{table.name} as select {columns} from {scan}"  # noqa: S608


def _null(column: Column) -> str:
    return f"cast(null as {column.kind.value}) as {column.name}"


def _quoted(file: Path) -> str:
    """Return a path as a SQL literal that DuckDB does not read as a pattern."""
    text = "".join(f"[{c}]" if c in "*?[" else c for c in str(file.resolve()))
    return "'" + text.replace("'", "''") + "'"


def _run_dbt(workspace: Path, variables: Mapping[str, object], excluded: Sequence[str]) -> None:
    project = paths.dbt_project_dir()
    command = [
        *(sys.executable, "-W", "ignore::RuntimeWarning", "-m", "dbt.cli.main"),
        *("--quiet", "--no-use-colors", "--log-level-file", "none"),
        # Not with --fail-fast: dbt 1.11 then waits for ever when the last node ends too soon.
        "build",
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--vars", json.dumps(dict(variables), default=str, sort_keys=True)),
        *(flag for kind in excluded for flag in ("--exclude-resource-type", kind)),
    ]
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("DBT_")}
    settings = {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_TARGET_PATH": str(workspace / "target"),
        "DBT_LOG_PATH": str(workspace / "logs"),
    }
    result = subprocess.run(
        command,
        env=inherited | settings,
        cwd=workspace,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise WarehouseError(_failure(workspace / "target", result.stdout + result.stderr))


def _failure(target: Path, output: str) -> str:
    """Return the first failing node by name and its message in one line."""
    run_results = target / "run_results.json"
    if run_results.is_file():
        results = json.loads(run_results.read_text("utf-8"))["results"]
        for result in sorted(results, key=itemgetter("unique_id")):
            if result["status"] in {"error", "fail", "runtime error"}:
                node = ".".join(result["unique_id"].split(".")[::2][:2])
                return f"dbt build: {node}: {' '.join(str(result['message']).split())}"
    return f"dbt build: {' '.join(output.split())[-600:] or 'failed without a message'}"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0]


@contextmanager
def _parse_cache(cache_dir: Path | None, target: Path) -> Iterator[None]:
    """Lend dbt the parse cache of an earlier build, at first the one baked into an image.

    dbt itself decides whether it still fits.
    """
    target.mkdir()
    if cache_dir is None:
        yield
        return
    cached, local = cache_dir / "partial_parse.msgpack", target / "partial_parse.msgpack"
    baked = paths.project_root() / "baked" / cached.name
    for known in (cached, baked):
        if known.is_file() and not local.exists():
            shutil.copyfile(known, local)
    yield
    if local.is_file():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir) as folder:
            shutil.copyfile(local, Path(folder) / cached.name).replace(cached)


def _keep_artifacts(target: Path, target_dir: Path) -> None:
    target_dir.mkdir(parents=True, exist_ok=True)
    for name in ("manifest.json", "run_results.json"):
        if (target / name).is_file():
            shutil.copyfile(target / name, target_dir / name)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _docs_template() -> Path:
    """Return dbt's documentation page, found without importing dbt."""
    spec = importlib.util.find_spec("dbt")
    for folder in spec.submodule_search_locations or [] if spec else []:
        page = Path(folder) / "task" / "docs" / "index.html"
        if page.is_file():
            return page
    raise WarehouseError("dbt docs: dbt-core's page is not installed; run `make setup`")


def _without_run_details(manifest: dict[str, Any]) -> dict[str, Any]:
    # The graph draws a unit test as something that comes after its model.
    manifest["unit_tests"] = {}
    times = ("generated_at", "invocation_started_at", "run_started_at")
    for name in (*times, "invocation_id", "user_id", "env"):
        manifest["metadata"].pop(name, None)
    for kind in ("nodes", "sources", "macros", "docs", "exposures", "groups"):
        for node in manifest.get(kind, {}).values():
            for name in ("created_at", "compiled_path", "build_path", "root_path"):
                node.pop(name, None)
    return manifest


def _catalog(built: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return dbt's catalogue: type and columns of every relation that is in the file."""
    with duckdb.connect(str(built), read_only=True) as connection:
        rows = connection.execute(
            "select table_schema, table_name, column_name, ordinal_position, data_type"
            " from information_schema.columns order by all"
        ).fetchall()
    columns: dict[tuple[str, str], dict[str, Any]] = {}
    for schema, table, name, index, kind in rows:
        column = {"type": kind, "index": index, "name": name, "comment": None}
        columns.setdefault((schema, table), {})[name] = column

    def entries(nodes: Mapping[str, Any]) -> dict[str, Any]:
        return {
            unique_id: {
                "metadata": {
                    "type": "BASE TABLE"
                    if node.get("config", {}).get("materialized") in {"table", "seed"}
                    else "VIEW",
                    "schema": node["schema"],
                    "name": node["name"],
                    "database": node["database"],
                    "comment": None,
                    "owner": None,
                },
                "columns": columns[node["schema"], node["name"]],
                "stats": {},
                "unique_id": unique_id,
            }
            for unique_id, node in nodes.items()
            if (node["schema"], node["name"]) in columns
        }

    return {
        "metadata": {},
        "nodes": entries(manifest["nodes"]),
        "sources": entries(manifest["sources"]),
        "errors": None,
    }
