"""The slow reference against arithmetic done by hand; the judge must be judged first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from tests.reference.arithmetic import deviation, median, quantile, zscore
from tests.reference.asset_day import reference_asset_day, reference_funding
from tests.reference.features import reference_features
from tests.reference.funding import alts_rate, majors_rate
from tests.reference.knowledge import Knowledge, Settings
from tests.reference.universe import first_failing_rule, reference_universe

FIRST = date(2024, 1, 1)
SMALL = Settings(min_mcap_usd=50.0, min_volume_usd=10.0)


def day(k: int) -> date:
    return FIRST + timedelta(days=k)


def fact(column: str, values: dict[str, list[float | None]], **columns: Any) -> pd.DataFrame:
    """Return a fact from each asset's values of days 0, 1, ...; None leaves the row out."""
    rows = [
        {"asset_id": asset, "date": day(k), column: value, **columns}
        for asset, series in values.items()
        for k, value in enumerate(series)
        if value is not None
    ]
    return pd.DataFrame(rows)


def lake_of(
    close: dict[str, list[float | None]],
    marketcap: dict[str, list[float | None]] | None = None,
    volume: dict[str, list[float | None]] | None = None,
    **others: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """Return a lake in which whatever has a close is big enough, unless told otherwise."""
    n_days = max(len(series) for series in close.values())
    return {
        "fact_price": fact("close", close),
        "fact_marketcap": fact("marketcap", marketcap or {a: [100.0] * n_days for a in close}),
        "fact_volume": fact("volume", volume or {a: [20.0] * n_days for a in close}),
        **others,
    }


def settlement(asset: str, stamp: str, rate: float, hours: float, mark: float | None = None) -> Any:
    return {
        "asset_id": asset,
        "settled_at": pd.Timestamp(stamp),
        "funding_rate": rate,
        "interval_hours": hours,
        "mark_price": mark,
    }


MAJORS_FLAT: dict[str, list[float | None]] = {"BTC": [100.0] * 6, "ETH": [10.0] * 6}


def test_quantiles_interpolate_between_neighbours():
    # Four values: position 0.25 x 3 = 0.75 lies three quarters of the way from 1 to 2.
    assert quantile([4.0, 2.0, 1.0, 8.0], 0.25) == 1.75
    assert quantile([4.0, 2.0, 1.0, 8.0], 0.75) == 5.0
    assert median([4.0, 2.0, 1.0, 8.0]) == 3.0


def test_deviation_divides_by_n_minus_one():
    # Mean 3, squares 4 + 0 + 4 = 8, over 2.
    assert deviation([1.0, 3.0, 5.0]) == 2.0


def test_zscore_is_null_when_constant_and_when_a_day_is_missing():
    assert zscore([0.1, 0.1, 0.1]) is None
    assert zscore([None, 0.1, 0.2]) is None
    assert zscore([1.0, 3.0, 5.0]) == 1.0


def test_breadth_counts_only_rises_and_spreads_by_quartiles():
    close = MAJORS_FLAT | {"A": [100, 125], "B": [100, 100], "C": [100, 50], "D": [64, 80]}
    row = reference_features(lake_of(close), SMALL).iloc[1]

    # Returns +.25, 0, -.5, +.25: two of four rose; sorted -.5, 0, .25, .25.
    assert row["raw_alt_breadth_pct_up"] == 50.0
    assert row["raw_alt_breadth_median_ret"] == 0.125
    assert row["raw_alt_breadth_iqr"] == 0.25 - (-0.5 + 0.75 * 0.5)


def test_dominance_leaves_eth_and_the_ineligible_out():
    close = MAJORS_FLAT | {"A": [100.0] * 6, "TINY": [100.0] * 6}
    caps = {"BTC": [300.0] * 6, "ETH": [200.0] * 6, "A": [100.0] * 6, "TINY": [49.0] * 6}
    row = reference_features(lake_of(close, caps), SMALL).iloc[3]

    assert row["raw_btc_dominance"] == 300 / 400


def test_levels_last_three_days_and_not_four():
    close = MAJORS_FLAT | {"A": [100.0] * 6}
    caps = {"BTC": [300.0] * 6, "A": [100.0, None, None, None, None, None]}
    table = reference_asset_day(lake_of(close, caps), SMALL).set_index(["asset_id", "date"])

    assert table.loc[("A", day(3)), "market_cap_usd"] == 100.0
    assert pd.isna(table.loc[("A", day(4)), "market_cap_usd"])
    assert table.loc[("A", day(4)), "previous_market_cap_usd"] == 100.0


def test_first_failing_rule_is_the_reason():
    n = 12
    assets = ("BTC", "OUT", "PEG", "FLAGGED", "SMALL", "THIN", "STALE", "GAP", "YOUNG", "GOOD")
    constant = {asset: [100.0] * n for asset in assets}
    volumes = {asset: [20.0] * n for asset in assets}
    close = constant | {"GAP": [100.0] * (n - 2) + [None, 100.0], "SMALL": [None] * (n - 1) + [1.0]}
    caps = constant | {"SMALL": [49.0] * n, "OUT": [1.0] * n}
    # THIN: the median of 20, 9, 9 is 9. STALE: rows 4 and 5 days old, so a median but no level.
    volumes |= {"THIN": [None] * (n - 3) + [20.0, 9.0, 9.0], "STALE": [20.0] * (n - 4) + [None] * 4}
    perps = [(asset, day(-40), None) for asset in assets if asset not in ("YOUNG", "GOOD")]
    perps += [("YOUNG", day(n - 30), None), ("GOOD", day(n - 31), None)]
    lake = lake_of(
        close,
        caps,
        volumes,
        dim_asset=pd.DataFrame(
            {
                "asset_id": ["PEG", "FLAGGED", "GOOD", "OUT"],
                "kind": ["stablecoin", "coin", "coin", "index"],
                "is_wrapped": [False, True, False, True],
            }
        ),
        dim_instrument=pd.DataFrame(perps, columns=["asset_id", "listed_on", "delisted_on"]),
    )
    settings = Settings(min_mcap_usd=50.0, min_volume_usd=10.0, exclude_assets=("OUT",))
    known = Knowledge(lake, settings)

    reasons = {asset: first_failing_rule(known, asset, day(n - 1)) for asset in assets}

    assert reasons == {
        "BTC": "major",
        "OUT": "excluded",
        "PEG": "kind",
        "FLAGGED": "kind",
        "SMALL": "mcap",
        "THIN": "volume",
        "STALE": "stale",
        "GAP": "closes",
        "YOUNG": "listing",
        "GOOD": None,
    }


def test_one_living_perp_is_enough_and_an_asset_without_perps_is_not_listed():
    perps = pd.DataFrame(
        [
            ("TWO", day(-100), day(3)),
            ("TWO", day(-50), None),
            ("DEAD", day(-100), day(3)),
        ],
        columns=["asset_id", "listed_on", "delisted_on"],
    )
    close = {asset: [100.0] * 6 for asset in ("TWO", "DEAD", "NONE")}
    universe = reference_universe(lake_of(close, dim_instrument=perps), SMALL)
    reasons = universe.set_index(["asset_id", "date"])["exclusion_reason"]

    assert reasons["TWO", day(3)] is None
    assert reasons["DEAD", day(2)] is None
    assert reasons["DEAD", day(3)] == "listing"
    assert reasons["NONE", day(3)] == "listing"


def test_universe_remembers_an_asset_for_three_days_after_its_last_row():
    close = {"BTC": [100.0] * 6, "A": [100.0, 100.0]}
    table = {"BTC": [100.0] * 6, "A": [100.0, 100.0]}
    universe = reference_universe(lake_of(close, table, table), SMALL)
    days = list(universe.loc[universe["asset_id"] == "A", "date"])

    assert days == [day(k) for k in range(5)]


def test_alt_side_is_weighted_only_by_a_majority_with_open_interest():
    rates = {"A": 0.25, "B": 0.5, "C": 1.0, "D": 0.25}

    # Two of four is not more than half: (.25 + .5 + 1 + .25) / 4.
    assert alts_rate(rates, {"A": 1.0, "B": 3.0}) == 0.5
    # Three of four: (1 x .25 + 1 x .5 + 2 x 1) / 4, D without open interest left out.
    assert alts_rate(rates, {"A": 1.0, "B": 1.0, "C": 2.0}) == 0.6875
    assert majors_rate({"BTC": 0.25, "ETH": 0.5}, {"ETH": 1.0}) == 0.375


def test_funding_skew_and_its_coverage():
    close = MAJORS_FLAT | {"A": [100.0] * 6, "B": [100.0] * 6, "C": [100.0] * 6}
    funding = {"BTC": [0.5] * 6, "ETH": [0.25] * 6, "A": [0.5] * 6, "B": [1.0] * 6}
    interest = {"BTC": [30.0] * 6, "ETH": [10.0] * 6, "A": [5.0] * 6, "C": [9.0] * 6}
    lake = lake_of(
        close,
        fact_funding=fact("funding_rate", funding),
        fact_open_interest=fact("open_interest_usd", interest),
    )
    row = reference_features(lake, SMALL).iloc[3]

    # ALTs: one of two funded has open interest, so the plain mean .75. Majors: (15 + 2.5) / 40.
    assert row["raw_funding_skew"] == 0.75 - 0.4375
    assert row["funding_oi_coverage"] == 0.5
    assert row["has_funding"]
    assert pd.isna(row["raw_funding_skew_zscore_3d"])


def test_settlements_win_where_they_cover_sixteen_hours():
    stamps = [
        settlement("A", "2024-01-02 00:00:00.004", 0.25, 8),  # ends day 0
        settlement("A", "2024-01-02 08:00:00", 0.5, 8, mark=200.0),
        settlement("A", "2024-01-02 15:59:59.998", 0.25, 8),
    ]
    close: dict[str, list[float | None]] = {"A": [100.0, 125.0]}
    lake = lake_of(
        close,
        fact_funding=fact("funding_rate", {"A": [0.125, 0.125, 0.125]}),
        fact_funding_settlement=pd.DataFrame(stamps),
    )
    table = reference_funding(lake, SMALL).set_index("date")

    # Day 0 has 8 hours of settlements: the daily rate stands, three times over the day.
    assert table.loc[day(0), ["basis", "funding_rate_8h", "funding_rate_1d"]].to_list() == [
        "daily",
        0.125,
        0.375,
    ]
    # Day 1 has 16 hours: (.5 + .25) / 3; carry .5 x 200 / 100 + .25, the mark unknown.
    assert table.loc[day(1), ["basis", "funding_rate_8h", "funding_rate_1d"]].to_list() == [
        "settlement",
        0.25,
        1.25,
    ]


def test_oi_risk_falls_back_to_market_cap_on_both_days():
    close = {"BTC": [100.0, 100.0, 100.0, 110.0, 90.0, 120.0], "A": [100.0] * 6}
    caps = {"BTC": [100.0, 100.0, 100.0, 125.0, 110.0, 175.0], "A": [100.0] * 6}
    interest = {"BTC": [40.0, None, 40.0, 50.0, 44.0, None]}
    lake = lake_of(close, caps, fact_open_interest=fact("open_interest_usd", interest))
    features = reference_features(lake, SMALL)

    # Day 3: 50/40 is +25 %, half of 50 %, price up. Day 4: day 1 is missing, caps +10 %, price
    # down: .2 x .5. Day 5: day 5 is missing, caps +75 %, clamped.
    assert features["oi_is_proxy"].to_list() == [True, True, True, False, True, True]
    assert features["raw_oi_risk"].iloc[3:].to_list() == pytest.approx([0.5, 0.1, 1.0])
    assert features["raw_oi_risk"].iloc[:3].isna().all()


def test_total_volume_sums_levels_of_each_days_own_members():
    n = 8
    close = {"BTC": [100.0] * n, "A": [100.0] * n, "B": [100.0, 100.0, 100.0] + [None] * (n - 3)}
    volume = {"A": [16.0, 32.0, None, 16.0, 64.0, 16.0, 16.0, 128.0], "B": [20.0] * n}
    features = reference_features(lake_of(close, volume=volume), SMALL)

    # Nobody is eligible on day 0. Day 1: 32 + 20, day 2: 32 (level) + 20, then A alone.
    assert pd.isna(features["raw_liquidity_7d_median"].iloc[6])
    assert features["raw_liquidity_7d_median"].iloc[7] == median([52, 52, 16, 64, 16, 16, 128])


def test_index_is_weighted_by_the_day_before():
    n = 9
    returns = [0.25, -0.2, 0.25, -0.2, 0.25, -0.2, 0.25, -0.2]
    rising: list[float | None] = [100.0]
    for r in returns:
        rising.append((rising[-1] or 0.0) * (1 + r))
    close = {"BTC": [100.0] * n, "A": rising, "B": [100.0] * n}
    caps = {"BTC": [100.0] * n, "A": [100.0, 300.0] * 4 + [100.0], "B": [100.0] * n}
    features = reference_features(lake_of(close, caps), SMALL)

    # A's weight is its cap of the day before: .5 when it rises, .75 when it falls.
    index = [0.125, -0.15] * 4
    assert pd.isna(features["raw_volatility_spread"].iloc[6])
    assert features["raw_volatility_spread"].iloc[8] == pytest.approx(deviation(index[1:]))


def test_momentum_needs_every_day_and_both_majors():
    close = {
        "BTC": [100.0, 110.0, 121.0, 133.1],
        "ETH": [100.0, 100.0, 100.0, None],
        "A": [100.0, 120.0, 144.0, 172.8],
        "B": [None, None, 100.0, 100.0],
    }
    features = reference_features(lake_of(close), SMALL)

    # B's window is incomplete, so A's 20 % a day is the median; ETH is missing.
    assert features["raw_momentum_alt_3d"].iloc[3] == pytest.approx(0.2)
    assert pd.isna(features["raw_momentum_spread_3d"].iloc[3])


def test_a_row_reads_what_was_known_before_its_decision_could_be_executed():
    versions = [
        # day 1's close: known in time; its revision reaches the next row only
        (day(1), 100.0, pd.Timestamp("2024-01-03 00:50")),
        (day(1), 200.0, pd.Timestamp("2024-01-04 00:00")),
        (day(0), 50.0, pd.Timestamp("2024-01-02 00:50")),
        (day(2), 100.0, pd.Timestamp("2024-01-04 00:50")),
    ]
    price = pd.DataFrame(versions, columns=["date", "close", "known_at"]).assign(
        asset_id="A", known_basis="observed"
    )
    lake = lake_of({"A": [1.0]}) | {"fact_price": price}

    pit = reference_asset_day(lake, SMALL).set_index("date")
    latest = reference_asset_day(lake, Settings(vintage="latest")).set_index("date")
    live = reference_asset_day(lake, Settings(known_at="2024-01-04T00:30:00Z")).set_index("date")

    assert pit["return_1d"].iloc[1:3].to_list() == [1.0, -0.5]
    assert latest["return_1d"].iloc[1:3].to_list() == [3.0, -0.5]
    assert live["return_1d"].iloc[1] == 1.0
    assert pd.isna(live["close_usd"].reindex([day(2)]).iloc[0])


def test_share_assumed_counts_each_settlement_as_a_row():
    observed = pd.Timestamp("2024-01-02 00:50")
    times = ("2024-01-02 08:00", "2024-01-02 16:00", "2024-01-03 00:00")
    stamps = [settlement("A", time, 0.25, 8) for time in times]
    lake = lake_of({"BTC": [100.0] * 3, "A": [100.0] * 3})
    lake["fact_price"] = lake["fact_price"].assign(known_at=observed, known_basis="observed")
    lake["fact_funding_settlement"] = pd.DataFrame(stamps)
    row = reference_features(lake, SMALL).iloc[1]

    # Observed: two closes. Assumed: two market caps, two volumes, three settlements.
    assert row["share_assumed"] == 7 / 9


def test_a_gap_is_not_a_one_day_return():
    table = reference_asset_day(lake_of({"A": [100.0, None, 150.0]}), SMALL).set_index("date")

    assert pd.isna(table.loc[day(2), "return_1d"])
    assert table.loc[day(2), "return_since_last_price"] == 0.5
    assert table.loc[day(1), "last_price_date"] == day(0)
