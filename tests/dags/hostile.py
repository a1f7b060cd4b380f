"""A vendor that lists symbols made to hurt: it passes everything on and adds them to its lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

SCRIPT = "<script>alert('hostile')</script>"
SHELL = "$(touch hostile-shell);`touch hostile-shell`"
PATH = "../../../../hostile-path"
SQL = "X'); drop table marts.dim_assets; --"
HOSTILE = (SCRIPT, SHELL, PATH, SQL)
NAME = f"{SCRIPT}{SHELL}{PATH}{SQL}"
PASSED_ON = ("content-type", "server", "retry-after", "last-modified", "etag")


def poison(path: str, answer: Any) -> Any:
    """Return a list of a vendor with hostile entries, anything else as it is."""
    if path.endswith("/supported-coins"):
        answer["data"] += HOSTILE
    elif path.endswith(("/supported-exchange-pairs", "/delisted-exchange-pairs")):
        for pairs in answer["data"].values():
            fields = ("instrument_id", "base_asset")
            pairs += [{**pairs[0], **dict.fromkeys(fields, text)} for text in HOSTILE if pairs]
    elif path.endswith("/exchangeInfo"):
        like = answer["symbols"][0]
        fields = ("symbol", "pair", "baseAsset")
        answer["symbols"] += [{**like, **dict.fromkeys(fields, text)} for text in HOSTILE]
    elif path.endswith("/coins/markets"):
        like = answer[0]
        answer = [{**coin, "name": f"{coin['name']}{NAME}"} for coin in answer]
        answer += [{**like, "id": text, "symbol": text, "name": text} for text in HOSTILE]
    return answer


@contextmanager
def hostile(urls: Mapping[str, str], keys: set[str]) -> Iterator[dict[str, str]]:
    """Yield the addresses of ``urls``, all on one server of their own, by way of the poisoner.

    Every key that arrives in a header is put into ``keys``.
    """
    origin = httpx.URL(next(iter(urls.values())))
    upstream = httpx.Client(base_url=f"http://{origin.netloc.decode()}", timeout=60)

    class Poisoner(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host"}}
            keys.update(v for k, v in headers.items() if k.lower().endswith("api-key"))
            got = upstream.get(self.path, headers=headers)
            body = got.content
            if got.is_success and "json" in got.headers.get("content-type", ""):
                body = json.dumps(poison(self.path.split("?")[0], got.json())).encode()
            self.send_response_only(got.status_code)
            for name in PASSED_ON:
                if name in got.headers:
                    self.send_header(name, got.headers[name])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Poisoner)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        here = f"127.0.0.1:{server.server_port}"
        there = origin.netloc.decode()
        yield {name: url.replace(there, here) for name, url in urls.items()}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        upstream.close()
