"""The mail as a mail server gets it: whole, small, without a script, and true to the tables."""

import re
import socket
from dataclasses import replace
from datetime import date
from email import message_from_bytes
from email.policy import default
from html import unescape

import pandas as pd
import pytest
from aiosmtpd.controller import Controller

from majors_alts_monitor.delivery import _message
from majors_alts_monitor.outputs import PARQUET_COLUMNS, read_run, write_run
from majors_alts_monitor.report.dashboard import KPI_ROWS
from majors_alts_monitor.report.mail_report import write_mail
from pipeline_kit.mail import Mailer
from tests.fixtures.runs import make_run

DAY = date(2024, 4, 29)
MOST_BYTES = 1_000_000


class Sink:
    """A mail server that keeps what it gets."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, envelope.content))
        return "250 kept"


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Return the run, and the mail that two recipients got for it."""
    home = tmp_path_factory.mktemp("mail")
    run = make_run()
    tables = {name: table for name, table in run.tables.items() if name != "bt_decisions"}
    blank = dict.fromkeys(PARQUET_COLUMNS["bt_positions"], 0.0)
    tables["bt_positions"] = tables["bt_positions"].assign(
        **{name: v for name, v in blank.items() if name not in tables["bt_positions"].columns}
    )
    write_run(home / "run", replace(run, tables=tables))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sink = Sink()
    server = Controller(sink, hostname="127.0.0.1", port=port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAM_SMTP_URL", f"smtp://127.0.0.1:{port}")
        patch.setenv("MAM_DATA_DIR", str(home))
        patch.setenv("MAM_REPORT_RECIPIENTS", "pm@desk.example, quant@desk.example")
        write_mail(home / "run", home / "mail", "file:///bucket/x", ["3 rows held back"])
        server.start()
        try:
            for _ in range(2):
                Mailer().send_once(_message(home / "mail", "0123456789abcdef", DAY))
        finally:
            server.stop()
    return read_run(home / "run"), sink.mails


@pytest.fixture(scope="module")
def mail(sent):
    return message_from_bytes(sent[1][0][1], policy=default)


@pytest.fixture(scope="module")
def bodies(mail):
    """Return HTML and plain text."""
    return tuple(mail.get_body((kind,)).get_content() for kind in ("html", "plain"))


def seen(html):
    """Return the words a reader sees."""
    return unescape(re.sub(r"<[^>]+>", " ", html))


def test_each_recipient_gets_it_once_and_it_is_small(sent):
    recipients = [to for to, _ in sent[1]]
    assert recipients == [["pm@desk.example"], ["quant@desk.example"]]
    assert all(len(content) < MOST_BYTES for _, content in sent[1])


def test_the_subject_tells_the_story(mail, sent):
    signal = sent[0].signal
    score = f"{signal['score']:+.2f}"
    assert mail["Subject"].startswith(f"[WARN] {DAY} ")
    assert f"{score} rebalance, gross 40% (1 warning)" in mail["Subject"]
    assert "\n" not in mail["Subject"]
    assert len(mail["Subject"]) < 120


def test_every_cid_resolves_to_a_picture_and_every_picture_is_shown(mail, bodies):
    html, _ = bodies
    pictures = {
        part["Content-ID"].strip("<>"): part.get_content()
        for part in mail.walk()
        if part.get_content_maintype() == "image"
    }
    assert set(re.findall(r'src="cid:([^"]+)"', html)) == set(pictures)
    assert len(pictures) == 3
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    assert all(part["Content-Disposition"].startswith("inline") for part in mail.iter_attachments())


def test_the_html_runs_nothing_and_asks_nothing_of_anyone(bodies):
    html, _ = bodies
    assert len(html.encode()) < 100_000
    assert not re.search(r"<script|javascript:|\son\w+=|<iframe|<object|<form|@import|url\(", html)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)


def test_with_pictures_blocked_their_numbers_are_read(bodies, sent):
    html, text = bodies
    alts = re.findall(r'<img [^>]*alt="([^"]+)"', html)
    equity = sent[0].tables["bt_equity_curve"]["equity"]
    reach = f"strategy {equity.iloc[-1]:.2f} (from {equity.min():.2f} to {equity.max():.2f})"
    assert reach in alts[1]
    assert all(re.search(r"\d", alt) for alt in alts)
    assert all(unescape(alt) in text for alt in alts)


@pytest.mark.parametrize("kind", [0, 1], ids=["html", "text"])
def test_every_number_is_the_one_of_the_tables(bodies, sent, kind):
    run, shown = sent[0], bodies[kind]
    shown = seen(shown) if kind == 0 else shown
    for label, key, _ in KPI_ROWS:
        found = re.search(rf"{re.escape(label)}\s+(-?[\d.]+)(%?)", shown)
        if key == "sharpe" and kind == 0:  # it has the line above the table to itself
            found = re.search(r"Sharpe (-?[\d.]+)(),", shown)
        value = float(found[1]) / (100 if found[2] else 1)
        assert value == pytest.approx(run.kpis[key], abs=0.00051 if found[2] else 0.0051), label
    for asset, weight in run.signal["target_weights"].items():
        row = re.search(rf"{asset}\s+([+-][\d.]+)%\s+([+-][\d.]+)%\s+([+-][\d.]+)", shown)
        assert float(row[1]) / 100 == pytest.approx(weight, abs=5.1e-5)
        change = weight - run.signal["current_weights"].get(asset, 0.0)
        assert float(row[2]) / 100 == pytest.approx(change, abs=5.1e-5)
        assert float(row[3]) == pytest.approx(
            weight * run.signal["betas"][asset]["BTC"], abs=5.1e-4
        )
    assert f"score {run.signal['score']:+.2f}" in shown.lower()


def test_the_two_bodies_hold_the_same_numbers(bodies):
    html, text = bodies
    numbers = re.compile(r"[+-]?\d+(?:\.\d+)?%?")
    in_html, in_text = set(numbers.findall(seen(html))), set(numbers.findall(text))
    assert in_html <= in_text, in_html - in_text


def test_a_missing_number_is_said_and_not_drawn(tmp_path):
    run = make_run(has_trades=False)
    positions = pd.DataFrame(columns=PARQUET_COLUMNS["bt_positions"])
    tables = {name: table for name, table in run.tables.items() if name != "bt_decisions"}
    kpis = {**run.kpis, "sharpe": None, "sharpe_ci_low": None, "sharpe_ci_high": None}
    signal = {**run.signal, "target_weights": {}, "betas": {}, "score": None, "action": "hold"}
    bare = replace(run, tables={**tables, "bt_positions": positions}, kpis=kpis, signal=signal)
    write_run(tmp_path / "run", bare)
    write_mail(tmp_path / "run", tmp_path / "mail", "file:///bucket/x", [])
    text = (tmp_path / "mail" / "email.txt").read_text()
    assert "Sharpe n/a, 95% interval [n/a, n/a]" in text
    assert "flat" in text
    assert (tmp_path / "mail" / "subject.txt").read_text().startswith("[OK]")
