"""The still picture draws the numbers that the page's picture draws, for every kind of chart."""

import numpy as np
import pytest
from matplotlib.container import BarContainer

from majors_alts_monitor.report.charts import (
    BLUE,
    GREY,
    Chart,
    Heat,
    Series,
    Span,
    drawn,
    to_plotly,
)
from majors_alts_monitor.report.report_charts import charts, mail_charts
from majors_alts_monitor.report.static_charts import to_figure
from tests.fixtures.runs import make_run

RUN = make_run()
EVERY = [*(c for found in charts(RUN).values() for c in found), *mail_charts(RUN)]
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


def interactive(chart):
    """Return name to numbers of the Plotly figure, edges of bands left out."""
    if isinstance(chart, Heat):
        return {"heat": to_plotly(chart)["data"][0]["z"]}
    traces = [t for t in to_plotly(chart)["data"] if t.get("showlegend") is not False]
    return {t["name"]: t["y"] for t in traces}


def still(chart):
    """Return name to numbers of the Matplotlib figure."""
    (axes,) = to_figure(chart).axes
    if isinstance(chart, Heat):
        (image,) = axes.images
        return {"heat": [drawn(row) for row in image.get_array().filled(np.nan)]}
    named = {s.name for s in chart.series}
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    drawn_bars = [bar for bar in axes.containers if isinstance(bar, BarContainer)]
    bars = {bar.get_label(): [b.get_height() for b in bar] for bar in drawn_bars}
    shown = {name: values for name, values in {**lines, **bars}.items() if name in named}
    return {name: drawn(list(values)) for name, values in shown.items()}


def missing_as_zero(chart, numbers):
    """Return the numbers as a stack shows them: a bar of nothing has no height."""
    stacked = {s.name for s in getattr(chart, "series", ()) if s.kind == "stacked"}
    return {
        name: [0.0 if v is None and name in stacked else v for v in values]
        for name, values in numbers.items()
    }


@pytest.mark.parametrize("chart", EVERY, ids=lambda chart: chart.key)
def test_both_pictures_hold_the_same_numbers(chart):
    expected = missing_as_zero(chart, interactive(chart))
    found = still(chart)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == values, name


def test_days_stand_where_the_calendar_has_them():
    chart = Chart("k", "t", DAYS, [Series("s", [1.0, 2.0, 3.0], BLUE)], "y")
    (line,) = to_figure(chart).axes[0].lines
    assert line.get_xdata().astype(int).astype("datetime64[D]").astype(str).tolist() == DAYS


def test_bars_that_fall_are_stacked_below_zero():
    rise, fall = Series("a", [1.0], BLUE, "stacked"), Series("b", [-2.0], GREY, "stacked")
    chart = Chart("k", "t", ["x"], [rise, fall], "y", is_dated=False)
    up, down = to_figure(chart).axes[0].containers
    assert (up[0].get_y(), up[0].get_height()) == (0.0, 1.0)
    assert (down[0].get_y(), down[0].get_height()) == (0.0, -2.0)


def test_every_kind_of_regime_is_shaded_once():
    spans = [Span(DAYS[0], DAYS[1], BLUE, "a"), Span(DAYS[1], DAYS[2], GREY, "b")]
    chart = Chart("k", "t", DAYS, [Series("s", [1.0, 2.0, 3.0], BLUE)], "y", spans=spans)
    assert len(to_figure(chart).axes[0].collections) == 2
