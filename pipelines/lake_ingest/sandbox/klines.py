"""Klines as Binance prints them, for REST and for the archive's files."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.contracts import HOUR_MS
from lake_ingest.sandbox.messages import plain
from lake_ingest.sandbox.universe import Coin

MEAN_TRADE_USD: Final = 900.0


def kline_rows(coin: Coin, bars: Bars, hours: int) -> list[list[Any]]:
    """Return one row of twelve columns for each bar; prices and volumes are strings."""
    typical = (bars.open + bars.high + bars.low + bars.close) / 4
    base = bars.volume_usd / typical
    trades = np.maximum(bars.volume_usd / MEAN_TRADE_USD, 1).astype(np.int64)
    decimals = coin.price_decimals
    rows = zip(
        bars.time_ms.tolist(),
        *(column.tolist() for column in (bars.open, bars.high, bars.low, bars.close)),
        base.tolist(),
        bars.volume_usd.tolist(),
        trades.tolist(),
        strict=True,
    )
    return [
        [
            time,
            *(f"{price:.{decimals}f}" for price in prices),
            plain(volume, 3),
            time + hours * HOUR_MS - 1,
            plain(quote, 4),
            count,
            plain(volume * 0.49, 3),
            plain(quote * 0.49, 4),
            "0",
        ]
        for time, *prices, volume, quote, count in rows
    ]
