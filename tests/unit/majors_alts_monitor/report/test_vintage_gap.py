"""The vintage gap in words, on the page and for a sweep."""

from dataclasses import replace

import pandas as pd

from majors_alts_monitor.report.dashboard import render_dashboard
from majors_alts_monitor.report.vintage_gap import gap_rows, gap_sentence, sweep_sentence
from majors_alts_monitor.vintage import Late, vintage_gap
from tests.fixtures.runs import make_run

PIT = pd.Series([0.01, -0.02, 0.015] * 40)


def with_gap(latest, late):
    run = make_run()
    return replace(run, tables={**run.tables, "vintage_gap": vintage_gap(PIT, latest, late)})


def test_without_revisions_one_sentence_says_so():
    run = with_gap(PIT, Late(0, 0))

    assert gap_sentence(run) == (
        "Vintage gap: zero, no value was ever revised, or came too late for the row of its own day."
    )
    assert gap_rows(run) == []
    assert gap_sentence(run) in render_dashboard(run)


def test_with_revisions_the_claim_stands_beside_the_result():
    run = with_gap(PIT + 0.001, Late(1204, 3))

    # The mean of the days is 1/600: 365 / 600 and a little over it with compounding.
    assert gap_sentence(run).startswith(
        "Vintage gap: 1,204 values were revised after the row of the day, 3 came too late "
        "for it; on today's history a naive pipeline would have claimed Sharpe "
    )
    (then, today, moved), page = gap_rows(run), render_dashboard(run)
    assert then[0] == "What was known then (this run)"
    assert moved[1] == "+1.23"  # 0.001 a day x sqrt(365) / 0.0155, the deviation of a day
    for cell in (*then, *today, *moved):
        assert f"<td>{cell}</td>" in page


def test_a_run_on_todays_history_is_itself_the_claim():
    run = make_run()

    assert gap_sentence(run) == ""
    assert "Known then, known today" not in render_dashboard(run)
    assert sweep_sentence({"a": run}) == ""


def test_a_sweep_names_the_member_that_today_flatters_most():
    quiet = with_gap(PIT, Late(0, 0))
    runs = {"small": with_gap(PIT + 0.0001, Late(2, 0)), "large": with_gap(PIT + 0.001, Late(2, 0))}

    assert sweep_sentence({"a": quiet}).startswith("Vintage gap: zero")
    said = sweep_sentence(runs)
    assert "+0.12 to +1.23 off; most for large" in said
    never = with_gap(PIT * 0, Late(2, 0))
    assert sweep_sentence({"a": never}).startswith("Vintage gap: ")


def test_a_sweep_without_a_sharpe_ratio_makes_no_claim():
    flat = PIT * 0.0
    run = make_run()
    table = vintage_gap(flat, flat, Late(2, 0))
    run = replace(run, tables={**run.tables, "vintage_gap": table})

    assert "no member has a Sharpe ratio" in sweep_sentence({"a": run})
    assert "Sharpe n/a instead of n/a" in gap_sentence(run)
