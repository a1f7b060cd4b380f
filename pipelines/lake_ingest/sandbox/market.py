"""The daily market all vendors report on: factors, regimes, fat tails, crowding.

Everything is a function of (seed, asset, day): each series draws from a stream of its own that
begins on ``EPOCH``, and every filter runs forward, so neither the clock nor the order of
requests nor the number of assets changes a value, and a longer simulation repeats the shorter.

Data flow: ``universe.csv, seed -> Factors -> AssetDays -> series.py -> vendors``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from lake_ingest.sandbox.universe import Coin, coin_named, is_renamed

Array = npt.NDArray[np.float64]

EPOCH: Final = date(2017, 1, 1)
BLOCK_DAYS: Final = 128
"""Simulations end on a multiple of this many days after ``EPOCH``."""
SECTORS: Final = ("layer1", "layer2", "defi", "meme", "payment", "game", "compute")
ANCHORING: Final = 0.9985
"""Log prices return to their anchor with a half-life of 460 days: plausible for ever."""
MAJORS_TREND: Final = 0.10
ALTS_TREND: Final = -0.10
"""Log drift of the anchors a year; equal ones would favour the more volatile side."""
TREND_PIVOT_DAYS: Final = 2500
"""Day on which the drifting anchor equals the table's."""
TAIL_DEGREES: Final = 4.0


def stream(seed: int, *labels: object) -> np.random.Generator:
    """Return the random stream that belongs to the labels, on any machine.

    Examples
    --------
    >>> a, b = stream(1, "BTC", "idio"), stream(1, "BTC", "idio")
    >>> bool(a.standard_normal() == b.standard_normal())
    True
    """
    digest = hashlib.sha256(repr((seed, *labels)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def ar1(shocks: Array, persistence: float) -> Array:
    """Return x(t) = persistence x(t-1) + shock(t), started at 0.

    Examples
    --------
    >>> ar1(np.array([1.0, 0.0, 1.0]), 0.5).tolist()
    [1.0, 0.5, 1.25]
    """
    # A plain running sum, not a filter of scipy: importing that takes longer than all series.
    return np.array(list(accumulate(shocks.tolist(), lambda x, shock: persistence * x + shock)))


def unit_ar1(rng: np.random.Generator, n_days: int, half_life_days: float) -> Array:
    """Return a Gaussian AR(1) of unit variance with the half-life."""
    persistence = 0.5 ** (1 / half_life_days)
    return ar1(rng.standard_normal(n_days) * math.sqrt(1 - persistence**2), persistence)


def fat_tailed(rng: np.random.Generator, n_days: int) -> Array:
    """Return Student draws of unit variance, cut at ten deviations."""
    unit = math.sqrt((TAIL_DEGREES - 2) / TAIL_DEGREES)
    draws: Array = rng.standard_t(TAIL_DEGREES, n_days)
    return np.clip(draws * unit, -10, 10)


def horizon_days(last: date) -> int:
    """Return the length of a simulation that holds ``last`` and the day after it.

    Examples
    --------
    >>> horizon_days(date(2017, 1, 1)), horizon_days(date(2017, 5, 7))
    (128, 128)
    >>> horizon_days(date(2017, 5, 8))
    256
    """
    needed = (last - EPOCH).days + 2
    return -(-needed // BLOCK_DAYS) * BLOCK_DAYS


@dataclass(frozen=True, slots=True)
class Factors:
    """What moves every coin; arrays of shape (n_days,), day 0 is ``EPOCH``.

    Attributes
    ----------
    turbulence : array
        Log of the market's volatility over its mean; clusters.
    season : array
        -1 (majors lead) to 1 (alts lead), with a half-life of forty days.
    btc, eth, alt : array
        Daily log returns; ``eth`` is ETH's in excess of what BTC explains.
    sectors : dict of str to array
        Daily log returns of each sector, market taken out.
    """

    turbulence: Array
    season: Array
    btc: Array
    eth: Array
    alt: Array
    sectors: dict[str, Array]


@dataclass(frozen=True, slots=True)
class AssetDays:
    """One asset's simulated days; arrays of shape (n_days,), day 0 is ``EPOCH``.

    Attributes
    ----------
    log_price : array
        Log USD price of one coin at 24:00.
    volatility : array
        Standard deviation of the day's log return.
    crowding : array
        How long the crowd is: about unit variance, follows past returns.
    supply : array
        Coins in circulation.
    volume_usd : array
        USD traded in the day over all venues.
    open_interest_usd : array
        Open interest of all venues at 24:00, were all of them open.
    """

    log_price: Array
    volatility: Array
    crowding: Array
    supply: Array
    volume_usd: Array
    open_interest_usd: Array


def simulate_factors(seed: int, n_days: int) -> Factors:
    """Return the market's factors for ``n_days`` days from ``EPOCH``."""
    btc_shocks = fat_tailed(stream(seed, "btc"), n_days)
    # Falling markets are turbulent ones: volatility reacts to the return of the same day.
    turbulence = ar1(
        0.09 * stream(seed, "turbulence").standard_normal(n_days) - 0.05 * btc_shocks, 0.965
    )
    level = np.exp(turbulence - 0.08)
    season = np.tanh(1.3 * unit_ar1(stream(seed, "season"), n_days, 40))
    tide = np.tanh(unit_ar1(stream(seed, "tide"), n_days, 120))
    btc = 0.025 * level * btc_shocks + 0.0012 * tide
    eth = 0.018 * level * fat_tailed(stream(seed, "eth"), n_days) + 0.0004 * season
    alt = 0.015 * np.sqrt(level) * fat_tailed(stream(seed, "alt"), n_days)
    return Factors(
        turbulence=turbulence,
        season=season,
        btc=btc,
        eth=eth,
        alt=alt + 0.0028 * season,
        sectors={
            name: 0.010 * np.sqrt(level) * fat_tailed(stream(seed, "sector", name), n_days)
            for name in SECTORS
        },
    )


def simulate_asset(seed: int, coin: Coin, factors: Factors) -> AssetDays:
    """Return one asset's days on the factors; equal for every set of other assets."""
    log_returns, volatility = _returns(seed, coin, factors)
    persistence = 0.7 if coin.kind == "stablecoin" else ANCHORING
    deviation = ar1(log_returns, persistence) + _trend(coin, len(log_returns))
    deviation = deviation + _decline(coin, len(log_returns))
    crowding = _crowding(seed, coin, log_returns / volatility, factors.season)
    return AssetDays(
        log_price=np.log(coin.price_usd) + deviation,
        volatility=volatility,
        crowding=crowding,
        supply=_supply(seed, coin, len(log_returns)),
        volume_usd=_volume(seed, coin, deviation, log_returns / volatility, factors),
        open_interest_usd=_open_interest(seed, coin, deviation, crowding),
    )


def _returns(seed: int, coin: Coin, factors: Factors) -> tuple[Array, Array]:
    """Return the log returns and their standard deviations."""
    level = np.exp(factors.turbulence - 0.08)
    if coin.asset_id == "BTC":
        return factors.btc, 0.025 * level
    if coin.asset_id == "ETH":
        return 0.95 * factors.btc + factors.eth, float(np.hypot(0.024, 0.018)) * level
    if coin.kind == "coin":
        return _alt_returns(seed, coin, factors)
    own = fat_tailed(stream(seed, coin.asset_id, "own"), len(level))
    if coin.follows:
        leader, volatility = _returns(seed, coin_named(coin.follows), factors)
        return leader + 0.0003 * own, volatility
    scale = 0.0004 if coin.kind == "stablecoin" else 0.009
    return scale * own, np.full(len(level), scale)


def _alt_returns(seed: int, coin: Coin, factors: Factors) -> tuple[Array, Array]:
    """Return an ALT's log returns: drifting betas on both majors, ALT and sector factors, own."""
    n_days, name = len(factors.btc), coin.stream_id
    level = np.exp(factors.turbulence - 0.08)
    traits = stream(seed, name, "traits")
    own_scale = traits.uniform(0.022, 0.034) + 0.008 * (coin.sector == "meme")
    own_scale += 0.006 * (coin.market_cap_usd < 1e9)
    base_btc, base_eth = traits.uniform(0.25, 0.65), traits.uniform(0.30, 0.70)
    beta_btc = base_btc + 0.10 * unit_ar1(stream(seed, name, "beta_btc"), n_days, 150)
    beta_eth = base_eth + 0.12 * unit_ar1(stream(seed, name, "beta_eth"), n_days, 150)
    loading = traits.uniform(0.7, 1.3) * (0.5 if coin.market_cap_usd > 4e10 else 1.0)
    own_turbulence = 0.35 * unit_ar1(stream(seed, name, "turbulence"), n_days, 20)
    own = own_scale * np.exp(0.5 * factors.turbulence + own_turbulence - 0.1)
    log_returns = (
        beta_btc * factors.btc
        + beta_eth * (factors.btc + factors.eth)
        + loading * factors.alt
        + factors.sectors[coin.sector]
        + own * fat_tailed(stream(seed, name, "own"), n_days)
    )
    market = (beta_btc + beta_eth) * 0.025 * level
    volatility = np.sqrt(market**2 + (0.018 * np.sqrt(level)) ** 2 + own**2)
    return np.clip(log_returns, -0.6, 0.6), volatility


def _trend(coin: Coin, n_days: int) -> Array:
    """Return the slow drift of the anchor: majors gain on the ALTs, as they have done."""
    leader = coin_named(coin.follows) if coin.follows else coin
    yearly = 0.0 if not leader.sector else MAJORS_TREND if leader.is_major else ALTS_TREND
    return yearly * (np.arange(n_days) - TREND_PIVOT_DAYS) / 365


def _decline(coin: Coin, n_days: int) -> Array:
    """Return the log fall of a coin that dies: 2 % a day over its last 120 days."""
    if coin.dies_on == date.max or is_renamed(coin.asset_id):
        return np.zeros(n_days)
    days_left = (coin.dies_on - EPOCH).days - np.arange(n_days)
    return -0.02 * np.clip(120 - days_left, 0, 120).astype(np.float64)


def _crowding(seed: int, coin: Coin, surprises: Array, season: Array) -> Array:
    """Return how long the crowd is: it chases the last two weeks' returns."""
    chased = ar1(surprises, 0.88) * math.sqrt(1 - 0.88**2)
    mood = unit_ar1(stream(seed, coin.stream_id, "crowding"), len(season), 6)
    return 0.75 * chased + 0.5 * mood + (0.0 if coin.is_major else 0.5) * season


def _supply(seed: int, coin: Coin, n_days: int) -> Array:
    """Return a slowly growing supply, with a small unlock now and then."""
    is_steady = coin.sector in ("", "major")
    yearly = 0.01 if is_steady else stream(seed, coin.stream_id, "supply").uniform(0.0, 0.06)
    chance = stream(seed, coin.stream_id, "unlocks").random(n_days)
    unlocks = np.where((chance < 1 / 180) & (not is_steady), 0.4 * chance, 0.0)
    growth = np.cumsum(yearly / 365 + unlocks) - yearly / 365 * TREND_PIVOT_DAYS
    return np.round(coin.market_cap_usd / coin.price_usd * np.exp(growth))


def _volume(seed: int, coin: Coin, deviation: Array, surprises: Array, factors: Factors) -> Array:
    """Return USD traded: it follows price, turbulence and the size of the day's move."""
    n_days, name = len(deviation), coin.stream_id
    traits = stream(seed, name, "turnover")
    turnover = traits.uniform(0.03, 0.09) if coin.spellings else traits.uniform(0.004, 0.01)
    weekday = (np.arange(n_days) + EPOCH.weekday()) % 7
    log_volume = (
        0.7 * deviation
        + 0.7 * factors.turbulence
        + 0.35 * np.minimum(np.abs(surprises), 6)
        + 0.25 * factors.season * (coin.sector not in ("", "major"))
        + 0.35 * unit_ar1(stream(seed, name, "volume"), n_days, 8)
        - 0.22 * (weekday >= 5)
        + 0.12 * stream(seed, name, "volume noise").standard_normal(n_days)
        - 0.3
    )
    return coin.market_cap_usd * turnover * np.exp(log_volume)


def _open_interest(seed: int, coin: Coin, deviation: Array, crowding: Array) -> Array:
    """Return open interest in USD: it follows price and, slowly, the crowd."""
    traits = stream(seed, coin.stream_id, "leverage")
    ratio = 0.025 if coin.is_major else float(traits.uniform(0.025, 0.07))
    built = ar1(crowding, 0.93) * math.sqrt(1 - 0.93**2)
    drift = unit_ar1(stream(seed, coin.stream_id, "open interest"), len(deviation), 25)
    log_open_interest: Array = 0.9 * deviation + 0.10 * built + 0.15 * drift
    return coin.market_cap_usd * ratio * np.exp(log_open_interest)
