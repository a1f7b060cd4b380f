"""Where a run may be written: into nothing, or in place of an earlier run, and nowhere else."""

import os
from dataclasses import replace

import pytest

from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.outputs import PARQUET_COLUMNS, check_destination, write_run
from majors_alts_monitor.run import main
from tests.fixtures.runs import make_run


@pytest.fixture(scope="module")
def run():
    made = make_run()
    positions = made.tables["bt_positions"].reindex(columns=PARQUET_COLUMNS["bt_positions"])
    return replace(made, tables={**made.tables, "bt_positions": positions})


def test_an_absent_folder_an_empty_one_and_an_earlier_run_are_fine(tmp_path, run):
    check_destination(tmp_path / "absent" / "deep")
    check_destination(tmp_path)
    write_run(tmp_path / "run", run)
    check_destination(tmp_path / "run")


@pytest.mark.parametrize("kind", ["file", "nested", "folder", "link", "nowhere"])
def test_anything_else_in_the_folder_is_refused_beside_an_earlier_run_too(tmp_path, run, kind):
    folder = tmp_path / "run"
    write_run(folder, run)
    if kind == "file":
        (folder / "mine").write_text("x")
    elif kind == "nested":
        (folder / "mine" / "deep").mkdir(parents=True)
        (folder / "mine" / "deep" / "notes.txt").write_text("x")
    elif kind == "folder":
        (folder / "mine").mkdir()
    else:
        (folder / "mine").symlink_to(tmp_path if kind == "link" else "/nowhere/at/all")

    with pytest.raises(ConfigError, match="holds mine, which is not part"):
        check_destination(folder)
    with pytest.raises(ConfigError):
        write_run(folder, run)

    assert os.path.lexists(folder / "mine")


def test_a_file_in_the_way_is_a_usage_problem(tmp_path):
    (tmp_path / "file").write_text("x")

    for out in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(ConfigError, match="file is a file"):
            check_destination(out)


def test_nothing_is_written_into_the_lake(tmp_path):
    lake = tmp_path / "lake"
    lake.mkdir()
    days = ["--start", "2024-01-01", "--end", "2024-01-02", "--data-lake", str(lake)]

    for out in (lake, lake / "run", tmp_path / "other" / ".." / "lake" / "run"):
        with pytest.raises(ConfigError, match="lies in the lake"):
            main([*days, "--out", str(out)])

    assert list(lake.iterdir()) == []
