"""The vintage gap: what the same backtest claims when it reads today's history.

Flow: ``warehouse -> late_values -> (latest_warehouse -> the strategy again) -> vintage_gap``. The
versions of a warehouse say when each value was learnt, so the newest can be read by every row with
no other build; where nothing was learnt late there is nothing to run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd

from majors_alts_monitor import metrics
from majors_alts_monitor.data_io import dbt_artifacts
from majors_alts_monitor.features import DAILY, OWN_MODELS
from pipeline_kit.model_replay import Model, needed_for, read_models, rebuild

FIGURES: Final = ("sharpe", "cagr", "max_drawdown")
READ_BY_THE_STRATEGY: Final = (
    DAILY,
    "fct_asset_daily",
    "fct_universe_daily",
    "fct_close_versions",
    *OWN_MODELS,
)
NEWEST: Final = """
    select * replace (
        date as read_from,
        case when known_to is not null then date end as read_to,
        known_to is null as is_read,
        known_to is null as is_on_time
    )
    from {model}
"""
"""``vintage: latest`` of ``dbt_project/macros/as_known.sql``, of versions that are there."""


@dataclass(frozen=True, slots=True)
class Late:
    """Values that the row of their own day did not read, but today's history has."""

    n_revised: int
    """The own row read an earlier version."""
    n_missed: int
    """The own row had no value yet."""

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.n_revised or self.n_missed)


def late_values(built: Path, until: date) -> Late:
    """Return how many values dated up to ``until`` were learnt at or after ``date + 2`` 00:00."""
    query = """
        select
            count(*) filter (where not is_first_version),
            count(*) filter (where is_first_version)
        from warehouse.intermediate.int_fact_versions
        where date <= $1 and known_to is null and cast(known_from as date) > date + 1
    """
    # The view names its own database, so the file is attached under the name it was built with.
    with closing(duckdb.connect(":memory:")) as con:
        con.execute(f"set TimeZone = 'UTC'; attach '{built}' as warehouse (read_only)")
        n_revised, n_missed = con.execute(query, [until]).fetchall()[0]
    return Late(n_revised, n_missed)


def latest_warehouse(built: Path, tables: Mapping[str, Sequence[Path]]) -> Path:
    """Return the marts in which every row reads the newest version, made once and kept by.

    Parameters
    ----------
    built : Path
        A warehouse of ``vintage: pit``, with dbt's artefacts beside it; only read.
    tables : mapping of table name to Parquet files
        The lake it was built from.

    Raises
    ------
    WarehouseError
        If the artefacts are gone, or a model fails.
    """
    latest = built.with_suffix(".latest.duckdb")
    if not latest.is_file():
        models = needed_for(read_models(dbt_artifacts(built)), READ_BY_THE_STRATEGY)
        changed = {model.name: NEWEST for model in models if _has_versions(model)}
        rebuild(models, tables, built, changed, latest)
    return latest


def vintage_gap(pit: pd.Series[float], latest: pd.Series[float], late: Late) -> pd.DataFrame:
    """Return the result on both histories and what lies between them.

    Parameters
    ----------
    pit, latest : Series
        Daily net returns on what was known then, and on what is known now.
    late : Late

    Returns
    -------
    DataFrame
        Rows pit, latest, difference (latest minus pit): vintage, sharpe, cagr, max_drawdown,
        n_revised, n_missed.

    Examples
    --------
    >>> gap = vintage_gap(pd.Series([-0.1, 0.2]), pd.Series([-0.05, 0.2]), Late(1, 0))
    >>> gap.set_index("vintage")["max_drawdown"].round(3).to_dict()
    {'pit': -0.1, 'latest': -0.05, 'difference': 0.05}
    """
    rows = {
        name: {figure: getattr(metrics, figure)(net) for figure in FIGURES}
        for name, net in (("pit", pit), ("latest", latest))
    }
    rows["difference"] = {name: rows["latest"][name] - rows["pit"][name] for name in FIGURES}
    table = pd.DataFrame(rows).T.rename_axis("vintage").reset_index()
    return table.assign(n_revised=late.n_revised, n_missed=late.n_missed)


def _has_versions(model: Model) -> bool:
    """Return whether the model makes the versions of a fact, rather than reads them."""
    return model.name.endswith("_versions") and any(name.startswith("stg_") for name in model.reads)
