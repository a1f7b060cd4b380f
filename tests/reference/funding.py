"""A day's funding of one asset, and a side's mean: strategy.md sections 3 and 6."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from tests.reference.arithmetic import Value, mean
from tests.reference.knowledge import DAY, MAJORS, Knowledge

MIN_HOURS = 16


@dataclass(frozen=True)
class Funding:
    """One asset's funding of one day."""

    rate_8h: Value
    rate_1d: Value
    count_settlements: int
    hours_covered: float
    basis: str | None


def funding_of_day(known: Knowledge, asset: str, day: date, t: date) -> Funding:
    """Return the funding of ``day`` as known for ``t``: settlements win, else the daily rate."""
    settlements = known.settlements(asset, day, t)
    hours = math.fsum(settlement.interval_hours or 0.0 for settlement in settlements)
    count = len(settlements)
    if settlements and hours >= MIN_HOURS:
        previous_close = known.value("fact_price", asset, day - DAY, t)
        total = math.fsum(settlement.value for settlement in settlements)
        carry = 0.0
        for settlement in settlements:
            if settlement.mark_price is None or previous_close is None:
                carry += settlement.value
            else:
                carry += settlement.value * settlement.mark_price / previous_close
        return Funding(total / 3, carry, count, hours, "settlement")
    daily = known.value("fact_funding", asset, day, t)
    if daily is not None:
        return Funding(daily, 3 * daily, count, hours, "daily")
    return Funding(None, None, count, hours, None)


def weighted_mean(rates: Mapping[str, float], weights: Mapping[str, float]) -> Value:
    """Return the mean of the rates that have a weight.

    Examples
    --------
    >>> weighted_mean({"A": 0.25, "B": 0.5, "C": 9.0}, {"A": 1.0, "B": 3.0})
    0.4375
    """
    weighted = [asset for asset in sorted(rates) if asset in weights]
    total = math.fsum(weights[asset] for asset in weighted)
    return math.fsum(weights[asset] * rates[asset] for asset in weighted) / total


def majors_rate(rates: Mapping[str, float], open_interest: Mapping[str, float]) -> Value:
    """Return F(majors): weighted by open interest only when both have it.

    Examples
    --------
    >>> majors_rate({"BTC": 0.25, "ETH": 0.5}, {"BTC": 3.0, "ETH": 1.0})
    0.3125
    >>> majors_rate({"BTC": 0.25, "ETH": 0.5}, {"BTC": 3.0})
    0.375
    >>> majors_rate({"ETH": 0.5}, {})
    0.5
    """
    if all(major in open_interest for major in MAJORS) and rates:
        return weighted_mean(rates, open_interest)
    return mean([rates[major] for major in MAJORS if major in rates])


def alts_rate(rates: Mapping[str, float], open_interest: Mapping[str, float]) -> Value:
    """Return F(E): weighted when more than half of the funded have open interest.

    Examples
    --------
    Two of four is not more than half, so the plain mean of all four; two of three is.

    >>> alts_rate({"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0}, {"A": 1.0, "B": 3.0})
    2.5
    >>> alts_rate({"A": 1.0, "B": 2.0, "C": 9.0}, {"A": 1.0, "B": 3.0})
    1.75
    """
    with_open_interest = [asset for asset in rates if asset in open_interest]
    if 2 * len(with_open_interest) > len(rates):
        return weighted_mean(rates, open_interest)
    return mean([rates[asset] for asset in sorted(rates)])
