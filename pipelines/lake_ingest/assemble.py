"""Series to candidate rows of the lake's tables: units, multipliers, sums over spellings.

Pure. Every source's rows are handed on; which one stands, and when it was known, is decided
where versions are kept (``curate.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from lake_ingest.asset_map import MapRow
from lake_ingest.plan import TABLES, Job
from lake_ingest.series import Series, settled_day

SETTLEMENTS_A_DAY: Final = 3.0
"""Eight-hour periods a day: the day's sum over three is its mean per 8 hours."""
WHOLE_DAY_HOURS: Final = 24.0
ONE_DAY: Final = pd.Timedelta(days=1)
FRESH: Final = 2 * ONE_DAY
"""Days that ended less than 36 hours before may still be on their way."""
ASKED_COLUMNS: Final = ["table", "source", "asset_id", "first_day", "last_day", "asked_at"]
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "fact_price": ("asset_id", "date", "close"),
    "fact_marketcap": ("asset_id", "date", "marketcap"),
    "fact_volume": ("asset_id", "date", "volume"),
    "fact_perp_volume": ("asset_id", "date", "volume"),
    "fact_open_interest": ("asset_id", "date", "open_interest_usd"),
    "fact_funding": ("asset_id", "date", "funding_rate"),
    "fact_funding_settlement": (
        "asset_id",
        "settled_at",
        "funding_rate",
        "interval_hours",
        "mark_price",
    ),
}
"""Columns of the candidate rows; ``source`` and ``fetched_at`` follow."""


def assemble_tables(series: Sequence[Series], rows: Sequence[MapRow]) -> dict[str, pd.DataFrame]:
    """Return the candidate rows per table, several sources per key side by side.

    Parameters
    ----------
    series : sequence of Series
        What the jobs brought.
    rows : sequence of MapRow
        The assets of this fetch, for multipliers.

    Returns
    -------
    dict of DataFrame
        Columns of the table in contract units, ``source``, ``fetched_at``.
    """
    assembler = _Assembler(series, rows)
    found: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for table, frame in assembler.frames():
        if not frame.empty:
            found[table].append(frame[[*KEYS[table], "source", "fetched_at"]])
    return {table: pd.concat(frames, ignore_index=True) for table, frames in found.items()}


def assemble_checks(checks: Iterable[Series], rows: Sequence[MapRow]) -> pd.DataFrame:
    """Return CoinGlass's values of Binance pairs, only to be compared.

    Returns
    -------
    DataFrame
        ``table, asset_id, at, value, source``.
    """
    multipliers = _multipliers(rows)
    frames = []
    for one in checks:
        if one.rows.empty:
            continue
        is_price = one.job.series == "pair_price"
        values = (
            one.rows["close"] / multipliers[one.job.identity]
            if is_price
            else one.rows["funding_rate"]
        )
        frame = pd.DataFrame(
            {"at": one.rows["date" if is_price else "settled_at"], "value": values}
        )
        frame["table"] = TABLES[one.job.series][0]
        frame["asset_id"], frame["source"] = one.job.asset_id, one.job.source
        frames.append(frame)
    columns = ["table", "asset_id", "at", "value", "source"]
    return (
        pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
    )


def assemble_asked(series: Iterable[Series], asked_at: pd.Timestamp) -> pd.DataFrame:
    """Return the spans of days that were answered.

    Rows answer the days from the first to the last of them. Beyond the first, a history may have
    been cut in silence, and beyond the last it may only be late: such days count as asked for
    while they are fresh, so that a late value is seen to be late, and are asked for again.
    An asset's open interest was answered when every spelling was.

    Returns
    -------
    DataFrame
        ``table, source, asset_id, first_day, last_day, asked_at``.
    """
    by_asset: dict[tuple[str, str, str], list[Series]] = defaultdict(list)
    for one in series:
        by_asset[_series_of(one.job)].append(one)
    records = [
        (table, source, asset_id, first, last, instant)
        for (name, source, asset_id), group in by_asset.items()
        if all(one.error is None and one.was_asked for one in group)
        for first, last, instant in _answered(group, asked_at)
        for table in TABLES[name]
    ]
    return pd.DataFrame(records, columns=ASKED_COLUMNS)


def assemble_missed(
    jobs: Iterable[Job], series: Iterable[Series], asked_at: pd.Timestamp
) -> pd.DataFrame:
    """Return the fresh days of jobs that brought nothing because their vendor was down.

    The day is decided on without them, and what arrives after its row is final must not change
    the row. Older days are a history that is still to come.

    Returns
    -------
    DataFrame
        As ``assemble_asked``.
    """
    brought = list(series)
    failed = {_series_of(one.job) for one in brought if one.error is not None}
    answered = {_series_of(one.job) for one in brought if one.was_asked} - failed
    fresh_from = (asked_at - FRESH).date()
    records = [
        (table, job.source, job.asset_id, max(job.first_day, fresh_from), job.last_day, asked_at)
        for job in {_series_of(job): job for job in jobs}.values()
        if _series_of(job) not in answered and fresh_from <= job.last_day
        for table in TABLES[job.series]
    ]
    return pd.DataFrame(records, columns=ASKED_COLUMNS)


def _series_of(job: Job) -> tuple[str, str, str]:
    return job.series, job.source, job.asset_id


def _answered(
    group: Sequence[Series], asked_at: pd.Timestamp
) -> Iterable[tuple[date, date, pd.Timestamp]]:
    filled = [one for one in group if len(one.days)]
    instant = max([one.rows["fetched_at"].max() for one in filled], default=asked_at)
    first, last = group[0].job.first_day, group[0].job.last_day
    if group[0].answered_to is not None:
        yield first, group[0].answered_to, instant
        return
    fresh_from = max(first, (instant - FRESH).date())
    if filled:
        begins = min(one.days[0].date() for one in filled)
        # Before the day a listing names there is nothing to ask for.
        begins = first if begins == group[0].listed_on else begins
        ends = min(one.days[-1].date() for one in filled)
        fresh_from = max(fresh_from, (pd.Timestamp(ends) + ONE_DAY).date())
        yield begins, ends, instant
    if fresh_from <= last:
        yield fresh_from, last, instant


def assemble_dim_asset(rows: Iterable[MapRow], names: Mapping[str, str]) -> pd.DataFrame:
    """Return identity and kind of the assets of this fetch.

    Parameters
    ----------
    rows : iterable of MapRow
        The assets.
    names : mapping
        CoinGecko id to name; null where CoinGecko was not asked or did not answer.
    """
    newest = {row.asset_id: row for row in rows}
    return pd.DataFrame(
        [(row.asset_id, names.get(row.coingecko_id), row.kind) for row in newest.values()],
        columns=["asset_id", "name", "kind"],
    )


def assemble_dim_instrument(series: Sequence[Series], rows: Sequence[MapRow]) -> pd.DataFrame:
    """Return the perpetuals seen in this fetch, with the days they were listed and delisted.

    ``delisted_on`` is the day after the last bar, and null while that day is not in the fetch;
    ``is_traded`` tells whether there is none. The interval is null without settlements.
    """
    multipliers = _multipliers(rows)
    intervals = {
        one.job.identity: float(one.rows["interval_hours"].iloc[-1])
        for one in series
        if one.job.series == "funding_rates" and len(one.rows)
    }
    records = []
    for one in series:
        if one.job.series != "klines" or one.listed_on is None:
            continue
        has_ended = not one.is_live and one.traded_to is not None
        ended = one.traded_to if has_ended and one.traded_to != one.job.last_day else None
        records.append(
            (
                one.job.identity,
                one.job.asset_id,
                "binance",
                one.job.identity.removesuffix("USDT"),
                multipliers[one.job.identity],
                intervals.get(one.job.identity),
                one.listed_on,
                None if ended is None else ended + ONE_DAY.to_pytimedelta(),
                one.is_live,
            )
        )
    return pd.DataFrame(
        records,
        columns=[
            "instrument_id",
            "asset_id",
            "venue",
            "base_symbol",
            "multiplier",
            "funding_interval_hours",
            "listed_on",
            "delisted_on",
            "is_traded",
        ],
    )


def mean_per_8h(settlements: pd.DataFrame) -> pd.DataFrame:
    """Return the mean rate per 8 hours of the days whose settlements cover all of them.

    Parameters
    ----------
    settlements : DataFrame
        ``settled_at``, ``funding_rate``, ``interval_hours``, ``fetched_at`` of one asset.

    Returns
    -------
    DataFrame
        ``date``, ``funding_rate``, ``fetched_at``.

    Examples
    --------
    >>> at = pd.to_datetime(["2024-01-01 08:00", "2024-01-01 16:00", "2024-01-02 00:00"])
    >>> day = pd.DataFrame(
    ...     {"settled_at": at, "funding_rate": [1e-4, 2e-4, 3e-4], "interval_hours": 8.0,
    ...      "fetched_at": at[2]}
    ... )
    >>> mean_per_8h(day)["funding_rate"].round(12).tolist()
    [0.0002]
    """
    labelled = settlements.assign(date=settled_day(settlements["settled_at"]))
    days = (
        labelled.sort_values("settled_at")
        .groupby("date", sort=True)
        .agg(
            total=("funding_rate", "sum"),
            n=("funding_rate", "count"),
            n_settled=("settled_at", "size"),
            hours=("interval_hours", "sum"),
            fetched_at=("fetched_at", "max"),
        )
    )
    is_whole = (days["hours"] == WHOLE_DAY_HOURS) & (days["n"] == days["n_settled"])
    whole = days[is_whole].reset_index()
    whole["funding_rate"] = whole["total"] / SETTLEMENTS_A_DAY
    return whole[["date", "funding_rate", "fetched_at"]]


def sum_spellings(
    spellings: Sequence[pd.DataFrame], is_live: Sequence[bool] | None = None
) -> pd.DataFrame:
    """Return the sum over an asset's spellings, for days on which each that lived has a row.

    A spelling lives from its first row on, and to its last one where ``is_live`` says that it is
    listed no longer.

    Examples
    --------
    The second spelling begins a day later and misses the last day:

    >>> d = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    >>> a = pd.DataFrame({"date": d, "open_interest_usd": [1.0, 2.0, 3.0], "fetched_at": d[2]})
    >>> b = a.iloc[1:2].assign(open_interest_usd=10.0)
    >>> sum_spellings([a, b])["open_interest_usd"].tolist()
    [1.0, 12.0]
    """
    lives_on = is_live or [True] * len(spellings)
    if any(frame.empty for frame in spellings):
        return pd.DataFrame()
    levels = [frame.set_index("date")["open_interest_usd"] for frame in spellings]
    days = pd.DatetimeIndex(sorted(set().union(*(level.index for level in levels))))
    is_there = np.column_stack([days.isin(level.index) for level in levels])
    lives = np.column_stack(
        [
            (days >= level.index.min()) & (goes_on | (days <= level.index.max()))
            for level, goes_on in zip(levels, lives_on, strict=True)
        ]
    )
    wide = np.column_stack([level.reindex(days).to_numpy() for level in levels])
    # A level that is there and no number makes the sum none, for the gate to hold back.
    total = np.where(lives, wide, 0.0).sum(axis=1)
    fetched = pd.concat([frame.set_index("date")["fetched_at"] for frame in spellings])
    newest = fetched.groupby(level=0).max().reindex(days).to_numpy()
    is_whole = (is_there | ~lives).all(axis=1)
    columns = {"date": days, "open_interest_usd": total, "fetched_at": newest}
    return pd.DataFrame({name: values[is_whole] for name, values in columns.items()})


class _Assembler:
    def __init__(self, series: Sequence[Series], rows: Sequence[MapRow]) -> None:
        self._multipliers = _multipliers(rows)
        self._by_name: dict[str, list[Series]] = defaultdict(list)
        for one in series:
            if len(one.rows):
                self._by_name[one.job.series].append(one)
        self._settled: dict[str, set[pd.Timestamp]] = {
            one.job.identity: set(one.rows["settled_at"]) for one in self._by_name["funding_rates"]
        }
        self._settled_days = {one.job.asset_id: one.days for one in self._by_name["funding_rates"]}
        self._open_spellings = {
            one.job.asset_id
            for one in series
            if one.job.series == "open_interest"
            and (one.error is not None or (one.is_live and one.rows.empty))
        }
        self._lost_spellings = {
            one.job.asset_id
            for one in series
            if one.job.series == "open_interest" and not one.is_live and one.rows.empty
        }
        self._listed_on = {
            one.job.asset_id: pd.Timestamp(one.listed_on)
            for one in series
            if one.listed_on is not None
        }

    def frames(self) -> Iterable[tuple[str, pd.DataFrame]]:
        for one in self._by_name["klines"]:
            volume = one.rows.rename(columns={"quote_volume": "volume"})
            yield "fact_perp_volume", _labelled(one, volume)
            bars = self._whole_days(one)
            close = bars["close"] / self._multipliers[one.job.identity]
            yield "fact_price", _labelled(one, bars.assign(close=close))
        for one in self._by_name["pair_price"]:
            close = one.rows["close"] / self._multipliers[one.job.identity]
            yield "fact_price", _labelled(one, one.rows.assign(close=close))
        for one in self._by_name["market_chart"]:
            for table, column in (
                ("fact_price", "close"),
                ("fact_marketcap", "marketcap"),
                ("fact_volume", "volume"),
            ):
                yield table, _labelled(one, one.rows.dropna(subset=[column]))
        for one in self._by_name["coins_markets"]:
            yield "fact_marketcap", _labelled(one, one.rows)
        yield from self._open_interest()
        yield from self._funding()

    def _open_interest(self) -> Iterable[tuple[str, pd.DataFrame]]:
        spelled: dict[str, list[Series]] = defaultdict(list)
        for one in self._by_name["open_interest"]:
            spelled[one.job.asset_id].append(one)
        for asset_id, group in spelled.items():
            # A sum over only some of its spellings would look like positions being closed.
            if asset_id not in self._open_spellings:
                total = sum_spellings([one.rows for one in group], [one.is_live for one in group])
                if asset_id in self._lost_spellings and len(total):
                    # What a spelling was that nobody knows any more is in the stored sums only.
                    new_from = pd.Timestamp(group[0].job.missing_from or date.max)
                    total = total[total["date"] >= new_from]
                yield "fact_open_interest", _labelled(group[0], total)
        for one in self._by_name["metrics"]:
            yield "fact_open_interest", _labelled(one, one.rows)

    def _funding(self) -> Iterable[tuple[str, pd.DataFrame]]:
        for one in self._by_name["funding_rates"] + self._by_name["pair_funding"]:
            marks = one.rows.get("mark_price", pd.Series(float("nan"), index=one.rows.index))
            settlements = one.rows.assign(mark_price=marks / self._multipliers[one.job.identity])
            yield "fact_funding_settlement", _labelled(one, settlements)
            days = mean_per_8h(settlements)
            # The day of listing is not a whole day of funding.
            is_later = days["date"] > self._listed_on.get(one.job.asset_id, pd.Timestamp.min)
            yield "fact_funding", _labelled(one, days[is_later])
        for one in self._by_name["oi_weighted_funding"]:
            # A day with any settlement is the contract's own day, the first and last ones too.
            own = self._settled_days.get(one.job.asset_id, pd.DatetimeIndex([]))
            yield "fact_funding", _labelled(one, one.rows[~one.rows["date"].isin(own)])

    def _whole_days(self, one: Series) -> pd.DataFrame:
        """Leave out the last bar of a contract that ended within its day.

        It traded to 24:00 when something was settled then.
        """
        if one.is_live or one.traded_to is None:
            return one.rows
        last = pd.Timestamp(one.traded_to)
        if last + ONE_DAY in self._settled.get(one.job.identity, set()):
            return one.rows
        return one.rows[one.rows["date"] < last]


def _labelled(one: Series, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(asset_id=one.job.asset_id, source=one.job.source)


def _multipliers(rows: Iterable[MapRow]) -> dict[str, float]:
    return {row.binance_symbol: row.multiplier for row in rows if row.binance_symbol}
