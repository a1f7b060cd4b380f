"""Killed anywhere, repeated once: the same bytes as a clean run, and no second mail.

``make chaos`` tries every point; ``make test`` every sixth and all around the mail.
"""

import email
import json
import os
import shutil
import socket
from datetime import date
from pathlib import Path

import duckdb
import pytest
from aiosmtpd.controller import Controller

from majors_alts_monitor.delivery import deliver_day
from majors_alts_monitor.health import report_health
from majors_alts_monitor.recorded_lake import pin_lake
from pipeline_kit import warehouse
from pipeline_kit.alerts import open_incident
from pipeline_kit.atomic import publish_folder
from pipeline_kit.bucket import BucketError
from pipeline_kit.lake import find_tables
from pipeline_kit.mail import MailError
from tests.chaos import disks
from tests.chaos.kills import chosen, finish, hashes, kill_at, points_of

pytestmark = pytest.mark.chaos
DAY = "2024-07-19"
MANIFEST = {
    "run_id": "0123456789abcdef",
    "inputs": {},
    "outputs": {},
    "durations": {},
    "last_day": DAY,
    "share_assumed": 0.0,
}


class Sink:
    """A mail server that keeps what it gets."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 kept"


@pytest.fixture
def smtp(monkeypatch):
    sink = Sink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(sink, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("MAM_SMTP_URL", f"smtp://127.0.0.1:{port}")
    yield sink
    server.stop()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path / 'bucket'}")
    monkeypatch.setenv("MAM_REPORT_RECIPIENTS", "desk@b.example,risk@b.example")
    monkeypatch.delenv("MAM_ALERT_WEBHOOK", raising=False)
    write_day(tmp_path / "data" / "runs" / "daily" / f"dt={DAY}")
    return tmp_path


def write_day(folder):
    """Write what the tasks before delivery leave, in small."""
    signal = {"regime": "BALANCED", "score": 0.1, "data_status": "ok", "target_weights": {}}
    signal |= {"action": "hold", "gross_exposure": 0.0}
    texts = {
        "run/manifest.json": json.dumps(MANIFEST),
        "run/signals_today.json": json.dumps(signal),
        "run/kpis.json": "{}",
        "mail/subject.txt": f"[OK] {DAY} BALANCED score +0.10",
        "mail/email.txt": "flat",
        "mail/email.html": "<p>flat</p>",
        "mail/charts/score.png": "picture",
        "dq/gate2.json": "{}",
        "dbt_docs/index.html": "<p>lineage</p>",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def deliver():
    deliver_day(DAY)


def clear(home):
    shutil.rmtree(home / "bucket", ignore_errors=True)
    shutil.rmtree(home / "data" / "outbox", ignore_errors=True)


def without_leftovers(named):
    """Leave out a killed writer's temporary files, which no reader ever opens."""
    return {k: v for k, v in named.items() if not k.rsplit("/", 1)[-1].startswith(".")}


def test_a_delivery_killed_anywhere_is_completed_by_the_next(home, smtp):
    log = home / "points.log"
    points = points_of(deliver, log)
    clean = hashes(home / "bucket")
    assert len(set(points)) >= 40
    for point in chosen(points):
        clear(home)
        smtp.mails.clear()

        kill_at(deliver, point, log)
        unfinished = home / "bucket" / "latest" / "daily.json"
        if unfinished.exists():
            assert json.loads(unfinished.read_text())["asof"] == DAY
        finish(deliver, log)

        where = f"point {point}, {points[point]}"
        assert without_leftovers(hashes(home / "bucket")) == clean, where
        # Between the server's answer and our mark nobody can know: the same Message-ID again.
        ids = [mail["Message-ID"] for mail in smtp.mails]
        assert len(set(ids)) == 2, where
        was_answered_unmarked = point > points.index("before send_message")
        assert len(ids) <= (3 if was_answered_unmarked else 2), where


def test_a_delivery_killed_around_the_outbox_leaves_one_mail_a_recipient(home, monkeypatch):
    monkeypatch.delenv("MAM_SMTP_URL", raising=False)
    log = home / "points.log"
    points = points_of(deliver, log)
    clean = hashes(home / "data" / "outbox")
    for point in chosen(points):
        clear(home)

        kill_at(deliver, point, log)
        finish(deliver, log)

        assert without_leftovers(hashes(home / "data" / "outbox")) == clean


def test_the_pointer_names_only_a_run_that_is_whole(home, smtp):
    log = home / "points.log"
    points = points_of(deliver, log)
    pointer = home / "bucket" / "latest" / "daily.json"
    for point in chosen(points):
        clear(home)

        kill_at(deliver, point, log)

        if pointer.exists():
            run = home / "bucket" / json.loads(pointer.read_text())["path"]
            assert (run / "manifest.json").is_file()
            assert (run / "email.html").is_file()
            assert smtp.mails


def test_a_folder_published_over_another_is_one_of_the_two_or_none(home):
    log, target = home / "points.log", home / "run"

    def build(words):
        for name in ("a.txt", "b.txt"):
            (home / "new").mkdir(exist_ok=True)
            (home / "new" / name).write_text(words)

    def publish():
        publish_folder(home / "new", target)

    build("old")
    points = points_of(publish, log)
    for point in range(len(points)):
        for folder in (target, home / "new"):
            shutil.rmtree(folder, ignore_errors=True)
        build("old")
        finish(publish, log)
        build("new")

        kill_at(publish, point, log)

        found = {p.read_text() for p in target.glob("*")} if target.is_dir() else set()
        assert found in ({"old"}, {"new"}, set())


def test_a_pinned_lake_is_whole_or_not_there(home):
    lake, pinned, log = home / "lake", home / "pinned", home / "points.log"
    files = []
    for name in ("fact_price", "fact_volume"):
        (lake / name).mkdir(parents=True)
        (lake / name / "part-0.parquet").write_bytes(name.encode())
        files.append({"path": f"{name}/part-0.parquet", "bytes": len(name)})
    tables = {Path(f["path"]).parent.name: {"files": [f]} for f in files}
    (lake / "manifest.json").write_text(json.dumps({"snapshot_id": "x", "tables": tables}))

    def pin():
        pin_lake(lake, pinned)

    points = points_of(pin, log)
    clean = hashes(pinned)
    for point in range(len(points)):
        shutil.rmtree(pinned)

        kill_at(pin, point, log)
        assert not pinned.exists() or len(find_tables(pinned)) == 2
        finish(pin, log)

        assert without_leftovers(hashes(pinned)) == clean


def test_an_alert_killed_anywhere_is_sent_once(home, smtp):
    log = home / "points.log"

    def alert():
        open_incident("stale_data", date(2024, 7, 19), "no news")

    points = points_of(alert, log)
    for point in range(len(points)):
        shutil.rmtree(home / "data" / "alerts", ignore_errors=True)
        clear(home)
        smtp.mails.clear()

        kill_at(alert, point, log)
        finish(alert, log)

        assert len({mail["Message-ID"] for mail in smtp.mails}) == 2


def test_a_mail_server_that_is_down_keeps_the_pointer_back_until_it_is_up(home, smtp, monkeypatch):
    up = os.environ["MAM_SMTP_URL"]
    monkeypatch.setenv("MAM_SMTP_URL", "smtp://127.0.0.1:9")
    with pytest.raises(MailError, match="check MAM_SMTP_URL"):
        deliver()
    assert not (home / "bucket" / "latest" / "daily.json").exists()

    monkeypatch.setenv("MAM_SMTP_URL", up)
    deliver()

    assert len(smtp.mails) == 2
    assert (home / "bucket" / "latest" / "daily.json").exists()


@pytest.mark.parametrize("fault", [disks.full, disks.read_only], ids=lambda f: f.__name__)
def test_a_bucket_that_is_full_or_read_only_gets_the_same_bytes_when_it_is_not(home, smtp, fault):
    picture = home / "data" / "runs" / "daily" / f"dt={DAY}" / "mail" / "charts" / "score.png"
    picture.write_bytes(bytes(3 * disks.SMALL))
    deliver()
    clean = hashes(home / "bucket")
    clear(home)
    smtp.mails.clear()
    (home / "bucket").mkdir()

    def fail_then_succeed():
        repair = fault(home / "bucket")
        way = "a tmpfs of its own" if os.path.ismount(home / "bucket") else "limits of the process"
        said = []
        try:
            deliver()
        except BucketError as e:
            said.append(str(e))
        kept = list(hashes(home / "bucket")) if (home / "bucket").is_dir() else []
        repair()
        deliver()
        return {"said": said, "kept": kept, "way": way, "after": hashes(home / "bucket")}

    found = disks.in_child(fail_then_succeed, home / "answer.json")

    disks.HOW[fault.__name__.replace("_", "-")] = found["way"]
    assert len(found["said"]) == 1
    assert "check rights and space" in found["said"][0]
    assert [name for name in found["kept"] if name.endswith(".tmp")] == []
    assert "latest/daily.json" not in found["kept"]
    assert found["after"] == clean
    assert len(smtp.mails) == 2


def test_a_warehouse_whose_publishing_is_killed_is_the_old_one_or_the_new(home):
    log, current = home / "points.log", home / "current.duckdb"
    for name, value in (("old", 1), ("new", 2)):
        with duckdb.connect(str(home / f"{name}.duckdb")) as connection:
            connection.execute(f"create table x as select {value} as v")

    def publish_warehouse():
        warehouse.publish(home / "new.duckdb", date(2024, 7, 19), current)

    def start_anew():
        current.unlink(missing_ok=True)
        warehouse.publish(home / "old.duckdb", date(2024, 7, 18), current)

    def published():
        with duckdb.connect(str(current), read_only=True) as connection:
            return connection.execute("select v from x").fetchone()[0]

    start_anew()
    points = points_of(publish_warehouse, log)
    for point in range(len(points)):
        start_anew()

        kill_at(publish_warehouse, point, log)
        found = published()
        finish(publish_warehouse, log)

        assert found in (1, 2)
        assert published() == 2


def test_metrics_killed_anywhere_are_completed_by_the_next(home, monkeypatch):
    monkeypatch.setenv("MAM_NOW", "2024-07-20T00:55:00Z")
    monkeypatch.delenv("MAM_SMTP_URL", raising=False)
    log = home / "points.log"

    def report():
        report_health(DAY)

    points = points_of(report, log)
    clean = hashes(home / "bucket")
    for point in range(len(points)):
        clear(home)

        kill_at(report, point, log)
        finish(report, log)

        assert without_leftovers(hashes(home / "bucket")) == clean
