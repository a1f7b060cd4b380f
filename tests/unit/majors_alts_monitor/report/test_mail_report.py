"""The mail: the page's numbers, no script, small, and whole without its pictures."""

import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from majors_alts_monitor.outputs import PARQUET_COLUMNS, write_run
from majors_alts_monitor.report.dashboard import render_dashboard
from majors_alts_monitor.report.mail_report import subject, write_mail
from tests.fixtures.runs import make_run


def with_whole_positions(run):
    """Return the run with every column that a folder of a run must have."""
    positions = run.tables["bt_positions"]
    missing = [c for c in PARQUET_COLUMNS["bt_positions"] if c not in positions.columns]
    whole = positions.assign(**dict.fromkeys(missing, 0.0))
    return replace(run, tables={**run.tables, "bt_positions": whole})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("mail")
    write_run(home / "run", with_whole_positions(make_run(alt="<b>X</b>")))
    write_mail(home / "run", home / "mail", "file:///bucket/x", ["3 rows held back"])
    return home / "mail"


def test_every_picture_is_there_under_its_cid(written):
    html = (written / "email.html").read_text()
    named = set(re.findall(r"cid:([\w.-]+)", html))
    assert named == {path.name for path in (written / "charts").iterdir()}
    assert html.count('alt="') == len(named)


def test_the_html_is_small_without_script_and_escapes_names(written):
    html = (written / "email.html").read_text()
    assert len(html.encode()) < 100_000
    assert "<script" not in html
    assert "<b>X" not in html
    assert "&lt;b&gt;X" in html
    assert not re.search(r"""(?:src|href)=["']https?:""", html)


def test_html_and_text_hold_the_numbers_of_the_tables(written):
    for name in ("email.html", "email.txt"):
        body = (written / name).read_text()
        for shown in (
            "1.23",
            "[-0.40, 2.80]",
            "+21.00%",
            "-19.00%",
            "+1.20 bp",
            "+0.001",
            "-0.133",
        ):
            assert shown in body
        assert "3 rows held back" in body
        assert "Since the day before" in body


def test_the_subject_tells_the_story():
    run = make_run()
    signal = {**run.signal, "score": 0.5, "regime": "WEAK_RISK_ON_MAJORS"}
    calm = replace(run, signal=signal)
    assert subject(calm, []) == (
        "[OK] 2024-04-29 Weak risk-on majors (was Balanced) +0.50 rebalance, gross 40%"
    )
    held = {**signal, "previous_regime": signal["regime"], "action": "hold"}
    assert subject(replace(calm, signal=held), ["x"]) == (
        "[WARN] 2024-04-29 Weak risk-on majors +0.50 hold, gross 40% (1 warning)"
    )
    worried = replace(calm, manifest={**run.manifest, "is_synthetic": True})
    assert subject(worried, ["x"]).startswith("[WARN] SYNTHETIC ")
    stale = replace(calm, signal={**signal, "data_status": "stale"})
    assert subject(stale, []).startswith("[WARN]")
    assert subject(stale, []).endswith("data stale")


def test_writing_a_mail_loads_no_statistics_and_no_page_library():
    asked = "import sys, majors_alts_monitor.report.mail_report; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(done.stdout.split())
    assert "pandas" in loaded
    assert not loaded & {"scipy", "numba", "statsmodels", "plotly", "matplotlib", "duckdb"}


def test_three_years_are_a_page_in_five_seconds_and_a_mail_in_two(tmp_path):
    run = make_run(3 * 365)
    write_run(tmp_path / "run", with_whole_positions(run))
    write_mail(tmp_path / "run", tmp_path / "mail", "file:///bucket/x", [])  # loads the libraries
    began = time.process_time()
    write_mail(tmp_path / "run", tmp_path / "mail", "file:///bucket/x", [])
    mailed = time.process_time()
    render_dashboard(run)
    assert mailed - began < 2
    assert time.process_time() - mailed < 5
