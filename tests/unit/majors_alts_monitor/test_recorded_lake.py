"""What a run read of our lake stays readable, and a lake that is not ours stays untouched."""

import errno
import os
import threading
from datetime import UTC, date, datetime

import pytest

from lake_ingest.compact import compact
from lake_ingest.import_lake import import_lake
from majors_alts_monitor import recorded_lake
from majors_alts_monitor.data_io import open_lake
from majors_alts_monitor.errors import ReproductionError
from majors_alts_monitor.recorded_lake import held_lakes, open_held, pin_lake, remember, remembered
from majors_alts_monitor.upkeep import expire_lakes
from pipeline_kit import paths
from pipeline_kit.errors import LakeContractError
from pipeline_kit.lake import MANIFEST
from tests.fixtures.lakes import make_lake, read_tables, write_tables

NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def ours(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    make_lake(tmp_path / "first", seed=1, n_assets=3, n_days=30, start=date(2024, 1, 1))
    import_lake(tmp_path / "first", now=NOW)
    return paths.lake_dir()


def grow(tmp_path, n_days):
    """Take a longer history of the same market into our lake, and write its parts as one."""
    make_lake(tmp_path / "more", seed=1, n_assets=3, n_days=n_days, start=date(2024, 1, 1))
    import_lake(tmp_path / "more", now=NOW)
    compact(paths.lake_dir(), now=NOW, min_files=2)


def state_of(folder):
    """Return whatever reading may not change: names, times, links, bytes."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        seen = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.name] = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_nlink, content)
    return found


def test_what_was_read_is_there_after_the_lake_has_grown_and_was_compacted(ours, tmp_path):
    read = open_held(ours)
    remember("run", read)

    grow(tmp_path, 40)

    assert open_lake(ours).facts.last_day > read.facts.last_day
    assert open_lake(remembered("run")).facts == read.facts
    assert all(file.is_file() for files in read.tables.values() for file in files)


def test_a_lake_that_is_gone_is_named(ours, tmp_path):
    other = tmp_path / "other"
    write_tables(other, read_tables(tmp_path / "first"))
    remember("run", open_held(other))
    other.rename(tmp_path / "moved")

    assert remembered("run") == ours
    ours.rename(tmp_path / "elsewhere")
    with pytest.raises(ReproductionError, match="other: the lake of run run is gone"):
        remembered("run")


def test_a_state_of_the_lake_takes_no_room_of_its_own_and_is_held_once(ours):
    first, second = open_held(ours), open_held(ours)

    assert [folder.name for folder in held_lakes().iterdir()] == [first.files.name]
    assert first.tables == second.tables
    for files in first.tables.values():
        for file in files:
            assert file.samefile(ours / file.relative_to(first.files))
    assert first.folder == ours


def test_a_lake_that_is_not_ours_is_only_read(ours, tmp_path):
    other = tmp_path / "other"
    write_tables(other, read_tables(tmp_path / "first"))
    before = state_of(other)

    read = open_held(other)
    remember("run", read)

    assert state_of(other) == before
    assert remembered("run") == other
    assert not list(held_lakes().glob("*/"))


def test_many_runs_at_once_hold_one_whole_state(ours):
    failures = []

    def read():
        try:
            open_held(ours)
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    (held,) = held_lakes().iterdir()
    assert open_lake(held).facts == open_lake(ours).facts


def test_a_commit_while_the_state_is_taken_gives_the_newer_state(ours, tmp_path, monkeypatch):
    link, is_grown = recorded_lake._link, []

    def late(source, target):
        if not is_grown:
            is_grown.append(True)
            grow(tmp_path, 40)
        link(source, target)

    monkeypatch.setattr(recorded_lake, "_link", late)

    assert open_held(ours).facts == open_lake(ours).facts
    assert len(list(held_lakes().iterdir())) == 1


def test_without_hard_links_there_are_copies(ours, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)

    held = open_held(ours)

    assert held.facts == open_lake(ours).facts
    assert {f.stat().st_nlink for files in held.tables.values() for f in files} == {1}


def test_a_lake_that_lost_a_file_is_named_and_nothing_is_held(ours):
    file = next(ours.glob("fact_price/*.parquet"))
    file.unlink()

    with pytest.raises(LakeContractError, match=r"fact_price/part-.*is missing"):
        open_held(ours)
    assert list(held_lakes().glob("*")) == []


def test_a_lake_without_a_manifest_is_used_where_it_is(tmp_path):
    assert pin_lake(tmp_path, tmp_path / "pinned") == tmp_path


def test_upkeep_lets_go_by_the_last_use_and_keeps_the_notes(ours, tmp_path, monkeypatch):
    old, long_ago = open_held(ours), datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    remember("old", old)
    grow(tmp_path, 40)
    used = open_held(ours)
    remember("used", used)
    for folder in (old.files, used.files):
        os.utime(folder, (long_ago, long_ago))
    open_held(ours)
    monkeypatch.setenv("MAM_NOW", datetime.now(UTC).isoformat())

    assert expire_lakes(30) == [old.files]

    assert remembered("used") == used.files
    assert (used.files / MANIFEST).is_file()
    assert remembered("old") == ours
    assert sorted(path.name for path in held_lakes().glob("*.txt")) == ["old.txt", "used.txt"]
