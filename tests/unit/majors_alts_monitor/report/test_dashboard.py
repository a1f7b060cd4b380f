"""The page: numbers of the tables, nothing from outside, and every state it can be in."""

import json
import re
from dataclasses import replace

import pytest

from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.report.dashboard import freshness_rows, render_dashboard, robustness_rows
from majors_alts_monitor.report.evidence import caveats, notices
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
    assert equity["y"] == pytest.approx(run.tables["bt_equity_curve"]["equity"].tolist(), rel=1e-5)
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
    assert "Real market data" in page
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


def test_robustness_rows_are_those_of_the_table_and_the_configured_is_named():
    run = make_run()
    rows = robustness_rows(run)
    assert rows[0] == ["lag", "1 day (configured)", "1.23", "[-0.50, 2.50]", "3.0%", "-7.0%"]
    assert rows[3][1] == "10M USD"
    assert robustness_rows(without(run, "robustness")) == []


def test_freshness_names_what_is_late():
    run = make_run()
    (row,) = freshness_rows(run)
    assert (row["age"], row["is_late"], row["assets"]) == ("today", "", "48 of 50")
    assert (row["observed"], row["assumed"], row["revised"]) == ("10.0%", "90.0%", "17")
    late = run.tables["data_health"].assign(age_days=2)
    (row,) = freshness_rows(replace(run, tables={**run.tables, "data_health": late}))
    assert (row["age"], row["is_late"]) == ("2 days old", "late")


def without(run, *names):
    return replace(run, tables={k: t for k, t in run.tables.items() if k not in names})


def changed(run, table, **columns):
    return replace(run, tables={**run.tables, table: run.tables[table].assign(**columns)})


def test_a_good_day_has_no_notice(page):
    assert notices(make_run()) == []
    assert 'class="notice"' not in page


def test_stale_data_is_said_with_the_newest_price():
    run = make_run()
    (said,) = notices(replace(run, signal={**run.signal, "data_status": "stale"}))
    assert said.startswith("Data is stale")
    assert "The newest price is of 2024-04-29." in said


def test_a_degraded_day_names_the_missing_group():
    run = make_run()
    parts = [dict(part) for part in run.signal["contributions"]]
    parts[0] |= {"z": None, "contribution": None}
    signal = {**run.signal, "contributions": parts, "data_status": "degraded"}
    (said,) = notices(replace(run, signal=signal))
    assert "no value today for alt breadth" in said


def test_missing_funding_is_said_for_a_day_and_for_the_whole_range():
    run = make_run()
    (never,) = notices(changed(run, "features_wide", has_funding=False))
    assert never.startswith("No funding in this range")
    had = [True] * 119 + [False]
    (today,) = notices(changed(run, "features_wide", has_funding=had))
    assert today == "Funding is missing: the last day with any is 2024-04-28."


def test_a_range_without_a_score_is_a_page_without_empty_charts():
    run = make_run(20, has_trades=False)
    nothing = dict.fromkeys(run.tables["score_contributions"].columns[1:], float("nan"))
    blind = changed(run, "regime_timeline", score=float("nan"), insufficient_data=True)
    blind = changed(blind, "score_contributions", **nothing)
    blind = changed(blind, "features_wide", **dict.fromkeys(PRIMARY.values(), float("nan")))
    signal = {**run.signal, "score": None, "contributions": []}
    own = render_dashboard(replace(blind, signal=signal))
    for said in ("Insufficient data", "No trade yet", "No day of the range has a score"):
        assert said in own
    assert 'id="chart-score"' not in own
    assert 'id="chart-equity"' not in own
