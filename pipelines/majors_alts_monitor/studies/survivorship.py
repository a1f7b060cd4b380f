"""What "today's list" would have claimed: ``python -m majors_alts_monitor.studies.survivorship``.

Flow: ``universe of the last day -> exclude everyone else -> the same features and backtest``. The
member ``todays_list`` knows on every past day who would be eligible at the end of the range, as
every study on a list of today's coins does. The difference to ``point_in_time`` is the bias.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.data_io import check_range, open_lake, open_warehouse, read_universe
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.run import Request
from majors_alts_monitor.studies.study import ask, figures_table, publish, run_members
from majors_alts_monitor.sweep import Member
from majors_alts_monitor.types import MAJORS
from pipeline_kit.cli import run_command

PIT: Final = "point_in_time"
TODAY: Final = "todays_list"


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    asked = ask(argv, "survivorship", __doc__)
    config = asked.request.config
    gone = not_on_todays_list(_whole_universe(asked.request))
    members = [Member(PIT, config), Member(TODAY, without_assets(config, gone))]
    outcome = run_members(asked, members)
    wide = {name: run.tables["features_wide"] for name, run in outcome.runs.items()}
    counts = {
        name: run.tables["universe"].groupby("date")["is_eligible"].sum().mean()
        for name, run in outcome.runs.items()
    }
    figures = figures_table({name: run.kpis for name, run in outcome.runs.items()})
    figures.insert(1, "mean_eligible", [counts[name] for name in figures["member"]])
    tables = {
        "survivorship": figures,
        "features": feature_differences(wide[PIT], wide[TODAY]),
        "left_out": pd.DataFrame({"asset_id": gone}),
    }
    publish(asked.place, outcome.board, outcome.verdict, tables)


def not_on_todays_list(universe: pd.DataFrame) -> list[str]:
    """Return the assets that were eligible once but are not on the last day, alphabetically.

    Examples
    --------
    >>> days = pd.DataFrame({"date": [1, 1, 2], "asset_id": ["A", "B", "A"]})
    >>> not_on_todays_list(days.assign(is_eligible=True))
    ['B']
    """
    eligible = universe[universe["is_eligible"]]
    last = universe["date"].max()
    today = set(eligible.loc[eligible["date"] == last, "asset_id"])
    return sorted(set(eligible["asset_id"]) - today - set(MAJORS))


def without_assets(config: MonitorConfig, assets: Sequence[str]) -> MonitorConfig:
    """Return the configuration that excludes ``assets`` on every day."""
    excluded = tuple(sorted({*config.universe.exclude_assets, *assets}))
    universe = config.universe.model_copy(update={"exclude_assets": excluded})
    return config.model_copy(update={"universe": universe})


def feature_differences(honest: pd.DataFrame, biased: pd.DataFrame) -> pd.DataFrame:
    """Return how far the primary columns of ``biased`` are from the honest ones.

    One row a feature group: column, n_days (both known), mean and biased_mean, mean_difference,
    mean_absolute_difference, correlation.
    """
    left, right = (frame.set_index("date") for frame in (honest, biased))
    rows = []
    for group, column in PRIMARY.items():
        pair = pd.concat([left[column], right[column]], axis=1, keys=["own", "other"]).dropna()
        gap = (pair["other"] - pair["own"]).to_numpy(dtype=np.float64)
        varies = len(pair) > 1 and bool((pair.std() > 0).all())
        rows.append(
            {
                "group": group,
                "column": column,
                "n_days": len(pair),
                "mean": pair["own"].mean(),
                "biased_mean": pair["other"].mean(),
                "mean_difference": gap.mean() if len(gap) else float("nan"),
                "mean_absolute_difference": np.abs(gap).mean() if len(gap) else float("nan"),
                "correlation": pair["own"].corr(pair["other"]) if varies else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def _whole_universe(request: Request) -> pd.DataFrame:
    lake = open_lake(request.lake)
    check_range(lake, request.start, request.end)
    built = open_warehouse(lake, request.config, request.known_at)
    return read_universe(built, lake.facts.first_day, request.end)


if __name__ == "__main__":
    sys.exit(run_command(main))
