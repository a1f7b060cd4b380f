"""Compare the plain hedge with one that minds costs: ``python -m ...studies.hedge_objectives``.

Flow: ``market -> books -> the path of each objective -> one row an objective``. Both rebalance
every few days in every regime and hold their weights in between. What is compared is what the
richer objective is for: turnover, funding, and the beta it gives up for them; not profit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.beta_neutral.basket import simple_returns
from majors_alts_monitor.beta_neutral.books import Books, propose_books
from majors_alts_monitor.beta_neutral.neutrality import rolling_betas
from majors_alts_monitor.beta_neutral.rich_objective import RichTerms, enrich_book
from majors_alts_monitor.config import MonitorConfig, load_config
from majors_alts_monitor.data_io import check_range, open_lake, open_warehouse, read_market
from majors_alts_monitor.errors import RangeError
from majors_alts_monitor.outputs import csv_text
from majors_alts_monitor.types import MAJORS, Floats, Market
from pipeline_kit import paths
from pipeline_kit.atomic import write_text
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command

EVERY_DAYS: Final = 5
RISK_DAYS: Final = 60
VOLUME_DAYS: Final = 30


def compare(market: Market, config: MonitorConfig, terms: RichTerms) -> pd.DataFrame:
    """Return one row per objective, plain and rich.

    Columns: turnover (mean sum of absolute trades a rebalance), residual_btc, residual_eth (mean
    absolute forecast beta left over), realised_btc, realised_eth (beta of the daily returns),
    funding_1d (mean carry received a day, fraction of NAV), n_rebalances, n_unsolved.

    Raises
    ------
    RangeError
        If fewer than two rebalance days have a book.
    """
    books = propose_books(market, config)
    days = [d for d in range(RISK_DAYS, len(market.dates) - 1, EVERY_DAYS) if books.has_book[d]]
    if len(days) < 2:
        raise RangeError(f"{len(days)} rebalance days with a book; a comparison needs two")
    rows = {}
    for name in ("plain", "rich"):
        held, targets, unsolved = np.zeros(len(market.assets)), [], 0
        for day in days:
            if name == "plain":
                held = books.weights[day]
            else:
                held, is_solved = _enriched(market, books, day, held, config, terms)
                unsolved += not is_solved
            targets.append(held)
        rows[name] = _figures(market, books, days, np.array(targets)) | {"n_unsolved": unsolved}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("objective").reset_index()


def _enriched(
    market: Market, books: Books, day: int, held: Floats, config: MonitorConfig, terms: RichTerms
) -> tuple[Floats, bool]:
    returns = simple_returns(market.closes_as_known(day, RISK_DAYS + 1).T)
    majors = returns[list(market.major_columns)]
    covariance = np.cov(majors[:, np.isfinite(majors).all(axis=0)])
    betas = np.nan_to_num(books.betas[day])
    own = np.nanvar(np.nan_to_num(returns) - betas @ np.nan_to_num(majors), axis=1)
    own[list(market.major_columns)] = 0.0
    volumes = np.nan_to_num(market.volume_usd[max(0, day - VOLUME_DAYS + 1) : day + 1])
    book = enrich_book(
        books.weights[day],
        held,
        betas=betas,
        covariance=covariance,
        own_variance=own,
        funding_rate_1d=np.nan_to_num(market.funding_rate_1d[day]),
        adv_usd=np.maximum(volumes.mean(axis=0), 1.0),
        sigma=np.nan_to_num(returns).std(axis=1),
        account_usd=config.execution.account_usd,
        universe=config.universe,
        terms=terms,
    )
    return book.weights, book.is_solved


def _figures(
    market: Market, books: Books, days: list[int], targets: Floats
) -> dict[str, float | int]:
    trades = np.abs(np.diff(targets, axis=0, prepend=0.0)).sum(axis=1)
    residual = np.abs(np.nansum(targets[:, :, None] * books.betas[days], axis=1)).mean(axis=0)
    # A decision of day d is traded at the close of d + 1 and earns from the day after.
    first, last = days[0] + 2, len(market.dates)
    position = np.searchsorted(days, np.arange(first, last) - 2, side="right") - 1
    held = targets[position]
    earned = pd.Series(
        np.nansum(held * market.return_1d[first:], axis=1), index=market.dates[first:]
    )
    simple = pd.DataFrame(market.return_1d, index=market.dates, columns=market.assets)
    majors = simple.loc[earned.index, list(MAJORS)]
    realised = rolling_betas(earned, majors, window=len(earned), step=1).iloc[0]
    funding = -np.nansum(held * market.funding_rate_1d[first:], axis=1)
    return {
        "turnover": float(trades[1:].mean()),
        "residual_btc": float(residual[0]),
        "residual_eth": float(residual[1]),
        "realised_btc": float(realised["beta_btc"]),
        "realised_eth": float(realised["beta_eth"]),
        "funding_1d": float(funding.mean()),
        "n_rebalances": len(days),
    }


def main(argv: Sequence[str]) -> None:
    """Print the comparison and write it as CSV."""
    parser = Parser(prog="python -m majors_alts_monitor.studies.hedge_objectives")
    parser.add_argument("--data-lake", type=Path, help="lake to use; default: ours")
    parser.add_argument("--end", help="last day used, YYYY-MM-DD; default: the lake's last")
    parser.add_argument("--config", type=Path, help="YAML; default: the shipped config.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--risk-aversion", type=float, default=50.0)
    parser.add_argument("--horizon-days", type=float, default=20.0)
    parser.add_argument("--impact", type=float, default=1.0, help="Y of the square-root law")
    parser.add_argument("--participation", type=float, default=0.05, help="of daily volume")
    parser.add_argument("--out", type=Path, help="CSV to write")
    flags = parser.parse_args(argv)
    config = load_config(flags.config, flags.set)
    terms = RichTerms(
        horizon_days=flags.horizon_days,
        risk_aversion=flags.risk_aversion,
        cost_bps=config.costs.fee_bps + config.costs.slippage_bps,
        impact_coefficient=flags.impact,
        participation=flags.participation,
    )
    table = compare(_lake_market(flags, config), config, terms)
    sys.stdout.write(table.round(6).T.to_string(header=False) + "\n")
    path = flags.out or Path(config.outputs.artifacts_dir) / "studies" / "hedge_objectives.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, csv_text(table))
    sys.stdout.write(f"written: {path}\n")


def _lake_market(flags: argparse.Namespace, config: MonitorConfig) -> Market:
    lake = open_lake(flags.data_lake or paths.lake_dir())
    end = parse_day(flags.end, "--end") if flags.end else lake.facts.last_day
    check_range(lake, lake.facts.first_day, end)
    return read_market(open_warehouse(lake, config, None), end)


if __name__ == "__main__":
    sys.exit(run_command(main))
