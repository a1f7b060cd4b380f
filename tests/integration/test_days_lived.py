"""Days lived one by one through what the tasks of ``daily_signal`` call are days of one backtest.

The bundled vendors are asked anew every night at 00:50, as the DAG does. Two worlds: a quiet one,
and one whose vendors revise their newest bars and refuse every fourth night, so that somebody
fetches again at noon; such a day may differ, and the replay must name the rows that came late.
``make nights`` lives a month in both; ``make test`` two days in the second.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from lake_ingest import daily as ingestion
from lake_ingest.fetch import fetch_days
from lake_ingest.sandbox import Settings, serve
from majors_alts_monitor import daily
from majors_alts_monitor.causality_path import resumed_leaks
from majors_alts_monitor.config import effective_values, load_config
from majors_alts_monitor.delivery import deliver_day
from majors_alts_monitor.health import report_health
from majors_alts_monitor.outputs import RunTables, read_run
from majors_alts_monitor.replay import replay_day
from majors_alts_monitor.run import Request, prepare, run_backtest
from majors_alts_monitor.state import state_text
from majors_alts_monitor.strategy import run_strategy
from pipeline_kit import paths
from tests.dags.world import SMALL, SYMBOLS

pytestmark = pytest.mark.dbt
MONTH = int(os.environ.get("DAYS") or 0)
DAYS = MONTH or 2
FIRST = date(2024, 7, 1)
HISTORY_DAYS = 170
REFUSED = 4
"""Every so many nights, from the second on, Binance refuses in the rough world."""
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Life:
    """What was published, day by day, and what one backtest over the span says in the end."""

    days: tuple[date, ...]
    late: tuple[date, ...]
    """Days whose vendors were asked again at noon."""
    lived: dict[date, RunTables]
    states: dict[date, str]
    replays: dict[date, dict[str, Any]]
    """By the day that was replayed, the night after."""
    backtest: RunTables
    request: Request


def night_after(day: date) -> datetime:
    """Return when the DAG runs for ``day``."""
    return datetime.combine(day + ONE_DAY, time(0, 50), UTC)


def live(day: date) -> None:
    """Do what the tasks of ``daily_signal`` do, in their order."""
    asof = str(day)
    ingestion.ingest_day(asof)
    daily.build_day(asof)
    daily.gate_day(asof)
    daily.replay_before(asof)
    daily.run_day(asof)
    deliver_day(asof)
    daily.headline(asof)
    report_health(asof)


@pytest.fixture(scope="module", params=["quiet", "rough"] if MONTH else ["rough"])
def life(request, tmp_path_factory) -> Life:
    home = tmp_path_factory.mktemp(request.param)
    is_rough = request.param == "rough"
    days = tuple(FIRST + k * ONE_DAY for k in range(DAYS))
    late = days[1::REFUSED] if is_rough else ()
    (home / "small.yaml").write_text(yaml.safe_dump(effective_values(load_config(None, SMALL))))
    lived, states, replays = {}, {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(
            ingestion, "fetch_days", functools.partial(fetch_days, symbols=SYMBOLS)
        )  # nothing is asked for the rest of the asset map
        for name, value in environment(home).items():
            patch.setenv(name, value)
        for name in ("MAM_SMTP_URL", "MAM_REPORT_RECIPIENTS", "MAM_ALERT_WEBHOOK"):
            patch.delenv(name, raising=False)
        patch.setenv("MAM_NOW", night_after(days[0]).isoformat())
        settings = Settings(rate=100_000, revisions=is_rough)
        with serve(
            assets=len(SYMBOLS), days=HISTORY_DAYS + 60, settings=settings, faults=refusals(late)
        ) as sandbox:
            for name, url in sandbox.base_urls.items():
                patch.setenv(name, url)
            for day in days:
                patch.setenv("MAM_NOW", night_after(day).isoformat())
                live(day)
                folder = daily.day_folder(day)
                lived[day] = read_run(folder / "run")
                states[day] = (folder / "run" / "state.json").read_text()
                replays[day - ONE_DAY] = json.loads((folder / "dq" / "replay.json").read_text())
                if day in late:
                    noon = night_after(day).replace(hour=12)
                    patch.setenv("MAM_NOW", noon.isoformat())
                    fetch_days(str(day), str(day), symbols=SYMBOLS)
        whole = Request(
            command="run",
            start=date.fromisoformat(lived[days[0]].manifest["command"]["start"]),
            end=days[-1],
            config=daily.day_config(),
            lake=paths.lake_dir(),
            out=home / "whole",
            known_at=None,
        )
        backtest = read_run(run_backtest(whole))
        yield Life(days, late, lived, states, replays, backtest, whole)


def environment(home: Path) -> dict[str, str]:
    return {
        "MAM_DATA_DIR": str(home / "data"),
        "MAM_BUCKET_URI": f"file://{home / 'bucket'}",
        "MAM_CONFIG": str(home / "small.yaml"),
        "MAM_HISTORY_DAYS": str(HISTORY_DAYS),
        "COINGLASS_API_KEY": "sandbox-standard",
        "COINGECKO_API_KEY": "sandbox",
        "COINGECKO_PLAN": "pro",
        **{f"MAM_RATE_{vendor}": "100000" for vendor in ("COINGLASS", "COINGECKO", "BINANCE")},
    }


def refusals(late: tuple[date, ...]) -> list[dict[str, Any]]:
    return [
        {
            "match": {"vendor": "binance"},
            "since": datetime.combine(day + ONE_DAY, time(0), UTC).isoformat(),
            "until": datetime.combine(day + ONE_DAY, time(6), UTC).isoformat(),
            "action": {"kind": "status", "status": 451, "body": "restricted location"},
        }
        for day in late
    ]


def rows_of(run: RunTables, table: str, day: date) -> pd.DataFrame:
    frame = run.tables[table]
    return frame[pd.to_datetime(frame["date"]).dt.date == day].reset_index(drop=True)


def differing_days(life: Life) -> list[date]:
    """Return the days on which a table of the lived run is not the backtest's, to the bit."""
    tables = ("regime_timeline", "bt_decisions", "bt_positions", "bt_daily_pnl", "features_wide")
    return [
        day
        for day in life.days
        if any(
            not rows_of(life.lived[day], name, day).equals(rows_of(life.backtest, name, day))
            for name in tables
        )
    ]


def test_a_night_is_what_the_tasks_of_the_dag_call_in_their_order():
    dag = Path(__file__).parents[2].joinpath("dags", "daily_signal.py").read_text("utf-8")
    called = re.compile(r"(\w+)\(asof\b(?!:)")

    assert called.findall(inspect.getsource(live)) == called.findall(dag)


def test_every_day_that_was_told_all_in_time_is_the_backtests_day_to_the_bit(life):
    differing = differing_days(life)

    assert set(differing) <= set(life.late)
    for day in set(life.days) - set(differing):
        decided = rows_of(life.backtest, "bt_decisions", day).dropna(subset="asset_id")
        wanted = dict(zip(decided["asset_id"], decided["target_weight"], strict=True))
        regime = rows_of(life.backtest, "regime_timeline", day).iloc[0]
        published = life.lived[day].signal
        assert published["target_weights"] == wanted
        for name in ("regime", "score", "days_in_regime", "high_vol_gate"):
            assert published[name] == regime[name], (day, name)


def test_the_state_of_every_day_is_the_backtests_and_leads_to_its_next_day(life):
    whole, config = prepare(life.request).strategy, life.request.config
    memory: dict[Any, Any] = {}
    for day in set(life.days) - set(differing_days(life)):
        row = whole.market.dates.get_loc(pd.Timestamp(day))
        cut = run_strategy(whole.market.until(row), whole.features, config, memory)
        assert life.states[day] == state_text(cut)
        assert resumed_leaks(whole, life.states[day], day, config) == []


def test_every_replay_gives_what_was_published_and_names_what_came_late(life):
    for day in life.days[:-1]:
        said = life.replays[day]["text"]
        assert "from recorded inputs: bit-equal" in said
        if day not in life.late:
            assert life.replays[day]["warnings"] == []
            assert "from today's knowledge: the same" in said
    for day in life.late:
        # What the backtest knows of the day now, and the day did not.
        replayed = replay_day(day)
        assert replayed.broken == ()
        assert replayed.causes[0] == f"data: {len(replayed.arrivals)} rows since"
        # The lists of contracts were not to be had at night either.
        assert set(replayed.causes[1:]) <= {"data: another dim_instrument"}
        assert all(f" {day}" in row or "revised" in row for row in replayed.arrivals)
        assert bool(replayed.changed) == (day in differing_days(life))
