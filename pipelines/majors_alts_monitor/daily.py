"""One day of production, step by step: what the tasks of ``daily_signal`` call.

Flow: ``build_day -> gate_day -> replay_before -> run_day``, then ``delivery.deliver_day``. Each
step reads what the step before left in the lake, the warehouse or the day's folder, and can be
called by hand.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from majors_alts_monitor.config import MonitorConfig, load_config
from majors_alts_monitor.data_io import (
    check_range,
    dbt_artifacts,
    open_lake,
    open_warehouse,
    read_features,
)
from majors_alts_monitor.errors import DayBusyError
from majors_alts_monitor.gate import GateReport, judge_marts
from majors_alts_monitor.outputs import is_run_of, read_manifest
from majors_alts_monitor.report.mail_report import write_mail
from majors_alts_monitor.run import Request, run_backtest, run_id_of
from pipeline_kit import atomic, paths, warehouse
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import PipelineError
from pipeline_kit.manifest import readable_json

DECISIVE: Final = frozenset({"action", "basket", "regime"})
"""Fields of a decision that a person would trade on; a weight in its sixth digit is not one."""


def main(argv: Sequence[str]) -> None:
    """Run one step by hand; ``warehouse`` publishes the day's marts when they pass gate 2."""
    parser = Parser(prog="python -m majors_alts_monitor.daily", description=__doc__)
    parser.add_argument("step", choices=("docs", "warehouse"))
    parser.add_argument("--asof", default="", help="UTC day; default: the lake's last one")
    flags = parser.parse_args(argv)
    asof = flags.asof or str(open_lake(paths.lake_dir()).facts.last_day)
    built = build_day(asof)
    if flags.step == "warehouse":
        gate_day(asof)
        built = paths.warehouse_dir() / "current.duckdb"
    page = day_folder(parse_day(asof, "--asof")) / "dbt_docs" / "index.html"
    sys.stdout.write(f"warehouse {built}\ndbt docs  {page}\n")


def day_folder(asof: date) -> Path:
    """Return the working folder of a day, ``MAM_DATA_DIR/runs/daily/dt=ASOF``."""
    return paths.data_dir() / "runs" / "daily" / f"dt={asof}"


def day_config() -> MonitorConfig:
    """Return the production configuration: ``MAM_CONFIG``, or the shipped one."""
    return load_config(configured_file())


def configured_file() -> Path | None:
    """Return ``MAM_CONFIG``, or null for the shipped ``config.yaml``."""
    named = os.environ.get("MAM_CONFIG")
    return Path(named) if named else None


@contextmanager
def day_lock(day: date) -> Iterator[None]:
    """Hold the day for one process, so that two runs of it never write to one folder.

    Raises
    ------
    DayBusyError
        If another process holds it.
    """
    folder = paths.data_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"daily.{day}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise DayBusyError(f"{day}: another run works on this day; wait for its end") from e
        yield


def build_day(asof: str) -> Path:
    """Build the day's warehouse and its lineage page; nothing is published yet."""
    day = parse_day(asof, "asof")
    lake = open_lake(paths.lake_dir())
    check_range(lake, lake.facts.first_day, day)
    built = open_warehouse(lake, day_config(), None)
    warehouse.generate_docs(
        built, dbt_artifacts(built), day_folder(day) / "dbt_docs" / "index.html"
    )
    return built


def gate_day(asof: str) -> GateReport:
    """Judge the day's marts, and publish them as ``current.duckdb`` when they pass.

    A later day's warehouse is never replaced by an older one's.

    Raises
    ------
    GateError
        If a critical expectation failed; nothing was published.
    """
    day = parse_day(asof, "asof")
    built = open_warehouse(open_lake(paths.lake_dir()), day_config(), None)
    report = judge_marts(built, day, day_folder(day) / "dq" / "gate2.json")
    warnings = [*take_gate1(day), *report.warnings]
    atomic.write_text(_warnings_file(day), readable_json(warnings))
    warehouse.publish(built, day, paths.warehouse_dir() / "current.duckdb")
    return report


def take_gate1(day: date) -> list[str]:
    """Put what gate 1 found beside gate 2's result, and return it as warnings."""
    source, said = paths.quality_dir() / f"dt={day}", list[str]()
    for file in sorted(source.glob("gate1.*")):
        atomic.write_bytes(day_folder(day) / "dq" / file.name, file.read_bytes())
        if file.suffix == ".json":
            found = json.loads(file.read_text("utf-8"))
            held = found["held_back"]
            said += [
                f"{one['table']}: {one['rows']} rows held back: {one['reason']}" for one in held
            ]
            said += found["warnings"]
    return [f"gate 1: {line}" for line in said]


def replay_before(asof: str) -> dict[str, Any]:
    """Take the decision of the day before again, and write what differs for the day's report.

    The recorded inputs must give what was published. Today's knowledge may give another answer;
    the report warns of it where the decision itself is another. Data and code that cannot be
    replayed are a warning as well: nothing here holds back the day's own signal.
    """
    from majors_alts_monitor import replay  # it takes the day's folder from this module

    day = parse_day(asof, "asof")
    before = day - timedelta(days=1)
    found: dict[str, Any] = {"asof": str(before), "warnings": [], "text": "no run to replay\n"}
    if (day_folder(before) / "run" / "manifest.json").is_file():
        try:
            replayed = replay.replay_day(before)
        except PipelineError as e:
            found["warnings"] = [f"replay of {before} is not possible: {e}"]
            found["text"] = f"{e}\n"
        else:
            found["warnings"] = _replay_warnings(before, replayed.broken, replayed.changed)
            found["text"] = replay.text(replayed)
    atomic.write_text(_replay_file(day), readable_json(found))
    return found


def _replay_warnings(day: date, broken: Sequence[str], changed: Sequence[str]) -> list[str]:
    """Return what a reader of the report must know.

    Examples
    --------
    >>> _replay_warnings(date(2024, 1, 1), [], ["score"])
    []
    >>> _replay_warnings(date(2024, 1, 1), [], ["regime", "score"])
    ["replay of 2024-01-01: today's knowledge gives another regime; see dq/replay.json"]
    """
    said = []
    if broken:
        said.append(f"replay of {day}: {', '.join(broken)} not as published; see dq/replay.json")
    other = [name for name in changed if name in DECISIVE]
    if other:
        words = ", ".join(other)
        said.append(f"replay of {day}: today's knowledge gives another {words}; see dq/replay.json")
    return said


def gate_warnings(day: date) -> list[str]:
    """Return what the gates let pass with a warning, and what the replay found."""
    file, replayed = _warnings_file(day), _replay_file(day)
    said: list[str] = json.loads(file.read_text("utf-8")) if file.is_file() else []
    if replayed.is_file():
        said += json.loads(replayed.read_text("utf-8"))["warnings"]
    return said


def _warnings_file(day: date) -> Path:
    return day_folder(day) / "dq" / "warnings.json"


def _replay_file(day: date) -> Path:
    return day_folder(day) / "dq" / "replay.json"


def run_day(asof: str) -> Path:
    """Run signal and backtest up to ``asof``, write the mail, and return the run folder."""
    day = parse_day(asof, "asof")
    folder = day_folder(day) / "run"
    request = Request(
        command="run",
        start=first_day_reported(day),
        end=day,
        config=day_config(),
        lake=paths.lake_dir(),
        out=folder,
        known_at=None,
    )
    with day_lock(day):
        if not is_run_of(folder, run_id_of(request, open_lake(request.lake))):
            run_backtest(request)
        return _write_mail(day, folder)


def _write_mail(day: date, folder: Path) -> Path:
    run_id = str(read_manifest(folder)["run_id"])
    address = Bucket().locate(bucket_key(day, run_id))
    write_mail(folder, day_folder(day) / "mail", address, gate_warnings(day))
    return folder


def headline(asof: str) -> str:
    """Return the day's decision in one line, which is also the subject of its mail."""
    mail = day_folder(parse_day(asof, "asof")) / "mail"
    return (mail / "subject.txt").read_text("utf-8").strip()


def bucket_key(day: date, run_id: str) -> str:
    """Return where a day's run is published, ``runs/daily/dt=D/run=ID``."""
    return f"runs/daily/dt={day}/run={run_id}"


def first_day_reported(asof: date) -> date:
    """Return the first day whose features are all there; the lake's first day if none is."""
    lake = open_lake(paths.lake_dir())
    features = read_features(open_warehouse(lake, day_config(), None))
    valid = features.index[features["valid"].fillna(value=False).astype(bool)]
    usable = [day.date() for day in valid[:1] if day.date() <= asof]
    return usable[0] if usable else min(lake.facts.first_day + timedelta(days=1), asof)


def forget_day(asof: str) -> None:
    """Remove the day's working folder; the bucket keeps what was published."""
    shutil.rmtree(day_folder(parse_day(asof, "asof")), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
