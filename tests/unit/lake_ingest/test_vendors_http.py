"""One way to ask: budget, archive, retries, and when a vendor is given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from lake_ingest.bronze import Answer, Archive, read_run
from lake_ingest.budget import Budget
from lake_ingest.errors import (
    AuthError,
    BlockedError,
    PlanError,
    RateLimitedError,
    RequestError,
    UnavailableError,
    VendorError,
)
from lake_ingest.settings import TransportSettings
from lake_ingest.vendors import coinglass
from lake_ingest.vendors._http import (
    LOOPBACK,
    Channel,
    Protocol,
    classify_status,
    open_http,
    retry_after_s,
)

TRANSPORT = TransportSettings(
    connect_s=5,
    answer_s=30,
    attempts=6,
    backoff_s=0.5,
    backoff_max_s=8,
    max_pause_s=120,
    give_up_after_series=5,
    max_answer_bytes=1000,
)
OK = {"code": "0", "data": []}
Handler = Callable[[httpx.Request], httpx.Response]


class Bench:
    """A channel over a scripted vendor, with every wait written down instead of waited."""

    def __init__(self, root: Path, handler: Handler, **settings: object) -> None:
        self.root = root
        self.slept: list[float] = []
        self.archive = Archive(root / "bronze", "run")
        self.budget = Budget(root / "budget", "coinglass", 1000, 60.0)
        transport = TRANSPORT.model_copy(update=settings)
        http = open_http(
            "https://vendor.test", transport, {"CG-API-KEY": "k3y"}, httpx.MockTransport(handler)
        )
        protocol = Protocol(
            "coinglass", coinglass.classify, coinglass.heed, secrets=("k3y",), patience_s=45
        )
        self.channel = Channel(
            http, protocol, transport, self.archive, budget=self.budget, sleep=self.slept.append
        )

    def stored(self) -> list[Answer]:
        self.archive.close()
        return list(read_run(self.root / "bronze", "run"))


def script(*answers: httpx.Response | Exception) -> Handler:
    """Return a vendor that gives these answers in turn, the last one for ever."""
    turns: Iterator[httpx.Response | Exception] = iter(answers)
    current = [answers[-1]]

    def handle(_: httpx.Request) -> httpx.Response:
        current[0] = next(turns, current[0])
        if isinstance(current[0], Exception):
            raise current[0]
        return httpx.Response(
            current[0].status_code, headers=current[0].headers, content=current[0].content
        )

    return handle


def test_an_answer_is_archived_before_it_is_returned(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script(httpx.Response(200, json=OK)))

    answer = bench.channel.get("/a", {"symbol": "BTC"})

    assert [stored.body for stored in bench.stored()] == [answer.body]


def test_failures_are_archived_too(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        script(
            httpx.ConnectError("refused"),
            httpx.Response(500, text="<html>oops"),
            httpx.Response(200, json=OK),
        ),
    )

    bench.channel.get("/a", {})

    assert [(one.status, one.error) for one in bench.stored()] == [
        (0, "ConnectError: refused"),
        (500, ""),
        (200, ""),
    ]


def test_waits_between_attempts_double(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script(httpx.Response(503)))

    with pytest.raises(UnavailableError):
        bench.channel.get("/a", {})

    assert bench.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert bench.channel.requests == 6


def test_a_vendor_that_refuses_the_key_is_asked_nothing_more(tmp_path: Path) -> None:
    refusal = httpx.Response(200, json={"code": "401", "msg": "API key missing."})
    bench = Bench(tmp_path, script(refusal))

    for _ in range(3):
        with pytest.raises(AuthError):
            bench.channel.get("/a", {})

    assert bench.channel.requests == 1


def test_a_plan_that_is_too_small_ends_the_asking(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, script(httpx.Response(200, json={"code": "401", "msg": "Upgrade plan"}))
    )

    for _ in range(2):
        with pytest.raises(PlanError):
            bench.channel.get("/a", {})

    assert bench.channel.requests == 1


def test_a_wrong_question_is_not_repeated_and_stops_nothing(tmp_path: Path) -> None:
    wrong = httpx.Response(200, json={"code": "400", "msg": "The requested pair does not exist"})
    bench = Bench(tmp_path, script(wrong, httpx.Response(200, json=OK)))

    with pytest.raises(RequestError):
        bench.channel.get("/a", {})
    bench.channel.get("/b", {})

    assert bench.channel.requests == 2


def test_after_five_exhausted_series_a_vendor_is_given_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script(httpx.Response(500)))

    for _ in range(9):
        with pytest.raises(UnavailableError):
            bench.channel.get("/a", {})

    assert bench.channel.requests == 5 * 6


def test_one_answer_in_between_keeps_a_vendor_alive(tmp_path: Path) -> None:
    down = [httpx.Response(500)] * (4 * 6)
    bench = Bench(tmp_path, script(*down, httpx.Response(200, json=OK), *down[:23], down[0]))

    for _ in range(4):
        with pytest.raises(UnavailableError):
            bench.channel.get("/a", {})
    bench.channel.get("/b", {})
    for _ in range(4):
        with pytest.raises(UnavailableError):
            bench.channel.get("/a", {})

    assert bench.channel.given_up is None


def test_a_vendor_that_hangs_is_given_up_before_its_attempts_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def hang(_: httpx.Request) -> httpx.Response:
        now[0] += 30
        raise httpx.ReadTimeout("timed out")

    monkeypatch.setattr("lake_ingest.vendors._http.time.monotonic", lambda: now[0])
    bench = Bench(tmp_path, hang)

    with pytest.raises(UnavailableError):
        bench.channel.get("/a", {})
    with pytest.raises(UnavailableError):
        bench.channel.get("/b", {})

    # 30 s + 0.5 s + 30 s are beyond the patience of 45 s.
    assert bench.channel.requests == 2


def test_retry_after_pauses_the_whole_vendor(tmp_path: Path) -> None:
    limited = httpx.Response(429, headers={"Retry-After": "7"})
    bench = Bench(tmp_path, script(limited, httpx.Response(200, json=OK)))

    # The clock of the budget is real: the pause is looked at, not waited for.
    bench.channel._sleep = _stop_after(bench.slept, 1)
    with pytest.raises(StopIteration):
        bench.channel.get("/a", {})

    assert bench.slept == [7.0]
    assert 6 < bench.budget.paused_for() <= 7


def _stop_after(slept: list[float], n: int) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == n:
            raise StopIteration

    return sleep


def test_a_vendor_that_bans_us_for_long_is_given_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script(httpx.Response(429, headers={"Retry-After": "3600"})))

    for _ in range(2):
        with pytest.raises(RateLimitedError):
            bench.channel.get("/a", {})

    assert bench.channel.requests == 1


def test_redirects_are_never_followed(tmp_path: Path) -> None:
    hosts = []

    def redirect(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://elsewhere.test/"})

    bench = Bench(tmp_path, redirect)

    with pytest.raises(RequestError, match="redirect"):
        bench.channel.get("/a", {})

    assert hosts == ["vendor.test"]


def test_a_key_the_vendor_echoes_is_not_stored_nor_shown(tmp_path: Path) -> None:
    echo = httpx.Response(
        200,
        json={"code": "400", "msg": "Invalid API key provided: k3y"},
        headers={"Date": "for k3y"},
    )
    bench = Bench(tmp_path, script(echo))

    with pytest.raises(AuthError) as caught:
        bench.channel.get("/a", {})

    assert "k3y" not in str(caught.value)
    assert b"k3y" not in bench.stored()[0].body
    assert "k3y" not in bench.stored()[0].headers["date"]
    assert not any(b"k3y" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_the_key_travels_in_the_header_only(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=OK)

    Bench(tmp_path, note).channel.get("/a", {"symbol": "BTC"})

    assert seen[0].headers["CG-API-KEY"] == "k3y"
    assert "k3y" not in str(seen[0].url)


def test_answers_of_an_interrupted_run_are_not_asked_for_again(tmp_path: Path) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    good = Answer("coinglass", "/a", {"symbol": "BTC"}, 200, {}, b'{"code":"0","data":[]}', at)
    down = Answer("coinglass", "/b", {}, 500, {}, b"", at)
    bench = Bench(tmp_path, script(httpx.Response(200, json=OK)))
    channel = Channel(
        bench.channel._http,
        bench.channel._protocol,
        TRANSPORT,
        bench.archive,
        replay=[good, down],
        sleep=bench.slept.append,
    )

    assert channel.get("/a", {"symbol": "BTC"}) is good
    channel.get("/b", {})

    assert channel.requests == 1


def test_a_limit_in_the_headers_lowers_ours(tmp_path: Path) -> None:
    limited = httpx.Response(200, json=OK, headers={"API-KEY-MAX-LIMIT": "30"})
    bench = Bench(tmp_path, script(limited))

    bench.channel.get("/a", {})

    assert bench.budget.limit == 30


def test_an_answer_that_never_ends_is_cut(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script(httpx.Response(200, content=b"x" * 2000)), attempts=1)

    with pytest.raises(UnavailableError, match="above 1000 bytes"):
        bench.channel.get("/a", {})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0, UnavailableError),
        (301, RequestError),
        (400, RequestError),
        (401, AuthError),
        (403, BlockedError),
        (404, RequestError),
        (408, UnavailableError),
        (418, RateLimitedError),
        (429, RateLimitedError),
        (451, BlockedError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
def test_a_status_alone_names_its_class(status: int, error: type[VendorError]) -> None:
    answer = Answer("v", "/a", {}, status, {}, b"", datetime(2024, 1, 1, tzinfo=UTC))

    assert type(classify_status(answer)) is error


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("0", 0.0), ("-3", 0.0), ("", None), ("soon", None), ("nan", None), ("1e9", 1e9)],
)
def test_retry_after_is_seconds_or_nothing(text: str, seconds: float | None) -> None:
    answer = Answer(
        "v", "/a", {}, 429, {"retry-after": text}, b"", datetime(2024, 1, 1, tzinfo=UTC)
    )

    assert retry_after_s(answer) == seconds


def test_retry_after_may_be_a_date() -> None:
    from email.utils import formatdate

    at = formatdate(time.time() + 30, usegmt=True)
    answer = Answer("v", "/a", {}, 429, {"retry-after": at}, b"", datetime(2024, 1, 1, tzinfo=UTC))

    assert 25 < (retry_after_s(answer) or 0) <= 30


def test_a_proxy_of_the_environment_is_not_used_for_loopback() -> None:
    assert "127.0.0.1" in LOOPBACK
    with open_http("http://127.0.0.1:1", TRANSPORT, {}) as http:
        assert not http.trust_env
