"""Klines as Binance prints them, for REST and for the archive's files."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.contracts import HOUR_MS
from lake_ingest.sandbox.messages import plain
from lake_ingest.sandbox.universe import Coin

MEAN_TRADE_USD: Final = 900.0
TAKER_BUYS: Final = 0.49


def kline_rows(coin: Coin, bars: Bars, hours: int) -> list[list[Any]]:
    """Return one row of twelve columns for each bar; prices and volumes are strings."""
    base = bars.volume_usd / ((bars.open + bars.high + bars.low + bars.close) / 4)
    trades = np.maximum(bars.volume_usd / MEAN_TRADE_USD, 1).astype(np.int64)
    form = f".{coin.price_decimals}f"
    prices = (bars.open, bars.high, bars.low, bars.close)
    columns: list[list[Any]] = [
        bars.time_ms.tolist(),
        *([format(price, form) for price in column.tolist()] for column in prices),
        plain(base.tolist(), 3),
        (bars.time_ms + hours * HOUR_MS - 1).tolist(),
        plain(bars.volume_usd.tolist(), 4),
        trades.tolist(),
        plain((base * TAKER_BUYS).tolist(), 3),
        plain((bars.volume_usd * TAKER_BUYS).tolist(), 4),
        ["0"] * len(bars),
    ]
    return [list(row) for row in zip(*columns, strict=True)]
