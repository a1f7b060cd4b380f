"""Backtest a range and write its run folder: ``python -m majors_alts_monitor.run``.

Flow: ``lake -> warehouse -> marts -> strategy -> tables -> folder``. This module connects the
stages; it computes nothing that ``signals`` could compute differently.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor import outputs
from majors_alts_monitor.beta_neutral.neutrality import neutrality_figures
from majors_alts_monitor.config import MonitorConfig, effective_values, load_config
from majors_alts_monitor.data_io import (
    Lake,
    check_range,
    open_warehouse,
    read_features,
    read_instruments,
    read_market,
    read_universe,
)
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.explanation import PAGE, run_page
from majors_alts_monitor.kpis import kpis, regime_metrics
from majors_alts_monitor.ledger import record
from majors_alts_monitor.metrics import sharpe_per_period
from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.recorded_lake import open_held, remember
from majors_alts_monitor.regime.walk_forward import walk_forward
from majors_alts_monitor.report.dashboard import render_dashboard
from majors_alts_monitor.report.lake_health import lake_health
from majors_alts_monitor.report.report_tables import report_tables
from majors_alts_monitor.report.vintage_gap import gap_sentence
from majors_alts_monitor.results import Reported, report
from majors_alts_monitor.signal_document import describe
from majors_alts_monitor.state import STATE_FILE, state_text
from majors_alts_monitor.statistics import Trials
from majors_alts_monitor.strategy import Strategy, run_strategy
from majors_alts_monitor.types import FIVE_STATES, MAJORS, THREE_STATES
from majors_alts_monitor.vintage import late_values, latest_warehouse, vintage_gap
from pipeline_kit import paths
from pipeline_kit.calendar import parse_day, parse_instant, readable_before
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import canonical_json, sha256_file, sha256_text, sha256_tree

RUN_ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for, every path and default resolved."""

    command: str
    start: date
    end: date
    config: MonitorConfig
    lake: Path
    out: Path | None
    known_at: datetime | None

    @property
    def words(self) -> dict[str, Any]:
        """What makes the request a different trial; no path, so a copied lake is the same run."""
        return {"name": self.command, "start": str(self.start), "end": str(self.end)}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with its lake and marts opened."""

    request: Request
    lake: Lake
    warehouse: Path
    strategy: Strategy
    run_id: str


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.run", description=__doc__)
    parser.add_argument("--start", required=True, help="first day reported, YYYY-MM-DD")
    parser.add_argument("--end", required=True, help="last day reported, YYYY-MM-DD")
    add_common_flags(parser)
    flags = parser.parse_args(argv)
    start, end = parse_day(flags.start, "--start"), parse_day(flags.end, "--end")
    if start > end:
        raise ConfigError(f"--start {start} is after --end {end}")
    folder = run_backtest(request_of(flags, "run", start, end))
    sys.stdout.write(f"run folder: {folder}\n")


def add_common_flags(parser: Parser) -> None:
    """Add the flags that ``run`` and ``signals`` share."""
    parser.add_argument("--config", type=Path, help="YAML; default: the shipped config.yaml")
    parser.add_argument("--data-lake", type=Path, help="lake to read; default: ours")
    parser.add_argument("--out", type=Path, help="the run folder itself")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one config key"
    )
    parser.add_argument("--known-at", help="read nothing learnt later than this UTC time")


def request_of(flags: Any, command: str, start: date, end: date) -> Request:
    """Return the request that parsed flags stand for.

    Raises
    ------
    ConfigError
        If a setting is wrong, or the run cannot or must not be written to ``--out``.
    """
    lake = flags.data_lake or paths.lake_dir()
    out = None if flags.out is None else flags.out.resolve()
    if out is not None:
        if out.is_relative_to(lake.resolve()):
            raise ConfigError(f"--out {flags.out}: lies in the lake, which is only read")
        outputs.check_destination(out)
    return Request(
        command=command,
        start=start,
        end=end,
        config=load_config(flags.config, flags.set),
        lake=lake,
        out=out,
        known_at=parse_instant(flags.known_at, "--known-at") if flags.known_at else None,
    )


def run_backtest(request: Request, *, is_counted: bool = True) -> Path:
    """Run the backtest and return the folder it was written to.

    One that is not counted yet says that it is the only trial; ``sweep.count_members`` mends that.
    """
    clock = time.perf_counter()
    prepared = prepare(request)
    prepared_s = time.perf_counter() - clock
    reported = _report(prepared)
    trials = record_trial(prepared, reported) if is_counted else Trials(1, 0.0)
    document = signal_document(prepared)
    clock = time.perf_counter()
    gap = vintage_table(prepared, reported)
    gap_s = time.perf_counter() - clock
    run = RunTables(
        tables=_tables(prepared, reported) | ({} if gap is None else {"vintage_gap": gap}),
        kpis=outputs.plain(_kpis(prepared, reported, trials)),
        signal=outputs.plain(document),
        manifest=manifest(prepared, {"prepare_s": prepared_s, "vintage_gap_s": gap_s}),
    )
    pages = {
        "dashboard.html": render_dashboard(run),
        PAGE: run_page(prepared, run.signal),
        STATE_FILE: state_text(prepared.strategy),
    }
    run = replace(run, pages=pages)
    _say(gap_sentence(run) or "vintage gap: none, this run reads today's history itself")
    folder = request.out or Path(request.config.outputs.reports_dir) / prepared.run_id
    outputs.write_run(folder, run)
    remember(prepared.run_id, prepared.lake)
    return folder


def prepare(request: Request) -> Prepared:
    """Open the lake, build or find its warehouse, and run the strategy up to ``request.end``."""
    lake = open_held(request.lake)
    check_range(lake, request.start, request.end)
    _say(f"lake: {lake.facts.first_day} to {lake.facts.last_day}")
    warehouse = open_warehouse(lake, request.config, request.known_at)
    _say(f"warehouse: {warehouse.name}")
    strategy = run_strategy(
        read_market(warehouse, request.end), read_features(warehouse), request.config
    )
    return Prepared(request, lake, warehouse, strategy, run_id_of(request, lake))


def run_id_of(request: Request, lake: Lake) -> str:
    """Return the id: a hash of command, config, inputs, known_at, lock and code."""
    return sha256_text(
        canonical_json(
            {
                "command": request.words,
                "config": effective_values(request.config),
                "inputs": dict(lake.facts.content_sha256),
                "known_at": request.known_at.isoformat() if request.known_at else None,
                "lock": sha256_file(paths.lock_file()),
                "code": code_version(),
            }
        )
    )[:RUN_ID_LENGTH]


def code_version() -> str:
    """Return a hash of everything of ours that a result could depend on."""
    root = paths.project_root()
    parts = [
        sha256_tree(root / "pipelines" / "majors_alts_monitor", ("*.py", "*.yaml", "*.j2")),
        sha256_tree(root / "pipelines" / "pipeline_kit", ("*.py",)),
        sha256_tree(root / "dbt_project", ("*.sql", "*.yml", "*.csv")),
    ]
    return sha256_text("".join(parts))


def signal_document(prepared: Prepared) -> dict[str, Any]:
    """Return ``signals_today.json`` of the request's last day."""
    request, strategy = prepared.request, prepared.strategy
    limit = readable_before(request.end)
    known_at = min(request.known_at, limit) if request.known_at else limit
    document = describe(
        strategy.market,
        strategy.timeline,
        strategy.features,
        strategy.books,
        strategy.walk,
        request.config,
        read_instruments(prepared.lake),
    )
    return {**document, "known_at": known_at.isoformat(), "run_id": prepared.run_id}


def manifest(prepared: Prepared, durations: dict[str, float]) -> dict[str, Any]:
    """Return ``manifest.json`` but for the list of outputs."""
    request, facts = prepared.request, prepared.lake.facts
    config = effective_values(request.config)
    return {
        "run_id": prepared.run_id,
        "command": request.words,
        "config": config,
        "config_sha256": sha256_text(canonical_json(config)),
        "code_version": code_version(),
        "lock_sha256": sha256_file(paths.lock_file()),
        "inputs": {
            name: {"rows": facts.row_counts[name], "sha256": sha256}
            for name, sha256 in sorted(facts.content_sha256.items())
        },
        "first_day": str(facts.first_day),
        "last_day": str(facts.last_day),
        "known_at": request.known_at.isoformat() if request.known_at else None,
        "share_assumed": facts.share_assumed,
        "is_synthetic": prepared.lake.is_synthetic,
        "seeds": seeds(request.config, prepared.run_id),
        "durations": {name: round(value, 3) for name, value in durations.items()},
    }


def seeds(config: MonitorConfig, run_id: str) -> dict[str, int]:
    """Return every seed of the run; the bootstrap's comes from the run id unless configured."""
    configured = config.evaluation.bootstrap.seed
    return {
        "bootstrap": int(run_id[:8], 16) if configured is None else configured,
        "calibration": config.regime.calibration.seed,
        "unsupervised": config.regime.unsupervised.seed,
    }


def record_trial(prepared: Prepared, reported: Reported) -> Trials:
    """Write the run to the trial ledger and return the trials on the same inputs."""
    inputs = sha256_text(canonical_json(dict(prepared.lake.facts.content_sha256)))
    return record(
        prepared.run_id,
        command=canonical_json(prepared.request.words),
        inputs_id=inputs,
        sharpe=sharpe_per_period(reported.daily["r_ls_net"]),
        n_days=len(reported.daily),
    )


def _report(prepared: Prepared) -> Reported:
    strategy = prepared.strategy
    first = int(strategy.market.dates.get_indexer(pd.DatetimeIndex([prepared.request.start]))[0])
    windows = window_numbers(strategy, prepared.request.config)
    return report(
        strategy.walk, strategy.signals, strategy.market, prepared.request.config, first, windows
    )


def window_numbers(strategy: Strategy, config: MonitorConfig) -> npt.NDArray[np.float64]:
    """Return the number of the calibration window in force on each day; NaN before the first.

    Without calibration every day is window 0.
    """
    n_days = len(strategy.market.dates)
    calibration = config.regime.calibration
    if not calibration.enabled:
        return np.zeros(n_days)
    valid = strategy.features["valid"].fillna(value=False).to_numpy(dtype=np.bool_)
    numbers = np.full(n_days, np.nan)
    for window in walk_forward(
        valid, calibration.lookback_window_days, calibration.test_window_days
    ):
        numbers[window.apply_from : window.apply_to] = window.number
    return numbers


def _kpis(prepared: Prepared, reported: Reported, trials: Trials) -> dict[str, Any]:
    config, market = prepared.request.config, prepared.strategy.market
    returns = pd.DataFrame(
        market.return_1d[:, list(market.major_columns)], index=market.dates, columns=list(MAJORS)
    )
    figures = kpis(
        reported.daily,
        returns.loc[pd.Timestamp(prepared.request.start) :],
        trials,
        config.evaluation.bootstrap,
        seed=seeds(config, prepared.run_id)["bootstrap"],
    )
    net, books = reported.daily["r_ls_net"], prepared.strategy.books
    return {**figures, **neutrality_figures(net, market, books)}


def _tables(prepared: Prepared, reported: Reported) -> dict[str, pd.DataFrame]:
    request, strategy = prepared.request, prepared.strategy
    start = pd.Timestamp(request.start)
    timeline = strategy.timeline.daily.loc[start:]
    features = strategy.features.loc[start:]
    optional = {
        "calibration": strategy.timeline.calibration,
        "regime_probabilities": strategy.timeline.probabilities,
    }
    tables = {name: table for name, table in optional.items() if table is not None}
    if "regime_probabilities" in tables:
        dated = tables["regime_probabilities"].loc[start:]
        tables["regime_probabilities"] = dated.rename_axis("date").reset_index()
    seed = seeds(request.config, prepared.run_id)["bootstrap"]
    tables |= report_tables(strategy, reported.daily, request.config, seed)
    return tables | {
        "data_health": lake_health(prepared.lake.tables, request.end, request.known_at),
        "regime_timeline": timeline.rename_axis("date").reset_index(),
        "features_wide": features.rename_axis("date").reset_index(),
        "universe": read_universe(prepared.warehouse, request.start, request.end),
        "bt_equity_curve": reported.equity,
        "bt_daily_pnl": reported.daily,
        "bt_decisions": reported.decisions,
        "bt_positions": reported.positions,
        "regime_metrics": regime_metrics(
            reported.daily["r_ls_net"],
            reported.daily["regime"],
            THREE_STATES if request.config.regime.n_regimes == 3 else FIVE_STATES,
        ),
    }


def vintage_table(prepared: Prepared, reported: Reported) -> pd.DataFrame | None:
    """Return the table of the gap; null for a run that reads today's history itself."""
    if prepared.request.config.features.vintage == "latest":
        return None
    net = reported.daily["r_ls_net"]
    late = late_values(prepared.warehouse, prepared.request.end)
    if not late:
        return vintage_gap(net, net, late)
    claimed = _report(replace(prepared, strategy=on_revised_history(prepared)))
    return vintage_gap(net, claimed.daily["r_ls_net"], late)


def on_revised_history(prepared: Prepared) -> Strategy:
    """Return what the strategy would have done had every row read the newest version."""
    warehouse = latest_warehouse(prepared.warehouse, prepared.lake.tables)
    request = prepared.request
    return run_strategy(
        read_market(warehouse, request.end), read_features(warehouse), request.config
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
