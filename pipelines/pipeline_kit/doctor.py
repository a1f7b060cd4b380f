"""Check an installation and say in words what is wrong: ``python -m pipeline_kit.doctor``.

Nothing is changed and no vendor is asked; one probe file is written into the data folder and the
bucket. Exit code 2 when something must be repaired before a run can work.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Literal

from pipeline_kit import atomic, paths
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import last_complete_day, now_utc
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import PipelineError, UsageProblem
from pipeline_kit.lake import check_tables, find_tables
from pipeline_kit.local_airflow import PORT
from pipeline_kit.mail import smtp_url

Level = Literal["ok", "note", "wrong"]
LEAST_FREE_GB: Final = 5
SMTP_TIMEOUT_S: Final = 5.0
PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
PROBE: Final = ".probe"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    level: Level
    words: str


class InstallationError(UsageProblem):
    """Something must be repaired before a run can work."""


def main(argv: Sequence[str]) -> None:
    """Run every check and print a line for each finding."""
    Parser(prog="python -m pipeline_kit.doctor", description=__doc__).parse_args(argv)
    wrong = 0
    for check in CHECKS:
        for finding in examine(check):
            sys.stdout.write(f"{finding.level:<6}{finding.words}\n")
            wrong += finding.level == "wrong"
    if wrong:
        raise InstallationError(f"doctor: {wrong} findings must be repaired; see the lines above")


def examine(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Return what a check finds; one that cannot be made is itself a finding."""
    try:
        return list(check())
    except (PipelineError, OSError) as e:
        return [Finding("wrong", " ".join(str(e).split()))]


def check_python() -> Iterator[Finding]:
    """Compare every installed package with the lock."""
    pins = PINNED.findall(paths.lock_file().read_text("utf-8"))
    strange = [name for name, version in pins if installed_version(name) not in (version, None)]
    missing = [name for name, _ in pins if installed_version(name) is None]
    for words, names in (("another version than the lock's", strange), ("missing", missing)):
        if names:
            yield Finding("wrong", f"{words}: {', '.join(names[:5])}; run make setup")
    if not strange and not missing:
        yield Finding("ok", f"{len(pins)} packages are those of the lock")


def installed_version(name: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_folders() -> Iterator[Finding]:
    """Write a probe into the data folder and look at the free space."""
    data = paths.data_dir()
    try:
        atomic.write_text(data / PROBE, "")
        (data / PROBE).unlink()
    except OSError as e:
        yield Finding(
            "wrong",
            f"data folder {data}: cannot be written ({e.strerror}); repair it, give the rights to "
            f"user {os.geteuid()}, or set MAM_DATA_DIR",
        )
        return
    free_gb = shutil.disk_usage(data).free / 1e9
    level: Level = "ok" if free_gb >= LEAST_FREE_GB else "wrong"
    need = "" if level == "ok" else f", at least {LEAST_FREE_GB} are wanted: make room"
    yield Finding(level, f"data folder {data}: writable, {free_gb:.0f} GB free{need}")


def check_bucket() -> Iterator[Finding]:
    """Write a probe into the bucket and read it back."""
    bucket = Bucket()
    bucket.put(PROBE, b"probe")
    level: Level = "ok" if bucket.get(PROBE) == b"probe" else "wrong"
    yield Finding(level, f"bucket {bucket.uri}: writable and readable")


def check_lake() -> Iterator[Finding]:
    """Say how fresh the lake is, by its content."""
    lake = paths.lake_dir()
    if not (lake / "manifest.json").is_file():
        yield Finding("note", f"lake {lake}: empty; make run fills it")
        return
    last = check_tables(find_tables(lake)).last_day
    due = last_complete_day(now_utc())
    level: Level = "ok" if last >= due else "note"
    yield Finding(level, f"lake {lake}: last complete day {last}, the newest possible is {due}")


def check_keys() -> Iterator[Finding]:
    """Say which vendors can be asked; no value is shown."""
    if os.environ.get("COINGLASS_API_KEY"):
        yield Finding("ok", "COINGLASS_API_KEY is set")
    else:
        yield Finding("note", "COINGLASS_API_KEY is not set: make run uses the SYNTHETIC market")
    named = os.environ.get("MAM_CONFIG")
    if named and not os.access(named, os.R_OK):
        yield Finding("wrong", f"MAM_CONFIG: {named} cannot be read; name a YAML file or unset it")
    elif named:
        yield Finding("note", f"MAM_CONFIG replaces the shipped config.yaml: {named}")
    frozen = os.environ.get("MAM_NOW")
    if frozen:
        yield Finding("note", f"MAM_NOW replaces the clock: {now_utc().isoformat()}")


def check_mail() -> Iterator[Finding]:
    """Connect to the mail server, and say who gets the report and the alerts."""
    url = smtp_url()
    if not url.scheme:
        yield Finding("note", f"MAM_SMTP_URL is not set: mail goes to {paths.data_dir()}/outbox")
    else:
        port = url.port or (465 if url.scheme == "smtps" else 25)
        server = f"mail server {url.hostname}:{port}"
        try:
            socket.create_connection((url.hostname or "localhost", port), SMTP_TIMEOUT_S).close()
        except OSError as e:
            yield Finding("wrong", f"{server}: {e}; check MAM_SMTP_URL and the server")
        else:
            yield Finding("ok", f"{server} answers")
        if not os.environ.get("MAM_REPORT_RECIPIENTS"):
            yield Finding("wrong", "MAM_REPORT_RECIPIENTS is not set; name who gets the report")
    if not os.environ.get("MAM_ALERT_WEBHOOK"):
        yield Finding("note", "MAM_ALERT_WEBHOOK is not set: alerts go by mail only")


def check_port() -> Iterator[Finding]:
    """Say whether ``make airflow`` would find its port free."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)):
            yield Finding("ok", f"port {PORT} of 127.0.0.1 is free for make airflow")
        else:
            yield Finding("note", f"port {PORT} of 127.0.0.1 is in use: make airflow cannot start")


CHECKS: Final = (
    check_python,
    check_folders,
    check_bucket,
    check_lake,
    check_keys,
    check_mail,
    check_port,
)


if __name__ == "__main__":
    sys.exit(run_command(main))
