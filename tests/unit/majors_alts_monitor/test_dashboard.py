"""The page: numbers of the tables, nothing from outside, and every state it can be in."""

import json
import re
from dataclasses import replace

import pytest

from majors_alts_monitor.dashboard import render_dashboard, robustness_rows
from majors_alts_monitor.evidence import caveats
from tests.fixtures.runs import make_run

HOSTILE = "<img src=x onerror=alert(1)>"


def without_library(page):
    """Return the page without the script of the chart library."""
    return re.sub(r"<script>/\*\*.*?</script>", "", page, count=1, flags=re.DOTALL)


@pytest.fixture(scope="module")
def page():
    return render_dashboard(make_run())


def test_the_numbers_on_the_page_are_those_of_the_tables(page):
    for shown in (
        "1.23",
        "[-0.40, 2.80]",
        "4.6%",
        "12.3%",
        "-6.4%",
        "+21.00%",
        "-19.00%",
        "12,345",
    ):
        assert shown in page
    assert "Since the day before" in page


def test_the_figures_on_the_page_are_the_tables(page):
    text = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL).group(1)
    drawn = json.loads(text)
    run = make_run()
    equity = drawn["figures"]["equity"]["data"][0]
    assert equity["y"] == pytest.approx(run.tables["bt_equity_curve"]["equity"].tolist(), rel=1e-7)
    assert drawn["axes"][equity["x"]][0] == "2024-01-01"


def test_the_page_is_small_and_asks_nothing_of_the_network(page):
    assert len(page.encode()) < 6e6
    own = without_library(page)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", own)
    assert "@import" not in own
    assert "url(" not in own


def test_the_same_run_gives_the_same_bytes(page):
    assert render_dashboard(make_run()) == page


def test_a_hostile_name_stays_text():
    own = render_dashboard(make_run(alt=HOSTILE))
    assert HOSTILE not in own
    assert "&lt;img src=x" in own


def test_synthetic_is_said_and_real_is_not(page):
    run = make_run()
    assert "SYNTHETIC" not in without_library(page)
    marked = render_dashboard(replace(run, manifest={**run.manifest, "is_synthetic": True}))
    assert marked.count("SYNTHETIC") >= 2


def test_a_run_without_trades_interval_and_evidence_is_a_page():
    run = make_run(20, has_trades=False)
    kpis = {name: None if "sharpe" in name or "beta" in name else v for name, v in run.kpis.items()}
    kpis["exposure_share"] = 0.0
    signal = {
        **run.signal,
        "target_weights": {},
        "betas": {},
        "score": None,
        "data_status": "stale",
    }
    tables = {name: t for name, t in run.tables.items() if name not in {"rank_ic", "gate_value"}}
    bare = replace(run, kpis=kpis, signal=signal, tables=tables)
    own = render_dashboard(bare)
    for said in ("the book is flat", "No trade in the range", "Data is stale", "not held against"):
        assert said in own
    assert "[n/a, n/a]" in own


def test_what_may_be_wrong_follows_from_the_tables():
    said = " ".join(caveats(make_run()))
    for words in (
        "holds 0",
        "momentum: the configured direction -1 disagrees",
        "in 32.5% of cases",
        "0 of 120 days",
        "Funding is missing for 50.0%",
        "back-filled",
        "impact is switched off",
    ):
        assert words in said


def test_a_book_that_was_not_neutral_is_named():
    run = make_run()
    said = caveats(replace(run, kpis={**run.kpis, "realised_beta_btc_ci_low": 0.001}))
    assert any("not neutral to BTC" in line for line in said)


def test_robustness_is_shown_only_where_it_is():
    run = make_run()
    assert robustness_rows(run) is None
    table = run.tables["regime_dwell"][["regime", "mean_days"]]
    shown = robustness_rows(replace(run, tables={**run.tables, "robustness": table}))
    assert shown == {"head": ["regime", "mean_days"], "rows": [["BALANCED", "15.0000"]]}
