"""Take a run apart: ``python -m majors_alts_monitor.studies.analyze_backtest_results RUN_DIR``.

Flow: ``run folder -> by regime, month, asset, trade; worst days explained``. It reads what the run
wrote and nothing else, so it makes no new trial. Costs are negative in every table, and the rows
of an attribution add up to its ``total``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.kpis import COSTS, PARTS, attribution, attribution_by_asset
from majors_alts_monitor.outputs import RunTables, read_run
from majors_alts_monitor.report.report_charts import attribution_chart, drawdown_chart, equity_chart
from majors_alts_monitor.studies.study import Place, claim, publish
from majors_alts_monitor.sweep import leaderboard, overfitting
from pipeline_kit.cli import Parser, run_command

NAME: Final = "analyze_backtest_results"
N_WORST: Final = 10
N_NAMED: Final = 3
OPEN: Final = "open"


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog=f"python -m majors_alts_monitor.studies.{NAME}", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of a finished run")
    parser.add_argument("--out", type=Path, help="folder to write; default: below the artifacts")
    flags = parser.parse_args(argv)
    run = read_run(flags.run_dir)
    run_id = str(run.manifest["run_id"])
    artifacts = Path(run.manifest["config"]["outputs"]["artifacts_dir"])
    folder = flags.out or artifacts / "studies" / NAME / run_id
    claim(folder, NAME)
    curve = run.tables["bt_equity_curve"]
    is_synthetic = run.manifest["is_synthetic"]
    publish(
        Place(f"{NAME} {run_id}", folder, str(run.kpis["start"]), str(run.kpis["end"])),
        leaderboard({run_id: run.kpis}),
        {**overfitting(curve[["r_ls_net"]], run_id), "is_synthetic": is_synthetic},
        analyses(run),
        [equity_chart(run), drawdown_chart(run), attribution_chart(run)],
    )


def analyses(run: RunTables) -> dict[str, pd.DataFrame]:
    """Return every table of the study by name, worst days first."""
    daily = run.tables["bt_daily_pnl"]
    daily = daily.assign(exit_reason=daily["exit_reason"].fillna(""))
    daily.index = pd.DatetimeIndex(daily["date"].to_numpy())
    positions = run.tables["bt_positions"]
    positions = positions.assign(date=pd.to_datetime(positions["date"]))
    months = daily["date"].dt.strftime("%Y-%m")
    return {
        "worst_days": worst_days(daily, positions),
        "trades": trades(daily),
        "by_regime": _named(attribution(daily, daily["regime"]), "regime"),
        "by_month": _named(attribution(daily, months), "month"),
        "by_asset": _named(attribution_by_asset(positions, daily), "asset_id"),
    }


def trades(daily: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each stretch of days with a book, from entry to exit.

    The day of entry is the one at whose close the book is bought, or the first day reported when
    it was carried in; its costs belong to the trade. ``days`` counts days held.

    Parameters
    ----------
    daily : DataFrame
        Columns date, total_gross, r_ls_net, regime, exit_reason, in order of date.

    Returns
    -------
    DataFrame
        entry, exit, days, net_return (compounded), worst_drawdown, regime (of the first day
        held), reason (of the exit; ``open`` on the last day reported).
    """
    held = daily["total_gross"].to_numpy() > 0
    edges = np.diff(np.concatenate([[False], held, [False]]).astype(np.int8))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    rows = []
    for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
        entry = max(first - 1, 0)
        growth = np.cumprod(1 + daily["r_ls_net"].to_numpy()[entry:end])
        peak = np.maximum.accumulate(np.maximum(growth, 1.0))
        reason = daily["exit_reason"].iloc[end - 1]
        rows.append(
            {
                "entry": daily["date"].iloc[entry],
                "exit": daily["date"].iloc[end - 1],
                "days": end - first,
                "net_return": float(growth[-1] - 1),
                "worst_drawdown": float((growth / peak - 1).min()),
                "regime": daily["regime"].iloc[first],
                "reason": OPEN if end == len(daily) and not reason else reason,
            }
        )
    columns = "entry exit days net_return worst_drawdown regime reason".split()
    return pd.DataFrame(rows, columns=columns)


def worst_days(daily: pd.DataFrame, positions: pd.DataFrame, n: int = N_WORST) -> pd.DataFrame:
    """Return the days of the largest losses with the parts and assets that made them.

    Returns
    -------
    DataFrame
        date, r_ls_net, regime, exit_reason, parts and assets: the ``N_NAMED`` most negative
        ones with their contribution in basis points, the worst first.
    """
    losing = daily[daily["r_ls_net"] < 0].sort_values(["r_ls_net", "date"], kind="stable").head(n)
    signed = daily[list(PARTS)].copy()
    signed[list(COSTS)] *= -1
    costs = positions[["fee", "slippage", "impact"]].sum(axis="columns")
    net = positions["pnl_price"] + positions["pnl_funding"] - costs
    by_asset = pd.Series(net.to_numpy(), index=positions["asset_id"])
    rows = [
        {
            "date": row["date"],
            "r_ls_net": row["r_ls_net"],
            "regime": row["regime"],
            "exit_reason": row["exit_reason"],
            "parts": _most_negative(signed.loc[row["date"]]),
            "assets": _most_negative(by_asset[(positions["date"] == row["date"]).to_numpy()]),
        }
        for row in losing.to_dict("records")
    ]
    columns = "date r_ls_net regime exit_reason parts assets".split()
    return pd.DataFrame(rows, columns=columns)


def _most_negative(values: pd.Series[float]) -> str:
    """Return the most negative values by name, in basis points.

    Examples
    --------
    >>> _most_negative(pd.Series({"pnl_alts": -0.02, "pnl_btc": 0.01, "fees": -0.0001}))
    'pnl_alts -200.0 bp, fees -1.0 bp'
    """
    worst = values[values < 0].sort_values(kind="stable").head(N_NAMED)
    return ", ".join(f"{name} {value * 1e4:.1f} bp" for name, value in worst.items())


def _named(table: pd.DataFrame, key: str) -> pd.DataFrame:
    return table.rename_axis(key).reset_index()


if __name__ == "__main__":
    sys.exit(run_command(main))
