"""A chart as a still picture: Matplotlib draws the specification that Plotly gets.

Flow: ``Chart or Heat -> to_figure -> to_png``. Both renderings draw ``charts.drawn`` of the same
numbers. Matplotlib is imported when the first picture is asked for, without ``pyplot`` and with the
Agg canvas, so nothing here needs a display or keeps state.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from majors_alts_monitor.report.charts import DIVERGING, GREY, Chart, Heat, Series, drawn
from majors_alts_monitor.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI: Final = 100
MARGINS: Final = {"left": 0.13, "right": 0.985, "top": 0.77, "bottom": 0.17}
"""Fixed, since a layout engine draws everything twice."""
INK: Final = "#16202a"
MOST_TICKS: Final = 12


def to_png(chart: Chart | Heat, *, width_px: int = 640, height_px: int = 320) -> bytes:
    """Return the chart as PNG bytes, the same for the same chart."""
    buffer = io.BytesIO()
    figure = to_figure(chart, width_px=width_px, height_px=height_px)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_figure(chart: Chart | Heat, *, width_px: int = 640, height_px: int = 320) -> Figure:
    """Return the Matplotlib figure; a phone shows it at about half its size, so letters are big."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    figure.subplots_adjust(**MARGINS)
    axes.set_title(chart.title, fontsize=15, loc="left", color=INK, fontweight="bold", pad=28)
    axes.tick_params(labelsize=13)
    if isinstance(chart, Heat):
        _draw_heat(axes, chart)
        figure.subplots_adjust(left=0.25)
    else:
        _draw_chart(axes, chart)
    return figure


def _draw_chart(axes: Axes, chart: Chart) -> None:
    x = _positions(chart)
    _draw_spans(axes, chart)
    bars = [series for series in chart.series if series.kind in {"bar", "stacked"}]
    for series in chart.series:
        if series not in bars:
            _draw_line(axes, x, series)
    _draw_bars(axes, x, bars)
    for value in chart.levels.values():
        axes.axhline(value, color=GREY, lw=0.9, ls=":")
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    if chart.is_percent:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    if chart.is_dated:
        _date_axis(axes, x)
    else:
        step = -(-len(chart.x) // MOST_TICKS)
        axes.set_xticks(x[::step], [str(name) for name in chart.x[::step]])
    axes.grid(alpha=0.25)
    if len(chart.series) > 1:
        axes.legend(
            fontsize=12,
            frameon=False,
            ncols=len(chart.series),
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            handlelength=1.2,
            columnspacing=1.2,
        )


def _positions(chart: Chart) -> Floats:
    if not chart.is_dated:
        return np.arange(len(chart.x), dtype=np.float64)
    # Matplotlib counts days from 1970, as numpy's days do.
    return np.array(list(chart.x), dtype="datetime64[D]").astype(np.float64)


def _date_axis(axes: Axes, x: Floats) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )
    axes.xaxis.get_offset_text().set_fontsize(12)
    if len(x) > 1:
        axes.set_xlim(x[0], x[-1])


def _draw_spans(axes: Axes, chart: Chart) -> None:
    ordered = sorted(chart.spans, key=lambda span: span.color)
    for color, found in groupby(ordered, key=lambda span: span.color):
        days = [(np.datetime64(s.start, "D"), np.datetime64(s.end, "D")) for s in found]
        starts = [(a.astype(float), (b - a).astype(float)) for a, b in days]
        axes.broken_barh(
            starts, (0, 1), color=color, alpha=0.2, lw=0, transform=axes.get_xaxis_transform()
        )


def _draw_line(axes: Axes, x: Floats, series: Series) -> None:
    values = _numbers(series.values)
    style = "none" if series.kind == "marker" else "--" if series.is_dashed else "-"
    mark = "o" if series.kind == "marker" else ""
    axes.plot(
        x, values, color=series.color, label=series.name, lw=1.5, ls=style, marker=mark, ms=3.5
    )
    if len(series.low):
        low, high = _numbers(series.low), _numbers(series.high)
        axes.fill_between(x, low, high, color=series.color, alpha=0.18, lw=0)
    if series.kind == "area":
        axes.fill_between(x, values, 0, color=series.color, alpha=0.25, lw=0)


def _draw_bars(axes: Axes, x: Floats, bars: Sequence[Series]) -> None:
    above, below = np.zeros(len(x)), np.zeros(len(x))
    width = 0.8 if any(s.kind == "stacked" for s in bars) else 0.8 / max(len(bars), 1)
    for number, series in enumerate(bars):
        values = _numbers(series.values)
        style: dict[str, Any] = {"color": series.color, "label": series.name, "width": width}
        if series.kind == "stacked":
            filled = np.nan_to_num(values)
            axes.bar(x, filled, bottom=np.where(filled >= 0, above, below), **style)
            above, below = above + np.maximum(filled, 0), below + np.minimum(filled, 0)
            continue
        if len(series.low):
            reach = [values - _numbers(series.low), _numbers(series.high) - values]
            style |= {"yerr": np.maximum(reach, 0), "ecolor": INK, "capsize": 2}
        axes.bar(x + (number - (len(bars) - 1) / 2) * width, values, **style)


def _draw_heat(axes: Axes, heat: Heat) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    values = np.array([_numbers(row) for row in heat.values])
    colors = LinearSegmentedColormap.from_list("diverging", list(DIVERGING))
    axes.imshow(
        values, aspect="auto", cmap=colors, vmin=-heat.limit, vmax=heat.limit, interpolation="none"
    )
    step = -(-len(heat.x) // MOST_TICKS)
    axes.set_xticks(range(0, len(heat.x), step), [str(name) for name in heat.x[::step]])
    axes.set_yticks(range(len(heat.y)), [str(name) for name in heat.y])


def _numbers(values: Sequence[float]) -> Floats:
    """Return what is drawn: rounded as in the page, a missing number as NaN."""
    return np.array([np.nan if v is None else v for v in drawn(values)], dtype=np.float64)
