"""The lake a perfect fetch from the sandbox would store: contract.md section 3, all final values.

Nothing here goes through HTTP. The numbers are those the vendors print, so that a fetched table
can be compared bit for bit; what a plan hides from a fetch (CoinGecko's depth on Demo, 8h
funding older than 360 days) is here all the same, and told by ``source``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.coin_days import MISSING, CoinDays
from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, Ints, ms
from lake_ingest.sandbox.market import Array
from lake_ingest.sandbox.series import SPELLING_SHARES, Market, Product
from lake_ingest.sandbox.universe import Coin
from pipeline_kit.calendar import now_utc

Table = dict[str, list[Any]]


def truth(
    *, seed: int = 7, assets: int | None = None, days: int = 1500, now: datetime | None = None
) -> dict[str, pd.DataFrame]:
    """Return the true tables of the sandbox with these flags at an instant.

    Parameters
    ----------
    seed, assets, days
        As given to the sandbox.
    now : datetime or None
        Its clock; None reads ``MAM_NOW`` or the clock.

    Returns
    -------
    dict of str to DataFrame
        Every table of contract.md section 3 by name, sorted by key, with ``source`` on facts and
        without ``known_at``. ``date`` is a ``datetime.date``, ``settled_at`` a UTC time without
        zone, rounded to the minute.
    """
    instant = now or now_utc()
    truth_of = _Truth(Market(seed, assets, days, lambda: instant))
    return {name: truth_of.table(name) for name in truth_of.builders}


class _Truth:
    """Builds tables coin by coin."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._coin_days = CoinDays(market)
        self.builders: dict[str, tuple[Callable[[Coin], pd.DataFrame], str]] = {
            "fact_price": (self._price, "date"),
            "fact_marketcap": (self._market_cap, "date"),
            "fact_volume": (self._volume, "date"),
            "fact_funding": (self._funding, "date"),
            "fact_funding_settlement": (self._settlements, "settled_at"),
            "fact_open_interest": (self._open_interest, "date"),
            "fact_perp_volume": (self._perp_volume, "date"),
            "dim_asset": (self._asset, ""),
            "dim_instrument": (self._instrument, ""),
        }

    def table(self, name: str) -> pd.DataFrame:
        """Return one table over all coins, sorted by its key."""
        build, time = self.builders[name]
        parts = [part for coin in self._market.coins if len(part := build(coin))]
        whole = pd.concat(parts, ignore_index=True)
        keys = ["instrument_id"] if name == "dim_instrument" else ["asset_id"]
        return whole.sort_values(keys + ([time] if time else []), ignore_index=True)

    def _price(self, coin: Coin) -> pd.DataFrame:
        """Return the perpetual's close on days it traded to the end, else CoinGecko's."""
        traded = self._whole_days(coin, Product.PERP)
        traded = traded[self._reaches_midnight(coin, traded)]
        stamps, prices, _, _ = self._gecko(coin)
        elsewhere = ~np.isin(stamps - DAY_MS, traded.time_ms)
        closes = _as_printed(traded.close, coin.price_decimals) / coin.multiplier
        perp = _facts(coin, traded.time_ms, "close", closes, "binance")
        gecko_ms = stamps[elsewhere] - DAY_MS
        gecko = _facts(coin, gecko_ms, "close", prices[elsewhere], "coingecko")
        return _stack(perp, gecko)

    def _market_cap(self, coin: Coin) -> pd.DataFrame:
        stamps, _, caps, _ = self._gecko(coin)
        is_there = (caps > 0) & (caps != MISSING)
        days = stamps[is_there] - DAY_MS
        return _facts(coin, days, "marketcap", caps[is_there], "coingecko")

    def _volume(self, coin: Coin) -> pd.DataFrame:
        stamps, _, _, volumes = self._gecko(coin)
        return _facts(coin, stamps - DAY_MS, "volume", volumes, "coingecko")

    def _perp_volume(self, coin: Coin) -> pd.DataFrame:
        bars = self._whole_days(coin, Product.PERP)
        volumes = _as_printed(bars.volume_usd, 4)
        return _facts(coin, bars.time_ms, "volume", volumes, "binance")

    def _open_interest(self, coin: Coin) -> pd.DataFrame:
        """Return the sum over the coin's spellings, each printed in whole dollars."""
        bars = self._whole_days(coin, Product.OPEN_INTEREST)
        total = np.zeros(len(bars))
        for share in SPELLING_SHARES.get(len(coin.spellings), ()):
            total += _as_printed(bars.close * share, 0)
        return _facts(coin, bars.time_ms, "open_interest_usd", total, "coinglass")

    def _settlements(self, coin: Coin) -> pd.DataFrame:
        paid = self._market.settlements(coin)
        minutes = (paid.time_ms + 30_000) // 60_000 * 60_000
        return pd.DataFrame(
            {
                "asset_id": coin.asset_id,
                "settled_at": pd.to_datetime(minutes, unit="ms"),
                "funding_rate": _as_printed(paid.rate_pct / 100, 8),
                "interval_hours": paid.interval_hours,
                "mark_price": paid.mark_price / coin.multiplier,
                "source": "binance",
            }
        )

    def _funding(self, coin: Coin) -> pd.DataFrame:
        """Return the mean per 8 hours: of settlements where they cover the day, else of venues."""
        paid = self._market.settlements(coin)
        day = (paid.time_ms // HOUR_MS * HOUR_MS - 1) // DAY_MS
        by_day = pd.DataFrame(
            {
                "day": day,
                "rate": _as_printed(paid.rate_pct / 100, 8),
                "hours": paid.interval_hours,
            }
        ).groupby("day")
        summed = by_day.sum()
        summed = summed[summed["hours"] == 24]
        own_ms = summed.index.to_numpy(dtype=np.int64) * DAY_MS
        own = _facts(coin, own_ms, "funding_rate", summed["rate"].to_numpy() / 3, "binance")
        venues = self._venue_funding(coin)
        # A day with any settlement is the contract's own day, listing and delisting days too.
        is_elsewhere = ~venues["date"].isin(_dates(np.unique(day) * DAY_MS))
        return _stack(own, venues[is_elsewhere])

    def _venue_funding(self, coin: Coin) -> pd.DataFrame:
        bars = self._market.closed_bars(coin, Product.WEIGHTED_FUNDING, 8)
        closes = pd.DataFrame(
            {"day": bars.time_ms // DAY_MS, "close": np.round(bars.close, 6)}
        ).groupby("day")["close"]
        complete = closes.count() == 3
        days = complete.index[complete].to_numpy(dtype=np.int64) * DAY_MS
        started = self._market.life(coin, Product.OPEN_INTEREST).start_ms
        mean = (closes.sum()[complete] / 3 / 100).to_numpy()
        kept = days >= started
        return _facts(coin, days[kept], "funding_rate", mean[kept], "coinglass")

    def _asset(self, coin: Coin) -> pd.DataFrame:
        row = {"asset_id": coin.asset_id, "name": coin.name, "kind": coin.kind}
        return pd.DataFrame([row])

    def _instrument(self, coin: Coin) -> pd.DataFrame:
        listed = coin.perp_listed_at
        if listed is None or ms(listed) > self._market.now_ms():
            return pd.DataFrame()
        bars = self._market.bars(coin, Product.PERP, 24)
        if not len(bars):
            return pd.DataFrame()
        is_gone = not self._market.exists(coin, Product.PERP)
        interval = self._market.settlements(coin).interval_hours
        row = {
            "instrument_id": coin.binance_symbol,
            "asset_id": coin.asset_id,
            "venue": "binance",
            "base_symbol": coin.base_symbol,
            "multiplier": coin.multiplier,
            "funding_interval_hours": int(interval[-1]) if len(interval) else 8,
            # A contract that is gone is in no list: its first archived bar dates it.
            "listed_on": _dates(bars.time_ms[:1])[0] if is_gone else listed.date(),
            "delisted_on": _dates(bars.time_ms[-1:] + DAY_MS)[0] if is_gone else None,
        }
        return pd.DataFrame([row])

    def _gecko(self, coin: Coin) -> tuple[Ints, Array, Array, Array]:
        return self._coin_days.daily(coin)

    def _whole_days(self, coin: Coin, product: Product) -> Bars:
        return self._market.closed_bars(coin, product, 24)

    def _reaches_midnight(self, coin: Coin, bars: Bars) -> Any:
        """Return which daily bars the contract traded to their end."""
        return bars.time_ms + DAY_MS <= self._market.life(coin, Product.PERP).end_ms


def _as_printed(values: Array, decimals: int) -> Array:
    """Return the doubles a reader of the vendor's text gets."""
    return np.array([round(value, decimals) for value in values.tolist()], dtype=np.float64)


def _dates(days_ms: Ints) -> list[date]:
    dates: list[date] = (days_ms // DAY_MS).astype("datetime64[D]").tolist()
    return dates


def _facts(coin: Coin, days_ms: Ints, name: str, values: Array, source: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "asset_id": coin.asset_id,
            "date": _dates(days_ms),
            name: values,
            "source": source,
        }
    )


def _stack(*parts: pd.DataFrame) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]
