"""Where the previous monitor's inputs come from: the vendors live, or a lake.

Flow: ``CoinGecko closes, CoinGlass funding and open interest -> Inputs``. Both sources give the
same frames, so the formulas do not know which it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd

from lake_ingest.asset_map import MapRow, load_map
from lake_ingest.clients import Clients, missing_key, open_clients
from lake_ingest.parse import Window, coingecko_chart, coinglass_bars, day_ms
from lake_ingest.settings import load_settings
from pipeline_kit.calendar import ONE_DAY, day_start, now_utc
from pipeline_kit.errors import DataProblem
from pipeline_kit.lake import check_tables, find_tables

ALTS: Final = tuple("SOL XRP BNB DOGE ADA TRX AVAX LINK DOT LTC BCH UNI NEAR ATOM FIL".split())
"""The fixed list the previous monitor looked at; today's names, so it has survivor bias."""
WARM_UP_DAYS: Final = 100
"""More than 90, so that CoinGecko answers with daily points."""
BARS_A_DAY: Final = 3


@dataclass(frozen=True, slots=True)
class Inputs:
    """Closes (n_days, n_assets), funding per 8 hours, and BTC's open interest, by day."""

    closes: pd.DataFrame
    funding_8h: pd.DataFrame
    btc_open_interest: pd.Series[float]


def from_vendors(first: date, last: date) -> Inputs:
    """Return the inputs of ``first`` to ``last`` with warm-up, asked live.

    Raises
    ------
    VendorError
        If a vendor or a key is at fault.
    """
    start = first - timedelta(days=WARM_UP_DAYS)
    run_id = f"legacy-{now_utc():%Y%m%dT%H%M%S}"
    rows = load_map().select(("BTC", *ALTS), last, last)
    with open_clients(load_settings(), run_id) as clients:
        closes = {row.asset_id: _closes(clients, row, start, last) for row in rows}
        funding = {row.asset_id: _funding(clients, row, start, last) for row in rows}
        interest = _open_interest(clients, start, last)
    days = pd.date_range(start, last, name="date")
    return Inputs(
        closes=pd.DataFrame(closes).reindex(days),
        funding_8h=pd.DataFrame(funding).reindex(days),
        btc_open_interest=interest.reindex(days),
    )


def from_lake(folder: Path, first: date, last: date) -> Inputs:
    """Return the same inputs from a lake, newest versions; for comparison over years.

    Raises
    ------
    LakeContractError
        If the lake breaks its contract.
    DataProblem
        If it ends before ``last``.
    """
    tables = find_tables(folder)
    facts = check_tables(tables)
    if last > facts.last_day:
        raise DataProblem(f"{folder}: last complete day {facts.last_day}, asked for {last}")
    start = max(first - timedelta(days=WARM_UP_DAYS), facts.first_day)
    days = pd.date_range(start, last, name="date")

    def panel(table: str, value: str) -> pd.DataFrame:
        if table not in tables:
            return pd.DataFrame(index=days)
        return _newest(tables[table], value, start, last).reindex(days)

    interest = panel("fact_open_interest", "open_interest_usd")
    return Inputs(
        closes=panel("fact_price", "close").reindex(columns=["BTC", *ALTS]),
        funding_8h=panel("fact_funding", "funding_rate"),
        btc_open_interest=interest.get("BTC", pd.Series(float("nan"), index=days)),
    )


def _newest(files: list[Path], value: str, start: date, last: date) -> pd.DataFrame:
    with duckdb.connect() as con:
        relation = con.read_parquet([str(file) for file in files], union_by_name=True)
        order = "known_at" if "known_at" in relation.columns else "date"
        long = con.execute(
            f"""
            select cast(asset_id as varchar) as asset_id, cast(date as date) as date,
                   cast({value} as double) as value
            from relation
            where cast(date as date) between ? and ?
            qualify row_number() over (partition by asset_id, cast(date as date)
                                       order by {order} desc nulls last) = 1
            """,  # noqa: S608 - the names are this module's own
            [start, last],
        ).fetch_df()
    wide = long[long["asset_id"].isin(["BTC", *ALTS])]
    wide = wide.pivot_table(index="date", columns="asset_id", values="value", aggfunc="first")
    wide.index = pd.DatetimeIndex(wide.index)
    return wide


def _closes(clients: Clients, row: MapRow, start: date, last: date) -> pd.Series[float]:
    # The close of a day is the point stamped at the next midnight.
    begin = int(day_start(start + ONE_DAY).timestamp())
    end = int(day_start(last + ONE_DAY).timestamp())
    if not row.coingecko_id:
        return pd.Series(dtype=float)
    chart = coingecko_chart(
        clients.coingecko.market_chart(row.coingecko_id, begin, end), begin, end
    )
    return chart.set_index("date")["close"]


def _funding(clients: Clients, row: MapRow, start: date, last: date) -> pd.Series[float]:
    bars = _bars(clients, "oi_weighted_funding", row.asset_id, "8h", start, last)
    days = pd.to_datetime(bars["time"], unit="ms").dt.floor("D")
    by_day = (bars["close"] / 100).groupby(days)
    return by_day.mean().where(by_day.size() == BARS_A_DAY)


def _open_interest(clients: Clients, start: date, last: date) -> pd.Series[float]:
    bars = _bars(clients, "open_interest", "BTC", "1d", start, last)
    return bars.set_index(pd.to_datetime(bars["time"], unit="ms"))["close"]


def _bars(
    clients: Clients, endpoint: str, coin: str, interval: str, start: date, last: date
) -> pd.DataFrame:
    if clients.coinglass is None:
        raise missing_key()
    step_ms = 86_400_000 // (BARS_A_DAY if interval == "8h" else 1)
    begin, end = day_ms(start), day_ms(last + ONE_DAY) - 1
    pages = []
    # A window holds at most 1000 bars.
    for page in range(begin, end, 1000 * step_ms):
        stop = min(page + 1000 * step_ms - 1, end)
        answer = getattr(clients.coinglass, endpoint)(coin, interval, page, stop)
        pages.append(coinglass_bars(answer, ("close",), Window(page, stop, step_ms)))
    return pd.concat(pages, ignore_index=True)
