"""How many ALTs to short: ``python -m majors_alts_monitor.studies.basket_sizes``.

Flow: ``one member a size -> run -> compare``. Everything but ``universe.basket_size`` is as
configured. A size below ``min_names`` would never have a book, so ``min_names`` follows it down;
the per-name cap stays, so a small basket leaves part of the leg in cash.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import pandas as pd

from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.studies.study import ask, figures_table, publish, run_members
from majors_alts_monitor.sweep import Member
from pipeline_kit.cli import run_command

SIZES: Final = (5, 10, 15, 20, 30, 50, 100)


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    asked = ask(argv, "basket_sizes", __doc__)
    outcome = run_members(asked, [sized(asked.request.config, size) for size in SIZES])
    table = figures_table({name: run.kpis for name, run in outcome.runs.items()})
    names = [_names_held(run.tables["bt_positions"]) for run in outcome.runs.values()]
    table.insert(1, "mean_names_held", names)
    publish(asked.place, outcome.board, outcome.verdict, {"basket_sizes": table})


def sized(config: MonitorConfig, size: int) -> Member:
    """Return the member whose basket holds at most ``size`` ALTs.

    Examples
    --------
    >>> from majors_alts_monitor.config import load_config
    >>> member = sized(load_config(), 3)
    >>> member.name, member.config.universe.basket_size, member.config.universe.min_names
    ('names_003', 3, 3)
    """
    smallest = min(config.universe.min_names, size)
    universe = config.universe.model_copy(update={"basket_size": size, "min_names": smallest})
    return Member(f"names_{size:03d}", config.model_copy(update={"universe": universe}))


def _names_held(positions: pd.DataFrame) -> float:
    held = positions[(positions["leg"] == "alt") & (positions["weight_open"] != 0)]
    return float(held.groupby("date").size().mean())


if __name__ == "__main__":
    sys.exit(run_command(main))
