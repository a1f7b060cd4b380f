"""The sandbox's HTTP server: one process, four vendors, loopback only.

Data flow: ``socket -> Request -> faults before -> vendor -> faults after -> socket``.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

from lake_ingest.sandbox.archive import Archive
from lake_ingest.sandbox.binance import Binance
from lake_ingest.sandbox.coingecko import CoinGecko
from lake_ingest.sandbox.coinglass import CoinGlass
from lake_ingest.sandbox.fault_actions import Dropped
from lake_ingest.sandbox.faults import FaultPlan
from lake_ingest.sandbox.messages import Answer, Request, Settings
from lake_ingest.sandbox.series import Market
from pipeline_kit.calendar import now_utc

DEFAULT_SEED: Final = 7
DEFAULT_DAYS: Final = 1500
PREFIXES: Final = {
    "coinglass": "/coinglass",
    "coingecko": "/coingecko/api/v3",
    "binance": "/binance",
    "archive": "/archive",
}
URL_NAMES: Final = {
    "coinglass": "COINGLASS_BASE_URL",
    "coingecko": "COINGECKO_BASE_URL",
    "binance": "BINANCE_BASE_URL",
    "archive": "BINANCE_ARCHIVE_URL",
}
DRIP_PIECES: Final = 20
REQUEST_LOG: Final = "/_sandbox/requests"


@dataclass(frozen=True, slots=True)
class Logged:
    """One request as it was answered; ``status`` is 0 where the connection was dropped."""

    vendor: str
    path: str
    params: dict[str, str]
    status: int


class Vendor(Protocol):
    """What answers requests below one base URL."""

    def answer(self, request: Request) -> Answer:
        """Return the vendor's answer."""


class Vendors:
    """The four vendors over one market, with faults between them and the caller."""

    def __init__(self, market: Market, settings: Settings, faults: FaultPlan) -> None:
        self.market = market
        self.requests: list[Logged] = []
        self._faults = faults
        self._parts: dict[str, Vendor] = {
            "coinglass": CoinGlass(market, settings),
            "coingecko": CoinGecko(market, settings),
            "binance": Binance(market, settings),
            "archive": Archive(market),
        }

    def answer(self, request: Request) -> Answer:
        """Return the vendor's answer after the faults that match the request.

        Raises
        ------
        Dropped
            If a fault closes the connection instead of answering.
        """
        try:
            vendor = self._parts[request.vendor]
            answer = self._faults.apply(request, vendor.answer, self.market.now_ms())
        except Dropped:
            self._log(request, 0)
            raise
        self._log(request, answer.status)
        return answer

    def _log(self, request: Request, status: int) -> None:
        logged = Logged(request.vendor, request.path, dict(request.params), status)
        self.requests.append(logged)


@dataclass(slots=True)
class Sandbox:
    """A running sandbox.

    Attributes
    ----------
    base_urls : dict of str to str
        Environment variables that point the clients at it.
    vendors : Vendors
        What answers; ``vendors.requests`` lists what was asked.
    """

    base_urls: dict[str, str]
    vendors: Vendors
    server: ThreadingHTTPServer = field(repr=False)

    @property
    def requests(self) -> list[Logged]:
        """Return the requests answered so far."""
        return self.vendors.requests


class _Server(ThreadingHTTPServer):
    """Threads end with the process; many clients may knock at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, vendors: Vendors) -> None:
        self.vendors = vendors
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is its own business."""


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, writes an answer in one piece."""

    protocol_version = "HTTP/1.1"
    server_version = "SyntheticMarket/1"
    sys_version = ""
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer a GET request."""
        url = urlsplit(self.path)
        if url.path == REQUEST_LOG:
            asked = [[one.vendor, one.path, one.params, one.status] for one in self._log()]
            self._send(Answer(asked))
            return
        vendor, path = _route(url.path)
        if not vendor:
            self._send(Answer({"error": "no vendor at this path"}, 404))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(vendor, path, dict(parse_qsl(url.query)), headers)
        try:
            self._send(self.server.vendors.answer(request))
        except Dropped as e:
            self._drop(e.sent)

    def log_message(self, *_: Any) -> None:
        """Keep stderr for errors."""

    def _log(self) -> Sequence[Logged]:
        return tuple(self.server.vendors.requests)

    def _send(self, answer: Answer) -> None:
        body = answer.body()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        pieces = DRIP_PIECES if answer.drip_s else 1
        size = len(body) // pieces + 1
        self._headers_buffer.append(b"\r\n" + body[:size])  # type: ignore[attr-defined]
        self.flush_headers()  # headers and body leave in one packet
        for piece in range(1, pieces):
            time.sleep(answer.drip_s / pieces)
            self.wfile.write(body[piece * size : (piece + 1) * size])

    def _drop(self, sent: bytes) -> None:
        """Close the connection: after ``sent`` where a body is to break off, else by a reset."""
        self.close_connection = True
        if sent:
            self.wfile.write(sent)
        else:
            no_linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)


def _route(path: str) -> tuple[str, str]:
    """Return the vendor and the path below its base URL.

    Examples
    --------
    >>> _route("/coingecko/api/v3/ping"), _route("/elsewhere")
    (('coingecko', '/ping'), ('', ''))
    """
    for vendor, prefix in PREFIXES.items():
        if path.startswith(prefix + "/"):
            return vendor, path[len(prefix) :]
    return "", ""


def start(
    *,
    port: int = 0,
    seed: int = DEFAULT_SEED,
    assets: int | None = None,
    days: int = DEFAULT_DAYS,
    settings: Settings | None = None,
    faults: FaultPlan | None = None,
    clock: Any = now_utc,
) -> Sandbox:
    """Return a sandbox bound to its port; the caller runs ``server.serve_forever``."""
    market = Market(seed, assets, days, clock)
    vendors = Vendors(market, settings or Settings(), faults or FaultPlan(()))
    server = _Server(port, vendors)
    root = f"http://127.0.0.1:{server.server_address[1]}"
    urls = {URL_NAMES[vendor]: root + prefix for vendor, prefix in PREFIXES.items()}
    return Sandbox(urls, vendors, server)


@contextmanager
def serve(
    *,
    port: int = 0,
    seed: int = DEFAULT_SEED,
    assets: int | None = None,
    days: int = DEFAULT_DAYS,
    settings: Settings | None = None,
    faults: Sequence[Mapping[str, Any]] = (),
    now: datetime | None = None,
) -> Iterator[Sandbox]:
    """Run a sandbox in a thread for the length of the block.

    Parameters
    ----------
    port : int
        0 for any free port.
    seed, assets, days
        As the command's flags; None assets are all.
    settings : Settings or None
        Switches; by default every vendor allows a hundred thousand requests a minute.
    faults : sequence of mappings
        Rules as in a faults file.
    now : datetime or None
        Frozen clock; None reads ``MAM_NOW`` or the clock at every request.

    Yields
    ------
    Sandbox
        With ``base_urls`` for the environment.
    """
    sandbox = start(
        port=port,
        seed=seed,
        assets=assets,
        days=days,
        settings=settings or Settings(rate=100_000),
        faults=FaultPlan.from_rules(faults),
        clock=(lambda: now) if now is not None else now_utc,
    )
    thread = threading.Thread(target=sandbox.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield sandbox
    finally:
        sandbox.server.shutdown()
        sandbox.server.server_close()
        thread.join()
