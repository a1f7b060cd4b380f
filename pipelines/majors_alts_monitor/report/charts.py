"""One chart specification, two renderings: Plotly for the page, a still picture for the mail.

A ``Chart`` or ``Heat`` holds the numbers once. ``to_plotly`` and ``static_charts.to_png`` draw
``drawn`` of them, so the interactive picture and the static one cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

# Okabe and Ito (2008): distinguishable for the colour-blind, on white and on black.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
YELLOW: Final = "#F0E442"
GREY: Final = "#8A8A8A"
PALETTE: Final = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY, YELLOW)

DIVERGING: Final = ((0.0, RED), (0.5, "#F4F4F4"), (1.0, BLUE))
"""Colours of a heat map around 0."""
DIGITS: Final = 6
"""Significant digits of a drawn number: more than a screen shows, a third of a double's size."""

MOST_NAMES: Final = 8
"""Names on an axis; of more, every second, third, .. is written."""
DATE_AXIS: Final = {
    "type": "date",
    "nticks": 5,
    "tickangle": 0,
    "tickformatstops": [
        {"dtickrange": [None, "M1"], "value": "%-d %b<br>%Y"},
        {"dtickrange": ["M1", "M12"], "value": "%b<br>%Y"},
        {"dtickrange": ["M12", None], "value": "%Y"},
    ],
}
"""Few and narrow enough days that none has to be turned on a phone."""
SHADE: Final = 0.22
"""Opacity of a regime behind a line: seen on white and on black, and the line still legible."""

Kind = Literal["line", "area", "bar", "stacked", "marker"]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a chart; ``values`` may hold NaN, which breaks a line."""

    name: str
    values: Sequence[float]
    color: str
    kind: Kind = "line"
    is_dashed: bool = False
    low: Sequence[float] = ()
    """Lower end of the interval around ``values``; empty without one."""
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A shaded stretch of the x axis, such as days in a regime."""

    start: str
    end: str
    color: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything a picture shows."""

    key: str
    """Name of the element and of the PNG file."""
    title: str
    x: Sequence[str]
    """ISO days, or names for bars."""
    series: Sequence[Series]
    y_title: str
    is_percent: bool = False
    spans: Sequence[Span] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    """Horizontal lines by label."""
    note: str = ""
    """One sentence on how to read it."""
    is_dated: bool = True
    """The x axis counts days and follows the range chosen on the other charts."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A table of numbers as colours; blue above 0, orange-red below, blank where undefined."""

    key: str
    title: str
    x: Sequence[str]
    y: Sequence[str]
    values: Sequence[Sequence[float]]
    """One row a name of ``y``, one number a name of ``x``."""
    limit: float
    """Value of the strongest colour, on either side of 0."""
    is_percent: bool = False
    note: str = ""
    is_dated: bool = True


def latest(chart: Chart, n_days: int) -> Chart:
    """Return the chart cut to its last ``n_days`` days.

    Examples
    --------
    >>> whole = Chart("k", "t", ["2024-01-01", "2024-01-02"], [Series("s", [1.0, 2.0], BLUE)], "y")
    >>> latest(whole, 1).x, latest(whole, 1).series[0].values
    (['2024-01-02'], [2.0])
    """
    cut = _rows(chart, slice(-n_days, None))
    first = cut.x[0] if cut.x else ""
    spans = [replace(s, start=max(s.start, first)) for s in chart.spans if s.end > first]
    return replace(cut, spans=spans)


def at_most(chart: Chart | Heat, n_days: int) -> Chart | Heat:
    """Return the chart with every k-th day, the last included, so that at most ``n_days`` are left.

    Heat maps and charts that count no days stay as they are.

    Examples
    --------
    >>> long = Chart("k", "t", ["a", "b", "c"], [Series("s", [1.0, 2.0, 3.0], BLUE)], "y")
    >>> at_most(long, 2).x, at_most(long, 2).note, at_most(long, 3) is long
    (['a', 'c'], 'Drawn every 2 days.', True)
    """
    step = -(-len(chart.x) // n_days)
    if isinstance(chart, Heat) or not chart.is_dated or step <= 1:
        return chart
    thin = _rows(chart, slice((len(chart.x) - 1) % step, None, step))
    return replace(thin, note=f"{chart.note} Drawn every {step} days.".strip())


def _rows(chart: Chart, rows: slice) -> Chart:
    series = [
        replace(s, values=s.values[rows], low=s.low[rows], high=s.high[rows]) for s in chart.series
    ]
    return replace(chart, x=list(chart.x)[rows], series=series)


def to_plotly(chart: Chart | Heat) -> dict[str, Any]:
    """Return the figure as plain data for ``Plotly.newPlot``."""
    return _heat_figure(chart) if isinstance(chart, Heat) else _chart_figure(chart)


def _heat_figure(heat: Heat) -> dict[str, Any]:
    unit = ":.2%" if heat.is_percent else ":.3g"
    trace = {
        "type": "heatmap",
        "x": list(heat.x),
        "y": list(heat.y),
        "z": [drawn(row) for row in heat.values],
        "zmin": -heat.limit,
        "zmax": heat.limit,
        "colorscale": [list(stop) for stop in DIVERGING],
        "hovertemplate": f"%{{y}}, %{{x}}: %{{z{unit}}}<extra></extra>",
        "colorbar": {"thickness": 10, "tickformat": ".0%" if heat.is_percent else ""},
    }
    layout = {
        "xaxis": {
            "automargin": True,
            **(DATE_AXIS if heat.is_dated else category_axis(heat.x)),
        },
        "yaxis": {"automargin": True, "autorange": "reversed", "type": "category"},
        "margin": {"l": 56, "r": 12, "t": 8, "b": 36},
    }
    return {"data": [trace], "layout": layout}


def _chart_figure(chart: Chart) -> dict[str, Any]:
    traces = [trace for series in chart.series for trace in _traces(chart, series)]
    shapes = _shades(chart.spans)
    shapes += [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": value,
            "y1": value,
            "line": {"color": GREY, "width": 1, "dash": "dot"},
        }
        for value in chart.levels.values()
    ]
    is_stacked = any(series.kind == "stacked" for series in chart.series)
    layout: dict[str, Any] = {
        "yaxis": {"title": {"text": chart.y_title}, "automargin": True},
        "xaxis": {"automargin": True},
        "shapes": shapes,
        "margin": {"l": 56, "r": 12, "t": 28, "b": 36},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "barmode": "relative" if is_stacked else "group",
        "bargap": 0 if chart.is_dated else 0.2,
        "annotations": [_level_name(name, value) for name, value in chart.levels.items()],
    }
    if chart.is_percent:
        layout["yaxis"]["tickformat"] = ".1%"
    if not chart.is_dated:
        layout["xaxis"] |= category_axis(chart.x)
    else:
        layout["xaxis"] |= DATE_AXIS
    if chart.is_dated and len(chart.x) > 1:
        # Without it markers widen their own chart and the days no longer line up.
        layout["xaxis"]["range"] = [chart.x[0], chart.x[-1]]
    return {"data": traces, "layout": layout}


def category_axis(names: Sequence[str]) -> dict[str, Any]:
    """Return an axis of names, broken into short lines instead of turned.

    Examples
    --------
    >>> category_axis(["Weak risk-on alts"])["ticktext"]
    ['Weak<br>risk-on<br>alts']
    """
    shown = list(names)[:: -(-len(names) // MOST_NAMES) or 1]
    return {
        "type": "category",
        "tickmode": "array",
        "tickvals": shown,
        "ticktext": [str(name).replace(" ", "<br>") for name in shown],
        "tickangle": 0,
    }


def key_of(chart: Chart | Heat) -> list[tuple[str, str]]:
    """Return label and colour of every kind of span, in order of appearance.

    Examples
    --------
    >>> span = Span("2024-01-01", "2024-01-02", BLUE, "calm")
    >>> key_of(Chart("k", "t", [], [], "y", spans=[span, span]))
    [('calm', '#0072B2')]
    """
    spans = () if isinstance(chart, Heat) else chart.spans
    return list(dict.fromkeys((span.label, span.color) for span in spans))


def _shades(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Return one shape a colour: hundreds of rectangles would make every change of range slow."""
    paths: dict[str, str] = {}
    for span in spans:
        paths[span.color] = f"{paths.get(span.color, '')}M{span.start},0V1H{span.end}V0Z"
    return [
        {
            "type": "path",
            "xref": "x",
            "yref": "paper",
            "path": path,
            "fillcolor": color,
            "opacity": SHADE,
            "line": {"width": 0},
            "layer": "below",
        }
        for color, path in paths.items()
    ]


def _level_name(name: str, value: float) -> dict[str, Any]:
    """Return the name of a horizontal line, written at its right end inside the plot."""
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": value,
        "yanchor": "bottom",
        "text": name.replace("_", " "),
        "showarrow": False,
        "font": {"size": 10},
        "opacity": 0.8,
    }


def to_json(value: Any) -> str:
    """Return plain data as JSON that is safe inside a script element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c")


def _traces(chart: Chart, series: Series) -> list[dict[str, Any]]:
    """Return the series, and before it the edges of its interval if it has one."""
    trace: dict[str, Any] = {
        "x": list(chart.x),
        "y": drawn(series.values),
        "name": series.name,
        "legendgroup": series.name,
    }
    if chart.is_percent:
        trace["hovertemplate"] = "%{y:.2%}"
    if series.kind in {"bar", "stacked"}:
        bar = {**trace, "type": "bar", "marker": {"color": series.color}}
        if len(series.low):
            bar["error_y"] = _error_bars(series)
        return [bar]
    if series.kind == "marker":
        mark = {"color": series.color, "size": 7, "line": {"width": 1, "color": "#ffffff"}}
        return [{**trace, "type": "scatter", "mode": "markers", "marker": mark}]
    line = {"color": series.color, "width": 1.6, "dash": "dash" if series.is_dashed else "solid"}
    trace |= {"type": "scatter", "mode": "lines", "line": line}
    if series.kind == "area":
        trace["fill"] = "tozeroy"
    return [*_band(trace, series), trace]


def _band(trace: Mapping[str, Any], series: Series) -> list[dict[str, Any]]:
    if not len(series.low):
        return []
    edge = {**trace, "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    edge.pop("hovertemplate", None)
    red, green, blue = (int(series.color[i : i + 2], 16) for i in (1, 3, 5))
    filled = {"fill": "tonexty", "fillcolor": f"rgba({red},{green},{blue},0.18)"}
    return [
        {**edge, "name": f"{series.name}, low", "y": drawn(series.low)},
        {**edge, **filled, "name": f"{series.name}, high", "y": drawn(series.high)},
    ]


def _error_bars(series: Series) -> dict[str, Any]:
    middle, low, high = (np.asarray(v, float) for v in (series.values, series.low, series.high))
    return {
        "type": "data",
        "symmetric": False,
        "color": GREY,
        "thickness": 1.5,
        "array": drawn(high - middle),
        "arrayminus": drawn(middle - low),
    }


def drawn(values: Sequence[float]) -> list[float | None]:
    """Return the numbers as every rendering draws them; a missing one is null.

    Examples
    --------
    >>> drawn([0.1234567891, float("nan")])
    [0.123457, None]
    """
    return [None if v is None or not np.isfinite(v) else float(f"{v:.{DIGITS}g}") for v in values]
