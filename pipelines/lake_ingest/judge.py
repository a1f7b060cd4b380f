"""Was the fetch good enough: one line per defect, and the exit code that fits the worst."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date

import pandas as pd

from lake_ingest.collect import Collected
from lake_ingest.errors import (
    BlockedError,
    FetchIncompleteError,
    FetchRefusedError,
    LakeError,
)
from lake_ingest.series import Series
from pipeline_kit.errors import PipelineError, UsageProblem

SHOWN = 6


def judge(
    collected: Collected, *, end: date, is_newest: bool, core_assets: Collection[str]
) -> tuple[list[PipelineError], list[str]]:
    """Return the defects that end the fetch with an error, and those that are only told.

    Parameters
    ----------
    collected : Collected
        What the jobs brought.
    end : date
        Last day asked for.
    is_newest : bool
        Whether that is the last complete day, which every live series must have.
    core_assets : collection of str
        Assets whose shorter answers are never accepted in silence.
    """
    errors: dict[str, PipelineError] = {}
    notes = list(collected.notes)
    for error in [*collected.failures, *(s.error for s in collected.series + collected.checks)]:
        if isinstance(error, BlockedError):
            notes.append(f"degraded: {error}")
        elif error is not None:
            errors[str(error)] = error
    for one in collected.series:
        is_core = one.job.asset_id in core_assets
        if one.error is None and one.was_asked and (one.is_live or is_core):
            whole = _shortfall(one, end, is_newest, is_core)
            for line, is_bad in [whole, *_hollow(one, end, is_newest, is_core)]:
                if line and is_bad:
                    errors[line] = FetchIncompleteError(line)
                elif line:
                    notes.append(line)
        elif one.error is None and one.was_asked and one.rows.empty and not _is_monthly(one):
            span = f"{one.job.first_day} to {one.job.last_day}"
            notes.append(f"{_name(one)}: no longer listed, and no data for {span}")
    return list(errors.values()), list(dict.fromkeys(notes))


def combine(errors: Sequence[PipelineError]) -> LakeError | None:
    """Return one error for all: the worst exit code, the first few lines; None without any."""
    if not errors:
        return None
    errors = sorted(errors, key=lambda e: not isinstance(e, UsageProblem))
    text = "; ".join(str(e) for e in errors[:SHOWN])
    more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    is_refused = isinstance(errors[0], UsageProblem)
    return (FetchRefusedError if is_refused else FetchIncompleteError)(f"{text}{more}")


def _hollow(one: Series, end: date, is_newest: bool, is_core: bool) -> Iterator[tuple[str, bool]]:
    """Yield what a chart's points lack although they are there: its values are told apart.

    Vendors leave out market caps of small coins as a matter of course, a close never.
    """
    if one.job.series != "market_chart" or one.rows.empty:
        return
    name = _name(one)
    is_expected = is_newest and one.job.last_day == end
    for value in ("close", "marketcap", "volume"):
        has_value = one.rows["date"][one.rows[value].notna()]
        is_owed = is_core or (is_expected and value == "close")
        if has_value.empty:
            yield f"{name}: no {value} for {one.job.first_day} to {one.job.last_day}", is_owed
        elif is_expected and has_value.max() < one.days[-1]:
            yield f"{name}: no {value} of {one.days[-1].date()}", is_owed


def _shortfall(one: Series, end: date, is_newest: bool, is_core: bool) -> tuple[str, bool]:
    """Return the line that tells what an answer lacks, and whether that is an error."""
    name = _name(one)
    days = one.days
    first = max(one.job.first_day, one.listed_on or one.job.first_day)
    if first > one.job.last_day:
        return "", False
    span = f"{first} to {one.job.last_day}"
    lacks_end = len(days) == 0 or days[-1].date() < one.job.last_day
    reaches_end = one.job.last_day == end
    if len(days) == 0:
        return f"{name}: no data for {span}", is_core or (is_newest and reaches_end)
    if lacks_end and is_newest and reaches_end:
        return f"{name}: no {end}, newest day {days[-1].date()}", True
    n_lacking = len(pd.date_range(first, one.job.last_day)) - len(days)
    if n_lacking <= 0:
        return "", False
    found = f"{len(days)} days from {days[0].date()}"
    return f"{name}: asked for {span}, found {found}", is_core


def _name(one: Series) -> str:
    return f"{one.job.source} {one.job.series} {one.job.identity}"


def _is_monthly(one: Series) -> bool:
    # The archive has a gone contract's settlements only when the month is over.
    return one.job.series == "funding_rates"
