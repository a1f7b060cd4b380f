"""Every answer is kept as it came, without any key, and a torn end hides nothing before it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lake_ingest.bronze import Answer, Archive, read_file, read_run, redact, request_id

AT = datetime(2024, 1, 2, 0, 50, tzinfo=UTC)


def answer(body: bytes = b'{"code":"0"}', path: str = "/a", status: int = 200) -> Answer:
    return Answer("coinglass", path, {"symbol": "BTC"}, status, {"date": "now"}, body, AT)


def write(root: Path, run_id: str, *answers: Answer) -> Path:
    archive = Archive(root, run_id)
    for one in answers:
        archive.append(one)
    archive.close()
    return sorted(root.glob(f"*/*/{run_id}-*.jsonl.gz"))[-1]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    answers = [answer(), answer(b"\x00\xff zip", "/b"), answer(b"", "/c", status=0)]

    write(tmp_path, "run", *answers)

    assert list(read_run(tmp_path, "run")) == answers


@given(bodies=st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes_survive(tmp_path_factory: object, bodies: list[bytes]) -> None:
    root = tmp_path_factory.mktemp("bronze")  # type: ignore[attr-defined]
    answers = [answer(body, f"/{i}") for i, body in enumerate(bodies)]

    if answers:
        write(root, "run", *answers)

    assert list(read_run(root, "run")) == answers


def test_the_file_is_lines_of_json_that_zcat_reads(tmp_path: Path) -> None:
    path = write(tmp_path, "run", answer(), answer(path="/b"))

    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]

    assert path.parent == tmp_path / "coinglass" / "2024-01-02"
    assert [line["path"] for line in lines] == ["/a", "/b"]
    assert len(lines[0]["sha256"]) == 64


def test_a_reader_stops_at_a_torn_end(tmp_path: Path) -> None:
    path = write(tmp_path, "run", answer(), answer(path="/b"))
    whole = path.read_bytes()

    for cut in (1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        found = [one.path for one in read_file(path)]
        assert found == ["/a", "/b"][: len(found)]
        assert "/b" not in found


def test_a_resumed_run_writes_after_no_torn_end(tmp_path: Path) -> None:
    torn = write(tmp_path, "run", answer())
    torn.write_bytes(torn.read_bytes()[:-3])

    write(tmp_path, "run", answer(path="/b"))

    assert [one.path for one in read_run(tmp_path, "run")] == ["/b"]


def test_headers_that_do_not_matter_are_not_kept(tmp_path: Path) -> None:
    chatty = Answer(
        "v",
        "/a",
        {},
        200,
        {"set-cookie": "s", "retry-after": "3", "server": "SyntheticMarket/1"},
        b"",
        AT,
    )

    (kept,) = read_file(write(tmp_path, "run", chatty))

    assert kept.headers == {"retry-after": "3", "server": "SyntheticMarket/1"}
    assert kept.is_synthetic


def test_key_text_is_replaced_wherever_it_stands() -> None:
    assert redact(b"a KEY b KEY", ("KEY",)) == b"a [key removed] b [key removed]"


def test_the_order_of_parameters_does_not_matter() -> None:
    assert request_id("v", "/a", {"x": 1, "y": 2}) == request_id("v", "/a", {"y": 2, "x": 1})
