"""What a portfolio manager asks before believing it: ``... studies.realism``.

Flow: ``one market read -> parts of variants -> robustness.csv, a chart a part, a page``. Parts:

* ``lag``: 0 (a diagnostic, which nobody could trade), 1, 2, 3 days to execution.
* ``costs``: fees and slippage times 0, 0.5, 1, 2, 3.
* ``capacity``: accounts of 100 thousand to 1 billion USD under the square-root impact law with
  coefficient 1, and days to exit each name at 10 % of its volume. ``capped``: the same decisions,
  traded at no more than 5, 10 or 20 % of each name's volume a day, the rest on the next days;
  execution of a decided book is not a choice of strategy, so these make no trial.
* ``stress``: the trades as made, on the days the shorts gained most: shorts closed by the exchange
  at the close while majors stay, funding 20 times against the shorts for three days, stops filled
  10 % higher, and all of it. Nobody chooses a stress, so these make no trial.
* ``rules``: regime scaling off, and the ablation of the risk rules.
* ``funding``: what was paid against the shortcut of the day's last settlement times three.
* ``vintage``: ``latest`` is what a pipeline that reads revised history would have claimed.
* ``benchmarks``: BTC and ETH half each, the short basket in every regime, cash.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor import metrics
from majors_alts_monitor.backtest.capacity import (
    days_to_exit,
    replay_capped,
    volume_behind,
)
from majors_alts_monitor.backtest.retrade import (
    Trades,
    gapped,
    replay,
    trades_of,
    with_funding_times,
    without_shorts,
    worst_squeezes,
)
from majors_alts_monitor.backtest.walk import average_daily_volume, cost_terms, market_tape, walk
from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.report.charts import PALETTE, Chart, Series
from majors_alts_monitor.report.formatting import variant_words
from majors_alts_monitor.report.robustness import ACCOUNTS_USD, COST_FACTORS, LAGS, dearer
from majors_alts_monitor.run import Prepared, on_revised_history, prepare
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.studies.funding_shortcut import last_rate_times_three
from majors_alts_monitor.studies.risk_management import risk_members
from majors_alts_monitor.studies.study import FIGURES, ask, publish, say
from majors_alts_monitor.studies.variants import (
    Evaluated,
    equity_lines,
    evaluate,
    returns_of,
    try_config,
)
from majors_alts_monitor.sweep import leaderboard, overfitting
from majors_alts_monitor.types import PARTICIPATION, Floats, Market
from pipeline_kit.cli import run_command

N_STRESS_DAYS: Final = 3
SPIKE_DAYS: Final = 3
SPIKE: Final = 20.0
GAP: Final = 0.10
CAPPED: Final = "capped"
PARTICIPATIONS: Final = (PARTICIPATION / 2, PARTICIPATION, PARTICIPATION * 2)
STOPS: Final = ("stop_loss", "trailing_stop")
BENCHMARK_EVERY_DAYS: Final = 7


@dataclass(frozen=True)
class Part:
    """One question: its rows of robustness.csv, and the returns its chart shows."""

    name: str
    title: str
    table: pd.DataFrame
    returns: pd.DataFrame
    kpis: Mapping[str, Mapping[str, Any]]
    """Of the variants that are trials."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    asked = ask(argv, "realism", __doc__)
    base = prepare(asked.request)
    shipped = evaluate(base, "as_configured", base.request.config, base.strategy)
    parts = []
    for make in PARTS:
        parts.append(make(base))
        say(f"{parts[-1].name}: {len(parts[-1].table)} rows")
    kpis = {f"{p.name}/{name}": figures for p in parts for name, figures in p.kpis.items()}
    kpis = {shipped.name: shipped.kpis, **kpis}
    trials = pd.concat(
        [p.returns[list(p.kpis)].add_prefix(f"{p.name}/") for p in parts if p.kpis], axis=1
    )
    tables = {
        "robustness": pd.concat([p.table.assign(part=p.name) for p in parts], ignore_index=True),
        "days_to_exit": exit_table(shipped),
    }
    charts: list[Chart] = [
        capacity_curve(p) if p.name == CAPPED else equity_lines(p.name, p.title, p.returns)
        for p in parts
    ]
    verdict = {**overfitting(trials, base.run_id), "is_synthetic": base.lake.is_synthetic}
    publish(asked.place, leaderboard(kpis), verdict, tables, charts)


def lag_part(base: Prepared) -> Part:
    """Return the execution-lag ladder."""
    config = base.request.config
    return _part(
        "lag",
        "Days from decision to execution; 0 is a diagnostic",
        [
            try_config(base, f"lag_{lag}" + (" diagnostic" if lag == 0 else ""), lagged)
            for lag in LAGS
            for lagged in [_with(config, "execution", lag_days=lag)]
        ],
    )


def cost_part(base: Prepared) -> Part:
    """Return the cost tiers; ``x0`` pays funding and nothing else."""
    config = base.request.config
    return _part(
        "costs",
        "Fees and slippage, times",
        [try_config(base, f"x{factor:g}", dearer(config, factor)) for factor in COST_FACTORS],
    )


def capacity_part(base: Prepared) -> Part:
    """Return the capacity curve, with the days the slowest name takes to leave."""
    config = _with(base.request.config, "costs", impact_coefficient=1.0)
    variants = []
    slowest = []
    for account in ACCOUNTS_USD:
        sized = _with(config, "execution", account_usd=account)
        variants.append(try_config(base, f"{account:.0e} USD", sized))
        exits = _exits(variants[-1], account)
        slowest.append(exits["max_days_to_exit"].max() if len(exits) else float("nan"))
    part = _part("capacity", "Account size under square-root impact", variants)
    return replace(part, table=part.table.assign(slowest_days_to_exit=slowest))


def capped_part(base: Prepared) -> Part:
    """Return the capacity curve when a day's trade is held to a share of the name's volume."""
    strategy, first = base.strategy, _first_row(base)
    impacted = _with(base.request.config, "costs", impact_coefficient=1.0)
    tape = market_tape(strategy.market, impacted)
    trades = trades_of(strategy, impacted.execution.lag_days)
    net, rows = {}, []
    for account in ACCOUNTS_USD:
        terms = cost_terms(_with(impacted, "execution", account_usd=account))
        free, plan = replay(tape, terms, trades)
        net[f"{account:.0e} USD, no cap"] = free
        rows.append({"days_to_fill": 1, "largest_undone": 0.0, "largest_net_off_plan": 0.0})
        for share in PARTICIPATIONS:
            worked = replay_capped(tape, terms, trades, share)
            off_plan = np.abs(worked.net_exposure - np.sum(plan, axis=1))
            net[f"{account:.0e} USD, {share:.0%} of volume"] = worked.returns
            rows.append(
                {
                    "days_to_fill": worked.days_to_fill,
                    "largest_undone": worked.undone[first:].max(),
                    "largest_net_off_plan": off_plan[first:].max(),
                }
            )
    returns = pd.DataFrame(net, index=strategy.market.dates).iloc[first:]
    table = pd.concat([plain_figures(returns), pd.DataFrame(rows)], axis=1)
    return Part(CAPPED, "Sharpe by account size, trades held to the volume", table, returns, {})


def capacity_curve(part: Part) -> Chart:
    """Return the Sharpe ratio of ``capped_part`` by account size, one line a share of volume."""
    names = part.table["variant"].str.split(", ", expand=True)
    wide = part.table.assign(account=names[0], limit=names[1]).pivot_table(
        index="account", columns="limit", values="sharpe", sort=False, dropna=False
    )
    return Chart(
        key=part.name,
        title=part.title,
        x=[variant_words(str(account)) for account in wide.index],
        series=[
            Series(str(limit), wide[limit].tolist(), PALETTE[i])
            for i, limit in enumerate(wide.columns)
        ],
        y_title="Sharpe",
        levels={"": 0.0},
        note="Square-root impact with coefficient 1; what a day cannot take is traded on the next.",
        is_dated=False,
    )


def exit_table(evaluated: Evaluated) -> pd.DataFrame:
    """Return days to exit per name and account, for the book as configured."""
    tables = [_exits(evaluated, usd).assign(account_usd=usd) for usd in ACCOUNTS_USD]
    return pd.concat(tables, ignore_index=True)


def _exits(evaluated: Evaluated, account_usd: float) -> pd.DataFrame:
    market, positions = evaluated.strategy.market, evaluated.reported.positions
    adv = volume_behind(positions, average_daily_volume(market), market.dates, market.assets)
    return days_to_exit(positions, adv, account_usd)


def stress_part(base: Prepared) -> Part:
    """Return what forced exits, funding spikes and gapped stops do to the trades as made."""
    strategy, config = base.strategy, base.request.config
    first = _first_row(base)
    market, daily = strategy.market, strategy.walk.daily
    trades = trades_of(strategy, config.execution.lag_days)
    days = worst_squeezes(daily, first, N_STRESS_DAYS)
    spiked = sorted({r + i for r in days for i in range(SPIKE_DAYS) if r + i < len(daily)})
    stopped = [i for i in range(first, len(daily)) if daily["exit_reason"].iloc[i] in STOPS]
    closed = without_shorts(trades, days, market.is_alt)
    dear, jumpy = with_funding_times(market, spiked, SPIKE), gapped(market, stopped, GAP)
    cases: dict[str, tuple[Market, Trades]] = {
        "as_made": (market, trades),
        "shorts_closed": (market, closed),
        "funding_spike": (dear, trades),
        "stops_gapped": (jumpy, trades),
        "all": (with_funding_times(jumpy, spiked, SPIKE), closed),
    }
    net = {
        name: replay(market_tape(tape, config), cost_terms(config), plan)[0]
        for name, (tape, plan) in cases.items()
    }
    returns = pd.DataFrame(net, index=market.dates).iloc[first:]
    table = plain_figures(returns)
    counts = {"n_shocks": [0, len(days), len(spiked), len(stopped), len(days) + len(stopped)]}
    return Part("stress", "Stress on the trades as made", table.assign(**counts), returns, {})


def rules_part(base: Prepared) -> Part:
    """Return the ablations of regime scaling and of the risk rules."""
    config = base.request.config
    scaling = config.backtest.regime_position_scaling.model_copy(update={"enabled": False})
    unscaled = _with(config, "backtest", regime_position_scaling=scaling)
    variants = [try_config(base, "no_regime_scaling", unscaled)]
    variants += [try_config(base, m.name, m.config) for m in risk_members(config)]
    return _part("rules", "Regime scaling and risk rules", variants)


def funding_part(base: Prepared) -> Part:
    """Return the result under true funding and under the last rate of the day times three."""
    config, strategy = base.request.config, base.strategy
    rates = last_rate_times_three(base.lake, strategy.market)
    market = replace(strategy.market, funding_rate_1d=rates)
    path = walk(market, strategy.signals, strategy.books, config)
    shortcut = replace(strategy, market=market, walk=path)
    variants = [
        evaluate(base, "true", config, strategy),
        evaluate(base, "last_rate_x3", config, shortcut, command="funding_last_rate_x3"),
    ]
    return _part("funding", "True funding and the shortcut", variants)


def vintage_part(base: Prepared) -> Part:
    """Return the result on frozen and on revised history."""
    pit, latest = (
        _with(base.request.config, "features", vintage=vintage) for vintage in ("pit", "latest")
    )
    frozen = base
    if base.request.config.features.vintage == "latest":
        frozen = prepare(replace(base.request, config=pit))
    variants = [
        evaluate(frozen, "pit", pit, frozen.strategy),
        evaluate(frozen, "latest", latest, on_revised_history(frozen)),
    ]
    return _part("vintage", "Knowledge of the day and revised history", variants)


def benchmark_part(base: Prepared) -> Part:
    """Return what needs no regime: majors held, the basket always short, cash; same costs."""
    strategy, config, first = base.strategy, base.request.config, _first_row(base)
    market, lag = strategy.market, config.execution.lag_days
    tape, terms = market_tape(market, config), cost_terms(config)
    plans = {
        "long_btc_eth": half_each(market, first),
        "short_basket_ungated": always(strategy, first, lag, market.is_alt),
        "neutral_book_ungated": always(strategy, first, lag, np.ones(len(market.assets), bool)),
    }
    net = {name: replay(tape, terms, plan)[0] for name, plan in plans.items()}
    net["cash"] = np.zeros(len(market.dates))
    net["strategy"] = strategy.walk.daily["r_ls_net"].to_numpy()
    returns = pd.DataFrame(net, index=market.dates).iloc[first:]
    return Part("benchmarks", "Against what needs no regime", plain_figures(returns), returns, {})


def half_each(market: Market, first: int) -> list[Floats | None]:
    """Return the plan that buys BTC and ETH for half the NAV each and holds them."""
    targets = np.zeros(len(market.assets))
    targets[list(market.major_columns)] = 0.5
    plan: list[Floats | None] = [None] * len(market.dates)
    plan[max(first - 1, 0)] = targets
    return plan


def always(
    strategy: Strategy, first: int, lag: int, kept: np.typing.NDArray[np.bool_]
) -> list[Floats | None]:
    """Return the plan that holds the full book of ``kept`` assets in every regime.

    Traded every ``BENCHMARK_EVERY_DAYS`` days with the lag of the strategy; on a day without a
    book the old one is kept.
    """
    books = strategy.books
    plan: list[Floats | None] = [None] * len(strategy.market.dates)
    for row in range(max(first - 1, lag), len(plan), BENCHMARK_EVERY_DAYS):
        if books.has_book[row - lag]:
            plan[row] = np.where(kept, books.weights[row - lag], 0.0)
    return plan


def plain_figures(returns: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of paths that are no trials, one row a column of daily returns.

    Examples
    --------
    >>> table = plain_figures(pd.DataFrame({"cash": [0.0, 0.0], "fund": [-0.1, 0.2]}))
    >>> table["total_return"].round(3).tolist(), table["max_drawdown"].round(3).tolist()
    ([0.0, 0.08], [0.0, -0.1])
    """
    rows = [
        {
            "variant": name,
            "sharpe": metrics.sharpe(returns[name]),
            "cagr": metrics.cagr(returns[name]),
            "volatility": metrics.volatility(returns[name]),
            "max_drawdown": metrics.max_drawdown(returns[name]),
            "total_return": metrics.total_return(returns[name]),
            "worst_day": float(returns[name].min()),
        }
        for name in returns.columns
    ]
    return pd.DataFrame(rows)


def _part(name: str, title: str, variants: Sequence[Evaluated]) -> Part:
    rows = [{"variant": v.name, **{f: v.kpis.get(f) for f in FIGURES}} for v in variants]
    kpis = {variant.name: variant.kpis for variant in variants}
    return Part(name, title, pd.DataFrame(rows), returns_of(variants), kpis)


def _with(config: MonitorConfig, section: str, **values: object) -> MonitorConfig:
    own = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: own})


def _first_row(base: Prepared) -> int:
    start = pd.DatetimeIndex([pd.Timestamp(base.request.start)])
    return int(base.strategy.market.dates.get_indexer(start)[0])


PARTS: Final[tuple[Callable[[Prepared], Part], ...]] = (
    lag_part,
    cost_part,
    capacity_part,
    capped_part,
    stress_part,
    rules_part,
    funding_part,
    vintage_part,
    benchmark_part,
)


if __name__ == "__main__":
    sys.exit(run_command(main))
