"""Audit, replay, comparison and explanation over one small lake and one dbt build."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from majors_alts_monitor import replay as replay_module
from majors_alts_monitor.audit import audit_lake, write_audit
from majors_alts_monitor.compare_runs import changes, compare, recorded
from majors_alts_monitor.config import load_config
from majors_alts_monitor.errors import CausalityError, ConfigError, ReproductionError
from majors_alts_monitor.explain import answers, from_files
from majors_alts_monitor.explanation import explain
from majors_alts_monitor.outputs import read_run
from majors_alts_monitor.replay import replay_day, text
from majors_alts_monitor.run import Request, prepare, run_backtest, signal_document
from tests.fixtures.lakes import make_lake

pytestmark = pytest.mark.dbt
ROOT = Path(__file__).parents[2]
END = date(2024, 6, 20)
SETTINGS = [
    "universe.min_mcap_usd=0",
    "universe.min_volume_usd=0",
    "universe.alt_selection.enabled=false",
    "universe.min_names=3",
    "universe.min_listing_days=1",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data folder of our own, so that the warehouse is built once for all tests."""
    folder = tmp_path_factory.mktemp("trust")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAM_DATA_DIR", str(folder / "data"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def request_a(home):
    lake = make_lake(
        home / "lake", seed=5, n_assets=8, n_days=172, start=date(2024, 1, 1), instruments=True
    )
    return Request(
        command="run",
        start=date(2024, 4, 10),
        end=END,
        config=load_config(overrides=SETTINGS),
        lake=lake,
        out=home / "a",
        known_at=None,
    )


@pytest.fixture(scope="module")
def run_a(request_a):
    return read_run(run_backtest(request_a))


def test_a_clean_lake_passes_the_audit_and_the_result_is_the_same_to_the_byte(request_a, home):
    span = (request_a.lake, date(2024, 5, 1), END)
    audit = audit_lake(*span, cuts=2, config=request_a.config, workers=1)

    audit.raise_for_leaks()
    assert len(audit.cuts) == 2
    first, again = (write_audit(audit, home / name) for name in ("audit1", "audit2"))
    for name in ("audit.json", "audit.html"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert json.loads((first / "audit.json").read_text())["is_clean"] is True


def test_an_audit_of_no_day_is_a_usage_problem(request_a):
    with pytest.raises(ConfigError):
        audit_lake(request_a.lake, END, date(2024, 5, 1))


def test_the_run_leaves_its_state_and_the_next_day_gives_the_same_decision(
    run_a, request_a, monkeypatch
):
    assert "state.json" in run_a.manifest["outputs"]
    monkeypatch.setattr(replay_module, "day_config", lambda: request_a.config)

    replayed = replay_day(END, run_dir=request_a.out, lake=request_a.lake)

    assert replayed.broken == ()
    assert replayed.changed == ()
    assert replayed.causes == ()
    assert "bit-equal" in text(replayed)
    assert {order["contract"] for order in run_a.signal["orders"]} > {"BTC", "ETH"}


def test_a_contract_under_another_name_is_a_cause_and_no_broken_decision(
    run_a, request_a, home, monkeypatch
):
    monkeypatch.setattr(replay_module, "day_config", lambda: request_a.config)
    lake = home / "renamed"
    shutil.copytree(request_a.lake, lake)
    perps = pd.read_parquet(lake / "dim_instrument.parquet")
    perps.assign(base_symbol="1000" + perps["base_symbol"]).to_parquet(
        lake / "dim_instrument.parquet"
    )

    replayed = replay_day(END, run_dir=request_a.out, lake=lake)

    assert replayed.broken == ()
    assert replayed.changed == ("orders",)
    assert replayed.causes == ("data: another dim_instrument",)


def test_a_published_decision_that_the_inputs_do_not_give_is_named(run_a, request_a, monkeypatch):
    monkeypatch.setattr(replay_module, "day_config", lambda: request_a.config)
    monkeypatch.setattr(
        replay_module, "read_run", lambda _: replace(run_a, signal={**run_a.signal, "score": 9.0})
    )

    replayed = replay_day(END, run_dir=request_a.out, lake=request_a.lake)

    assert replayed.broken == ("score",)
    with pytest.raises(ReproductionError, match="score"):
        replayed.raise_if_broken()


def test_a_change_of_the_configuration_is_named_and_explains_the_whole_change(
    run_a, request_a, home, monkeypatch
):
    dearer = load_config(overrides=[*SETTINGS, "costs.slippage_bps=50"])
    run_b = read_run(run_backtest(replace(request_a, config=dearer, out=home / "b")))

    effects = compare(run_a, run_b, request_a.lake, request_a.lake)

    change = recorded(run_b).sharpe - recorded(run_a).sharpe
    by_cause = {effect.cause: effect.sharpe_change for effect in effects}
    assert by_cause["code"] == 0
    assert by_cause["data"] == 0
    assert by_cause["code of B"] == 0
    assert by_cause["config"] == pytest.approx(change, abs=1e-12)
    assert change < 0
    said = changes(run_a.manifest, run_b.manifest, run_a.manifest["code_version"])
    assert said == ["config: costs.slippage_bps 5.0 -> 50.0"]
    monkeypatch.setattr(replay_module, "day_config", lambda: dearer)
    replayed = replay_day(END, run_dir=request_a.out, lake=request_a.lake)
    assert replayed.config_keys == ("costs.slippage_bps",)
    assert replayed.broken == ()


@pytest.fixture(scope="module")
def revised(request_a, home):
    """The lake in which one close of the last day was revised before its row became final."""
    lake = home / "revised"
    shutil.copytree(request_a.lake, lake)
    prices = pd.read_parquet(lake / "fact_price.parquet")
    row = prices[(prices["asset_id"] == "BTC") & (prices["date"].astype(str) == str(END))]
    later = row.assign(
        close=row["close"] * 1.01,
        known_at=pd.Timestamp(END) + pd.Timedelta(days=1, hours=20),
        known_basis="observed",
    )
    # The revision comes first: the order of rows means nothing.
    pd.concat([later, prices], ignore_index=True).to_parquet(lake / "fact_price.parquet")
    return lake


def test_a_replay_names_the_very_row_that_was_revised_since(run_a, request_a, revised, monkeypatch):
    monkeypatch.setattr(replay_module, "day_config", lambda: request_a.config)

    replayed = replay_day(END, run_dir=request_a.out, lake=revised)

    assert replayed.broken == ()
    assert "score" in replayed.changed or "target_weights" in replayed.changed
    assert replayed.causes == ("data: 1 rows since",)
    (row,) = replayed.arrivals
    assert row.startswith("fact_price BTC 2024-06-20: revised 2024-06-21 20:00, now ")
    assert row in text(replayed)


def test_a_replay_says_when_the_code_is_another(run_a, request_a, monkeypatch):
    monkeypatch.setattr(replay_module, "day_config", lambda: request_a.config)
    monkeypatch.setattr(replay_module, "code_version", lambda: "other")

    replayed = replay_day(END, run_dir=request_a.out, lake=request_a.lake)

    assert replayed.causes == ("code: another version",)
    assert replayed.broken == replayed.changed == ()


@pytest.fixture(scope="module")
def run_b(request_a, revised, home):
    """The backtest on the revised lake."""
    return read_run(run_backtest(replace(request_a, lake=revised, out=home / "on_revised")))


def test_revised_data_explain_the_whole_change(run_a, run_b, request_a, revised):
    effects = compare(run_a, run_b, request_a.lake, revised)

    assert only_cause(effects) == "data"
    assert adds_up(effects, run_a, run_b)


def test_a_comparison_on_another_lake_than_the_runs_is_refused(run_a, run_b, request_a):
    with pytest.raises(ReproductionError, match="fact_price is not what run"):
        compare(run_a, run_b, request_a.lake, request_a.lake)


def test_what_was_revised_before_its_row_was_final_leaves_no_vintage_gap(run_b):
    gap = run_b.tables["vintage_gap"].set_index("vintage")
    assert (gap[["n_revised", "n_missed"]] == 0).all(axis=None)
    assert (gap.loc["difference", ["sharpe", "cagr", "max_drawdown"]] == 0).all()
    assert "Vintage gap: zero, no value was ever revised" in run_b.pages["dashboard.html"]


def test_the_vintage_gap_is_what_lies_between_knowing_in_time_and_not_at_all(
    run_a, run_b, request_a, revised, home
):
    """The same revision, learnt after every row was final.

    Whoever reads what was known then has the lake without it, ``run_a``; whoever reads today's
    history has the lake in which it came in time, ``run_b``.
    """
    lake = home / "too_late"
    shutil.copytree(revised, lake)
    prices = pd.read_parquet(lake / "fact_price.parquet")
    is_last = prices["date"].astype(str) == str(END)
    is_revision = prices["known_at"] == pd.Timestamp(END) + pd.Timedelta(days=1, hours=20)
    assert (is_last & is_revision).sum() == 1
    prices.loc[is_revision, "known_at"] += pd.Timedelta(hours=4)
    prices.to_parquet(lake / "fact_price.parquet")

    request = replace(request_a, lake=lake, out=home / "on_too_late")
    run = read_run(run_backtest(request))

    figures = ["sharpe", "cagr", "max_drawdown"]
    gap = run.tables["vintage_gap"].set_index("vintage")
    assert (gap["n_revised"] == 1).all()
    assert (gap["n_missed"] == 0).all()
    then, today = (pd.Series(r.kpis)[figures].astype(float) for r in (run_a, run_b))
    pd.testing.assert_series_equal(gap.loc["pit", figures], then, check_names=False, rtol=1e-12)
    pd.testing.assert_series_equal(gap.loc["latest", figures], today, check_names=False, rtol=1e-12)
    assert run.kpis["sharpe"] == run_a.kpis["sharpe"] != run_b.kpis["sharpe"]
    # The revised close of BTC, which the book holds, is higher.
    assert gap.loc["difference", "cagr"] > 0
    assert "1 value was revised after the row of the day, 0 came" in run.pages["dashboard.html"]
    first = {p.name: p.read_bytes() for p in request.out.iterdir() if p.name != "manifest.json"}
    run_backtest(request)
    assert first == {
        p.name: p.read_bytes() for p in request.out.iterdir() if p.name != "manifest.json"
    }


def test_other_code_explains_the_whole_change(run_a, request_a, home):
    """B is made by a copy of the package in which every book is half as large."""
    copy = home / "copy"
    shutil.copytree(ROOT / "pipelines", copy / "pipelines")
    for name in ("dbt_project", "requirements", "pyproject.toml"):
        (copy / name).symlink_to(ROOT / name)
    decision = copy / "pipelines" / "majors_alts_monitor" / "backtest" / "decision.py"
    source = decision.read_text()
    halved = source.replace("targets=outlook.book * scale,", "targets=outlook.book * scale / 2,")
    assert halved != source
    decision.write_text(halved)
    sets = [f"--set={pair}" for pair in SETTINGS]
    days = ["--start", str(request_a.start), "--end", str(END)]
    where = ["--data-lake", str(request_a.lake), "--out", str(home / "by_copy")]
    subprocess.run(
        [sys.executable, "-W", "error", "-m", "majors_alts_monitor.run", *days, *where, *sets],
        env=os.environ | {"PYTHONPATH": str(copy / "pipelines")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    run_b = read_run(home / "by_copy")

    effects = compare(run_a, run_b, request_a.lake, request_a.lake)

    assert run_b.manifest["code_version"] != run_a.manifest["code_version"]
    assert only_cause(effects) == "code of B"
    assert adds_up(effects, run_a, run_b)


def only_cause(effects):
    (cause,) = (e.cause for e in effects if e.sharpe_change or e.book_change)
    return cause


def adds_up(effects, run_a, run_b):
    """Return whether the parts make the whole, and there is a whole."""
    a, b = recorded(run_a), recorded(run_b)
    parts = sum(effect.sharpe_change for effect in effects)
    moved = {n: sum(e.book_change.get(n, 0) for e in effects) for n in a.book | b.book}
    wanted = {n: b.book.get(n, 0) - a.book.get(n, 0) for n in a.book | b.book}
    return (
        parts == pytest.approx(b.sharpe - a.sharpe, abs=1e-12)
        and moved == pytest.approx(wanted, abs=1e-12)
        and (a.sharpe, a.book) != (b.sharpe, b.book)
    )


def test_an_explanation_goes_from_the_weight_to_the_imported_file(request_a, run_a):
    prepared = prepare(replace(request_a, command="signals"))
    document = signal_document(prepared)

    lines = "\n".join(explain(prepared, document, "BTC", from_files(prepared, None)))

    for words in (
        "BTC: weight",
        "scale",
        "universe: not eligible, major",
        "alt_breadth: raw_alt_breadth_pct_up",
        "thresholds: strong_low -1.5",
        "lake: fact_price 2024-06-20",
        "no vendor answer: imported with fact_price.parquet, sha256 ",
    ):
        assert words in lines
    with pytest.raises(ConfigError, match="NOSUCH: not in this lake"):
        explain(prepared, document, "NOSUCH", from_files(prepared, None))


def test_the_numbers_on_the_way_multiply_to_the_weight(request_a, run_a):
    prepared = prepare(replace(request_a, command="signals"))
    book = run_a.signal["target_weights"]

    blocks = "\n".join(explain(prepared, run_a.signal, None, from_files(prepared, None)))

    found = {block.split(":")[0]: block for block in blocks.split("\n\n") if ": weight" in block}
    assert found.keys() == book.keys()
    for asset, block in found.items():
        number = {
            name: float(value)
            for name, value in re.findall(
                r"(held:|scale|before scaling|share|leg|over \d+ ALTs, left over"
                r"|ALT exposure to \w+) ([-+]?[0-9.]+)",
                block,
            )
        }
        decided = number.get("held:", book[asset])
        unscaled = number["before scaling"]
        assert number["scale"] * unscaled == pytest.approx(decided, abs=2e-6)
        if asset in ("BTC", "ETH"):
            parts = re.findall(r"([-+][0-9.]+) x beta ([-0-9.]+)", block)
            exposure = sum(float(weight) * float(beta) for weight, beta in parts)
            assert exposure == pytest.approx(number[f"ALT exposure to {asset}"], abs=2e-4)
            assert -exposure == pytest.approx(unscaled, abs=2e-4)
        else:
            assert -number["share"] * number["leg"] == pytest.approx(unscaled, abs=2e-6)


def test_the_page_of_a_run_ends_at_the_content_of_its_lake(request_a, run_a):
    sha256 = run_a.manifest["inputs"]["fact_price"]["sha256"]

    assert set(run_a.signal["target_weights"]) > {"BTC", "ETH"}
    for asset in run_a.signal["target_weights"]:
        assert f"<summary>{asset}: weight " in run_a.pages["explain.html"]
    assert f"content of fact_price: sha256 {sha256}" in run_a.pages["explain.html"]
    assert str(request_a.lake) not in run_a.pages["explain.html"]


def test_the_answers_behind_a_row_are_its_vendors_about_the_asset_and_in_time(tmp_path):
    folder = tmp_path / "binance" / "2024-06-21"
    folder.mkdir(parents=True)
    kept = {"vendor": "binance", "path": "/klines", "status": 200, "sha256": "ab", "body": ""}
    records = [
        {**kept, "params": {"symbol": "BTCUSDT"}, "fetched_at": "2024-06-21T00:50:00+00:00"},
        {**kept, "params": {"symbol": "BTCUSDT"}, "fetched_at": "2024-06-21T09:00:00+00:00"},
        {**kept, "params": {"symbol": "ETHUSDT"}, "fetched_at": "2024-06-21T00:50:00+00:00"},
        {**kept, "params": {"symbol": "BTCUSDT"}, "status": 500, "fetched_at": "2024-06-21T00:49"},
    ]
    with gzip.open(folder / "run-0.jsonl.gz", "wt") as f:
        f.writelines(json.dumps(record) + "\n" for record in records)
    known_at = datetime(2024, 6, 21, 0, 50, tzinfo=UTC)

    found = answers(tmp_path, "BTC", {"source": "binance", "known_from": known_at})

    assert len(found) == 1
    assert "2024-06-21T00:50:00" in found[0]
    assert "sha256 ab" in found[0]


@pytest.mark.parametrize(
    ("fact", "asset", "basis", "path", "params"),
    [
        ("fact_marketcap", "BTC", "observed", "/coins/bitcoin/market_chart/range", {}),
        ("fact_price", "PEPE", "observed", "/fapi/v1/klines", {"symbol": "1000PEPEUSDT"}),
        ("fact_funding", "BTC", "assumed", "/fapi/v1/fundingRate", {"symbol": "BTCUSDT"}),
    ],
)
def test_the_answers_name_the_asset_as_their_vendor_does(
    tmp_path, fact, asset, basis, path, params
):
    """By CoinGecko's id, by a multiplied contract, and as history fetched long after."""
    vendor = "coingecko" if path.startswith("/coins") else "binance"
    folder = tmp_path / vendor / ("2024-06-21" if basis == "observed" else "2024-09-09")
    folder.mkdir(parents=True)
    kept = {"vendor": vendor, "status": 200, "sha256": "ab", "body": "", "params": {}}
    kept["fetched_at"] = f"{folder.name}T00:50:00+00:00"
    coins = json.dumps([{"id": "bitcoin", "symbol": "btc"}])
    records = [
        {**kept, "path": "/coins/markets", "body": coins, "sha256": "no"},
        {**kept, "path": "/coins/markets", "body": "<html>", "sha256": "no"},
        {**kept, "path": path, "params": params},
        {**kept, "path": "/fapi/v1/klines", "params": {"symbol": "BTCDOMUSDT"}, "sha256": "no"},
        {**kept, "path": "/fapi/v1/openInterest", "params": {"symbol": "BTCUSDT"}, "sha256": "no"},
    ]
    with gzip.open(folder / "run-0.jsonl.gz", "wt") as f:
        f.writelines(json.dumps(record) + "\n" for record in records)
    known_at = datetime(2024, 6, 21, 0, 50, tzinfo=UTC)
    row = {"fact": fact, "source": vendor, "known_from": known_at, "known_basis": basis}

    (found,) = answers(tmp_path, asset, row)

    assert path in found
    assert "sha256 ab" in found


def test_a_leak_becomes_one_line_that_names_where(request_a, monkeypatch):
    from majors_alts_monitor.audit import Audit
    from majors_alts_monitor.causality import Leak

    leak = Leak("2024-05-01", "truncated", "fct_t", "2024-04-30", "x", "BTC", "1.0", "2.0")
    audit = Audit(END, END, (END,), {}, "0", (leak,))

    with pytest.raises(CausalityError, match=r"fct_t\.x of 2024-04-30 \(BTC\), truncated at"):
        audit.raise_for_leaks()
