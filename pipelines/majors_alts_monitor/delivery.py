"""Publish a day: bucket, mail, and the pointer last.

Flow: ``day folder -> bucket runs/daily/dt=D/run=ID -> mail -> latest/daily.json``. Everything
here can be repeated: files are replaced by equal bytes, mail goes out once per run and
recipient, and the pointer never goes back a day. A run without a signal is never delivered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from majors_alts_monitor.daily import bucket_key, day_folder
from majors_alts_monitor.outputs import read_manifest
from majors_alts_monitor.report.bucket_index import write_index
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.mail import Mailer, Message

POINTER = "latest/daily.json"


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.delivery", description=__doc__)
    parser.add_argument("--asof", required=True, help="day to deliver, YYYY-MM-DD")
    sys.stdout.write(f"delivered: {deliver_day(parser.parse_args(argv).asof)}\n")


def deliver_day(asof: str) -> str:
    """Publish the day's run folder, send its mail, advance the pointer; return the address."""
    day = parse_day(asof, "asof")
    folder = day_folder(day)
    run_id = str(read_manifest(folder / "run")["run_id"])
    bucket = Bucket()
    key = bucket_key(day, run_id)
    for part in ("dbt_docs", "dq", "mail"):
        if (folder / part).is_dir():
            bucket.put_folder(key if part == "mail" else f"{key}/{part}", folder / part)
    bucket.put_folder(key, folder / "run")
    Mailer().send_once(_message(folder / "mail", run_id, day))
    bucket.advance(POINTER, _pointer(folder / "run", key, run_id), str(day))
    write_index(bucket)
    return bucket.locate(key)


def _pointer(run: Path, key: str, run_id: str) -> dict[str, object]:
    signal = json.loads((run / "signals_today.json").read_text("utf-8"))
    return {
        "run_id": run_id,
        "path": key,
        "regime": signal["regime"],
        "score": signal["score"],
        "data_status": signal["data_status"],
        "target_weights": signal["target_weights"],
    }


def _message(mail: Path, run_id: str, day: date) -> Message:
    return Message(
        message_id=f"{run_id}.{day}",
        day=day,
        subject=(mail / "subject.txt").read_text("utf-8").strip(),
        text=(mail / "email.txt").read_text("utf-8"),
        html=(mail / "email.html").read_text("utf-8"),
        images={p.name: p.read_bytes() for p in sorted((mail / "charts").glob("*.png"))},
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
