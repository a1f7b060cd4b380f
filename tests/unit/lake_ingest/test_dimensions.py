"""Assets and instruments keep their state: the new replaces, the vanished stays."""

from datetime import date

import pandas as pd

from lake_ingest.dimensions import canonical, changed_rows, completed, merge
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


def test_what_a_fetch_did_not_hear_is_not_forgotten():
    stored = canonical(ASSETS, pd.DataFrame({"asset_id": ["PEPE"], "name": ["Pepe"]}))
    deaf = pd.DataFrame({"asset_id": ["NEW", "PEPE"], "name": [None, None], "kind": "coin"})

    seen = completed(ASSETS, stored, deaf)

    assert seen["name"].fillna("").tolist() == ["", "Pepe"]
    assert seen["kind"].tolist() == ["coin", "coin"]


def test_a_delisting_is_only_taken_back_by_a_contract_that_trades():
    one = {"instrument_id": "SUIUSDT", "asset_id": "SUI", "multiplier": 1.0}
    ended = {**one, "funding_interval_hours": 4.0, "delisted_on": date(2024, 6, 11)}
    stored = canonical(INSTRUMENTS, pd.DataFrame([ended]))

    def seen(**more: object) -> tuple[object, object]:
        (row,) = completed(INSTRUMENTS, stored, pd.DataFrame([{**one, **more}])).itertuples()
        return row.funding_interval_hours, pd.isna(row.delisted_on)

    # An older range of a contract that is gone ends before its last day: nothing is known of it.
    assert seen(is_traded=False) == (4.0, False)
    assert seen(is_traded=True) == (4.0, True)
    # Another lake means what it says.
    assert seen() == (4.0, True)
