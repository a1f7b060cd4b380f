"""Thirty days lived one by one are the thirty days of one backtest, with every risk rule on.

Each day the lake holds nothing later, and the step of the DAG runs as it does at 00:50. The marts
of each day come from the replay, which the audit holds against dbt's own build.
"""

import json
from datetime import date, timedelta

import pandas as pd
import pytest
import yaml

from majors_alts_monitor.config import effective_values, load_config
from majors_alts_monitor.daily import day_config, day_folder, run_day
from majors_alts_monitor.data_io import (
    dbt_artifacts,
    open_lake,
    open_warehouse,
    read_features,
    read_market,
    warehouse_file,
)
from majors_alts_monitor.outputs import plain
from majors_alts_monitor.state import carried_document, state_text
from majors_alts_monitor.strategy import run_strategy
from majors_alts_monitor.walk import Carried
from pipeline_kit import paths
from pipeline_kit.manifest import readable_json
from pipeline_kit.model_replay import Replay, read_models
from tests.fixtures.lakes import make_lake

pytestmark = [pytest.mark.chaos, pytest.mark.dbt]
START, N_DAYS, N_LIVED = date(2024, 1, 1), 160, 30
LAST = START + timedelta(days=N_DAYS - 1)
RULES = "backtest.risk_management"
SETTINGS = [
    "universe.min_mcap_usd=0",
    "universe.min_volume_usd=0",
    "universe.min_names=3",
    "universe.per_name_cap=0.5",
    "universe.alt_selection.enabled=false",
    "features.zscore_days=20",
    "evaluation.bootstrap.n_boot=20",
    "regime.thresholds.low=-0.2",
    "regime.thresholds.high=0.2",
    "regime.hysteresis_band=0.1",
    f"{RULES}.stop_loss.enabled=true",
    f"{RULES}.stop_loss.threshold=0.01",
    f"{RULES}.take_profit.enabled=true",
    f"{RULES}.take_profit.threshold=0.02",
    f"{RULES}.trailing_stop.enabled=true",
    f"{RULES}.time_exit.enabled=true",
    f"{RULES}.volatility_targeting.enabled=true",
]


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """Return the strategy over the whole lake; the environment is that of a daily run."""
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path / 'bucket'}")
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(effective_values(load_config(None, SETTINGS))))
    monkeypatch.setenv("MAM_CONFIG", str(settings))
    make_lake(tmp_path / "lake", seed=7, n_assets=8, n_days=N_DAYS, start=START)
    built = open_warehouse(open_lake(tmp_path / "lake"), day_config(), None)
    return built, run_strategy(read_market(built, LAST), read_features(built), day_config())


def live_until(day, source, models):
    """Put into our lake what ``day`` knows, and its marts where the day will look for them."""
    lake = paths.lake_dir()
    lake.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.parquet"):
        rows = pd.read_parquet(file)
        rows[pd.to_datetime(rows["date"]).dt.date <= day].to_parquet(lake / file.name)
    opened = open_lake(lake)
    with Replay(opened.tables) as replay:
        replay.build(models, {})
        file = warehouse_file(opened.facts.content_sha256, day_config(), None)
        replay.export(file, also=[("intermediate", "int_fact_versions")])


def remembered(strategy, row):
    """Return what the backtest remembers of a day, as ``state.json`` tells it."""
    market, walk = strategy.market.until(row), strategy.walk
    carried = Carried(walk.states[row], walk.nav[row], walk.carried.age, walk.carried.betas)
    today = strategy.timeline.daily.iloc[row]
    document = carried_document(carried, market)
    document |= {"regime": today["regime"], "days_in_regime": int(today["days_in_regime"])}
    return json.loads(readable_json(plain(document)))


def test_thirty_days_lived_one_by_one_are_one_backtest(whole, tmp_path):
    built, strategy = whole
    models = read_models(dbt_artifacts(built))
    actions = set()
    for row in range(N_DAYS - N_LIVED, N_DAYS):
        day = START + timedelta(days=row)
        live_until(day, tmp_path / "lake", models)

        folder = run_day(str(day))

        decision = strategy.walk.decisions[row]
        said = json.loads((folder / "signals_today.json").read_text())
        weights = zip(strategy.market.assets, decision.targets, strict=True)
        assert said["action"] == decision.action.value
        assert said["target_weights"] == {asset: w for asset, w in weights if w}
        lived, expected = json.loads((folder / "state.json").read_text()), remembered(strategy, row)
        # The two below are of the walk's last day only.
        for name in expected.keys() - {"days_without_price", "betas"}:
            assert lived[name] == expected[name], (str(day), name)
        actions.add((decision.action.value, decision.reason))
    assert (folder / "state.json").read_text() == state_text(strategy)
    assert {"hold", "rebalance", "exit"} <= {action for action, _ in actions}
    assert {reason for _, reason in actions} & {"stop_loss", "take_profit", "trailing_stop"}
    assert len(list(day_folder(LAST).parent.iterdir())) == N_LIVED
