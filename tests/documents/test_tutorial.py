"""The tutorial, done: its blocks are applied to a copy of the project and the copy is run."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import pandas as pd
import pytest

from tests.fixtures.lakes import make_lake

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
NEEDED = ("pipelines", "dbt_project", "expectations", "dags", "requirements")
BLOCK = re.compile(
    r"(?:^`(?P<path>[^`]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
FIRST, N_DAYS = date(2024, 1, 1), 100
ASOF = FIRST + timedelta(days=N_DAYS - 1)
EASY = "min_mcap_usd=0 min_volume_usd=0 alt_selection.enabled=false min_names=3".split()

DAG = """
import sys
from airflow.models.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
print("RESULT", bag.dags["daily_signal"].schedule.expression)
"""


def apply_diff(copy, text):
    """Replace the lines with a minus by those with a plus; the rest is context, found once."""
    target, *lines = text.splitlines()
    path = copy / target.removeprefix("--- ")
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
    before = path.read_text("utf-8")
    assert before.count(old) == 1, f"the tutorial no longer fits {target}"
    path.write_text(before.replace(old, new), "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the project with every block of the tutorial applied."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name in NEEDED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("target", "logs"))
    for block in BLOCK.finditer(TUTORIAL.read_text("utf-8")):
        if block["kind"] == "diff":
            apply_diff(folder, block["text"])
        else:
            assert block["path"], f"a {block['kind']} block says no file"
            assert not (folder / block["path"]).exists()
            (folder / block["path"]).write_text(block["text"], "utf-8")
    return folder


def call(copy, *command, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAM_", "AIRFLOW"))}
    environment |= {
        "PYTHONPATH": str(copy / "pipelines"),
        "MAM_DATA_DIR": str(copy / "data"),
        "OMP_NUM_THREADS": "1",
        **{name: str(value) for name, value in variables.items()},
    }
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake")
    return make_lake(folder, 3, 9, N_DAYS, start=FIRST, missing_funding=0.3, known_at=False)


@pytest.fixture(scope="module")
def signal(copy, lake):
    """Return the run folder of the copy's signal."""
    sets = [part for text in EASY for part in ("--set", f"universe.{text}")]
    flags = ["--asof", ASOF, "--data-lake", lake, "--out", copy / "run"]
    call(copy, "-m", "majors_alts_monitor.signals", *flags, *sets)
    return copy / "run"


def warehouse_of(copy):
    (built,) = (copy / "data" / "cache" / "warehouse").glob("*.duckdb")
    return duckdb.connect(str(built), read_only=True)


@pytest.mark.dbt
def test_the_feature_is_in_the_mart_as_the_model_says(copy, lake, signal):
    prices = pd.read_parquet(lake / "fact_price.parquet")
    closes = prices.pivot_table(index="date", columns="asset_id", values="close")
    mean_return = (closes / closes.shift(1) - 1)[["BTC", "ETH"]].rolling(7).mean()
    expected = (mean_return["BTC"] - mean_return["ETH"]).to_numpy()

    with warehouse_of(copy) as con:
        built = con.execute("select * from marts.fct_btc_lead_daily order by date").df()

    assert built["raw_btc_lead"].to_numpy() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    last = expected[-60:]
    z = (last[-1] - last.mean()) / last.std(ddof=1)
    assert built["z_btc_lead"].iloc[-1] == pytest.approx(z)


@pytest.mark.dbt
def test_the_feature_enters_the_score_with_the_configured_weight(signal):
    document = json.loads((signal / "signals_today.json").read_text("utf-8"))
    config = json.loads((signal / "manifest.json").read_text("utf-8"))["config"]

    (own,) = [part for part in document["contributions"] if part["group"] == "btc_lead"]

    assert config["regime"]["weights"]["btc_lead"] == 0.05
    assert config["regime"]["directions"]["btc_lead"] == 1
    assert own["contribution"] != 0
    assert own["contribution"] * own["z"] > 0


@pytest.mark.dbt
def test_the_universe_rule_excludes_for_its_own_reason(copy, lake, signal):
    funding = pd.read_parquet(lake / "fact_funding.parquet")
    today = funding[pd.to_datetime(funding["date"]) == pd.Timestamp(ASOF)]
    paying = set(today.loc[today["funding_rate"] < 0, "asset_id"])

    with warehouse_of(copy) as con:
        found = con.execute(
            "select asset_id, exclusion_reason from marts.fct_universe_daily where date = ?", [ASOF]
        ).fetchall()

    excluded = {asset for asset, reason in found if reason == "carry"}
    assert excluded
    assert excluded == paying - {"BTC", "ETH"}
    assert any(reason is None for _, reason in found)


class Kraken(BaseHTTPRequestHandler):
    """One bar a day from ``since`` on, closing at 100, 101 and so on."""

    def do_GET(self):
        since = int(parse_qs(urlsplit(self.path).query)["since"][0])
        opened = range(since + 1, since + 1 + 5 * 86_400, 86_400)
        bars = [[s, "1", "1", "1", str(100 + i), "1", "1", 1] for i, s in enumerate(opened)]
        body = json.dumps({"error": [], "result": {"PAIR": bars, "last": 0}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def test_the_vendor_s_closes_are_archived_and_enter_the_lake(copy):
    server = HTTPServer(("127.0.0.1", 0), Kraken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    data = copy / "kraken_data"
    try:
        call(
            copy,
            *("-m", "lake_ingest.fetch_kraken", "--start", "2024-03-01", "--end", "2024-03-03"),
            KRAKEN_BASE_URL=f"http://127.0.0.1:{server.server_port}",
            MAM_DATA_DIR=data,
            MAM_NOW="2024-03-05T00:50:00Z",
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    (file,) = (data / "curated" / "data_lake").glob("fact_price/**/*.parquet")
    rows = pd.read_parquet(file)
    assert set(rows["asset_id"]) == {"BTC", "ETH", "SOL"}
    assert set(rows["source"]) == {"kraken"}
    bitcoin = rows[rows["asset_id"] == "BTC"].sort_values("date")
    assert bitcoin["close"].tolist() == [100.0, 101.0, 102.0]
    assert list((data / "bronze" / "kraken").rglob("*.jsonl.gz"))


@pytest.mark.airflow
def test_the_schedule_is_an_hour_later_and_so_is_the_watchdog(copy):
    said = call(
        copy,
        *("-W", "ignore", "-c", DAG, copy / "dags" / "daily_signal.py"),
        AIRFLOW_HOME=copy / "airflow",
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{copy / 'airflow.db'}",
    )
    due = "from pipeline_kit.watchdog import day_due; from datetime import datetime as d, UTC"

    day = call(copy, "-c", f"{due}; print(day_due(d(2024, 1, 3, 2, 29, tzinfo=UTC)))")

    assert "RESULT 50 1 * * *" in said
    assert datetime.fromisoformat(day.strip()).date() == date(2024, 1, 1)
