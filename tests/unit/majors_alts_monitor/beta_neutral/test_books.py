"""The proposed book of every day: limits, reasons, causality, independence of neighbours."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.beta_neutral import (
    Exclusion,
    apply_scale,
    cap_weights,
    estimate_betas,
    propose_books,
    scale_limit,
    solve_hedge,
)
from majors_alts_monitor.config import load_config
from majors_alts_monitor.types import CloseVersions
from tests.fixtures.markets import (
    market_of,
    rewritten_after,
    simulated_market,
    with_columns,
)

CONFIG = load_config()
LAST = 119


def config(*overrides):
    return load_config(overrides=overrides)


def assert_same_books(one, other, rows=slice(None)):
    for field in fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left[rows], right[rows], err_msg=field.name)


def dumb_book(market, row, settings):
    """The same book with pandas, one asset at a time."""
    universe, closes = settings.universe, market.closes_as_known(row, 61)
    prices = pd.DataFrame(closes, columns=market.assets)
    returns = prices.pct_change(fill_method=None).iloc[1:]
    passing = {}
    for i, name in enumerate(market.assets):
        if not market.is_eligible[row, i]:
            continue
        volatility = returns[name].tail(20).std() * 365**0.5
        if returns[name].tail(20).isna().any() or not 0 < volatility <= 1:
            continue
        pairs = [returns[name].corr(returns[major], min_periods=30) for major in ("BTC", "ETH")]
        week = prices[name].iloc[-1] / prices[name].iloc[-8] - 1
        if max(map(abs, pairs)) >= 0.3 and -0.5 <= week <= 0.5:
            passing[name] = volatility
    volume = pd.Series(market.volume_median_7d_usd[row], index=market.assets)[list(passing)]
    members = sorted(volume.sort_values(ascending=False, kind="stable").index[:20])
    logs = np.log(prices).diff().iloc[1:]
    betas = estimate_betas(logs[list(passing)], logs[["BTC", "ETH"]], settings.beta)
    leg = -0.5 * cap_weights(1 / pd.Series(passing)[members], universe.per_name_cap)
    hedge = solve_hedge(
        leg,
        betas,
        covariance=returns[["BTC", "ETH"]].dropna().cov(),
        major_caps=universe.major_cap,
        gross_cap=universe.gross_cap,
    )
    book = pd.concat([leg * hedge.alt_scale, hedge.weights])
    return book.reindex(market.assets).fillna(0.0)


@pytest.mark.parametrize("seed", range(4))
def test_book_agrees_with_one_made_asset_by_asset(seed):
    market = simulated_market(n_alts=30, seed=seed, missing=0.01)

    books = propose_books(market, CONFIG)

    for row in (61, 90, LAST):
        expected = dumb_book(market, row, CONFIG)
        np.testing.assert_allclose(books.weights[row], expected, rtol=1e-9, atol=1e-14)
        assert books.has_book[row]


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("universe.major_cap=0.2",),
        ("universe.neutrality_mode=dollar_neutral",),
        ("universe.neutrality_mode=dollar_neutral", "universe.major_cap=0.2"),
        ("universe.gross_cap=0.6", "universe.alt_selection.weighting=equal"),
        ("universe.per_name_cap=0.06",),
    ],
)
def test_limits_hold_on_every_day(overrides):
    settings = config(*overrides)
    universe = settings.universe
    market = simulated_market(n_alts=15, seed=3, missing=0.01)

    books = propose_books(market, settings)

    assert books.has_book[61:].all()
    majors = books.weights[:, list(market.major_columns)]
    alts = books.weights[:, market.is_alt]
    assert (alts <= 0).all()
    assert (alts >= -universe.per_name_cap * universe.alt_gross - 1e-15).all()
    assert ((majors >= 0) & (majors <= universe.major_cap)).all()
    gross = np.abs(books.weights).sum(axis=1)
    assert (gross <= universe.gross_cap + 1e-12).all()
    np.testing.assert_allclose(gross, books.gross, atol=1e-12)
    exposure = np.nansum(books.weights[:, :, None] * books.betas, axis=1)
    np.testing.assert_allclose(exposure, books.residual, atol=1e-12)


def test_free_book_has_no_beta_left():
    books = propose_books(simulated_market(n_alts=15), CONFIG)

    free = books.has_book & ((books.binding & 0b011) == 0)
    assert free.sum() > 50
    np.testing.assert_allclose(books.residual[free], 0, atol=1e-14)


def test_leg_is_partly_cash_when_caps_cannot_hold_it():
    market = simulated_market(n_alts=6)

    books = propose_books(market, config("universe.gross_cap=5"))

    # Six names at 10 % of the leg: .6 x .5 of NAV.
    assert -books.weights[LAST, market.is_alt].sum() == pytest.approx(0.3)


def test_fewer_names_than_needed_is_no_book_and_says_why():
    books = propose_books(simulated_market(n_alts=4), CONFIG)

    assert not books.has_book.any()
    assert books.no_book_reason(LAST) == "no_basket"
    assert not books.weights.any()


def test_first_days_lack_history_and_say_so():
    wild = config("universe.alt_selection.max_volatility=9")

    books = propose_books(simulated_market(n_alts=6), wild)

    assert books.no_book_reason(10) == "no_basket"
    assert set(books.excluded(10).values()) == {"volatility_history"}
    assert set(books.excluded(25).values()) == {"correlation_history"}
    assert books.excluded(0) == {}


def test_basket_is_in_order_of_volume_and_the_rest_lost_by_rank():
    market = simulated_market(n_alts=12)

    books = propose_books(market, config("universe.basket_size=7"))

    volume = pd.Series(market.volume_median_7d_usd[LAST], index=market.assets)
    ordered = volume.drop(["BTC", "ETH"]).sort_values(ascending=False)
    codes = pd.Series(books.exclusion[LAST], index=market.assets)
    passing = ordered[codes.isin([Exclusion.MEMBER, Exclusion.RANK])].index
    assert books.basket(LAST) == list(passing[:7])
    assert [n for n, why in books.excluded(LAST).items() if why == "rank"] == sorted(passing[7:])


def test_reason_is_given_for_every_eligible_asset_outside_the_basket():
    market = simulated_market(n_alts=10)
    closes = pd.DataFrame(market.close_usd, index=market.dates, columns=market.assets)
    closes["ALT00"] = 1.0
    closes.loc[closes.index[-10], "ALT01"] = np.nan
    closes.loc[closes.index[-1], "ALT02"] *= 1.8
    closes["ALT03"] = 100 * np.exp(np.cumsum(np.random.default_rng(9).normal(0, 0.02, 120)))

    books = propose_books(market_of(closes), CONFIG, range(LAST, LAST + 1))

    assert books.excluded(0) == {
        "ALT00": "zero_volatility",
        "ALT01": "volatility_history",
        "ALT02": "volatility",
        "ALT03": "correlation",
    }
    assert len(books.basket(0)) == 6


def test_asset_without_enough_joint_days_is_flagged_as_holding_the_prior():
    market = simulated_market(n_alts=8, n_days=80)
    closes = pd.DataFrame(market.close_usd, index=market.dates, columns=market.assets)
    closes.loc[closes.index[:-26], "ALT03"] = np.nan
    off = config("universe.alt_selection.enabled=false")

    books = propose_books(market_of(closes), off, range(79, 80))

    assert market.assets[books.is_prior[0]].tolist() == ["ALT03"]
    column = market.assets.get_loc("ALT03")
    np.testing.assert_array_equal(books.betas[0, column], books.prior[0])


def test_days_without_a_major_are_left_out_of_the_covariance_and_counted():
    market = simulated_market(n_alts=8)
    closes = pd.DataFrame(market.close_usd, index=market.dates, columns=market.assets)
    closes.loc[closes.index[-30], "ETH"] = np.nan

    books = propose_books(market_of(closes), CONFIG)

    assert books.covariance_days[80] == 60
    assert books.covariance_days[LAST] == 58
    assert books.has_book[LAST]


def test_majors_without_history_give_no_book():
    market = simulated_market(n_alts=8)
    closes = pd.DataFrame(market.close_usd, index=market.dates, columns=market.assets)
    closes.loc[closes.index[:-1], "BTC"] = np.nan
    off = config("universe.alt_selection.enabled=false")

    books = propose_books(market_of(closes), off, range(LAST, LAST + 1))

    assert books.no_book_reason(0) == "no_covariance"


def test_limits_are_named():
    books = propose_books(simulated_market(n_alts=15), config("universe.major_cap=0.1"))

    assert books.limits(LAST) == ("cap_BTC", "cap_ETH")
    assert books.residual[LAST].max() < 0


@pytest.mark.parametrize(
    "change", [lambda a: a * 1000, lambda a: np.roll(a, 1, axis=1), lambda a: a[::-1]]
)
def test_rewriting_the_future_leaves_the_past_unchanged(change):
    market = simulated_market(n_alts=10, missing=0.02)

    one = propose_books(market, CONFIG)
    other = propose_books(rewritten_after(market, 90, change), CONFIG)

    assert_same_books(one, other, slice(None, 91))


def test_one_day_alone_is_the_same_as_within_all_days():
    market = simulated_market(n_alts=10, missing=0.02)

    alone = propose_books(market, CONFIG, range(100, 101))
    every = propose_books(market, CONFIG)

    assert alone.dates[0] == market.dates[100]
    for field in ("weights", "betas", "residual", "exclusion", "rank", "volatility"):
        np.testing.assert_array_equal(getattr(alone, field)[0], getattr(every, field)[100])


@pytest.mark.parametrize("seed", range(5))
def test_other_names_and_empty_assets_change_no_bit(seed):
    market = simulated_market(n_alts=25, seed=seed, missing=0.02)
    # Ten columns of nothing, spread over the alphabet.
    names = [*market.assets, *(f"{c}EMPTY" for c in "ABCDEFGHYZ")]
    order = np.argsort(names)
    columns = np.where(order < len(market.assets), order, -1)
    padded = with_columns(market, columns, [names[i] for i in order])

    one, other = propose_books(market, CONFIG), propose_books(padded, CONFIG)

    kept = padded.assets.get_indexer(market.assets)
    for field in ("weights", "betas", "exclusion", "rank", "volatility", "is_prior"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field)[:, kept])
    for field in ("residual", "gross", "alt_scale", "binding", "prior", "no_book"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_ineligible_assets_do_not_touch_the_book():
    market = simulated_market(n_alts=12)
    out = market.assets.get_loc("ALT05")
    eligible = market.is_eligible.copy()
    eligible[:, out] = False
    without = np.delete(np.arange(len(market.assets)), out)

    one = propose_books(replace(market, is_eligible=eligible), CONFIG)
    other = propose_books(with_columns(market, without, list(market.assets[without])), CONFIG)

    np.testing.assert_array_equal(one.weights[:, without], other.weights)
    assert not one.weights[:, out].any()


def test_revised_close_is_read_only_by_the_rows_that_knew_it():
    market = simulated_market(n_alts=8)
    column = int(market.assets.get_loc("ALT01"))
    wild = CloseVersions(
        day=np.array([100]),
        asset=np.array([column]),
        read_from=np.array([103]),
        read_to=np.array([106]),
        close_usd=np.array([market.close_usd[100, column] * 3]),
    )

    one, other = (
        propose_books(market, CONFIG),
        propose_books(replace(market, close_versions=wild), CONFIG),
    )

    changed = np.flatnonzero((one.weights != other.weights).any(axis=1))
    assert changed.tolist() == [103, 104, 105]


def test_scaling_down_scales_everything():
    book = np.array([0.25, 0.5, -0.25])

    scaled, used = apply_scale(book, 0.5, CONFIG.universe)

    assert used == 0.5
    assert scaled.tolist() == [0.125, 0.25, -0.125]


def test_scaling_up_stops_at_the_cap_of_a_major():
    # .75 / .6 = 1.25 comes before 1 / .75.
    scaled, used = apply_scale(np.array([0.6, 0.05, -0.1]), 2.0, CONFIG.universe)

    assert used == pytest.approx(1.25)
    assert scaled[0] == pytest.approx(0.75)


def test_scaling_up_stops_at_the_gross_cap():
    scaled, used = apply_scale(np.array([0.25, 0.25, -0.3]), 2.0, CONFIG.universe)

    assert used == pytest.approx(1.25)
    assert np.abs(scaled).sum() == pytest.approx(1.0)


def test_book_at_its_caps_is_not_scaled_down_by_rounding():
    assert scale_limit(np.array([0.75 + 1e-16, -0.25]), CONFIG.universe) == 1.0
    assert scale_limit(np.zeros(3), CONFIG.universe) == np.inf


@pytest.mark.parametrize("scale", [0.0, 0.4, 1.0, 1.7, 5.0])
def test_caps_hold_at_every_scale(scale):
    universe = CONFIG.universe
    market = simulated_market(n_alts=15, seed=2)
    book = propose_books(market, CONFIG, range(LAST, LAST + 1)).weights[0]

    scaled, used = apply_scale(book, scale, universe)

    limit = universe.per_name_cap * universe.alt_gross * used
    assert (scaled[market.is_alt] >= -limit - 1e-15).all()
    assert scaled.max() <= universe.major_cap + 1e-15
    assert np.abs(scaled).sum() <= max(universe.gross_cap, 1.0) + 1e-12
