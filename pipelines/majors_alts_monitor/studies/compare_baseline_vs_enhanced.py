"""What funding and open interest add: ``... studies.compare_baseline_vs_enhanced``.

Flow: ``two members -> run -> paired bootstrap of the difference``. Both members share dates, lake,
universe, costs and every rule; the baseline differs by the ``regime`` section of
``config_baseline.yaml`` alone. The interval resamples both with the same draws, so what moves both
alike drops out of the difference.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor import metrics
from majors_alts_monitor.config import BootstrapConfig, MonitorConfig, load_config
from majors_alts_monitor.statistics import automatic_block, bootstrap_sharpes
from majors_alts_monitor.studies.study import ask, figures_table, publish, run_members
from majors_alts_monitor.sweep import Member
from majors_alts_monitor.types import DAYS_PER_YEAR, Floats
from pipeline_kit.cli import run_command
from pipeline_kit.manifest import sha256_text

BASELINE: Final = "baseline"
ENHANCED: Final = "enhanced"
LEVEL: Final = 0.95


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    asked = ask(argv, "compare_baseline_vs_enhanced", __doc__)
    enhanced = asked.request.config
    members = [
        Member(BASELINE, baseline_of(enhanced, asked.overrides)),
        Member(ENHANCED, enhanced),
    ]
    outcome = run_members(asked, members)
    returns = outcome.returns()
    bootstrap = enhanced.evaluation.bootstrap
    seed = seed_of(bootstrap, returns.index)
    difference = sharpe_difference(
        returns[ENHANCED].to_numpy(dtype=np.float64),
        returns[BASELINE].to_numpy(dtype=np.float64),
        block=bootstrap.block_size,
        reps=bootstrap.n_boot,
        seed=seed,
    )
    figures = figures_table({name: run.kpis for name, run in outcome.runs.items()})
    tables = {"baseline_vs_enhanced": figures, "sharpe_difference": difference}
    publish(asked.place, outcome.board, outcome.verdict, tables)


def baseline_of(enhanced: MonitorConfig, overrides: Sequence[str]) -> MonitorConfig:
    """Return ``enhanced`` with the shipped baseline's regime, ``--set`` applied to both alike.

    Examples
    --------
    >>> baseline = baseline_of(load_config(), [])
    >>> baseline.regime.weights.oi_risk, baseline.universe == load_config().universe
    (0.0, True)
    """
    with resources.as_file(resources.files("majors_alts_monitor") / "config_baseline.yaml") as f:
        shipped = load_config(Path(f), overrides)
    return enhanced.model_copy(update={"regime": shipped.regime})


def seed_of(bootstrap: BootstrapConfig, days: pd.Index[Any]) -> int:
    """Return the configured seed, or one that follows from the days compared.

    Examples
    --------
    >>> given = load_config().evaluation.bootstrap.model_copy(update={"seed": 0})
    >>> seed_of(given, pd.Index(["2024-01-01"]))
    0
    """
    if bootstrap.seed is not None:
        return bootstrap.seed
    return int(sha256_text("".join(str(day) for day in days))[:8], 16)


def sharpe_difference(
    candidate: Floats, rival: Floats, *, block: float | None, reps: int, seed: int
) -> pd.DataFrame:
    """Return the difference of two annual Sharpe ratios and its paired 95 % interval, one row.

    Parameters
    ----------
    candidate, rival : array of shape (n_days,)
        Daily returns of the same days.
    block : float, optional
        Mean block of the stationary bootstrap, days; by default that of the daily difference.
    reps, seed : int
        Draws and their seed; both series are resampled with the same draws.

    Returns
    -------
    DataFrame
        sharpe_difference, ci_low, ci_high, share_above_zero (of the draws), block_days, reps;
        null where a Sharpe ratio is not defined.
    """
    gap = candidate - rival
    length = block or (automatic_block(gap) if np.ptp(gap) > 0 else 1.0)
    draws = [bootstrap_sharpes(r, block=length, reps=reps, seed=seed) for r in (candidate, rival)]
    differences = (draws[0] - draws[1]) * math.sqrt(DAYS_PER_YEAR)
    known = differences[~np.isnan(differences)]
    low, high = (
        np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if known.size else (math.nan,) * 2
    )
    return pd.DataFrame(
        {
            "sharpe_difference": [metrics.sharpe(candidate) - metrics.sharpe(rival)],
            "ci_low": [float(low)],
            "ci_high": [float(high)],
            "share_above_zero": [float(np.mean(known > 0)) if known.size else math.nan],
            "block_days": [float(length)],
            "reps": [reps],
        }
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
