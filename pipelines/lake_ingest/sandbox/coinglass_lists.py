"""CoinGlass's lists and snapshots: coins, pairs by venue, levels of the moment."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, interval_hours
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import Coin

NOT_COINS: Final = ("1", "4", "42", "0G", "TSLA", "NVDA", "XAU")
"""Symbols the lists hold beside coins, tokenised shares and metals among them."""
VENUE_SHARES: Final = {"Bybit": 0.24, "OKX": 0.18, "Bitget": 0.12, "Gate": 0.06, "Hyperliquid": 0.1}


def venue_pairs(coin: Coin) -> dict[str, tuple[str, str]]:
    """Return each other venue's (instrument id, base symbol) of the coin.

    Examples
    --------
    >>> from lake_ingest.sandbox.universe import coin_named
    >>> venue_pairs(coin_named("PEPE"))["Hyperliquid"]
    ('kPEPE', 'kPEPE')
    >>> venue_pairs(coin_named("BTC"))["Bitget"]
    ('BTCUSDT_UMCBL', 'BTC')
    """
    if not coin.spellings:
        return {}
    small = coin.spellings[0]
    large = coin.base_symbol if coin.base_symbol in coin.spellings else small
    kilo = coin.spellings[2] if len(coin.spellings) > 2 else small
    return {
        "Bybit": (f"{large}USDT", large),
        "OKX": (f"{small}-USDT-SWAP", small),
        "Bitget": (f"{small}USDT_UMCBL", small),
        "Gate": (f"{small}_USDT", small),
        "Hyperliquid": (kilo, kilo),
    }


class CoinGlassLists:
    """What the list endpoints say at the market's instant."""

    def __init__(self, market: Market) -> None:
        self._market = market

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], Coin]:
        pairs = {
            (venue, instrument): coin
            for coin in self._market.coins
            for venue, (instrument, _) in venue_pairs(coin).items()
        }
        binance = self._market.by_binance_symbol.items()
        return pairs | {("Binance", symbol): coin for symbol, coin in binance}

    def coin_of_pair(self, exchange: str, instrument: str) -> Coin | None:
        """Return the coin of a venue's instrument, None where the venue has none."""
        return self._pairs.get((exchange, instrument))

    def supported_coins(self) -> list[str]:
        """Return the base symbols with a live contract somewhere, and what is no coin."""
        live = [
            spelling
            for spelling, (coin, _) in self._market.by_spelling.items()
            if self._is_live(coin, Product.OPEN_INTEREST)
        ]
        return [*live, *NOT_COINS]

    def pairs(self) -> dict[str, list[dict[str, Any]]]:
        """Return the live instruments by venue."""
        venues: dict[str, list[dict[str, Any]]] = {name: [] for name in ("Binance", *VENUE_SHARES)}
        for coin in self._market.coins:
            if self._is_live(coin, Product.PERP):
                interval = self._interval(coin)
                row = self._instrument(coin, coin.binance_symbol, coin.base_symbol, interval)
                venues["Binance"].append(row)
            if self._is_live(coin, Product.OPEN_INTEREST):
                for venue, (instrument, base) in venue_pairs(coin).items():
                    interval = 1 if venue == "Hyperliquid" else 8
                    venues[venue].append(self._instrument(coin, instrument, base, interval))
        return venues

    def delisted_pairs(self) -> dict[str, list[dict[str, Any]]]:
        """Return what Binance no longer lists; there are no dates."""
        gone = [{"instrument_id": "BTCUSD_250627", "base_asset": "BTC", "quote_asset": "USD"}]
        now = self._market.now_ms()
        for symbol, coin in self._market.by_binance_symbol.items():
            if self._market.life(coin, Product.PERP).end_ms <= now:
                base = coin.base_symbol
                gone.append({"instrument_id": symbol, "base_asset": base, "quote_asset": "USDT"})
        return {"Binance": gone}

    def open_interest(self, spelling: str) -> list[dict[str, Any]]:
        """Return open interest by venue, all of them first."""
        found = self._market.by_spelling.get(spelling)
        if found is None or not self._is_live(found[0], Product.OPEN_INTEREST):
            return []
        coin, share = found
        book, now = self._market.book(coin), self._market.now_ms()
        total = book.level_at(Product.OPEN_INTEREST, now) * share
        before = book.level_at(Product.OPEN_INTEREST, now - DAY_MS) * share
        price = book.level_at(Product.INDEX, now)
        change = 0.0 if np.isnan(before) else round((total / before - 1) * 100, 2)
        return [
            {
                "exchange": venue,
                "symbol": spelling,
                "open_interest_usd": round(total * part, 4),
                "open_interest_quantity": round(total * part / price, 4),
                "open_interest_by_coin_margin": round(total * part * 0.14, 4),
                "open_interest_by_stable_coin_margin": round(total * part * 0.86, 4),
                "open_interest_change_percent_24h": change,
            }
            for venue, part in {"All": 1.0, "Binance": 0.3, **VENUE_SHARES}.items()
        ]

    def funding(self) -> list[dict[str, Any]]:
        """Return every coin's predicted funding by venue: percent per the venue's interval."""
        now = self._market.now_ms()
        rows = []
        for spelling, (coin, _) in self._market.by_spelling.items():
            if not self._is_live(coin, Product.OPEN_INTEREST):
                continue
            rate = self._market.book(coin).level_at(Product.WEIGHTED_FUNDING, now)
            stable = self._binance_funding(coin, now)
            hourly = {"exchange": "Hyperliquid", "funding_rate_interval": 1}
            stable.append({**hourly, "funding_rate": round(rate / 8, 6)})
            later = {"funding_rate": round(rate, 6), "next_funding_time": _next(now, 8)}
            stable.append({"exchange": "HTX", **later})
            tokens = [row for row in stable if row["exchange"] == "Binance" and coin.is_major]
            rows.append(
                {
                    "symbol": spelling,
                    "stablecoin_margin_list": stable,
                    "token_margin_list": tokens,
                }
            )
        return rows

    def accumulated_funding(self, days: int) -> list[dict[str, Any]]:
        """Return the plain sum of the settlements of the last ``days`` days, in percent."""
        rows = []
        since = self._market.now_ms() - days * DAY_MS
        for coin in self._market.by_binance_symbol.values():
            if not self._is_live(coin, Product.PERP):
                continue
            paid = self._market.settlements(coin)
            total = round(float(paid.rate_pct[paid.time_ms > since].sum()), 6)
            lists = [{"exchange": "BINANCE", "funding_rate": total}]
            rows.append(
                {
                    "symbol": coin.base_symbol,
                    "stablecoin_margin_list": lists,
                    "token_margin_list": lists if coin.is_major else [],
                }
            )
        return rows

    def coins_markets(self) -> list[dict[str, Any]]:
        """Return a snapshot by coin; there is no history of it."""
        now = self._market.now_ms()
        rows = []
        for spelling, (coin, share) in self._market.by_spelling.items():
            if not self._is_live(coin, Product.OPEN_INTEREST):
                continue
            book = self._market.book(coin)
            price = book.level_at(Product.INDEX, now)
            supply = float(book.days.supply[book.day_position(now) - 1])
            open_interest = book.level_at(Product.OPEN_INTEREST, now) * share
            funding = book.level_at(Product.WEIGHTED_FUNDING, now)
            rows.append(
                {
                    "symbol": spelling,
                    "current_price": price,
                    "avg_funding_rate_by_oi": round(funding, 6),
                    "market_cap_usd": round(price * supply, 4),
                    "open_interest_usd": round(open_interest, 4),
                    "open_interest_quantity": round(open_interest / price, 4),
                }
            )
        return rows

    def _binance_funding(self, coin: Coin, now: int) -> list[dict[str, Any]]:
        if not self._is_live(coin, Product.PERP):
            return []
        interval = self._interval(coin)
        rate = self._market.book(coin).level_at(Product.PAIR_FUNDING, now)
        return [
            {
                "exchange": "Binance",
                "funding_rate_interval": interval,
                "funding_rate": round(rate, 6),
                "next_funding_time": _next(now, interval),
            }
        ]

    def _is_live(self, coin: Coin, product: Product) -> bool:
        return self._market.exists(coin, product)

    def _interval(self, coin: Coin) -> int:
        now = np.array([self._market.now_ms() + 1])
        return int(interval_hours(self._market.seed, coin, now)[0])

    def _instrument(self, coin: Coin, name: str, base: str, interval: int) -> dict[str, Any]:
        return {
            "instrument_id": name,
            "base_asset": base,
            "quote_asset": "USDT",
            "settlement_currency": "USDT",
            "max_leverage": 125 if coin.is_major else 50,
            "funding_interval": interval,
            "price_tick_size": 10.0**-coin.price_decimals,
        }


def _next(now_ms: int, hours: int) -> int:
    step = hours * HOUR_MS
    return (now_ms // step + 1) * step
