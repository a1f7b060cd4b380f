"""What the studies share: their flags, their folder, their members, their page.

Flow: ``flags -> Asked -> run_members -> Outcome -> publish``. A study is a sweep whose members are
named by hand, so each member is an ordinary run folder and an ordinary trial in the ledger.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Final

import pandas as pd

from majors_alts_monitor.data_io import open_lake
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.outputs import RunTables, csv_text, plain, read_run
from majors_alts_monitor.report.charts import Chart
from majors_alts_monitor.report.comparison_report import comparison_html
from majors_alts_monitor.report.static_charts import to_png
from majors_alts_monitor.run import Request, add_common_flags, request_of
from majors_alts_monitor.sweep import LEADERBOARD, Member, collect, overfitting, plan_sweep
from majors_alts_monitor.sweep import run_member as run_one
from pipeline_kit.atomic import write_bytes, write_text
from pipeline_kit.calendar import parse_day
from pipeline_kit.cli import Parser
from pipeline_kit.manifest import canonical_json, readable_json, sha256_text

MARK: Final = "study.json"
PAGE: Final = "index.html"
FIGURES: Final = (
    "sharpe sharpe_ci_low sharpe_ci_high psr deflated_sharpe trials cagr volatility max_drawdown "
    "calmar avg_turnover cost_drag funding_drag total_return"
).split()
_END: Final = "</body></html>\n"
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study's results go, and what its page says it is about."""

    name: str
    folder: Path
    start: str
    end: str
    """First and last day, ISO."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked of a study, every path and default resolved."""

    name: str
    request: Request
    config_file: Path | None
    overrides: tuple[str, ...]
    folder: Path
    """Everything the study writes is below it."""

    @property
    def place(self) -> Place:
        """Where the results go."""
        return Place(self.name, self.folder, str(self.request.start), str(self.request.end))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A study's members, run and compared."""

    board: pd.DataFrame
    verdict: Mapping[str, Any]
    runs: Mapping[str, RunTables]

    def returns(self) -> pd.DataFrame:
        """Return the members' daily net returns, shape (n_days, n_members)."""
        return pd.DataFrame(
            {
                name: run.tables["bt_equity_curve"].set_index("date")["r_ls_net"]
                for name, run in self.runs.items()
            }
        )


def ask(argv: Sequence[str], name: str, description: str | None) -> Asked:
    """Return the request that a study's command line stands for, its folder claimed.

    Raises
    ------
    ConfigError
        If a flag is wrong, or the folder holds anything but an earlier run of this study.
    """
    parser = Parser(prog=f"python -m majors_alts_monitor.studies.{name}", description=description)
    parser.add_argument("--start", required=True, help="first day reported, YYYY-MM-DD")
    parser.add_argument("--end", required=True, help="last day reported, YYYY-MM-DD")
    add_common_flags(parser)
    flags = parser.parse_args(argv)
    start, end = parse_day(flags.start, "--start"), parse_day(flags.end, "--end")
    if start > end:
        raise ConfigError(f"--start {start} is after --end {end}")
    wanted, flags.out = flags.out, None
    request = request_of(flags, "run", start, end)
    folder = wanted or Path(request.config.outputs.artifacts_dir) / "studies" / name
    claim(folder, name)
    return Asked(name, request, flags.config, tuple(flags.set), folder)


def claim(folder: Path, name: str) -> None:
    """Create a study's folder, or take over the one of its earlier run; members there stay.

    Raises
    ------
    ConfigError
        If the folder holds anything else.
    """
    mark = folder / MARK
    text = readable_json({"study": name})
    is_ours = mark.is_file() and mark.read_text("utf-8") == text
    if not is_ours and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--out {folder}: is not of an earlier {name}; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(mark, text)


def run_members(asked: Asked, members: Sequence[Member]) -> Outcome:
    """Run each member that is not there yet, and compare them all."""
    request = asked.request
    lake = open_lake(request.lake)
    content = dict(lake.facts.content_sha256)
    sweep = plan_sweep(
        members,
        request.start,
        request.end,
        request.lake,
        request.known_at,
        max_runs=len(members),
        inputs=sha256_text(canonical_json(content)),
    )
    for number, member in enumerate(members):
        say(f"{number + 1}/{len(members)} {member.name}")
        run_one(sweep, number, asked.folder)
    board = collect(sweep, asked.folder)
    runs = {m.name: read_run(asked.folder / "members" / m.name) for m in members}
    outcome = Outcome(board, {}, runs)
    verdict = overfitting(outcome.returns(), sweep.sweep_id)
    return replace(outcome, verdict={**verdict, "is_synthetic": lake.is_synthetic})


def publish(
    place: Place,
    board: pd.DataFrame,
    verdict: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    charts: Sequence[Chart] = (),
) -> None:
    """Print the board and ``tables``, and write each as CSV, ``charts`` as PNG, all as a page."""
    plan = {"sweep_id": place.name, "params": {"start": place.start, "end": place.end}}
    page = comparison_html(plan, board, plain(verdict))
    images = {chart.key: to_png(chart) for chart in charts}
    write_text(place.folder / LEADERBOARD, csv_text(board))
    for key, image in images.items():
        write_bytes(place.folder / f"{key}.png", image)
    for name, table in tables.items():
        write_text(place.folder / f"{name}.csv", csv_text(table))
        say(f"\n{name}\n{_readable(table).to_string(index=False)}")
    write_text(place.folder / PAGE, extended_page(page, tables, charts, images))
    say(f"\nstudy folder: {place.folder}")


def extended_page(
    page: str,
    tables: Mapping[str, pd.DataFrame],
    charts: Sequence[Chart],
    images: Mapping[str, bytes],
) -> str:
    """Return the comparison page with tables and pictures after its own table."""
    parts = [page.removesuffix(_END)]
    for chart in charts:
        data = base64.b64encode(images[chart.key]).decode("ascii")
        said = escape(chart.title)
        parts.append(
            f'<h2>{said}</h2><img alt="{said}" src="data:image/png;base64,{data}">'
            f"<p>{escape(chart.note)}</p>"
        )
    for name, table in tables.items():
        rows = _readable(table).to_html(index=False, border=0, na_rep="-", escape=True)
        parts.append(f"<h2>{escape(name.replace('_', ' '))}</h2>{rows}")
    return "\n".join(parts) + _END


def figures_table(kpis: Mapping[str, Mapping[str, Any]], name: str = "member") -> pd.DataFrame:
    """Return one row a member in the order given: the Sharpe ratio with all its caveats, and more.

    Examples
    --------
    >>> figures_table({"a": {"sharpe": 1.0}})[["member", "sharpe"]].to_numpy().tolist()
    [['a', 1.0]]
    """
    rows = [{name: key, **{f: own.get(f) for f in FIGURES}} for key, own in kpis.items()]
    numbers = dict.fromkeys(FIGURES, "float64")
    return pd.DataFrame(rows, columns=[name, *FIGURES]).astype(numbers)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its numbers cut to a few digits and its days without a time."""
    shown = table.copy()
    for name, column in table.items():
        if column.dtype.kind == "f":
            # Adding 0.0 turns -0.0 into 0.0, which prints without a sign.
            shown[name] = column.round(_DIGITS) + 0.0
        elif column.dtype.kind == "M":
            shown[name] = column.dt.strftime("%Y-%m-%d")
    return shown


def say(line: str) -> None:
    """Write one line of progress or result."""
    sys.stdout.write(f"{line}\n")
