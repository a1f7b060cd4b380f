"""Gate 2 stops a day whose marts cannot be right, and lets a merely odd day pass with a warning."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from majors_alts_monitor.errors import GateError
from majors_alts_monitor.features import FEATURES
from majors_alts_monitor.gate import judge_marts
from pipeline_kit.expectations import Severity
from pipeline_kit.paths import suites_dir

DAY = date(2024, 3, 1)
PRIMARY = (
    "alt_breadth_pct_up",
    "btc_dominance",
    "funding_skew",
    "funding_heating",
    "liquidity_7d_median",
    "volatility_spread",
    "momentum_spread_7d",
    "oi_risk",
)


def warehouse(tmp_path, *changes: str) -> Path:
    """Return a warehouse of 31 days: BTC, ETH and ten eligible alts, changed by SQL.

    All market caps are the same, so BTC has one eleventh of those that count.
    """
    built = tmp_path / "built.duckdb"
    known = {"alt_breadth_pct_up": "55e0", "btc_dominance": "1e0 / 11"}
    features = ", ".join(
        [f"5e-1 as z_{name}" for name in PRIMARY]
        + [f"{known.get(f.name, '1e-2')} as raw_{f.name}" for f in FEATURES]
    )
    with duckdb.connect(str(built)) as con:
        con.execute("create schema marts")
        con.execute(
            """
            create table marts.fct_asset_daily as
            select asset_id, date, 1e2 as close_usd, 1e-2 as return_1d, 1e10 as market_cap_usd,
                1e9 as volume_level_usd, 1e-4 as funding_rate_8h
            from (select unnest(['BTC', 'ETH'] || list_transform(range(10), i -> 'A' || i))
                    as asset_id),
                (select unnest(generate_series(date '2024-01-31', date '2024-03-01',
                    interval 1 day))::date as date)
            """
        )
        con.execute(
            "create table marts.fct_universe_daily as select asset_id, date,"
            " asset_id not in ('BTC', 'ETH') as is_eligible from marts.fct_asset_daily"
        )
        con.execute(
            "create table marts.fct_features_daily as select distinct date,"  # noqa: S608
            f" {features}, true as has_funding, true as valid, 5e-1 as share_assumed,"
            " 1e0 as funding_oi_coverage from marts.fct_asset_daily"
        )
        con.execute(
            "create table marts.fct_revisions as select date '2024-02-28' as date,"
            " timestamp '2024-03-01 04:00' as known_at, date '2024-02-29' as read_from"
        )
        for change in changes:
            con.execute(change)
    return built


STOPS = {
    "no close of BTC": (
        "update marts.fct_asset_daily set close_usd = null where date = '2024-03-01'"
        " and asset_id = 'BTC'",
        "a major has no close",
    ),
    "no ETH": (
        "delete from marts.fct_asset_daily where date = '2024-03-01' and asset_id = 'ETH'",
        "BTC or ETH has no row",
    ),
    "price in another unit": (
        "update marts.fct_asset_daily set return_1d = 9.0 where date = '2024-03-01'"
        " and asset_id = 'BTC'",
        "a major moved more than",
    ),
    "funding in another unit": (
        "update marts.fct_asset_daily set funding_rate_8h = 0.04 where asset_id = 'ETH'",
        "funding rate is in another unit",
    ),
    "no features": (
        "delete from marts.fct_features_daily where date = '2024-03-01'",
        "marts_day has no row",
    ),
    "dominance": (
        "update marts.fct_features_daily set raw_btc_dominance = 60",
        "dominance is not a share",
    ),
    "dominance of other market caps": (
        "update marts.fct_features_daily set raw_btc_dominance = 0.2 where date = '2024-03-01'",
        "dominance is not that of price times supply",
    ),
    "a revision before its time": (
        "update marts.fct_revisions set read_from = date '2024-02-28'",
        "a revision is read by rows from before it was known",
    ),
    "more assumed than all": (
        "update marts.fct_features_daily set share_assumed = 1.5 where date = '2024-03-01'",
        "the share of assumed knowledge is not a share",
    ),
    "a day that does not say what it has": (
        "update marts.fct_features_daily set has_funding = null where date = '2024-03-01'",
        "the day does not say whether it has funding",
    ),
    "half the universe": (
        "update marts.fct_universe_daily set is_eligible = false where date = '2024-03-01'"
        " and asset_id >= 'A4'",
        "less than half of the usual universe",
    ),
}


@pytest.mark.parametrize(("change", "reason"), STOPS.values(), ids=STOPS)
def test_a_day_that_cannot_be_right_is_stopped(tmp_path, change, reason):
    result = tmp_path / "dq" / "gate2.json"

    with pytest.raises(GateError, match=f"gate 2, 2024-03-01: .*{reason}.*nothing is published"):
        judge_marts(warehouse(tmp_path, change), DAY, result)

    assert "critical" in result.read_text()
    assert reason in result.with_suffix(".html").read_text()


def test_a_sound_day_passes_without_a_word(tmp_path):
    report = judge_marts(warehouse(tmp_path), DAY, tmp_path / "gate2.json")

    assert (report.severity, report.warnings) == (Severity.NONE, ())
    assert json.loads((tmp_path / "gate2.json").read_text())["suites"]["marts_day"] == []
    page = (tmp_path / "gate2.html").read_text()
    assert "Every expectation was met." in page
    assert page.count("<td>yes</td>") == sum(
        len(json.loads(suite.read_text())["expectations"])
        for suite in suites_dir().glob("marts_*.json")
    )


def test_an_odd_day_passes_with_warnings(tmp_path):
    built = warehouse(
        tmp_path,
        "update marts.fct_features_daily set z_funding_skew = null where date = '2024-03-01'",
        "update marts.fct_asset_daily set return_1d = 6 where date = '2024-03-01'"
        " and asset_id = 'A3'",
        "update marts.fct_universe_daily set is_eligible = false where date = '2024-03-01'"
        " and asset_id >= 'A7'",
        # BTC and seven alts are left.
        "update marts.fct_features_daily set raw_btc_dominance = 1e0 / 8",
    )

    report = judge_marts(built, DAY, tmp_path / "gate2.json")

    assert report.severity is Severity.WARNING
    assert [line.split(" (")[0] for line in report.warnings] == [
        "the universe is a fifth smaller than usual",
        "z_funding_skew is missing",
        "an eligible alt moved more than fivefold",
    ]


def test_a_market_cap_in_another_unit_moves_dominance_away_from_price_times_supply(tmp_path):
    # ALTs of 1e10 each but one of 1e11: BTC has 1/20 by the day's caps, 1/11 by price and supply.
    built = warehouse(
        tmp_path,
        "update marts.fct_asset_daily set market_cap_usd = 1e11 where date = '2024-03-01'"
        " and asset_id = 'A3'",
        "update marts.fct_features_daily set raw_btc_dominance = 0.05 where date = '2024-03-01'",
    )

    report = judge_marts(built, DAY, tmp_path / "gate2.json")

    (line,) = report.warnings
    assert line.startswith("dominance is off that of price times last week's supply ([0.0409")


def test_a_feature_that_comes_and_goes_is_named_and_a_young_one_is_not(tmp_path):
    # Missing on 8 of the last 30 days; the other has existed for three days and on all of them.
    built = warehouse(
        tmp_path,
        "update marts.fct_features_daily set raw_momentum_alt_3d = null"
        " where date between '2024-02-10' and '2024-02-17'",
        "update marts.fct_features_daily set raw_funding_heating = null where date < '2024-02-28'",
    )

    report = judge_marts(built, DAY, tmp_path / "gate2.json")

    assert report.warnings == (
        f"raw_momentum_alt_3d was missing on more than a fifth of the last 30 days ([{8 / 30}])",
    )


def test_the_history_of_other_days_does_not_matter(tmp_path):
    built = warehouse(
        tmp_path, "update marts.fct_asset_daily set return_1d = 9 where date < '2024-03-01'"
    )

    assert judge_marts(built, DAY, tmp_path / "gate2.json").severity is Severity.NONE
