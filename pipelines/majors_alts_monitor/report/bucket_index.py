"""The front page of the bucket: every daily run and backtest, with its status and its links.

Flow: ``Bucket -> Entry per run -> render -> index.html``. The page lists what is there, so it is
written again after every delivery and needs nothing remembered. Searching takes a few lines of
script; without it the page is a plain list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from majors_alts_monitor.report.dashboard import environment
from majors_alts_monitor.report.formatting import number, percent, regime_words
from pipeline_kit.bucket import Bucket

PAGE: Final = "index.html"
LINKS: Final = {
    "report": "dashboard.html",
    "mail": "email.html",
    "model lineage": "dbt_docs/index.html",
    "each weight": "explain.html",
    "data quality": "dq/gate1.html",
    "gate 2": "dq/gate2.html",
    "replay": "dq/replay.json",
    "comparison": "report.html",
    "leaderboard": "leaderboard.csv",
    "manifest": "manifest.json",
}
"""Words of a link and the file below the run that it opens, where the run has it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the page."""

    kind: str
    """``daily`` or ``backtest``."""
    label: str
    """Day, or id of the sweep."""
    key: str
    """Folder in the bucket."""
    status: str
    summary: str
    links: tuple[tuple[str, str], ...]
    """Words and key relative to the bucket."""
    is_latest: bool = False


def write_index(bucket: Bucket) -> None:
    """Write ``index.html`` at the root of the bucket from what it holds."""
    bucket.put(PAGE, render(list_entries(bucket)).encode())


def list_entries(bucket: Bucket) -> list[Entry]:
    """Return every finished run of the bucket, the newest day first, then the backtests by id."""
    keys = [*bucket.keys("runs")]
    latest = _json(bucket, "latest/daily.json").get("path")
    days = [
        _daily(bucket, folder, keys, is_latest=folder == latest)
        for folder in sorted(_folders(keys, "runs/daily/", 2), reverse=True)
    ]
    backtests = [
        _backtest(bucket, folder, keys) for folder in sorted(_folders(keys, "runs/backtests/", 1))
    ]
    return [entry for entry in [*days, *backtests] if entry is not None]


def render(entries: Iterable[Entry]) -> str:
    """Return the page; every name is escaped."""
    listed = list(entries)
    return (
        environment()
        .get_template("bucket_index.html.j2")
        .render(
            sections=[
                (title, [entry for entry in listed if entry.kind == kind])
                for kind, title in (("daily", "Daily signals"), ("backtest", "Backtests"))
            ]
        )
    )


def _folders(keys: Iterable[str], prefix: str, depth: int) -> set[str]:
    """Return the folders ``depth`` levels below ``prefix`` that hold anything.

    Examples
    --------
    >>> _folders(["runs/daily/dt=1/run=a/manifest.json", "runs/daily/dt=1/note"], "runs/daily/", 2)
    {'runs/daily/dt=1/run=a'}
    """
    n_parts = prefix.count("/") + depth
    own = (key.split("/") for key in keys if key.startswith(prefix))
    return {"/".join(parts[:n_parts]) for parts in own if len(parts) > n_parts}


def _daily(bucket: Bucket, folder: str, keys: list[str], *, is_latest: bool) -> Entry | None:
    """Return a day's entry; null for a run without manifest, which was not finished."""
    if f"{folder}/manifest.json" not in keys:
        return None
    signal = _json(bucket, f"{folder}/signals_today.json")
    manifest = _json(bucket, f"{folder}/manifest.json")
    words = ["SYNTHETIC" if manifest.get("is_synthetic") else ""]
    if signal:
        words += [
            regime_words(signal["regime"]),
            number(signal["score"], signed=True),
            # Runs of earlier versions stay listed: one without these keys must stop no delivery.
            str(signal.get("action", "")),
            f"gross {percent(signal['gross_exposure'])}" if "gross_exposure" in signal else "",
        ]
    day = folder.split("/")[2].removeprefix("dt=")
    return Entry(
        kind="daily",
        label=day,
        key=folder,
        status=str(signal.get("data_status", "no signal")),
        summary=", ".join(word for word in words if word),
        links=_links(folder, keys),
        is_latest=is_latest,
    )


def _backtest(bucket: Bucket, folder: str, keys: list[str]) -> Entry | None:
    """Return a sweep's entry; null without leaderboard, which is written after its members."""
    if f"{folder}/leaderboard.csv" not in keys:
        return None
    params = _json(bucket, f"{folder}/plan.json").get("params", {})
    verdict = _json(bucket, f"{folder}/overfitting.json")
    return Entry(
        kind="backtest",
        label=folder.rpartition("/")[2],
        key=folder,
        status=f"{verdict.get('n_members', '?')} members",
        summary=("SYNTHETIC, " if verdict.get("is_synthetic") else "")
        + f"{params.get('start', '?')} to {params.get('end', '?')}, "
        f"PBO {number(verdict.get('pbo'))}",
        links=_links(folder, keys),
    )


def _links(folder: str, keys: list[str]) -> tuple[tuple[str, str], ...]:
    present = set(keys)
    return tuple(
        (words, f"{folder}/{file}")
        for words, file in LINKS.items()
        if f"{folder}/{file}" in present
    )


def _json(bucket: Bucket, key: str) -> Mapping[str, Any]:
    content = bucket.get(key)
    found: Mapping[str, Any] = json.loads(content) if content else {}
    return found
