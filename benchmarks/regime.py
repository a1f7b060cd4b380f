"""Time the regime stage against its limits; exit 1 when one is broken.

    python -m benchmarks.regime

Scoring and classifying 3,000 days takes under 50 ms, a calibration of 50 samples in 10 windows
under 20 s. All calls are warm: compiled and run once before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.peers import seconds
from majors_alts_monitor.config import load_config
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import classify, score, timeline
from majors_alts_monitor.regime._states import walk_paths
from majors_alts_monitor.regime.calibration import History, calibrate
from majors_alts_monitor.regime.placebo import placebo_test
from majors_alts_monitor.regime.walk_forward import walk_forward
from majors_alts_monitor.types import GROUPS

N_DAYS, N_PATHS, N_CALIBRATED = 3000, 10_000, 252 + 10 * 63
THRESHOLDS = np.array([[[-1.5, -0.5, 0.5, 1.5]]])


def make_tasks() -> dict[str, tuple[Callable[[], object], float]]:
    """Return each task and the seconds it may take."""
    config = load_config().regime
    rng = np.random.default_rng(0)
    days = pd.date_range("2018-01-01", periods=N_DAYS, name="date")
    features = pd.DataFrame(
        rng.normal(0, 1.5, (N_DAYS, 8)), days, [PRIMARY[group] for group in GROUPS]
    ).assign(valid=True)
    ones = pd.Series(1.0, index=days)
    earned = pd.Series(rng.normal(0, 0.02, N_DAYS), index=days)
    paths = rng.normal(0, 0.8, (N_PATHS, N_DAYS))
    open_gates = np.zeros(paths.shape, dtype=bool)
    past = History(
        dates=days[:N_CALIBRATED],
        signed=rng.normal(size=(N_CALIBRATED, 8)),
        long_short=earned.to_numpy()[:N_CALIBRATED],
        is_extreme=np.zeros(N_CALIBRATED, dtype=bool),
    )
    windows = walk_forward(np.ones(N_CALIBRATED, dtype=bool), 252, 63)
    is_open = np.repeat(rng.random(N_DAYS // 10) < 0.5, 10)

    def score_and_classify() -> object:
        return classify(score(features, config).score_raw, config)

    def classify_many() -> object:
        return walk_paths(
            paths, open_gates, THRESHOLDS, hysteresis_band=0.3, min_regime_days=3, n_regimes=5
        )

    def judge() -> object:
        return placebo_test(
            is_open,
            earned.to_numpy(),
            delay_days=2,
            cost_per_switch=0.001,
            n_surrogates=2000,
            seed=0,
        )

    return {
        f"score and classify {N_DAYS:,} days": (score_and_classify, 0.05),
        f"timeline of {N_DAYS:,} days": (lambda: timeline(features, ones, config, earned), 0.1),
        f"classify {N_PATHS:,} paths of {N_DAYS:,} days": (classify_many, 5.0),
        f"calibrate 50 samples x {len(windows)} windows": (
            lambda: calibrate(past, windows, config),
            20.0,
        ),
        f"2,000 surrogates and {N_DAYS:,} shifts of a gate": (judge, 5.0),
    }


def main() -> int:
    """Print each task's time and its limit; return the exit code."""
    code = 0
    for name, (task, limit) in make_tasks().items():
        took = seconds(task)
        code = code or int(took > limit)
        sys.stdout.write(f"{name:<48} {took * 1000:10.1f} ms   limit {limit * 1000:9.0f} ms\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
