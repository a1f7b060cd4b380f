"""One chart specification, two renderings: Plotly for the page, Matplotlib for the mail.

A ``Chart`` or ``Heat`` holds the numbers once. ``to_plotly`` and ``to_png`` read it, so
the interactive picture and the static one cannot disagree.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
DIGITS: Final = 8
"""Significant digits of a drawn number: far more than a screen shows, half the size of a double."""

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


def to_plotly(chart: Chart | Heat) -> dict[str, Any]:
    """Return the figure as plain data for ``Plotly.newPlot``."""
    return _heat_figure(chart) if isinstance(chart, Heat) else _chart_figure(chart)


def _heat_figure(heat: Heat) -> dict[str, Any]:
    unit = ":.2%" if heat.is_percent else ":.3g"
    trace = {
        "type": "heatmap",
        "x": list(heat.x),
        "y": list(heat.y),
        "z": [_drawn(row) for row in heat.values],
        "zmin": -heat.limit,
        "zmax": heat.limit,
        "colorscale": [list(stop) for stop in DIVERGING],
        "hovertemplate": f"%{{y}}, %{{x}}: %{{z{unit}}}<extra></extra>",
        "colorbar": {"thickness": 10, "tickformat": ".0%" if heat.is_percent else ""},
    }
    layout = {
        "xaxis": {"automargin": True, "type": "date" if heat.is_dated else "category"},
        "yaxis": {"automargin": True, "autorange": "reversed", "type": "category"},
        "margin": {"l": 56, "r": 12, "t": 8, "b": 36},
    }
    return {"data": [trace], "layout": layout}


def _chart_figure(chart: Chart) -> dict[str, Any]:
    traces = [trace for series in chart.series for trace in _traces(chart, series)]
    shapes = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": span.start,
            "x1": span.end,
            "y0": 0,
            "y1": 1,
            "fillcolor": span.color,
            "opacity": 0.13,
            "line": {"width": 0},
            "layer": "below",
        }
        for span in chart.spans
    ]
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
        "margin": {"l": 56, "r": 12, "t": 8, "b": 36},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.18},
        "barmode": "relative" if is_stacked else "group",
    }
    if chart.is_percent:
        layout["yaxis"]["tickformat"] = ".1%"
    if not chart.is_dated:
        layout["xaxis"]["type"] = "category"
    elif len(chart.x) > 1:
        # Without it markers widen their own chart and the days no longer line up.
        layout["xaxis"]["range"] = [chart.x[0], chart.x[-1]]
    return {"data": traces, "layout": layout}


def to_json(value: Any) -> str:
    """Return plain data as JSON that is safe inside a script element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c")


def to_png(chart: Chart, *, width_px: int = 640, height_px: int = 260) -> bytes:
    """Return the chart as PNG bytes, the same for the same chart."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    dpi = 100
    figure = Figure(figsize=(width_px / dpi, height_px / dpi), dpi=dpi, layout="constrained")
    axes = figure.subplots()
    # Matplotlib counts days from 1970, as numpy's days do.
    days = np.array(list(chart.x), dtype="datetime64[D]").astype(np.float64)
    for span in chart.spans:
        first, last = (np.datetime64(day, "D").astype(float) for day in (span.start, span.end))
        axes.axvspan(first, last, color=span.color, alpha=0.13)
    for series in chart.series:
        values = np.asarray(series.values, dtype=np.float64)
        style = "none" if series.kind == "marker" else "--" if series.is_dashed else "-"
        mark = "o" if series.kind == "marker" else ""
        axes.plot(
            days, values, color=series.color, label=series.name, lw=1.4, ls=style, marker=mark, ms=3
        )
        if series.kind == "area":
            axes.fill_between(days, values, 0, color=series.color, alpha=0.25)
    for value in chart.levels.values():
        axes.axhline(value, color=GREY, lw=0.8, ls=":")
    if chart.is_percent:
        axes.yaxis.set_major_formatter(lambda v, _: f"{v:.1%}")
    axes.xaxis_date()
    axes.set_title(chart.title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if len(chart.series) > 1:
        axes.legend(fontsize=8, frameon=False, loc="best")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _traces(chart: Chart, series: Series) -> list[dict[str, Any]]:
    """Return the series, and before it the edges of its interval if it has one."""
    trace: dict[str, Any] = {
        "x": list(chart.x),
        "y": _drawn(series.values),
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
        {**edge, "name": f"{series.name}, low", "y": _drawn(series.low)},
        {**edge, **filled, "name": f"{series.name}, high", "y": _drawn(series.high)},
    ]


def _error_bars(series: Series) -> dict[str, Any]:
    middle, low, high = (np.asarray(v, float) for v in (series.values, series.low, series.high))
    return {
        "type": "data",
        "symmetric": False,
        "array": _drawn(high - middle),
        "arrayminus": _drawn(middle - low),
    }


def _drawn(values: Sequence[float]) -> list[float | None]:
    return [None if v is None or not np.isfinite(v) else float(f"{v:.{DIGITS}g}") for v in values]
