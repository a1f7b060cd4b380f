"""Requests and answers as the vendors' parts of the sandbox see them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Types = Literal["vendor", "strings", "numbers"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Switches of a sandbox that are not faults.

    Attributes
    ----------
    rate : int or None
        Requests a minute every vendor allows; None for what the key's plan allows.
    types : str
        JSON types of CoinGlass numbers: as sources.md section 5 has them, or all one way.
    revisions : bool
        Whether the newest closed CoinGlass bars are provisional for a day.
    restated_at_ms : int or None
        Instant at which 294 bars of BTC's open interest are restated; None for never.
    limit_style : str
        How CoinGlass says "too many requests": HTTP 429, or a code under HTTP 200.
    """

    rate: int | None = None
    types: Types = "vendor"
    revisions: bool = False
    restated_at_ms: int | None = None
    limit_style: Literal["http", "body"] = "http"


@dataclass(frozen=True, slots=True)
class Request:
    """One GET request.

    Attributes
    ----------
    vendor : str
        coinglass, coingecko, binance or archive.
    path : str
        Path below the vendor's base URL, with the leading slash.
    params : mapping of str to str
        The last value of every query parameter.
    headers : mapping of str to str
        Header values by lower-case name.
    """

    vendor: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a whole-number parameter, or the default where it is absent or no number.

        Examples
        --------
        >>> Request("binance", "/", {"limit": "5"}).number("limit")
        5
        """
        text = self.params.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else default


@dataclass(slots=True)
class Answer:
    """One HTTP answer; ``payload`` is sent as JSON unless ``raw`` is given.

    Attributes
    ----------
    status : int
        HTTP status.
    payload : object
        What the body says, before encoding.
    headers : dict of str to str
        Headers besides length and type.
    raw : bytes or None
        The body where it is not JSON.
    content_type : str
        Media type of the body.
    drip_s : float
        Seconds over which the body is sent in pieces; 0 for at once.
    """

    payload: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"
    drip_s: float = 0.0

    def body(self) -> bytes:
        """Return the bytes to send."""
        if self.raw is not None:
            return self.raw
        return json.dumps(self.payload, separators=(",", ":")).encode()


def plain(values: Iterable[float], decimals: int) -> list[str]:
    """Return numbers as vendors print them: no exponent, no trailing zeros.

    Examples
    --------
    >>> plain([97280.0, 0.5, 0.0], 4), plain([1.25e-5], 8), plain([12.6], 0)
    (['97280', '0.5', '0'], ['0.0000125'], ['13'])
    """
    form = f".{decimals}f"
    texts = [format(value, form) for value in values]
    return [text.rstrip("0").rstrip(".") for text in texts] if decimals else texts
