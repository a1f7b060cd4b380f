"""How fresh, complete and certain a lake is, counted by hand."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from majors_alts_monitor.report.lake_health import lake_health


@pytest.fixture
def tables(tmp_path):
    rows = [
        ("BTC", "2024-01-01", 1.0, "2024-01-02", "observed"),
        ("BTC", "2024-01-01", 1.5, "2024-01-05", "observed"),
        ("BTC", "2024-01-03", 2.0, None, None),
        ("SOL", "2024-01-02", 3.0, "2024-01-03", "assumed"),
        ("SOL", "2024-01-04", 9.0, "2024-01-05", "observed"),
    ]
    names = ["asset_id", "date", "close", "known_at", "known_basis"]
    frame = pd.DataFrame(rows, columns=names)
    frame = frame.assign(**{n: pd.to_datetime(frame[n]) for n in ("date", "known_at")})
    halves = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    frame.iloc[:2].to_parquet(halves[0])
    frame.iloc[2:].to_parquet(halves[1])
    settled = pd.DataFrame(
        {
            "asset_id": ["BTC", "BTC"],
            "settled_at": pd.to_datetime(["2024-01-03 16:00:00.000", "2024-01-04 00:00:00.004"]),
            "funding_rate": [0.1, 0.2],
            "interval_hours": [8.0, 8.0],
        }
    )
    settled.to_parquet(tmp_path / "s.parquet")
    pd.DataFrame({"asset_id": ["BTC"]}).to_parquet(tmp_path / "d.parquet")
    return {
        "fact_price": halves,
        "fact_funding_settlement": [tmp_path / "s.parquet"],
        "dim_asset": [tmp_path / "d.parquet"],
    }


def test_each_fact_table_is_counted_up_to_the_day(tables):
    found = lake_health(tables, date(2024, 1, 3)).set_index("table")
    price = found.loc["fact_price"]
    assert list(found.index) == ["fact_funding_settlement", "fact_price"]
    assert (price["rows"], price["age_days"], price["revised"]) == (3, 0, 0)
    assert (price["assets_today"], price["assets_week"]) == (1, 2)
    assert price["share_observed"] == 1 / 3
    assert str(price["newest_day"])[:10] == "2024-01-03"


def test_a_revision_is_counted_once_it_was_known_and_not_before(tables):
    def found(day, **limits):
        return (
            lake_health(tables, date(2024, 1, day), **limits).set_index("table").loc["fact_price"]
        )

    assert [found(day)["revised"] for day in (3, 4)] == [0, 1]
    assert found(4, known_at=datetime(2024, 1, 4, 23, tzinfo=UTC))["revised"] == 0
    assert found(4, known_at=datetime(2024, 1, 2, tzinfo=UTC))["rows"] == 1


def test_a_settlement_at_midnight_belongs_to_the_day_it_ends(tables):
    found = lake_health(tables, date(2024, 1, 3)).set_index("table")
    assert found.loc["fact_funding_settlement", "rows"] == 2


def test_the_layout_of_files_changes_nothing(tables):
    turned = {**tables, "fact_price": tables["fact_price"][::-1]}
    day = date(2024, 1, 4)
    pd.testing.assert_frame_equal(lake_health(tables, day), lake_health(turned, day))


def test_a_late_table_says_its_age(tables):
    found = lake_health(tables, date(2024, 1, 9)).set_index("table")
    assert found.loc["fact_price", "age_days"] == 5
