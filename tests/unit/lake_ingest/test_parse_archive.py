"""The archive's files, with and without header, and their known defects."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from datetime import UTC, date, datetime

import httpx
import pytest

from lake_ingest.bronze import Answer, Archive
from lake_ingest.errors import ContractError
from lake_ingest.parse import DAY_MS, day_ms
from lake_ingest.parse_archive import archive_funding, archive_klines, archive_open_interest
from lake_ingest.settings import load_settings
from lake_ingest.vendors import archive
from lake_ingest.vendors._http import Channel, Protocol, open_http
from lake_ingest.vendors.archive import ArchiveClient

NOW = datetime(2026, 8, 1, 0, 50, tzinfo=UTC)
KLINES = "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore\n"
FUNDING = "calc_time,funding_interval_hours,last_funding_rate\n"
METRICS = "create_time,symbol,sum_open_interest,sum_open_interest_value,a,b,c,d\n"


def zipped(text: str, name: str = "x.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, text)
    return buffer.getvalue()


def answer(text: str) -> Answer:
    return Answer("archive", "/f.zip", {}, 200, {}, zipped(text), NOW)


def kline(day: date, close: float = 5.5, count: int = 3) -> str:
    opens = day_ms(day)
    return f"{opens},1,2,0.5,{close},10,{opens + DAY_MS - 1},55.5,{count},1,2,0\n"


@pytest.mark.parametrize("header", ["", KLINES])
def test_klines_are_read_with_and_without_a_header(header: str) -> None:
    bars = archive_klines(answer(header + kline(date(2022, 4, 2)) + kline(date(2022, 4, 1), 4.5)))

    assert bars["close"].tolist() == [4.5, 5.5]
    assert bars["quote_volume"].tolist() == [55.5, 55.5]


def test_bars_without_a_trade_are_dropped() -> None:
    bars = archive_klines(answer(kline(date(2022, 4, 1)) + kline(date(2022, 4, 2), count=0)))

    assert len(bars) == 1


def test_a_renamed_column_is_named() -> None:
    with pytest.raises(ContractError, match="quote_volume"):
        archive_klines(
            answer(KLINES.replace("quote_volume", "quote_vol") + kline(date(2022, 4, 1)))
        )


def test_settlements_carry_their_own_interval() -> None:
    midnight = day_ms(date(2024, 1, 2))
    rows = archive_funding(
        answer(f"{FUNDING}{midnight + 1},8,0.00010000\n{midnight + 14400000},4,-0.0002\n")
    )

    assert rows["time"].tolist() == [midnight, midnight + 14400000]
    assert rows["interval_hours"].tolist() == [8, 4]
    assert rows["funding_rate"].tolist() == [0.0001, -0.0002]


def metrics(*rows: tuple[str, str]) -> Answer:
    return answer(METRICS + "".join(f"{at},BTCUSDT,1,{value},,,,\n" for at, value in rows))


def test_the_last_row_of_the_day_is_its_end() -> None:
    file = metrics(("2024-01-01 23:55:00", "7"), ("2024-01-02 00:00:00", "8"))

    assert archive_open_interest(file, date(2024, 1, 1)) == 8.0


def test_since_the_change_of_stamps_a_row_describes_the_end_of_its_five_minutes() -> None:
    """The row stamped 23:55 of the new files is midnight; that of the next 00:00 is a leak."""
    file = metrics(("2026-07-01 23:55:00", "8"), ("2026-07-02 00:00:00", "9"))

    assert archive_open_interest(file, date(2026, 7, 1)) == 8.0
    assert archive_open_interest(file, date(2026, 6, 24)) is None


def test_zeros_and_blanks_are_missing_and_a_file_that_ends_early_has_no_end() -> None:
    assert (
        archive_open_interest(
            metrics(
                ("2024-01-01 23:50:00", "7"),
                ("2024-01-01 23:55:00", "0"),
                ("2024-01-02 00:00:00", ""),
            ),
            date(2024, 1, 1),
        )
        == 7.0
    )
    assert archive_open_interest(metrics(("2024-01-01 13:30:00", "7")), date(2024, 1, 1)) is None


@pytest.mark.parametrize(
    "body", [b"", b"PK no zip", zipped("x")[:20]], ids=["empty", "no zip", "cut"]
)
def test_a_broken_file_breaks_the_contract(body: bytes) -> None:
    with pytest.raises(ContractError, match="zip"):
        archive_klines(Answer("archive", "/f.zip", {}, 200, {}, body, NOW))


def client(tmp_path: object, files: dict[str, list[bytes]]) -> ArchiveClient:
    def handle(request: httpx.Request) -> httpx.Response:
        versions = files.get(request.url.path)
        if not versions:
            return httpx.Response(404)
        return httpx.Response(200, content=versions.pop(0) if len(versions) > 1 else versions[0])

    settings = load_settings({}).transport
    http = open_http("https://files.test", settings, {}, httpx.MockTransport(handle))
    store = Archive(tmp_path, "run")  # type: ignore[arg-type]
    return ArchiveClient(Channel(http, Protocol("archive", archive.classify), settings, store))


PATH = "/data/futures/um/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2022-04.zip"


def checksum(body: bytes) -> bytes:
    return f"{hashlib.sha256(body).hexdigest()}  BTCUSDT-1d-2022-04.zip\n".encode()


def test_a_file_that_is_not_there_is_an_answer(tmp_path: object) -> None:
    assert client(tmp_path, {}).klines_month("BTCUSDT", date(2022, 4, 1)) is None


def test_a_file_is_taken_when_its_checksum_fits(tmp_path: object) -> None:
    body = zipped(kline(date(2022, 4, 1)))
    files = {PATH: [body], f"{PATH}.CHECKSUM": [checksum(body)]}

    found = client(tmp_path, files).klines_month("BTCUSDT", date(2022, 4, 1))

    assert found is not None
    assert found.body == body


def test_a_file_replaced_while_we_read_is_asked_for_again(tmp_path: object) -> None:
    old, new = zipped("old"), zipped("new")
    files = {PATH: [old, new], f"{PATH}.CHECKSUM": [checksum(new)]}

    found = client(tmp_path, files).klines_month("BTCUSDT", date(2022, 4, 1))

    assert found is not None
    assert found.body == new


def test_a_file_that_never_fits_is_refused(tmp_path: object) -> None:
    files = {PATH: [zipped("a")], f"{PATH}.CHECKSUM": [checksum(zipped("b"))]}

    with pytest.raises(ContractError, match="SHA-256"):
        client(tmp_path, files).klines_month("BTCUSDT", date(2022, 4, 1))


NOON_US = "1648771200000000"
BROKEN = {
    "not a number": ("nan", "is not a whole number"),
    "infinite": ("inf", "is not a whole number"),
    "microseconds": (NOON_US, "is not a time in milliseconds"),
    "seconds": ("1648771200", "is not a time in milliseconds"),
    "beyond": ("9" * 400, "is not a whole number"),
}


@pytest.mark.parametrize(("stamp", "said"), BROKEN.values(), ids=BROKEN)
def test_a_stamp_that_is_no_time_in_milliseconds_is_refused(stamp: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        archive_klines(answer(f"{KLINES}{stamp},1,2,0.5,5,10,0,55.5,3,1,2,0\n"))
    with pytest.raises(ContractError, match=said):
        archive_funding(answer(f"{FUNDING}{stamp},8,0.0001\n"))


def test_a_row_that_is_too_short_is_refused() -> None:
    with pytest.raises(ContractError, match="shorter than its columns"):
        archive_open_interest(answer(f"{METRICS}2024-01-01 00:05:00,BTCUSDT\n"), date(2024, 1, 1))


def test_two_bars_of_one_day_are_refused() -> None:
    day = date(2022, 4, 1)
    with pytest.raises(ContractError, match="twice with different close"):
        archive_klines(answer(kline(day) + kline(day, close=6.5)))


@pytest.mark.parametrize("at", range(30, 110, 8))
def test_a_file_with_wrong_bytes_anywhere_is_refused_or_read_and_never_a_crash(at: int) -> None:
    whole = bytearray(answer(KLINES + kline(date(2022, 4, 1)) * 9).body)
    whole[at : at + 4] = b"\xff\x00\xff\x00"
    broken = Answer("archive", "/f.zip", {}, 200, {}, bytes(whole), NOW)
    with contextlib.suppress(ContractError):
        assert len(archive_klines(broken)) <= 9


def test_a_line_longer_than_any_is_refused() -> None:
    with pytest.raises(ContractError, match="is not one file of text"):
        archive_klines(answer("1" * 200_000))
