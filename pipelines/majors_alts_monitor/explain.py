"""Say why the book is what it is: ``python -m majors_alts_monitor.explain --asof D``.

Flow: ``signals of D -> explanation -> vendor answers``. Text, or with ``--page`` a page such as
every run folder holds in ``explain.html``. Each row of the lake is led back to the raw answers it
came from: vendor, endpoint, time, SHA-256; where nobody asked a vendor, to the imported file.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from majors_alts_monitor.config import load_config
from majors_alts_monitor.explanation import Fact, Origin, explain, page
from majors_alts_monitor.run import Prepared, Request, prepare, signal_document
from pipeline_kit import atomic, paths
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import sha256_file

_ENDPOINTS: Final = {
    "fact_price": ("klines", "price", "market"),
    "fact_marketcap": ("market",),
    "fact_volume": ("market",),
    "fact_funding": ("funding",),
    "fact_funding_settlement": ("funding",),
    "fact_open_interest": ("open-interest", "openinterest", "metrics"),
    "fact_perp_volume": ("klines", "price", "volume"),
}
"""Words in the addresses, in small letters, that can have answered for a fact."""
_PERPETUAL: Final = re.compile(r"([A-Z0-9._-]+?)-?(USDT|USDC|USD)([_-].*)?")
_MULTIPLIER: Final = re.compile(r"^(1M|1000+)(?=[A-Z])")
MAX_FILES: Final = 3
"""Files of a table named one by one; the rest is counted."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.explain", description=__doc__)
    parser.add_argument("--asof", required=True, help="day of the decision, YYYY-MM-DD")
    parser.add_argument("--asset", help="one asset; default: every asset of the book")
    parser.add_argument("--data-lake", type=Path, help="lake to read; default: ours")
    parser.add_argument("--config", type=Path, help="YAML; default: the shipped config.yaml")
    parser.add_argument("--page", type=Path, help="write a page to this file instead of text")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one config key"
    )
    flags = parser.parse_args(argv)
    asof = parse_day(flags.asof, "--asof")
    request = Request(
        command="signals",
        start=asof,
        end=asof,
        config=load_config(flags.config, flags.set),
        lake=flags.data_lake or paths.lake_dir(),
        out=None,
        known_at=None,
    )
    prepared = prepare(request)
    bronze = paths.bronze_dir() if request.lake.resolve() == paths.lake_dir() else None
    document = signal_document(prepared)
    lines = explain(prepared, document, flags.asset, from_files(prepared, bronze))
    if flags.page:
        atomic.write_text(flags.page, page(lines))
    else:
        sys.stdout.write("\n".join(lines) + "\n")


def from_files(prepared: Prepared, bronze: Path | None) -> Origin:
    """Return an origin that names vendor answers, and the lake's files where there are none."""
    files: dict[str, list[str]] = {}

    def origin(fact: Fact) -> list[str]:
        found = [] if bronze is None else answers(bronze, fact["asset_id"], fact)
        if not found and fact["fact"] not in files:
            files[fact["fact"]] = _files(prepared.lake.tables[fact["fact"]])
        return found or files[fact["fact"]]

    return origin


def _files(tables: Sequence[Path]) -> list[str]:
    """Return the lake's own files of a table, which stand in where no vendor was asked."""
    lines = [
        f"no vendor answer: imported with {file.name}, sha256 {sha256_file(file)}"
        for file in tables[:MAX_FILES]
    ]
    more = len(tables) - MAX_FILES
    return [*lines, f"and {more} more files of the table"] if more > 0 else lines


def answers(bronze: Path, asset: str, fact: Fact) -> list[str]:
    """Return the vendor answers a lake row can come from: its vendor's, about it, fetched by then.

    Endpoint, time and SHA-256 of the newest fetch that is not later than the row's knowledge; for
    history whose knowledge is assumed, of the first fetch after it.
    """
    vendor, known_at = str(fact["source"] or "").split("_")[0], fact["known_from"]
    if not vendor:
        return []
    is_assumed = fact.get("known_basis") == "assumed"
    # What Binance keeps as files lies beside what it answers.
    vendors = ("binance", "archive") if vendor == "binance" else (vendor,)
    sources = [bronze / name for name in vendors]
    days = sorted({day.name for source in sources for day in source.glob("*")})
    folders = [day for day in days if day > str(known_at.date())] if is_assumed else []
    endpoints = _ENDPOINTS.get(fact.get("fact", ""), ("",))
    for day in [str(known_at.date()), *folders]:
        records = [r for source in sources for r in _about(source / day, asset, endpoints)]
        if not is_assumed:
            limit = f"{known_at:%Y-%m-%dT%H:%M:%S}"
            records = [record for record in records if record["fetched_at"][:19] <= limit]
        if records:
            return _told(records)
    return []


def _told(records: Sequence[Mapping[str, Any]]) -> list[str]:
    newest: dict[str, Mapping[str, Any]] = {}
    for record in sorted(records, key=lambda r: str(r["fetched_at"])):
        newest[f"{record['path']} {sorted(record['params'].items())}"] = record
    return [
        f"answer: {r['vendor']} {r['path']} {r['params']}, fetched {r['fetched_at']}, "
        f"sha256 {r['sha256']}"
        for _, r in sorted(newest.items())
    ]


def _about(folder: Path, asset: str, endpoints: Sequence[str]) -> list[dict[str, Any]]:
    """Return the good answers of a day's folder that name the asset, from one of the endpoints."""
    records = [
        record
        for file in sorted(folder.glob("*.jsonl.gz"))
        for record in _records(file)
        if record["status"] == 200
    ]
    names = {asset, *_coin_ids(records, asset)}
    return [
        record
        for record in records
        if any(part in record["path"].lower() for part in endpoints) and _is_named(record, names)
    ]


def _coin_ids(records: Sequence[Mapping[str, Any]], asset: str) -> set[str]:
    """Return the ids, in capitals, of the coins that a list among the answers calls ``asset``."""
    ids: set[str] = set()
    for record in records:
        if record["path"].endswith("/coins/markets"):
            try:
                coins = json.loads(record["body"])
                ids |= {str(c["id"]).upper() for c in coins if str(c["symbol"]).upper() == asset}
            except (ValueError, TypeError, KeyError):  # kept as it came, whatever it is
                continue
    return ids


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the answers of a file; a killed process may have torn its end."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as f:
            for line in f:
                yield json.loads(line)
    except (EOFError, gzip.BadGzipFile, json.JSONDecodeError):
        return


def _is_named(record: Mapping[str, Any], names: Collection[str]) -> bool:
    """Return whether a request names one of ``names``, alone, in a list, or as a perpetual.

    Examples
    --------
    >>> request = {"path": "/fapi/v1/klines", "params": {"symbol": "1000PEPEUSDT"}}
    >>> _is_named(request, {"PEPE"}), _is_named(request, {"PEP"})
    (True, False)
    """
    words = [word for value in record["params"].values() for word in str(value).split(",")]
    words += record["path"].split("/")
    perpetuals = [_PERPETUAL.fullmatch(word.upper()) for word in words]
    bases = {match[1] for match in perpetuals if match} | {word.upper() for word in words}
    bases |= {_MULTIPLIER.sub("", base) for base in bases}
    return not bases.isdisjoint(names)


if __name__ == "__main__":
    sys.exit(run_command(main))
