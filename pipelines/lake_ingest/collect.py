"""Run the jobs of a fetch: vendors side by side, a few series at a time, stand-ins afterwards.

Data flow: ``jobs -> lists of what is alive -> series -> stand-ins for a vendor that failed``. A
failure is a value here: what the others bring is kept, and the fetch judges at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pandas as pd

from lake_ingest.asset_map import MapRow
from lake_ingest.clients import Clients, missing_key
from lake_ingest.errors import ContractError, PlanError, RequestError, VendorError
from lake_ingest.parse import (
    SECOND_MS,
    binance_contracts,
    coingecko_names,
    coinglass_coins,
    coinglass_pairs,
    coinglass_subscription,
)
from lake_ingest.plan import Job, Planner
from lake_ingest.series import VENUE, Series
from lake_ingest.series_binance import (
    fetch_archive_funding,
    fetch_archive_klines,
    fetch_funding_rates,
    fetch_klines,
    fetch_metrics,
    find_listing,
)
from lake_ingest.series_coingecko import fetch_market_chart
from lake_ingest.series_coinglass import (
    fetch_market_caps,
    fetch_oi_weighted_funding,
    fetch_open_interest,
    fetch_pair_funding,
    fetch_pair_price,
)
from lake_ingest.settings import Settings
from lake_ingest.vendors.coingecko import MARKETS_PAGE
from lake_ingest.vendors.coinglass import CoinglassClient
from pipeline_kit.calendar import ONE_DAY

LOWEST_PLAN: Final = "HOBBYIST"
MARKET_CAP_PLANS: Final = frozenset({"STANDARD", "PROFESSIONAL", "ENTERPRISE"})
Run = Callable[[Job], Series]


@dataclass(frozen=True, slots=True)
class Contract:
    """A Binance perpetual that is listed now."""

    symbol: str
    listed_on: date
    delisted_at: datetime


@dataclass(slots=True)
class Collected:
    """Everything a fetch brought, good and bad."""

    series: list[Series] = field(default_factory=list)
    checks: list[Series] = field(default_factory=list)
    """CoinGlass series of Binance pairs, only compared, never stored."""
    contracts: dict[str, Contract] | None = None
    """Binance's listing; None where it could not be had."""
    spellings: frozenset[str] | None = None
    """CoinGlass's live base symbols; None where they could not be had."""
    pairs: dict[str, int] = field(default_factory=dict)
    """CoinGlass's live pairs on Binance and the hours between their settlements."""
    plan: str = LOWEST_PLAN
    names: dict[str, str] = field(default_factory=dict)
    """CoinGecko's ids that exist, and the coins' names."""
    failures: list[VendorError] = field(default_factory=list)
    """What stopped a vendor or one of its lists; failures of a series are in the series."""
    notes: list[str] = field(default_factory=list)


class Collector:
    """The vendors of one fetch and what is known of them.

    Parameters
    ----------
    clients : Clients
        One per vendor.
    settings : Settings
        Workers, windows and plans.
    planner : Planner
        Plans the series that stand in for a failed vendor.
    rows : sequence of MapRow
        The assets of this fetch.
    today : date
        Day of the fetch; histories that a plan cuts are counted back from it.
    coingecko_floor : date
        First day CoinGecko's plan lets us see.
    advance : callable
        Called after each finished series.
    is_derivatives_only : bool
        Funding of every asset comes from CoinGlass, and no price.
    """

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        planner: Planner,
        rows: Sequence[MapRow],
        *,
        today: date,
        coingecko_floor: date,
        advance: Callable[[], None],
        is_derivatives_only: bool = False,
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._planner = planner
        self._rows = rows
        self._today = today
        self._coingecko_floor = coingecko_floor
        self._advance = advance
        self._is_derivatives_only = is_derivatives_only
        self._binance_failure: VendorError | None = None
        self._got = Collected()

    def collect(self, jobs: Sequence[Job], sources: Collection[str]) -> Collected:
        """Return what the jobs bring, and what stands in where a vendor failed."""
        rounds = {
            "coinglass": self._coinglass,
            "coingecko": self._coingecko,
            "binance": self._binance,
        }
        with ThreadPoolExecutor(len(rounds)) as pool:
            running = [
                pool.submit(rounds[source], [job for job in jobs if job.source == source])
                for source in rounds
                if source in sources
            ]
        for done in running:
            self._got.series += done.result()
        if "coinglass" in sources:
            self._got.series += self._coinglass_stand_ins("binance" in sources)
            if "coingecko" not in sources or self._clients.coingecko.channel.given_up:
                self._got.series += self._market_caps()
        if "binance" in sources:
            self._got.series += self._metrics("coinglass" in sources)
        return self._got

    def _run_all(self, jobs: Sequence[Job], run: Run, workers: int) -> list[Series]:
        def attempt(job: Job) -> Series:
            try:
                return run(job)
            except VendorError as e:
                return Series(job, error=e)
            finally:
                self._advance()

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(attempt, jobs))

    def _coingecko(self, jobs: list[Job]) -> list[Series]:
        client = self._clients.coingecko
        ids = sorted({job.identity for job in jobs})
        listed = self._got.names
        try:
            for at in range(0, len(ids), MARKETS_PAGE):
                listed |= coingecko_names(client.markets(ids[at : at + MARKETS_PAGE]))
            self._refuse_cut("coingecko /coins/markets", listed, jobs)
        except VendorError as e:
            self._got.failures.append(e)
            return []
        # A dead coin is not listed, but its history may still be had: it is asked for once.
        known = [
            job for job in jobs if job.identity in listed or self._planner.may_have_history(job)
        ]
        absent = sorted({job.asset_id for job in jobs if job.identity not in listed})
        if absent:
            self._got.notes.append(f"coingecko: does not list {', '.join(absent)}")

        plan, floor = self._settings.plan, self._coingecko_floor

        def run(job: Job) -> Series:
            is_live = job.identity in listed
            return _history(job, is_live, lambda: fetch_market_chart(client, job, plan, floor))

        return self._run_all(known, run, self._settings.vendors.coingecko.workers)

    def _binance(self, jobs: list[Job]) -> list[Series]:
        try:
            frame = binance_contracts(self._clients.binance.exchange_info())
            listed = {c.symbol: c for c in _contracts(frame)}
            self._refuse_cut("binance exchangeInfo", listed, jobs)
            self._got.contracts = listed
        except VendorError as e:
            self._got.failures.append(e)
            self._binance_failure = e
        workers = self._settings.vendors.binance.workers
        contracts = self._got.contracts
        gone = {job for job in jobs if contracts is not None and job.identity not in contracts}
        late = [job for job in jobs if job in gone and job.series == "funding_rates"]
        got = self._run_all([j for j in jobs if j not in set(late)], self._run_binance, workers)
        # A contract that is gone and left no bars left no settlements either.
        ended = {one.job.identity for one in got if one.job in gone and len(one.rows)}
        left = [job for job in late if job.identity in ended]
        got += [
            Series(job, is_live=False, answered_to=job.last_day)
            for job in late
            if job.identity not in ended
        ]
        return got + self._run_all(left, self._run_binance, workers)

    def _run_binance(self, job: Job) -> Series:
        contracts = self._got.contracts
        contract = (contracts or {}).get(job.identity)
        # Without the listing the archive still has the past, and others the newest days.
        error = self._binance_failure
        if contract is not None:
            if contract.listed_on > job.last_day:
                return Series(job, was_asked=False, is_live=False)
            try:
                return self._run_rest(job, contract)
            except ContractError:
                raise
            except VendorError as e:
                error = e
        elif contracts is not None and self._planner.is_held_lately(job):
            got = self._run_unlisted(job)
            if got is not None:
                return got
        if not self._planner.may_have_history(job):
            # Nothing new is asked of a contract that is gone; a lost overlap is no harm.
            return Series(job, error=error, was_asked=False, is_live=contract is not None)
        return self._run_archive(job, error, is_gone=contracts is not None and contract is None)

    def _run_rest(self, job: Job, contract: Contract) -> Series:
        fetch = fetch_klines if job.series == "klines" else fetch_funding_rates
        got = fetch(self._clients.binance, job, self._settings.plan, contract.listed_on)
        day_end = datetime.combine(job.last_day + ONE_DAY, datetime.min.time(), UTC)
        return got.replace(listed_on=contract.listed_on, is_live=contract.delisted_at >= day_end)

    def _run_unlisted(self, job: Job) -> Series | None:
        """Return the series if it goes on: a shorter list is no delisting."""
        fetch = fetch_klines if job.series == "klines" else fetch_funding_rates
        try:
            got = fetch(self._clients.binance, job, self._settings.plan, None)
        except VendorError:
            return None
        goes_on = len(got.days) and got.days[-1].date() == job.last_day
        return got if goes_on else None

    def _run_archive(self, job: Job, error: VendorError | None, *, is_gone: bool) -> Series:
        client = self._clients.archive
        if job.series == "funding_rates":
            got = fetch_archive_funding(client, job, self._today)
        else:
            got = fetch_archive_klines(client, job)
            if not got.rows.empty:
                first = got.rows["date"].min().date()
                got = got.replace(listed_on=find_listing(client, job.identity, first))
        return got.replace(error=error, is_live=not is_gone)

    def _coinglass(self, jobs: list[Job]) -> list[Series]:
        client = self._clients.coinglass
        if client is None:
            self._got.failures.append(missing_key())
            return []
        try:
            self._look_around(client)
            self._refuse_cut("coinglass supported-coins", self._got.spellings or (), jobs)
        except VendorError as e:
            self._got.failures.append(e)
            return []
        spellings = self._got.spellings or frozenset()
        # Lists hold the living only. The dead are asked for their history once, and every day
        # while another spelling of the asset lives: the sum of the past has them in it.
        alive = {job.asset_id for job in jobs if job.identity in spellings}
        asked = [
            job for job in jobs if job.asset_id in alive or self._planner.may_have_history(job)
        ]
        absent = sorted({job.asset_id for job in asked} - alive)
        if absent:
            self._got.notes.append(f"coinglass: does not list {', '.join(absent)}")

        plan = self._settings.plan

        def run(job: Job) -> Series:
            is_live = job.identity in spellings
            return _history(job, is_live, lambda: fetch_open_interest(client, job, plan))

        got = self._run_all(asked, run, self._settings.vendors.coinglass.workers)
        if not self._is_derivatives_only:
            self._got.checks = self._checks()
        return got

    def _refuse_cut(self, name: str, listed: Collection[str], jobs: Iterable[Job]) -> None:
        """Refuse a list without a core asset: it was cut, and says nothing of the others."""
        core = {job.asset_id for job in jobs} & set(self._settings.core_assets)
        found = {job.asset_id for job in jobs if job.identity in listed}
        for asset_id in sorted(core - found):
            raise ContractError(name, "list", f"lacks {asset_id}")

    def _look_around(self, client: CoinglassClient) -> None:
        subscription = coinglass_subscription(client.subscription())
        if subscription.is_expired:
            raise PlanError(f"coinglass: the plan {subscription.level} expired; renew it")
        self._got.plan = subscription.level
        self._got.spellings = coinglass_coins(client.supported_coins())
        self._got.pairs = coinglass_pairs(client.supported_pairs(VENUE), VENUE)
        # Not read, but kept in bronze: only a daily copy of the lists shows when a coin died.
        client.delisted_pairs()

    def _checks(self) -> list[Series]:
        checked = set(self._settings.checked_assets)
        rows = [row for row in self._rows if row.asset_id in checked]
        return self._run_pairs([row for row in rows if row.binance_symbol in self._got.pairs])

    def _run_pairs(self, rows: Sequence[MapRow]) -> list[Series]:
        jobs: list[Job] = []
        for row in rows:
            pair = row.binance_symbol
            jobs += self._planner.jobs(row, "pair_price", [pair])
            floor = self._history_from(self._got.pairs[pair])
            if floor is not None:
                jobs += self._planner.jobs(row, "pair_funding", [pair], floor=floor)
        return self._run_all(jobs, self._run_pair, self._settings.vendors.coinglass.workers)

    def _run_pair(self, job: Job) -> Series:
        client, plan = self._need_coinglass(), self._settings.plan
        if job.series == "pair_price":
            return fetch_pair_price(client, job, plan)
        return fetch_pair_funding(client, job, plan, self._got.pairs[job.identity])

    def _coinglass_stand_ins(self, is_binance_asked: bool) -> list[Series]:
        """Return CoinGlass series for assets that Binance, the first choice, did not serve."""
        spellings = self._got.spellings
        if spellings is None:
            return []
        failed = {s.job.asset_id for s in self._got.series if s.job.source == "binance" and s.error}
        pairs = [
            row
            for row in self._rows
            if row.binance_symbol in self._got.pairs
            and not self._is_derivatives_only
            and (row.asset_id in failed or not is_binance_asked)
        ]
        jobs = [
            replace(job, last_day=min(job.last_day, last))
            for row in self._rows
            for last in [self._unsettled_to(row)]
            for spelling in _first_alive(row.coinglass_spellings, spellings)
            for job in self._planner.jobs(
                row, "oi_weighted_funding", [spelling], floor=self._history_from(8)
            )
            if job.first_day <= last
            and (spelling in spellings or self._planner.may_have_history(job))
        ]
        client, plan = self._need_coinglass(), self._settings.plan

        def run(job: Job) -> Series:
            is_live = job.identity in spellings
            return _history(job, is_live, lambda: fetch_oi_weighted_funding(client, job, plan))

        workers = self._settings.vendors.coinglass.workers
        return self._pairs_once(pairs) + self._run_all(jobs, run, workers)

    def _pairs_once(self, rows: Sequence[MapRow]) -> list[Series]:
        """Return the series of pairs; those that were asked for to be compared are at hand."""
        wanted = {row.binance_symbol for row in rows}
        at_hand = [one for one in self._got.checks if one.job.identity in wanted]
        asked = {one.job.identity for one in at_hand}
        return at_hand + self._run_pairs([row for row in rows if row.binance_symbol not in asked])

    def _unsettled_to(self, row: MapRow) -> date:
        """Return the last day for which an asset may lack settlements of its own."""
        for one in self._got.series:
            is_own = one.job.asset_id == row.asset_id and one.job.series == "funding_rates"
            if is_own and one.error is None and one.is_live:
                is_late = not len(one.days) or one.days[-1].date() < one.job.last_day
                return date.max if is_late else one.listed_on or date.min
        return date.max

    def _market_caps(self) -> list[Series]:
        """Return CoinGlass's market caps of now, where the plan shows them and CoinGecko is out."""
        if self._is_derivatives_only or self._got.plan not in MARKET_CAP_PLANS:
            return []
        yesterday = self._today - ONE_DAY
        jobs = [
            replace(job, first_day=yesterday)
            for row in self._rows
            for job in self._planner.jobs(row, "coins_markets", row.coinglass_spellings[:1])
            if job.last_day == yesterday
        ]
        try:
            return fetch_market_caps(self._need_coinglass(), jobs) if jobs else []
        except VendorError as e:
            self._got.failures.append(e)
            return []

    def _metrics(self, is_coinglass_asked: bool) -> list[Series]:
        """Return Binance's own open interest where CoinGlass serves none at all."""
        if self._got.spellings is not None or self._clients.binance.channel.given_up:
            return []
        contracts = self._got.contracts or {}
        jobs = [
            job
            for row in self._rows
            if row.binance_symbol in contracts
            for job in self._planner.jobs(row, "metrics", [row.binance_symbol])
        ]

        def run(job: Job) -> Series:
            # Years of daily files are worth their requests only where nobody else was asked.
            archive = None if is_coinglass_asked else self._clients.archive
            return fetch_metrics(self._clients.binance, archive, job, self._settings.plan)

        return self._run_all(jobs, run, self._settings.vendors.binance.workers)

    def _need_coinglass(self) -> CoinglassClient:
        if self._clients.coinglass is None:
            raise missing_key()
        return self._clients.coinglass

    def _history_from(self, bar_hours: int) -> date | None:
        """Return the first day of such bars that the plan shows; None when it shows none."""
        plans = self._settings.plan.coinglass_history_days
        days = plans.get(self._got.plan, plans[LOWEST_PLAN]).get(bar_hours)
        return None if days is None else self._today - timedelta(days=days - 1)


def _history(job: Job, is_live: bool, fetch: Callable[[], Series]) -> Series:
    """Return a series; a vendor that does not know what is gone has no data of it."""
    try:
        return fetch().replace(is_live=is_live)
    except RequestError:
        if is_live:
            raise
        return Series(job, is_live=False)


def _first_alive(own: Sequence[str], alive: frozenset[str]) -> Sequence[str]:
    """Return the first spelling that is alive, else the first; none for no spelling."""
    return [spelling for spelling in own if spelling in alive][:1] or own[:1]


def _contracts(frame: pd.DataFrame) -> list[Contract]:
    return [
        Contract(
            symbol,
            datetime.fromtimestamp(onboard_ms / SECOND_MS, UTC).date(),
            datetime.fromtimestamp(delivery_ms / SECOND_MS, UTC),
        )
        for symbol, onboard_ms, delivery_ms in zip(
            frame["symbol"], frame["onboard_ms"], frame["delivery_ms"], strict=True
        )
    ]
