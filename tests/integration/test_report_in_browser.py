"""Every page as a reader meets it: in Chromium where there is one, and read as text everywhere.

The browser says what text cannot: whether the charts were drawn, whether anything overlaps or runs
out of the window, in light and dark, from a phone to a wide screen. What can be judged without it
is judged without it, so that a machine without Chromium still checks every page.
"""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.report.bucket_index import Entry
from majors_alts_monitor.report.bucket_index import render as render_index
from majors_alts_monitor.report.comparison_page import render as render_comparison
from majors_alts_monitor.report.dashboard import render_dashboard
from tests.fixtures.browser import BROWSER, browser
from tests.fixtures.runs import make_run

NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no chromium: pages read as text only")
NOTHING = float("nan")
LOOKS = [(390, False), (390, True), (1280, True), (1920, False)]


def changed(run, table, **columns):
    return replace(run, tables={**run.tables, table: run.tables[table].assign(**columns)})


def without_a_score():
    """Return a young run: no score on any day, hence no trade, nothing to judge."""
    run = make_run(20, has_trades=False)
    groups = dict.fromkeys(run.tables["score_contributions"].columns[1:], NOTHING)
    run = changed(run, "regime_timeline", score=NOTHING, insufficient_data=True)
    run = changed(run, "score_contributions", **groups)
    run = changed(run, "features_wide", **dict.fromkeys(PRIMARY.values(), NOTHING))
    unjudged = {"rank_ic", "gate_value", "neighbours", "placebo", "regime_forward_returns"}
    kpis = {name: None if "sharpe" in name or "beta" in name else v for name, v in run.kpis.items()}
    nothing = {"score": None, "contributions": [], "target_weights": {}, "betas": {}}
    return replace(
        run,
        kpis={**kpis, "exposure_share": 0.0},
        signal={**run.signal, **nothing},
        tables={name: table for name, table in run.tables.items() if name not in unjudged},
    )


def stale_and_synthetic():
    """Return a run of the sandbox on a day without prices, and with funding that ended before."""
    run = changed(make_run(), "features_wide", has_funding=[True] * 110 + [False] * 10)
    run = changed(run, "data_health", age_days=3)
    return replace(
        run,
        signal={**run.signal, "data_status": "stale"},
        manifest={**run.manifest, "is_synthetic": True},
    )


def comparison():
    """Return a sweep of two keys, compared."""
    configs = {f"{a},{b}": {"x": {"first": a, "second": b}} for a in (1, 2, 3) for b in (5, 6)}
    n = len(configs)
    board = pd.DataFrame({"member": list(configs), "sharpe": np.linspace(1, -1, n)})
    board = board.assign(deflated_sharpe=0.4, sharpe_ci_low=-2.0, sharpe_ci_high=2.0)
    days = pd.date_range("2024-01-01", periods=200)
    returns = np.random.default_rng(1).normal(0, 0.01, (200, n))
    verdict = {"n_members": n, "n_days": 200, "pbo": 0.6, "spa_p": 0.3, "logits": [-1.0, 0.5, 1.5]}
    return render_comparison(board, pd.DataFrame(returns, days, list(configs)), verdict, configs)


def index():
    """Return the front page of a bucket with a good day, a bad one and a sweep."""
    links = (("report", "runs/daily/dt=2024-01-02/run=r/dashboard.html"),)
    return render_index(
        [
            Entry("daily", "2024-01-02", "runs/daily/b", "ok", "Balanced, hold", links, True),
            Entry("daily", "2024-01-01", "runs/daily/a", "stale", "Weak risk-on alts", links),
            Entry("backtest", "abc", "runs/backtests/abc", "6 members", "PBO 0.60", links),
        ]
    )


PAGES = {
    "full": lambda: render_dashboard(make_run()),
    "blind": lambda: render_dashboard(without_a_score()),
    "stale": lambda: render_dashboard(stale_and_synthetic()),
    "comparison": comparison,
    "index": index,
}
SAID = {
    "full": ["Real market data", "Since the day before", "What may be wrong", "Robustness"],
    "blind": ["Insufficient data", "No trade yet", "Nothing to test yet", "No day of the range"],
    "stale": ["SYNTHETIC", "Data is stale", "Funding is missing", "3 days old"],
    "comparison": ["Deflated", "Plateau score", "60.0%", "What differs"],
    "index": ["2024-01-02", "(latest)", "stale", "PBO 0.60"],
}


@pytest.fixture(scope="module", params=list(PAGES))
def page(request, tmp_path_factory):
    """Return the name of a page, its file and its text without the chart library."""
    text = PAGES[request.param]()
    file = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    file.write_text(text, "utf-8")
    own = re.sub(r"<script>/\*\*.*?</script>", "", text, count=1, flags=re.DOTALL)
    return request.param, file, own


def figures_of(text):
    found = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
    return json.loads(found.group(1)) if found else {"axes": [], "figures": {}}


class Outline(HTMLParser):
    """Ids, links to other places, and elements left open."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.ids, self.anchors, self.addresses, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        for name in ("src", "href"):
            place = given.get(name, "")
            (self.anchors if place.startswith("#") else self.addresses).append(place)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def test_the_text_is_whole_and_asks_nothing_of_anyone(page):
    name, file, own = page
    outline = Outline(own)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {anchor[1:] for anchor in outline.anchors} <= set(outline.ids)
    assert not any("//" in address for address in outline.addresses)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|localStorage", own)
    assert file.stat().st_size < 6e6
    assert all(said in own for said in SAID[name])


def test_every_figure_has_its_place_and_its_numbers(page):
    _, _, own = page
    drawn = figures_of(own)
    for key, figure in drawn["figures"].items():
        assert f'id="chart-{key}" role="img" aria-label="' in own
        for trace in figure["data"]:
            numbers = trace.get("y") if trace["type"] != "heatmap" else trace["z"][0]
            assert len(numbers) == len(drawn["axes"][trace["x"]])
            assert any(value is not None for value in numbers), key


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


OUT_OF_WINDOW = """
    [...document.querySelectorAll("body *")]
      .filter((e) => !e.closest(".scroll, .skip, .js-plotly-plot, script"))
      .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
      .filter((e) => !e.matches("nav *, .source *"))  // on a phone these scroll, or end in dots
      .map((e) => e.outerHTML.slice(0, 80))
"""
# Legends against the names on the axes, and the letters of neighbouring names.
OVERLAPS = """
    [...document.querySelectorAll(".js-plotly-plot")].flatMap((chart) => {
      const boxes = (query) =>
        [...chart.querySelectorAll(query)].map((e) => e.getBoundingClientRect());
      const cross = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
        && a.top < b.bottom - 1 && b.top < a.bottom - 1;
      const legend = boxes(".legend .traces"), ticks = boxes(".xtick text, .ytick text");
      const names = boxes(".xtick text");
      const bad = legend.some((a) => ticks.some((b) => cross(a, b)))
        || names.some((a, i) => names.slice(i + 1).some((b) => cross(a, b)));
      return bad ? [chart.id + ": " + [...chart.querySelectorAll(".xtick text")]
        .map((e) => e.textContent).join()] : [];
    })
"""
EMPTY = """
    [...document.querySelectorAll(".chart")]
      .filter((e) => !e.querySelector(".main-svg")).map((e) => e.id)
"""
INK = "getComputedStyle(document.body).color"
LETTERS = """
    [...document.querySelectorAll(".xtick text, .legendtext")].map((e) => getComputedStyle(e).fill)
"""


@NEEDS_BROWSER
def test_nothing_fails_overlaps_or_leaves_the_window(page, tab):
    name, file, own = page
    tab.open(file, 390)
    assert tab.value("document.documentElement.dataset.ready || '0'") == str(
        len(figures_of(own)["figures"])
    )
    # Every page shares its style; the full one is looked at in every way.
    for width, is_dark in LOOKS if name == "full" else (LOOKS[0], LOOKS[2]):
        tab.look(width, is_dark=is_dark)
        seen = (name, width, is_dark)
        assert tab.value(OUT_OF_WINDOW) == [], seen
        assert tab.value(OVERLAPS) == [], seen
        assert tab.value(EMPTY) == [], seen
        ink = tab.value(INK)
        assert set(tab.value(LETTERS)) <= {ink}, seen
    assert tab.complaints == []
    assert [asked for asked in tab.requests if not asked.startswith(("data:", "blob:"))] == []


@NEEDS_BROWSER
def test_numbers_are_the_table_ranges_are_linked_keys_work_and_paper_is_white(tmp_path, tab):
    run = make_run()
    file = tmp_path / "page.html"
    file.write_text(render_dashboard(run), "utf-8")
    tab.open(file, 1280)
    drawn = tab.value('document.getElementById("chart-equity").data[0].y')
    assert drawn == pytest.approx(run.tables["bt_equity_curve"]["equity"].tolist(), rel=1e-5)

    ranges = """
        keys.filter((key) => drawn.figures[key].dated)
          .map((key) => box(key)._fullLayout.xaxis.range.map((day) => day.slice(0, 10)).join())
    """
    tab.value("document.querySelector('button[data-days=\"30\"]').click()")
    tab.wait(f"new Set({ranges}).size === 1")
    assert tab.value(ranges)[0] == "2024-03-30,2024-04-29"
    assert tab.value("document.getElementById('from').value") == "2024-03-30"
    dragged = "{'xaxis.range[0]': '2024-02-01', 'xaxis.range[1]': '2024-02-20'}"
    tab.value(f"void Plotly.relayout(box('score'), {dragged})")
    tab.wait(f"new Set({ranges}).size === 1 && !isLinking")
    assert tab.value(ranges)[0] == "2024-02-01,2024-02-20"

    tab.value("void document.activeElement.blur()")
    pressed = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, **pressed)
    assert tab.value("document.activeElement !== document.body")
    controls = "[...document.querySelectorAll('button, nav a, input')]"
    assert tab.value(f"{controls}.every((control) => control.tabIndex >= 0)")
    tab.look(1280, is_dark=True)
    tab.value("dispatchEvent(new Event('beforeprint'))")
    assert "rgb(22, 32, 42)" in tab.value(LETTERS)


@NEEDS_BROWSER
def test_the_index_is_searched_by_every_word(tmp_path, tab):
    file = tmp_path / "index.html"
    file.write_text(index(), "utf-8")
    tab.open(file, 390)
    typed = "const s = document.getElementById('search'); s.value = 'STALE 2024'; "
    tab.value(f"(() => {{ {typed} s.dispatchEvent(new Event('input')); }})()")
    shown = (
        "[...document.querySelectorAll('li')].filter((e) => !e.hidden).map((e) => e.textContent)"
    )
    (only,) = tab.value(shown)
    assert "2024-01-01" in only
