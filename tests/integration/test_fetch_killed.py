"""A fetch over HTTP into a real lake: killed, doubled, and on a disk that fills up."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

import lake_ingest.fetch as fetching
from lake_ingest.bronze import Answer, Archive, read_run, request_id
from lake_ingest.fetch_state import fetch_lock
from lake_ingest.sandbox import serve
from lake_ingest.sandbox.server import Sandbox
from lake_ingest.seal import read_snapshot
from lake_ingest.verify import verify_bronze
from pipeline_kit.calendar import parse_instant
from pipeline_kit.cli import run_command
from pipeline_kit.contract import TABLES
from tests.chaos.kills import STEPS, Points, hashes

pytestmark = pytest.mark.chaos
NOW = "2024-06-15T00:50:00+00:00"
END = "2024-06-14"
ASSETS, DAYS = 27, 150
FEW = ["--start", "2024-06-01", "--end", END, "--symbols", "BTC,PEPE", "--sources", "coinglass"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with serve(assets=ASSETS, days=DAYS, now=parse_instant(NOW, "NOW")) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Path:
    for name, value in environment(tmp_path, sandbox).items():
        monkeypatch.setenv(name, value)
    for name in ("COINGECKO_API_KEY", "COINGECKO_PLAN"):
        monkeypatch.delenv(name, raising=False)
    sandbox.requests.clear()
    return tmp_path


def environment(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    rates = {f"MAM_RATE_{vendor}": "100000" for vendor in ("COINGLASS", "COINGECKO", "BINANCE")}
    return {
        "MAM_NOW": NOW,
        "MAM_DATA_DIR": str(folder),
        "COINGLASS_API_KEY": "sandbox-hobbyist",
        "GX_ANALYTICS_ENABLED": "false",
        **rates,
        **sandbox.base_urls,
    }


def fetch(*arguments: str) -> tuple[int, str]:
    """Run the command here and return its exit code and what it said on stderr."""
    errors = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(errors):
        code = run_command(fetching.main, arguments)
    return code, errors.getvalue()


def lake_of(folder: Path) -> Path:
    return folder / "curated" / "data_lake"


def newest(folder: Path, name: str) -> pd.DataFrame:
    """Return the newest version per key of a table of the lake."""
    lake = lake_of(folder)
    rows = pd.concat([pd.read_parquet(file) for file in read_snapshot(lake).files(lake, name)])
    return rows.sort_values("known_at").drop_duplicates(list(TABLES[name].key), keep="last")


def test_a_fetch_killed_anywhere_is_resumed_to_the_same_bytes(
    tmp_path: Path, home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "points.log"
    # Here, so that no child has to import what takes seconds.
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "warm"))
    assert fetch(*FEW) == (0, "")
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "clean"))
    assert in_child(lambda: fetch(*FEW), log) == 0
    points = log.read_text().splitlines()
    clean = hashes(lake_of(tmp_path / "clean"))
    answers = [i for i, name in enumerate(points) if name == "answer"]
    sealed = points.index("before replace manifest.json")
    part = next(i for i, name in enumerate(points) if name.startswith("before replace part-"))
    for n, point in enumerate([answers[0], answers[-2], part, sealed, sealed + 1]):
        folder = tmp_path / f"killed{n}"
        monkeypatch.setenv("MAM_DATA_DIR", str(folder))
        sandbox.requests.clear()

        assert in_child(lambda: fetch(*FEW), log, point) == -9
        known = [request_id(a.vendor, a.path, a.params) for a in answers_in(folder)]
        assert in_child(lambda: fetch(*FEW, "--resume"), log) == 0

        assert hashes(lake_of(folder)) == clean, points[point]
        verify_bronze(folder / "bronze")
        times = Counter(request_id(r.vendor, r.path, r.params) for r in sandbox.requests)
        assert {name: times[name] for name in known} == dict.fromkeys(known, 1), points[point]


def answers_in(folder: Path) -> list[Answer]:
    run = json.loads((folder / "fetch" / "run.json").read_text())
    return list(read_run(folder / "bronze", run["run_id"]))


def in_child(work: Callable[[], tuple[int, str]], log: Path, die_at: int | None = None) -> int:
    """Run a fetch in a child that is killed at a durable step or an answer; return its end."""
    log.unlink(missing_ok=True)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        points = Points(die_at, log)
        for owner, name in STEPS:
            points.wrap(owner, name)
        watch_answers(points)
        code, said = work()
        sys.stderr.write(said)
    finally:
        os._exit(code)


def watch_answers(points: Points) -> None:
    """Make every archived answer a point."""
    append = Archive.append

    def watched(archive: Archive, answer: Answer) -> None:
        append(archive, answer)
        points.reach("answer")

    Archive.append = watched


def test_the_second_of_two_fetches_at_once_ends_with_one_line_and_changes_nothing(
    home: Path, sandbox: Sandbox
) -> None:
    with fetch_lock():
        code, said = fetch(*FEW)

    assert code == 1
    assert len(said.splitlines()) == 1
    assert "another fetch is running" in said
    assert sandbox.requests == []
    assert not lake_of(home).exists()


@pytest.mark.parametrize("kilobytes", [1, 4])
def test_on_a_full_disk_nothing_changes_and_the_next_fetch_is_whole(
    home: Path, tmp_path: Path, kilobytes: int
) -> None:
    """A limit on the size of a file fails writes as a full disk does, wherever that is."""
    assert fetch(*FEW[:3], "2024-06-12", *FEW[4:])[0] == 0
    before = hashes(lake_of(home))

    code, said = in_a_small_world(lambda: fetch(*FEW), kilobytes * 1024, tmp_path / "said")

    assert code == 1
    assert len(said.splitlines()) == 1
    assert "make room or mend the disk" in said or "nothing was sealed" in said
    assert str(home) in said
    assert hashes(lake_of(home)) == before
    verify_bronze(home / "bronze")
    assert fetch(*FEW, "--resume")[0] == 0
    assert str(newest(home, "fact_open_interest")["date"].max()) == END


def in_a_small_world(
    work: Callable[[], tuple[int, str]], limit: int, told: Path
) -> tuple[int, str]:
    """Run a fetch in a child that can write no file above ``limit`` bytes."""
    told.write_text("")
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, told.read_text()
    code = 70
    try:
        with told.open("w") as out:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            code, said = work()
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            out.write(said)
    finally:
        os._exit(code)
