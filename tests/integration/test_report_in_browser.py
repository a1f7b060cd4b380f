"""The page in a real browser: every chart is drawn, nothing is fetched, nothing fails."""

import re
import shutil
import subprocess

import pytest

from majors_alts_monitor.dashboard import render_dashboard
from majors_alts_monitor.report_charts import charts
from tests.fixtures.runs import make_run

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --virtual-time-budget=8000"
).split()

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium")


def opened(page, tmp_path, width):
    """Return the page's elements after its scripts ran, and what the console said."""
    file = tmp_path / "page.html"
    file.write_text(page, "utf-8")
    flags = [*QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    logging = ["--enable-logging=stderr", "--v=0", "--dump-dom", file.as_uri()]
    done = subprocess.run(
        [BROWSER, *flags, *logging], capture_output=True, text=True, timeout=120, check=True
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


@pytest.mark.parametrize(("width", "has_trades"), [(1280, True), (500, False)])
def test_every_chart_is_drawn_without_an_error(tmp_path, width, has_trades):
    run = make_run(has_trades=has_trades)
    page, console = opened(render_dashboard(run), tmp_path, width)
    assert console == []
    n_charts = sum(len(found) for found in charts(run).values())
    assert f'data-ready="{n_charts}"' in page
    assert len(re.findall(r'id="chart-[\w-]+" role="img"', page)) == n_charts
    assert page.count('class="plot-container plotly"') == n_charts
