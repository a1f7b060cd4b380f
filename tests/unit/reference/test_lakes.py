"""The generated lakes contain what was asked for, and tampering changes only what it says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.fixtures.lakes import make_lake, poison, read_tables, shuffle_rows, truncate
from tests.reference.features import reference_features
from tests.reference.knowledge import Settings, read_lake

START = date(2023, 12, 1)
CUT = START + timedelta(days=60)
SHORT = Settings(zscore_days=20)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(
        tmp_path_factory.mktemp("lake"),
        5,
        8,
        90,
        start=START,
        gaps=0.01,
        deaths=1,
        late_listings=1,
        settlements=0.5,
        revisions=0.05,
        late_arrivals=0.03,
        instruments=True,
        kinds=True,
    )


@pytest.fixture(scope="module")
def past(lake: Path) -> pd.DataFrame:
    return past_features(lake)


def past_features(lake: Path) -> pd.DataFrame:
    features = reference_features(read_lake(lake), SHORT)
    return features[features["date"] <= CUT]


def test_the_same_arguments_give_the_same_rows(tmp_path: Path) -> None:
    once = read_tables(make_lake(tmp_path / "a", 1, 6, 30, revisions=0.1, settlements=1.0))
    again = read_tables(make_lake(tmp_path / "b", 1, 6, 30, revisions=0.1, settlements=1.0))

    assert once.keys() == again.keys()
    for name, table in once.items():
        pd.testing.assert_frame_equal(table, again[name])


def test_keys_and_versions_are_unique(lake: Path) -> None:
    for name, table in read_tables(lake).items():
        key = {"dim_asset": ["asset_id"], "dim_instrument": ["instrument_id"]}.get(name)
        time = "settled_at" if "settled_at" in table else "date"
        assert not table.duplicated(key or ["asset_id", time, "known_at"]).any(), name


def test_some_rows_are_revised_and_some_arrive_late(lake: Path) -> None:
    prices = read_tables(lake)["fact_price"]
    first_known = prices.groupby(["asset_id", "date"])["known_at"].min().reset_index()
    wait = first_known["known_at"] - pd.to_datetime(first_known["date"])

    assert prices.duplicated(["asset_id", "date"]).any()
    assert (wait >= pd.Timedelta(days=2)).any()


def test_shuffled_rows_change_no_reference_value(
    lake: Path, past: pd.DataFrame, tmp_path: Path
) -> None:
    pd.testing.assert_frame_equal(past_features(shuffle_rows(lake, tmp_path)), past)


def test_the_reference_does_not_see_beyond_a_cut(
    lake: Path, past: pd.DataFrame, tmp_path: Path
) -> None:
    truncated = past_features(truncate(lake, tmp_path, CUT))

    pd.testing.assert_frame_equal(truncated, past)


@pytest.mark.parametrize("how", ["nan", "x1000", "shuffled"])
def test_the_reference_does_not_see_a_poisoned_future(
    lake: Path, past: pd.DataFrame, tmp_path: Path, how: str
) -> None:
    poisoned = poison(lake, tmp_path, CUT, how)
    original = reference_features(read_lake(lake), SHORT).drop(columns="date")
    changed = reference_features(read_lake(poisoned), SHORT).drop(columns="date")

    pd.testing.assert_frame_equal(past_features(poisoned), past)
    # The poison is real: what comes after the cut is another market.
    assert not changed.iloc[len(past) + 1 :].equals(original.iloc[len(past) + 1 :])
