"""Many backtests on one range and one lake, compared: what sweeps and studies are.

Flow: ``plan_sweep -> run_member, one a task -> count_members -> collect``. A member is an ordinary
run folder, so everything that reads a run reads a member; a member that is already there is not
run again. The comparison puts the deflated figures first, because the best of many is not what it
looks like.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from majors_alts_monitor import outputs
from majors_alts_monitor.config import MonitorConfig, effective_values, load_config
from majors_alts_monitor.data_io import open_lake
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.kpis import trial_figures
from majors_alts_monitor.ledger import record
from majors_alts_monitor.metrics import sharpe_per_period
from majors_alts_monitor.report import comparison_page
from majors_alts_monitor.report.dashboard import render_dashboard
from majors_alts_monitor.report.vintage_gap import sweep_sentence
from majors_alts_monitor.run import Request, run_backtest, run_id_of
from majors_alts_monitor.statistics import automatic_block, estimate_overfitting, superior_ability
from pipeline_kit.manifest import canonical_json, readable_json, sha256_text

LEADERBOARD: Final = "leaderboard.csv"
OVERFITTING: Final = "overfitting.json"
PAGE: Final = "report.html"
ID_LENGTH: Final = 16
MAX_NAME: Final = 120
SPA_REPS: Final = 1000
MIN_DAYS_FOR_PBO: Final = 32
KPI_COLUMNS: Final = (
    "deflated_sharpe",
    "psr",
    "sharpe",
    "sharpe_ci_low",
    "sharpe_ci_high",
    "cagr",
    "volatility",
    "max_drawdown",
    "calmar",
    "hit_rate",
    "exposure_share",
    "avg_turnover",
    "cost_drag",
    "funding_drag",
    "total_return",
    "trials",
)


@dataclass(frozen=True, slots=True)
class Member:
    """One backtest of a sweep."""

    name: str
    """What sets it apart, and its folder below ``members/``."""
    config: MonitorConfig


@dataclass(frozen=True, slots=True)
class Sweep:
    """Members that share range, lake and knowledge time."""

    sweep_id: str
    start: date
    end: date
    lake: Path
    known_at: datetime | None
    members: tuple[Member, ...]


def plan_sweep(
    members: Sequence[Member],
    start: date,
    end: date,
    lake: Path,
    known_at: datetime | None,
    max_runs: int,
    inputs: str = "",
) -> Sweep:
    """Return a sweep whose id follows from what it runs, and on which ``inputs``.

    Raises
    ------
    ConfigError
        If there is no member, more than ``max_runs``, or two of one name.
    """
    if not members:
        raise ConfigError("sweep: no member; give at least one list of values")
    if len(members) > max_runs:
        raise ConfigError(
            f"sweep: {len(members)} members, max_runs is {max_runs}; shorten the lists"
        )
    names = [member.name for member in members]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"sweep: two members are called {repeated[0]}; give them other values")
    identity = {
        "inputs": inputs,
        "start": str(start),
        "end": str(end),
        "known_at": known_at.isoformat() if known_at else None,
        "members": {member.name: effective_values(member.config) for member in members},
    }
    sweep_id = sha256_text(canonical_json(identity))[:ID_LENGTH]
    return Sweep(sweep_id, start, end, lake, known_at, tuple(members))


def expand(
    config: Path | None, overrides: Sequence[str], lists: Mapping[str, Sequence[Any]]
) -> list[Member]:
    """Return one member for every combination of the listed values, validated.

    Raises
    ------
    ConfigError
        If a key or value is wrong, or two combinations are one configuration: ``[5, 5.0]``.

    Examples
    --------
    >>> members = expand(None, [], {"universe.basket_size": [10, 20], "execution.lag_days": [1]})
    >>> [member.name for member in members]
    ['execution.lag_days=1,universe.basket_size=10', 'execution.lag_days=1,universe.basket_size=20']
    """
    keys = sorted(lists)
    members = []
    for values in itertools.product(*(lists[key] for key in keys)):
        own = [f"{key}={canonical_json(v)}" for key, v in zip(keys, values, strict=True)]
        members.append(Member(_member_name(own), load_config(config, [*overrides, *own])))
    named: dict[str, str] = {}
    for member in members:
        first = named.setdefault(canonical_json(effective_values(member.config)), member.name)
        if first != member.name:
            raise ConfigError(f"sweep: {first} and {member.name} are one configuration; keep one")
    return members


def _member_name(settings: Sequence[str]) -> str:
    """Return a folder name: readable, one path component, short enough for any file system."""
    text = ",".join(settings).replace('"', "").replace("/", "_") or "single"
    if len(text) <= MAX_NAME:
        return text
    return f"{text[:MAX_NAME]}~{sha256_text(text)[:8]}"


def run_member(sweep: Sweep, number: int, folder: Path, *, is_counted: bool = True) -> Path:
    """Run one member into ``folder/members/NAME`` unless it is there, and return its folder.

    Members that run side by side are not counted; ``count_members`` does so once all are there.
    """
    request = member_request(sweep, number, folder)
    destination = folder / "members" / sweep.members[number].name
    if outputs.is_run_of(destination, run_id_of(request, open_lake(sweep.lake))):
        return destination
    return run_backtest(request, is_counted=is_counted)


def count_members(sweep: Sweep, folder: Path) -> None:
    """Enter the members in the trial ledger in their order, and put the count into each.

    Which of several workers was faster thus changes no byte: every member has the figures it
    would have if all had run one after the other.
    """
    for number, member in enumerate(sweep.members):
        request = member_request(sweep, number, folder)
        place = folder / "members" / member.name
        run = outputs.read_run(place)
        inputs = {name: entry["sha256"] for name, entry in run.manifest["inputs"].items()}
        returns = run.tables["bt_equity_curve"]["r_ls_net"].to_numpy(dtype=np.float64)
        trials = record(
            run.manifest["run_id"],
            command=canonical_json(request.words),
            inputs_id=sha256_text(canonical_json(inputs)),
            sharpe=sharpe_per_period(returns),
            n_days=len(returns),
        )
        kpis = {**run.kpis, **outputs.plain(trial_figures(returns, trials))}
        if kpis == run.kpis:
            continue
        # The page shows the configuration in its own order, which sorted JSON does not keep.
        shown = {**run.manifest, "config": effective_values(member.config)}
        tables = {stem: _dated(frame) for stem, frame in run.tables.items()}
        page = render_dashboard(replace(run, tables=tables, kpis=kpis, manifest=shown))
        outputs.amend_run(place, {"kpis.json": readable_json(kpis), "dashboard.html": page})


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its days as timestamps, as they were when the run was written."""
    return frame.assign(date=pd.to_datetime(frame["date"])) if "date" in frame else frame


def member_request(sweep: Sweep, number: int, folder: Path) -> Request:
    """Return the backtest that a member stands for; ``run_id_of`` gives its id beforehand."""
    member = sweep.members[number]
    return Request(
        command="run",
        start=sweep.start,
        end=sweep.end,
        config=member.config,
        lake=sweep.lake,
        out=folder / "members" / member.name,
        known_at=sweep.known_at,
    )


def collect(sweep: Sweep, folder: Path) -> pd.DataFrame:
    """Write leaderboard.csv, overfitting.json and report.html, and return the leaderboard.

    Raises
    ------
    TableContractError
        If a member was not run.
    """
    runs = {
        member.name: outputs.read_run(folder / "members" / member.name) for member in sweep.members
    }
    board = leaderboard({name: run.kpis for name, run in runs.items()})
    returns = pd.DataFrame(
        {
            name: run.tables["bt_equity_curve"].set_index("date")["r_ls_net"]
            for name, run in runs.items()
        }
    )
    (folder / LEADERBOARD).write_text(outputs.csv_text(board), "utf-8")
    verdict = overfitting(returns, sweep.sweep_id)
    verdict["vintage_gap"] = sweep_sentence(runs)
    verdict["is_synthetic"] = any(run.manifest["is_synthetic"] for run in runs.values())
    (folder / OVERFITTING).write_text(readable_json(outputs.plain(verdict)), "utf-8")
    page = comparison_page.render(
        board,
        returns,
        verdict,
        {name: run.manifest["config"] for name, run in runs.items()},
        title=f"Backtests compared, {sweep.start} to {sweep.end}",
        is_synthetic=verdict["is_synthetic"],
    )
    (folder / PAGE).write_text(page, "utf-8")
    return board


def leaderboard(kpis: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row a member, the best deflated Sharpe first, ties by name.

    Examples
    --------
    >>> board = leaderboard({"a": {"deflated_sharpe": 0.2}, "b": {"deflated_sharpe": 0.7}})
    >>> board["member"].tolist()
    ['b', 'a']
    """
    rows = [
        {"member": name, **{column: figures.get(column) for column in KPI_COLUMNS}}
        for name, figures in sorted(kpis.items())
    ]
    board = pd.DataFrame(rows)
    return board.sort_values(
        ["deflated_sharpe", "member"], ascending=[False, True], na_position="last"
    ).reset_index(drop=True)


def overfitting(returns: pd.DataFrame, sweep_id: str) -> dict[str, Any]:
    """Return PBO and SPA over the members' daily returns, shape (n_days, n_members).

    Both are null where they are not defined: one member, or too few days.
    """
    n_days, n_members = returns.shape
    verdict: dict[str, Any] = {"n_members": n_members, "n_days": n_days, "pbo": None, "spa_p": None}
    if n_members < 2 or n_days < MIN_DAYS_FOR_PBO:
        return verdict
    panel = returns.to_numpy(dtype=np.float64)
    estimate = estimate_overfitting(panel)
    mean = panel.mean(axis=1)
    verdict |= {
        "pbo": estimate.pbo,
        "loss_probability": estimate.loss_probability,
        "logits": estimate.logits.tolist(),
    }
    if np.ptp(panel, axis=0).max() > 0:
        spa = superior_ability(
            np.zeros(n_days),
            panel,
            block=automatic_block(mean),
            reps=SPA_REPS,
            seed=int(sweep_id[:8], 16),
        )
        verdict["spa_p"] = spa["consistent"]
    return verdict
