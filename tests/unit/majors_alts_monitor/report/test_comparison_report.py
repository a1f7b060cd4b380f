"""The mail of a sweep: the page's numbers as text and as a page without a script."""

import pandas as pd

from majors_alts_monitor.report.comparison_page import board_rows, verdict_lines
from majors_alts_monitor.report.comparison_report import comparison_html, comparison_text

PLAN = {"sweep_id": "abc", "params": {"start": "2024-01-01", "end": "2024-06-30"}}
BOARD = pd.DataFrame(
    {
        "member": ["<b>a", "b"],
        "deflated_sharpe": [0.9, 0.1],
        "sharpe": [2.0, None],
        "cagr": [0.1, 0],
    }
)
VERDICT = {"n_members": 2, "n_days": 182, "pbo": 0.6, "spa_p": 0.2}


def test_text_and_page_hold_the_numbers_of_the_interactive_page():
    text, page = comparison_text(PLAN, BOARD, VERDICT), comparison_html(PLAN, BOARD, VERDICT)
    for said in (text, page):
        for line in verdict_lines(VERDICT):
            assert line in said
        for _, figures in board_rows(BOARD):
            assert all(figure in said for figure in figures)
    assert "Deflated 0.90, PSR n/a, Sharpe 2.00" in text
    assert "CAGR 10.0%" in text


def test_a_synthetic_market_is_named_before_any_number():
    marked = {**VERDICT, "is_synthetic": True}
    text, page = comparison_text(PLAN, BOARD, marked), comparison_html(PLAN, BOARD, marked)
    assert text.startswith("SYNTHETIC MARKET: NOTHING HERE IS REAL\n")
    assert "- SYNTHETIC</title>" in page
    assert page.index("SYNTHETIC market") < page.index("<h1>")
    assert "SYNTHETIC" not in comparison_html(PLAN, BOARD, VERDICT)


def test_a_hostile_name_stays_text_and_nothing_runs():
    page = comparison_html(PLAN, BOARD, VERDICT)
    assert "<b>a" not in page
    assert "&lt;b&gt;a" in page
    assert "<script" not in page
