"""The walk through time: lag, the day's order, and what never depends on the future."""

import numpy as np
import pandas as pd
import pytest

from majors_alts_monitor.backtest.decision import Action
from majors_alts_monitor.backtest.walk import Signals, average_daily_volume, daily_volatility, walk
from majors_alts_monitor.beta_neutral.books import propose_books
from majors_alts_monitor.config import load_config
from majors_alts_monitor.results import report
from majors_alts_monitor.types import Regime
from tests.fixtures.markets import rewritten_after, simulated_market

N_DAYS = 160
BALANCED, WEAK = Regime.BALANCED, Regime.WEAK_RISK_ON_MAJORS


def config(*overrides):
    quiet = ["backtest.risk_management.stop_loss.enabled=false"]
    return load_config(overrides=[*quiet, *overrides])


def signals(regimes, scores):
    n = len(regimes)
    return Signals(
        regime=tuple(regimes),
        score=np.asarray(scores, dtype=float),
        is_gated=np.zeros(n, dtype=bool),
        high=np.full(n, 0.5),
        strong_high=np.full(n, 1.5),
    )


def switching(seed=1):
    """Regimes that switch every ten days, scores that wander with them."""
    rng = np.random.default_rng(seed)
    on = (np.arange(N_DAYS) // 10) % 2 == 1
    scores = np.where(on, 1.0, 0.0) + rng.normal(0, 0.2, N_DAYS)
    return signals([WEAK if day else BALANCED for day in on], scores)


@pytest.fixture(scope="module")
def market():
    return simulated_market(N_DAYS, 12, seed=3)


@pytest.fixture(scope="module")
def books(market):
    return propose_books(market, config())


def test_a_decision_trades_at_the_close_of_the_next_day_and_earns_from_the_day_after(market, books):
    days = [BALANCED] * 100 + [WEAK] * 60
    path = walk(market, signals(days, [1.0] * N_DAYS), books, config())

    assert path.decisions[100].action is Action.REBALANCE
    assert path.daily["alt_turnover"].to_numpy()[:101].sum() == 0
    assert path.daily["alt_turnover"].iloc[101] > 0
    assert path.daily["total_gross"].iloc[101] == 0
    assert path.daily["total_gross"].iloc[102] > 0
    # What was bought is what was wanted, as a fraction of NAV before costs.
    bought = path.positions[path.positions["date"] == market.dates[101]]
    targets = path.decisions[100].targets
    assert bought["weight_target"].to_numpy() == pytest.approx(targets[targets != 0])


@pytest.mark.parametrize("lag", [0, 1, 2, 5])
def test_the_first_trade_comes_exactly_the_lag_after_its_decision(market, books, lag):
    days = [BALANCED] * 100 + [WEAK] * 60
    path = walk(market, signals(days, [1.0] * N_DAYS), books, config(f"execution.lag_days={lag}"))

    first_trade = int(np.flatnonzero(path.daily["alt_turnover"])[0])

    assert first_trade == 100 + lag


def test_every_day_adds_up_and_equity_compounds_it(market, books):
    path = walk(market, switching(), books, config())
    parts = path.daily

    net = (
        parts["pnl_alts"] + parts["pnl_btc"] + parts["pnl_eth"]
        + parts["funding_alts"] + parts["funding_majors"]
        - parts["fees"] - parts["slippage"] - parts["impact"]
    )  # fmt: skip

    np.testing.assert_allclose(net, parts["r_ls_net"], atol=1e-15)
    np.testing.assert_allclose((1 + parts["r_ls_net"]).cumprod(), path.nav, rtol=1e-12)


@pytest.mark.parametrize("cut", [95, 120, 141])
def test_rewriting_the_future_leaves_every_decision_up_to_the_cut_unchanged(market, cut):
    rewritten = rewritten_after(market, cut, lambda x: x * 1000 if x.dtype == float else ~x)
    paths = [
        walk(m, switching(), propose_books(m, config()), config()) for m in (market, rewritten)
    ]

    for first, second in zip(paths[0].decisions[: cut + 1], paths[1].decisions, strict=False):
        assert first.action is second.action
        np.testing.assert_array_equal(first.targets, second.targets)
    np.testing.assert_array_equal(paths[0].nav[: cut + 1], paths[1].nav[: cut + 1])


def test_a_shorter_history_of_the_same_market_decides_the_same(market, books):
    """Live is the backtest that ends today: the last decision of every prefix is the path's."""
    whole = walk(market, switching(), books, config())
    everything = switching()

    for end in (90, 111, 131, 152):
        prefix = type(market)(
            **{
                name: value[: end + 1]
                if isinstance(value, (np.ndarray, pd.DatetimeIndex))
                else value
                for name, value in vars(market).items()
                if name not in {"major_columns", "is_alt"}
            }
        )
        lived = Signals(
            everything.regime[: end + 1],
            *(
                getattr(everything, n)[: end + 1]
                for n in ("score", "is_gated", "high", "strong_high")
            ),
        )
        live = walk(prefix, lived, propose_books(prefix, config()), config())

        assert live.decisions[-1].action is whole.decisions[end].action
        np.testing.assert_array_equal(live.decisions[-1].targets, whole.decisions[end].targets)


def test_the_rich_objective_trades_less_within_the_same_caps(market, books):
    rich = config("universe.rich_objective.enabled=true", "execution.account_usd=1e4")
    plain_path, path = (walk(market, switching(), books, c) for c in (config(), rich))

    names = ["alt_turnover", "major_turnover"]
    assert 0 < path.daily[names].sum().sum() < plain_path.daily[names].sum().sum()
    caps = rich.universe
    for decision in path.decisions:
        if decision.action is Action.REBALANCE:
            assert np.abs(decision.targets).sum() <= caps.gross_cap + 1e-6
            assert decision.targets.max() <= caps.major_cap + 1e-6
            name_cap = caps.per_name_cap * caps.alt_gross * decision.position_scale
            assert decision.targets.min() >= -name_cap - 1e-6
    # A market that ends earlier decides the same, to the bit.
    early = switching()
    rows = ("score", "is_gated", "high", "strong_high")
    lived = Signals(early.regime[:121], *(getattr(early, name)[:121] for name in rows))
    shorter = walk(market.until(120), lived, books, rich)
    for left, right in zip(shorter.decisions, path.decisions, strict=False):
        assert left.targets.tobytes() == right.targets.tobytes()


def test_an_exit_that_meets_a_flat_book_is_no_event(market, books):
    # The regime is BALANCED throughout; a jump of the score triggers an exit of nothing.
    path = walk(market, signals([BALANCED] * N_DAYS, [0.0] * 100 + [0.4] * 60), books, config())

    assert not path.daily["rebalanced"].any()
    assert set(path.daily["exit_reason"]) == {""}


def test_the_held_books_scale_is_shown_and_is_zero_after_an_exit(market, books):
    days = [BALANCED] * 100 + [WEAK] * 20 + [BALANCED] * 40
    path = walk(market, signals(days, [1.0] * N_DAYS), books, config())
    scale = path.daily["position_scale"].to_numpy()

    # Decided on 100, traded on 101, held into 102; decided out on 120, traded on 121.
    assert scale[101] == 0
    assert scale[102] == pytest.approx(0.6)
    assert scale[121] > 0
    assert scale[122] == 0
    assert path.daily["exit_reason"].iloc[121] == "regime"


def test_start_cuts_the_report_and_charges_the_book_carried_into_it(market, books):
    settings = config()
    path = walk(market, switching(), books, settings)
    windows = np.zeros(N_DAYS)
    first = int(np.flatnonzero(path.daily["total_gross"].to_numpy() > 0)[5])

    whole = report(path, switching(), market, settings, 0, windows)
    cut = report(path, switching(), market, settings, first, windows)

    # Later rows are the same; the first also pays 5 + 5 bps on what it finds in the book.
    pd.testing.assert_frame_equal(
        cut.daily.iloc[1:].reset_index(drop=True),
        whole.daily.iloc[first + 1 :].reset_index(drop=True),
    )
    carried = path.daily["total_gross"].iloc[first] * 10e-4
    assert cut.daily["r_ls_net"].iloc[0] == pytest.approx(
        whole.daily["r_ls_net"].iloc[first] - carried, abs=1e-15
    )
    assert cut.equity["equity"].iloc[0] == pytest.approx(1 + cut.daily["r_ls_net"].iloc[0])
    by_asset = cut.positions.groupby("date")[["fee", "slippage"]].sum()
    np.testing.assert_allclose(
        by_asset.to_numpy().sum(axis=1),
        cut.daily.set_index("date")[["fees", "slippage"]].loc[by_asset.index].sum(axis=1),
        atol=1e-15,
    )


def test_a_day_belongs_to_the_regime_that_decided_its_book(market, books):
    days = [BALANCED] * 100 + [WEAK] * 60
    path = walk(market, signals(days, [1.0] * N_DAYS), books, config())

    told = report(path, signals(days, [1.0] * N_DAYS), market, config(), 0, np.zeros(N_DAYS))

    # lag 1: the book held into day 102 was decided on day 100
    assert told.daily["regime"].tolist() == ["BALANCED"] * 102 + ["WEAK_RISK_ON_MAJORS"] * 58


def test_a_flat_day_is_one_row_without_an_asset(market, books):
    days = [BALANCED] * N_DAYS
    path = walk(market, signals(days, [0.0] * N_DAYS), books, config())

    told = report(path, signals(days, [0.0] * N_DAYS), market, config(), 10, np.zeros(N_DAYS))

    assert len(told.decisions) == N_DAYS - 10
    assert told.decisions["asset_id"].isna().all()
    assert (told.decisions["target_weight"] == 0).all()


def test_volume_and_volatility_for_impact_end_the_day_before(market):
    volume, sigma = average_daily_volume(market), daily_volatility(market)
    row, column = 50, 4

    expected_volume = market.volume_usd[row - 30 : row, column].mean()
    expected_sigma = market.return_1d[row - 20 : row, column].std(ddof=1)

    assert volume[row, column] == pytest.approx(expected_volume)
    assert sigma[row, column] == pytest.approx(expected_sigma)
    assert np.isnan(volume[6]).all()
    assert not np.isnan(volume[7]).any()


@pytest.mark.parametrize("lag", [1, 30])
def test_a_history_shorter_than_the_lag_is_reported_as_before_the_data(lag):
    young = simulated_market(2, 3)
    said, settings = signals([BALANCED] * 2, [0.5] * 2), config(f"execution.lag_days={lag}")
    path = walk(young, said, propose_books(young, settings), settings)

    told = report(path, said, young, settings, 0, np.zeros(2))

    assert told.daily["regime"].tolist() == ["BALANCED"] * 2
    assert told.daily[["score", "window"]].isna().all(axis=None)
    assert len(told.equity) == 2
