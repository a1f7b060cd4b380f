"""Whole paths: one with all its parts, many at once, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.backtest import simulate, simulate_many
from majors_alts_monitor.backtest.engine import Book
from majors_alts_monitor.errors import ConfigError, RuinError, TableContractError
from tests.reference.dollar_ledger import DollarLedger, Rules

NAN = float("nan")


def frame(columns, start="2024-01-01"):
    data = pd.DataFrame(columns, dtype=float)
    data.index = pd.date_range(start, periods=len(data))
    return data


def random_market(n_days=80, n_assets=4, seed=0):
    rng = np.random.default_rng(seed)
    assets = ["BTC", "ETH", "SOL", "XRP", "ADA", "DOT"][:n_assets]
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.04, (n_days, n_assets)), axis=0))
    closes[rng.random(closes.shape) < 0.05] = NAN
    targets = rng.normal(0, 0.2, closes.shape)
    targets[rng.random(n_days) < 0.5] = NAN
    funding = rng.normal(0, 1e-3, closes.shape)
    days = pd.date_range("2024-01-01", periods=n_days)
    return (pd.DataFrame(values, days, assets) for values in (targets, closes, funding))


@pytest.mark.parametrize("basis", ["pre_cost", "post_cost"])
def test_path_agrees_with_a_ledger_of_dollars(basis):
    targets, closes, funding = random_market()
    rules = Rules(fee=5e-4, slippage=7e-4, delist_penalty=0.05, is_post_cost=basis == "post_cost")
    ledger = DollarLedger(rules, cash=250_000.0, coins=[0.0] * 4)
    nothing = [NAN] * 4

    simulation = simulate(
        targets,
        closes,
        funding=funding,
        fee_bps=5,
        slippage_bps=7,
        sizing_basis=basis,
        initial_capital=250_000,
        delist_penalty_bps=500,
    )

    expected = [
        ledger.day(
            *(f.iloc[t].tolist() for f in (closes, funding, targets)), nothing, nothing, [False] * 4
        )
        for t in range(len(closes))
    ]
    assert simulation.equity.tolist() == pytest.approx(expected, rel=1e-9)


def test_row_is_traded_at_its_close_and_earns_from_the_next_day():
    simulation = simulate(frame({"SOL": [1.0, 0.0, NAN]}), frame({"SOL": [100, 150, 300]}))

    assert simulation.equity.tolist() == [1.0, 1.5, 1.5]


def test_all_nan_row_holds_the_book():
    # 50 coins of 1 and 50 cash; held while the price doubles twice: 50 + 200.
    simulation = simulate(
        frame({"SOL": [0.5, NAN, NAN]}), frame({"SOL": [1, 2, 4]}), initial_capital=100.0
    )

    assert simulation.equity.tolist() == pytest.approx([100.0, 150.0, 250.0])
    assert simulation.daily["rebalanced"].tolist() == [True, False, False]


def test_nan_beside_a_target_holds_that_asset_only():
    targets = frame({"BTC": [0.5, 0.0], "SOL": [0.5, NAN]})

    simulation = simulate(targets, frame({"BTC": [1, 1], "SOL": [1, 3]}))

    last = simulation.positions.iloc[-2:].set_index("asset_id")
    assert last["traded"].to_dict() == {"BTC": -0.25, "SOL": 0.0}


def test_funding_is_charged_on_the_book_held_into_the_day():
    funding = frame({"SOL": [0.5, 0.01]})

    simulation = simulate(frame({"SOL": [-1.0, 0.0]}), frame({"SOL": [1, 1]}), funding=funding)

    assert simulation.equity.tolist() == [1.0, 1.01]


def test_asset_without_funding_rates_pays_nothing_and_is_counted():
    targets = frame({"BTC": [0.5, NAN], "SOL": [-0.5, NAN]})
    closes = frame({"BTC": [1, 1], "SOL": [1, 1]})

    simulation = simulate(targets, closes, funding=frame({"BTC": [0.0, 0.0]}))

    assert simulation.daily["count_missing_funding"].tolist() == [0, 1]
    assert simulation.positions["funding_rate"].isna().tolist() == [False, True] * 2


def test_positions_add_up_to_the_days_and_targets_are_what_was_asked():
    targets, closes, funding = random_market(seed=5)

    simulation = simulate(targets, closes, funding=funding, fee_bps=5, slippage_bps=5)

    p, daily = simulation.positions, simulation.daily
    net = p["pnl_price"] + p["pnl_funding"] - p["fee"] - p["slippage"] - p["impact"]
    by_day = net.groupby(p["date"]).sum().reindex(daily.index, fill_value=0.0)
    assert by_day.tolist() == pytest.approx(daily["r_ls_net"].tolist(), abs=1e-12)
    turnover = p["traded"].abs().groupby(p["date"]).sum().reindex(daily.index, fill_value=0.0)
    expected = daily["alt_turnover"] + daily["major_turnover"]
    assert turnover.tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    equity = (1 + daily["r_ls_net"]).cumprod()
    assert simulation.equity.tolist() == pytest.approx(equity.tolist(), rel=1e-12)


def test_order_of_columns_and_unused_columns_change_no_bit():
    targets, closes, funding = random_market(n_assets=6)
    costs = {"fee_bps": 5, "slippage_bps": 5, "sizing_basis": "post_cost"}

    straight = simulate(targets, closes, funding=funding, **costs)
    turned = simulate(
        targets.iloc[:, ::-1],
        closes.assign(ZZZ=1.0)[["ZZZ", *targets]],
        funding=funding.iloc[:, [3, 1, 2, 0, 5, 4]],
        **costs,
    )

    assert straight.equity.tolist() == turned.equity.tolist()
    pd.testing.assert_frame_equal(straight.positions, turned.positions)


def test_rewriting_the_future_leaves_the_past_unchanged():
    targets, closes, funding = random_market()
    changed = [f.copy() for f in (targets, closes, funding)]
    changed[0].iloc[40:] = 0.1
    changed[1].iloc[40:] *= 3
    changed[2].iloc[40:] = NAN

    before = simulate(targets, closes, funding=funding, fee_bps=5)
    after = simulate(changed[0], changed[1], funding=changed[2], fee_bps=5)

    pd.testing.assert_frame_equal(before.daily.iloc[:40], after.daily.iloc[:40])


@pytest.mark.parametrize("basis", ["pre_cost", "post_cost"])
def test_many_paths_are_the_single_ones_to_the_bit(basis):
    targets, closes, funding = random_market(n_assets=6)
    variants = np.stack([targets.to_numpy() * k for k in (1.0, -0.5, 0.2)])
    costs = {"fee_bps": 5, "slippage_bps": 5, "sizing_basis": basis}

    equity = simulate_many(variants, closes, funding=funding, **costs)

    for k, path in enumerate(variants):
        weights = pd.DataFrame(path, targets.index, targets.columns)
        single = simulate(weights, closes, funding=funding, **costs)
        assert equity[k].tolist() == single.equity.tolist()


def test_many_paths_take_plain_arrays():
    targets, closes, funding = random_market()

    labelled = simulate_many(targets.to_numpy()[None], closes, funding=funding)
    plain = simulate_many(targets.to_numpy()[None], closes.to_numpy(), funding=funding.to_numpy())

    assert plain == pytest.approx(labelled, rel=1e-12)


def test_book_advanced_by_hand_gives_the_same_path_to_the_bit():
    targets, closes, funding = random_market()
    simulation = simulate(targets, closes, funding=funding, fee_bps=5)
    book = Book(simulation.tape, simulation.terms, 1.0)

    for row in range(len(closes)):
        book.advance(row, simulation.targets[row])
        assert book.nav == simulation.equity.iloc[row]


def test_impact_and_delisting_reach_the_path():
    targets, closes = frame({"SOL": [-0.2, NAN]}), frame({"SOL": [1, NAN]})

    simulation = simulate(
        targets,
        closes,
        impact_coefficient=1.0,
        account_usd=1e6,
        adv_usd=frame({"SOL": [20e6, 20e6]}),
        sigma=frame({"SOL": [0.05, 0.05]}),
        is_delisted=pd.DataFrame({"SOL": [False, True]}, closes.index),
        delist_penalty_bps=100,
    )

    assert simulation.daily["impact"].tolist() == pytest.approx([0.001, 0.0])
    assert simulation.daily["slippage"].tolist() == pytest.approx([0.0, 0.01 * 0.2 / 0.999])


def test_empty_range_gives_an_empty_path():
    nothing = pd.DataFrame({"SOL": []}, index=pd.DatetimeIndex([]), dtype=float)

    simulation = simulate(nothing, nothing)

    assert simulation.equity.empty
    assert simulation.positions.empty


def test_ruin_is_named_by_its_day_and_variant():
    targets, closes = frame({"SOL": [-1.0, NAN]}), frame({"SOL": [1, 2]})

    with pytest.raises(RuinError, match=r"2024-01-02.*lost all of its NAV"):
        simulate(targets, closes)
    with pytest.raises(RuinError, match="variant 1, 2024-01-02"):
        simulate_many(np.stack([targets.to_numpy() * 0, targets.to_numpy()]), closes)


EDGES = {
    "first row holds nothing": ({"SOL": [NAN, 0.5, NAN, 0.2]}, {"SOL": [1, 2, 3, 2]}),
    "a gap that is too long": (
        {"SOL": [-0.5, NAN, NAN, NAN, NAN, NAN], "XRP": [0.5, NAN, NAN, NAN, NAN, 0.1]},
        {"SOL": [5, 6, NAN, NAN, NAN, NAN], "XRP": [3, 2, 3, 2, 3, 2]},
    ),
    "a price that returns in time": (
        {"SOL": [-0.5, NAN, 0.1, NAN]},
        {"SOL": [5, NAN, NAN, 7]},
    ),
    "no price on the day of the trade": (
        {"SOL": [0.4, NAN, NAN], "XRP": [-0.4, NAN, NAN]},
        {"SOL": [NAN, 2, 3], "XRP": [1, 2, 1.5]},
    ),
    "nothing ever trades": ({"SOL": [NAN, NAN]}, {"SOL": [1, 2]}),
    "never a price": ({"SOL": [0.5, 0.5]}, {"SOL": [NAN, NAN]}),
}


@pytest.mark.parametrize("basis", ["pre_cost", "post_cost"])
@pytest.mark.parametrize("case", EDGES)
def test_edges_agree_with_a_ledger_of_dollars(case, basis):
    targets, closes = (frame(columns) for columns in EDGES[case])
    funding = closes.notna().astype(float) * 0.001
    funding.iloc[-1] = NAN
    n = closes.shape[1]
    rules = Rules(
        fee=0.001,
        slippage=0.002,
        delist_penalty=0.05,
        max_stale_days=2,
        is_post_cost=basis == "post_cost",
    )
    ledger = DollarLedger(rules, cash=1000.0, coins=[0.0] * n)
    rows = (f.itertuples(index=False) for f in (closes, funding, targets))
    nothing = [NAN] * n

    expected = [ledger.day(*day, nothing, nothing, [False] * n) for day in zip(*rows, strict=True)]

    equity = simulate(
        targets,
        closes,
        funding=funding,
        fee_bps=10,
        slippage_bps=20,
        delist_penalty_bps=500,
        max_stale_days=2,
        sizing_basis=basis,
        initial_capital=1000,
    ).equity
    assert equity.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "float32", "Float64", "object"])
def test_any_dtype_of_numbers_gives_the_path_of_doubles(dtype):
    targets, closes = frame({"SOL": [1, 0, 1]}), frame({"SOL": [1, 2, 4]})

    path = simulate(targets.astype(dtype), closes.astype(dtype), funding=closes.astype(dtype) * 0)

    assert path.equity.tolist() == simulate(targets, closes).equity.tolist()


ONE = frame({"SOL": [1, 1]})


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ConfigError, "no column for XRP", {"targets": frame({"XRP": [0, 0]})}),
        (ConfigError, "same days", {"targets": frame({"SOL": [0, 0]}, start="2023-01-01")}),
        (ConfigError, "funding and closes", {"funding": frame({"SOL": [0.0]})}),
        (ConfigError, "targets.*twice", {"targets": pd.concat([ONE, ONE], axis=1)}),
        (ConfigError, "closes.*twice", {"closes": pd.concat([ONE, ONE], axis=1)}),
        (ConfigError, "funding.*twice", {"funding": pd.concat([ONE, ONE], axis=1)}),
        (ConfigError, "oldest first", {"targets": ONE[::-1], "closes": ONE[::-1]}),
        (ConfigError, "numbers only", {"targets": ONE.astype(object).replace(1.0, "half")}),
        (ConfigError, "was ndarray", {"targets": ONE.to_numpy()}),
        (ConfigError, "initial_capital", {"initial_capital": 0.0}),
        (ConfigError, "sizing_basis", {"sizing_basis": "mid_cost"}),
        (TableContractError, "must be positive, was 0.0", {"closes": frame({"SOL": [1, 0]})}),
        (
            TableContractError,
            "SOL on 2024-01-02.*infinite",
            {"closes": frame({"SOL": [1, np.inf]})},
        ),
        (TableContractError, "targets.*infinite", {"targets": frame({"SOL": [1, np.inf]})}),
    ],
)
def test_frames_that_do_not_fit_are_refused(error, message, arguments):
    with pytest.raises(error, match=message):
        simulate(**{"targets": ONE, "closes": ONE, **arguments})


@pytest.mark.parametrize(
    ("targets", "extra", "message"),
    [
        (np.zeros((2, 2)), {}, "n_variants, 2, 1"),
        (np.full((1, 2, 1), np.inf), {}, "infinite"),
        (np.zeros((1, 2, 1)), {"funding": np.zeros((3, 1))}, "funding must have shape"),
    ],
)
def test_variants_that_do_not_fit_are_refused(targets, extra, message):
    with pytest.raises(ConfigError, match=message):
        simulate_many(targets, ONE, **extra)
