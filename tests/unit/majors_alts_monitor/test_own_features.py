"""Features beyond the binding ones: their mart, their place in the score, their configuration."""

import duckdb
import pytest

from majors_alts_monitor import config, data_io
from majors_alts_monitor.config import DirectionsConfig, WeightsConfig, shipped_config
from majors_alts_monitor.errors import TableContractError
from majors_alts_monitor.types import GROUPS

EIGHT = (
    "alt_breadth",
    "btc_dominance",
    "funding_skew",
    "funding_heating",
    "liquidity",
    "volatility_spread",
    "momentum",
    "oi_risk",
)


def test_the_shipped_groups_are_the_contract_s_eight_in_the_order_of_the_file():
    assert GROUPS == EIGHT
    assert tuple(shipped_config()["regime"]["weights"]) == EIGHT
    assert tuple(WeightsConfig.model_fields) == tuple(DirectionsConfig.model_fields) == EIGHT


def test_a_group_of_ones_own_is_out_of_the_score_until_it_has_a_weight(monkeypatch):
    monkeypatch.setattr(config, "GROUPS", (*EIGHT, "btc_lead"))
    extended = config._with_own_groups(config.NonNegative, unless_given=0.0)(WeightsConfig)
    shipped = shipped_config()["regime"]["weights"]

    silent, weighty = extended(**shipped), extended(**shipped, btc_lead=0.05)

    assert silent.btc_lead == 0
    assert weighty.btc_lead == 0.05
    with pytest.raises(ValueError, match="btc_led"):
        extended(**shipped, btc_led=0.05)


def test_a_mart_of_the_catalogue_that_was_not_built_is_named(tmp_path, monkeypatch):
    built = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(built)) as con:
        con.execute("create schema marts")
        con.execute("create table marts.fct_features_daily (date date)")
    monkeypatch.setattr(data_io, "OWN_MODELS", ("fct_btc_lead_daily",))

    with pytest.raises(TableContractError, match=r"fct_btc_lead_daily.*does a model have"):
        data_io.read_features(built)
