"""Build warehouses of four sizes, race the feature stage; write docs/performance.md.

    python -m benchmarks.warehouse [SIZE ...]

SIZE is small, medium, large or hourly; default all. Each is built by ``dbt build`` without tests in
a process of its own, with two DuckDB threads and 2 GB. Then the models from asset days to features
run alone against the same eight groups in Polars and pandas (``benchmarks/frames.py``, installed
from ``requirements/frames.in`` into ``.cache/frames``), and the results are compared. The market
is simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd

from benchmarks.engine import publish, python_of, say
from pipeline_kit import warehouse
from pipeline_kit.contract import TABLES
from pipeline_kit.model_replay import Model, needed_for, read_models

ROOT: Final = Path(__file__).resolve().parents[1]
REQUIREMENTS: Final = ROOT / "requirements" / "frames.in"
MEMORY: Final = "2GB"
THREADS: Final = 2
TOLERANCE: Final = 1e-6
"""Rolling windows of Polars and pandas add and subtract as they go, and drift by this much."""
BEGIN: Final = "<!-- benchmarks/warehouse.py begins -->"
END: Final = "<!-- benchmarks/warehouse.py ends -->"
LAST_STAGE_MODEL: Final = "fct_features_daily"


@dataclass(frozen=True, slots=True)
class Size:
    """One lake."""

    title: str
    n_assets: int
    n_days: int
    rounds: int
    """Of the race; 0: only the build."""


SIZES: Final[Mapping[str, Size]] = {
    "small": Size("60 assets x 3 years", 60, 1096, 3),
    "medium": Size("500 assets x 8 years", 500, 2922, 3),
    "large": Size("2,700 assets x 8 years", 2700, 2922, 3),
    # The warehouse knows days only: each hour is given a day of its own.
    "hourly": Size("500 assets x 3 years of hours", 500, 26_304, 0),
}

# Deterministic noise in [0, 1) from asset and day; gaps come from it, too.
_NOISE: Final = "(hash({salt} + i * 100003 + d) % 1000003) / 1000003.0"
_FACTS: Final = {
    "fact_price": ("close", "100 * level"),
    "fact_marketcap": ("marketcap", "3e7 * (1 + i % 40) * level"),
    "fact_volume": ("volume", f"2e6 * (1 + i % 30) * (0.3 + {_NOISE.format(salt=1)})"),
    "fact_funding": ("funding_rate", f"1e-4 * ({_NOISE.format(salt=2)} + sin(d / 20.0) - 0.3)"),
    "fact_open_interest": ("open_interest_usd", f"1e7 * (1 + i % 9) * (1 + level * {0.5})"),
}


def make_lake(folder: Path, size: Size) -> Path:
    """Write the five facts of a simulated market, sorted by asset and day, 1 % of rows missing."""
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {THREADS}")
        connection.execute(
            f"""
            create table days as select
                case i when 0 then 'BTC' when 1 then 'ETH' else printf('A%05d', i) end as asset_id,
                date '1990-01-01' + cast(d as integer) as date,
                i, d,
                exp(0.5 * sin(d / 90.0 + i) + 0.1 * ({_NOISE.format(salt=0)})) as level
            from range({size.n_assets}) as assets(i), range({size.n_days}) as days(d)
            """  # noqa: S608 (numbers of ours)
        )
        for salt, (table, (column, value)) in enumerate(_FACTS.items(), start=11):
            connection.execute(
                f"""
                copy (
                    select asset_id, date, {value} as {column} from days
                    where i < 2 or {_NOISE.format(salt=salt)} >= 0.01
                    order by asset_id, date
                ) to '{folder / table}.parquet'
                """  # noqa: S608 (names of ours)
            )
    return folder


def lake_files(folder: Path) -> dict[str, list[Path]]:
    """Return the tables of ``make_lake``."""
    return {table: [folder / f"{table}.parquet"] for table in _FACTS}


@dataclass(frozen=True, slots=True)
class Seconds:
    """What a calculation took on the clock, and of all processors together."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Build:
    """What one dbt build took."""

    rows: int
    """Of the largest fact."""
    seconds: float
    peak_mb: float
    models: Mapping[str, float]
    """Seconds of each model."""


def measure_build(folder: Path) -> Build:
    """Return the cost of ``dbt build`` of the lake in ``folder``, run in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.warehouse", "--build", str(folder)]
    limits = {"MAM_DUCKDB_MEMORY": MEMORY, "MAM_DUCKDB_THREADS": str(THREADS)}
    subprocess.run(command, env=os.environ | limits, cwd=ROOT, check=True)
    took = json.loads((folder / "took.json").read_text("utf-8"))
    return Build(**took)


def build_here(folder: Path) -> None:
    """Build the lake in ``folder`` and leave ``took.json`` beside it."""
    start = time.perf_counter()
    target = folder / "target"
    built = warehouse.build(
        lake_files(folder), {}, folder / "built.duckdb", with_tests=False, target_dir=target
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    results = json.loads((target / "run_results.json").read_text("utf-8"))["results"]
    models = {r["unique_id"].rsplit(".", 1)[1]: r["execution_time"] for r in results}
    with duckdb.connect(str(built), read_only=True) as connection:
        rows = connection.sql("select * from intermediate.int_price_versions").shape[0]
    built.unlink()
    took = {"rows": rows, "seconds": seconds, "peak_mb": peak, "models": models}
    (folder / "took.json").write_text(json.dumps(took), "utf-8")


def stage_models(models: Sequence[Model]) -> tuple[list[Model], list[Model]]:
    """Return what the feature stage reads and the feature stage, without what it does not need."""
    wanted = needed_for(models, [LAST_STAGE_MODEL])
    facts = [model.name for model in wanted if model.name.endswith("_versions")]
    before = needed_for(wanted, facts)
    return before, [model for model in wanted if model not in before]


def time_stage(folder: Path, rounds: int) -> tuple[Seconds, pd.DataFrame, dict[str, float]]:
    """Return our median seconds, our features, and the seconds of each model in the last round."""
    views = folder / "views.duckdb"
    warehouse.create_lake_views(views, lake_files(folder))
    before, stage = stage_models(read_models(folder / "target"))
    times, busy, models = [], [], {}
    config = {"threads": THREADS, "preserve_insertion_order": False, "perfect_ht_threshold": 0}
    with duckdb.connect(config=config) as connection:
        connection.execute(f"set temp_directory = '{folder / 'spill'}'")
        connection.execute(f"attach '{views}' as sealed; attach ':memory:' as warehouse")
        connection.execute("use warehouse; create schema lake")
        for table in (*TABLES, warehouse.TABLE_LIST):
            connection.execute(f"create view lake.{table} as from sealed.lake.{table}")
        for schema in ("staging", "intermediate", "marts"):
            connection.execute(f"create schema {schema}")
        for model in before:
            _create(connection, model)
        for _ in range(rounds):
            for model in reversed(stage):  # a build starts from nothing
                kind = "view" if model.is_view else "table"
                connection.execute(f"drop {kind} if exists {model.schema}.{model.name}")
            cpu = time.process_time()
            models = {model.name: _create(connection, model) for model in stage}
            times.append(sum(models.values()))
            busy.append(time.process_time() - cpu)
        features = connection.sql("select * from marts.fct_features_daily order by date").df()
    views.unlink()
    return Seconds(float(np.median(times)), float(np.median(busy))), features, models


def _create(connection: duckdb.DuckDBPyConnection, model: Model) -> float:
    kind = "view" if model.is_view else "table"
    start = time.perf_counter()
    connection.execute(f"create or replace {kind} {model.schema}.{model.name} as {model.sql}")
    return time.perf_counter() - start


def run_frames(folder: Path, rounds: int) -> dict[str, Any]:
    """Return the seconds of Polars and pandas; their features are left in ``folder``."""
    python = python_of(REQUIREMENTS, "frames")
    script = ROOT / "benchmarks" / "frames.py"
    limits = {"POLARS_MAX_THREADS": str(THREADS)}
    subprocess.run(
        [python, script, folder, folder, str(rounds)], env=os.environ | limits, check=True
    )
    seconds: dict[str, Any] = json.loads((folder / "seconds.json").read_text("utf-8"))
    return seconds


def check_agreement(ours: pd.DataFrame, theirs: pd.DataFrame, name: str) -> float:
    """Return the largest difference of a feature, in its own deviations; stop where it is large."""
    columns = [column for column in ours if column != "date"]
    if set(columns) != set(theirs) - {"date"} or len(ours) != len(theirs):
        raise SystemExit(f"{name}: {len(theirs.columns)} columns of {len(theirs)} days")
    worst = 0.0
    for column in columns:
        own, other = ours[column].to_numpy(float), theirs[column].to_numpy(float)
        if (np.isnan(own) != np.isnan(other)).any():
            raise SystemExit(f"{name}: {column} is missing on other days")
        gap = np.nanmax(np.abs(own - other)) / (np.nanstd(own) or 1.0)
        worst = max(worst, float(gap))
    if not worst <= TOLERANCE:
        raise SystemExit(f"{name}: differs by {worst:.1e}")
    return worst


@dataclass(frozen=True, slots=True)
class Race:
    """The feature stage in three languages."""

    ours: Seconds
    models: Mapping[str, float]
    polars: Seconds
    pandas: Seconds
    gap: float
    versions: str


def run_race(folder: Path, rounds: int) -> Race:
    """Return the race on the lake in ``folder``, whose build has left its models."""
    frames = run_frames(folder, rounds)
    ours, features, models = time_stage(folder, rounds)
    gaps = [
        check_agreement(features, pd.read_parquet(folder / f"{name}.parquet"), name)
        for name in ("polars", "pandas")
    ]
    polars, pandas = Seconds(*frames["polars"]), Seconds(*frames["pandas"])
    return Race(ours, models, polars, pandas, max(gaps), str(frames["versions"]))


def page(builds: Mapping[str, Build], races: Mapping[str, Race]) -> str:
    """Return the section of docs/performance.md."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        BEGIN,
        "## Warehouse",
        "",
        f"Written by `python -m benchmarks.warehouse` on {machine}, DuckDB {duckdb.__version__}.",
        f"`dbt build` of every model without tests, dbt's own start included, {THREADS} threads,",
        f"`memory_limit` {MEMORY}; five facts, 1 % of the rows missing. Peak is of the process.",
        "Sizes that are not listed were not run.",
        "",
        "| lake | rows a fact | seconds | rows a second | peak MB |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {SIZES[name].title} | {b.rows:,} | {b.seconds:,.1f} | {b.rows / b.seconds:,.0f} "
            f"| {b.peak_mb:,.0f} |"
            for name, b in builds.items()
        ),
        "",
        *_where_time_goes({SIZES[name].title: b.models for name, b in builds.items()}),
    ]
    if races:
        first = next(iter(races.values()))
        lines += [
            "",
            "The feature stage alone, from the facts as known to all of `fct_features_daily`, in",
            f"memory without a limit, as for {first.versions}. Ours writes a row an asset",
            "and day on the way, for the book, and looks for late and revised keys, of which this",
            "lake has none; theirs keep nothing else and take every value for the last word.",
            "Ratios are theirs over ours, clock and processor time: above 1 ours is faster. They",
            "are medians of one run; processor time says more where a machine does other work.",
            "The gap is the largest difference of a feature, in its own standard deviations.",
            "",
            "| lake | ours | Polars | pandas | gap |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {SIZES[name].title} | {r.ours.wall:.2f} s, {r.ours.cpu:.2f} s "
                f"| {_ratio(r.polars, r.ours)} | {_ratio(r.pandas, r.ours)} | {r.gap:.0e} |"
                for name, r in races.items()
            ),
            "",
            *_where_time_goes({SIZES[name].title: r.models for name, r in races.items()}),
        ]
    return "\n".join([*lines, END])


def _ratio(theirs: Seconds, ours: Seconds) -> str:
    return f"{theirs.wall / ours.wall:.2f}x, {theirs.cpu / ours.cpu:.2f}x ({theirs.wall:.2f} s)"


def _where_time_goes(models: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return one line per lake: its slowest models and their share of the models' time."""
    lines = ["Where the time goes, share of the models' seconds:", ""]
    for title, seconds in models.items():
        total = sum(seconds.values())
        slowest = sorted(seconds, key=lambda name: -seconds[name])[:6]
        shares = ", ".join(f"`{name}` {100 * seconds[name] / total:.0f} %" for name in slowest)
        lines.append(f"* {title}: {shares}")
    return lines


def main(argv: Sequence[str]) -> None:
    """Run the sizes asked for and publish the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=", ".join(SIZES))
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.build:
        build_here(asked.build)
        return
    builds: dict[str, Build] = {}
    races: dict[str, Race] = {}
    for name in asked.sizes or SIZES:
        size = SIZES[name]
        with tempfile.TemporaryDirectory(prefix="bench.", dir=ROOT / ".cache") as scratch:
            folder = make_lake(Path(scratch) / "lake", size)
            say(f"{size.title}: building")
            builds[name] = measure_build(folder)
            say(f"{size.title}: built in {builds[name].seconds:.1f} s")
            if size.rounds:
                races[name] = run_race(folder, size.rounds)
                say(f"{size.title}: {races[name]}")
    section = page(builds, races)
    publish(section, BEGIN, END)
    say(section)


if __name__ == "__main__":
    main(sys.argv[1:])
