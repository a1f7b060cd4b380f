"""What to ask for: only days not answered yet, plus a small overlap that shows revisions.

Pure: the map, the days the lake covers and what was asked before go in; jobs, one per vendor
series, come out, with an estimate of requests and minutes that is printed before the first one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pandas as pd

from lake_ingest.asset_map import MapRow
from lake_ingest.settings import Settings
from lake_ingest.vendors.coingecko import MARKETS_PAGE
from pipeline_kit.calendar import ONE_DAY, day_start

SOURCES: Final = ("coinglass", "coingecko", "binance")
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "klines": ("fact_price", "fact_perp_volume"),
    "funding_rates": ("fact_funding_settlement", "fact_funding"),
    "metrics": ("fact_open_interest",),
    "market_chart": ("fact_price", "fact_marketcap", "fact_volume"),
    "open_interest": ("fact_open_interest",),
    "oi_weighted_funding": ("fact_funding",),
    "coins_markets": ("fact_marketcap",),
    "pair_price": ("fact_price",),
    "pair_funding": ("fact_funding_settlement",),
}
"""Which tables a series of a vendor feeds."""
SOURCE_OF: Final[Mapping[str, str]] = {
    "klines": "binance",
    "funding_rates": "binance",
    "metrics": "binance",
    "market_chart": "coingecko",
    "open_interest": "coinglass",
    "oi_weighted_funding": "coinglass",
    "coins_markets": "coinglass",
    "pair_price": "coinglass",
    "pair_funding": "coinglass",
}
PREFLIGHT_REQUESTS: Final[Mapping[str, int]] = {"coinglass": 4, "coingecko": 0, "binance": 1}
"""Subscription and lists, which say what is alive and are kept as daily snapshots.

CoinGecko's list is asked for by page of ids.
"""
BARS_A_DAY_8H: Final = 3


@dataclass(frozen=True, slots=True)
class Job:
    """One series of one vendor over a span of days, both included."""

    series: str
    asset_id: str
    identity: str
    """How the vendor calls it: a coin id, a pair or a base symbol."""
    first_day: date
    last_day: date
    missing_from: date | None = None
    """First day never answered before; None when the whole span is overlap."""

    @property
    def source(self) -> str:
        """Return the vendor."""
        return SOURCE_OF[self.series]

    @property
    def n_days(self) -> int:
        """Return the length of the span in days."""
        return (self.last_day - self.first_day).days + 1


Key = tuple[str, str, str]
"""Table, source, asset."""
Span = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Known:
    """What the lake holds and what was asked before, per table, source and asset."""

    held: Mapping[Key, Span]
    asked: Mapping[Key, Sequence[tuple[date, date, datetime]]]

    @classmethod
    def of(cls, coverage: pd.DataFrame, asked: pd.DataFrame) -> Known:
        """Return the index of the lake's two records.

        Parameters
        ----------
        coverage : DataFrame
            ``table, source, asset_id, first_day, last_day``, one row per series.
        asked : DataFrame
            ``table, source, asset_id, first_day, last_day, asked_at``.
        """
        held = {
            (table, source, asset_id): (_day(first), _day(last))
            for table, source, asset_id, first, last in coverage[
                ["table", "source", "asset_id", "first_day", "last_day"]
            ].itertuples(index=False)
        }
        spans: dict[Key, list[tuple[date, date, datetime]]] = defaultdict(list)
        for table, source, asset_id, first, last, asked_at in asked[
            ["table", "source", "asset_id", "first_day", "last_day", "asked_at"]
        ].itertuples(index=False):
            instant = pd.Timestamp(asked_at).to_pydatetime()
            spans[table, source, asset_id].append((_day(first), _day(last), instant))
        return cls(held, spans)

    def answered(self, key: Key, settled_after: timedelta) -> list[Span]:
        """Return the spans of days that need not be asked for again."""
        spans = [self.held[key]] if key in self.held else []
        for first, last, asked_at in self.asked.get(key, ()):
            settled = (asked_at - settled_after).date() - ONE_DAY
            spans.append((first, min(last, settled)))
        return [(first, last) for first, last in spans if first <= last]


def plan_jobs(
    rows: Iterable[MapRow],
    planner: Planner,
    *,
    sources: Collection[str],
    floor: date,
) -> tuple[Job, ...]:
    """Return the jobs of the first round, in the order of the map.

    Series that only stand in for another vendor are planned when that vendor has failed.
    ``floor`` is the first day CoinGecko's plan lets us see.
    """
    jobs: list[Job] = []
    for row in rows:
        if "binance" in sources and row.binance_symbol:
            jobs += planner.jobs(row, "klines", [row.binance_symbol])
            jobs += planner.jobs(row, "funding_rates", [row.binance_symbol])
        if "coingecko" in sources and row.coingecko_id:
            jobs += planner.jobs(row, "market_chart", [row.coingecko_id], floor=floor)
        if "coinglass" in sources and row.coinglass_spellings:
            jobs += planner.jobs(row, "open_interest", row.coinglass_spellings)
    return tuple(jobs)


def plan_besides(
    rows: Iterable[MapRow],
    planner: Planner,
    *,
    sources: Collection[str],
    floor: date,
    checked: Collection[str],
    is_derivatives_only: bool = False,
) -> tuple[Job, ...]:
    """Return what CoinGlass is asked for after the first round, for the estimate only.

    These are the series of pairs that are compared with Binance's, and the funding of assets that
    Binance does not serve or is not asked for. ``floor`` is the first day of 8h bars that the plan
    shows.
    """
    if "coinglass" not in sources:
        return ()
    is_alone = is_derivatives_only or "binance" not in sources
    jobs: list[Job] = []
    for row in rows:
        pair = row.binance_symbol
        if pair and not is_derivatives_only and (is_alone or row.asset_id in checked):
            jobs += planner.jobs(row, "pair_price", [pair])
            jobs += planner.jobs(row, "pair_funding", [pair], floor=floor)
        if is_alone or not pair:
            spelling = row.coinglass_spellings[:1]
            jobs += planner.jobs(row, "oi_weighted_funding", spelling, floor=floor)
    return tuple(jobs)


def deepest_floor(now: datetime, settings: Settings) -> date:
    """Return the first day of 8h bars on CoinGlass's best plan; ours is known by asking."""
    depths = settings.plan.coinglass_history_days.values()
    return now.astimezone(UTC).date() - timedelta(days=max(days.get(8, 1) for days in depths) - 1)


def coingecko_floor(now: datetime, settings: Settings) -> date:
    """Return the first day CoinGecko's plan lets us see at ``now``."""
    if settings.coingecko_plan == "pro":
        return date.min
    oldest = now.astimezone(UTC) - timedelta(days=settings.coingecko_demo_history_days)
    # The first midnight stamp still inside the depth closes the day before it.
    is_midnight = oldest == day_start(oldest.date())
    return oldest.date() - ONE_DAY if is_midnight else oldest.date()


class Planner:
    """Spans of days for the series of one fetch."""

    def __init__(self, known: Known, start: date, end: date, settings: Settings) -> None:
        self._known = known
        self._start = start
        self._end = end
        self._plan = settings.plan

    def jobs(
        self,
        row: MapRow,
        series: str,
        identities: Sequence[str],
        *,
        floor: date | None = None,
    ) -> list[Job]:
        """Return one job per vendor identity of the asset; none when nothing can be there.

        ``floor`` is the first day the plan lets us see.
        """
        start, end = row.clip(self._start, self._end)
        start = max(start, floor or start)
        if start > end:
            return []
        held = self._known.held.get((TABLES[series][0], SOURCE_OF[series], row.asset_id))
        overlap = end - timedelta(days=self._overlap_days(series))
        missing_from = start
        if held is None:
            overlap = max(start, overlap)
        else:
            # Never a day before the lake's own first; days an outage left out are healed.
            overlap = max(overlap, held[0])
            healed = max(held[1] + ONE_DAY, end - timedelta(days=self._plan.heal_days))
            missing_from = min(start, healed)
        missing = self._first_missing(series, row.asset_id, missing_from, end)
        first = max(min(missing or end, overlap), floor or date.min, row.valid_from or date.min)
        return [Job(series, row.asset_id, identity, first, end, missing) for identity in identities]

    def may_have_history(self, job: Job) -> bool:
        """Return whether something that is no longer listed may still bring rows of the past.

        A backfill may; a daily run only right after the end, while the last days are healed.
        """
        if job.missing_from is None:
            return False
        held = self._held(job)
        if held is not None:
            return job.missing_from <= held[1] + ONE_DAY
        return (job.last_day - job.missing_from).days >= self._plan.overlap_days

    def is_held_lately(self, job: Job) -> bool:
        """Return whether the lake held the series until a few days ago."""
        held = self._held(job)
        return held is not None and held[1] >= job.last_day - timedelta(days=self._plan.heal_days)

    def is_decided_without(self, job: Job) -> bool:
        """Return whether the job's newest day can be decided on without the series.

        Its newest stored value is then still a level (strategy.md section 2).
        """
        level_from = job.last_day - timedelta(days=self._plan.level_days)
        # CoinGecko's price is stored only where there is no perpetual; its other tables are.
        keys = [(table, job.source, job.asset_id) for table in TABLES[job.series]]
        return any(
            self._known.held[key][1] >= level_from for key in keys if key in self._known.held
        )

    def _held(self, job: Job) -> Span | None:
        return self._known.held.get((TABLES[job.series][0], job.source, job.asset_id))

    def _overlap_days(self, series: str) -> int:
        # Where a full page costs what a day costs, the page is asked for: it shows restatements.
        if series == "open_interest":
            return self._plan.coinglass_bars - self._plan.coinglass_overlap_bars - 1
        if series == "market_chart":
            return self._plan.coingecko_min_days
        return self._plan.overlap_days

    def _first_missing(self, series: str, asset_id: str, start: date, end: date) -> date | None:
        settled_after = timedelta(hours=self._plan.settled_after_hours)
        source = SOURCE_OF[series]
        firsts = [
            first_gap(self._known.answered((table, source, asset_id), settled_after), start, end)
            for table in TABLES[series]
        ]
        return min((first for first in firsts if first is not None), default=None)


def first_gap(spans: Iterable[tuple[date, date]], start: date, end: date) -> date | None:
    """Return the first day of ``start..end`` in none of the spans; None when all are.

    Examples
    --------
    >>> d = lambda n: date(2024, 1, n)
    >>> first_gap([(d(3), d(4)), (d(1), d(2))], d(1), d(6))
    datetime.date(2024, 1, 5)
    >>> first_gap([(d(1), d(9))], d(1), d(6)) is None
    True
    """
    day = start
    for first, last in sorted(spans):
        if first > day:
            break
        day = max(day, last + ONE_DAY)
    return day if day <= end else None


def count_requests(job: Job, settings: Settings) -> int:
    """Return how many requests the job takes when nothing fails.

    Examples
    --------
    A year of settlements at three a day is 1,095 rows, two pages of 1,000:

    >>> from lake_ingest.settings import load_settings
    >>> year = Job("funding_rates", "BTC", "BTCUSDT", date(2023, 1, 1), date(2023, 12, 31))
    >>> count_requests(year, load_settings({}))
    2
    """
    plan = settings.plan
    coinglass_page = plan.coinglass_bars - plan.coinglass_overlap_bars
    page_and_bars: Mapping[str, tuple[int, int]] = {
        "klines": (plan.binance_kline_bars, 1),
        "funding_rates": (plan.binance_funding_rows, BARS_A_DAY_8H),
        "open_interest": (coinglass_page, 1),
        "pair_price": (coinglass_page, 1),
        "oi_weighted_funding": (coinglass_page, BARS_A_DAY_8H),
        "pair_funding": (coinglass_page, BARS_A_DAY_8H),
    }
    page, bars = page_and_bars.get(job.series, (job.n_days, 1))
    return math.ceil(job.n_days * bars / page)


def describe_plan(jobs: Sequence[Job], sources: Iterable[str], settings: Settings) -> list[str]:
    """Return one line per vendor: series, requests, minutes at its rate."""
    rates = {
        "coinglass": settings.vendors.coinglass.requests_per_minute,
        "coingecko": settings.vendors.coingecko.requests_per_minute,
        "binance": settings.vendors.binance.requests_per_minute,
    }
    lines = []
    for source in sources:
        mine = [job for job in jobs if job.source == source]
        requests = PREFLIGHT_REQUESTS[source] + sum(count_requests(job, settings) for job in mine)
        if source == "coingecko":
            requests += math.ceil(len(mine) / MARKETS_PAGE)
        rate = rates[source]
        minutes = f", {requests / rate:.1f} minutes at {rate} a minute" if rate else ""
        lines.append(f"plan: {source}: {len(mine)} series, {requests} requests{minutes}")
    return lines


def _day(value: object) -> date:
    return pd.Timestamp(value).date()  # type: ignore[arg-type]
