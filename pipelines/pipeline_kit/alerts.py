"""Alerts: one message per incident, by mail and webhook, with cause and runbook.

An incident is a kind and a day. Its file in ``MAM_DATA_DIR/alerts`` remembers which channel was
served, so a repeated cause sends nothing twice and a channel that was down is tried again; when
the incident ends, one message says so. A run that fails on several workers without a common disk
is told by the first of them, which says so in the bucket. ``MAM_ALERT_WEBHOOK`` takes
Slack-compatible JSON. No alert carries a signal.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from pipeline_kit import atomic, paths
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import last_complete_day, now_utc, parse_day
from pipeline_kit.errors import DataProblem, PipelineError, UsageProblem
from pipeline_kit.mail import Mailer, Message
from pipeline_kit.manifest import readable_json, sha256_text

RUNBOOKS: Final = "docs/runbooks"
KINDS: Final[Mapping[str, str]] = {
    "daily_signal_failed": "FAIL",
    "backfill_backtest_failed": "FAIL",
    "ingest_history_failed": "FAIL",
    "maintenance_failed": "FAIL",
    "deadline_missed": "FAIL",
    "no_signal": "FAIL",
    "stale_data": "WARN",
    "gate_warning": "WARN",
}
SECRETS: Final = (
    "COINGLASS_API_KEY",
    "COINGECKO_API_KEY",
    "MAM_SMTP_URL",
    "MAM_ALERT_WEBHOOK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MAM_AIRFLOW_DB",
)
WEBHOOK_TIMEOUT_S: Final = 10.0
LONGEST_CAUSE: Final = 600


class AlertError(DataProblem):
    """An alert could not be delivered on every channel; the next attempt tries the rest."""


def open_incident(kind: str, day: date, cause: str, where: str = "", run: str = "") -> bool:
    """Report an incident unless it is reported already.

    Parameters
    ----------
    kind : str
        One of ``KINDS``; ``docs/runbooks/KIND.md`` says what to do.
    day : date
        The UTC day concerned.
    cause : str
        What happened, one line; values of secrets are masked.
    where : str
        Run and task.
    run : str
        Where runs of a day have nothing to do with each other: which of them it is.

    Returns
    -------
    bool
        True when something was sent.

    Raises
    ------
    AlertError
        If a channel failed; the others were served.
    """
    if kind not in KINDS:
        raise UsageProblem(f"alert {kind!r} is not one of {', '.join(KINDS)}")
    if run and _is_told_elsewhere(kind, run):
        return False
    with _incident(kind, day) as state:
        known = state.get("runs", [""]) if state.get("is_open") else []
        if not state.get("is_open") or run not in known:
            state |= {
                "is_open": True,
                "runs": [*known, run],
                "number": state.get("number", 0) + 1,
                "cause": mask(cause)[:LONGEST_CAUSE],
                "where": where,
                "opened": [],
                "closed": [],
            }
        return _serve(kind, day, state, "opened")


def close_incident(kind: str, day: date) -> bool:
    """Say once that an open incident is over; return whether something was sent."""
    if not _file(kind, day).is_file():
        return False
    with _incident(kind, day) as state:
        if not state.get("is_open") and not _unserved(state, "closed"):
            return False
        state["is_open"] = False
        return _serve(kind, day, state, "closed")


def task_recovered(context: Mapping[str, Any]) -> None:
    """Close what a DAG's day had open: the callback of a last task that succeeded."""
    try:
        close_incident(f"{context['task_instance'].dag_id}_failed", context_day(context))
    except PipelineError as e:
        sys.stderr.write(f"alert: {e}\n")


def open_incidents() -> list[tuple[str, date]]:
    """Return what is open now, sorted by kind and day."""
    found = []
    for file in sorted((paths.data_dir() / "alerts").glob("*.json")):
        if json.loads(file.read_text("utf-8"))["is_open"]:
            kind, _, day = file.stem.rpartition(".")
            found.append((kind, parse_day(day, file.name)))
    return found


def task_failed(context: Mapping[str, Any]) -> None:
    """Report a failed Airflow task: the callback of every DAG.

    All tasks of a DAG's day are one incident; of ``backfill_backtest``, all of a run. A channel
    that fails here must not hide the task's own failure, so it is written to the log.
    """
    instance = context["task_instance"]
    try:
        open_incident(
            f"{instance.dag_id}_failed",
            context_day(context),
            " ".join(str(context.get("exception") or "the task ended without an answer").split()),
            f"run {instance.run_id}, task {instance.task_id}",
            instance.run_id if instance.dag_id == "backfill_backtest" else "",
        )
    except PipelineError as e:
        sys.stderr.write(f"alert: {e}\n")


def context_day(context: Mapping[str, Any]) -> date:
    """Return the day a task works for: ``asof``, its interval's day, or the last complete one."""
    asof = (context.get("params") or {}).get("asof")
    if asof:
        # A day that is none is what failed: that must be told, too.
        with suppress(UsageProblem):
            return parse_day(str(asof), "asof")
    begin = context.get("data_interval_start")
    return begin.date() if begin else last_complete_day(now_utc())


def mask(text: str) -> str:
    """Return ``text`` with the values of secrets replaced.

    Examples
    --------
    >>> mask("refused")
    'refused'
    """
    for name in SECRETS:
        value = os.environ.get(name) or ""
        parts = [value, urlsplit(value).password or ""] if "://" in value else [value]
        for part in parts:
            if len(part) >= 6:
                text = text.replace(part, "***")
    return text


def _is_told_elsewhere(kind: str, run: str) -> bool:
    """Return whether a worker with another disk tells of the run; if none does, we do from now."""
    us = f"{socket.gethostname()}:{paths.data_dir()}".encode()
    key = f"alerts/{kind}.{sha256_text(run)[:16]}"
    try:
        bucket = Bucket()
        if not bucket.is_shared or bucket.put_new(key, us):
            return False
        return bucket.get(key) not in {us, None}
    except PipelineError:
        # Told twice is better than never.
        return False


def _file(kind: str, day: date) -> Path:
    return paths.data_dir() / "alerts" / f"{kind}.{day}.json"


@contextmanager
def _incident(kind: str, day: date) -> Iterator[dict[str, Any]]:
    """Yield an incident's state under a lock, and keep what was changed whatever happens."""
    file = _file(kind, day)
    file.parent.mkdir(parents=True, exist_ok=True)
    with (file.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        try:
            yield state
        finally:
            atomic.write_text(file, readable_json(state))


def _channels() -> dict[str, Callable[[Message], None]]:
    channels: dict[str, Callable[[Message], None]] = {"mail": _mail}
    if os.environ.get("MAM_ALERT_WEBHOOK"):
        channels["webhook"] = _webhook
    return channels


def _unserved(state: Mapping[str, Any], event: str) -> list[str]:
    # Who never heard that it began need not hear that it ended.
    told = state["opened"] if event == "closed" else list(_channels())
    return [name for name in told if name not in state[event]]


def _serve(kind: str, day: date, state: dict[str, Any], event: str) -> bool:
    message = _message(kind, day, state, is_over=event == "closed")
    failures, is_sent = [], False
    channels = _channels()
    for name in _unserved(state, event):
        try:
            channels.get(name, _forget)(message)
        except PipelineError as e:
            failures.append(f"{name}: {mask(str(e))}")
        else:
            state[event] = [*state[event], name]
            is_sent = True
    if failures:
        raise AlertError(f"{kind} {day} not delivered by {'; '.join(failures)}")
    return is_sent


def _forget(_message: Message) -> None:
    """Serve a channel that is no longer configured."""


def _message(kind: str, day: date, state: Mapping[str, Any], *, is_over: bool) -> Message:
    words = kind.replace("_", " ")
    level = "OK" if is_over else KINDS[kind]
    lines = [
        f"{words}: recovered" if is_over else words,
        f"Day: {day}",
        f"Cause: {state['cause']}",
        *([f"Where: {state['where']}"] if state["where"] else []),
        f"Runbook: {RUNBOOKS}/{kind}.md",
    ]
    return Message(
        message_id=f"{kind}.{day}.{state['number']}.{'closed' if is_over else 'opened'}",
        day=day,
        subject=f"[{level}] {day} {lines[0]}",
        text="\n".join(lines) + "\n",
        html="<p>" + "<br>\n".join(escape(line) for line in lines) + "</p>\n",
        folder="alerts",
    )


def _mail(message: Message) -> None:
    Mailer().send_once(message)


def _webhook(message: Message) -> None:
    body = {"text": f"{message.subject}\n{message.text}"}
    try:
        answer = httpx.post(os.environ["MAM_ALERT_WEBHOOK"], json=body, timeout=WEBHOOK_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        # The address is a secret, and the library's text may hold it.
        raise AlertError(f"no answer ({type(e).__name__}); check MAM_ALERT_WEBHOOK") from e
    if answer.is_error:
        raise AlertError(f"status {answer.status_code}; check MAM_ALERT_WEBHOOK")
