"""The coins of the synthetic market: real tickers and ids, invented histories.

``universe.csv`` holds one coin a row, in the order in which ``--assets N`` takes them. Prices
and market caps are anchors the simulation wanders about, not data. Dates are calendar dates,
so a coin's life does not move when the clock does.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

TABLE: Final = Path(__file__).with_name("universe.csv")
LISTING_HOUR: Final = 12
DELISTING_HOUR: Final = 9
"""Binance closes a contract in the morning, so its last daily bar is not a whole day."""


@dataclass(frozen=True, slots=True)
class Coin:
    """One coin and its perpetual.

    Attributes
    ----------
    asset_id, coingecko_id, name, kind
        Identity as in ``dim_asset``. Two coins share an id where a ticker was renamed.
    sector : str
        Sector whose factor the coin follows; empty for everything but coins.
    follows : str
        A wrapped or staked coin: what it tracks. A coin: the ticker it replaces one to one.
    price_usd, market_cap_usd : float
        Anchors in USD.
    born_on, dies_on : date
        First day of the coin, and the first on which it no longer exists.
    perp_listed_at, perp_delisted_at : datetime or None
        Life of the Binance perpetual, UTC; no perpetual without the first.
    binance_symbol : str
        The perpetual's symbol, empty without one.
    multiplier : int
        Coins in one unit of the Binance contract.
    spellings : tuple of str
        The coin's base symbols on CoinGlass; empty without derivatives.
    """

    asset_id: str
    coingecko_id: str
    name: str
    kind: str
    sector: str
    follows: str
    price_usd: float
    market_cap_usd: float
    born_on: date
    dies_on: date
    perp_listed_at: datetime | None
    perp_delisted_at: datetime | None
    binance_symbol: str
    multiplier: int
    spellings: tuple[str, ...]

    @property
    def stream_id(self) -> str:
        """Return the ticker whose random streams the coin draws from."""
        return self.follows if self.kind == "coin" and self.follows else self.asset_id

    @property
    def is_major(self) -> bool:
        """Return whether the coin is BTC or ETH."""
        return self.sector == "major"

    @property
    def base_symbol(self) -> str:
        """Return the contract's base asset: ``1000PEPE`` of ``1000PEPEUSDT``."""
        return self.binance_symbol.removesuffix("USDT")

    @property
    def price_decimals(self) -> int:
        """Return the decimals of the contract's price: five to six digits in all.

        Examples
        --------
        >>> coins()[0].asset_id, coins()[0].price_decimals
        ('BTC', 1)
        """
        magnitude = int(np.floor(np.log10(self.price_usd * self.multiplier)))
        return min(max(5 - magnitude, 1), 8)


def _instant(text: str, hour: int) -> datetime | None:
    return datetime.combine(date.fromisoformat(text), time(hour), UTC) if text else None


def _born_on(row: dict[str, str]) -> date:
    """Return the coin's first day; one listed since 2021 is born twenty days earlier."""
    if row["born_on"]:
        return date.fromisoformat(row["born_on"])
    listed = row["perp_listed_on"]
    if listed < "2021":
        return date.min
    return date.fromisoformat(listed) - timedelta(days=20)


def _coin(row: dict[str, str]) -> Coin:
    return Coin(
        asset_id=row["asset_id"],
        coingecko_id=row["coingecko_id"],
        name=row["name"],
        kind=row["kind"],
        sector=row["sector"],
        follows=row["follows"],
        price_usd=float(row["price_usd"]),
        market_cap_usd=float(row["market_cap_musd"]) * 1e6,
        born_on=_born_on(row),
        dies_on=date.fromisoformat(row["dies_on"]) if row["dies_on"] else date.max,
        perp_listed_at=_instant(row["perp_listed_on"], LISTING_HOUR),
        perp_delisted_at=_instant(row["perp_delisted_on"], DELISTING_HOUR),
        binance_symbol=row["binance_symbol"],
        multiplier=int(row["multiplier"]),
        spellings=tuple(row["spellings"].split()),
    )


@cache
def coins() -> tuple[Coin, ...]:
    """Return every coin, in the order of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(_coin(row) for row in csv.DictReader(file))


@cache
def coin_named(asset_id: str) -> Coin:
    """Return one coin.

    Examples
    --------
    >>> coin_named("PEPE").spellings
    ('PEPE', '1000PEPE', 'kPEPE')
    """
    return next(coin for coin in coins() if coin.asset_id == asset_id)


@cache
def is_renamed(asset_id: str) -> bool:
    """Return whether another ticker carries the coin on after its end."""
    return any(coin.kind == "coin" and coin.follows == asset_id for coin in coins())
