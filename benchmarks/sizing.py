"""Time the sizing stage against its limits; exit 1 when one is broken.

    python -m benchmarks.sizing

Basket, betas and hedge of 1,461 days with 200 candidates take under 10 s, of one day under 0.2 s.
The market is simulated; every call is warm.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.peers import seconds
from majors_alts_monitor.beta_neutral import propose_books
from majors_alts_monitor.config import load_config
from majors_alts_monitor.studies.drifting_market import drifting_market

N_DAYS, N_ALTS = 1461, 200


def make_tasks() -> dict[str, tuple[Callable[[], object], float]]:
    """Return each task and the seconds it may take."""
    # No filters, so that every candidate reaches the betas.
    config = load_config(overrides=["universe.alt_selection.enabled=false"])
    market, _ = drifting_market(N_DAYS, N_ALTS, seed=0)
    return {
        f"books of {N_DAYS:,} days x {N_ALTS} candidates": (
            lambda: propose_books(market, config),
            10.0,
        ),
        "book of one day": (
            lambda: propose_books(market, config, range(N_DAYS - 1, N_DAYS)),
            0.2,
        ),
    }


def main() -> int:
    """Print each task's time and limit; return 1 when one is broken."""
    is_broken = False
    for name, (call, limit) in make_tasks().items():
        call()
        took = seconds(call)
        is_broken |= took > limit
        verdict = "ok" if took <= limit else "TOO SLOW"
        sys.stdout.write(f"{name}: {took:.4f} s, limit {limit} s, {verdict}\n")
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
