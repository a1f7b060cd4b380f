"""Turn exact weights into contracts a venue takes, and say what beta the rounding leaves.

Data flow: ``dim_instrument, closes -> tradable_contracts -> round_to_lots -> Rounded -> orders``.
The strategy itself runs on exact weights; this is what a desk sees beside them. Rounding goes
towards zero, so a cap that held before it holds after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor.config import ExecutionConfig
from majors_alts_monitor.types import MAJORS, Floats

SLACK: Final = 1e-9
"""Of a lot: a whole number of lots must survive its own rounding error."""


SMALLEST_ORDER_USD: Final = 5.0
"""Of the lots that name contracts when no lot is asked for."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """A book in whole lots."""

    orders: pd.DataFrame
    """By asset_id: contract, target_notional_usd, quantity (contracts, signed), notional_usd,
    weight (fraction of NAV), is_below_minimum."""
    residual: tuple[float, float]
    """Beta to BTC and ETH of the rounded book."""
    added: tuple[float, float]
    """The part of it that rounding added to that of the exact book."""


def orders(
    weights: Mapping[str, float],
    betas: pd.DataFrame,
    closes: Mapping[str, float],
    instruments: pd.DataFrame | None,
    day: date,
    execution: ExecutionConfig,
) -> dict[str, Any]:
    """Return the book in USD of the configured account, and in whole lots where asked for.

    Keys: ``account_usd``; ``orders``, one mapping per asset in alphabetical order with asset_id,
    contract (the venue's name; null when none lives) and multiplier, target_weight,
    target_notional_usd, and with lots quantity (contracts), rounded_notional_usd, rounded_weight,
    is_below_minimum; ``rounding``, null without lots, else residual_betas of the rounded book and
    the added_betas that rounding caused.

    Parameters
    ----------
    weights, betas, closes
        As in ``round_to_lots``.
    instruments : DataFrame or None
        Columns of ``dim_instrument``; None where the lake has none: every asset then trades as
        one contract a coin under its own name.
    day : date
        The decision day.
    execution : ExecutionConfig
        Account and lots.
    """
    lots = execution.lots if execution.lots is not None and execution.lots.enabled else None
    smallest = SMALLEST_ORDER_USD if lots is None else lots.min_order_usd
    known = _own_names(weights, day) if instruments is None else instruments
    contracts = tradable_contracts(known, closes, day, min_notional_usd=smallest)
    rounded = round_to_lots(weights, betas, closes, contracts, account_usd=execution.account_usd)
    multipliers = contracts["multiplier"].to_dict()
    listed = []
    for asset, order in rounded.orders.to_dict("index").items():
        line: dict[str, Any] = {
            "asset_id": asset,
            "contract": order["contract"] if asset in multipliers else None,
            "multiplier": multipliers.get(asset),
            "target_weight": float(weights[str(asset)]),
            "target_notional_usd": float(order["target_notional_usd"]),
        }
        if lots is not None:
            line |= {
                "quantity": float(order["quantity"]),
                "rounded_notional_usd": float(order["notional_usd"]),
                "rounded_weight": float(order["weight"]),
                "is_below_minimum": bool(order["is_below_minimum"]),
            }
        listed.append(line)
    rounding = {
        "residual_betas": dict(zip(MAJORS, rounded.residual, strict=True)),
        "added_betas": dict(zip(MAJORS, rounded.added, strict=True)),
    }
    return {
        "account_usd": execution.account_usd,
        "orders": listed,
        "rounding": None if lots is None else rounding,
    }


def _own_names(weights: Mapping[str, float], day: date) -> pd.DataFrame:
    assets = sorted(weights)
    unknown = pd.Series([None] * len(assets), dtype=object)
    return pd.DataFrame(
        {
            "instrument_id": assets,
            "asset_id": assets,
            "venue": "",
            "base_symbol": assets,
            "multiplier": 1.0,
            "listed_on": pd.Timestamp(day),
            "delisted_on": pd.to_datetime(unknown),
        }
    )


def tradable_contracts(
    instruments: pd.DataFrame, closes: Mapping[str, float], day: date, *, min_notional_usd: float
) -> pd.DataFrame:
    """Return one living contract per asset, under the name its venue uses.

    Parameters
    ----------
    instruments : DataFrame
        Columns of ``dim_instrument``. Of several living contracts the first by venue and
        instrument_id is taken; one without ``base_symbol`` trades under the asset's name.
    closes : mapping
        USD per coin by asset_id; assets without one are left out.
    day : date
        Contracts listed later or delisted by then are left out.
    min_notional_usd : float
        The venue's smallest order. Lakes do not carry lot sizes; venues set them to powers of ten,
        so the largest power of ten worth at most this much stands in for it.

    Returns
    -------
    DataFrame
        By asset_id, alphabetical: contract, multiplier (coins per contract), lot_size (contracts),
        min_notional_usd.

    Examples
    --------
    >>> perps = pd.DataFrame({"instrument_id": ["1000SHIBUSDT"], "asset_id": ["SHIB"],
    ...     "venue": ["binance"], "base_symbol": ["1000SHIB"], "multiplier": [1000.0],
    ...     "listed_on": [pd.Timestamp("2021-05-10")], "delisted_on": [pd.NaT]})
    >>> day = date(2024, 12, 31)
    >>> table = tradable_contracts(perps, {"SHIB": 2e-5}, day, min_notional_usd=5.0)
    >>> table.loc["SHIB", ["contract", "lot_size"]].to_dict()
    {'contract': '1000SHIB', 'lot_size': 100.0}
    """
    at = pd.Timestamp(day)
    frame = instruments.sort_values(["asset_id", "venue", "instrument_id"], kind="stable")
    is_alive = (pd.to_datetime(frame["listed_on"]) <= at) & ~_is_over(frame, at)
    first = frame[is_alive].drop_duplicates("asset_id").set_index("asset_id")
    first = first[first.index.isin([asset for asset, close in closes.items() if close > 0])]
    multiplier = first["multiplier"].astype(np.float64).fillna(1.0)
    price = np.array([closes[asset] for asset in first.index], dtype=np.float64)
    usd: list[float] = (multiplier.to_numpy() * price).tolist()
    return pd.DataFrame(
        {
            "contract": first["base_symbol"].fillna(pd.Series(first.index, index=first.index)),
            "multiplier": multiplier,
            "lot_size": [10.0 ** math.floor(math.log10(min_notional_usd / one)) for one in usd],
            "min_notional_usd": min_notional_usd,
        }
    )


def _is_over(frame: pd.DataFrame, at: pd.Timestamp) -> pd.Series[bool]:
    if "delisted_on" not in frame:
        return pd.Series(data=False, index=frame.index)
    return pd.to_datetime(frame["delisted_on"]) <= at


def round_to_lots(
    weights: Mapping[str, float],
    betas: pd.DataFrame,
    closes: Mapping[str, float],
    contracts: pd.DataFrame,
    *,
    account_usd: float,
) -> Rounded:
    """Return the book in whole lots, rounded towards zero, and the beta it has then.

    Parameters
    ----------
    weights : mapping
        Target by asset_id, fraction of NAV.
    betas : DataFrame
        By asset_id, columns BTC and ETH; the majors' own rows may be left out.
    closes : mapping
        USD per coin by asset_id.
    contracts : DataFrame
        Of ``tradable_contracts``, or a venue's own numbers in its columns. An asset without a row,
        or below the smallest order, rounds to nothing and says so.
    account_usd : float
        NAV.
    """
    assets = sorted(weights)
    rules = contracts.reindex(assets)
    exact = np.array([weights[asset] for asset in assets])
    price = np.array([closes.get(asset, math.nan) for asset in assets])
    target = exact * account_usd
    lot_usd = (rules["lot_size"] * rules["multiplier"]).to_numpy(dtype=np.float64) * price
    lots = np.sign(target) * np.floor(np.abs(target) / lot_usd + SLACK)
    notional = lots * lot_usd
    is_enough = np.abs(notional) >= rules["min_notional_usd"].to_numpy(dtype=np.float64)
    lots, notional = np.where(is_enough, lots, 0.0), np.where(is_enough, notional, 0.0)
    orders = pd.DataFrame(
        {
            "contract": rules["contract"],
            "target_notional_usd": target,
            "quantity": lots * rules["lot_size"].fillna(0.0),
            "notional_usd": notional,
            "weight": notional / account_usd,
            "is_below_minimum": ~is_enough & (exact != 0),
        },
        index=pd.Index(assets, name="asset_id"),
    )
    slopes = _slopes(assets, betas)
    rounded, before = notional / account_usd, _exposure(exact, slopes)
    after = _exposure(rounded, slopes)
    return Rounded(orders, after, (after[0] - before[0], after[1] - before[1]))


def _slopes(assets: list[str], betas: pd.DataFrame) -> Floats:
    own = pd.DataFrame(np.eye(2), index=list(MAJORS), columns=list(MAJORS))
    others = betas.loc[~betas.index.isin(MAJORS), list(MAJORS)]
    return np.asarray(pd.concat([own, others]).reindex(assets), dtype=np.float64)


def _exposure(weights: Floats, slopes: Floats) -> tuple[float, float]:
    return math.fsum(weights * slopes[:, 0]), math.fsum(weights * slopes[:, 1])
