"""Names and frozen values that the stages share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.features import PRIMARY

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAJORS: Final = ("BTC", "ETH")

GROUPS: Final = tuple(PRIMARY)
"""The eight feature groups in the order of the configuration, then those of one's own."""

PARTICIPATION: Final = 0.10
"""Of a day's volume that one may be: what capacity figures allow."""
DAYS_PER_YEAR: Final = 365
BPS: Final = 1e-4


class Regime(StrEnum):
    """Market states; five-state and three-state mode share BALANCED."""

    STRONG_RISK_ON_ALTS = "STRONG_RISK_ON_ALTS"
    WEAK_RISK_ON_ALTS = "WEAK_RISK_ON_ALTS"
    RISK_ON_ALTS = "RISK_ON_ALTS"
    BALANCED = "BALANCED"
    RISK_ON_MAJORS = "RISK_ON_MAJORS"
    WEAK_RISK_ON_MAJORS = "WEAK_RISK_ON_MAJORS"
    STRONG_RISK_ON_MAJORS = "STRONG_RISK_ON_MAJORS"


FIVE_STATES: Final = (
    Regime.STRONG_RISK_ON_ALTS,
    Regime.WEAK_RISK_ON_ALTS,
    Regime.BALANCED,
    Regime.WEAK_RISK_ON_MAJORS,
    Regime.STRONG_RISK_ON_MAJORS,
)
THREE_STATES: Final = (Regime.RISK_ON_ALTS, Regime.BALANCED, Regime.RISK_ON_MAJORS)
TRADING_REGIMES: Final = frozenset(
    {Regime.RISK_ON_MAJORS, Regime.WEAK_RISK_ON_MAJORS, Regime.STRONG_RISK_ON_MAJORS}
)
"""Regimes in which the strategy holds a book."""


@dataclass(frozen=True, slots=True)
class CloseVersions:
    """Closes that later rows read differently from the row of their own day.

    One entry a version; rows ``read_from <= t < read_to`` read ``close_usd`` for (day, asset).
    """

    day: npt.NDArray[np.int64]
    """Row number of the day the close belongs to."""
    asset: npt.NDArray[np.int64]
    """Column number of the asset."""
    read_from: npt.NDArray[np.int64]
    read_to: npt.NDArray[np.int64]
    """Row numbers; a version that is still read ends after the last row."""
    close_usd: Floats


@dataclass(frozen=True)
class Market:
    """The marts as arrays of shape (n_days, n_assets); NaN is missing.

    Rows are every calendar day of the lake up to ``asof``, columns the assets in alphabetical
    order; BTC and ETH are always among them. Everything is as known for its own row.
    """

    dates: pd.DatetimeIndex
    assets: pd.Index[str]
    close_usd: Floats
    return_1d: Floats
    return_since_last_price: Floats
    market_cap_usd: Floats
    previous_market_cap_usd: Floats
    """Level of the day before, as known for the row."""
    volume_usd: Floats
    volume_median_7d_usd: Floats
    perp_volume_usd: Floats
    funding_rate_8h: Floats
    funding_rate_1d: Floats
    is_eligible: Bools
    is_delisted: Bools
    close_versions: CloseVersions

    def __post_init__(self) -> None:
        """Freeze the arrays, so that no stage can change what another one reads."""
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @cached_property
    def major_columns(self) -> tuple[int, int]:
        """Column numbers of BTC and ETH."""
        btc, eth = self.assets.get_indexer(pd.Index(MAJORS))
        return int(btc), int(eth)

    @cached_property
    def is_alt(self) -> Bools:
        """True for every column but the majors, shape (n_assets,)."""
        return ~np.asarray(self.assets.isin(MAJORS))

    def until(self, row: int) -> Market:
        """Return the days up to ``row``; the columns stay."""
        dated = {
            field.name: getattr(self, field.name)[: row + 1]
            for field in fields(self)
            if field.name not in {"assets", "close_versions"}
        }
        return replace(self, **dated)

    def closes_as_known(self, row: int, window: int) -> Floats:
        """Return the closes of the ``window`` days ending at ``row`` as row ``row`` reads them.

        Shape (window, n_assets), USD. Days before the first row are NaN.
        """
        first = row - window + 1
        closes = np.full((window, len(self.assets)), np.nan)
        closes[max(0, -first) :] = self.close_usd[max(0, first) : row + 1]
        v = self.close_versions
        seen = (v.day >= first) & (v.day <= row) & (v.read_from <= row) & (row < v.read_to)
        closes[v.day[seen] - first, v.asset[seen]] = v.close_usd[seen]
        return closes
