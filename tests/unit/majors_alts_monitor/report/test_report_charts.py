"""Every chart of the page holds what the tables hold."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.report.evidence_charts import (
    MOST_COLUMNS,
    basket_heat,
    calibration_charts,
    rolling_sharpe,
    thinned,
)
from majors_alts_monitor.report.report_charts import (
    attribution_chart,
    charts,
    equity_chart,
    mail_charts,
    regime_spans,
)
from majors_alts_monitor.report.robustness_charts import capacity_chart, exit_chart
from majors_alts_monitor.types import GROUPS
from tests.fixtures.runs import make_run


@pytest.fixture(scope="module")
def run():
    return make_run()


def test_equity_is_the_table_and_markers_sit_on_it(run):
    strategy, *marks = equity_chart(run).series
    curve = run.tables["bt_equity_curve"]["equity"]
    assert strategy.values == curve.tolist()
    for mark in marks:
        known = np.isfinite(mark.values)
        assert (np.asarray(mark.values)[known] == curve[known]).all()


def test_the_parts_add_up_to_the_net_line(run):
    parts = {series.name: np.asarray(series.values) for series in attribution_chart(run).series}
    net = parts.pop("net")
    np.testing.assert_allclose(sum(parts.values()), net, atol=1e-12)


def test_no_two_charts_share_a_key(run):
    keys = [chart.key for found in charts(run).values() for chart in found]
    assert len(keys) == len(set(keys))


def test_capacity_shows_both_ways_to_trade_and_the_slowest_fill(run):
    chart = capacity_chart(run)
    assert list(chart.x) == ["10M USD"]
    at_once, capped = chart.series
    assert (at_once.values, capped.values) == ([-0.1], [-0.3])
    assert capped.name == "at most 10% of volume a day"
    assert "For 10M USD the slowest trade takes 6 days." in chart.note


def test_days_to_exit_name_the_slowest_first_and_count_the_unknown(run):
    chart = exit_chart(run)
    usual, largest = chart.series
    assert list(chart.x) == ["SOL", "ADA"]
    assert (usual.values[0], largest.values[0]) == (1.5, 3.5)
    assert chart.title == "Days to leave a name with 1M USD"
    assert "Volume of 1 names is unknown." in chart.note


def test_a_run_without_trades_has_no_basket(run):
    assert basket_heat(make_run(has_trades=False)) is None
    heat = basket_heat(run)
    assert heat.y == ["BTC", "SOL"]
    assert heat.values[1][1] == -0.2


def test_a_run_without_the_optional_tables_still_draws(run):
    extra = "rank_ic regime_forward_returns realised_betas benchmarks score_contributions".split()
    bare = make_run()
    tables = {name: table for name, table in bare.tables.items() if name not in extra}
    sections = charts(type(bare)(tables, bare.kpis, bare.signal, bare.manifest))
    assert sections["evidence"] == []
    assert [chart.key for chart in mail_charts(run)] == ["score", "equity", "exposure"]


def test_calibration_is_drawn_where_it_was_on(run):
    table = {"apply_start": ["2024-01-01"], "objective_in_sample": [0.3]}
    table |= {"objective_out_of_sample": [-0.1], **{f"weight_{g}": [0.125] for g in GROUPS}}
    tables = {**run.tables, "calibration": pd.DataFrame(table)}
    weights, objective = calibration_charts(type(run)(tables, {}, {}, {}))
    assert [series.values for series in weights.series] == [[0.125]] * 8
    assert [series.values for series in objective.series] == [[0.3], [-0.1]]
    assert calibration_charts(run) == []


def test_spans_cover_the_days_of_a_regime_and_leave_balanced_blank():
    timeline = pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=4),
            "regime": ["BALANCED", "RISK_ON_MAJORS", "RISK_ON_MAJORS", "BALANCED"],
        }
    )
    (span,) = regime_spans(timeline)
    assert (span.start, span.end) == ("2024-01-02", "2024-01-04")


def test_a_flat_stretch_has_no_sharpe():
    sharpe, _ = rolling_sharpe(pd.Series([0.0] * 10), 5)
    assert np.isnan(sharpe).all()


def test_thinning_keeps_the_last_day_and_the_limit():
    frame = pd.DataFrame({"i": range(3 * MOST_COLUMNS + 1)})
    kept = thinned(frame)
    assert len(kept) <= MOST_COLUMNS
    assert kept["i"].iloc[-1] == 3 * MOST_COLUMNS
