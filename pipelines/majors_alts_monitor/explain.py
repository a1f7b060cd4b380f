"""Walk from a weight back to its sources: ``python -m majors_alts_monitor.explain --asof D``.

Flow: ``weight <- scale <- hedge <- betas <- basket <- universe <- facts <- lake rows <- vendor
answers``. Text, one asset after the other; the answers are named where the lake is ours.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd

from majors_alts_monitor.basket import Exclusion
from majors_alts_monitor.config import load_config
from majors_alts_monitor.decision import Action, Decision
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.run import Prepared, Request, prepare, signal_document
from majors_alts_monitor.types import MAJORS
from pipeline_kit import paths
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command

FACTS: Final = ("fact_price", "fact_marketcap", "fact_volume", "fact_funding", "fact_open_interest")


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.explain", description=__doc__)
    parser.add_argument("--asof", required=True, help="day of the decision, YYYY-MM-DD")
    parser.add_argument("--asset", help="one asset; default: every asset of the book")
    parser.add_argument("--data-lake", type=Path, help="lake to read; default: ours")
    parser.add_argument("--config", type=Path, help="YAML; default: the shipped config.yaml")
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
    bronze = paths.bronze_dir() if request.lake.resolve() == paths.lake_dir() else None
    sys.stdout.write("\n".join(explain(prepare(request), flags.asset, bronze)) + "\n")


def explain(prepared: Prepared, asset: str | None, bronze: Path | None) -> list[str]:
    """Return the explanation of the request's last day, line by line.

    Parameters
    ----------
    prepared : Prepared
        Its strategy ends with the day.
    asset : str, optional
        One asset; default all that have a weight.
    bronze : Path, optional
        The archive of vendor answers; None for a lake that is not ours.

    Raises
    ------
    ConfigError
        If the asset was never eligible, so nothing was ever asked of it.
    """
    document = signal_document(prepared)
    assets = [asset] if asset else sorted(document["target_weights"])
    unknown = [name for name in assets if name not in prepared.strategy.market.assets]
    if unknown:
        raise ConfigError(f"--asset {unknown[0]}: never eligible in this lake up to the day")
    lines = [f"{document['asof']}: {document['action']} {document['action_reason']}".rstrip()]
    lines += [f"  {reason}" for reason in document["reasons"]]
    for name in assets:
        lines += ["", *_asset(prepared, name, document, bronze)]
    return lines


def last_decided(decisions: Sequence[Decision]) -> Decision:
    """Return the newest decision that was not hold; the first day's if there is none."""
    return next((d for d in reversed(decisions) if d.action is not Action.HOLD), decisions[0])


def _asset(
    prepared: Prepared, name: str, document: dict[str, Any], bronze: Path | None
) -> list[str]:
    weight = document["target_weights"].get(name, 0.0)
    decided = last_decided(prepared.strategy.walk.decisions)
    day = prepared.strategy.market.dates[decided.row]
    lines = [f"{name}: weight {weight:+.6f} of NAV"]
    if document["action"] == Action.HOLD.value:
        lines.append(f"  held: the book drifts since the {decided.action} of {day:%Y-%m-%d}")
    lines += _scale(decided) + _hedge(prepared, name, decided)
    lines += _universe(prepared, name)
    for fact in _lake_rows(prepared, name):
        lines.append(f"  {fact['text']}")
        if bronze is not None:
            lines += [f"    {answer}" for answer in answers(bronze, name, fact)]
    return lines


def _scale(decided: Decision) -> list[str]:
    return [
        f"  scale {decided.position_scale:.6f} = regime {decided.regime_scale:.6f} x volatility "
        f"{decided.volatility_scale:.6f}, cut where a cap or the gate asks for it"
    ]


def _hedge(prepared: Prepared, name: str, decided: Decision) -> list[str]:
    """Return where the unscaled weight comes from: the hedge of a major, the share of an ALT."""
    strategy, row = prepared.strategy, decided.row
    books, column = strategy.books, int(strategy.market.assets.get_indexer(pd.Index([name]))[0])
    if not books.has_book[row]:
        return [f"  no book: {books.no_book_reason(row)}"]
    unscaled = float(books.weights[row, column])
    lines = [f"  before scaling {unscaled:+.6f}"]
    if name in MAJORS:
        side = MAJORS.index(name)
        alts = np.flatnonzero((books.weights[row] != 0) & strategy.market.is_alt)
        parts = books.weights[row, alts] * books.betas[row, alts, side]
        limits = ", ".join(books.limits(row)) or "none"
        lines.append(
            f"  hedge: ALT exposure to {name} {math.fsum(parts):+.6f} over {alts.size} ALTs, "
            f"left over {books.residual[row, side]:+.6f}, limits that bind: {limits}"
        )
        largest = alts[np.argsort(-np.abs(parts), kind="stable")][:5]
        return lines + [
            f"    {strategy.market.assets[int(i)]}: {books.weights[row, i]:+.6f} x beta "
            f"{books.betas[row, i, side]:.4f}"
            for i in largest
        ]
    betas = books.betas[row, column]
    source = "the prior, for want of history" if books.is_prior[row, column] else "estimated"
    lines.append(f"  betas: BTC {betas[0]:.4f}, ETH {betas[1]:.4f} ({source})")
    code = Exclusion(int(books.exclusion[row, column]))
    place = f"rank {books.rank[row, column]} by 7-day median volume"
    is_member = code is Exclusion.MEMBER
    lines.append(f"  basket: {f'member, {place}' if is_member else f'out, {code.reason}'}")
    lines.append(f"  volatility {books.volatility[row, column]:.4f} a year sets its share")
    return lines


def _universe(prepared: Prepared, name: str) -> list[str]:
    """Return the universe's verdict and the facts of the day as known for it."""
    asof = prepared.request.end
    with closing(duckdb.connect(str(prepared.warehouse), read_only=True)) as con:
        verdict = con.execute(
            "select is_eligible, exclusion_reason from marts.fct_universe_daily "
            "where asset_id = $1 and date = $2",
            [name, asof],
        ).fetchone()
        facts = con.execute(
            "select close_usd, return_1d, market_cap_usd, volume_median_7d_usd, "
            "open_interest_usd, funding_rate_8h, funding_rate_1d from marts.fct_asset_daily "
            "where asset_id = $1 and date = $2",
            [name, asof],
        )
        columns = [column[0] for column in facts.description or []]
        values = facts.fetchone()
    if verdict is None or values is None:
        return [f"  universe: no row of {name} on {asof}"]
    said = "eligible" if verdict[0] else f"not eligible, {verdict[1]}"
    shown = ", ".join(f"{c} {v!r}" for c, v in zip(columns, values, strict=True))
    return [f"  universe: {said}", f"  facts: {shown}"]


def _lake_rows(prepared: Prepared, name: str) -> Iterator[dict[str, Any]]:
    """Yield the lake's versions of the day that the day's row could read."""
    query = """
        select date, columns(c -> c in (
            'close', 'marketcap', 'volume', 'funding_rate', 'open_interest_usd')) as value,
            source, known_at, known_basis
        from warehouse.lake.{table}
        where asset_id = $1 and date = $2
        order by known_at, value
    """
    with closing(duckdb.connect(":memory:")) as con:
        con.execute(f"attach '{prepared.warehouse}' as warehouse (read_only)")
        for table in FACTS:
            rows = con.execute(query.format(table=table), [name, prepared.request.end]).fetchall()
            for day, value, source, known_at, basis in rows:
                known = f"known {known_at} ({basis})" if known_at else "known time assumed"
                text = f"lake: {table} {day} = {value!r}, source {source or 'unknown'}, {known}"
                yield {"text": text, "day": day, "source": source, "known_at": known_at}


def answers(bronze: Path, asset: str, fact: dict[str, Any]) -> list[str]:
    """Return the vendor answers a lake row can come from: its vendor's, about it, fetched by then.

    The newest fetch that is not later than the row's knowledge; endpoint, time and SHA-256.
    """
    vendor, known_at = str(fact["source"] or "").split("_")[0], fact["known_at"]
    if not vendor or known_at is None:
        return []
    found = []
    for folder in _folders(bronze, vendor, known_at.date()):
        for file in sorted(folder.glob("*.jsonl.gz")):
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


def _folders(bronze: Path, vendor: str, day: date) -> list[Path]:
    return [p for p in sorted((bronze / vendor).glob("*")) if p.name == str(day)]


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
