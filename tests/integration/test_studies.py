"""The studies as a user runs them: one command, a table, CSV, a page, and trials in the ledger."""

import json
import os
import subprocess
import sys
from datetime import date

import pandas as pd
import pytest

from tests.fixtures.lakes import make_lake

pytestmark = pytest.mark.dbt
SETTINGS = ["--set", "universe.min_mcap_usd=0", "--set", "universe.min_volume_usd=0"]
SETTINGS += ["--set", "universe.alt_selection.enabled=false", "--set", "universe.min_names=3"]
SPAN = ["--start", "2024-04-10", "--end", "2024-06-20"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    make_lake(folder / "lake", seed=5, n_assets=10, n_days=190, start=date(2024, 1, 1))
    return folder


def study(home, name, *flags):
    environment = {**os.environ, "MAM_DATA_DIR": str(home / "data"), "OMP_NUM_THREADS": "1"}
    environment.pop("MAM_NOW", None)
    return subprocess.run(
        [sys.executable, "-m", f"majors_alts_monitor.studies.{name}", *map(str, flags)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def compared(home):
    out = home / "compared"
    flags = [*SPAN, "--data-lake", home / "lake", "--out", out, *SETTINGS]
    done = study(home, "compare_baseline_vs_enhanced", *flags)
    assert done.returncode == 0, done.stderr
    return done, out


def test_baseline_against_enhanced_writes_tables_a_page_and_two_trials(home, compared):
    done, out = compared
    board = pd.read_csv(out / "leaderboard.csv")
    assert sorted(board["member"]) == ["baseline", "enhanced"]
    assert (out / "index.html").read_text("utf-8").rstrip().endswith("</html>")
    difference = pd.read_csv(out / "sharpe_difference.csv")
    sharpes = board.set_index("member")["sharpe"]
    gap = sharpes["enhanced"] - sharpes["baseline"]
    assert difference["sharpe_difference"].iloc[0] == pytest.approx(gap, abs=1e-9, nan_ok=True)
    assert "baseline_vs_enhanced" in done.stdout
    trials = (home / "data" / "ledger" / "trials.jsonl").read_text("utf-8").splitlines()
    assert len({json.loads(line)["run_id"] for line in trials}) == 2


def test_a_run_is_taken_apart_and_its_parts_add_up(home, compared):
    _, folder = compared
    out = home / "analysed"
    run = folder / "members" / "enhanced"
    done = study(home, "analyze_backtest_results", run, "--out", out)
    assert done.returncode == 0, done.stderr
    total = pd.read_csv(run / "bt_daily_pnl.csv")["r_ls_net"].sum()
    for name, column in (("by_regime", "r_ls_net"), ("by_month", "r_ls_net"), ("by_asset", "net")):
        rows = pd.read_csv(out / f"{name}.csv")
        assert rows[column].iloc[:-1].sum() == pytest.approx(total, abs=1e-9)
    assert (out / "equity.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_with_other_files_is_left_alone(home):
    (home / "mine").mkdir()
    (home / "mine" / "letter.txt").write_text("keep", "utf-8")
    flags = [*SPAN, "--data-lake", home / "lake", "--out", home / "mine"]
    done = study(home, "basket_sizes", *flags)
    assert done.returncode == 2
    assert "name an empty folder" in done.stderr
    assert [path.name for path in (home / "mine").iterdir()] == ["letter.txt"]
