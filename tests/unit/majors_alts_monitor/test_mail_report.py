"""The mail: the page's numbers, no script, small, and whole without its pictures."""

import re
from dataclasses import replace

import pytest

from majors_alts_monitor.mail_report import subject, write_mail
from majors_alts_monitor.outputs import write_run
from tests.fixtures.runs import make_run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("mail")
    run = make_run(alt="<b>X</b>")
    tables = {name: t for name, t in run.tables.items() if name not in {"bt_decisions"}}
    positions = tables["bt_positions"]
    missing = "return_1d pnl_price pnl_funding weight_target traded fee slippage impact".split()
    missing += ["beta_btc", "beta_eth", "stale_price"]
    tables["bt_positions"] = positions.assign(**dict.fromkeys(missing, 0.0))
    write_run(home / "run", replace(run, tables=tables))
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
