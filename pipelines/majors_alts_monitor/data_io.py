"""The only reader: a lake becomes a warehouse, and its marts become arrays.

Flow: ``lake folder -> open_lake -> open_warehouse -> read_market, read_features, read_universe``.
The lake is opened read-only. A warehouse is named by the content it was built from (rows,
features settings, models, lock), so a second run on the same inputs reads the same file and two
runs never write to one. No arithmetic happens here, and nothing but warehouses is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.errors import RangeError, TableContractError
from majors_alts_monitor.features import DAILY, OWN_MODELS, check_features
from majors_alts_monitor.types import MAJORS, Bools, CloseVersions, Floats, Market
from pipeline_kit import paths, warehouse
from pipeline_kit.lake import LakeFacts, check_tables, find_tables, read_manifest
from pipeline_kit.manifest import canonical_json, sha256_file, sha256_text, sha256_tree

NUMBERS = (
    "close_usd",
    "return_1d",
    "return_since_last_price",
    "market_cap_usd",
    "previous_market_cap_usd",
    "volume_usd",
    "volume_median_7d_usd",
    "perp_volume_usd",
    "funding_rate_8h",
    "funding_rate_1d",
)


Cells = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Bools]
"""Row and column of the panel for each long row that lies in it, and which long rows do."""


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake that was found to keep its contract."""

    folder: Path
    """Where it was asked for."""
    files: Path
    """Where its files lie: there, or what ``recorded_lake`` holds of it."""
    tables: Mapping[str, list[Path]]
    facts: LakeFacts
    is_synthetic: bool
    """True for a lake fetched from the bundled vendor server."""


def open_lake(folder: Path) -> Lake:
    """Return the lake in ``folder``; it is only read.

    Raises
    ------
    LakeContractError
        If it breaks contract.md section 3.
    """
    tables = find_tables(folder)
    sealed = read_manifest(folder) or {}
    return Lake(
        folder=folder,
        files=folder,
        tables=tables,
        facts=check_tables(tables),
        is_synthetic=bool(sealed.get("is_synthetic")),
    )


def check_range(lake: Lake, start: date, end: date) -> None:
    """Raise a ``RangeError`` unless every day of ``start`` to ``end`` lies in the lake."""
    first, last = lake.facts.first_day, lake.facts.last_day
    if end > last:
        raise RangeError(
            f"{lake.folder}: last complete day {last}, asked for {end}; fetch newer days "
            '("make fetch") or ask for an earlier one'
        )
    if start < first:
        raise RangeError(
            f"{lake.folder}: first day {first}, asked for {start}; ask for a later one"
        )


def warehouse_variables(config: MonitorConfig, known_at: datetime | None) -> dict[str, object]:
    """Return the dbt variables that the configuration decides."""
    universe, features = config.universe, config.features
    return {
        "known_at": known_at.replace(tzinfo=None).isoformat(sep=" ") if known_at else None,
        "vintage": features.vintage,
        "zscore_days": features.zscore_days,
        "staleness_days": features.staleness_days,
        "exclude_assets": sorted(set(universe.exclude_assets)),
        "min_mcap_usd": universe.min_mcap_usd,
        "min_volume_usd": universe.min_volume_usd,
        "min_listing_days": universe.min_listing_days,
        "lag_minutes_coingecko": features.publication_lag_minutes.coingecko,
        "lag_minutes_default": features.publication_lag_minutes.default,
    }


def open_warehouse(lake: Lake, config: MonitorConfig, known_at: datetime | None) -> Path:
    """Return the DuckDB file built from the lake's content, building it where it is not cached.

    Raises
    ------
    WarehouseError
        If a model or a test fails.
    """
    built = warehouse_file(lake.facts.content_sha256, config, known_at)
    if not built.is_file():
        warehouse.build(
            lake.tables,
            warehouse_variables(config, known_at),
            built,
            target_dir=dbt_artifacts(built),
            cache_dir=built.parent / "parse",
        )
    return built


def warehouse_file(
    content_sha256: Mapping[str, str], config: MonitorConfig, known_at: datetime | None
) -> Path:
    """Return where the warehouse of a lake of this content is, or would be, cached."""
    identity = {
        "content": dict(content_sha256),
        "variables": warehouse_variables(config, known_at),
        "models": sha256_tree(paths.dbt_project_dir(), ("*.sql", "*.yml", "*.csv")),
        "lock": sha256_file(paths.lock_file()),
    }
    folder = paths.data_dir() / config.outputs.cache_dir / "warehouse"
    return folder / f"{sha256_text(canonical_json(identity))[:24]}.duckdb"


def dbt_artifacts(built: Path) -> Path:
    """Return the folder of dbt's manifest and run results of a warehouse."""
    return built.with_suffix(".dbt")


def read_instruments(lake: Lake) -> pd.DataFrame | None:
    """Return ``dim_instrument`` of the lake, None where it has none."""
    files = lake.tables.get("dim_instrument")
    if not files:
        return None
    with closing(duckdb.connect()) as con:
        query = "select * from read_parquet(?, union_by_name => true)"
        return con.execute(query, [[str(file) for file in files]]).fetch_df()


def read_features(built: Path) -> pd.DataFrame:
    """Return ``features_of`` of a warehouse file."""
    with closing(_connect(built)) as con:
        return features_of(con)


def features_of(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Return the features of every calendar day, indexed by date.

    Raises
    ------
    TableContractError
        If a mart or column of the catalogue is not in the warehouse.
    """
    own = "".join(f" left join marts.{model} using (date)" for model in OWN_MODELS)
    try:
        # The names are the catalogue's, never a user's text.
        query = f"select * from marts.{DAILY}{own} order by date"  # noqa: S608
        return check_features(con.execute(query).fetch_df())
    except duckdb.CatalogException as e:
        raise TableContractError(f"{str(e).splitlines()[0]}; does a model have that name?") from e


def read_universe(built: Path, start: date, end: date) -> pd.DataFrame:
    """Return date, asset_id, is_eligible, exclusion_reason between two days, both included."""
    query = """
        select date, asset_id, is_eligible, exclusion_reason
        from marts.fct_universe_daily
        where date between ? and ?
        order by date, asset_id
    """
    return _frame(built, query, [start, end])


def read_market(built: Path, until: date) -> Market:
    """Return ``market_of`` of a warehouse file."""
    with closing(_connect(built)) as con:
        return market_of(con, until)


def market_of(con: duckdb.DuckDBPyConnection, until: date) -> Market:
    """Return the arrays of every asset that was eligible at least once up to ``until``.

    Raises
    ------
    TableContractError
        If BTC or ETH is not in the warehouse.
    """
    first = con.execute("select min(date) from marts.fct_features_daily").fetchone()
    ids = con.execute(
        """
        select distinct asset_id from marts.fct_universe_daily
        where date <= ? and (is_eligible or asset_id in ('BTC', 'ETH'))
        order by asset_id
        """,
        [until],
    ).fetchall()
    assets = pd.Index([row[0] for row in ids], name="asset_id", dtype="str")
    missing = [major for major in MAJORS if major not in assets]
    if missing or first is None:
        raise TableContractError(
            f"fct_universe_daily: no {' and no '.join(missing)}; give a later day or --known-at"
        )
    dates = pd.date_range(first[0], until, name="date")
    days = _long_rows(con, "fct_asset_daily", (*NUMBERS, "is_delisted"), until, assets)
    universe = _long_rows(con, "fct_universe_daily", ("is_eligible",), until, assets)
    versions = con.execute(
        """
        select asset_id, date, read_from, read_to, close_usd from marts.fct_close_versions
        where date <= $1 and read_from <= $1 and close_usd is not null
        order by asset_id, date, read_from
        """,
        [until],
    ).fetch_df()
    days_at, universe_at = (_cells(frame, dates, assets) for frame in (days, universe))
    shape = (len(dates), len(assets))
    return Market(
        dates=dates,
        assets=assets,
        **{name: _panel(days[name], days_at, shape) for name in NUMBERS},
        is_eligible=_flags(universe["is_eligible"], universe_at, shape),
        is_delisted=_flags(days["is_delisted"], days_at, shape),
        close_versions=_versions(versions, dates, assets),
    )


def _connect(built: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(built), read_only=True)


def _frame(built: Path, query: str, parameters: list[Any] | None = None) -> pd.DataFrame:
    with closing(_connect(built)) as con:
        return con.execute(query, parameters or []).fetch_df()


def _long_rows(
    con: duckdb.DuckDBPyConnection,
    mart: str,
    columns: tuple[str, ...],
    until: date,
    assets: pd.Index[str],
) -> pd.DataFrame:
    # mart and columns are constants of this module, never a user's text.
    query = (
        f"select asset_id, date, {', '.join(columns)} from marts.{mart} "  # noqa: S608
        "where date <= $1 and asset_id in (select unnest($2))"
    )
    return con.execute(query, [until, assets.tolist()]).fetch_df()


def _cells(frame: pd.DataFrame, dates: pd.DatetimeIndex, assets: pd.Index[str]) -> Cells:
    """Return row numbers, column numbers, and which rows of ``frame`` lie in the panel."""
    rows = dates.get_indexer(pd.DatetimeIndex(frame["date"]).as_unit(dates.unit))
    columns = assets.get_indexer(pd.Index(frame["asset_id"]))
    inside = (rows >= 0) & (columns >= 0)
    return rows[inside], columns[inside], inside


def _panel(values: pd.Series[Any], at: Cells, shape: tuple[int, int]) -> Floats:
    rows, columns, inside = at
    panel = np.full(shape, np.nan)
    panel[rows, columns] = values.to_numpy(dtype=np.float64, na_value=np.nan)[inside]
    return panel


def _flags(values: pd.Series[Any], at: Cells, shape: tuple[int, int]) -> Bools:
    rows, columns, inside = at
    panel = np.zeros(shape, dtype=np.bool_)
    panel[rows, columns] = values.to_numpy(dtype=np.bool_, na_value=False)[inside]
    return panel


def _versions(frame: pd.DataFrame, dates: pd.DatetimeIndex, assets: pd.Index[str]) -> CloseVersions:
    first = dates[0]
    columns = assets.get_indexer(pd.Index(frame["asset_id"]))
    kept = frame[columns >= 0]

    def row_numbers(name: str) -> npt.NDArray[np.int64]:
        days = (pd.to_datetime(kept[name]) - first) / pd.Timedelta(days=1)
        return np.asarray(days.fillna(len(dates)), dtype=np.int64)

    return CloseVersions(
        day=row_numbers("date"),
        asset=columns[columns >= 0].astype(np.int64),
        read_from=row_numbers("read_from"),
        read_to=row_numbers("read_to"),
        close_usd=kept["close_usd"].to_numpy(dtype=np.float64),
    )
