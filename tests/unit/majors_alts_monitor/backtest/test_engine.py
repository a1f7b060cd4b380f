"""One day of the book, against a ledger of dollars and against hand arithmetic."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from majors_alts_monitor.backtest.engine import (
    C_ACTION,
    C_FEE,
    C_IMPACT,
    C_PNL_FUNDING,
    C_PNL_PRICE,
    C_SLIPPAGE,
    C_TRADED,
    C_WEIGHT_TARGET,
    CLOSE,
    COUNT_FORCED_CLOSES,
    COUNT_MISSING_FUNDING,
    COUNT_UNKNOWN_IMPACT,
    FEES,
    FUNDING_ALTS,
    FUNDING_MAJORS,
    IMPACT,
    NAV,
    NOTIONAL_MISSING_FUNDING,
    PNL_ALTS,
    PNL_BTC,
    PNL_ETH,
    R_LS_GROSS,
    R_LS_NET,
    REBALANCED,
    SLIPPAGE,
    TOTALS,
    Book,
    PositionLog,
    Tape,
    Terms,
    daily_frame,
)
from majors_alts_monitor.errors import ConfigError
from pipeline_kit.errors import DataProblem
from tests.reference.dollar_ledger import DollarLedger, Rules

NAN = float("nan")
FREE = Terms.of(fee_bps=0.0, slippage_bps=0.0)


def book_of(returns, *, assets=("SOL",), terms=FREE, nav=1.0, **tape):
    arrays = {name: np.array(values) for name, values in tape.items()}
    return Book(Tape.of(assets, np.array(returns, dtype=float), **arrays), terms, nav)


def advanced(book, *targets):
    for row, weights in enumerate(targets):
        book.advance(row, None if weights is None else np.array(weights, dtype=float))
    return book


@st.composite
def markets(draw):
    n_days, n_assets = draw(st.integers(2, 12)), draw(st.integers(1, 4))

    def table(values, gaps):
        gap = st.just(NAN)
        cell = st.one_of(*[values] * 4, gap) if gaps else values
        return draw(
            st.lists(
                st.lists(cell, min_size=n_assets, max_size=n_assets),
                min_size=n_days,
                max_size=n_days,
            )
        )

    closes = np.cumprod(1 + np.array(table(st.floats(-0.3, 0.5), gaps=False)), axis=0) * 100
    is_missing = np.array(table(st.sampled_from([False, False, False, True]), gaps=False))
    targets = np.array(table(st.floats(-0.5, 0.5), gaps=True))
    for row in draw(st.lists(st.integers(0, n_days - 1), max_size=n_days)):
        targets[row] = NAN
    return {
        "closes": np.where(is_missing, NAN, closes),
        "funding": np.array(table(st.floats(-0.01, 0.01), gaps=True)),
        "targets": targets,
        "adv_usd": np.array(table(st.floats(1e5, 1e9), gaps=True)),
        "sigma": np.array(table(st.floats(0, 0.2), gaps=True)),
        "is_delisted": np.array(table(st.sampled_from([False, False, False, True]), gaps=False)),
    }


rules = st.builds(
    Rules,
    fee=st.sampled_from([0.0, 5e-4, 0.02]),
    slippage=st.sampled_from([0.0, 5e-4]),
    delist_penalty=st.sampled_from([0.0, 0.05]),
    impact_coefficient=st.sampled_from([0.0, 1.0]),
    account_usd=st.sampled_from([1.0, 1e6]),
    max_stale_days=st.integers(0, 3),
    is_post_cost=st.booleans(),
)


def returns_of(closes):
    """Return closes over the last known one, by walking back."""
    returns = np.full(closes.shape, NAN)
    for t, i in np.argwhere(~np.isnan(closes)):
        earlier = closes[:t, i][~np.isnan(closes[:t, i])]
        returns[t, i] = closes[t, i] / earlier[-1] - 1 if earlier.size else 0.0
    return returns


def terms_of(r):
    return Terms(
        r.fee,
        r.slippage,
        r.delist_penalty,
        r.impact_coefficient,
        r.account_usd,
        r.max_stale_days,
        r.is_post_cost,
    )


def market_book(market, rules):
    assets = ["BTC", "ETH", "SOL", "XRP"][: market["closes"].shape[1]]
    tape = {name: market[name] for name in ("funding", "adv_usd", "sigma", "is_delisted")}
    return book_of(returns_of(market["closes"]), assets=assets, terms=terms_of(rules), **tape)


@settings(max_examples=150, deadline=None)
@given(market=markets(), rules=rules)
def test_book_agrees_with_a_ledger_of_dollars(market, rules):
    book = market_book(market, rules)
    ledger = DollarLedger(rules, cash=1.0, coins=[0.0] * market["closes"].shape[1])

    for row in range(len(market["closes"])):
        expected = ledger.day(
            *(
                market[name][row].tolist()
                for name in ("closes", "funding", "targets", "adv_usd", "sigma", "is_delisted")
            )
        )
        assume(expected > 0.05)
        book.advance(row, market["targets"][row])

        assert book.nav == pytest.approx(expected, rel=1e-9)
        values = [ledger.value(i) for i in range(len(ledger.coins))]
        assert book.held * book.nav == pytest.approx(values, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(market=markets(), rules=rules)
def test_parts_of_every_day_add_up_to_its_result(market, rules):
    book = market_book(market, rules)

    for row in range(len(market["closes"])):
        before = book.nav
        try:
            book.advance(row, market["targets"][row])
        except DataProblem:
            assume(False)  # ruin has a test of its own
        day, cells = book.totals, book.cells

        gross = day[PNL_ALTS] + day[PNL_BTC] + day[PNL_ETH]
        costs = day[FEES] + day[SLIPPAGE] + day[IMPACT]
        net = gross + day[FUNDING_ALTS] + day[FUNDING_MAJORS] - costs
        assert day[R_LS_GROSS] == pytest.approx(gross, abs=1e-12)
        assert day[R_LS_NET] == pytest.approx(net, abs=1e-12)
        assert book.nav == pytest.approx(before * (1 + net), rel=1e-12)
        per_asset = (
            cells[C_PNL_PRICE]
            + cells[C_PNL_FUNDING]
            - cells[C_FEE]
            - cells[C_SLIPPAGE]
            - cells[C_IMPACT]
        )
        assert per_asset.sum() == pytest.approx(net, abs=1e-12)


def test_day_earns_pays_funding_drifts_and_then_trades():
    # Long 50 % BTC +10 %, short 40 % SOL +5 %: 0.05 - 0.02 = 0.03. Funding 1 % on BTC and 2 %
    # on SOL: -0.005 + 0.008. Growth 1.033; SOL drifts to -0.42 / 1.033. Selling it off costs
    # 10 bps of 0.42.
    terms = Terms.of(fee_bps=10.0, slippage_bps=0.0)
    book = book_of(
        [[0.0, 0.0], [0.1, 0.05]],
        assets=["BTC", "SOL"],
        terms=terms,
        funding=[[0.0, 0.0], [0.01, 0.02]],
    )
    book.held[:] = [0.5, -0.4]

    book.advance(1, np.array([NAN, 0.0]))

    assert book.totals[PNL_BTC] == pytest.approx(0.05)
    assert book.totals[PNL_ALTS] == pytest.approx(-0.02)
    assert book.totals[FUNDING_MAJORS] == pytest.approx(-0.005)
    assert book.totals[FUNDING_ALTS] == pytest.approx(0.008)
    assert book.cells[C_TRADED].tolist() == pytest.approx([0.0, 0.42 / 1.033])
    assert book.totals[FEES] == pytest.approx(0.00042)
    assert book.nav == pytest.approx(1.03258)
    assert book.held.tolist() == pytest.approx([0.55 / 1.03258, 0.0])


def test_target_after_costs_is_held_exactly():
    # Buy all NAV at 1 %: q + 0.01 q = 1, so 1 / 1.01 is invested and nothing is left over.
    terms = Terms.of(fee_bps=100.0, slippage_bps=0.0, sizing_basis="post_cost")

    book = advanced(book_of([[0.0]], terms=terms), [1.0])

    assert book.held[0] == pytest.approx(1.0, rel=1e-15)
    assert book.nav == pytest.approx(1 / 1.01, rel=1e-15)
    assert book.cells[C_WEIGHT_TARGET, 0] == pytest.approx(1 / 1.01, rel=1e-15)


def test_target_before_costs_becomes_larger_in_nav_after_costs():
    terms = Terms.of(fee_bps=100.0, slippage_bps=0.0)

    book = advanced(book_of([[0.0]], terms=terms), [0.5])

    assert book.nav == pytest.approx(0.995)
    assert book.held[0] == pytest.approx(0.5 / 0.995)


def test_target_after_costs_counts_the_cost_of_a_forced_close():
    # Closing half the NAV at a penalty of 10 % leaves 0.95, all of which goes into BTC.
    terms = Terms.of(
        fee_bps=0.0,
        slippage_bps=0.0,
        delist_penalty_bps=1000.0,
        max_stale_days=0,
        sizing_basis="post_cost",
    )
    book = book_of([[0.0, NAN]], assets=["BTC", "SOL"], terms=terms)
    book.held[:] = [0.0, 0.5]

    book.advance(0, np.array([1.0, NAN]))

    assert book.nav == pytest.approx(0.95)
    assert book.held.tolist() == pytest.approx([1.0, 0.0])


def test_impact_of_a_trade_is_the_worked_number():
    # $200k, ADV $20m, sigma 5 %, Y = 1: 50 bps = $1,000 of a $1m account.
    terms = Terms.of(fee_bps=0.0, slippage_bps=0.0, impact_coefficient=1.0, account_usd=1e6)

    book = advanced(book_of([[0.0]], terms=terms, adv_usd=[[20e6]], sigma=[[0.05]]), [-0.2])

    assert book.totals[IMPACT] * 1e6 == pytest.approx(1000.0)


def test_impact_counts_the_growth_of_the_day_and_of_the_account():
    # NAV 2 grows by 50 % to 3: selling the 2/3 of it in SOL is $2m, the impact in USD
    # 0.05 x 2m x sqrt(0.1) = 31,623, over the $2m that the day opened with.
    terms = Terms.of(fee_bps=0.0, slippage_bps=0.0, impact_coefficient=1.0, account_usd=1e6)
    book = book_of([[1.0]], terms=terms, nav=2.0, adv_usd=[[20e6]], sigma=[[0.05]])
    book.held[:] = 0.5

    book.advance(0, np.array([0.0]))

    assert book.totals[IMPACT] * 2e6 == pytest.approx(0.05 * 2e6 * 0.1**0.5)


@pytest.mark.parametrize(("adv", "sigma"), [(NAN, 0.05), (0.0, 0.05), (20e6, NAN)])
def test_impact_without_volume_or_volatility_is_zero_and_counted(adv, sigma):
    terms = Terms.of(fee_bps=0.0, slippage_bps=0.0, impact_coefficient=1.0, account_usd=1e6)

    book = advanced(book_of([[0.0]], terms=terms, adv_usd=[[adv]], sigma=[[sigma]]), [-0.2])

    assert book.totals[IMPACT] == 0
    assert book.totals[COUNT_UNKNOWN_IMPACT] == 1


def test_gap_is_held_for_three_days_and_its_return_booked_when_the_price_returns():
    book = book_of([[0.0], [NAN], [NAN], [NAN], [0.2]])

    advanced(book, [0.5], [0.0], [0.0], [0.0], None)

    assert book.nav == pytest.approx(1.1)
    assert book.totals[PNL_ALTS] == pytest.approx(0.1)


def test_fourth_day_without_a_price_closes_at_the_last_one_with_costs_and_without_impact():
    # Fee 10 bps, slippage 20 bps + penalty 100 bps of half the NAV.
    terms = Terms.of(
        fee_bps=10.0,
        slippage_bps=20.0,
        delist_penalty_bps=100.0,
        impact_coefficient=1.0,
        account_usd=1e6,
    )
    gap = [[0.0]] + [[NAN]] * 4
    book = book_of(gap, terms=terms, adv_usd=[[1e6]] * 5, sigma=[[0.1]] * 5)
    book.held[:] = 0.5

    advanced(book, None, None, None, None)
    assert book.held[0] == 0.5
    book.advance(4)

    assert book.held[0] == 0
    assert book.cells[C_ACTION, 0] == CLOSE
    assert book.totals[COUNT_FORCED_CLOSES] == 1
    assert book.totals[FEES] == pytest.approx(0.0005)
    assert book.totals[SLIPPAGE] == pytest.approx(0.006)
    assert book.totals[IMPACT] == 0
    assert book.totals[REBALANCED] == 0


def test_delisted_asset_is_closed_on_its_first_day_without_a_price():
    book = book_of([[0.0], [0.1], [NAN]], is_delisted=[[True]] * 3)

    advanced(book, [-0.5], None)
    assert book.held[0] != 0
    book.advance(2)

    assert book.held[0] == 0


def test_funding_runs_while_the_price_is_missing():
    book = advanced(book_of([[0.0], [NAN]], funding=[[0.0], [0.01]]), [-0.5], None)

    assert book.totals[FUNDING_ALTS] == pytest.approx(0.005)


def test_missing_funding_of_a_held_asset_is_free_and_counted_with_its_size():
    book = book_of(
        [[0.0, 0.0], [0.0, 0.0]], assets=["SOL", "XRP"], funding=[[NAN, NAN], [NAN, NAN]]
    )

    advanced(book, [-0.25, 0.0])
    assert book.totals[COUNT_MISSING_FUNDING] == 0
    book.advance(1)

    assert book.nav == 1
    assert book.totals[COUNT_MISSING_FUNDING] == 1
    assert book.totals[NOTIONAL_MISSING_FUNDING] == 0.25


def test_asset_without_a_price_is_left_alone_while_the_others_trade():
    book = book_of([[0.0, 0.0], [NAN, 0.0]], assets=["SOL", "XRP"])

    advanced(book, [0.3, 0.3], [0.0, 0.0])

    assert book.held.tolist() == [0.3, 0.0]
    assert book.totals[REBALANCED] == 1


def test_book_that_loses_everything_ends_with_an_error():
    book = advanced(book_of([[0.0], [1.0]]), [-1.0])

    with pytest.raises(DataProblem, match="row 1: the book lost all of its NAV"):
        book.advance(1)


def test_target_that_costs_more_than_all_nav_ends_with_an_error():
    terms = Terms.of(fee_bps=6000.0, slippage_bps=0.0, sizing_basis="post_cost")
    book = book_of([[0.0]], terms=terms)
    book.held[:] = -2.0

    with pytest.raises(DataProblem, match="lost all"):
        book.advance(0, np.array([2.0]))


def test_columns_that_are_never_used_change_no_bit():
    rng = np.random.default_rng(3)
    returns = rng.normal(0, 0.05, (50, 3))
    targets = rng.normal(0, 0.3, (50, 3))
    wide = np.insert(returns, [0, 1, 3], NAN, axis=1)
    wide_targets = np.insert(targets, [0, 1, 3], [NAN, 0.0, NAN], axis=1)
    terms = Terms.of(fee_bps=5.0, slippage_bps=5.0, sizing_basis="post_cost")

    narrow_book = advanced(book_of(returns, assets=["A", "B", "C"], terms=terms), *targets)
    wide_book = advanced(book_of(wide, assets=list("xAyBCz"), terms=terms), *wide_targets)

    assert narrow_book.nav == wide_book.nav
    assert narrow_book.totals.tolist() == wide_book.totals.tolist()


def test_read_only_arrays_are_taken():
    returns = np.zeros((1, 1))
    returns.flags.writeable = False

    assert advanced(Book(Tape.of(["SOL"], returns), FREE, 1.0), [0.5]).held.tolist() == [0.5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fee_bps": -1.0},
        {"slippage_bps": NAN},
        {"sizing_basis": "mid"},
        {"impact_coefficient": float("inf")},
        {"max_stale_days": -1},
    ],
)
def test_terms_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Terms.of(**{"fee_bps": 0.0, "slippage_bps": 0.0, **wrong})


def test_frames_have_the_days_and_what_was_held_wanted_or_traded():
    days = pd.date_range("2024-01-01", periods=3)
    tape = Tape.of(["BTC", "SOL"], np.array([[0.0, 0.0], [0.1, NAN], [0.0, 0.2]]))
    book, log, totals = Book(tape, FREE, 1.0), PositionLog(tape), np.zeros((3, len(TOTALS)))

    for row, target in enumerate([[NAN, -0.5], [0.2, NAN], [NAN, NAN]]):
        book.advance(row, np.array(target))
        log.add(row, book.cells)
        totals[row] = book.totals
    positions = log.frame(days, pd.Index(["BTC", "SOL"]))
    daily = daily_frame(days, totals)

    assert positions["asset_id"].tolist() == ["SOL", "BTC", "SOL", "BTC", "SOL"]
    assert positions["leg"].tolist() == ["alt", "btc", "alt", "btc", "alt"]
    assert positions["stale_price"].tolist() == [False, False, True, False, False]
    assert positions["return_1d"].isna().tolist() == [False, False, True, False, False]
    assert daily["rebalanced"].tolist() == [True, True, False]
    assert daily["date"].tolist() == list(days)
    assert daily["nav"].iloc[-1] == totals[2, NAV]


def test_log_of_a_flat_book_is_an_empty_frame_with_its_columns():
    log = PositionLog(Tape.of(["SOL"], np.zeros((1, 1))))

    frame = log.frame(pd.date_range("2024-01-01", periods=1), pd.Index(["SOL"]))

    assert frame.empty
    assert "weight_open" in frame.columns
