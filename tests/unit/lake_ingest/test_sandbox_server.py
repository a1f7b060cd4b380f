"""The sandbox over HTTP: loopback only, quick, and stopped cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from lake_ingest.sandbox import Sandbox, serve
from lake_ingest.sandbox.limits import Budget
from pipeline_kit.cli import run_command

NOW = datetime(2024, 6, 20, 0, 50, tzinfo=UTC)
KEY = {"CG-API-KEY": "sandbox-hobbyist"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with serve(assets=4, days=100, now=NOW) as running:
        yield running


def test_every_vendor_answers_below_its_base_url(sandbox: Sandbox) -> None:
    urls = sandbox.base_urls
    assert urls["COINGECKO_BASE_URL"].endswith("/api/v3")
    with httpx.Client(headers=KEY) as client:
        coins = client.get(urls["COINGLASS_BASE_URL"] + "/api/futures/supported-coins")
        ping = client.get(urls["COINGECKO_BASE_URL"] + "/ping")
        time = client.get(urls["BINANCE_BASE_URL"] + "/fapi/v1/time")
        name = "/data/futures/um/monthly/klines/BTCUSDT/1d/BTCUSDT-1d-2024-05.zip.CHECKSUM"
        checksum = client.get(urls["BINANCE_ARCHIVE_URL"] + name)
        elsewhere = client.get(urls["BINANCE_BASE_URL"].replace("/binance", "/elsewhere"))
    assert coins.json()["data"][:2] == ["BTC", "ETH"]
    assert coins.headers["server"] == "SyntheticMarket/1"
    assert ping.status_code == 200
    assert time.json() == {"serverTime": round(NOW.timestamp() * 1000)}
    assert checksum.text.endswith("BTCUSDT-1d-2024-05.zip\n")
    assert elsewhere.status_code == 404


def test_requests_are_listed_for_whoever_counts_them(sandbox: Sandbox) -> None:
    before = len(sandbox.requests)
    url = sandbox.base_urls["BINANCE_BASE_URL"]
    httpx.get(url + "/fapi/v1/klines", params={"symbol": "NOPE", "interval": "1d"})
    [logged] = sandbox.requests[before:]
    assert (logged.vendor, logged.path, logged.status) == ("binance", "/fapi/v1/klines", 400)
    root = url.removesuffix("/binance")
    listed = httpx.get(root + "/_sandbox/requests").json()
    assert listed[-1] == ["binance", "/fapi/v1/klines", {"symbol": "NOPE", "interval": "1d"}, 400]


def test_only_this_machine_can_connect(sandbox: Sandbox) -> None:
    address = sandbox.server.server_address
    assert address[0] == "127.0.0.1"


def test_a_cut_and_a_reset_connection_reach_the_client_as_errors() -> None:
    rules = [{"times": 1, "action": {"kind": "reset"}}, {"action": {"kind": "cut"}}]
    with serve(assets=3, days=40, now=NOW, faults=rules) as broken:
        url = broken.base_urls["BINANCE_BASE_URL"] + "/fapi/v1/exchangeInfo"
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            httpx.get(url)
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            httpx.get(url)


def test_a_dripped_answer_arrives_whole() -> None:
    rules = [{"action": {"kind": "drip", "seconds": 0.2}}]
    with serve(assets=3, days=40, now=NOW, faults=rules) as slow:
        answer = httpx.get(slow.base_urls["BINANCE_BASE_URL"] + "/fapi/v1/exchangeInfo")
    assert len(answer.json()["symbols"]) > 3
    assert answer.elapsed.total_seconds() > 0.15


def test_the_clock_is_read_at_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAM_NOW", "2024-06-20T00:50:00Z")
    with serve(assets=3, days=40) as running:
        url = running.base_urls["BINANCE_BASE_URL"] + "/fapi/v1/time"
        first = httpx.get(url).json()["serverTime"]
        monkeypatch.setenv("MAM_NOW", "2024-06-21T00:50:00Z")
        assert httpx.get(url).json()["serverTime"] - first == 86_400_000


def test_a_budget_forgets_what_is_older_than_its_window() -> None:
    seconds = 0.0
    budget = Budget(60, clock=lambda: seconds)
    assert [budget.spend("a") for _ in range(3)] == [1, 2, 3]
    seconds = 45.0
    assert budget.seconds_to_wait("a") == 15
    assert budget.spend("a") == 4
    seconds = 60.0
    assert budget.spend("a") == 2


def test_the_command_prints_its_addresses_and_stops_on_sigterm() -> None:
    command = [sys.executable, "-m", "lake_ingest.sandbox", "--assets", "3", "--days", "40"]
    source = str(Path(__file__).parents[3] / "pipelines")
    environment = {**os.environ, "PYTHONPATH": source, "MAM_NOW": "2024-06-20T00:50:00Z"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(5)]
        urls = dict(line.split("=", 1) for line in lines[:4])
        try:
            assert httpx.get(urls["BINANCE_BASE_URL"] + "/fapi/v1/ping").status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert lines[4].startswith("ready: ")
    assert list(urls) == [
        "COINGLASS_BASE_URL",
        "COINGECKO_BASE_URL",
        "BINANCE_BASE_URL",
        "BINANCE_ARCHIVE_URL",
    ]


@pytest.mark.parametrize(
    "flags", [["--assets", "0"], ["--days", "0"], ["--faults", "none.yaml"], ["--port", "x"]]
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from lake_ingest.sandbox.__main__ import main

    assert run_command(main, flags) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_port_in_use_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    from lake_ingest.sandbox.__main__ import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run_command(main, ["--port", str(taken.getsockname()[1]), "--assets", "3"]) == 2
    assert "try --port 0" in capsys.readouterr().err
