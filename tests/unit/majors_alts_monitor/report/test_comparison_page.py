"""The comparison of a sweep: deflated first, what differs, and how lucky the best was."""

import numpy as np
import pandas as pd

from majors_alts_monitor.report.comparison_page import (
    charts,
    differences,
    drawdown_chart,
    interval_chart,
    logit_chart,
    parameter_charts,
    plateau,
    render,
    verdict_lines,
)

CONFIGS = {
    f"{size},{lag}<i>": {"universe": {"basket_size": size}, "execution": {"lag_days": lag}, "x": 1}
    for size in (10, 20)
    for lag in (1, 2)
}
BOARD = pd.DataFrame(
    {
        "member": list(CONFIGS),
        "deflated_sharpe": [0.9, 0.5, 0.4, 0.1],
        "sharpe": [2.0, 1.0, 0.5, 0.0],
    }
)
RETURNS = pd.DataFrame(
    np.full((3, 4), 0.1), columns=list(CONFIGS), index=pd.date_range("2024-01-01", periods=3)
)
VERDICT = {"n_members": 4, "n_days": 3, "pbo": 0.6, "spa_p": 0.2, "logits": [-1.0, -0.5, 1.0]}


def test_only_keys_that_differ_are_shown():
    assert list(differences(CONFIGS).columns) == ["execution.lag_days", "universe.basket_size"]


def test_two_keys_make_a_heat_map_with_its_plateau():
    found = charts(BOARD, RETURNS, VERDICT, differences(CONFIGS))
    (heat,), equity = found["parameters"], found["equity"][0]
    assert heat.values == [[2.0, 0.5], [1.0, 0.0]]
    assert "1.25 less Sharpe" in heat.note  # 2 - (0.5 + 1) / 2
    np.testing.assert_allclose(equity.series[0].values, [1.1, 1.21, 1.331])


def test_the_logits_are_counted_on_their_side():
    below, above = logit_chart(VERDICT["logits"]).series
    assert (sum(below.values), sum(above.values)) == (2, 1)
    assert logit_chart([]) is None


def test_a_lone_cell_has_no_plateau():
    assert np.isnan(plateau(np.array([[1.0]])))


def test_doubt_is_put_into_words():
    said = " ".join(verdict_lines(VERDICT))
    assert "60.0%" in said
    assert "below the median" in said
    assert "not better than cash" in said


def test_the_page_escapes_names_and_says_synthetic():
    page = render(BOARD, RETURNS, VERDICT, CONFIGS, is_synthetic=True)
    assert "SYNTHETIC" in page
    assert "1<i>" not in page
    assert "10, 1&lt;i&gt;" in page
    assert page.index("Deflated") < page.index(">Sharpe<")
    assert page == render(BOARD, RETURNS, VERDICT, CONFIGS, is_synthetic=True)


def test_one_member_without_verdict_is_a_page():
    board = pd.DataFrame({"member": ["a"], "sharpe": [None]})
    verdict = {"n_members": 1, "n_days": 3, "pbo": None, "spa_p": None}
    page = render(board, RETURNS.iloc[:, :1].set_axis(["a"], axis=1), verdict, {"a": {"x": 1}})
    assert "configurations are the same" in page


def test_one_key_makes_a_chart_and_three_make_a_map_for_each_pair():
    one = pd.DataFrame({"lag": ["2", "10", "1"]}, index=["b", "c", "a"])
    board = pd.DataFrame({"member": ["a", "b", "c"], "sharpe": [1.0, 0.5, 0.0]})
    (chart,) = parameter_charts(board, one)
    assert (list(chart.x), chart.series[0].values) == (["1", "2", "10"], [1.0, 0.5, 0.0])
    assert "0.50 less Sharpe" in chart.note
    three = one.assign(size=["5", "5", "9"], mode=["x", "y", "y"])
    heats = parameter_charts(board, three)
    assert len({heat.key for heat in heats}) == 3
    assert "Median over the other keys" in heats[0].note


def test_drawdown_is_the_fall_of_the_equity_shown():
    falling = RETURNS.assign(**{RETURNS.columns[0]: [0.1, -0.5, 0.0]})
    chart = drawdown_chart(BOARD, falling)
    np.testing.assert_allclose(chart.series[0].values, [0.0, -0.5, -0.5])


def test_what_differs_is_listed_in_the_order_of_the_leaderboard():
    turned = BOARD.iloc[::-1].reset_index(drop=True)
    page = render(turned, RETURNS, VERDICT, CONFIGS)
    listed = page[page.index('id="differs"') :]
    assert listed.index("20, 2") < listed.index("10, 1")


def test_the_interval_of_every_member_is_drawn_where_there_is_one():
    board = BOARD.assign(sharpe_ci_low=BOARD["sharpe"] - 1, sharpe_ci_high=BOARD["sharpe"] + 1)
    chart = interval_chart(board)
    assert chart.series[0].low == [1.0, 0.0, -0.5, -1.0]
    assert interval_chart(BOARD) is None
