"""Variants that share marts: one market read once, the pure strategy run for each.

Flow: ``Prepared, config -> run_strategy or walk -> Evaluated``. Each variant that someone could
choose is a trial: its run id is that of ``run`` with the same configuration, so trying it twice by
two ways counts once. Stages whose configuration is untouched are not computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from majors_alts_monitor.backtest.walk import walk
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.kpis import kpis
from majors_alts_monitor.report.charts import PALETTE, Chart, Series
from majors_alts_monitor.results import Reported, report
from majors_alts_monitor.run import Prepared, record_trial, run_id_of, seeds, window_numbers
from majors_alts_monitor.strategy import Strategy, run_strategy
from majors_alts_monitor.types import MAJORS


@dataclass(frozen=True)
class Evaluated:
    """One variant, its reported days and key figures."""

    name: str
    strategy: Strategy
    reported: Reported
    kpis: Mapping[str, Any]

    @property
    def returns(self) -> pd.Series[float]:
        """Net returns of the days reported."""
        net: pd.Series[float] = self.reported.daily["r_ls_net"]
        return net


def try_config(base: Prepared, name: str, config: MonitorConfig) -> Evaluated:
    """Return the variant with another configuration of the strategy on the same marts."""
    return evaluate(base, name, config, _strategy_of(base, config))


def evaluate(
    base: Prepared, name: str, config: MonitorConfig, strategy: Strategy, command: str = "run"
) -> Evaluated:
    """Report and judge a strategy, and record it as a trial.

    Parameters
    ----------
    base : Prepared
        Gives range, lake and warehouse.
    name : str
        Of the variant.
    config : MonitorConfig
        What the strategy was run with.
    strategy : Strategy
        From the lake's first day to the end of the range.
    command : str
        Another one than ``run`` where ``config`` alone does not tell the strategy apart.
    """
    request = replace(base.request, command=command, config=config)
    prepared = Prepared(request, base.lake, base.warehouse, strategy, run_id_of(request, base.lake))
    market = strategy.market
    start = pd.Timestamp(request.start)
    first = int(market.dates.get_indexer(pd.DatetimeIndex([start]))[0])
    windows = window_numbers(strategy, config)
    reported = report(strategy.walk, strategy.signals, market, config, first, windows)
    majors = market.return_1d[first:, list(market.major_columns)]
    figures = kpis(
        reported.daily,
        pd.DataFrame(majors, index=market.dates[first:], columns=list(MAJORS)),
        record_trial(prepared, reported),
        config.evaluation.bootstrap,
        seed=seeds(config, prepared.run_id)["bootstrap"],
    )
    return Evaluated(name, strategy, reported, figures)


def returns_of(variants: Sequence[Evaluated]) -> pd.DataFrame:
    """Return the net returns of the variants side by side."""
    return pd.DataFrame({variant.name: variant.returns for variant in variants})


def equity_lines(key: str, title: str, returns: pd.DataFrame, note: str = "") -> Chart:
    """Return the equity of each column of daily returns, all starting at 1."""
    equity = (1 + returns).cumprod()
    return Chart(
        key=key,
        title=title,
        x=[f"{day:%Y-%m-%d}" for day in pd.DatetimeIndex(returns.index)],
        series=[
            Series(str(name), equity[name].tolist(), PALETTE[i % len(PALETTE)], is_dashed=i > 7)
            for i, name in enumerate(equity.columns)
        ],
        y_title="start = 1",
        levels={"start": 1.0},
        note=note,
    )


def _strategy_of(base: Prepared, config: MonitorConfig) -> Strategy:
    old, strategy = base.request.config, base.strategy
    same = all(
        getattr(old, name) == getattr(config, name) for name in ("regime", "universe", "beta")
    )
    if not same:
        return run_strategy(strategy.market, strategy.features, config)
    path = walk(strategy.market, strategy.signals, strategy.books, config)
    return replace(strategy, walk=path)
