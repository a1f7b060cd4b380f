"""The previous monitor's formulas, by hand, and its history file."""

import math

import numpy as np
import pandas as pd
import pytest

from legacy_monitor.formulas import COLUMNS, bucket, history
from legacy_monitor.regime_monitor import append
from pipeline_kit.errors import DataProblem

DAYS = pd.date_range("2024-01-01", periods=40, name="date")


def flat_then(last_week):
    """Closes of 100 until the last seven days, which end at the given prices."""
    closes = pd.DataFrame(100.0, index=DAYS, columns=list(last_week))
    for asset, price in last_week.items():
        closes.loc[DAYS[-1], asset] = price
    return closes


def test_the_last_day_follows_the_formulas_by_hand():
    # BTC +10 % on the last day (so also over 7 days), SOL +4 %, ADA +1 %.
    closes = flat_then({"BTC": 110.0, "SOL": 104.0, "ADA": 101.0})
    funding = pd.DataFrame(0.0001, index=DAYS, columns=["BTC", "SOL", "ADA"])
    # The last ten points are hotter by 0.0002 for both alts: heating = 0.0002 - 0.0001.
    funding.loc[DAYS[-10:], ["SOL", "ADA"]] += 0.0002
    interest = pd.Series(1e9, index=DAYS)
    interest.iloc[-1] = 1.1e9

    row = history(closes, funding, interest).iloc[-1]

    trend = ((10.0 - 2.5) / 10.001) / 3
    # heating 0.0001 of 0.0005; open interest +10 % of 50 %; nobody's x3 is above BTC's.
    combined = trend - 0.25 * 0.2 - 0.15 * 0.2 - 0.10 * 0.0
    assert row["btc_7d"] == pytest.approx(10.0)
    assert row["alt_7d_avg"] == pytest.approx(2.5)
    assert row["funding_heating"] == pytest.approx(0.0001)
    assert row["breadth_3d"] == 0
    assert row["regime_score"] == pytest.approx(50 * (combined + 1))


def test_breadth_compares_the_three_day_blend_and_leaves_unknown_coins_out():
    # BTC: r1 = r7 = 10, x3 = 0.5 (30/7 + 10/3). SOL the same day but 8 % up in the week before:
    # r7 = 18.8, so its blend is higher; ADA is lower; DOT has no close on the last day.
    closes = flat_then({"BTC": 110.0, "SOL": 118.8, "ADA": 101.0, "DOT": 100.0})
    closes.loc[DAYS[-5:-1], "SOL"] = 108.0
    closes.loc[DAYS[-1], "DOT"] = np.nan
    funding = pd.DataFrame(0.0001, index=DAYS, columns=["BTC", "SOL"])

    row = history(closes, funding, pd.Series(1e9, index=DAYS)).iloc[-1]

    assert row["breadth_3d"] == 0.5
    assert row["alt_7d_avg"] == pytest.approx((18.8 + 1.0) / 2)


def test_open_interest_risk_counts_half_when_bitcoin_falls():
    up, down = (flat_then({"BTC": price, "SOL": price}) for price in (105.0, 95.0))
    funding = pd.DataFrame(0.0001, index=DAYS, columns=["BTC", "SOL"])
    interest = pd.Series(1e9, index=DAYS)
    interest.iloc[-1] = 1.2e9

    rising, falling = (history(closes, funding, interest).iloc[-1] for closes in (up, down))

    # No trend and nobody ahead: 50 (1 - 0.15 x 20/50), and half of that risk.
    assert rising["regime_score"] == pytest.approx(50 * (1 - 0.15 * 0.4))
    assert falling["regime_score"] == pytest.approx(50 * (1 - 0.15 * 0.2))


def test_trend_and_funding_risk_are_clamped():
    closes = flat_then({"BTC": 101.0, "SOL": 50.0})
    funding = pd.DataFrame(0.0, index=DAYS, columns=["BTC", "SOL"])
    funding.loc[DAYS[-10:], "SOL"] = 0.01

    row = history(closes, funding, pd.Series(1e9, index=DAYS)).iloc[-1]

    # (1 - -50) / 1.001 / 3 is far above 1, a heating of 0.005 far above 0.0005.
    assert row["funding_risk"] == 1
    assert row["regime_score"] == pytest.approx(50 * (1 - 0.25 + 1))
    assert row["bucket"] == "GREEN"


def test_a_wild_week_caps_the_score_at_60():
    closes = flat_then({"BTC": 120.0, "SOL": 90.0})
    funding = pd.DataFrame(0.0001, index=DAYS, columns=["BTC", "SOL"])

    row = history(closes, funding, pd.Series(1e9, index=DAYS)).iloc[-1]

    assert row["regime_score"] == 60.0
    assert row["bucket"] == "YELLOWGREEN"


def test_missing_open_interest_leaves_the_score_empty_and_is_not_zero():
    closes = flat_then({"BTC": 110.0, "SOL": 104.0})
    funding = pd.DataFrame(0.0001, index=DAYS, columns=["BTC", "SOL"])

    row = history(closes, funding, pd.Series(np.nan, index=DAYS)).iloc[-1]

    assert math.isnan(row["oi_change_3d"])
    assert math.isnan(row["regime_score"])
    assert row["bucket"] == ""


def test_fewer_than_twenty_funding_points_are_a_risk_of_one_half():
    closes = flat_then({"BTC": 110.0, "SOL": 104.0})
    funding = pd.DataFrame(np.nan, index=DAYS, columns=["BTC", "SOL"])
    funding.iloc[-19:] = 0.0001

    row = history(closes, funding, pd.Series(1e9, index=DAYS)).iloc[-1]

    assert math.isnan(row["funding_heating"])
    assert row["funding_risk"] == 0.5


def test_buckets_begin_at_their_bounds():
    assert [bucket(x) for x in (70, 55, 45, 30, 29.9)] == [
        "GREEN", "YELLOWGREEN", "YELLOW", "ORANGE", "RED",
    ]  # fmt: skip


def rows_of(n):
    closes = flat_then({"BTC": 110.0, "SOL": 104.0})
    funding = pd.DataFrame(0.0001, index=DAYS, columns=["BTC", "SOL"])
    return history(closes, funding, pd.Series(1e9, index=DAYS)).iloc[-n:]


def test_the_history_keeps_one_row_a_day_and_never_changes_an_old_one(tmp_path):
    path = tmp_path / "regime_history.csv"
    first = append(path, rows_of(3))
    before = path.read_text("utf-8").splitlines()

    again = append(path, rows_of(5))

    after = path.read_text("utf-8").splitlines()
    assert (first, again) == (3, 2)
    assert after[0].split(",") == list(COLUMNS)
    assert set(before) <= set(after)
    assert [line.split(",")[0] for line in after[1:]] == sorted(rows_of(5)["date_iso"])


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b\n1,2\n", "utf-8")

    with pytest.raises(DataProblem, match="other columns"):
        append(path, rows_of(1))

    assert path.read_text("utf-8") == "a,b\n1,2\n"
