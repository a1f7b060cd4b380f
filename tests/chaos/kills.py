"""Kill a piece of work at its n-th durable step, in a process of its own.

A durable step is what changes the world outside the process: a file's fsync, a rename, a link, a
put into the bucket, a mail. Each has two points, just before it and just after it, named by what is
done to what: ``before fsync manifest.json``.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import smtplib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_kit.bucket import Bucket

Work = Callable[[], Any]
TRIED: dict[str, list[str]] = {}
"""Points killed at in this session, by piece of work; the report lists them."""
STEPS = ((os, "fsync"), (Path, "replace"), (Path, "rename"), (os, "link"), (Bucket, "put"))
MAIL = (smtplib.SMTP, "send_message")


@dataclass
class Points:
    """Counts the points passed and dies at one of them."""

    die_at: int | None
    log: Path
    passed: int = 0

    def reach(self, name: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{name}\n")
        if self.passed == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def wrap(self, owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            what = f"{name} {_target(name, arguments)}".strip()
            self.reach(f"before {what}")
            result = real(*arguments, **named)
            self.reach(f"after {what}")
            return result

        setattr(owner, name, watched)


def _target(name: str, arguments: tuple[Any, ...]) -> str:
    """Return what a step is done to, without what is random in a temporary name."""
    if name == "send_message":
        return ""
    is_open = name == "fsync"
    target = Path(f"/proc/self/fd/{arguments[0]}").readlink() if is_open else arguments[1]
    return re.sub(r"\.?[0-9a-f]{32}(\.tmp|\.old)?", "", Path(target).name).lstrip(".")


def points_of(work: Work, log: Path) -> list[str]:
    """Run ``work`` whole in a child and return the names of its points, in order."""
    assert _in_child(work, log, None) == 0
    return log.read_text().splitlines()


def kill_at(work: Work, point: int, log: Path) -> None:
    """Run ``work`` in a child that is killed with signal 9 at ``point``."""
    assert _in_child(work, log, point) == -signal.SIGKILL
    TRIED.setdefault(work.__name__, []).append(log.read_text().splitlines()[-1])


def finish(work: Work, log: Path) -> None:
    """Run ``work`` whole in a child."""
    assert _in_child(work, log, None) == 0


def hashes(folder: Path) -> dict[str, str]:
    """Return name to SHA-256 of every file below ``folder``, temporary ones included."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def chosen(points: list[str]) -> list[int]:
    """Return the points to try: all with ``CHAOS=all``, else every sixth and those about mail."""
    if os.environ.get("CHAOS") == "all":
        return list(range(len(points)))
    return [i for i, name in enumerate(points) if i % 6 == 0 or "send_message" in name]


def _in_child(work: Work, log: Path, die_at: int | None) -> int:
    log.unlink(missing_ok=True)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        points = Points(die_at, log)
        for owner, name in (*STEPS, MAIL):
            points.wrap(owner, name)
        work()
    except BaseException as e:
        sys.stderr.write(f"{type(e).__name__}: {e}\n")
        os._exit(1)
    os._exit(0)
