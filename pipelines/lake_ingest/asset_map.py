"""Who is who: the reviewed, versioned map from vendor identities to ``asset_id``.

Ticker collisions, multiplied contracts, changes of name and delistings are rows of the dbt seed
``asset_map.csv``, never string tricks. A row is valid from ``valid_from`` to ``valid_to``, both
days included; an empty bound is open. No vendor identity may belong to two assets on one day.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import IO, Final

from lake_ingest.errors import MapError
from pipeline_kit.paths import seeds_dir

COLUMNS: Final = (
    "asset_id",
    "coingecko_id",
    "binance_symbol",
    "coinglass_spellings",
    "multiplier",
    "kind",
    "valid_from",
    "valid_to",
    "note",
)
KINDS: Final = frozenset(
    {"coin", "stablecoin", "wrapped", "staked", "commodity", "index", "leveraged", "alias"}
)
ASSET_ID: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")
VENDOR_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class MapRow:
    """One asset's vendor identities over a span of days."""

    asset_id: str
    coingecko_id: str
    """CoinGecko's id, never its symbol; empty when it has none."""
    binance_symbol: str
    """USD-M perpetual such as ``1000PEPEUSDT``; empty when there is none."""
    coinglass_spellings: tuple[str, ...]
    """Base symbols under which venues list the asset; its open interest is their sum."""
    multiplier: float
    """Coins in one unit of the Binance contract."""
    kind: str
    valid_from: date | None
    valid_to: date | None
    note: str

    def is_valid(self, first: date, last: date) -> bool:
        """Return whether the row is valid on some day of the span, both days included."""
        starts_in_time = self.valid_from is None or self.valid_from <= last
        return starts_in_time and (self.valid_to is None or self.valid_to >= first)

    def clip(self, first: date, last: date) -> tuple[date, date]:
        """Return the part of the span on which the row is valid (empty when first > last)."""
        return max(first, self.valid_from or first), min(last, self.valid_to or last)


@dataclass(frozen=True, slots=True)
class AssetMap:
    """The whole map, in order of ``asset_id`` and ``valid_from``."""

    rows: tuple[MapRow, ...]

    def select(self, tickers: Sequence[str] | None, first: date, last: date) -> tuple[MapRow, ...]:
        """Return the rows valid in the span, for the tickers or, with None, for every asset.

        Raises
        ------
        MapError
            If a ticker is in no row, or in none that is valid in the span.
        """
        active = tuple(row for row in self.rows if row.is_valid(first, last))
        if tickers is None:
            return active
        known = {row.asset_id for row in active}
        unknown = sorted(set(tickers) - known)
        if unknown:
            raise MapError(
                f"--symbols: {', '.join(unknown)} not in the asset map between {first} and {last};"
                " add a row to asset_map.csv or correct the ticker"
            )
        return tuple(row for row in active if row.asset_id in set(tickers))


def load_map(source: IO[str] | None = None) -> AssetMap:
    """Return the map of ``dbt_project/seeds/asset_map.csv``, or of ``source``, after checking it.

    dbt tests the same file in every build, but only here is it refused before the first request.

    Raises
    ------
    MapError
        If a row is malformed, or two assets share an identity on one day.
    """
    if source is None:
        with (seeds_dir() / "asset_map.csv").open(encoding="utf-8", newline="") as f:
            return load_map(f)
    reader = csv.DictReader(source)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise MapError(f"asset_map.csv: columns are {reader.fieldnames}, expected {list(COLUMNS)}")
    rows = [_parse_row(record, number) for number, record in enumerate(reader, start=2)]
    collisions = find_collisions(rows)
    if collisions:
        raise MapError(f"asset_map.csv: {'; '.join(collisions)}")
    return AssetMap(tuple(sorted(rows, key=lambda r: (r.asset_id, r.valid_from or date.min))))


def find_collisions(rows: Iterable[MapRow]) -> list[str]:
    """Return one sentence per vendor identity that two rows claim on the same day.

    An asset may have several rows, but not two on one day.

    Examples
    --------
    >>> one = MapRow("AAA", "coin-a", "AAAUSDT", ("AAA",), 1.0, "coin", None, None, "")
    >>> two = MapRow("BBB", "coin-a", "BBBUSDT", ("BBB",), 1.0, "coin", None, None, "")
    >>> find_collisions([one, two])
    ['coingecko_id coin-a belongs to AAA and BBB at once']
    """
    claims: dict[tuple[str, str], list[MapRow]] = defaultdict(list)
    for row in rows:
        claims["asset_id", row.asset_id].append(row)
        if row.coingecko_id:
            claims["coingecko_id", row.coingecko_id].append(row)
        if row.binance_symbol:
            claims["binance_symbol", row.binance_symbol].append(row)
        for spelling in row.coinglass_spellings:
            claims["coinglass spelling", spelling].append(row)
    return [
        f"{what} {identity} belongs to {a.asset_id} and {b.asset_id} at once"
        for (what, identity), claimants in sorted(claims.items())
        for a, b in combinations(claimants, 2)
        if a.is_valid(b.valid_from or date.min, b.valid_to or date.max)
    ]


def _parse_row(record: dict[str, str], number: int) -> MapRow:
    where = f"asset_map.csv line {number}"
    if None in record or None in record.values():
        raise MapError(f"{where}: not {len(COLUMNS)} fields; a note with a comma needs quotes")
    spellings = tuple(filter(None, (record["coinglass_spellings"] or "").split("|")))
    try:
        row = MapRow(
            asset_id=record["asset_id"],
            coingecko_id=record["coingecko_id"],
            binance_symbol=record["binance_symbol"],
            coinglass_spellings=spellings,
            multiplier=float(record["multiplier"]),
            kind=record["kind"],
            valid_from=_parse_bound(record["valid_from"]),
            valid_to=_parse_bound(record["valid_to"]),
            note=record["note"],
        )
    except (TypeError, ValueError) as e:
        raise MapError(f"{where}: {e}") from e
    _check_row(row, where)
    return row


def _check_row(row: MapRow, where: str) -> None:
    if not ASSET_ID.fullmatch(row.asset_id):
        raise MapError(f"{where}: asset_id {row.asset_id!r} is not an upper-case ticker")
    if row.kind not in KINDS:
        raise MapError(f"{where}: kind {row.kind!r} is none of {', '.join(sorted(KINDS))}")
    if not 1 <= row.multiplier < math.inf:
        raise MapError(f"{where}: multiplier {row.multiplier} is no number of at least 1")
    if row.valid_from and row.valid_to and row.valid_from > row.valid_to:
        raise MapError(f"{where}: valid_from {row.valid_from} is after valid_to {row.valid_to}")
    for identity in filter(None, (row.coingecko_id, row.binance_symbol, *row.coinglass_spellings)):
        # Identities become parts of addresses: nothing that could leave its place.
        if not VENDOR_ID.fullmatch(identity):
            raise MapError(f"{where}: {identity!r} cannot be a vendor's identity")


def _parse_bound(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
