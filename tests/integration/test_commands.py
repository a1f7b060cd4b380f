"""The commands as a user runs them: files, exit codes, one line on stderr, equal bytes."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import date
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.outputs import CSV_COLUMNS, PARQUET_COLUMNS
from tests.fixtures.lakes import make_lake, read_tables, shuffle_rows, write_tables

pytestmark = pytest.mark.dbt
SETTINGS = ["--set", "universe.min_mcap_usd=0", "--set", "universe.min_volume_usd=0"]
SETTINGS += ["--set", "universe.alt_selection.enabled=false", "--set", "universe.min_names=3"]
START, END = "2024-04-10", "2024-06-20"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working directory with its own data folder, shared so that warehouses are built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def lake(home):
    folder = home / "lake"
    make_lake(folder, seed=5, n_assets=10, n_days=190, start=date(2024, 1, 1))
    return folder


def call(home, module, *flags):
    environment = {**os.environ, "MAM_DATA_DIR": str(home / "data"), "OMP_NUM_THREADS": "1"}
    environment.pop("MAM_NOW", None)
    return subprocess.run(
        [sys.executable, "-m", f"majors_alts_monitor.{module}", *map(str, flags)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(home, lake, out, *flags, start=START, end=END):
    span = ["--start", start, "--end", end]
    return call(home, "run", *span, "--data-lake", lake, "--out", out, *SETTINGS, *flags)


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def without_durations(folder):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest.pop("durations")
    return manifest


@pytest.fixture(scope="module")
def finished(home, lake):
    before = bytes_of(lake)
    done = run(home, lake, home / "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert bytes_of(lake) == before
    return home / "run"


def test_the_folder_has_every_file_of_the_contract_with_its_columns(finished):
    for stem, columns in CSV_COLUMNS.items():
        assert pd.read_csv(finished / f"{stem}.csv", nrows=0).columns.tolist() == columns
    for stem, columns in PARQUET_COLUMNS.items():
        assert pd.read_parquet(finished / f"{stem}.parquet").columns.tolist() == columns
    for name in ("kpis.json", "signals_today.json", "manifest.json", "features_wide.parquet"):
        assert (finished / name).is_file()
    n_days = (pd.Timestamp(END) - pd.Timestamp(START)).days + 1
    assert len(pd.read_parquet(finished / "features_wide.parquet")) == n_days
    assert len(pd.read_csv(finished / "bt_daily_pnl.csv")) == n_days


def test_the_package_readme_lists_every_file_of_a_run(finished):
    readme = resources.files("majors_alts_monitor").joinpath("README.md").read_text("utf-8")

    assert [p.name for p in finished.iterdir() if f"`{p.name}`" not in readme] == []


def test_the_book_trades_and_every_day_adds_up(finished):
    daily = pd.read_csv(finished / "bt_daily_pnl.csv")
    positions = pd.read_parquet(finished / "bt_positions.parquet")

    assert (daily["total_gross"] > 0).sum() > 5
    gross = daily["pnl_alts"] + daily["pnl_btc"] + daily["pnl_eth"]
    costs = daily["fees"] + daily["slippage"] + daily["impact"]
    net = gross + daily["funding_alts"] + daily["funding_majors"] - costs
    np.testing.assert_allclose(net, daily["r_ls_net"], atol=1e-12)
    equity = pd.read_csv(finished / "bt_equity_curve.csv")
    np.testing.assert_allclose((1 + daily["r_ls_net"]).cumprod(), equity["equity"], atol=1e-12)
    by_day = positions.groupby("date")[["pnl_price", "pnl_funding", "fee", "slippage"]].sum()
    told = daily.assign(date=pd.to_datetime(daily["date"]).dt.date).set_index("date")
    told = told.loc[by_day.index]
    np.testing.assert_allclose(by_day["pnl_price"], told["r_ls_gross"], atol=1e-12)
    np.testing.assert_allclose(by_day["fee"], told["fees"], atol=1e-12)


def test_the_same_rows_in_another_order_give_the_same_bytes(home, lake, finished):
    shuffled = shuffle_rows(lake, home / "shuffled", seed=1)

    done = run(home, shuffled, home / "again")

    assert done.returncode == 0, done.stderr
    first, second = bytes_of(finished), bytes_of(home / "again")
    assert {k: v for k, v in first.items() if k != "manifest.json"} == {
        k: v for k, v in second.items() if k != "manifest.json"
    }
    assert without_durations(finished) == without_durations(home / "again")


def test_signals_and_run_agree_on_the_last_day(home, lake, finished):
    flags = ["--asof", END, "--data-lake", lake, "--out", home / "signal", *SETTINGS]

    done = call(home, "signals", *flags)

    assert done.returncode == 0, done.stderr
    live = json.loads((home / "signal" / "signals_today.json").read_text("utf-8"))
    tested = json.loads((finished / "signals_today.json").read_text("utf-8"))
    assert {k: v for k, v in live.items() if k != "run_id"} == {
        k: v for k, v in tested.items() if k != "run_id"
    }
    timeline = pd.read_csv(finished / "regime_timeline.csv")
    assert timeline["regime"].iloc[-1] == live["regime"]


def test_a_later_start_changes_no_weight(home, lake, finished):
    done = run(home, lake, home / "late", start="2024-05-20")

    assert done.returncode == 0, done.stderr
    columns = ["date", "asset_id", "action", "target_weight"]
    whole = pd.read_parquet(finished / "bt_decisions.parquet")[columns]
    late = pd.read_parquet(home / "late" / "bt_decisions.parquet")[columns]
    tail = whole[whole["date"] >= pd.Timestamp("2024-05-20").date()].reset_index(drop=True)
    pd.testing.assert_frame_equal(tail, late)


def test_reproduce_finds_every_file_identical(home, finished):
    done = call(home, "reproduce", finished)  # which lake it was is remembered

    assert done.returncode == 0, done.stderr
    assert "DIFFERENT" not in done.stdout
    assert done.stdout.count("identical") == len(without_durations(finished)["outputs"])


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--set", "universe.baskt_size=3"], 2, ["baskt_size", "did you mean"]),
        (["--set", "execution.lag_days=99"], 2, ["lag_days"]),
        (["--config", "absent.yaml"], 2, ["absent.yaml"]),
        (["--known-at", "yesterday"], 2, ["--known-at"]),
    ],
)
def test_a_wrong_setting_ends_with_2_and_one_line(home, lake, flags, code, words):
    done = run(home, lake, home / "never", *flags)

    assert done.returncode == code
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words)
    assert not (home / "never").exists()


def test_days_outside_the_lake_end_with_1(home, lake):
    late = run(home, lake, home / "never", end="2024-12-31")
    early = run(home, lake, home / "never", start="2020-01-01")
    backwards = run(home, lake, home / "never", start=END, end=START)

    assert (late.returncode, early.returncode, backwards.returncode) == (1, 1, 2)
    assert "last complete day" in late.stderr
    assert "first day" in early.stderr
    assert not (home / "never").exists()


def break_price(tables):
    tables["fact_price"].loc[3, "close"] = -1.0


def repeat_a_key(tables):
    tables["fact_volume"] = pd.concat([tables["fact_volume"], tables["fact_volume"].head(1)])


def lose_a_table(tables):
    del tables["fact_marketcap"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_price, ["fact_price"]),
        (repeat_a_key, ["fact_volume"]),
        (lose_a_table, ["fact_marketcap"]),
    ],
)
def test_a_broken_lake_ends_with_1_and_names_the_table(home, lake, tmp_path, damage, words):
    tables = read_tables(lake)
    damage(tables)
    write_tables(tmp_path / "broken", tables)

    done = run(home, tmp_path / "broken", tmp_path / "out")

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_strangers_in_it_is_left_alone(home, lake, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")

    done = run(home, lake, tmp_path)

    assert done.returncode == 2
    assert "thesis.txt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
