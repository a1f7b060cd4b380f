"""Binance USD-M futures over REST: one method per endpoint, payloads untouched, no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lake_ingest.bronze import Answer
from lake_ingest.budget import Budget
from lake_ingest.errors import (
    RateLimitedError,
    RequestError,
    UnavailableError,
    VendorError,
)
from lake_ingest.vendors._http import (
    Advice,
    Channel,
    classify_status,
    describe,
    is_count,
    read_json,
    retry_after_s,
)

VENDOR: Final = "binance"
UNKNOWN_SYMBOL: Final = "-1121"
BAN_S: Final = 120.0
"""Shortest ban; assumed when a 418 does not say how long."""


class BinanceClient:
    """Read-only client of the endpoints we use.

    Parameters
    ----------
    channel : Channel
        Carries budget and archive.
    funding_budget : Budget
        The own limit of ``fundingRate``, 500 in five minutes.
    """

    def __init__(self, channel: Channel, funding_budget: Budget) -> None:
        self.channel = channel
        self._funding_budget = funding_budget

    def exchange_info(self) -> Answer:
        """Return every contract that is listed now."""
        return self.channel.get("/fapi/v1/exchangeInfo", {})

    def klines(self, symbol: str, interval: str, start_ms: int, end_ms: int, limit: int) -> Answer:
        """Return bars that open inside the window, both ends included, oldest first."""
        return self.channel.get(
            "/fapi/v1/klines",
            {
                "symbol": symbol,
                "interval": interval,
                "startTime": start_ms,
                "endTime": end_ms,
                "limit": limit,
            },
        )

    def funding_rates(self, symbol: str, start_ms: int, end_ms: int, limit: int) -> Answer:
        """Return settlements inside the window, both ends included, oldest first."""
        return self.channel.get(
            "/fapi/v1/fundingRate",
            {"symbol": symbol, "startTime": start_ms, "endTime": end_ms, "limit": limit},
            also=self._funding_budget,
        )

    def open_interest(self, symbol: str, limit: int) -> Answer:
        """Return daily open interest, at most the last 30 days."""
        return self.channel.get(
            "/futures/data/openInterestHist", {"symbol": symbol, "period": "1d", "limit": limit}
        )


def classify(answer: Answer) -> VendorError | None:
    """Name a Binance failure; None for data."""
    body = read_json(answer) if answer.status else None
    code = str(body["code"]) if isinstance(body, dict) and "code" in body else ""
    text = (
        describe(answer, f"HTTP {answer.status}, code {code}, {body['msg']}")
        if (isinstance(body, dict) and "msg" in body)
        else describe(answer)
    )
    if answer.status == 418:
        asked = retry_after_s(answer)
        return RateLimitedError(text, BAN_S + 1 if asked is None else asked)
    if answer.status == 429 or code == "-1003":
        return RateLimitedError(text, retry_after_s(answer))
    if code in {"-1000", "-1001", "-1006", "-1007", "-1008"}:
        return UnavailableError(text)
    if code.startswith("-"):
        return RequestError(text, code)
    error = classify_status(answer)
    if error is None and body is None:
        return UnavailableError(describe(answer, "HTTP 200 with a body that is not JSON"))
    return error


def heeding(max_weight: int) -> Callable[[Mapping[str, str]], Advice]:
    """Return the rule that lets the vendor rest for a minute above a used weight."""

    def heed(headers: Mapping[str, str]) -> Advice:
        used = headers.get("x-mbx-used-weight-1m", "")
        return Advice(pause_s=60.0) if is_count(used) and int(used) > max_weight else Advice()

    return heed
