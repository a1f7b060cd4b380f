"""CoinGecko v3: one method per endpoint, by id and never by symbol, payloads untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

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
from lake_ingest.settings import Plan
from lake_ingest.vendors._http import (
    Channel,
    classify_status,
    describe,
    read_json,
    retry_after_s,
)

VENDOR: Final = "coingecko"
KEY_HEADERS: Final[dict[Plan, str]] = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}
MARKETS_PAGE: Final = 250


class CoingeckoClient:
    """Read-only client of the endpoints we use.

    Parameters
    ----------
    channel : Channel
        Carries key, budget and archive.
    plan : {"demo", "pro"}
        Whether the interval may be named.
    """

    def __init__(self, channel: Channel, plan: Plan) -> None:
        self.channel = channel
        self._plan = plan

    def market_chart(self, coin_id: str, start_s: int, end_s: int) -> Answer:
        """Return prices, market caps and volumes of a coin; daily when above 90 days."""
        params: dict[str, str | int] = {"vs_currency": "usd", "from": start_s, "to": end_s}
        if self._plan == "pro":
            params["interval"] = "daily"
        return self.channel.get(f"/coins/{coin_id}/market_chart/range", params)

    def markets(self, coin_ids: Sequence[str]) -> Answer:
        """Return the snapshot of at most 250 coins: which of the ids exist."""
        return self.channel.get(
            "/coins/markets",
            {
                "vs_currency": "usd",
                "ids": ",".join(coin_ids),
                "order": "market_cap_desc",
                "per_page": MARKETS_PAGE,
                "page": 1,
            },
        )

    def largest(self, page: int) -> Answer:
        """Return a page of 250 coins by market cap."""
        return self.channel.get(
            "/coins/markets",
            {
                "vs_currency": "usd",
                "order": "market_cap_desc",
                "per_page": MARKETS_PAGE,
                "page": page,
            },
        )


def classify(answer: Answer) -> VendorError | None:
    """Name a CoinGecko failure; None for data. A rate limit also comes under HTTP 200."""
    body = read_json(answer) if answer.status else None
    code, message = _failure_in(body)
    if code == 0 and not message:
        error = classify_status(answer)
        if error is None and body is None:
            return UnavailableError(describe(answer, "HTTP 200 with a body that is not JSON"))
        return error
    return _classify_code(answer, code or answer.status, message)


def _classify_code(answer: Answer, code: int, message: str) -> VendorError:
    text = describe(answer, f"HTTP {answer.status}, code {code}, {message}")
    if code == 429 or answer.status == 429:
        return RateLimitedError(text, retry_after_s(answer))
    if code in {10005, 10012, 10006}:
        return PlanError(text)
    if code in {10002, 10010, 10011} or code == 401:
        return AuthError(text)
    if code in {1020, 403, 451}:
        return BlockedError(text)
    if code == 408 or 500 <= code < 600 or answer.status >= 500:
        return UnavailableError(text)
    return RequestError(text, str(code))


def _failure_in(body: Any) -> tuple[int, str]:
    """Return code and message of a failure in the body: three shapes are in use."""
    if not isinstance(body, dict):
        return 0, ""
    error = body.get("error")
    holder = error if isinstance(error, dict) else body
    status = holder.get("status")
    if isinstance(status, dict) and "error_code" in status:
        code = str(status["error_code"])
        return int(code) if code.isdecimal() else 0, str(status.get("error_message") or "failure")
    if "error_code" in body:
        code = str(body["error_code"])
        return int(code) if code.isdecimal() else 0, str(body.get("error_message") or "failure")
    return 0, str(error) if error else ""
