"""Fetch days from the vendors into the lake: ``python -m lake_ingest.fetch``.

Data flow: ``map, lake -> plan -> vendors -> bronze -> candidate rows -> curate``. What passes the
gates is stored even when a source fails; the exit code is that of the worst failure.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from lake_ingest.assemble import (
    assemble_asked,
    assemble_checks,
    assemble_dim_asset,
    assemble_dim_instrument,
    assemble_missed,
    assemble_tables,
)
from lake_ingest.asset_map import MapRow, load_map
from lake_ingest.bronze import read_run
from lake_ingest.clients import Clients, open_clients
from lake_ingest.collect import Collected, Collector
from lake_ingest.curate import CommitReport, Fetched, asked_ranges, commit, coverage
from lake_ingest.errors import ContractError, GateBlockedError, VendorError
from lake_ingest.fetch_state import Run, fetch_lock, load_unfinished, run_id_for, save_run
from lake_ingest.judge import combine, judge
from lake_ingest.plan import (
    SOURCES,
    Known,
    Planner,
    coingecko_floor,
    deepest_floor,
    describe_plan,
    plan_besides,
    plan_jobs,
)
from lake_ingest.progress import Progress
from lake_ingest.settings import Settings, load_settings
from pipeline_kit.atomic import write_text
from pipeline_kit.calendar import last_complete_day, now_utc, parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import PipelineError, UsageProblem
from pipeline_kit.manifest import readable_json
from pipeline_kit.paths import bronze_dir, data_dir


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for."""

    start: date
    end: date
    sources: tuple[str, ...] = SOURCES
    symbols: tuple[str, ...] | None = None
    """Tickers; None for every active row of the map."""
    is_resumed: bool = False
    is_derivatives_only: bool = False
    """Only funding and open interest, from CoinGlass alone."""

    def arguments(self) -> dict[str, Any]:
        """Return what makes two fetches the same, as JSON."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "sources": sorted(self.sources),
            "symbols": None if self.symbols is None else sorted(self.symbols),
            "is_derivatives_only": self.is_derivatives_only,
        }


def fetch_days(
    start: str,
    end: str,
    *,
    sources: Sequence[str] = SOURCES,
    symbols: Sequence[str] | None = None,
    is_resumed: bool = False,
) -> None:
    """Fetch the days ``start`` to ``end``, both included, as the command does.

    Raises
    ------
    LakeError
        If a vendor, a key or the data was at fault; what passed is stored nevertheless.
    """
    first, last = parse_day(start, "--start"), parse_day(end, "--end")
    if first > last:
        raise UsageProblem(f"--start {first} is after --end {last}")
    unknown = sorted(set(sources) - set(SOURCES))
    if unknown or not sources:
        raise UsageProblem(f"--sources: {', '.join(unknown)} not among {', '.join(SOURCES)}")
    if symbols is not None and not symbols:
        raise UsageProblem("--symbols: no ticker given")
    ordered = tuple(source for source in SOURCES if source in sources)
    tickers = None if symbols is None else tuple(sorted(set(symbols)))
    run_fetch(Request(first, last, ordered, tickers, is_resumed))


def run_fetch(request: Request) -> None:
    """Carry out a request.

    Raises
    ------
    LakeError
        As ``fetch_days``.
    """
    newest = last_complete_day(now_utc())
    if request.end > newest:
        _say(f"--end {request.end} has not ended; stopping at {newest}")
        request = replace(request, end=newest)
    if request.start > request.end:
        _say(f"nothing to fetch: the last complete day is {newest}")
        return
    settings = load_settings()
    rows = load_map().select(request.symbols, request.start, request.end)
    with fetch_lock():
        errors = _Fetch(request, settings, rows, newest).run()
    worst = combine(errors)
    if worst is not None:
        raise worst


class _Fetch:
    """One fetch from plan to commit."""

    def __init__(
        self,
        request: Request,
        settings: Settings,
        rows: Sequence[MapRow],
        newest: date,
    ) -> None:
        self._request = request
        self._settings = settings
        self._rows = rows
        self._newest = newest
        known = Known.of(coverage(), asked_ranges())
        self._planner = Planner(known, request.start, request.end, settings)

    def run(self) -> list[PipelineError]:
        """Return the defects of the fetch, after storing what passed."""
        run = self._begin()
        self._tell_plan(run)
        replay = list(read_run(bronze_dir(), run.run_id)) if self._request.is_resumed else []
        with open_clients(self._settings, run.run_id, replay=replay) as clients:
            collected = self._collect(clients, run)
            requests = {c.vendor: c.requests for c in clients.channels}
            is_synthetic = clients.is_synthetic
        errors, notes = judge(
            collected,
            end=self._request.end,
            is_newest=self._request.end == self._newest,
            core_assets=self._settings.core_assets,
        )
        report = None
        try:
            report = self._commit(collected, run, is_synthetic)
        except GateBlockedError as e:
            errors.append(e)
        _report(run, requests, report, errors, notes)
        save_run(replace(run, is_finished=not _may_resume(errors)))
        return errors

    def _begin(self) -> Run:
        arguments = self._request.arguments()
        if self._request.is_resumed:
            unfinished = load_unfinished(arguments)
            if unfinished is not None:
                _say(f"resuming {unfinished.run_id}")
                return unfinished
            _say("nothing to resume with these arguments; starting anew")
        started_at = now_utc()
        run = Run(run_id_for(started_at, arguments), arguments, started_at, self._plan(started_at))
        save_run(run)
        return run

    def _plan(self, now: datetime) -> tuple[Any, ...]:
        jobs = plan_jobs(
            self._rows,
            self._planner,
            sources=self._request.sources,
            floor=coingecko_floor(now, self._settings),
        )
        if self._request.is_derivatives_only:
            jobs = tuple(job for job in jobs if job.series == "open_interest")
        return jobs

    def _tell_plan(self, run: Run) -> None:
        _say(f"fetch {run.run_id}: {self._request.start} to {self._request.end}")
        besides = plan_besides(
            self._rows,
            self._planner,
            sources=self._request.sources,
            floor=deepest_floor(run.started_at, self._settings),
            checked=self._settings.checked_assets,
            is_derivatives_only=self._request.is_derivatives_only,
        )
        jobs = [*run.jobs, *besides]
        for line in describe_plan(jobs, self._request.sources, self._settings):
            _say(line)

    def _collect(self, clients: Clients, run: Run) -> Collected:
        progress = Progress("series", len(run.jobs))
        collector = Collector(
            clients,
            self._settings,
            self._planner,
            self._rows,
            today=run.started_at.astimezone(UTC).date(),
            coingecko_floor=coingecko_floor(run.started_at, self._settings),
            advance=progress.advance,
            is_derivatives_only=self._request.is_derivatives_only,
        )
        try:
            return collector.collect(run.jobs, self._request.sources)
        finally:
            progress.close()

    def _commit(self, collected: Collected, run: Run, is_synthetic: bool) -> CommitReport | None:
        series = collected.series
        tables = assemble_tables(series, self._rows)
        if not tables:
            return None
        tables["dim_asset"] = assemble_dim_asset(self._rows, collected.names)
        instruments = assemble_dim_instrument(series, self._rows)
        if len(instruments):
            tables["dim_instrument"] = instruments
        asked_at = pd.Timestamp(run.started_at).tz_convert("UTC").tz_localize(None)
        missed = [job for job in run.jobs if self._planner.is_decided_without(job)]
        asked = [
            assemble_asked(series, asked_at),
            assemble_missed(missed, series, asked_at),
        ]
        fetched = Fetched(
            tables,
            pd.concat([part for part in asked if len(part)] or asked[:1], ignore_index=True),
            assemble_checks(collected.checks, self._rows),
        )
        return commit(fetched, run_id=run.run_id, now=now_utc(), is_synthetic=is_synthetic)


def main(argv: Sequence[str]) -> None:
    """Fetch what the arguments say."""
    parser = Parser(prog="python -m lake_ingest.fetch", description=__doc__)
    parser.add_argument("--start", required=True, help="first UTC day, such as 2024-01-01")
    parser.add_argument(
        "--end", required=True, help="last UTC day; today or later = the last whole"
    )
    parser.add_argument("--sources", help=f"some of {','.join(SOURCES)}; default all")
    parser.add_argument("--symbols", help="tickers such as BTC,ETH; default the whole asset map")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the last unfinished run like this one"
    )
    arguments = parser.parse_args(argv)
    fetch_days(
        arguments.start,
        arguments.end,
        sources=SOURCES if arguments.sources is None else _split(arguments.sources),
        symbols=None if arguments.symbols is None else _split(arguments.symbols),
        is_resumed=arguments.resume,
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _may_resume(errors: Sequence[PipelineError]) -> bool:
    """Return whether to go on with this run: after a vendor's failure, not after data it sent.

    An answer of another shape would only be read again; a new run asks for it anew.
    """
    is_broken = any(isinstance(error, ContractError) for error in errors)
    return not is_broken and any(isinstance(error, VendorError) for error in errors)


def _report(
    run: Run,
    requests: Mapping[str, int],
    report: CommitReport | None,
    errors: Sequence[PipelineError],
    notes: Sequence[str],
) -> None:
    """Say what was done and write it down beside the run's state."""
    record: dict[str, Any] = {
        "run_id": run.run_id,
        "arguments": dict(run.arguments),
        "requests": dict(requests),
        "errors": [f"{type(e).__name__}: {e}" for e in errors],
        "notes": list(notes),
    }
    _say("requests: " + ", ".join(f"{vendor} {n}" for vendor, n in requests.items()))
    for note in notes:
        _say(f"note: {note}")
    if report is None:
        _say("nothing was stored")
    else:
        _say_stored(run, report)
        record |= {
            "snapshot_id": report.snapshot_id,
            "added": dict(report.added),
            "revised": dict(report.revised),
            "n_quarantined": len(report.quarantined),
            "warnings": list(report.warnings),
        }
    write_text(data_dir() / "fetch" / f"{run.run_id}.json", readable_json(record))


def _say_stored(run: Run, report: CommitReport) -> None:
    _say(f"lake: snapshot {report.snapshot_id}")
    for table in sorted({*report.added, *report.revised}):
        added, revised = report.added.get(table, 0), report.revised.get(table, 0)
        _say(f"lake: {table}: {added} new rows, {revised} revised")
    for line in _restatement_lines(report.restatements):
        _say(line)
    if len(report.quarantined):
        _say(
            f"quarantined: {len(report.quarantined)} rows; review them with"
            f" python -m lake_ingest.quarantine show {run.run_id}"
        )
    for warning in report.warnings:
        _say(f"warning: {warning}")


def _restatement_lines(restatements: pd.DataFrame) -> list[str]:
    return [
        f"restated: {row.table_name} {row.asset_id} ({row.source}): {row.rows} rows from"
        f" {row.first_day:%Y-%m-%d} to {row.last_day:%Y-%m-%d}"
        for row in restatements.itertuples(index=False)
    ]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_command(main))
