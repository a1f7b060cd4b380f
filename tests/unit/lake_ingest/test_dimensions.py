"""Assets and instruments keep their state: the new replaces, the vanished stays."""

from datetime import date

import pandas as pd

from lake_ingest.dimensions import canonical, changed_rows, merge
from pipeline_kit.contract import TABLES

ASSETS = TABLES["dim_asset"]
INSTRUMENTS = TABLES["dim_instrument"]


def assets(**kinds: str) -> pd.DataFrame:
    rows = pd.DataFrame({"asset_id": list(kinds), "kind": list(kinds.values())})
    return canonical(ASSETS, rows)


def test_the_vanished_stays_and_the_changed_is_replaced():
    stored, seen = assets(BTC="coin", LUNC="coin", USDX="coin"), assets(BTC="coin", USDX="wrapped")

    changed = changed_rows(stored, seen)
    merged = merge(ASSETS, stored, changed)

    assert changed["asset_id"].tolist() == ["USDX"]
    assert merged.select(["asset_id", "kind"]).to_pylist() == [
        {"asset_id": "BTC", "kind": "coin"},
        {"asset_id": "LUNC", "kind": "coin"},
        {"asset_id": "USDX", "kind": "wrapped"},
    ]


def test_nothing_new_is_no_change_also_with_nulls():
    stored = canonical(ASSETS, merge(ASSETS, assets(), assets(BTC="coin")).to_pandas())

    assert changed_rows(stored, assets(BTC="coin")).empty


def test_a_delisting_day_arrives_later():
    live = pd.DataFrame(
        {
            "instrument_id": ["LUNAUSDT"],
            "asset_id": ["LUNC"],
            "multiplier": [1],
            "listed_on": ["2021-01-05"],
        }
    )
    stored = canonical(INSTRUMENTS, live)
    dead = canonical(INSTRUMENTS, live.assign(delisted_on=date(2022, 5, 13)))

    merged = merge(INSTRUMENTS, stored, changed_rows(stored, dead)).to_pylist()

    assert [(r["listed_on"], r["delisted_on"]) for r in merged] == [
        (date(2021, 1, 5), date(2022, 5, 13))
    ]
    assert merged[0]["multiplier"] == 1.0
