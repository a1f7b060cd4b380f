"""Binance says by status or by negative code what is wrong; a blocked region is no failure."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from lake_ingest.bronze import Answer
from lake_ingest.errors import (
    BlockedError,
    RateLimitedError,
    RequestError,
    UnavailableError,
    VendorError,
)
from lake_ingest.vendors.binance import UNKNOWN_SYMBOL, classify, heeding


def answer(status: int, body: object, **headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(
        "binance", "/fapi", {}, status, headers, content, datetime(2024, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"code": -1121, "msg": "Invalid symbol."}, RequestError),
        (400, {"code": -1023, "msg": "Start time is greater than end time."}, RequestError),
        (400, {"code": -1100, "msg": "Illegal characters"}, RequestError),
        (429, {"code": -1003, "msg": "Too many requests"}, RateLimitedError),
        (400, {"code": -1003, "msg": "Too many requests"}, RateLimitedError),
        (418, {"code": -1003, "msg": "Way too many requests; banned"}, RateLimitedError),
        (408, {"code": -1007, "msg": "Timeout"}, UnavailableError),
        (503, {"code": -1008, "msg": "Throttled"}, UnavailableError),
        (503, "", UnavailableError),
        (403, "<html>firewall", BlockedError),
        (451, {"code": 0, "msg": "Service unavailable from a restricted location"}, BlockedError),
        (200, "<html>", UnavailableError),
        (0, "", UnavailableError),
    ],
)
def test_a_failure_has_its_class(status: int, body: object, error: type[VendorError]) -> None:
    assert type(classify(answer(status, body))) is error


def test_an_unknown_symbol_is_told_apart() -> None:
    found = classify(answer(400, {"code": -1121, "msg": "Invalid symbol."}))

    assert isinstance(found, RequestError)
    assert found.code == UNKNOWN_SYMBOL


def test_a_ban_without_a_length_is_longer_than_we_wait() -> None:
    found = classify(answer(418, {}))

    assert isinstance(found, RateLimitedError)
    assert (found.retry_after_s or 0) > 120


def test_data_is_no_failure() -> None:
    assert classify(answer(200, [])) is None
    assert classify(answer(200, {"symbols": []})) is None


def test_above_the_weight_the_vendor_rests() -> None:
    heed = heeding(2000)

    assert heed({"x-mbx-used-weight-1m": "2001"}).pause_s == 60
    assert heed({"x-mbx-used-weight-1m": "2000"}).pause_s == 0
    assert heed({}).pause_s == 0
