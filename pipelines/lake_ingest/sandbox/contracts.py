"""What a perpetual's life looks like: listing, funding intervals that change, settlements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

import numpy as np
import numpy.typing as npt

from lake_ingest.sandbox.hours import Hours
from lake_ingest.sandbox.market import Array, stream
from lake_ingest.sandbox.universe import Coin

Ints = npt.NDArray[np.int64]
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

INTERVAL_CHANGES: Final[dict[str, tuple[tuple[date, int], ...]]] = {
    # Shortened while the crowd leaves, as venues do before a delisting.
    "WAVES": ((date(2024, 5, 20), 4), (date(2024, 6, 3), 1)),
    "SUI": ((date(2024, 2, 12), 4),),
    "TIA": ((date.min, 4),),
    "DOGE": ((date(2024, 3, 5), 4), (date(2024, 4, 16), 8)),
}
"""Changes that happen under every seed; the other contracts draw theirs."""


def ms(instant: datetime) -> int:
    """Return the instant in epoch milliseconds.

    Examples
    --------
    >>> ms(datetime(1970, 1, 2, tzinfo=UTC))
    86400000
    """
    return round(instant.timestamp() * 1000)


def day_ms(day: date) -> int:
    """Return the day's first instant in epoch milliseconds; ``date.max`` is far enough away."""
    return ms(datetime.combine(day, time.min, UTC))


def interval_changes(seed: int, coin: Coin) -> tuple[tuple[date, int], ...]:
    """Return the days from which the contract settles every so many hours, oldest first."""
    start = ((date.min, 8),)
    if coin.asset_id in INTERVAL_CHANGES:
        return start + INTERVAL_CHANGES[coin.asset_id]
    kind, when = stream(seed, coin.asset_id, "interval").random(2)
    first = date.fromordinal(date(2022, 1, 1).toordinal() + int(when * 1500))
    if coin.market_cap_usd > 2e10 or kind < 0.55:
        return start
    if kind < 0.75:
        return (*start, (first, 4))
    if kind < 0.90:
        return ((date.min, 4),)
    return (*start, (first, 4), (date.fromordinal(first.toordinal() + 60), 1))


def interval_hours(seed: int, coin: Coin, hour_ends_ms: Ints) -> Ints:
    """Return the settlement interval in force during the hours that end at the instants."""
    changes = interval_changes(seed, coin)
    since = np.array([max(day_ms(max(day, date(1970, 1, 1))), 0) for day, _ in changes])
    position = np.searchsorted(since, hour_ends_ms - 1, side="right") - 1
    return np.array([hours for _, hours in changes], dtype=np.int64)[position]


def pair_rate_pct(seed: int, coin: Coin, hours: Hours, hour_ends_ms: Ints) -> Array:
    """Return the contract's own rate at each hour's end: percent per its interval.

    At a settlement it is the rate that is paid; between settlements the prediction.
    """
    interval = interval_hours(seed, coin, hour_ends_ms)
    return np.round(hours.rate_8h.ravel() * 100 * interval / 8, 6)


@dataclass(frozen=True, slots=True)
class Settlements:
    """A contract's funding payments; arrays of shape (n_settlements,).

    Attributes
    ----------
    time_ms : array
        As the vendor stamps them: a few milliseconds after the hour now and then.
    rate_pct : array
        Percent of notional paid by longs.
    interval_hours : array
        Hours since the settlement before.
    mark_price : array
        USD of one contract.
    """

    time_ms: Ints
    rate_pct: Array
    interval_hours: Ints
    mark_price: Array


def settle(seed: int, coin: Coin, hours: Hours, hour_ends_ms: Ints) -> Settlements:
    """Return the payments at the hours' ends that the contract's interval divides."""
    interval = interval_hours(seed, coin, hour_ends_ms)
    is_paid = (hour_ends_ms // HOUR_MS) % interval == 0
    paid = hour_ends_ms[is_paid]
    lateness = (paid // HOUR_MS * 2654435761) % 23
    return Settlements(
        time_ms=paid + np.where(lateness < 9, lateness, 0),
        rate_pct=pair_rate_pct(seed, coin, hours, hour_ends_ms)[is_paid],
        interval_hours=interval[is_paid],
        mark_price=hours.perp_price.ravel()[is_paid],
    )
