"""One specification, two renderings: the numbers drawn are the numbers given."""

import json

import numpy as np

from majors_alts_monitor.report.charts import (
    BLUE,
    Chart,
    Heat,
    Series,
    Span,
    at_most,
    to_json,
    to_plotly,
)
from majors_alts_monitor.report.static_charts import to_png

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


def chart(**changes):
    given = {
        "key": "k",
        "title": "t",
        "x": DAYS,
        "series": [Series("s", [1.0, float("nan"), 3.25], BLUE)],
        "y_title": "y",
    }
    return Chart(**{**given, **changes})


def test_the_trace_holds_the_numbers_and_a_missing_one_is_null():
    trace = to_plotly(chart())["data"][0]
    assert trace["y"] == [1.0, None, 3.25]
    assert trace["x"] == DAYS


def test_a_band_is_two_edges_before_the_line():
    series = Series("s", [1.0, 2.0, 3.0], BLUE, low=[0.0, 1.0, 2.0], high=[2.0, 3.0, 4.0])
    low, high, line = to_plotly(chart(series=[series]))["data"]
    assert (low["y"], high["y"], line["y"]) == ([0, 1, 2], [2, 3, 4], [1, 2, 3])
    assert high["fill"] == "tonexty"


def test_whiskers_are_distances_from_the_bar():
    series = Series("s", [1.0, 2.0, 3.0], BLUE, "bar", low=[0.5, 1.0, 2.5], high=[2.0, 2.0, 4.0])
    error = to_plotly(chart(series=[series]))["data"][0]["error_y"]
    assert error["array"] == [1.0, 0.0, 1.0]
    assert error["arrayminus"] == [0.5, 1.0, 0.5]


def test_a_heat_map_is_centred_on_zero():
    figure = to_plotly(Heat("h", "t", DAYS, ["a"], [[0.1, float("nan"), -0.2]], limit=0.5))
    trace = figure["data"][0]
    assert trace["z"] == [[0.1, None, -0.2]]
    assert (trace["zmin"], trace["zmax"]) == (-0.5, 0.5)


def test_json_cannot_end_the_script_element():
    text = to_json({"name": "</script><b>"})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script><b>"}


def test_the_png_is_the_same_bytes_twice_and_changes_with_the_numbers():
    spans = [Span("2024-01-01", "2024-01-02", BLUE, "r")]
    first = to_png(chart(spans=spans, levels={"zero": 0.0}, is_percent=True))
    assert first == to_png(chart(spans=spans, levels={"zero": 0.0}, is_percent=True))
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    other = chart(series=[Series("s", np.array([1.0, 2.0, 9.0]), BLUE, "marker")])
    assert to_png(other) != first


def test_names_are_broken_not_turned_and_never_too_many():
    axis = to_plotly(chart(is_dated=False, x=["Weak risk-on alts", "b", "c"]))["layout"]["xaxis"]
    assert axis["ticktext"][0] == "Weak<br>risk-on<br>alts"
    many = to_plotly(chart(is_dated=False, x=[str(i) for i in range(24)]))["layout"]["xaxis"]
    assert len(many["ticktext"]) <= 10


def test_every_level_is_named_on_the_page():
    layout = to_plotly(chart(levels={"strong_high": 1.5}))["layout"]
    assert [note["text"] for note in layout["annotations"]] == ["strong high"]
    assert layout["annotations"][0]["y"] == layout["shapes"][0]["y0"] == 1.5


def test_a_long_history_is_thinned_with_its_bands_and_says_so():
    n = 5001
    days = [str(day) for day in np.arange(n).astype("datetime64[D]")]
    values = list(range(n))
    thin = at_most(chart(x=days, series=[Series("s", values, BLUE, low=values, high=values)]), 2000)
    assert len(thin.x) == len(thin.series[0].low) == 1667
    assert (thin.x[-1], thin.series[0].values[-1]) == (days[-1], n - 1)
    assert "every 3 days" in thin.note


def test_the_days_of_one_colour_are_one_shape():
    spans = [
        Span("2024-01-01", "2024-01-02", BLUE, "r"),
        Span("2024-01-03", "2024-01-04", BLUE, "r"),
    ]
    (shade,) = to_plotly(chart(spans=spans))["layout"]["shapes"]
    assert shade["path"] == "M2024-01-01,0V1H2024-01-02V0ZM2024-01-03,0V1H2024-01-04V0Z"
