"""The trial ledger: counts, repeats, rivals, and every kind of tampering."""

import json
import math
import multiprocessing

import pytest

from majors_alts_monitor.errors import LedgerError
from majors_alts_monitor.ledger import read_trials, record, trials_of
from majors_alts_monitor.statistics import Trials


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ledger"


def add(folder, run_id, sharpe=0.1, inputs_id="lake"):
    return record(
        run_id, command="run", inputs_id=inputs_id, sharpe=sharpe, n_days=365, folder=folder
    )


def lines_of(folder):
    return (folder / "trials.jsonl").read_text().splitlines(keepends=True)


def rewrite(folder, lines):
    (folder / "trials.jsonl").write_text("".join(lines))


def test_trials_count_themselves_and_spread_like_a_sample(folder):
    assert add(folder, "a", 0.1) == Trials(1, 0.0)
    assert add(folder, "b", 0.3) == Trials(2, pytest.approx(0.02))


def test_repeated_run_adds_nothing_and_reads_what_it_had(folder):
    add(folder, "a", 0.1)
    add(folder, "b", 0.3)
    content = lines_of(folder)

    assert add(folder, "a", 0.1) == Trials(1, 0.0)
    assert lines_of(folder) == content


def test_trials_on_other_inputs_do_not_compete(folder):
    add(folder, "a", 0.1, inputs_id="monday")

    assert add(folder, "b", 0.3, inputs_id="tuesday") == Trials(1, 0.0)
    assert add(folder, "c", 0.3, inputs_id="monday").n == 2


def test_trial_without_a_sharpe_counts_but_has_no_spread(folder):
    add(folder, "a", math.nan)
    add(folder, "b", 0.1)

    assert add(folder, "c", 0.3) == Trials(3, pytest.approx(0.02))
    assert read_trials(folder=folder)[0].sharpe is None


def test_reading_as_of_a_run_writes_nothing(folder):
    add(folder, "a", 0.1)
    add(folder, "b", 0.3)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    assert trials_of("a", folder=folder) == Trials(1, 0.0)
    assert trials_of("b", folder=folder).n == 2
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_reading_where_nothing_was_recorded_creates_nothing(folder):
    assert read_trials(folder=folder) == []
    assert not folder.exists()
    with pytest.raises(LedgerError, match="no trial a"):
        trials_of("a", folder=folder)


def test_place_is_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))

    record("a", command="run", inputs_id="lake", sharpe=0.1, n_days=1)

    assert (tmp_path / "ledger" / "trials.jsonl").exists()


def changed_number(lines):
    row = json.loads(lines[1])
    row["sharpe"] = 9.0
    return [lines[0], json.dumps(row) + "\n", lines[2]]


TAMPERING = {
    "a number": changed_number,
    "a line removed": lambda lines: [lines[0], lines[2]],
    "the first line removed": lambda lines: lines[1:],
    "the last line removed": lambda lines: lines[:2],
    "all lines removed": lambda lines: [],
    "lines swapped": lambda lines: [lines[0], lines[2], lines[1]],
    "a line repeated": lambda lines: [*lines, lines[2]],
    "not a row": lambda lines: [*lines[:2], '{"run_id": "c"}\n'],
    "not a number": lambda lines: [lines[0], lines[1].replace("0.1", "NaN"), lines[2]],
    "not JSON": lambda lines: [*lines, "#\n"],
}


@pytest.mark.parametrize("tamper", TAMPERING.values(), ids=TAMPERING)
def test_tampering_is_seen_by_readers_and_writers(folder, tamper):
    for run_id in "abc":
        add(folder, run_id)

    rewrite(folder, tamper(lines_of(folder)))

    with pytest.raises(LedgerError, match=r"trials\.jsonl"):
        read_trials(folder=folder)
    with pytest.raises(LedgerError, match=r"trials\.jsonl"):
        add(folder, "d")


def test_rows_appended_by_another_hand_are_seen_even_when_they_chain(folder, tmp_path):
    for run_id in "abcd":
        add(tmp_path / "forged", run_id)
    add(folder, "a")

    rewrite(folder, lines_of(tmp_path / "forged"))

    with pytest.raises(LedgerError, match="4 lines do not match"):
        read_trials(folder=folder)


@pytest.mark.parametrize("head", ["", "[]", "{}", '{"count": 1, "hash": "0"}', '{"count": -1}'])
def test_damaged_head_is_seen(folder, head):
    add(folder, "a")

    (folder / "head.json").write_text(head)

    with pytest.raises(LedgerError):
        read_trials(folder=folder)


def test_line_of_a_writer_that_died_is_dropped_by_the_next(folder):
    add(folder, "a")
    with (folder / "trials.jsonl").open("a") as f:
        f.write('{"run_id": "half')

    assert len(read_trials(folder=folder)) == 1
    assert add(folder, "b").n == 2
    assert [trial.run_id for trial in read_trials(folder=folder)] == ["a", "b"]


def test_head_that_a_writer_did_not_live_to_write_is_made_up_for(folder):
    add(folder, "a")
    head = (folder / "head.json").read_text()
    add(folder, "b")

    (folder / "head.json").write_text(head)

    assert trials_of("b", folder=folder).n == 2
    assert add(folder, "c").n == 3
    assert add(folder, "d").n == 4


def add_ten(folder, writer):
    for k in range(10):
        add(folder, f"{writer}-{k}")


def test_writers_at_once_lose_nothing(folder):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_ten, args=(folder, k)) for k in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    trials = read_trials(folder=folder)

    assert len({trial.run_id for trial in trials}) == len(trials) == 40
