"""The richer objective: the plain book when nothing costs, and each term on its own."""

import numpy as np
import pytest

from majors_alts_monitor.beta_neutral.rich_objective import RichTerms, enrich_book
from majors_alts_monitor.config import load_config

UNIVERSE = load_config().universe
FREE = RichTerms(
    horizon_days=20,
    risk_aversion=50,
    cost_bps=0,
    impact_coefficient=0,
    participation=float("inf"),
)
# BTC, ETH and ten ALTs with betas (.5, .6): a = -.05 each, x = (.25, .30), gross 1.05 -> / 1.05.
BETAS = np.vstack([np.eye(2), np.tile([0.5, 0.6], (10, 1))])
NEUTRAL = np.array([0.25, 0.30, *[-0.05] * 10]) / 1.05
S = np.array([[0.0009, 0.00102], [0.00102, 0.0016]])


def enriched(terms, *, neutral=NEUTRAL, held=None, **changes):
    inputs = {
        "betas": BETAS,
        "covariance": S,
        "own_variance": np.array([0.0, 0.0, *[0.0009] * 10]),
        "funding_rate_1d": np.zeros(12),
        "adv_usd": np.full(12, 1e7),
        "sigma": np.full(12, 0.04),
        "account_usd": 1e6,
    } | changes
    held = np.zeros(12) if held is None else held
    return enrich_book(neutral, held, universe=UNIVERSE, terms=terms, **inputs)


def with_terms(**changes):
    return RichTerms(**{name: getattr(FREE, name) for name in FREE.__slots__} | changes)


def test_without_costs_it_is_the_neutral_book():
    book = enriched(FREE)

    assert book.is_solved
    np.testing.assert_allclose(book.weights, NEUTRAL, atol=1e-5)
    np.testing.assert_allclose(book.residual, 0, atol=1e-5)


def test_prohibitive_cost_keeps_the_book_held():
    held = NEUTRAL * 0.9

    book = enriched(with_terms(cost_bps=1e5), held=held)

    np.testing.assert_allclose(book.weights, held, atol=1e-5)


def test_cost_leaves_part_of_the_way_untraded():
    held = NEUTRAL.copy()
    held[2:] *= np.linspace(0.8, 1.0, 10)

    costly = enriched(with_terms(cost_bps=10.0), held=held)
    free = enriched(FREE, held=held)

    assert np.abs(costly.weights - held).sum() < np.abs(free.weights - held).sum()


def test_impact_moves_the_thin_asset_less():
    thin = np.full(12, 1e7)
    thin[4] = 1e5

    book = enriched(with_terms(impact_coefficient=1.0), adv_usd=thin)

    assert abs(book.weights[4]) < 0.8 * abs(book.weights[5])


def test_no_trade_exceeds_its_share_of_volume():
    thin = np.full(12, 1e9)
    thin[4] = 1e5

    # 5 % of 100,000 USD is .005 of a million.
    book = enriched(with_terms(participation=0.05), adv_usd=thin)

    assert book.weights[4] == pytest.approx(-0.005, abs=1e-6)


def test_short_that_is_paid_for_is_larger_than_one_that_pays():
    rates = np.zeros(12)
    rates[4], rates[5] = 1e-4, -1e-4

    book = enriched(FREE, funding_rate_1d=rates, neutral=NEUTRAL / 2)

    assert book.weights[4] < book.weights[5] - 1e-4


def test_caps_hold():
    rates = np.zeros(12)
    rates[2:] = 0.05

    book = enriched(FREE, funding_rate_1d=rates)

    assert (book.weights >= -UNIVERSE.per_name_cap * UNIVERSE.alt_gross - 1e-9).all()
    assert book.weights[:2].max() <= UNIVERSE.major_cap
    assert np.abs(book.weights).sum() <= UNIVERSE.gross_cap + 1e-6


def test_a_cap_out_of_reach_is_neared_by_the_largest_trade():
    held = NEUTRAL.copy()
    held[3] = -0.4

    # 1 % of 10m USD is .1 of a million: from -.4 towards the cap of -.05 it gets to -.3.
    book = enriched(with_terms(participation=0.01), held=held)

    assert book.is_solved
    assert book.weights[3] == pytest.approx(-0.3, abs=1e-6)


def test_no_position_exceeds_its_share_of_volume():
    thin = np.full(12, 1e9)
    thin[4] = 1e5

    # A tenth of 100,000 USD is .01 of a million.
    book = enriched(with_terms(adv_share=0.1), adv_usd=thin)

    assert book.weights[4] == pytest.approx(-0.01, abs=1e-6)


def test_cap_of_a_name_shrinks_with_the_scale_and_gross_stays_that_of_the_neutral_book():
    rates = np.zeros(12)
    rates[2:] = 0.05

    book = enriched(FREE, neutral=NEUTRAL / 2, funding_rate_1d=rates, scale=0.5)

    assert book.weights.min() >= -UNIVERSE.per_name_cap * UNIVERSE.alt_gross * 0.5 - 1e-9
    assert np.abs(book.weights).sum() <= np.abs(NEUTRAL).sum() / 2 + 1e-6
