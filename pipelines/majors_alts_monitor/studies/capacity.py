"""How much money fits: days to leave each name without being more than a share of its volume."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.types import Floats

PARTICIPATION: Final = 0.10
"""Of a day's volume that one may be."""


def days_to_exit(
    positions: pd.DataFrame, adv_usd: pd.Series[float], account_usd: float
) -> pd.DataFrame:
    """Return per name how long its largest and its usual position take to leave.

    Parameters
    ----------
    positions : DataFrame
        Columns asset_id and weight_open (fraction of NAV), one row per day and asset.
    adv_usd : Series of shape (n_positions,)
        Average daily volume behind each row, USD; NaN where unknown.
    account_usd : float
        What the NAV is worth.

    Returns
    -------
    DataFrame
        asset_id, n_days held, median_days_to_exit, max_days_to_exit; slowest first. Days are
        position / (participation x volume); null where no volume is known.

    Examples
    --------
    1 % of 100 million is 1 million; a tenth of 5 million a day takes 2 days.

    >>> rows = pd.DataFrame({"asset_id": ["SOL"], "weight_open": [-0.01]})
    >>> days_to_exit(rows, pd.Series([5e6]), 1e8)["max_days_to_exit"].tolist()
    [2.0]
    """
    known = adv_usd.where(adv_usd > 0)
    days = positions["weight_open"].abs() * account_usd / (PARTICIPATION * known)
    is_held = positions["weight_open"] != 0
    grouped = days[is_held].groupby(positions.loc[is_held, "asset_id"].astype(str))
    table = pd.DataFrame(
        {
            "n_days": grouped.size(),
            "median_days_to_exit": grouped.median(),
            "max_days_to_exit": grouped.max(),
        }
    )
    ordered = table.sort_values("max_days_to_exit", ascending=False, kind="stable")
    return ordered.rename_axis("asset_id").reset_index()


def volume_behind(
    positions: pd.DataFrame, adv_usd: Floats, dates: pd.DatetimeIndex, assets: pd.Index[str]
) -> pd.Series[float]:
    """Return the cell of ``adv_usd`` (n_days, n_assets) behind each row of ``positions``."""
    rows = dates.get_indexer(pd.DatetimeIndex(positions["date"]))
    columns = assets.get_indexer(pd.Index(positions["asset_id"]))
    return pd.Series(np.asarray(adv_usd[rows, columns]), index=positions.index)
