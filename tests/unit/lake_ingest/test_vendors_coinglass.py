"""Every failure of the vendor's table is named by status, code and message."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from lake_ingest.bronze import Answer
from lake_ingest.errors import (
    AuthError,
    BlockedError,
    ContractError,
    PlanError,
    RateLimitedError,
    RequestError,
    UnavailableError,
    VendorError,
)
from lake_ingest.vendors.coinglass import classify, heed
from pipeline_kit.errors import DataProblem, UsageProblem


def answer(status: int, body: object, **headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return Answer("coinglass", "/api/x", {"symbol": "BTC"}, status, headers, content, at)


FLOOR = "The requested interval is not available for your current API plan."


@pytest.mark.parametrize(
    ("status", "code", "msg", "error", "exit_code"),
    [
        (200, "401", "API key missing.", AuthError, 2),
        (200, "400", "Invalid API key provided", AuthError, 2),
        (400, "400", "Invalid API key provided", AuthError, 2),
        (401, "400", "Invalid API key provided", AuthError, 2),
        (200, "30001", "API key missing.", AuthError, 2),
        (200, "401", "Upgrade plan", PlanError, 2),
        (200, "40001", "Upgrade plan", PlanError, 2),
        (200, "403", FLOOR, PlanError, 2),
        (200, 403, FLOOR, PlanError, 2),
        (200, "400", "The requested pair does not exist on the exchange. ...", RequestError, 1),
        (200, "400", "Required String parameter 'exchange_list' is not present", RequestError, 1),
        (404, "404", "Endpoint not found. ...", RequestError, 1),
        (429, "429", "Too Many Requests", RateLimitedError, 1),
        (200, "429", "Too Many Requests", RateLimitedError, 1),
        (200, "50001", "Too Many Requests", RateLimitedError, 1),
        (200, "500", "Server Error", UnavailableError, 1),
        (500, "500", "Server Error", UnavailableError, 1),
        (503, "0", "success", UnavailableError, 1),
        (200, "408", "timeout", UnavailableError, 1),
        (200, "405", "Method not allowed", RequestError, 1),
        (200, "422", "", RequestError, 1),
    ],
)
def test_a_coded_failure_has_its_class_and_exit_code(
    status: int, code: object, msg: str, error: type[VendorError], exit_code: int
) -> None:
    found = classify(answer(status, {"code": code, "msg": msg}))

    assert type(found) is error
    assert found.exit_code == exit_code
    assert isinstance(found, UsageProblem if exit_code == 2 else DataProblem)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (0, "", UnavailableError),
        (408, "", UnavailableError),
        (502, "<html>bad gateway</html>", UnavailableError),
        (200, "<html>maintenance</html>", UnavailableError),
        (200, '{"code":"0","data":[{"ti', UnavailableError),
        (200, "", UnavailableError),
        (200, {"status": "ok", "data": []}, ContractError),
        (403, "<html>cdn</html>", BlockedError),
        (302, "", RequestError),
    ],
)
def test_a_failure_without_a_code_has_its_class(
    status: int, body: object, error: type[VendorError]
) -> None:
    assert type(classify(answer(status, body))) is error


@pytest.mark.parametrize(
    "body",
    [
        {"code": "0", "msg": "success", "data": []},
        {"code": "0", "data": []},
        {"code": 0, "msg": "", "data": {"level": "HOBBYIST"}},
        {"code": "0", "msg": None, "data": None},
    ],
)
def test_success_is_code_zero_in_any_spelling_and_needs_no_message(body: object) -> None:
    assert classify(answer(200, body)) is None


def test_a_rate_limit_keeps_the_wait_the_vendor_asks_for() -> None:
    limited = classify(answer(429, {"code": "429", "msg": "x"}, **{"retry-after": "12"}))

    assert isinstance(limited, RateLimitedError)
    assert limited.retry_after_s == 12


def test_an_error_is_one_line_that_names_vendor_path_and_coin() -> None:
    found = classify(answer(200, {"code": "400", "msg": "no\nsuch pair"}))

    assert str(found) == "coinglass GET /api/x BTC: HTTP 200, code 400, no such pair"


def test_the_limit_of_the_headers_is_read() -> None:
    assert heed({"api-key-max-limit": "80"}).limit == 80
    assert heed({"api-key-max-limit": "many"}).limit is None
    assert heed({}).limit is None
