"""Gate 2: the day's marts are judged before anything is published from them.

Four small frames of the day are read from the warehouse, one per suite in
``expectations/suites/marts_*.json``: the majors, the market as a whole, how often each feature was
missing of late, the eligible alts. A
critical finding stops the day; a warning is published with it. Keys, types and formulas are not
checked here: that is the work of the dbt tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd

from majors_alts_monitor.errors import GateError
from majors_alts_monitor.features import DAILY, FEATURES
from pipeline_kit import atomic
from pipeline_kit.expectations import Finding, Severity, judge, worst
from pipeline_kit.manifest import readable_json
from pipeline_kit.paths import suites_dir

_SHARE_MISSING: Final = """
    (
        select avg(cast(raw_{name} is null as double)) from marts.fct_features_daily
        where date between $day - 29 and $day and date >= (
            select min(date) from marts.fct_features_daily where raw_{name} is not null
        )
    ) as raw_{name}
"""
"""Of the last 30 days since a feature first had a value: a warm-up is not missing."""

_QUERIES: Final[Mapping[str, str]] = {
    "marts_majors": """
        select asset_id, close_usd, return_1d, market_cap_usd, funding_rate_8h
        from marts.fct_asset_daily
        where date = $day and asset_id in ('BTC', 'ETH')
        order by asset_id
    """,
    "marts_day": """
        with eligible as (
            select date, count(*) filter (is_eligible) as count_eligible
            from marts.fct_universe_daily
            where date between $day - 30 and $day
            group by date
        ),
        usual as (
            select median(count_eligible) as usual_eligible from eligible where date < $day
        ),
        -- A supply of last week at today's price is a market cap that today's never touched.
        supplies as (
            select asset_id, arg_max(market_cap_usd / close_usd, date) as supply
            from marts.fct_asset_daily
            where date between $day - 30 and $day - 7 and market_cap_usd > 0 and close_usd > 0
            group by asset_id
        ),
        sizes as (
            select
                asset_id,
                coalesce(supplies.supply * days.close_usd, days.market_cap_usd) as size_usd
            from marts.fct_asset_daily as days
            inner join marts.fct_universe_daily as universe using (asset_id, date)
            left join supplies using (asset_id)
            where date = $day and (universe.is_eligible or asset_id = 'BTC')
        ),
        shares as (
            select sum(size_usd) filter (where asset_id = 'BTC') / sum(size_usd) as dominance
            from sizes
        ),
        early as (
            select count(*) as count_read_early from marts.fct_revisions
            where
                date between $day - 30 and $day
                and read_from < greatest(date, cast(known_at as date) - 1)
        )
        select
            features.*,
            early.count_read_early,
            abs(features.raw_btc_dominance - shares.dominance) as dominance_gap,
            coalesce(eligible.count_eligible, 0) as count_eligible,
            coalesce(eligible.count_eligible, 0) / nullif(usual.usual_eligible, 0)
                as share_eligible_of_usual
        from marts.fct_features_daily as features
        left join eligible on features.date = eligible.date
        cross join usual
        cross join shares
        cross join early
        where features.date = $day
    """,
    "marts_features": "select"
    + ",".join(_SHARE_MISSING.format(name=f.name) for f in FEATURES if f.model == DAILY),
    "marts_assets": """
        select
            days.asset_id,
            days.return_1d,
            days.volume_level_usd / nullif(days.market_cap_usd, 0) as volume_of_market_cap,
            days.funding_rate_8h
        from marts.fct_asset_daily as days
        inner join marts.fct_universe_daily as universe
            on days.asset_id = universe.asset_id and days.date = universe.date
        where days.date = $day and universe.is_eligible
        order by days.asset_id
    """,
}


@dataclass(frozen=True, slots=True)
class GateReport:
    """What gate 2 said about a day it lets pass."""

    severity: Severity
    """The worst finding."""

    warnings: tuple[str, ...]
    """One line per warning, for the report and the mail's subject."""


def judge_marts(built: Path, asof: date, result_file: Path) -> GateReport:
    """Return the gate's report on a day, or raise when the day must not be published.

    Parameters
    ----------
    built : Path
        The day's warehouse; only read.
    asof : date
        The day that is to be published.
    result_file : Path
        Receives the findings as JSON, also when the day is stopped; a page of the same name with
        every expectation is written beside it.

    Raises
    ------
    GateError
        If a critical expectation failed.
    SuiteError
        If an expectation could not be computed.
    """
    findings = {
        suite: judge(frame, suites_dir() / f"{suite}.json") if len(frame) else _missing(suite)
        for suite, frame in _read(built, asof).items()
    }
    _write(result_file, asof, findings)
    everything = [finding for found in findings.values() for finding in found]
    critical = [f for f in everything if f.severity is Severity.CRITICAL]
    if critical:
        reasons = "; ".join(_line(finding) for finding in critical)
        raise GateError(f"gate 2, {asof}: {reasons}; nothing is published, see {result_file}")
    return GateReport(
        severity=worst(everything),
        warnings=tuple(_line(f) for f in everything if f.severity is Severity.WARNING),
    )


def _read(built: Path, asof: date) -> dict[str, pd.DataFrame]:
    with closing(duckdb.connect(str(built), read_only=True)) as con:
        return {name: con.execute(query, {"day": asof}).df() for name, query in _QUERIES.items()}


def _missing(suite: str) -> list[Finding]:
    """Return the finding of a frame without rows; a day without eligible alts is no fault."""
    severity = Severity.WARNING if suite == "marts_assets" else Severity.CRITICAL
    return [Finding("expect_rows", "", severity, f"{suite} has no row on the day", (), "0 rows")]


def _line(finding: Finding) -> str:
    return f"{finding.reason} ({finding.observed})"


def _write(path: Path, asof: date, findings: Mapping[str, list[Finding]]) -> None:
    suites = {name: [finding.as_record() for finding in found] for name, found in findings.items()}
    atomic.write_text(path, readable_json({"gate": 2, "asof": asof.isoformat(), "suites": suites}))
    atomic.write_text(path.with_suffix(".html"), page(asof, findings))


def page(asof: date, findings: Mapping[str, list[Finding]]) -> str:
    """Return every expectation and what it met as one page, which loads nothing."""
    from majors_alts_monitor.report.dashboard import environment

    n_findings = sum(map(len, findings.values()))
    return (
        environment()
        .get_template("gate2.html.j2")
        .render(
            asof=asof,
            said=f"{n_findings} not met." if n_findings else "Every expectation was met.",
            suites=[(name, _suite_rows(name, found)) for name, found in findings.items()],
        )
    )


def _suite_rows(suite: str, found: list[Finding]) -> list[dict[str, Any]]:
    written = json.loads((suites_dir() / f"{suite}.json").read_text("utf-8"))["expectations"]
    expected = [
        (one["type"], str(one["kwargs"].get("column", "")), one["meta"]["reason"], one["severity"])
        for one in written
    ]
    # The finding of a frame without rows is of no suite.
    unwritten = [
        (f.expectation, f.column, f.reason, f.severity.name.lower())
        for f in found
        if f.expectation not in {kind for kind, *_ in expected}
    ]
    observed = {(f.expectation, f.column, f.reason): f"no: {f.observed}" for f in found}
    otherwise = "not judged" if unwritten else "yes"
    return [
        {
            "column": column,
            "reason": reason,
            "severity": severity,
            "met": observed.get((kind, column, reason), otherwise),
        }
        for kind, column, reason, severity in [*unwritten, *expected]
    ]
