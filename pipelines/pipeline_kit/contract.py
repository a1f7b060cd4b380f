"""The tables of a lake: names, keys, columns and types, as contract.md section 3 fixes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

ASSET_ID_PATTERN: Final = "[A-Z0-9][A-Z0-9._-]{0,31}"
KINDS: Final = (
    "coin",
    "stablecoin",
    "wrapped",
    "staked",
    "commodity",
    "index",
    "leveraged",
    "alias",
)
BASES: Final = ("observed", "assumed")
CORE_ASSETS: Final = ("BTC", "ETH")
"""Without a price of these two there is nothing to decide."""


class Kind(StrEnum):
    """What a column holds; the value is the canonical SQL type."""

    TEXT = "varchar"
    DAY = "date"
    INSTANT = "timestamp"
    NUMBER = "double"
    FLAG = "boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """One column a reader looks at; any other column of a file is ignored."""

    name: str
    kind: Kind
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the lake."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    value: str | None = None
    """The measure of a fact; a row without it says nothing. Null for a dimension."""

    is_required: bool = False

    @property
    def is_fact(self) -> bool:
        """Whether its rows carry versions (``known_at``)."""
        return self.value is not None

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return next(c for c in self.columns if c.name == name)


_KNOWLEDGE: Final = (
    Column("source", Kind.TEXT, is_required=False),
    Column("known_at", Kind.INSTANT, is_required=False),
    Column("known_basis", Kind.TEXT, is_required=False),
)


def _daily_fact(name: str, value: str, *, is_required: bool = False) -> Table:
    columns = (
        Column("asset_id", Kind.TEXT),
        Column("date", Kind.DAY),
        Column(value, Kind.NUMBER),
        *_KNOWLEDGE,
    )
    return Table(name, ("asset_id", "date"), columns, value, is_required)


_TABLES: Final = (
    _daily_fact("fact_price", "close", is_required=True),
    _daily_fact("fact_marketcap", "marketcap", is_required=True),
    _daily_fact("fact_volume", "volume", is_required=True),
    _daily_fact("fact_funding", "funding_rate"),
    Table(
        "fact_funding_settlement",
        ("asset_id", "settled_at"),
        (
            Column("asset_id", Kind.TEXT),
            Column("settled_at", Kind.INSTANT),
            Column("funding_rate", Kind.NUMBER),
            Column("interval_hours", Kind.NUMBER),
            Column("mark_price", Kind.NUMBER, is_required=False),
            *_KNOWLEDGE,
        ),
        "funding_rate",
    ),
    _daily_fact("fact_open_interest", "open_interest_usd"),
    _daily_fact("fact_perp_volume", "volume"),
    Table(
        "dim_asset",
        ("asset_id",),
        (
            Column("asset_id", Kind.TEXT),
            Column("name", Kind.TEXT, is_required=False),
            Column("kind", Kind.TEXT, is_required=False),
            Column("is_stable", Kind.FLAG, is_required=False),
            Column("is_wrapped", Kind.FLAG, is_required=False),
            Column("is_commodity_or_equity", Kind.FLAG, is_required=False),
        ),
    ),
    Table(
        "dim_instrument",
        ("instrument_id",),
        (
            Column("instrument_id", Kind.TEXT),
            Column("asset_id", Kind.TEXT),
            Column("venue", Kind.TEXT, is_required=False),
            Column("base_symbol", Kind.TEXT, is_required=False),
            Column("multiplier", Kind.NUMBER, is_required=False),
            Column("funding_interval_hours", Kind.NUMBER, is_required=False),
            Column("listed_on", Kind.DAY),
            Column("delisted_on", Kind.DAY, is_required=False),
        ),
    ),
)

TABLES: Final[Mapping[str, Table]] = MappingProxyType({table.name: table for table in _TABLES})
REQUIRED: Final = tuple(table.name for table in _TABLES if table.is_required)
FACTS: Final = tuple(table.name for table in _TABLES if table.is_fact)
FLAGS: Final = ("is_stable", "is_wrapped", "is_commodity_or_equity")
