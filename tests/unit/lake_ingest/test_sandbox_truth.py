"""The sandbox's truth is what its vendors print, labelled and in our units."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lake_ingest.sandbox import Settings, truth
from lake_ingest.sandbox.binance import Binance
from lake_ingest.sandbox.coingecko import CoinGecko
from lake_ingest.sandbox.coinglass import CoinGlass
from lake_ingest.sandbox.contracts import day_ms
from lake_ingest.sandbox.messages import Request
from lake_ingest.sandbox.series import Market

NOW = datetime(2024, 6, 20, 0, 50, tzinfo=UTC)
LAST = date(2024, 6, 19)
FIRST = date(2023, 5, 1)
KEYS = {
    "fact_price": ["asset_id", "date"],
    "fact_marketcap": ["asset_id", "date"],
    "fact_volume": ["asset_id", "date"],
    "fact_funding": ["asset_id", "date"],
    "fact_funding_settlement": ["asset_id", "settled_at"],
    "fact_open_interest": ["asset_id", "date"],
    "fact_perp_volume": ["asset_id", "date"],
    "dim_asset": ["asset_id"],
    "dim_instrument": ["instrument_id"],
}
LIFTED = Settings(rate=10**6)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return truth(assets=34, days=400, now=NOW)


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7, 34, 400, lambda: NOW)


def series_of(table: pd.DataFrame, asset_id: str, column: str) -> pd.Series:
    rows = table[table["asset_id"] == asset_id]
    return rows.set_index("date")[column]


def test_tables_obey_the_contract(tables: dict[str, pd.DataFrame]) -> None:
    assert set(tables) == set(KEYS)
    for name, key in KEYS.items():
        table = tables[name]
        assert not table.duplicated(key).any(), name
        assert not table[key].isna().any().any(), name
        numbers = table.select_dtypes("number")
        assert np.isfinite(numbers.to_numpy(dtype=float)).all(), name
    for name in ("fact_price", "fact_marketcap", "fact_volume", "fact_open_interest"):
        assert tables[name]["date"].min() == FIRST
        assert tables[name]["date"].max() == LAST
        column = tables[name].columns[2]
        assert (tables[name][column] > 0).all()


def test_every_day_of_a_living_coin_has_its_row(tables: dict[str, pd.DataFrame]) -> None:
    n_days = (LAST - FIRST).days + 1
    for asset_id in ("BTC", "ETH", "SOL", "WAVES", "LEO", "USDT"):
        assert len(series_of(tables["fact_price"], asset_id, "close")) == n_days
        assert len(series_of(tables["fact_volume"], asset_id, "volume")) == n_days


def test_prices_are_binances_closes_per_coin(
    tables: dict[str, pd.DataFrame], market: Market
) -> None:
    vendor = Binance(market, LIFTED)
    for symbol, asset_id, multiplier in (("BTCUSDT", "BTC", 1), ("1000PEPEUSDT", "PEPE", 1000)):
        request = Request("binance", "/fapi/v1/klines", {"symbol": symbol, "interval": "1d"})
        rows = vendor.answer(request).payload
        fetched = {
            datetime.fromtimestamp(row[0] / 1000, UTC).date(): float(row[4]) / multiplier
            for row in rows[-100:-1]
        }
        closes = series_of(tables["fact_price"], asset_id, "close")
        assert closes.loc[list(fetched)].tolist() == list(fetched.values())


def test_market_caps_and_volumes_are_coingeckos_labelled_a_day_back(
    tables: dict[str, pd.DataFrame], market: Market
) -> None:
    asked = {
        "vs_currency": "usd",
        "from": str(round(NOW.timestamp()) - 300 * 86_400),
        "to": str(round(NOW.timestamp())),
    }
    request = Request("coingecko", "/coins/aptos/market_chart/range", asked)
    chart = CoinGecko(market, LIFTED).answer(request).payload
    for name, points, column in (
        ("fact_marketcap", chart["market_caps"], "marketcap"),
        ("fact_volume", chart["total_volumes"], "volume"),
    ):
        fetched = {
            datetime.fromtimestamp(stamp / 1000, UTC).date() - timedelta(days=1): value
            for stamp, value in points[:-1]
            if value
        }
        assert len(fetched) > 295
        stored = series_of(tables[name], "APT", column)
        assert stored.loc[list(fetched)].tolist() == list(fetched.values())


def test_open_interest_is_summed_over_spellings(
    tables: dict[str, pd.DataFrame], market: Market
) -> None:
    vendor = CoinGlass(market, LIFTED)
    total = 0.0
    for spelling in ("PEPE", "1000PEPE", "kPEPE"):
        request = Request(
            "coinglass",
            "/api/futures/open-interest/aggregated-history",
            {"symbol": spelling, "interval": "1d"},
            {"cg-api-key": "k"},
        )
        rows = vendor.answer(request).payload["data"]
        total += next(float(row["close"]) for row in rows if row["time"] == day_ms(LAST))
    assert series_of(tables["fact_open_interest"], "PEPE", "open_interest_usd")[LAST] == total


def test_funding_of_a_day_is_a_third_of_its_settlements(tables: dict[str, pd.DataFrame]) -> None:
    paid = tables["fact_funding_settlement"]
    for asset_id in ("BTC", "SUI", "TIA"):
        own = paid[paid["asset_id"] == asset_id]
        in_day = own[
            (own["settled_at"] > pd.Timestamp(LAST))
            & (own["settled_at"] <= pd.Timestamp(LAST) + pd.Timedelta(days=1))
        ]
        assert in_day["interval_hours"].sum() == 24
        expected = in_day["funding_rate"].sum() / 3
        assert series_of(tables["fact_funding"], asset_id, "funding_rate")[LAST] == pytest.approx(
            expected, abs=1e-15
        )
    assert (own["settled_at"].dt.second == 0).all()


def test_a_delisting_turns_price_and_funding_over_to_the_other_sources(
    tables: dict[str, pd.DataFrame],
) -> None:
    sources = series_of(tables["fact_price"], "WAVES", "source")
    assert sources[date(2024, 6, 9)] == "binance"
    assert sources[date(2024, 6, 10)] == "coingecko"  # closed at 09:00: no close at 24:00
    funding = series_of(tables["fact_funding"], "WAVES", "source")
    assert date(2024, 6, 10) not in funding
    assert funding[date(2024, 6, 11)] == "coinglass"
    row = tables["dim_instrument"].set_index("instrument_id").loc["WAVESUSDT"]
    assert row["delisted_on"] == date(2024, 6, 11)
    assert row["funding_interval_hours"] == 1
    volumes = series_of(tables["fact_perp_volume"], "WAVES", "volume")
    assert max(volumes.index) == date(2024, 6, 10)


def test_a_listing_day_has_a_price_and_no_funding(tables: dict[str, pd.DataFrame]) -> None:
    listed = date(2023, 10, 31)  # TIA, noon
    sources = series_of(tables["fact_price"], "TIA", "source")
    assert sources[listed] == "binance"
    assert sources[listed - timedelta(days=1)] == "coingecko"
    funding = series_of(tables["fact_funding"], "TIA", "funding_rate")
    assert min(funding.index) == listed + timedelta(days=1)


def test_later_days_are_added_and_earlier_ones_stay(tables: dict[str, pd.DataFrame]) -> None:
    later = truth(assets=5, days=400, now=NOW + timedelta(days=9, hours=8))
    for name, key in KEYS.items():
        if not name.startswith("fact_"):
            continue
        column = tables[name].columns[2]
        now = tables[name].set_index(key)[column]
        then = later[name].set_index(key)[column]
        shared = now.index.intersection(then.index)
        assert len(shared) > 1000
        assert now.loc[shared].tolist() == then.loc[shared].tolist(), name
