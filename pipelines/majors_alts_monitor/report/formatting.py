"""How numbers look to a person: the only place where fractions become percent.

A value that rounds to zero has no minus sign.
"""

from __future__ import annotations

import math
from typing import Any, Final

NOTHING: Final = "n/a"


def percent(value: Any, digits: int = 1, *, signed: bool = False) -> str:
    """Return a fraction as percent.

    Examples
    --------
    >>> percent(0.1234), percent(-0.02, 2, signed=True), percent(None)
    ('12.3%', '-2.00%', 'n/a')
    """
    if _is_missing(value):
        return NOTHING
    return f"{value:{'+' if signed else ''}z.{digits}%}"


def number(value: Any, digits: int = 2, *, signed: bool = False) -> str:
    """Return a plain number.

    Examples
    --------
    >>> number(1.005, 2), number(0.5, signed=True), number(float("nan"))
    ('1.00', '+0.50', 'n/a')
    """
    if _is_missing(value):
        return NOTHING
    return f"{value:{'+' if signed else ''}z.{digits}f}"


def bps(value: Any, digits: int = 2) -> str:
    """Return a fraction in basis points.

    Examples
    --------
    >>> bps(0.00012)
    '+1.20 bp'
    """
    if _is_missing(value):
        return NOTHING
    return f"{value * 1e4:+z.{digits}f} bp"


def regime_words(regime: Any) -> str:
    """Return a regime as words.

    Examples
    --------
    >>> regime_words("STRONG_RISK_ON_MAJORS")
    'Strong risk-on majors'
    """
    return str(regime).replace("RISK_ON", "RISK-ON").replace("_", " ").capitalize()


def variant_words(variant: str) -> str:
    """Return the name of a variant; an account size as a person writes it.

    Examples
    --------
    >>> variant_words("1e+07 USD"), variant_words("x2"), variant_words("0 days")
    ('10M USD', 'x2', '0 days')
    """
    amount, _, unit = variant.partition(" ")
    if unit != "USD":
        return variant
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if float(amount) >= size:
            return f"{float(amount) / size:g}{letter} USD"
    return f"{float(amount):g} USD"


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
