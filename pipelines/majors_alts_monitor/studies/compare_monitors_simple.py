"""The previous monitor against this one: ``... studies.compare_monitors_simple``.

Flow: ``legacy history, current timeline -> aligned days -> agreement, forward returns, backtest``.
The previous monitor runs as its own command, as a user runs it. GREEN and YELLOWGREEN stand for
RISK_ON_MAJORS, YELLOW for BALANCED, the others for RISK_ON_ALTS; the current five states collapse
to the same three.

Driven through the same backtest in three-state mode, the legacy score (0 to 100) becomes z-score
units piece by piece: its bucket edges 30, 45, 55, 70 fall on the thresholds strong_low, low, high,
strong_high, and the outer pieces go on with the slope of 15 points a threshold step. So a bucket is
a regime and the position scales inside it. A day without a legacy score is BALANCED. The previous
monitor read the newest versions of a fixed list of today's coins: its result has both biases.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.backtest.walk import Signals, walk
from majors_alts_monitor.config import MonitorConfig, ThresholdsConfig
from majors_alts_monitor.outputs import csv_text
from majors_alts_monitor.regime.evaluation import returns_by_regime
from majors_alts_monitor.regime.long_short import long_short_return
from majors_alts_monitor.report.charts import BLUE, ORANGE, Chart, Series
from majors_alts_monitor.run import Prepared, prepare
from majors_alts_monitor.strategy import Strategy
from majors_alts_monitor.studies.study import Asked, ask, figures_table, publish, say
from majors_alts_monitor.studies.variants import Evaluated, equity_lines, evaluate, returns_of
from majors_alts_monitor.sweep import leaderboard, overfitting
from majors_alts_monitor.types import Floats, Regime
from pipeline_kit.atomic import write_text
from pipeline_kit.cli import run_command
from pipeline_kit.errors import DataProblem

HISTORY: Final = "regime_history.csv"
LEGACY: Final = "legacy"
CURRENT: Final = "current"
BUCKET_STATES: Final = {
    "GREEN": Regime.STRONG_RISK_ON_MAJORS,
    "YELLOWGREEN": Regime.WEAK_RISK_ON_MAJORS,
    "YELLOW": Regime.BALANCED,
    "ORANGE": Regime.WEAK_RISK_ON_ALTS,
    "RED": Regime.STRONG_RISK_ON_ALTS,
}
"""The five buckets as five states, in order of score."""
EDGES: Final = (30.0, 45.0, 55.0, 70.0)
LOWEST, HIGHEST = 0.0, 100.0
STEP: Final = 15.0


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    asked = ask(argv, "compare_monitors_simple", __doc__)
    base = prepare(asked.request)
    dates = base.strategy.market.dates
    legacy = legacy_history(asked, dates)
    start = pd.Timestamp(asked.request.start)
    aligned = align(legacy, base.strategy.timeline.daily).loc[start:]
    variants = [
        evaluate(base, CURRENT, base.request.config, base.strategy),
        _driven_by(legacy, base),
    ]
    kpis = {variant.name: variant.kpis for variant in variants}
    returns = returns_of(variants)
    tables = {
        "agreement": agreement(aligned),
        "forward_returns": forward_by_bucket(aligned, base),
        "backtest": figures_table(kpis),
    }
    write_text(asked.folder / "scores.csv", csv_text(aligned.rename_axis("date").reset_index()))
    charts = [_score_chart(aligned), equity_lines("equity", "Equity after all costs", returns)]
    verdict = {**overfitting(returns, base.run_id), "is_synthetic": base.lake.is_synthetic}
    publish(asked.place, leaderboard(kpis), verdict, tables, charts)


def legacy_history(asked: Asked, dates: pd.DatetimeIndex) -> pd.DataFrame:
    """Run the previous monitor over ``dates`` and return its rows, indexed by day.

    Raises
    ------
    DataProblem
        With what the monitor complained about.
    """
    path = asked.folder / HISTORY
    path.unlink(missing_ok=True)  # it only appends, and would keep rows of an earlier lake
    say(f"previous monitor: {len(dates)} days")
    flags = ["--historical", str(len(dates)), "--end", f"{dates[-1]:%Y-%m-%d}"]
    flags += ["--data-lake", str(asked.request.lake), "--history", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "legacy_monitor.regime_monitor", *flags],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DataProblem(f"previous monitor: {done.stderr.strip() or done.returncode}")
    return read_history(path).reindex(dates)


def read_history(path: Path) -> pd.DataFrame:
    """Return regime_score (NaN without inputs) and bucket ("" without) by day."""
    rows = pd.read_csv(path, keep_default_na=True)
    rows.index = pd.DatetimeIndex(rows["date_iso"], name="date")
    bucket = rows["bucket"].astype("object").where(rows["bucket"].notna(), "")
    return pd.DataFrame({"regime_score": rows["regime_score"].astype(float), "bucket": bucket})


def align(legacy: pd.DataFrame, timeline: pd.DataFrame) -> pd.DataFrame:
    """Return both monitors' score and state side by side, by day of the timeline.

    Columns legacy_score, legacy_bucket, legacy_regime, score, regime (three states); a state is
    empty where its monitor had no inputs.
    """
    own = legacy.reindex(timeline.index)
    bucket = own["bucket"].fillna("")
    is_known = ~timeline["insufficient_data"].astype(bool)
    return pd.DataFrame(
        {
            "legacy_score": own["regime_score"],
            "legacy_bucket": bucket,
            "legacy_regime": [_three(BUCKET_STATES[b]).value if b else "" for b in bucket],
            "score": timeline["score"],
            "regime": [
                _three(Regime(name)).value if known else ""
                for name, known in zip(timeline["regime"], is_known, strict=True)
            ],
        },
        index=timeline.index,
    )


def _three(regime: Regime) -> Regime:
    """Return the state of three that ``regime`` belongs to."""
    if regime.value.endswith("MAJORS"):
        return Regime.RISK_ON_MAJORS
    return Regime.RISK_ON_ALTS if regime.value.endswith("ALTS") else Regime.BALANCED


def agreement(aligned: pd.DataFrame) -> pd.DataFrame:
    """Return how often the states agree, against what independent monitors would.

    One row: n_days (both known), agreement, expected_agreement (of independent states with the
    same frequencies), kappa (the excess as a share of what was possible), opposite (one for
    majors, the other for ALTS), rank_correlation of the scores.
    """
    both = aligned[(aligned["legacy_regime"] != "") & (aligned["regime"] != "")]
    left, right = both["legacy_regime"], both["regime"]
    n_days = len(both)
    if n_days == 0:
        return pd.DataFrame({"n_days": [0]})
    same = float((left == right).mean())
    shares = [frame.value_counts(normalize=True) for frame in (left, right)]
    chance = float((shares[0] * shares[1]).sum())
    opposed = (left != right) & (left != Regime.BALANCED) & (right != Regime.BALANCED)
    ranks = both[["legacy_score", "score"]].rank()
    return pd.DataFrame(
        {
            "n_days": [n_days],
            "agreement": [same],
            "expected_agreement": [chance],
            "kappa": [(same - chance) / (1 - chance) if chance < 1 else float("nan")],
            "opposite": [float(opposed.mean())],
            "rank_correlation": [float(ranks["legacy_score"].corr(ranks["score"]))],
        }
    )


def forward_by_bucket(aligned: pd.DataFrame, base: Prepared) -> pd.DataFrame:
    """Return the forward long-short return after each bucket and each current state."""
    market, config = base.strategy.market, base.request.config
    earned = long_short_return(market).loc[aligned.index]
    horizons = config.evaluation.horizons_days
    names = {state.value: bucket for bucket, state in BUCKET_STATES.items()}
    as_states = aligned["legacy_bucket"].map(lambda b: BUCKET_STATES[b].value if b else "")
    legacy = returns_by_regime(as_states, earned, horizons)
    current = returns_by_regime(aligned["regime"], earned, horizons)
    tables = [
        legacy.assign(monitor=LEGACY, state=legacy["regime"].map(names)),
        current.assign(monitor=CURRENT, state=current["regime"]),
    ]
    joined = pd.concat(tables, ignore_index=True).drop(columns="regime")
    return joined[["monitor", "state", *joined.columns.drop(["monitor", "state"])]]


def legacy_signals(legacy: pd.DataFrame, thresholds: ThresholdsConfig) -> Signals:
    """Return the previous monitor's say on each day, as the walk reads it."""
    n_days = len(legacy)
    buckets = legacy["bucket"].fillna("")
    return Signals(
        regime=tuple(_three(BUCKET_STATES[b]) if b else Regime.BALANCED for b in buckets),
        score=z_of_score(legacy["regime_score"].to_numpy(dtype=np.float64), thresholds),
        is_gated=np.zeros(n_days, dtype=np.bool_),
        high=np.full(n_days, thresholds.high),
        strong_high=np.full(n_days, thresholds.strong_high),
    )


def z_of_score(scores: Floats, thresholds: ThresholdsConfig) -> Floats:
    """Return legacy scores in z-score units; see the module. NaN stays NaN.

    Examples
    --------
    >>> t = ThresholdsConfig(strong_low=-1.5, low=-0.5, high=0.5, strong_high=1.5)
    >>> z_of_score(np.array([0.0, 30.0, 50.0, 55.0, 62.5, 85.0]), t).round(6).tolist()
    [-3.5, -1.5, 0.0, 0.5, 1.0, 2.5]
    """
    t = thresholds
    below = t.strong_low - (t.low - t.strong_low) * (EDGES[0] - LOWEST) / STEP
    above = t.strong_high + (t.strong_high - t.high) * (HIGHEST - EDGES[-1]) / STEP
    values = [below, t.strong_low, t.low, t.high, t.strong_high, above]
    return np.asarray(np.interp(scores, [LOWEST, *EDGES, HIGHEST], values))


def _driven_by(legacy: pd.DataFrame, base: Prepared) -> Evaluated:
    config = three_states(base.request.config)
    signals = legacy_signals(legacy, config.regime.thresholds)
    strategy: Strategy = base.strategy
    path = walk(strategy.market, signals, strategy.books, config)
    driven = replace(strategy, signals=signals, walk=path)
    return evaluate(base, LEGACY, config, driven, command="legacy_score")


def three_states(config: MonitorConfig) -> MonitorConfig:
    """Return the configuration in three-state mode, its walk-forward calibration off."""
    calibration = config.regime.calibration.model_copy(update={"enabled": False})
    regime = config.regime.model_copy(update={"n_regimes": 3, "calibration": calibration})
    return config.model_copy(update={"regime": regime})


def _score_chart(aligned: pd.DataFrame) -> Chart:
    legacy = (aligned["legacy_score"] - aligned["legacy_score"].mean()) / aligned[
        "legacy_score"
    ].std()
    return Chart(
        key="scores",
        title="Both scores; positive favours majors",
        x=[f"{day:%Y-%m-%d}" for day in aligned.index],
        series=[
            Series(CURRENT, aligned["score"].tolist(), BLUE),
            Series("legacy, standardised", legacy.tolist(), ORANGE),
        ],
        y_title="z-score units",
        levels={"zero": 0.0},
        note="The legacy score is standardised over the range shown, for the eye only.",
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
