"""CoinGlass v4: one method per endpoint, payloads untouched.

Most failures come under HTTP 200 with a code in the body, and code 401 has two meanings, so a
failure is named by status, code **and** message (the table of the vendor's errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lake_ingest.bronze import Answer
from lake_ingest.errors import (
    AuthError,
    ContractError,
    PlanError,
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

VENDOR: Final = "coinglass"
KEY_HEADER: Final = "CG-API-KEY"
PAGE: Final = 1000


class CoinglassClient:
    """Read-only client of the endpoints we use.

    Parameters
    ----------
    channel : Channel
        Carries key, budget and archive.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def subscription(self) -> Answer:
        """Return level and end of the plan: the check of the key."""
        return self.channel.get("/api/user/account/subscription", {})

    def supported_coins(self) -> Answer:
        """Return the base symbols that are live now."""
        return self.channel.get("/api/futures/supported-coins", {})

    def supported_pairs(self, exchange: str) -> Answer:
        """Return the live instruments of a venue."""
        return self.channel.get("/api/futures/supported-exchange-pairs", {"exchange": exchange})

    def delisted_pairs(self) -> Answer:
        """Return the delisted instruments of every venue, without dates."""
        return self.channel.get("/api/futures/delisted-exchange-pairs", {})

    def coins_markets(self, page: int) -> Answer:
        """Return a page of the snapshot of coins with market cap (plans from Standard up)."""
        return self.channel.get("/api/futures/coins-markets", {"per_page": 100, "page": page})

    def open_interest(self, coin: str, interval: str, start_ms: int, end_ms: int) -> Answer:
        """Return open interest bars of a coin over all venues in USD."""
        return self.channel.get(
            "/api/futures/open-interest/aggregated-history",
            {"symbol": coin, "unit": "usd", **_window(interval, start_ms, end_ms)},
        )

    def oi_weighted_funding(self, coin: str, interval: str, start_ms: int, end_ms: int) -> Answer:
        """Return funding bars of a coin, weighted over venues, in percent per 8 hours."""
        return self.channel.get(
            "/api/futures/funding-rate/oi-weight-history",
            {"symbol": coin, **_window(interval, start_ms, end_ms)},
        )

    def pair_funding(
        self, exchange: str, pair: str, interval: str, start_ms: int, end_ms: int
    ) -> Answer:
        """Return funding bars of one pair, in percent per native interval."""
        return self.channel.get(
            "/api/futures/funding-rate/history",
            {"exchange": exchange, "symbol": pair, **_window(interval, start_ms, end_ms)},
        )

    def pair_price(
        self, exchange: str, pair: str, interval: str, start_ms: int, end_ms: int
    ) -> Answer:
        """Return price bars of one pair in its quote currency, with volume in USD."""
        return self.channel.get(
            "/api/futures/price/history",
            {"exchange": exchange, "symbol": pair, **_window(interval, start_ms, end_ms)},
        )


def classify(answer: Answer) -> VendorError | None:
    """Name a CoinGlass failure; None for data."""
    body = read_json(answer) if answer.status else None
    if isinstance(body, dict) and "code" in body:
        return _classify_code(answer, str(body["code"]), str(body.get("msg") or ""))
    error = classify_status(answer)
    if error is not None:
        return error
    if isinstance(body, dict):
        return ContractError(answer.path, "code", "is missing")
    return UnavailableError(describe(answer, "HTTP 200 with a body that is not JSON"))


def heed(headers: Mapping[str, str]) -> Advice:
    """Return the limit per minute that the answer's headers name."""
    limit = headers.get("api-key-max-limit", "")
    return Advice(limit=int(limit)) if is_count(limit) and int(limit) > 0 else Advice()


def _classify_code(answer: Answer, code: str, msg: str) -> VendorError | None:
    if code == "0" and answer.status < 400:
        return None
    text = describe(answer, f"HTTP {answer.status}, code {code}, {msg or 'no message'}")
    said = msg.lower()
    if answer.status == 429 or code in {"429", "50001"} or "too many requests" in said:
        return RateLimitedError(text, retry_after_s(answer))
    if "upgrade plan" in said or "api plan" in said or code in {"403", "40001"}:
        return PlanError(text)
    if "api key" in said or code in {"401", "30001"}:
        return AuthError(text)
    if code == "408" or code.startswith("5") or answer.status >= 500 or answer.status == 408:
        return UnavailableError(text)
    return RequestError(text, code)


def _window(interval: str, start_ms: int, end_ms: int) -> dict[str, str | int]:
    # Misspelt parameters are ignored in silence and the newest page comes back.
    return {"interval": interval, "start_time": start_ms, "end_time": end_ms, "limit": PAGE}
