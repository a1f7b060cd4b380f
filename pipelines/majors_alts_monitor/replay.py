"""Take yesterday's decision again: ``python -m majors_alts_monitor.replay --asof D``.

Flow: ``run folder of D -> recorded inputs -> decision`` must be bit-equal to what was published;
``today's lake, config and code -> decision`` may differ, and then the causes are named: rows that
arrived or were revised since, keys of the configuration, the code. Nothing is written but caches.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd

from majors_alts_monitor.config import (
    MonitorConfig,
    build_config,
    by_dotted_key,
    effective_values,
)
from majors_alts_monitor.daily import day_config, day_folder
from majors_alts_monitor.data_io import (
    Lake,
    open_lake,
    open_warehouse,
    read_features,
    read_instruments,
    read_market,
    warehouse_file,
)
from majors_alts_monitor.errors import ReproductionError
from majors_alts_monitor.outputs import plain, read_run
from majors_alts_monitor.recorded_lake import remembered
from majors_alts_monitor.run import code_version
from majors_alts_monitor.signal_document import describe
from majors_alts_monitor.strategy import run_strategy
from pipeline_kit import paths
from pipeline_kit.calendar import parse_day, parse_instant
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.contract import TABLES

MAX_ROWS: Final = 20
"""Arrivals named one by one; the rest is counted."""
_NOT_DECIDED: Final = frozenset({"run_id", "known_at"})
_NAMED_BY_LISTINGS: Final = frozenset({"orders", "rounding"})


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of taking a day's decision again."""

    asof: date
    broken: tuple[str, ...]
    """Fields that the recorded inputs give otherwise than published; must be empty."""
    changed: tuple[str, ...]
    """Fields that today's knowledge gives otherwise."""
    arrivals: tuple[str, ...]
    """Lake rows that the day's row reads now and the recorded run did not have."""
    dimensions: tuple[str, ...]
    """Tables without days, such as listings, that are not what they were."""
    config_keys: tuple[str, ...]
    """Keys of the configuration that have changed since."""
    is_code_changed: bool

    @property
    def causes(self) -> tuple[str, ...]:
        """What may explain a difference, most specific first."""
        named = [f"data: {len(self.arrivals)} rows since"] if self.arrivals else []
        named += [f"data: another {', '.join(self.dimensions)}"] if self.dimensions else []
        named += [f"config: {', '.join(self.config_keys)}"] if self.config_keys else []
        named += ["code: another version"] if self.is_code_changed else []
        return tuple(named)

    def raise_if_broken(self) -> None:
        """Raise a ``ReproductionError`` unless the recorded inputs gave the published decision."""
        if self.broken:
            why = "the code has changed" if self.is_code_changed else "same inputs and code"
            raise ReproductionError(
                f"replay of {self.asof}: {self.broken[0]} differs from what was published; {why}"
            )


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.replay", description=__doc__)
    parser.add_argument("--asof", required=True, help="day of the decision, YYYY-MM-DD")
    parser.add_argument("--run-dir", type=Path, help="its run folder; default: the daily one")
    parser.add_argument("--data-lake", type=Path, help="today's lake; default: ours")
    flags = parser.parse_args(argv)
    asof = parse_day(flags.asof, "--asof")
    replayed = replay_day(asof, run_dir=flags.run_dir, lake=flags.data_lake)
    sys.stdout.write(text(replayed))
    replayed.raise_if_broken()


def replay_day(asof: date, *, run_dir: Path | None = None, lake: Path | None = None) -> Replayed:
    """Return the day's decision compared with itself, from recorded inputs and from today's.

    Parameters
    ----------
    asof : date
        The day, the last of the run.
    run_dir : Path, optional
        Its run folder; default ``MAM_DATA_DIR/runs/daily/dt=ASOF/run``.
    lake : Path, optional
        Today's lake; default ours.

    Raises
    ------
    TableContractError
        If there is no such run.
    ReproductionError
        If the recorded inputs are neither kept nor those of ``lake``.
    """
    run = read_run(run_dir or day_folder(asof) / "run")
    lake = lake or paths.lake_dir()
    recorded_config = build_config(run.manifest["config"], "manifest.json")
    recorded = recorded_warehouse(run.manifest, recorded_config, lake)
    config, today = day_config(), open_lake(lake)
    current, contracts = open_warehouse(today, config, None), read_instruments(today)
    dimensions = _changed_dimensions(run.manifest, today)
    # Contracts named by another list say nothing about the decision.
    unnamed = _NAMED_BY_LISTINGS if "dim_instrument" in dimensions else frozenset()
    again = decision_document(recorded, asof, recorded_config, contracts)
    return Replayed(
        asof=asof,
        broken=_differing(run.signal, again, _NOT_DECIDED | unnamed),
        changed=_differing(run.signal, decision_document(current, asof, config, contracts)),
        arrivals=arrivals(recorded, current, asof),
        dimensions=dimensions,
        config_keys=_changed_keys(run.manifest["config"], effective_values(config)),
        is_code_changed=run.manifest["code_version"] != code_version(),
    )


def decision_document(
    built: Path, asof: date, config: MonitorConfig, instruments: pd.DataFrame | None
) -> dict[str, Any]:
    """Return ``signals_today.json`` of a warehouse, without run id and knowledge time."""
    strategy = run_strategy(read_market(built, asof), read_features(built), config)
    document = describe(
        strategy.market,
        strategy.timeline,
        strategy.features,
        strategy.books,
        strategy.walk,
        config,
        instruments,
    )
    said: dict[str, Any] = plain(document)
    return said


def recorded_warehouse(manifest: Mapping[str, Any], config: MonitorConfig, lake: Path) -> Path:
    """Return the marts of the inputs that a manifest records: cached, or built again."""
    known_at = parse_instant(manifest["known_at"], "known_at") if manifest["known_at"] else None
    content = {name: entry["sha256"] for name, entry in manifest["inputs"].items()}
    cached = warehouse_file(content, config, known_at)
    if cached.is_file():
        return cached
    for folder in (remembered(str(manifest["run_id"])), lake):
        past = open_lake(folder)
        if past.facts.content_sha256 == content:
            return open_warehouse(past, config, known_at)
    raise ReproductionError(
        f"{lake}: the inputs of the run are neither kept nor this lake's; "
        "name the lake of the run with --data-lake"
    )


def arrivals(recorded: Path, current: Path, asof: date) -> tuple[str, ...]:
    """Return the versions that rows up to ``asof`` read in ``current`` and lack in ``recorded``."""
    # The view names its own database, so each file is attached under the name it was built with.
    versions = """
        select fact, asset_id, date, settled_at, known_from, value, is_first_version
        from warehouse.intermediate.int_fact_versions where read_from <= $1
    """
    with closing(duckdb.connect(":memory:")) as con:
        con.execute(f"attach '{recorded}' as warehouse (read_only)")
        con.execute(f"create table had as {versions}", [asof])
        con.execute(f"detach warehouse; attach '{current}' as warehouse (read_only)")
        rows = con.execute(f"{versions} except from had order by all", [asof]).fetchall()
    return tuple(
        f"{fact} {asset} {settled or day}: {'first seen' if is_first else 'revised'} "
        f"{known:%Y-%m-%d %H:%M}, now {value!r}"
        for fact, asset, day, settled, known, value, is_first in rows
    )


def text(replayed: Replayed) -> str:
    """Return the comparison as a person reads it.

    Examples
    --------
    >>> rows = ("fact_price SOL ...",)
    >>> print(text(Replayed(date(2024, 1, 1), (), ("score",), rows, (), (), False)))
    2024-01-01 from recorded inputs: bit-equal
    2024-01-01 from today's knowledge: score differ
      data: 1 rows since
        fact_price SOL ...
    <BLANKLINE>
    """
    broken, changed = ", ".join(replayed.broken), ", ".join(replayed.changed)
    lines = [
        f"{replayed.asof} from recorded inputs: {f'{broken} differ' if broken else 'bit-equal'}",
        f"{replayed.asof} from today's knowledge: {f'{changed} differ' if changed else 'the same'}",
        *(f"  {cause}" for cause in replayed.causes),
        *(f"    {row}" for row in replayed.arrivals[:MAX_ROWS]),
    ]
    if len(replayed.arrivals) > MAX_ROWS:
        lines.append(f"    and {len(replayed.arrivals) - MAX_ROWS} more")
    return "\n".join(lines) + "\n"


def _changed_dimensions(manifest: Mapping[str, Any], lake: Lake) -> tuple[str, ...]:
    recorded, now = manifest["inputs"], lake.facts.content_sha256
    names = [name for name in recorded.keys() | now.keys() if not TABLES[name].is_fact]
    return tuple(sorted(n for n in names if recorded.get(n, {}).get("sha256") != now.get(n)))


def _differing(
    published: Mapping[str, Any],
    again: Mapping[str, Any],
    left_out: frozenset[str] = _NOT_DECIDED,
) -> tuple[str, ...]:
    names = sorted((published.keys() | again.keys()) - left_out)
    return tuple(name for name in names if published.get(name) != again.get(name))


def _changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    old, new = by_dotted_key(before), by_dotted_key(now)
    return tuple(sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)))


if __name__ == "__main__":
    sys.exit(run_command(main))
