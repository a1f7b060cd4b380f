"""The synthetic market: the same for ever, and like a market."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime

import numpy as np
import pytest

from lake_ingest.sandbox.bars import Bars
from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS, interval_changes
from lake_ingest.sandbox.market import (
    EPOCH,
    Array,
    AssetDays,
    Factors,
    horizon_days,
    simulate_asset,
    simulate_factors,
)
from lake_ingest.sandbox.series import Market, Product
from lake_ingest.sandbox.universe import coin_named, coins
from pipeline_kit.paths import seeds_dir

SEED = 7
FIVE_YEARS = 1825
N_DAYS = horizon_days(date(2026, 11, 22))
ALTS = ("SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "UNI", "NEAR", "AAVE", "GALA")


@pytest.fixture(scope="module")
def factors() -> Factors:
    return simulate_factors(SEED, N_DAYS)


@pytest.fixture(scope="module")
def simulated(factors: Factors) -> dict[str, AssetDays]:
    names = ("BTC", "ETH", *ALTS)
    return {name: simulate_asset(SEED, coin_named(name), factors) for name in names}


def returns_of(days: AssetDays) -> Array:
    return np.diff(days.log_price)[-FIVE_YEARS:]


def market_at(now: datetime, n_assets: int = 12, days: int = 200, seed: int = SEED) -> Market:
    return Market(seed, n_assets, days, lambda: now)


def closed(bars: Bars, now: datetime, hours: int) -> Bars:
    return bars[bars.time_ms + hours * HOUR_MS <= round(now.timestamp() * 1000)]


def kurtosis(x: Array) -> float:
    z = (x - x.mean()) / x.std()
    return float((z**4).mean())


def test_a_longer_simulation_repeats_the_shorter_one(factors: Factors) -> None:
    short = simulate_factors(SEED, 1280)
    for name in ("SOL", "PEPE", "WAVES", "USDT", "STETH"):
        longer = simulate_asset(SEED, coin_named(name), factors)
        shorter = simulate_asset(SEED, coin_named(name), short)
        for field in AssetDays.__slots__:
            assert np.array_equal(getattr(longer, field)[:1280], getattr(shorter, field))


def test_another_seed_is_another_market(factors: Factors) -> None:
    assert not np.array_equal(simulate_factors(8, N_DAYS).btc, factors.btc)


@pytest.mark.parametrize("product", list(Product))
def test_a_closed_bar_is_the_same_whenever_and_however_it_is_asked_for(product: Product) -> None:
    coin = coin_named("PEPE")
    early, late = (
        datetime(2024, 6, 3, 0, 50, tzinfo=UTC),
        datetime(2024, 6, 20, 17, 11, tzinfo=UTC),
    )
    first, second = market_at(early), market_at(late, n_assets=60, days=90)
    second.book(coin_named("BTC"))
    before = closed(first.bars(coin, product, 8), early, 8)
    after = closed(second.bars(coin, product, 8), late, 8)
    shared = after.time_ms[1:]  # the first bar of a visible history has no value before it
    at_early, at_late = np.isin(before.time_ms, shared), np.isin(after.time_ms, before.time_ms)
    at_late[0] = False
    assert at_early.sum() > 100
    for column in Bars.__slots__:
        assert np.array_equal(getattr(before, column)[at_early], getattr(after, column)[at_late]), (
            column
        )


def test_nothing_lies_after_the_clock_and_the_last_bar_is_forming() -> None:
    now = datetime(2024, 6, 3, 5, 30, tzinfo=UTC)
    later = datetime(2024, 6, 4, 0, 30, tzinfo=UTC)
    coin = coin_named("BTC")
    forming = market_at(now).bars(coin, Product.PERP, 24)
    final = market_at(later).bars(coin, Product.PERP, 24)
    assert (
        forming.time_ms[-1] == final.time_ms[-2] == round(now.timestamp() * 1000) // DAY_MS * DAY_MS
    )
    assert forming.open[-1] == final.open[-2]
    assert forming.volume_usd[-1] < 0.5 * final.volume_usd[-2]
    assert forming.close[-1] != final.close[-2]
    assert final.low[-2] <= forming.low[-1] <= forming.high[-1] <= final.high[-2]


def test_a_market_in_which_history_begins_later_has_the_same_days() -> None:
    now = datetime(2024, 6, 3, 0, 50, tzinfo=UTC)
    long, short = market_at(now, days=400), market_at(now, days=40)
    coin = coin_named("SOL")
    shared = short.bars(coin, Product.INDEX, 24)
    whole = long.bars(coin, Product.INDEX, 24)
    assert np.array_equal(whole.close[-len(shared) :], shared.close)
    assert short.first_day == date(2024, 4, 1)


def test_returns_have_fat_tails_and_their_size_clusters(simulated: dict[str, AssetDays]) -> None:
    for name in ("BTC", "ETH", "SOL", "ADA"):
        size = np.abs(returns_of(simulated[name]))
        assert kurtosis(returns_of(simulated[name])) > 4.0
        near = np.mean([np.corrcoef(size[lag:], size[:-lag])[0, 1] for lag in range(1, 11)])
        assert near > 0.03, name


def test_volatilities_are_those_of_coins(simulated: dict[str, AssetDays]) -> None:
    yearly = {name: returns_of(days).std() * np.sqrt(365) for name, days in simulated.items()}
    assert 0.3 < yearly["BTC"] < 0.8
    assert yearly["BTC"] < yearly["ETH"] < 1.0
    assert all(0.5 < yearly[name] < 1.5 for name in ALTS)


def test_alts_share_the_market_of_btc_and_eth(simulated: dict[str, AssetDays]) -> None:
    alts = np.array([returns_of(simulated[name]) for name in ALTS])
    majors = (returns_of(simulated["BTC"]) + returns_of(simulated["ETH"])) / 2
    each = [np.corrcoef(row, majors)[0, 1] for row in alts]
    assert min(each) > 0.4
    assert np.corrcoef(alts.mean(axis=0), majors)[0, 1] > 0.7
    assert max(each) < 0.95


def test_both_sides_have_their_seasons(simulated: dict[str, AssetDays]) -> None:
    alts = np.mean([returns_of(simulated[name]) for name in ALTS], axis=0)
    majors = (returns_of(simulated["BTC"]) + returns_of(simulated["ETH"])) / 2
    quarters = (alts - majors)[: 91 * 20].reshape(20, 91).sum(axis=1)
    assert (quarters > 0.02).sum() >= 5
    assert (quarters < -0.02).sum() >= 5


def test_volume_rises_with_the_size_of_the_move(simulated: dict[str, AssetDays]) -> None:
    for name in ("BTC", "SOL", "GALA"):
        size = np.abs(returns_of(simulated[name]))
        volume = np.log(simulated[name].volume_usd[-FIVE_YEARS:])
        assert np.corrcoef(size, volume)[0, 1] > 0.2, name


def test_crowds_chase_returns_and_funding_follows_them() -> None:
    now = datetime(2026, 11, 23, 0, 50, tzinfo=UTC)
    market = market_at(now, n_assets=4, days=1500)
    for coin in market.coins[1:4]:
        days = market.book(coin).days
        paid = market.settlements(coin)
        day = paid.time_ms // DAY_MS + market.book(coin).day_position(0)
        crowding = days.crowding[day]
        assert np.corrcoef(crowding, paid.rate_pct)[0, 1] > 0.3, coin.asset_id
        week = days.log_price[7:] - days.log_price[:-7]
        assert np.corrcoef(week, days.crowding[7:])[0, 1] > 0.3, coin.asset_id


def test_most_idle_contracts_pay_exactly_one_basis_point() -> None:
    paid = market_at(datetime(2026, 11, 23, 0, 50, tzinfo=UTC), 3, 1500).settlements(
        coin_named("BTC")
    )
    assert (paid.rate_pct == 0.01).mean() > 0.4
    assert paid.rate_pct.max() > 0.03
    assert paid.rate_pct.min() < 0


def test_supply_grows_slowly(simulated: dict[str, AssetDays]) -> None:
    for days in simulated.values():
        growth = np.diff(np.log(days.supply))
        assert growth.min() >= -1e-9
        assert days.supply[-1] / days.supply[-366] < 1.12


def test_prices_stay_plausible_for_ten_years(simulated: dict[str, AssetDays]) -> None:
    for name, days in simulated.items():
        anchor = np.log(coin_named(name).price_usd)
        assert np.abs(days.log_price - anchor).max() < np.log(60), name


def test_some_contracts_change_their_interval() -> None:
    kinds = {
        tuple(h for _, h in interval_changes(SEED, coin)) for coin in coins() if coin.spellings
    }
    assert {(8,), (8, 4), (8, 4, 1)} <= kinds


def test_the_universe_holds_every_row_of_the_asset_map() -> None:
    table = (seeds_dir() / "asset_map.csv").read_text(encoding="utf-8")
    known = {coin.asset_id: coin for coin in coins()}
    for row in csv.DictReader(table.splitlines()):
        coin = known[row["asset_id"]]
        assert coin.coingecko_id == row["coingecko_id"]
        assert coin.binance_symbol == row["binance_symbol"]
        assert " ".join(coin.spellings) == row["coinglass_spellings"].replace("|", " ")
        assert (coin.multiplier, coin.kind) == (int(row["multiplier"]), row["kind"])


def test_a_ticker_that_is_replaced_goes_on_at_its_price() -> None:
    factors = simulate_factors(SEED, horizon_days(date(2024, 10, 1)))
    old, new = (simulate_asset(SEED, coin_named(name), factors) for name in ("MATIC", "POL"))
    assert np.array_equal(old.log_price, new.log_price)
    assert coin_named("POL").born_on == coin_named("MATIC").dies_on
    assert coin_named("POL").born_on > EPOCH
