"""Audit, replay, comparison and explanation over one small lake and one dbt build."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from majors_alts_monitor import replay as replay_module
from majors_alts_monitor.audit import audit_lake, write_audit
from majors_alts_monitor.compare_runs import compare, recorded
from majors_alts_monitor.config import load_config
from majors_alts_monitor.errors import CausalityError, ConfigError, ReproductionError
from majors_alts_monitor.explain import answers, explain
from majors_alts_monitor.outputs import read_run
from majors_alts_monitor.replay import replay_day, text
from majors_alts_monitor.run import Request, prepare, run_backtest
from tests.fixtures.lakes import make_lake

pytestmark = pytest.mark.dbt
END = date(2024, 6, 20)
SETTINGS = [
    "universe.min_mcap_usd=0",
    "universe.min_volume_usd=0",
    "universe.alt_selection.enabled=false",
    "universe.min_names=3",
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
    lake = make_lake(home / "lake", seed=5, n_assets=8, n_days=172, start=date(2024, 1, 1))
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
    monkeypatch.setattr(replay_module, "day_config", lambda: dearer)
    replayed = replay_day(END, run_dir=request_a.out, lake=request_a.lake)
    assert replayed.config_keys == ("costs.slippage_bps",)
    assert replayed.broken == ()


def test_an_explanation_goes_from_the_weight_to_the_lakes_rows(request_a):
    lines = "\n".join(explain(prepare(replace(request_a, command="signals")), "BTC", None))

    for word in ("BTC: weight", "scale", "universe: not eligible, major", "fact_price 2024-06-20"):
        assert word in lines
    with pytest.raises(ConfigError):
        explain(prepare(request_a), "NOSUCH", None)


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

    found = answers(tmp_path, "BTC", {"source": "binance", "known_at": known_at})

    assert len(found) == 1
    assert "2024-06-21T00:50:00" in found[0]
    assert "sha256 ab" in found[0]


def test_a_leak_becomes_one_line_that_names_where(request_a, monkeypatch):
    from majors_alts_monitor.audit import Audit
    from majors_alts_monitor.causality import Leak

    leak = Leak("2024-05-01", "truncated", "fct_t", "2024-04-30", "x", "BTC", "1.0", "2.0")
    audit = Audit(END, END, (END,), {}, "0", (leak,))

    with pytest.raises(CausalityError, match=r"fct_t\.x of 2024-04-30 \(BTC\), truncated at"):
        audit.raise_for_leaks()
