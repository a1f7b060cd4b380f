"""The peers' side of benchmarks/engine.py; runs in the peers' own environment.

Reads the cases from an npz file, writes equity curves, key figures and seconds to another.
Usage: ``python benchmarks/peers.py CASES RESULTS``.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PEERS = ("vectorbt", "cvxportfolio", "empyrical-reloaded", "quantstats")
ROUNDS = 5
CAPITAL = 1e9
SLOW_DAYS = 250
"""cvxportfolio needs tens of milliseconds a day; its results are compared on these many."""


def seconds(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the median time of a call that has run once before."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def vectorbt_call(
    closes: pd.DataFrame, targets: np.ndarray, fee: float
) -> Callable[[], np.ndarray]:
    """Return a call that gives equity (n_variants, n_days); its frames are built beforehand.

    One group of columns shares its cash. The capital is large because vectorbt takes orders
    below an absolute size for nothing.
    """
    import vectorbt as vbt

    n_variants, _, n_assets = targets.shape
    wide = pd.concat([closes] * n_variants, axis=1, keys=range(n_variants))
    size = pd.DataFrame(np.hstack(list(targets)), index=wide.index, columns=wide.columns)
    groups = np.repeat(np.arange(n_variants), n_assets)

    def equity() -> np.ndarray:
        portfolio = vbt.Portfolio.from_orders(
            wide,
            size=size,
            size_type="targetpercent",
            fees=fee,
            group_by=groups,
            cash_sharing=True,
            init_cash=CAPITAL,
        )
        return np.atleast_2d(portfolio.value().to_numpy().T) / CAPITAL

    return equity


def cvxportfolio_equity(
    closes: pd.DataFrame, targets: np.ndarray, fee: float, funding: np.ndarray | None
) -> np.ndarray:
    """Return equity (n_days,) after each day's costs.

    cvxportfolio trades at t and earns from t to t+1, so its row t has the funding of t+1, and
    its value at t is ours before the costs of t. It does not trade the last two days.
    """
    import cvxportfolio as cvx

    returns = (closes.shift(-1) / closes - 1).iloc[:-1].assign(cash=0.0)
    weights = pd.DataFrame(targets, closes.index, closes.columns).dropna()
    weights["cash"] = 1 - weights.sum(axis="columns")
    costs: list[Any] = [cvx.TransactionCost(a=fee)]
    if funding is not None:
        paid = pd.DataFrame(funding, closes.index, closes.columns).shift(-1).iloc[:-1]
        costs.append(cvx.HoldingCost(dividends=-paid))
    with tempfile.TemporaryDirectory() as cache:
        simulator = cvx.MarketSimulator(
            returns=returns,
            costs=costs,
            cash_key="cash",
            min_history=pd.Timedelta("0d"),
            base_location=Path(cache),
        )
        start = pd.Series([0.0] * closes.shape[1] + [1.0], returns.columns)
        result = simulator.backtest(cvx.FixedWeights(weights), start_time=closes.index[0], h=start)
    traded = result.costs["TransactionCost"].reindex(result.v.index).fillna(0.0)
    return (result.v - traded).to_numpy()[:-1]


def figures(returns: pd.Series) -> dict[str, float]:
    """Return the peers' key figures of a return series, 365 days a year."""
    import empyrical
    import quantstats.stats as qs

    return {
        "empyrical cagr": empyrical.annual_return(returns, annualization=365),
        "empyrical sharpe": empyrical.sharpe_ratio(returns, annualization=365),
        "empyrical volatility": empyrical.annual_volatility(returns, annualization=365),
        "empyrical sortino": empyrical.sortino_ratio(returns, annualization=365),
        "empyrical max_drawdown": empyrical.max_drawdown(returns),
        "empyrical calmar": empyrical.calmar_ratio(returns, annualization=365),
        "quantstats sharpe": qs.sharpe(returns, periods=365),
        "quantstats volatility": qs.volatility(returns, periods=365),
        "quantstats sortino": qs.sortino(returns, periods=365),
        "quantstats total_return": qs.comp(returns),
    }


def main(cases: Path, results: Path) -> None:
    """Run every case and save what came out."""
    data = np.load(cases)
    days = pd.date_range("2021-01-01", periods=len(data["closes"]), tz="UTC")
    closes = pd.DataFrame(data["closes"], days, [f"A{i:02d}" for i in range(len(data["closes"].T))])
    daily, held, many = data["daily"], data["held"], data["many"]
    fee = float(data["fee"])

    one = vectorbt_call(closes, daily[None], fee)
    all_variants = vectorbt_call(closes, many, fee)
    first = slice(SLOW_DAYS)
    out: dict[str, Any] = {
        "vectorbt_free": vectorbt_call(closes, daily[None], 0.0)(),
        "vectorbt_cost": one(),
        "vectorbt_held": vectorbt_call(closes, held[None], fee)(),
        "vectorbt_many": all_variants(),
        "cvxportfolio_free": cvxportfolio_equity(closes[first], daily[first], 0.0, None),
        "cvxportfolio_held": cvxportfolio_equity(closes[first], held[first], fee, None),
        "cvxportfolio_funding": cvxportfolio_equity(
            closes[first], daily[first], fee, data["funding"][first]
        ),
    }
    out["seconds_vectorbt_one"] = seconds(one)
    out["seconds_vectorbt_many"] = seconds(all_variants, 3)
    start = time.perf_counter()
    out["cvxportfolio_cost"] = cvxportfolio_equity(closes, daily, fee, None)
    out["seconds_cvxportfolio_one"] = time.perf_counter() - start
    for name, value in figures(pd.Series(data["returns"], days)).items():
        out[f"figure {name}"] = value
    out["versions"] = ", ".join(f"{name} {version(name)}" for name in PEERS)
    np.savez(results, **out)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
