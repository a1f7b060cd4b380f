"""The SQL warehouse must equal the slow reference, and a day must not move with its future.

One real ``dbt build`` gives the models; further lakes run those same models again
(``pipeline_kit/model_replay.py``), which is first shown to give the build's own bits. Other
settings are other SQL, and get a build of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings

from majors_alts_monitor.vintage import latest_warehouse
from pipeline_kit import warehouse
from pipeline_kit.model_replay import Model, Replay, read_models
from tests.fixtures.lakes import (
    lake_arguments,
    list_again,
    make_lake,
    poison,
    read_tables,
    shuffle_rows,
    truncate,
    write_tables,
)
from tests.reference.asset_day import reference_asset_day, reference_funding
from tests.reference.features import reference_features
from tests.reference.knowledge import Knowledge, Settings, read_lake, table_files
from tests.reference.universe import reference_universe

pytestmark = pytest.mark.dbt

TOLERANCE = 1e-9
Marts = Mapping[str, pd.DataFrame]
Build = Callable[..., Path]
Rerun = Callable[..., Marts]
KEYS = {
    "fct_features_daily": ["date"],
    "fct_universe_daily": ["asset_id", "date"],
    "fct_asset_daily": ["asset_id", "date"],
    "fct_funding_daily": ["asset_id", "date"],
}
REFERENCE: Mapping[str, Callable[..., pd.DataFrame]] = {
    "fct_features_daily": reference_features,
    "fct_universe_daily": reference_universe,
    "fct_asset_daily": reference_asset_day,
    "fct_funding_daily": reference_funding,
}
EVERYTHING: Mapping[str, Any] = {
    "n_assets": 10,
    "n_days": 130,
    "start": date(2023, 12, 1),
    "gaps": 0.004,
    "deaths": 1,
    "late_listings": 1,
    "missing_oi": 0.2,
    "missing_funding": 0.2,
    "settlements": 0.6,
    "partial_settlements": 0.05,
    "revisions": 0.05,
    "late_arrivals": 0.03,
    "instruments": True,
    "kinds": True,
    "perp_volume": True,
    "outages": 8,
}
"""A lake with a little of every trouble; most features are present in it."""
SHORT_WINDOWS = Settings(zscore_days=20)
"""Short windows leave z-scores to compare in a lake of a hundred days."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that builds a lake's warehouse in a folder; dbt parses once."""
    cache = tmp_path_factory.mktemp("dbt_cache")

    def build_in(lake: Path, folder: Path, variables: Settings) -> Path:
        return warehouse.build(
            table_files(lake),
            variables.variables(),
            folder / "warehouse.duckdb",
            with_tests=False,
            target_dir=folder / "target",
            cache_dir=cache,
        )

    return build_in


@pytest.fixture(scope="module")
def troubled_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(tmp_path_factory.mktemp("troubled"), 1, **EVERYTHING)


@pytest.fixture(scope="module")
def troubled_build(
    build: Build, troubled_lake: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return build(troubled_lake, tmp_path_factory.mktemp("built"), SHORT_WINDOWS)


@pytest.fixture(scope="module")
def rerun(troubled_build: Path) -> Rerun:
    """Return a function that runs the models of ``troubled_build`` on another lake."""
    models: tuple[Model, ...] = read_models(troubled_build.parent / "target")

    def rerun_on(lake: Path, *, threads: int = 1) -> Marts:
        with Replay(table_files(lake), threads=threads) as replay:
            replay.build(models, {})
            return {
                mart: sort_by_key(replay.connection.sql(f"from warehouse.marts.{mart}").df(), mart)
                for mart in KEYS
            }

    return rerun_on


@pytest.fixture(scope="module")
def troubled(troubled_build: Path) -> Marts:
    """Return the marts of the one build, read from its file."""
    return read_marts(troubled_build)


def read_marts(path: Path) -> Marts:
    """Return each mart there is, sorted by its key, which must be unique, with days as dates."""
    with duckdb.connect(str(path), read_only=True) as connection:
        there = connection.sql("select table_name from duckdb_tables()").fetchall()
        return {
            mart: sort_by_key(connection.sql(f"from marts.{mart}").df(), mart)
            for mart in KEYS
            if (mart,) in there
        }


def sort_by_key(frame: pd.DataFrame, mart: str) -> pd.DataFrame:
    frame = frame.assign(date=pd.to_datetime(frame["date"]).dt.date)
    frame = frame.sort_values(KEYS[mart], ignore_index=True)
    assert not frame.duplicated(KEYS[mart]).any()
    return frame


def assert_mart_equals(mart: str, built: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare row for row and column for column, nulls with nulls, numbers to 1e-9."""
    missing = set(expected.columns) - set(built.columns)
    assert not missing, f"{mart} lacks {sorted(missing)}"
    keys = KEYS[mart]
    differences = built[keys].merge(expected[keys], on=keys, how="outer", indicator="found_in")
    differences = differences[differences["found_in"] != "both"]
    assert differences.empty, f"{mart}: left is SQL\n{differences.head(20)}"
    wrong = [
        report
        for column in expected.columns
        if (report := disagreement(mart, column, built, expected)) is not None
    ]
    assert not wrong, "\n".join(wrong)


def disagreement(mart: str, column: str, built: pd.DataFrame, expected: pd.DataFrame) -> str | None:
    """Return where a column differs, None when it does not."""
    left, right = built[column], expected[column]
    differs = (left.isna() != right.isna()).to_numpy(copy=True)
    both = ~(left.isna() | right.isna()).to_numpy()
    if is_number(right):
        x, y = left[both].to_numpy(dtype=float), right[both].to_numpy(dtype=float)
        # Rates of 1e-4 are held to 1e-9 of their own size, not of one.
        size = min(1.0, float(np.abs(y).max())) if len(y) else 1.0
        differs[both] = ~np.isclose(x, y, rtol=TOLERANCE, atol=TOLERANCE * size)
    else:
        differs[both] = left[both].astype(str).to_numpy() != right[both].astype(str).to_numpy()
    if not differs.any():
        return None
    where = expected.loc[differs, KEYS[mart]]
    table = where.assign(sql=left[differs], reference=right[differs])
    return f"{mart}.{column}: {differs.sum()} of {len(differs)} rows differ\n{table.head(5)}"


def is_number(column: pd.Series) -> bool:
    values = column.dropna()
    return len(values) > 0 and all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
        for value in values
    )


def is_constant_but_for_rounding(raw: pd.Series, n_days: int) -> pd.Series:
    """Return where a window's maximum and minimum differ, but by rounding alone.

    Such a window is constant in exact arithmetic; its z-score is rounding divided by rounding,
    and two correct programs need not agree on it. An exactly constant window is not meant.
    """
    window = raw.rolling(n_days)
    spread = window.max() - window.min()
    size = raw.abs().rolling(n_days).max()
    return (spread > 0) & (spread <= 1e-12 * size + 1e-17)


def without_rounding(features: pd.DataFrame, other: pd.DataFrame, zscore_days: int) -> pd.DataFrame:
    """Return the features without z-scores that are rounding in them or in the other frame."""
    cleared = features.copy()
    raw_names = [name for name in features if name.startswith("raw_")]
    for raw_name in raw_names:
        noise = is_constant_but_for_rounding(features[raw_name], zscore_days)
        noise |= is_constant_but_for_rounding(other[raw_name], zscore_days)
        cleared.loc[noise, raw_name.replace("raw_", "z_", 1)] = np.nan
    return cleared


def assert_features_equal(built: pd.DataFrame, expected: pd.DataFrame, variables: Settings) -> None:
    days = variables.zscore_days
    assert_mart_equals(
        "fct_features_daily",
        without_rounding(built, expected, days),
        without_rounding(expected, built, days),
    )


def assert_warehouse_equals_reference(
    built: Marts, lake: Mapping[str, pd.DataFrame], variables: Settings
) -> None:
    for mart in built:
        expected = sort_by_key(REFERENCE[mart](lake, variables), mart)
        if mart == "fct_features_daily":
            assert_features_equal(built[mart], expected, variables)
        else:
            assert_mart_equals(mart, built[mart], expected)


def assert_bit_equal_until(day: date, changed: Marts, original: Marts) -> None:
    """Compare every column of every mart up to ``day``, to the bit."""
    for mart in KEYS:
        a, b = changed[mart], original[mart]
        pd.testing.assert_frame_equal(
            a[a["date"] <= day].reset_index(drop=True),
            b[b["date"] <= day].reset_index(drop=True),
            check_exact=True,
            obj=mart,
        )


def test_a_lake_with_every_trouble(troubled_lake: Path, troubled: Marts) -> None:
    lake = read_lake(troubled_lake)
    features = reference_features(lake, SHORT_WINDOWS)

    # The comparison would say little about a lake without features.
    assert features["valid"].sum() >= 10
    assert features.drop(columns="date").notna().any().all()
    assert troubled["fct_asset_daily"]["is_delisted"].any()
    assert_warehouse_equals_reference(troubled, lake, SHORT_WINDOWS)


def test_running_the_models_again_gives_the_bits_of_the_build(
    rerun: Rerun, troubled_lake: Path, troubled: Marts
) -> None:
    assert_bit_equal_until(date.max, rerun(troubled_lake), troubled)


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@example(arguments=dict(EVERYTHING, seed=3, ties=True, known_at=False, as_folders=True))
@example(arguments=dict(EVERYTHING, seed=1, n_days=100, missing_oi=0.8, nulls=0.04))
@given(arguments=lake_arguments())
def test_generated_lakes(
    rerun: Rerun, tmp_path_factory: pytest.TempPathFactory, arguments: dict[str, Any]
) -> None:
    lake = make_lake(tmp_path_factory.mktemp("generated"), **arguments)

    assert_warehouse_equals_reference(rerun(lake), read_lake(lake), SHORT_WINDOWS)


@pytest.mark.parametrize(
    "optional",
    [(), ("fact_open_interest", "dim_instrument"), ("fact_funding_settlement", "dim_asset")],
    ids=["none", "open interest, instruments", "settlements, kinds"],
)
def test_optional_tables_may_be_absent(
    rerun: Rerun, troubled_lake: Path, tmp_path: Path, optional: tuple[str, ...]
) -> None:
    tables = read_tables(troubled_lake)
    required = ("fact_price", "fact_marketcap", "fact_volume")
    first_days = pd.Timestamp(EVERYTHING["start"]) + pd.Timedelta(days=45)
    kept = {}
    for name in (*required, *optional):
        table = tables[name]
        day = table.get("date", table.get("settled_at"))
        is_early = slice(None) if day is None else pd.to_datetime(day) < first_days
        kept[name] = table[is_early].reset_index(drop=True)
    write_tables(tmp_path, kept)

    assert_warehouse_equals_reference(rerun(tmp_path), read_lake(tmp_path), SHORT_WINDOWS)


@pytest.mark.parametrize(
    "variables",
    [
        Settings(
            zscore_days=25,
            vintage="latest",
            exclude_assets=("V04", "W03_Z"),
            min_mcap_usd=2e8,
            min_volume_usd=1e7,
            min_listing_days=60,
        ),
        Settings(zscore_days=20, known_at="2024-02-20T07:00:00+02:00", staleness_days=1),
    ],
    ids=["latest vintage and other limits", "knowledge limit"],
)
def test_settings_are_obeyed_in_any_time_zone(
    build: Build,
    troubled_lake: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: Settings,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    built = read_marts(build(troubled_lake, tmp_path, variables))

    assert_warehouse_equals_reference(built, read_lake(troubled_lake), variables)


def test_today_s_history_follows_from_the_versions_without_another_build(
    troubled_lake: Path, troubled_build: Path, tmp_path: Path
) -> None:
    for suffix, place in ((".duckdb", troubled_build), (".dbt", troubled_build.parent / "target")):
        (tmp_path / f"pit{suffix}").symlink_to(place)

    latest = latest_warehouse(tmp_path / "pit.duckdb", table_files(troubled_lake))

    variables = replace(SHORT_WINDOWS, vintage="latest")
    with duckdb.connect(str(latest), read_only=True) as connection:
        assert connection.sql("from marts.fct_close_versions").fetchall() == []
    marts = read_marts(latest)
    assert set(marts) == set(REFERENCE) - {"fct_funding_daily"}
    assert_warehouse_equals_reference(marts, read_lake(troubled_lake), variables)


def test_closes_as_known_are_the_own_rows_but_for_the_versions_listed(
    troubled_lake: Path, troubled: Marts, troubled_build: Path
) -> None:
    known = Knowledge(read_lake(troubled_lake), SHORT_WINDOWS)
    own = troubled["fct_asset_daily"].set_index(["asset_id", "date"])
    own_close = own["close_usd"].dropna().to_dict()
    with duckdb.connect(str(troubled_build), read_only=True) as connection:
        versions = connection.sql("select * from marts.fct_close_versions").df()
    listed: dict[tuple[str, date], list[tuple[date, date, float]]] = {}
    for version in versions.to_dict("records"):
        to = date.max if pd.isna(version["read_to"]) else version["read_to"].date()
        span = (version["read_from"].date(), to, version["close_usd"])
        listed.setdefault((version["asset_id"], version["date"].date()), []).append(span)

    days = known.days()
    for asset in known.assets():
        for i, t in enumerate(days):
            for day in days[max(0, i - 25) : i + 1]:
                applying = [
                    close for since, to, close in listed.get((asset, day), ()) if since <= t < to
                ]
                default = None if (asset, day) in listed else own_close.get((asset, day))
                read = applying[0] if applying else default
                assert len(applying) <= 1
                assert read == known.value("fact_price", asset, day, t), (asset, day, t)


def test_shuffled_rows_another_layout_and_more_threads_change_no_bit(
    rerun: Rerun, troubled_lake: Path, troubled: Marts, tmp_path: Path
) -> None:
    shuffled = rerun(shuffle_rows(troubled_lake, tmp_path), threads=4)

    assert_bit_equal_until(date.max, shuffled, troubled)


def test_truncation_leaves_the_past_unchanged(
    rerun: Rerun, troubled_lake: Path, troubled: Marts, tmp_path: Path
) -> None:
    cut = EVERYTHING["start"] + timedelta(days=75)
    truncated = rerun(truncate(troubled_lake, tmp_path, cut))

    assert truncated["fct_features_daily"]["date"].max() == cut
    assert_bit_equal_until(cut, truncated, troubled)


def test_before_the_first_listing_the_past_is_unchanged_too(
    rerun: Rerun, troubled_lake: Path, tmp_path: Path
) -> None:
    """With nothing listed yet, the table of instruments is empty, and is still a table."""
    tables = read_tables(troubled_lake)
    first = EVERYTHING["start"] + timedelta(days=30)
    perps = tables["dim_instrument"]
    perps["listed_on"] = perps["listed_on"].clip(lower=first)
    write_tables(tmp_path / "lake", tables)
    cut = first - timedelta(days=1)

    full = rerun(tmp_path / "lake")
    truncated = rerun(truncate(tmp_path / "lake", tmp_path / "cut", cut))

    assert "listing" in set(full["fct_universe_daily"]["exclusion_reason"])
    assert_bit_equal_until(cut, truncated, full)


def test_a_perpetual_listed_later_revives_no_one_before(
    rerun: Rerun, troubled_lake: Path, troubled: Marts, tmp_path: Path
) -> None:
    is_delisted = troubled["fct_asset_daily"]["is_delisted"]
    delisted_days = troubled["fct_asset_daily"]["date"][is_delisted]
    cut = delisted_days.min()
    changed = rerun(list_again(troubled_lake, tmp_path, cut + timedelta(days=1)))

    assert_bit_equal_until(cut, changed, troubled)
    assert changed["fct_asset_daily"]["is_delisted"].sum() < is_delisted.sum()


@pytest.mark.parametrize("how", ["nan", "x1000", "shuffled"])
def test_a_poisoned_future_leaves_the_past_unchanged(
    rerun: Rerun, troubled_lake: Path, troubled: Marts, tmp_path: Path, how: str
) -> None:
    cut = EVERYTHING["start"] + timedelta(days=90)
    poisoned = rerun(poison(troubled_lake, tmp_path, cut, how))

    assert_bit_equal_until(cut, poisoned, troubled)


def real_window(real_lake: Path, folder: Path) -> Path:
    """Return the last 150 days of the real lake, every asset."""
    first = pd.Timestamp("2024-08-03")
    tables = {}
    for name, table in read_tables(real_lake).items():
        time = "settled_at" if "settled_at" in table else "date"
        is_kept = pd.to_datetime(table[time]) > first if time in table else slice(None)
        tables[name] = table[is_kept].reset_index(drop=True)
    write_tables(folder / "lake", tables)
    return folder / "lake"


@pytest.mark.real_lake
def test_the_real_lake(build: Build, real_lake: Path, tmp_path: Path) -> None:
    lake_folder = real_window(real_lake, tmp_path)
    built = read_marts(build(lake_folder, tmp_path, Settings()))
    lake = read_lake(lake_folder)
    sampled = [date(2024, 8, 5), date(2024, 10, 1), date(2024, 12, 31)]

    features = sort_by_key(reference_features(lake, Settings()), "fct_features_daily")
    assert features["valid"].sum() >= 50
    assert_features_equal(built["fct_features_daily"], features, Settings())
    for mart in ("fct_universe_daily", "fct_asset_daily", "fct_funding_daily"):
        frame = built[mart]
        frame = frame[frame["date"].isin(sampled)].reset_index(drop=True)
        expected = sort_by_key(REFERENCE[mart](lake, Settings(), sampled), mart)
        assert_mart_equals(mart, frame, expected)
