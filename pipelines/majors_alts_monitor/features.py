"""The catalogue of the eight feature groups; it names them and computes nothing.

The groups are SQL (``dbt_project/models/marts/fct_features_daily.sql``). A slow, independent
pandas version lives in ``tests/reference`` and must agree to 1e-9. Adding a feature is one
model, one line here and one line of configuration; ``docs/tutorial.md`` walks through it. A
primary feature of a new group makes the group: it has weight 0 until the configuration gives one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from majors_alts_monitor.errors import TableContractError

DAILY: Final = "fct_features_daily"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the features, without its ``raw_`` or ``z_``."""

    name: str
    group: str
    unit: str
    is_primary: bool = False
    """True for the one column of its group that enters the score."""
    model: str = DAILY
    """The mart that holds both columns, one row a calendar day."""

    @property
    def raw(self) -> str:
        """Name of the raw column."""
        return f"raw_{self.name}"

    @property
    def z(self) -> str:
        """Name of the 60-day z-score."""
        return f"z_{self.name}"


FEATURES: Final = (
    Feature("alt_breadth_pct_up", "alt_breadth", "percent of ALTs", is_primary=True),
    Feature("alt_breadth_median_ret", "alt_breadth", "fraction a day"),
    Feature("alt_breadth_iqr", "alt_breadth", "fraction a day"),
    Feature("alt_breadth_slope_5d", "alt_breadth", "percentage points over 5 days"),
    Feature("alt_breadth_slope_20d", "alt_breadth", "percentage points over 20 days"),
    Feature("btc_dominance", "btc_dominance", "fraction of market cap", is_primary=True),
    Feature("btc_dominance_d1d", "btc_dominance", "fraction over 1 day"),
    Feature("btc_dominance_d5d", "btc_dominance", "fraction over 5 days"),
    Feature("btc_dominance_zscore", "btc_dominance", "standard deviations"),
    Feature("funding_skew", "funding_skew", "fraction per 8 hours", is_primary=True),
    Feature("funding_skew_zscore_3d", "funding_skew", "standard deviations"),
    Feature("funding_heating", "funding_heating", "fraction per 8 hours", is_primary=True),
    Feature("liquidity_7d_median", "liquidity", "USD a day", is_primary=True),
    Feature("liquidity_z_delta", "liquidity", "standard deviations"),
    Feature("liquidity_pct_at_high", "liquidity", "percent of ALTs"),
    Feature("volatility_spread", "volatility_spread", "fraction a day", is_primary=True),
    Feature("momentum_alt_3d", "momentum", "fraction a day"),
    Feature("momentum_alt_7d", "momentum", "fraction a day"),
    Feature("momentum_spread_3d", "momentum", "fraction a day"),
    Feature("momentum_spread_7d", "momentum", "fraction a day", is_primary=True),
    Feature("oi_risk", "oi_risk", "0 to 1", is_primary=True),
)

PRIMARY: Final = {feature.group: feature.z for feature in FEATURES if feature.is_primary}
"""Group to the z-score column that enters the score."""

OWN_MODELS: Final = tuple(dict.fromkeys(f.model for f in FEATURES if f.model != DAILY))
"""Marts of features beyond the binding ones."""

FLAGS: Final = ("has_funding", "funding_oi_coverage", "oi_is_proxy", "valid", "share_assumed")

COLUMNS: Final = (
    *(feature.raw for feature in FEATURES),
    *(feature.z for feature in FEATURES),
    *FLAGS,
)


def check_features(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``fct_features_daily`` in the catalogue's column order, indexed by date.

    Raises
    ------
    TableContractError
        If a column is missing, a date is repeated, or a calendar day is left out.

    Examples
    --------
    >>> check_features(pd.DataFrame({"date": ["2024-01-01"]}))
    Traceback (most recent call last):
    ...
    majors_alts_monitor.errors.TableContractError: fct_features_daily: no column \
raw_alt_breadth_pct_up; rebuild the warehouse
    """
    for column in ("date", *COLUMNS):
        if column not in frame.columns:
            raise TableContractError(
                f"fct_features_daily: no column {column}; rebuild the warehouse"
            )
    ordered = frame.set_index(pd.DatetimeIndex(frame["date"], name="date"))[list(COLUMNS)]
    ordered = ordered.sort_index()
    every_day = pd.date_range(ordered.index[0], ordered.index[-1], name="date")
    if not ordered.index.equals(every_day):
        raise TableContractError(
            f"fct_features_daily: {len(ordered)} rows for {len(every_day)} calendar days; "
            "rebuild the warehouse"
        )
    return ordered
