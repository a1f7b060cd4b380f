"""One message per incident, on every channel, and one when it is over."""

import email
import json
import socket
import threading
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller

from pipeline_kit import alerts
from pipeline_kit.alerts import (
    AlertError,
    close_incident,
    open_incident,
    task_failed,
    task_recovered,
)
from pipeline_kit.bucket import Bucket, BucketError
from pipeline_kit.errors import UsageProblem
from pipeline_kit.watchdog import NoSignalError, watch

DAY = date(2024, 7, 19)
ROOT = Path(__file__).parents[3]


class Sink:
    """A mail server that keeps what it gets."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 kept"

    @property
    def subjects(self):
        return [mail["Subject"] for mail in self.mails]


@pytest.fixture
def sink(tmp_path, monkeypatch):
    kept = Sink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("MAM_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path / 'bucket'}")
    monkeypatch.delenv("MAM_ALERT_WEBHOOK", raising=False)
    monkeypatch.delenv("MAM_REPORT_RECIPIENTS", raising=False)
    yield kept
    server.stop()


@pytest.fixture
def hook(monkeypatch):
    """A webhook that answers with ``status`` and keeps what it gets."""
    state = SimpleNamespace(status=200, posts=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            state.posts.append(json.loads(self.rfile.read(length)))
            self.send_response(state.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("MAM_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/secret-path")
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def context(task, cause="vendor is down", dag="daily_signal", run="manual__1"):
    instance = SimpleNamespace(dag_id=dag, task_id=task, run_id=run)
    return {"task_instance": instance, "params": {"asof": str(DAY)}, "exception": cause}


def test_two_failed_tasks_of_a_day_are_one_mail(sink):
    task_failed(context("ingest"))
    task_failed(context("build_warehouse", "another cause"))

    (mail,) = sink.mails
    text = mail.get_payload()[0].get_payload()
    assert mail["Subject"] == "[FAIL] 2024-07-19 daily signal failed"
    assert "Cause: vendor is down" in text
    assert "Where: run manual__1, task ingest" in text
    assert "Runbook: docs/runbooks/daily_signal_failed.md" in text


def test_a_run_for_a_day_that_is_none_is_told_as_well(sink, monkeypatch):
    monkeypatch.setenv("MAM_NOW", "2024-07-20T00:50:00Z")

    task_failed({**context("ingest", "asof: 'x' is not a day"), "params": {"asof": "x"}})

    assert sink.subjects == ["[FAIL] 2024-07-19 daily signal failed"]


def test_each_sweep_that_fails_is_an_incident_of_its_own(sink):
    for run in ("a", "b", "a", "b"):
        task_failed(context("member", f"memory of {run}", "backfill_backtest", run))

    causes = [mail.get_payload()[0].get_payload().split("Cause: ")[1] for mail in sink.mails]
    assert [cause.splitlines()[0] for cause in causes] == ["memory of a", "memory of b"]


class SharedBucket(Bucket):
    """A folder that stands for a store all workers reach."""

    is_shared = True


def test_a_sweep_that_fails_on_workers_without_a_common_disk_is_told_once(
    sink, tmp_path, monkeypatch
):
    monkeypatch.setattr(alerts, "Bucket", SharedBucket)
    for run in ("a", "b"):
        for worker in ("guest", "home", "guest", "other"):
            monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / worker))
            task_failed(context("member", f"memory of {run}", "backfill_backtest", run))
    # A bucket that cannot be asked keeps nobody silent.
    monkeypatch.setenv("MAM_BUCKET_URI", "ftp://nowhere")
    task_failed(context("member", "no bucket", "backfill_backtest", "c"))

    causes = [mail.get_payload()[0].get_payload().split("Cause: ")[1] for mail in sink.mails]
    assert [c.splitlines()[0] for c in causes] == ["memory of a", "memory of b", "no bucket"]


def test_a_partition_that_is_fetched_after_all_is_said_to_be_over(sink):
    task_recovered(context("ingest", dag="ingest_history"))
    task_failed(context("ingest", dag="ingest_history"))
    for _ in range(2):
        task_recovered(context("ingest", dag="ingest_history"))

    assert sink.subjects == [
        "[FAIL] 2024-07-19 ingest history failed",
        "[OK] 2024-07-19 ingest history failed: recovered",
    ]


def test_recovery_is_said_once_and_a_new_failure_is_a_new_incident(sink):
    for _ in range(2):
        open_incident("daily_signal_failed", DAY, "down")
    for _ in range(2):
        close_incident("daily_signal_failed", DAY)
    open_incident("daily_signal_failed", DAY, "down again")

    assert sink.subjects == [
        "[FAIL] 2024-07-19 daily signal failed",
        "[OK] 2024-07-19 daily signal failed: recovered",
        "[FAIL] 2024-07-19 daily signal failed",
    ]


def test_what_never_opened_is_not_closed(sink):
    assert not close_incident("daily_signal_failed", DAY)
    assert sink.mails == []


def test_another_day_and_another_kind_are_other_incidents(sink):
    open_incident("gate_warning", DAY, "a jump")
    open_incident("gate_warning", date(2024, 7, 20), "a jump")
    open_incident("stale_data", DAY, "no news")

    assert len(sink.mails) == 3
    assert sink.subjects[0].startswith("[WARN] 2024-07-19 gate warning")


def test_the_webhook_gets_slack_s_json_once(sink, hook):
    open_incident("gate_warning", DAY, "a <jump> & more")
    open_incident("gate_warning", DAY, "a <jump> & more")

    (post,) = hook.posts
    assert set(post) == {"text"}
    assert "a <jump> & more" in post["text"]
    assert len(sink.mails) == 1
    assert "a &lt;jump&gt; &amp; more" in sink.mails[0].get_payload()[1].get_payload()


def test_a_channel_that_was_down_is_tried_again_and_the_other_is_not(sink, hook):
    hook.status = 503
    with pytest.raises(AlertError, match="webhook: status 503") as caught:
        open_incident("stale_data", DAY, "no news")
    hook.status = 200
    open_incident("stale_data", DAY, "no news")

    assert "secret-path" not in str(caught.value)
    assert len(sink.mails) == 1
    assert len(hook.posts) == 2


def test_a_mail_server_that_is_down_does_not_hide_the_failed_task(sink, monkeypatch, capsys):
    monkeypatch.setenv("MAM_SMTP_URL", "smtp://127.0.0.1:9")

    task_failed(context("ingest"))

    assert "not delivered by mail" in capsys.readouterr().err


def test_a_secret_in_the_cause_is_masked(sink, monkeypatch):
    monkeypatch.setenv("COINGLASS_API_KEY", "canary-key-1234")

    open_incident("stale_data", DAY, "refused canary-key-1234")

    assert "canary-key-1234" not in sink.mails[0].as_string()


def test_an_unknown_kind_is_a_usage_problem(sink):
    with pytest.raises(UsageProblem, match="not one of"):
        open_incident("sunspots", DAY, "")


@pytest.mark.parametrize("kind", alerts.KINDS)
def test_every_alert_has_a_runbook(kind):
    text = (ROOT / alerts.RUNBOOKS / f"{kind}.md").read_text("utf-8")

    assert "## Find the cause" in text
    assert "## Afterwards" in text


def at(hour, minute, day=20):
    return datetime(2024, 7, day, hour, minute, tzinfo=UTC)


def test_the_watchdog_is_quiet_until_the_deadline(sink):
    Bucket().advance("latest/daily.json", {}, "2024-07-18")

    assert "in time" in watch(at(1, 29))
    assert sink.mails == []


def test_a_missed_deadline_is_one_incident_however_often_it_is_seen(sink):
    Bucket().advance("latest/daily.json", {}, "2024-07-18")
    for minute in (30, 35, 40):
        with pytest.raises(NoSignalError, match="latest is 2024-07-18, due is 2024-07-19"):
            watch(at(1, minute))
    Bucket().advance("latest/daily.json", {}, "2024-07-19")
    for minute in (45, 50):
        watch(at(1, minute))

    assert sink.subjects == [
        "[FAIL] 2024-07-19 deadline missed",
        "[OK] 2024-07-19 deadline missed: recovered",
    ]


def test_a_bucket_that_cannot_be_read_is_told_once_and_its_return_once(sink, tmp_path):
    Bucket().advance("latest/daily.json", {}, "2024-07-19")
    (tmp_path / "bucket").rename(tmp_path / "aside")
    (tmp_path / "bucket").write_text("a file where the folder should be")
    for minute in (0, 5):
        with pytest.raises(BucketError, match="cannot read"):
            watch(at(2, minute))
    (tmp_path / "bucket").unlink()
    (tmp_path / "aside").rename(tmp_path / "bucket")
    for minute in (10, 15):
        watch(at(2, minute))

    assert sink.subjects == [
        "[FAIL] 2024-07-19 no signal",
        "[OK] 2024-07-19 no signal: recovered",
    ]


def test_a_day_without_any_signal_is_worse_than_a_late_one(sink):
    Bucket().advance("latest/daily.json", {}, "2024-07-17")

    with pytest.raises(NoSignalError, match="no_signal"):
        watch(at(2, 0))

    assert sink.subjects == ["[FAIL] 2024-07-19 no signal"]
