"""Clean code passes the audit, whatever the market."""

from datetime import date, timedelta

import pandas as pd
import pytest

from majors_alts_monitor.audit import cut_days
from majors_alts_monitor.causality import Reference, fact_leaks, poisoned, truncated
from majors_alts_monitor.causality_path import execution_leaks
from majors_alts_monitor.strategy import run_strategy
from pipeline_kit.lake import find_tables
from pipeline_kit.model_replay import Replay
from tests.fixtures.markets import market_of
from tests.leaks.conftest import START, small_lake
from tests.leaks.markets import config, honest, leaks_of, market_and_features

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_strategy_raises_no_alarm(seed):
    assert leaks_of(honest, seed) == []


def test_trades_on_time_raise_no_alarm():
    assert execution_leaks(honest(*market_and_features(5)), lag_days=1) == []


def test_a_held_asset_that_dies_unannounced_is_sold_without_an_alarm():
    market, features = market_and_features(5)
    last = 103  # a day on which the book holds it, and the next decision is far
    closes, volumes = (
        pd.DataFrame(values, market.dates, market.assets).where(
            lambda frame: (
                (frame.index <= market.dates[last]).reshape(-1, 1) | (frame.columns != "ALT01")
            )
        )
        for values in (market.close_usd, market.volume_usd)
    )

    lived = run_strategy(market_of(closes, volumes), features, config())

    sold = lived.walk.positions.query("asset_id == 'ALT01' and traded != 0 and stale_price")
    assert sold["date"].tolist() == [market.dates[last + 4]]
    assert execution_leaks(lived, lag_days=1) == []


@pytest.mark.dbt
@pytest.mark.parametrize("seed", SEEDS)
def test_the_models_raise_no_alarm(compiled, tmp_path, seed):
    _, models = compiled
    cut = START + timedelta(days=45 + seed)
    with Replay(find_tables(small_lake(tmp_path / "lake", seed, n_days=85))) as replay:
        replay.build(models, {})
        assert fact_leaks(replay) == []
        replay.export(tmp_path / "whole.duckdb")
        replay.attach(tmp_path / "whole.duckdb", "reference")
        reference = Reference(replay)
        assert reference.mart_leaks(None, "again") == []
        for variant in (truncated(cut), poisoned(cut, seed)):
            replay.build(models, variant)
            assert reference.mart_leaks(cut, "variant") == []


def test_cuts_are_spread_over_the_range_and_never_more_than_its_days():
    days = cut_days(date(2024, 1, 1), date(2024, 12, 30), 50)

    assert len(set(days)) == 50
    assert days == tuple(sorted(days))
    assert days[0] >= date(2024, 1, 1)
    assert days[-1] <= date(2024, 12, 30)
    assert cut_days(date(2024, 1, 1), date(2024, 1, 2), 9) == (date(2024, 1, 1), date(2024, 1, 2))
