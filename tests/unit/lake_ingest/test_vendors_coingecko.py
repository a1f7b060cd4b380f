"""CoinGecko's failures come in three shapes, also under HTTP 200."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from lake_ingest.bronze import Answer
from lake_ingest.errors import (
    AuthError,
    BlockedError,
    PlanError,
    RateLimitedError,
    RequestError,
    UnavailableError,
    VendorError,
)
from lake_ingest.vendors.coingecko import classify


def answer(status: int, body: object) -> Answer:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(
        "coingecko", "/coins/x", {}, status, {}, content, datetime(2024, 1, 1, tzinfo=UTC)
    )


def status_of(code: int) -> dict[str, object]:
    return {"status": {"error_code": code, "error_message": "words"}}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error": status_of(10012)}, PlanError),
        (401, status_of(10012), PlanError),
        (401, status_of(10002), AuthError),
        (401, {"error_code": 10002, "error_message": "no key"}, AuthError),
        (400, status_of(10010), AuthError),
        (400, status_of(10011), AuthError),
        (401, status_of(10005), PlanError),
        (429, status_of(429), RateLimitedError),
        (200, status_of(429), RateLimitedError),
        (429, "Throttled", RateLimitedError),
        (403, status_of(1020), BlockedError),
        (404, {"error": "coin not found"}, RequestError),
        (422, {"error": "Missing parameter vs_currency"}, RequestError),
        (500, {"error": "Internal Server Error"}, UnavailableError),
        (503, "", UnavailableError),
        (408, "", UnavailableError),
        (200, "<html>", UnavailableError),
        (0, "", UnavailableError),
    ],
)
def test_a_failure_has_its_class(status: int, body: object, error: type[VendorError]) -> None:
    assert type(classify(answer(status, body))) is error


@pytest.mark.parametrize("body", [{"prices": []}, [{"id": "bitcoin"}], []])
def test_data_is_no_failure(body: object) -> None:
    assert classify(answer(200, body)) is None
