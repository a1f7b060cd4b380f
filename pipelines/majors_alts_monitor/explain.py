"""Say why the book is what it is: ``python -m majors_alts_monitor.explain --asof D``.

Flow: ``signals of D -> explanation -> vendor answers``. Text, or with ``--page`` a page such as
every run folder holds in ``explain.html``. Each row of the lake is led back to the raw answers it
came from: vendor, endpoint, time, SHA-256; where nobody asked a vendor, to the imported file.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from majors_alts_monitor.config import load_config
from majors_alts_monitor.explanation import Fact, Origin, explain, page
from majors_alts_monitor.run import Prepared, Request, prepare, signal_document
from pipeline_kit import atomic, paths
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import sha256_file

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

    The newest fetch that is not later than the row's knowledge; endpoint, time and SHA-256.
    """
    vendor, known_at = str(fact["source"] or "").split("_")[0], fact["known_from"]
    if not vendor:
        return []
    found = []
    for file in sorted((bronze / vendor / str(known_at.date())).glob("*.jsonl.gz")):
        found += [record for record in _records(file) if _is_about(record, asset)]
    in_time = [r for r in found if r["fetched_at"][:19] <= f"{known_at:%Y-%m-%dT%H:%M:%S}"]
    newest: dict[str, dict[str, Any]] = {}
    for record in sorted(in_time, key=lambda r: str(r["fetched_at"])):
        newest[f"{record['path']} {sorted(record['params'].items())}"] = record
    return [
        f"answer: {r['vendor']} {r['path']} {r['params']}, fetched {r['fetched_at']}, "
        f"sha256 {r['sha256']}"
        for _, r in sorted(newest.items())
    ]


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the answers of a file; a killed process may have torn its end."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as f:
            for line in f:
                yield json.loads(line)
    except (EOFError, gzip.BadGzipFile, json.JSONDecodeError):
        return


def _is_about(record: dict[str, Any], asset: str) -> bool:
    """Return whether a request names the asset, or asks for all of them."""
    words = [str(value).upper() for value in record["params"].values()]
    words += record["path"].upper().split("/")
    is_named = any(word.startswith(asset) for word in words)
    return record["status"] == 200 and is_named


if __name__ == "__main__":
    sys.exit(run_command(main))
