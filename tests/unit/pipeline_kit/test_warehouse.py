"""The warehouse is built whole from files that are only read, and published forward in time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from pipeline_kit import paths
from pipeline_kit.contract import TABLES
from pipeline_kit.errors import WarehouseError
from pipeline_kit.manifest import sha256_file
from pipeline_kit.model_replay import Replay, read_models
from pipeline_kit.warehouse import (
    build,
    generate_docs,
    publish,
    published_asof,
)
from tests.fixtures.lakes import make_lake, read_tables, write_tables
from tests.reference.knowledge import table_files

MARTS = (
    "dim_assets",
    "fct_asset_daily",
    "fct_universe_daily",
    "fct_funding_daily",
    "fct_features_daily",
    "fct_close_versions",
    "fct_revisions",
    "fct_publication_lag",
)
VARIABLES = {"zscore_days": 20}


def read_mart(path: Path, mart: str) -> pd.DataFrame:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql(f"select * from marts.{mart} order by all").df()  # noqa: S608


def assert_same_bits(a: Path, b: Path, *, but: tuple[str, ...] = ()) -> None:
    for mart in MARTS:
        if mart not in but:
            pd.testing.assert_frame_equal(
                read_mart(a, mart), read_mart(b, mart), check_exact=True, obj=mart
            )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake with revisions, late arrivals and gaps, below a folder with an awkward name."""
    folder = tmp_path_factory.mktemp("lake") / "it's [one] *?"
    return make_lake(
        folder,
        11,
        n_assets=9,
        n_days=100,
        gaps=0.01,
        deaths=1,
        settlements=0.5,
        revisions=0.2,
        late_arrivals=0.1,
        kinds=True,
    )


@pytest.fixture(scope="module")
def parse_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def built(lake: Path, parse_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    return build(
        table_files(lake),
        VARIABLES,
        folder / "warehouse.duckdb",
        target_dir=folder / "target",
        cache_dir=parse_cache,
    )


@pytest.mark.dbt
def test_build_leaves_every_mart_and_only_reads_the_lake(built: Path, lake: Path) -> None:
    before = {file: sha256_file(file) for file in sorted(lake.iterdir())}

    counts = {mart: len(read_mart(built, mart)) for mart in MARTS}

    assert all(counts.values()), counts
    assert counts["fct_features_daily"] == 100
    assert {file: sha256_file(file) for file in sorted(lake.iterdir())} == before
    assert sorted(file.name for file in built.parent.iterdir()) == ["target", "warehouse.duckdb"]


@pytest.mark.dbt
def test_build_writes_nothing_into_the_dbt_project(built: Path) -> None:
    names = {file.name for file in paths.dbt_project_dir().iterdir()}

    assert not names & {"target", "logs", "dbt_packages", ".user.yml", "package-lock.yml"}


@pytest.mark.dbt
def test_fast_path_and_slow_path_agree_to_the_bit(
    built: Path, lake: Path, parse_cache: Path, tmp_path: Path
) -> None:
    slow = build(
        table_files(lake),
        {**VARIABLES, "force_slow_path": True},
        tmp_path / "slow.duckdb",
        with_tests=False,
        cache_dir=parse_cache,
    )

    assert len(read_mart(built, "fct_close_versions")) > 50
    assert_same_bits(slow, built)


@pytest.mark.dbt
def test_types_layout_threads_and_empty_values_change_no_bit(
    built: Path, lake: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    tables = {name: disguised(name, t, rng) for name, t in read_tables(lake).items()}
    write_tables(tmp_path / "lake", tables, as_folders=True)

    with Replay(table_files(tmp_path / "lake"), threads=4) as replay:
        replay.build(read_models(built.parent / "target"), {})
        replay.export(tmp_path / "other.duckdb")

    # The asset that is only named has a row there, and nowhere else.
    assert_same_bits(tmp_path / "other.duckdb", built, but=("dim_assets",))


def disguised(name: str, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the same knowledge in other clothes: zones, order, an asset without a value."""
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    if not name.startswith("fact_"):
        return table
    value = TABLES[name].value
    if name != "fact_price":
        ghost = table.iloc[:5].assign(asset_id="GHOST", **{value: np.nan})
        table = pd.concat([table, ghost], ignore_index=True)
    label = "settled_at" if "settled_at" in table else "date"
    table[label] = pd.to_datetime(table[label]).dt.tz_localize("UTC")
    table["known_at"] = table["known_at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    return table.assign(scope="somewhere")


@pytest.mark.dbt
def test_duplicate_version_stops_the_build_and_keeps_the_old_file(
    lake: Path, parse_cache: Path, tmp_path: Path
) -> None:
    tables = read_tables(lake)
    tables["fact_price"] = pd.concat([tables["fact_price"], tables["fact_price"].iloc[:1]])
    write_tables(tmp_path / "lake", tables)
    destination = tmp_path / "warehouse.duckdb"
    destination.write_bytes(b"the old one")

    with pytest.raises(WarehouseError) as caught:
        build(
            table_files(tmp_path / "lake"),
            VARIABLES,
            destination,
            target_dir=tmp_path / "target",
            cache_dir=parse_cache,
        )

    assert "unique_key_stg_lake__prices" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert destination.read_bytes() == b"the old one"
    assert (tmp_path / "target" / "run_results.json").is_file()


@pytest.mark.dbt
def test_a_lake_larger_than_the_memory_allowed_is_built_from_disk(
    tmp_path: Path, parse_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows of 50,000 rows do not fit into 60 MB: one model spills, the next ones follow."""
    lake = make_lake(tmp_path / "lake", 3, n_assets=100, n_days=500, known_at=False)
    monkeypatch.setenv("MAM_DUCKDB_MEMORY", "60MB")
    monkeypatch.setenv("MAM_DUCKDB_THREADS", "1")

    built = build(
        table_files(lake),
        VARIABLES,
        tmp_path / "warehouse.duckdb",
        with_tests=False,
        target_dir=tmp_path / "target",
        cache_dir=parse_cache,
    )

    assert len(read_mart(built, "fct_asset_daily")) == 50_000


@pytest.mark.dbt
def test_docs_are_one_page_and_the_same_bytes_again(built: Path, tmp_path: Path) -> None:
    first = generate_docs(built, built.parent / "target", tmp_path / "a" / "index.html")
    second = generate_docs(built, built.parent / "target", tmp_path / "b" / "index.html")

    page = first.read_text("utf-8")
    assert "fct_features_daily" in page
    assert "z_funding_skew" in page
    assert "INLINE DATA" not in page
    assert str(built.parent) not in page
    # No time of this build, so that another build of the same inputs gives the same page.
    assert not re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", page)
    assert first.read_bytes() == second.read_bytes()


def lake_files(folder: Path, **changed: Mapping[str, Any] | None) -> dict[str, list[Path]]:
    """Return the smallest lake there is, with some tables replaced or left out."""
    key = {"asset_id": ["BTC"], "date": [date(2024, 1, 1)]}
    tables: dict[str, Mapping[str, Any] | None] = {
        "fact_price": {**key, "close": [42.0]},
        "fact_marketcap": {**key, "marketcap": [42.0]},
        "fact_volume": {**key, "volume": [42.0]},
        **changed,
    }
    files = {}
    for name, table in tables.items():
        if table is not None:
            pd.DataFrame(table).to_parquet(folder / f"{name}.parquet")
            files[name] = [folder / f"{name}.parquet"]
    return files


def test_missing_required_table_is_named(tmp_path: Path) -> None:
    files = lake_files(tmp_path, fact_volume=None)

    with pytest.raises(WarehouseError, match=r"^fact_volume: no file"):
        build(files, {}, tmp_path / "warehouse.duckdb")


def test_missing_required_column_is_named(tmp_path: Path) -> None:
    files = lake_files(tmp_path, fact_open_interest={"asset_id": ["BTC"]})

    with pytest.raises(WarehouseError, match=r"^fact_open_interest: no column date, open_interest"):
        build(files, {}, tmp_path / "warehouse.duckdb")


def test_file_that_is_not_parquet_is_named_by_its_table(tmp_path: Path) -> None:
    files = lake_files(tmp_path)
    files["fact_price"][0].write_text("not Parquet")

    with pytest.raises(WarehouseError, match=r"^fact_price: ") as caught:
        build(files, {}, tmp_path / "warehouse.duckdb")

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "warehouse.duckdb").exists()


def one_table(path: Path, value: int) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table answer as select {value} as value")
    return path


def answer(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        row = connection.execute("select value from answer").fetchone()
    assert row is not None
    return int(row[0])


def test_publish_goes_forward_or_repeats_a_day_but_never_back(tmp_path: Path) -> None:
    current = tmp_path / "warehouse" / "current.duckdb"
    first, second = one_table(tmp_path / "1.duckdb", 1), one_table(tmp_path / "2.duckdb", 2)

    assert publish(first, date(2024, 1, 2), current)
    assert answer(current) == 1
    assert not publish(second, date(2024, 1, 1), current)
    assert answer(current) == 1
    assert publish(second, date(2024, 1, 2), current)
    assert answer(current) == 2
    assert published_asof(current) == date(2024, 1, 2)


def test_publish_leaves_the_build_as_it_was(tmp_path: Path) -> None:
    built = one_table(tmp_path / "built.duckdb", 1)
    before = sha256_file(built)

    publish(built, date(2024, 1, 2), tmp_path / "current.duckdb")

    assert sha256_file(built) == before


def test_publish_replaces_a_file_that_is_no_warehouse(tmp_path: Path) -> None:
    current = tmp_path / "current.duckdb"
    current.write_bytes(b"torn")

    assert published_asof(current) is None
    assert publish(one_table(tmp_path / "1.duckdb", 1), date(2024, 1, 2), current)
    assert published_asof(current) == date(2024, 1, 2)


def test_nothing_is_published_where_there_is_no_file(tmp_path: Path) -> None:
    assert published_asof(tmp_path / "current.duckdb") is None


def test_artifacts_name_no_folder_of_this_machine_in_the_docs(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    node = {
        "schema": "marts",
        "name": "answer",
        "database": "warehouse",
        "config": {"materialized": "table"},
        "description": "</script><script>",
        "created_at": 1700000000.0,
        "compiled_path": str(tmp_path / "secret_place"),
    }
    manifest = {
        "metadata": {"generated_at": "2024-01-01", "invocation_id": "x", "env": {}},
        "nodes": {"model.answer": node},
        "sources": {},
    }
    (target / "manifest.json").write_text(json.dumps(manifest))

    page = generate_docs(
        one_table(tmp_path / "1.duckdb", 1), target, tmp_path / "index.html"
    ).read_text("utf-8")

    assert str(tmp_path) not in page
    assert "1700000000" not in page
    assert "</script><script>" not in page
