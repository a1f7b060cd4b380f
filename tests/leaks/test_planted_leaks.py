"""Each test plants one way of seeing the future, or of misdating it, and the audit must say so."""

from dataclasses import replace

import numpy as np
import pytest

from majors_alts_monitor import state as state_module
from majors_alts_monitor.backtest import walk as walk_module
from majors_alts_monitor.beta_neutral import books as books_module
from majors_alts_monitor.causality import Reference
from majors_alts_monitor.causality_path import execution_leaks
from majors_alts_monitor.regime import calibration as calibration_module
from majors_alts_monitor.regime import unsupervised as unsupervised_module
from majors_alts_monitor.regime.unsupervised import filter_states
from majors_alts_monitor.strategy import run_strategy
from majors_alts_monitor.types import Market
from tests.leaks.markets import BOOKS, config, honest, leaks_of, market_and_features

SEED = 5
TRADING = (100, 102, 103, 105)
"""Days on which the market of that seed rebalances."""
HIDDEN = (
    "regime.mode=hmm",
    "regime.unsupervised.lookback_window_days=60",
    "regime.unsupervised.test_window_days=20",
)
CALIBRATED = (
    "regime.calibration.enabled=true",
    "regime.calibration.lookback_window_days=60",
    "regime.calibration.test_window_days=20",
    "regime.calibration.eval_horizon_days=5",
)


def columns_of(leaks):
    return {(leak.table, leak.column) for leak in leaks}


# In SQL


@pytest.mark.dbt
def test_a_return_shifted_back_by_one_day_is_caught(bench):
    leaky = bench.plant(
        "fct_asset_daily",
        "select * replace (lead(return_1d) over (partition by asset_id order by date) "
        "as return_1d) from {model}",
    )
    assert ("fct_asset_daily", "return_1d") in columns_of(bench.leaks(leaky))


@pytest.mark.dbt
def test_a_centred_window_is_caught(bench):
    leaky = bench.plant(
        "fct_features_daily",
        "select * replace (avg(raw_alt_breadth_pct_up) over (order by date rows between "
        "2 preceding and 2 following) as raw_alt_breadth_pct_up) from {model}",
    )
    assert ("fct_features_daily", "raw_alt_breadth_pct_up") in columns_of(bench.leaks(leaky))


@pytest.mark.dbt
def test_a_z_score_over_the_full_sample_is_caught(bench):
    leaky = bench.plant(
        "fct_features_daily",
        "select * replace ((raw_btc_dominance - avg(raw_btc_dominance) over ()) "
        "/ stddev_samp(raw_btc_dominance) over () as z_btc_dominance) from {model}",
    )
    assert ("fct_features_daily", "z_btc_dominance") in columns_of(bench.leaks(leaky))


@pytest.mark.dbt
def test_back_filled_volumes_are_caught(bench):
    leaky = bench.plant(
        "fct_asset_daily",
        "select * replace (coalesce(volume_usd, lead(volume_usd ignore nulls) "
        "over (partition by asset_id order by date)) as volume_usd) from {model}",
    )
    cuts = (40, 50, 60, 70, 80, 90)
    assert ("fct_asset_daily", "volume_usd") in columns_of(bench.leaks(leaky, cuts))


@pytest.mark.dbt
def test_todays_universe_applied_to_the_past_is_caught(bench):
    leaky = bench.plant(
        "fct_universe_daily",
        "select * replace (arg_max(is_eligible, date) over (partition by asset_id) "
        "as is_eligible) from {model}",
    )
    assert ("fct_universe_daily", "is_eligible") in columns_of(bench.leaks(leaky))


@pytest.mark.dbt
def test_an_index_weighted_by_the_same_days_caps_is_caught(bench):
    leaky = bench.plant(
        "fct_asset_daily",
        "select * replace (market_cap_usd as previous_market_cap_usd) from {model}",
    )
    assert ("facts", "previous_market_cap_usd") in columns_of(bench.leaks(leaky, ()))


@pytest.mark.dbt
def test_a_revision_applied_before_it_was_known_is_caught(bench):
    leaky = bench.plant(
        "fct_asset_daily",
        "select days.* replace (coalesce(newest.close, days.close_usd) as close_usd) "
        "from {model} as days left join ("
        "select asset_id, date, arg_max(close, known_at) as close "
        "from warehouse.lake.fact_price group by all) as newest using (asset_id, date)",
    )
    assert ("fct_asset_daily", "close_usd") in columns_of(bench.leaks(leaky))


@pytest.mark.dbt
def test_funding_times_three_is_caught(bench):
    leaky = bench.plant(
        "fct_funding_daily",
        "select * replace (3 * funding_rate_1d as funding_rate_1d) from {model}",
    )
    assert ("facts", "funding_rate_1d") in columns_of(bench.leaks(leaky, ()))


@pytest.mark.dbt
def test_a_funding_date_off_by_one_is_caught(bench):
    leaky = bench.plant(
        "stg_lake__funding_rates", "select * replace (date - 1 as date) from {model}"
    )
    found = bench.leaks(leaky, (60,))
    assert ("facts", "funding_rate_1d") in columns_of(found)


@pytest.mark.dbt
def test_a_result_that_depends_on_the_order_of_rows_is_caught(bench):
    leaky = bench.plant(
        "stg_lake__prices",
        "select * replace (lag(close_usd, 1, close_usd) over () as close_usd) from {model}",
    )
    as_filed = f"select * from read_parquet('{bench.lake / 'fact_price.parquet'}')"  # noqa: S608
    whole = bench.folder / "as_filed.duckdb"
    bench.replay.build(leaky, {"fact_price": as_filed})
    bench.replay.export(whole)
    bench.replay.attach(whole, "reference")
    bench.replay.build(leaky, {})
    found = Reference(bench.replay).mart_leaks(None, "rows in another order")
    assert ("fct_asset_daily", "close_usd") in columns_of(found)


@pytest.mark.dbt
def test_forward_filled_prices_are_caught(bench):
    leaky = bench.plant(
        "fct_asset_daily",
        "select * replace (coalesce(close_usd, lag(close_usd ignore nulls) "
        "over (partition by asset_id order by date)) as close_usd) from {model}",
    )
    found = bench.leaks(leaky, ())
    assert "invented price" in {leak.variant for leak in found}


# In Python


def test_a_score_that_reads_tomorrows_features_is_caught():
    def leaky(market, features):
        z = features.drop(columns="valid")
        return honest(market, z.shift(-1).fillna(z).assign(valid=True))

    assert ("regime_timeline", "score") in columns_of(leaks_of(leaky, SEED))


def under(*sets):
    """Return the clean strategy under other settings, of which no book depends."""
    return lambda market, features: run_strategy(market, features, config(*sets), BOOKS)


def test_a_smoothed_hidden_markov_model_is_caught(monkeypatch):
    def smoothed(model, seen):
        """Forward filter, then the backward pass that looks at the whole window."""
        p = filter_states(seen, model.means, model.sds, model.transition, model.start)
        for t in range(len(p) - 2, -1, -1):
            p[t] *= model.transition @ (p[t + 1] / (p[t] @ model.transition))
        return p

    assert leaks_of(under(*HIDDEN), SEED, (85,), *HIDDEN) == []
    monkeypatch.setattr(unsupervised_module, "_apply", smoothed)
    found = columns_of(leaks_of(under(*HIDDEN), SEED, (85,), *HIDDEN))
    assert "regime_timeline" in {table for table, _ in found}


@pytest.mark.parametrize(
    "seen_too_much",
    [
        lambda window, horizon: replace(window, fit_to=window.fit_to + horizon),
        lambda window, horizon: replace(window, fit_to=window.apply_to),
    ],
    ids=["not_purged", "fitted_on_the_days_it_is_applied_to"],
)
def test_a_calibration_that_saw_the_days_it_is_applied_to_is_caught(monkeypatch, seen_too_much):
    search, cut = calibration_module.search, 82

    def leaky(history, forward, window, settings):
        seen = seen_too_much(window, settings.calibration.eval_horizon_days)
        return search(
            history, forward, replace(seen, fit_to=min(seen.fit_to, len(forward))), settings
        )

    assert leaks_of(under(*CALIBRATED), SEED, (cut,), *CALIBRATED) == []
    monkeypatch.setattr(calibration_module, "search", leaky)
    found = columns_of(leaks_of(under(*CALIBRATED), SEED, (cut,), *CALIBRATED))
    assert "calibration" in {table for table, _ in found}


def test_an_impact_priced_with_volume_that_is_still_to_come_is_caught(monkeypatch):
    adv, sets = walk_module.average_daily_volume, ("costs.impact_coefficient=1",)

    def tomorrows(market):
        known = adv(market)
        return np.vstack([known[1:], known[-1:]])

    assert leaks_of(under(*sets), SEED, TRADING, *sets) == []
    monkeypatch.setattr(walk_module, "average_daily_volume", tomorrows)
    found = columns_of(leaks_of(under(*sets), SEED, TRADING, *sets))
    assert ("bt_daily_pnl", "impact") in found


def test_a_remembered_book_that_knew_more_than_its_inputs_is_caught(monkeypatch):
    """Here a mean over the whole sample; by its inputs alone the book would be the same."""
    propose, remembered = books_module._propose, {}

    def leaky(market, features):
        def knowing(*inputs):
            found = propose(*inputs)
            known = 1 + float(np.nanmean(market.return_1d)) / 1000
            return found if found.weights is None else replace(found, weights=found.weights * known)

        monkeypatch.setattr(books_module, "_propose", knowing)
        return run_strategy(market, features, config(), remembered)

    assert columns_of(leaks_of(leaky, SEED)) == {("books", "weights")}


def test_a_fill_at_the_close_it_was_decided_on_is_caught():
    market, features = market_and_features(SEED)
    same_bar = run_strategy(market, features, config("execution.lag_days=0"))

    assert execution_leaks(same_bar, lag_days=1)
    assert not execution_leaks(honest(market, features), lag_days=1)


def test_a_volatility_target_that_knows_the_days_own_return_is_caught(monkeypatch):
    decide = walk_module.decide

    def leaky(market, features):
        def clairvoyant(outlook, state, settings):
            decision = decide(outlook, state, settings)
            coming = market.return_1d[min(outlook.row + 1, len(market.dates) - 1), 0]
            return type(decision)(
                decision.row,
                decision.action,
                decision.reason,
                decision.targets / (1 + 10 * abs(coming)),
                decision.regime_scale,
                decision.volatility_scale,
                decision.position_scale,
            )

        monkeypatch.setattr(walk_module, "decide", clairvoyant)
        return run_strategy(market, features, config())

    assert ("bt_decisions", "target_weight") in columns_of(leaks_of(leaky, SEED, TRADING))


def test_a_beta_window_one_day_too_long_is_caught(monkeypatch):
    as_known = Market.closes_as_known
    monkeypatch.setattr(
        Market,
        "closes_as_known",
        lambda self, row, window: as_known(self, min(row + 1, len(self.dates) - 1), window),
    )
    found = columns_of(leaks_of(honest, SEED, TRADING))
    assert ("bt_decisions", "target_weight") in found


# In what the book remembers


def test_a_memory_that_knows_tomorrow_is_caught_before_anything_was_decided_on_it(monkeypatch):
    remember = walk_module.remember

    def leaky(market, features):
        def clairvoyant(state, decision, outlook):
            coming = market.return_1d[min(outlook.row + 1, len(market.dates) - 1), 0]
            return replace(remember(state, decision, outlook), anchor_score=coming)

        monkeypatch.setattr(walk_module, "remember", clairvoyant)
        return run_strategy(market, features, config())

    found = leaks_of(leaky, SEED, (TRADING[0],))
    assert ("state", "anchor_score") in columns_of(found)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("anchor_score", lambda score: round(score, 3)),
        ("unscaled_returns", lambda returns: returns[1:]),
        ("last_targets", lambda targets: {}),
        ("nav", lambda nav: nav * (1 + 1e-15)),
        ("weights", lambda weights: {asset: w * 1.01 for asset, w in weights.items()}),
    ],
)
def test_a_corrupted_memory_is_caught(monkeypatch, name, spoil):
    carried_document = state_module.carried_document

    def corrupted(carried, market):
        document = carried_document(carried, market)
        return document | {name: spoil(document[name])}

    monkeypatch.setattr(state_module, "carried_document", corrupted)
    assert "resumed" in {leak.variant for leak in leaks_of(honest, SEED, TRADING)}
