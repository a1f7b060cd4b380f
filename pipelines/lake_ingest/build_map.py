"""Propose changes to the asset map: ``python -m lake_ingest.build_map``.

Reads the largest coins of CoinGecko and the lists of CoinGlass and Binance, compares them with
the seed ``asset_map.csv`` and prints what a person may want to add or end. It never edits the map:
a ticker can belong to two coins, and only a person knows which one a venue means.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Final

from lake_ingest.asset_map import ASSET_ID, MapRow, find_collisions, load_map
from lake_ingest.clients import Clients, open_clients
from lake_ingest.fetch_state import fetch_lock, run_id_for
from lake_ingest.parse import binance_contracts, coingecko_symbols, coinglass_coins
from lake_ingest.settings import load_settings
from pipeline_kit.calendar import now_utc
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import UsageProblem

MULTIPLIED: Final = re.compile(r"^(1000000|10000|1000|1M)([A-Z0-9]+)$")
MULTIPLIER: Final[Mapping[str, float]] = {
    "1000000": 1e6,
    "1M": 1e6,
    "10000": 1e4,
    "1000": 1e3,
}
PAGE: Final = 250


@dataclass(frozen=True, slots=True)
class Listed:
    """What the vendors list now."""

    coins: Sequence[tuple[str, str]]
    """CoinGecko id and ticker, largest first."""
    contracts: Mapping[str, str]
    """Binance symbol to base asset."""
    spellings: Collection[str]
    """CoinGlass base symbols; empty without a key."""


def propose(rows: Sequence[MapRow], listed: Listed, today: date) -> list[str]:
    """Return the lines a person may want to add, and remarks about the present ones.

    Lines that begin with ``+`` are rows of the map; a row that would collide with one that
    stands is a remark that begins with ``!`` instead.

    Examples
    --------
    >>> listed = Listed([("pepe", "PEPE")], {"1000PEPEUSDT": "1000PEPE"}, ["PEPE", "kPEPE"])
    >>> propose([], listed, date(2024, 1, 1))
    ['+ PEPE,pepe,1000PEPEUSDT,PEPE|kPEPE,1000,coin,,,']
    """
    active = [row for row in rows if row.is_valid(today, today)]
    known = {row.coingecko_id for row in active}
    lines = []
    standing = list(active)
    for coin_id, ticker in listed.coins:
        if coin_id in known or not ASSET_ID.fullmatch(ticker):
            continue
        row = _propose_row(coin_id, ticker, listed)
        collisions = find_collisions([*standing, row])
        if collisions:
            lines.append(f"! {coin_id}: {'; '.join(collisions)}")
        else:
            standing.append(row)
            lines.append(f"+ {_as_line(row)}")
    return lines + _remarks(active, listed)


def _propose_row(coin_id: str, ticker: str, listed: Listed) -> MapRow:
    bases = {ticker: 1.0} | {
        f"{prefix}{ticker}": multiplier for prefix, multiplier in MULTIPLIER.items()
    }
    symbol, multiplier = next(
        ((s, bases[base]) for s, base in sorted(listed.contracts.items()) if base in bases),
        ("", 1.0),
    )
    spellings = tuple(s for s in (*bases, f"k{ticker}") if s in listed.spellings)
    return MapRow(ticker, coin_id, symbol, spellings, multiplier, "coin", None, None, "")


def _remarks(active: Iterable[MapRow], listed: Listed) -> list[str]:
    remarks = []
    mapped = set()
    for row in active:
        mapped.add(row.binance_symbol)
        mapped.update(row.coinglass_spellings)
        if row.binance_symbol and row.binance_symbol not in listed.contracts:
            remarks.append(f"? {row.asset_id}: {row.binance_symbol} is no longer listed")
    for spelling in sorted(listed.spellings):
        match = MULTIPLIED.match(spelling)
        if spelling not in mapped and match and match.group(2) in mapped:
            remarks.append(f"? {match.group(2)}: {spelling} is another spelling of it?")
    return remarks


def _as_line(row: MapRow) -> str:
    spellings = "|".join(row.coinglass_spellings)
    identity = f"{row.asset_id},{row.coingecko_id},{row.binance_symbol},{spellings}"
    return f"{identity},{row.multiplier:g},{row.kind},,,"


def _look(clients: Clients, n_coins: int) -> Listed:
    pages = range(1, -(-n_coins // PAGE) + 1)
    coins = [c for page in pages for c in coingecko_symbols(clients.coingecko.largest(page))]
    contracts = binance_contracts(clients.binance.exchange_info())
    spellings: Collection[str] = ()
    if clients.coinglass is not None:
        spellings = coinglass_coins(clients.coinglass.supported_coins())
    bases = dict(zip(contracts["symbol"], contracts["base_asset"], strict=True))
    usdt = {symbol: base for symbol, base in bases.items() if symbol == f"{base}USDT"}
    return Listed(coins[:n_coins], usdt, spellings)


def main(argv: Sequence[str]) -> None:
    """Print the proposal for the largest coins."""
    parser = Parser(prog="python -m lake_ingest.build_map", description=__doc__)
    parser.add_argument("--coins", type=int, default=250, help="how many of the largest coins")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.coins <= 2500:
        raise UsageProblem("--coins must lie between 1 and 2500")
    now = now_utc()
    with fetch_lock(), open_clients(load_settings(), run_id_for(now, {"build": "map"})) as clients:
        listed = _look(clients, arguments.coins)
    lines = propose(load_map().rows, listed, now.astimezone(UTC).date())
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(lines)} proposals; dbt_project/seeds/asset_map.csv is edited by hand\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
