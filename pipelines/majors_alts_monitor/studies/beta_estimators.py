"""Race the beta estimators: ``python -m majors_alts_monitor.studies.beta_estimators``.

Flow: ``market -> forecasts every few days -> error against the next 20 days -> one row a rival``.
Nothing here looks at profit: an estimator is accepted on its forecast error alone. The shipped one
is the simplest that no rival beats by two standard errors on a real lake (``t_behind``), with the
penalty that is best over lake and simulation.

Three errors, each the root of a mean over days:

* ``beta_rmse``: forecast against the next 20 days' joint fit, per asset and major. The fit is
  noisy, alike for every rival, so differences between rivals are small next to the level.
* ``hedge_error``: daily deviation of what the hedge misses, (forecast - realised)' x over those
  days. It counts an error in the direction in which BTC and ETH move, and is the criterion.
* ``basket_rmse``: as the first, for the equal-weight basket, where most of the noise averages out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import pandas as pd

from majors_alts_monitor.config import MonitorConfig, load_config
from majors_alts_monitor.data_io import check_range, open_lake, open_warehouse, read_market
from majors_alts_monitor.outputs import csv_text
from majors_alts_monitor.studies.drifting_market import drifting_market
from majors_alts_monitor.studies.estimator_race import race
from majors_alts_monitor.types import Market
from pipeline_kit import paths
from pipeline_kit.atomic import write_text
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser, run_command

N_SIMULATED: Final = 4
SIMULATED_DAYS: Final = 720
SIMULATED_ALTS: Final = 40

RIVALS: Final = (
    *(("ridge", alpha) for alpha in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
    ("ridge_absolute", 0.1),
    ("vasicek", 0.0),
    *(("welch", alpha) for alpha in (0.0, 0.1, 0.3, 1.0)),
    *(("ewma", alpha) for alpha in (0.0, 0.1, 0.3, 1.0)),
)
"""(estimator, ridge_alpha); ``ridge_absolute`` with 0.1 is the previous system's."""


def race_simulated(config: MonitorConfig, rivals: Sequence[tuple[str, float]]) -> pd.DataFrame:
    """Return the mean of ``race`` over simulated markets with drifting betas, seeds 0, 1, ..."""
    tables = []
    for seed in range(N_SIMULATED):
        market, _ = drifting_market(SIMULATED_DAYS, SIMULATED_ALTS, seed=seed)
        tables.append(race(market, config, rivals).set_index(["estimator", "ridge_alpha"]))
    mean = sum(tables[1:], tables[0]) / len(tables)
    return mean.reset_index().sort_values("hedge_error", kind="stable", ignore_index=True)


def main(argv: Sequence[str]) -> None:
    """Print both races and write them as one CSV."""
    parser = Parser(prog="python -m majors_alts_monitor.studies.beta_estimators")
    parser.add_argument("--data-lake", type=Path, help="lake to race on; default: ours")
    parser.add_argument("--simulated", action="store_true", help="race on simulated markets only")
    parser.add_argument("--start", help="first day of a forecast on the lake; default: its first")
    parser.add_argument("--end", help="last day used, YYYY-MM-DD; default: the lake's last")
    parser.add_argument("--config", type=Path, help="YAML; default: the shipped config.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="CSV to write; the page goes beside it")
    flags = parser.parse_args(argv)
    config = load_config(flags.config, flags.set)
    tables = {"simulated": race_simulated(config, RIVALS)}
    if not flags.simulated:
        start = parse_day(flags.start, "--start") if flags.start else None
        tables["lake"] = race(_lake_market(flags, config), config, RIVALS, start)
    for panel, table in tables.items():
        sys.stdout.write(f"{panel}\n{table.round(5).to_string(index=False)}\n\n")
    path = flags.out or Path(config.outputs.artifacts_dir) / "studies" / "beta_estimators.csv"
    rows = pd.concat([table.assign(panel=panel) for panel, table in tables.items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, csv_text(rows))
    write_text(path.with_suffix(".html"), page(tables))
    sys.stdout.write(f"written: {path} and {path.with_suffix('.html').name}\n")


def page(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the races as one HTML page that loads nothing."""
    parts = [
        f"<h2>{escape(panel)}</h2>{table.round(5).to_html(index=False, border=0, na_rep='-')}"
        for panel, table in tables.items()
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>beta_estimators</title></head><body><h1>beta_estimators</h1>"
        f"<p>Forecast errors, smallest hedge_error first; nothing here looks at profit.</p>"
        f"{''.join(parts)}</body></html>\n"
    )


def _lake_market(flags: argparse.Namespace, config: MonitorConfig) -> Market:
    lake = open_lake(flags.data_lake or paths.lake_dir())
    end = parse_day(flags.end, "--end") if flags.end else lake.facts.last_day
    check_range(lake, lake.facts.first_day, end)
    return read_market(open_warehouse(lake, config, None), end)


if __name__ == "__main__":
    sys.exit(run_command(main))
