"""Whole lots: names, minimum sizes, rounding towards zero, and the beta it leaves."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majors_alts_monitor.beta_neutral.lots import orders, round_to_lots, tradable_contracts
from majors_alts_monitor.config import load_config

DAY = date(2024, 12, 31)
CLOSES = {"BTC": 100_000.0, "ETH": 4_000.0, "SHIB": 2e-5, "SOL": 200.0}
BETAS = pd.DataFrame({"BTC": [0.5, 0.4], "ETH": [0.8, 0.9]}, index=["SOL", "SHIB"])


def contracts(**changes):
    table = pd.DataFrame(
        {
            "contract": ["BTC", "ETH", "1000SHIB", "SOL"],
            "multiplier": [1.0, 1.0, 1000.0, 1.0],
            "lot_size": [0.001, 0.01, 1.0, 1.0],
            "min_notional_usd": [100.0, 20.0, 5.0, 5.0],
        },
        index=["BTC", "ETH", "SHIB", "SOL"],
    )
    return table.assign(**changes)


def instruments():
    return pd.DataFrame(
        {
            "instrument_id": ["b-1000SHIB", "b-SOL", "a-SOL", "b-OLD", "b-NEW"],
            "asset_id": ["SHIB", "SOL", "SOL", "OLD", "NEW"],
            "venue": ["binance", "binance", "apex", "binance", "binance"],
            "base_symbol": ["1000SHIB", "SOL", None, "OLD", "NEW"],
            "multiplier": [1000.0, 1.0, np.nan, 1.0, 1.0],
            "listed_on": pd.to_datetime(
                ["2021-05-10", "2020-09-14", "2021-01-01", "2020-01-01", "2025-01-01"]
            ),
            "delisted_on": pd.to_datetime([None, None, None, "2024-12-31", None]),
        }
    )


def test_whole_book_is_rounded_towards_zero():
    # 250,000 USD: SOL -10,100 -> 50.5 contracts -> 50; SHIB -10,000 at .02 a contract -> 500,000;
    # BTC 12,345 -> .12345 -> .123; ETH 5,000 -> 1.25 exactly.
    weights = {"SOL": -0.0404, "SHIB": -0.04, "BTC": 0.04938, "ETH": 0.02}

    orders = round_to_lots(weights, BETAS, CLOSES, contracts(), account_usd=250_000).orders

    assert orders["contract"].tolist() == ["BTC", "ETH", "1000SHIB", "SOL"]
    np.testing.assert_allclose(orders["quantity"], [0.123, 1.25, -500_000, -50], rtol=1e-12)
    np.testing.assert_allclose(orders["target_notional_usd"], [12_345, 5_000, -10_000, -10_100])
    np.testing.assert_allclose(orders["notional_usd"], [12_300, 5_000, -10_000, -10_000])
    np.testing.assert_allclose(orders["weight"], [0.0492, 0.02, -0.04, -0.04])


def test_beta_left_by_rounding_is_reported():
    weights = {"SOL": -0.0404, "BTC": 0.0202, "ETH": 0.03232}
    coarse = contracts(lot_size=[0.001, 0.1, 1.0, 1.0])

    rounded = round_to_lots(weights, BETAS, CLOSES, coarse, account_usd=250_000)

    # BTC .0505 -> .05 contracts = .02; ETH 2.02 -> 2.0 = .032; SOL -.04.
    assert rounded.residual[0] == pytest.approx(0.02 - 0.5 * 0.04)
    assert rounded.residual[1] == pytest.approx(0.032 - 0.8 * 0.04)
    exact = (0.0202 - 0.5 * 0.0404, 0.03232 - 0.8 * 0.0404)
    assert rounded.added == pytest.approx(tuple(np.subtract(rounded.residual, exact)))


def test_order_below_the_minimum_is_dropped_and_says_so():
    orders = round_to_lots({"BTC": 0.00099}, BETAS, CLOSES, contracts(), account_usd=100_000).orders

    assert orders.loc["BTC", "quantity"] == 0
    assert orders.loc["BTC", "is_below_minimum"]


def test_asset_without_a_contract_or_a_close_is_dropped_and_says_so():
    weights = {"XRP": -0.1, "SOL": -0.1}

    rounded = round_to_lots(
        weights,
        BETAS.reindex(["SOL", "XRP"]).fillna(0.5),
        {"XRP": 2.0},
        contracts(),
        account_usd=1e6,
    )

    assert rounded.orders["is_below_minimum"].all()
    assert rounded.residual == (0.0, 0.0)


def test_empty_book_has_no_orders():
    rounded = round_to_lots({}, BETAS, CLOSES, contracts(), account_usd=1e6)

    assert rounded.orders.empty
    assert rounded.residual == (0.0, 0.0)


@settings(deadline=None)
@given(weight=st.floats(-1, 1), account=st.floats(1e3, 1e9))
def test_rounding_never_enlarges_a_position(weight, account):
    rounded = round_to_lots({"SOL": weight}, BETAS, CLOSES, contracts(), account_usd=account)

    got = rounded.orders.loc["SOL", "weight"]
    assert abs(got) <= abs(weight) * (1 + 1e-6) + 1e-12
    assert got == 0 or np.sign(got) == np.sign(weight)
    assert abs(got - weight) * account <= max(200.0 + 1e-6, 5.0)


def test_contract_has_the_venues_name_and_only_living_ones_count():
    table = tradable_contracts(
        instruments(), {**CLOSES, "OLD": 1.0, "NEW": 1.0}, DAY, min_notional_usd=5.0
    )

    assert table.index.tolist() == ["SHIB", "SOL"]
    assert table["contract"].tolist() == ["1000SHIB", "SOL"]
    assert table["multiplier"].tolist() == [1000.0, 1.0]


def test_lot_is_the_largest_power_of_ten_below_the_smallest_order():
    table = tradable_contracts(instruments(), CLOSES, DAY, min_notional_usd=5.0)

    # 1000SHIB costs .02: 100 contracts are 2 USD, 1000 would be 20. SOL 200: .01 is 2 USD.
    assert table["lot_size"].tolist() == [100.0, 0.01]


def test_asset_without_a_close_has_no_contract():
    table = tradable_contracts(instruments(), {"SOL": 200.0}, DAY, min_notional_usd=5.0)

    assert table.index.tolist() == ["SOL"]


WEIGHTS = {"SOL": -0.0404, "SHIB": -0.04, "BTC": 0.04938, "ETH": 0.02}


def execution(*overrides):
    return load_config(overrides=["execution.account_usd=250_000", *overrides]).execution


def test_without_lots_the_list_names_contracts_and_their_notional():
    said = orders(WEIGHTS, BETAS, CLOSES, instruments(), DAY, execution())

    assert said["account_usd"] == 250_000
    assert said["rounding"] is None
    assert [order["asset_id"] for order in said["orders"]] == ["BTC", "ETH", "SHIB", "SOL"]
    assert [order["contract"] for order in said["orders"]] == [None, None, "1000SHIB", "SOL"]
    notional = [order["target_notional_usd"] for order in said["orders"]]
    np.testing.assert_allclose(notional, [12_345, 5_000, -10_000, -10_100])
    assert all("quantity" not in order for order in said["orders"])


def test_lots_stand_beside_exact_weights_with_the_beta_that_rounding_adds():
    said = orders(
        WEIGHTS,
        BETAS,
        CLOSES,
        None,
        DAY,
        execution("execution.lots={enabled: true, min_order_usd: 100}"),
    )

    # Lots worth at most 100 USD: .001 BTC = 100, .01 ETH = 40, .1 SOL = 20, 1e6 SHIB = 20.
    btc, eth, shib, sol = said["orders"]
    assert btc["quantity"] == pytest.approx(0.123)
    assert eth["quantity"] == pytest.approx(1.25)
    assert shib["quantity"] == pytest.approx(-500e6)
    assert sol["quantity"] == pytest.approx(-50.5)
    assert btc["rounded_weight"] == pytest.approx(12_300 / 250_000)
    added = said["rounding"]["added_betas"]
    assert added["BTC"] == pytest.approx(-45 / 250_000)
    assert added["ETH"] == pytest.approx(0.0, abs=1e-12)
    left = 0.0492 - 0.5 * 0.0404 - 0.4 * 0.04
    assert said["rounding"]["residual_betas"]["BTC"] == pytest.approx(left)


def test_flat_book_has_no_order():
    said = orders({}, BETAS, CLOSES, None, DAY, execution())

    assert said["orders"] == []


def test_instruments_without_a_day_of_delisting_live_on():
    table = tradable_contracts(
        instruments().drop(columns="delisted_on"), {"OLD": 1.0}, DAY, min_notional_usd=5.0
    )

    assert table.index.tolist() == ["OLD"]
