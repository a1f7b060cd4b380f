"""Rows on which vendors disagree, and levels that jump without a reason, are held back."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from lake_ingest.agreement import disagreements, funding_alarm, register_checks
from lake_ingest.seal import Snapshot, seal
from lake_ingest.staging import open_store, stage_frame
from lake_ingest.versions import mark, new_versions, settle
from pipeline_kit.contract import TABLES

DAYS = pd.date_range("2024-01-01", periods=20)
NOW = pd.Timestamp("2024-01-21 00:50")
NOBODY = pd.DataFrame({"row_id": []}, dtype="int64")


def series(
    value: str,
    values: object,
    *,
    days: pd.DatetimeIndex = DAYS,
    asset: str = "SOL",
    source: str = "coingecko",
) -> pd.DataFrame:
    return pd.DataFrame(
        {"asset_id": asset, "date": days, value: values, "source": source, "fetched_at": NOW}
    )


def settlements(rates: object, *, asset: str = "SOL", source: str = "binance") -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01 08:00", periods=len(np.atleast_1d(rates)), freq="8h")
    return pd.DataFrame(
        {
            "asset_id": asset,
            "settled_at": stamps,
            "funding_rate": rates,
            "interval_hours": 8.0,
            "source": source,
            "fetched_at": NOW,
        }
    )


def check(table: str, value: float, *, at: str, asset: str = "BTC") -> pd.DataFrame:
    row = {"table": table, "asset_id": asset, "at": pd.Timestamp(at), "value": value}
    return pd.DataFrame([row | {"source": "coinglass"}])


def held(tmp_path, tables, checks=None, stored=None) -> list[tuple[str, str, str, str]]:
    """Return table, asset, day or instant and source of the rows that are held back."""
    found = []
    with open_store(tmp_path, sealed(tmp_path, stored or {})) as con:
        register_checks(con, checks)
        for name, frame in tables.items():
            stage_frame(con, TABLES[name], frame)
            mark(con, TABLES[name])
        rows = disagreements(con, list(tables))
        for name in rows["table"].unique():
            con.register("held", rows[rows["table"] == name].astype({"row_id": "int64"}))
            when = TABLES[name].key[1]
            found += con.execute(
                f"select '{name}', asset_id, cast({when} as varchar), source"  # noqa: S608
                f" from marked_{name} semi join held using (row_id)"
            ).fetchall()
    return sorted(found)


def sealed(tmp_path, stored) -> Snapshot:
    if not stored:
        return Snapshot()
    with open_store(tmp_path, Snapshot()) as con:
        rows = {}
        for name, frame in stored.items():
            stage_frame(con, TABLES[name], frame)
            mark(con, TABLES[name])
            settle(con, TABLES[name], NOBODY)
            rows[name] = new_versions(con, TABLES[name])
    return seal(
        tmp_path,
        Snapshot(),
        appended=rows,
        replaced={},
        sealed_at=datetime(2024, 1, 20, tzinfo=UTC),
        is_synthetic=False,
    )


def prices(**closes: float) -> pd.DataFrame:
    return pd.concat(
        series("close", [close], days=DAYS[:1], source=source) for source, close in closes.items()
    )


def test_of_three_sources_the_one_far_from_the_median_is_held(tmp_path):
    # Median 100; 96.9 is 3.1 % away.
    assert held(tmp_path, {"fact_price": prices(binance=100, coinglass=100.5, coingecko=96.9)}) == [
        ("fact_price", "SOL", "2024-01-01", "coingecko")
    ]


@pytest.mark.parametrize(("other", "n"), [(106.0, 0), (107.0, 2)])
def test_of_two_sources_that_differ_both_are_held(tmp_path, other, n):
    # 100 and 106: median 103, each 2.9 % away. 100 and 107: 103.5, each 3.4 %.
    assert len(held(tmp_path, {"fact_price": prices(binance=100, coingecko=other)})) == n


def test_a_price_that_fails_takes_market_cap_and_volume_of_its_source_along(tmp_path):
    tables = {
        "fact_price": prices(binance=100, coinglass=100, coingecko=50),
        "fact_marketcap": series("marketcap", [1e9, 1e9], days=DAYS[:2]),
        "fact_volume": series("volume", [1e6, 1e6], days=DAYS[:2]),
    }

    assert held(tmp_path, tables) == [
        ("fact_marketcap", "SOL", "2024-01-01", "coingecko"),
        ("fact_price", "SOL", "2024-01-01", "coingecko"),
        ("fact_volume", "SOL", "2024-01-01", "coingecko"),
    ]


def test_a_stored_price_has_a_vote_and_is_not_judged_again(tmp_path):
    stored = {"fact_price": prices(binance=100)}

    assert held(tmp_path, {"fact_price": prices(binance=100, coingecko=50)}, stored=stored) == []
    assert held(tmp_path, {"fact_price": prices(binance=120)}, stored=stored) == []


def test_a_check_price_has_a_vote(tmp_path):
    checks = check("fact_price", 107, at="2024-01-01", asset="SOL")

    assert held(tmp_path, {"fact_price": prices(binance=100)}, checks) == [
        ("fact_price", "SOL", "2024-01-01", "binance")
    ]


def test_settled_rates_of_two_vendors_must_agree(tmp_path):
    tables = {"fact_funding_settlement": settlements([1e-4, 2e-4], asset="BTC")}
    percent = check("fact_funding_settlement", 1e-2, at="2024-01-01 08:00")
    same = check("fact_funding_settlement", 2e-4 + 9e-7, at="2024-01-01 16:00")

    assert held(tmp_path, tables, pd.concat([percent, same])) == [
        ("fact_funding_settlement", "BTC", "2024-01-01 08:00:00", "binance")
    ]


@pytest.mark.parametrize(
    ("hours", "stated", "is_held"),
    [
        (24, 1.03e-4, True),
        (23, 1.03e-4, False),  # the bar is still revised
        (23, 1e-2, True),  # percent for decimal
        (23, -1.9e-3, False),
        (23, -2.1e-3, True),
    ],
)
def test_a_fresh_bar_of_another_vendor_holds_a_rate_only_by_its_unit(
    tmp_path, hours, stated, is_held
):
    rate = settlements([1e-4], asset="BTC")
    rate["fetched_at"] = rate["settled_at"] + pd.Timedelta(hours=hours)
    stated_by_another = check("fact_funding_settlement", stated, at="2024-01-01 08:00")

    assert bool(held(tmp_path, {"fact_funding_settlement": rate}, stated_by_another)) is is_held


def test_stored_rates_that_another_vendor_contradicts_raise_an_alarm(tmp_path):
    stored = {"fact_funding_settlement": settlements([1e-4, 2e-4], asset="BTC")}
    checks = check("fact_funding_settlement", 1e-2, at="2024-01-01 08:00")
    with open_store(tmp_path, sealed(tmp_path, stored)) as con:
        register_checks(con, checks)
        alarm = funding_alarm(con)
        register_checks(con, None)
        silence = funding_alarm(con)

    assert alarm.startswith("fact_funding_settlement: 1 of 1 stored rates differ")
    assert silence == ""


def funding(n_assets: int, factor_on_last_day: float) -> pd.DataFrame:
    rates = np.full(20, 1e-4)
    rates[-1] *= factor_on_last_day
    return pd.concat(
        series("funding_rate", rates * (1 + i / 100), asset=f"A{i}", source="coinglass")
        for i in range(n_assets)
    )


def test_a_rate_that_turns_into_percent_for_all_assets_is_held(tmp_path):
    found = held(tmp_path, {"fact_funding": funding(3, 100.0)})

    assert len(found) == 3
    assert {day for _, _, day, _ in found} == {"2024-01-20"}


def test_a_percent_rate_is_recognised_against_what_is_stored(tmp_path):
    everything = funding(8, 100.0)
    stored = everything[everything["date"] < DAYS[-1]]
    today = everything[everything["date"] == DAYS[-1]]

    assert len(held(tmp_path, {"fact_funding": today}, stored={"fact_funding": stored})) == 8


def test_a_settled_rate_that_is_stated_anew_in_percent_is_held_of_one_asset_too(tmp_path):
    before = settlements(np.full(9, 1e-4))
    stored = {"fact_funding_settlement": before}

    def again(rate: float) -> list[tuple[str, str, str, str]]:
        restated = {"fact_funding_settlement": before.assign(funding_rate=rate)}
        return held(tmp_path / f"{rate}", restated, stored=stored)

    assert len(again(1e-2)) == len(again(1e-6)) == len(again(-1e-2)) == 9
    assert again(1e-3) == []
    # Near zero a revision may well be a large factor.
    tiny = {"fact_funding_settlement": before.assign(funding_rate=1e-6)}
    late = {"fact_funding_settlement": before.assign(funding_rate=4e-5)}
    assert held(tmp_path / "tiny", late, stored=tiny) == []


def test_one_asset_whose_funding_explodes_is_believed(tmp_path):
    calm, wild = funding(8, 1.0), funding(1, 100.0).assign(asset_id="WILD")

    assert held(tmp_path, {"fact_funding": pd.concat([calm, wild])}) == []
    assert held(tmp_path, {"fact_funding": funding(2, 100.0)}) == []


LEVELS = [
    ("fact_open_interest", "open_interest_usd", "coinglass", 4.0),
    ("fact_marketcap", "marketcap", "coingecko", 3.0),
    ("fact_volume", "volume", "coingecko", 20.0),
]


@pytest.mark.parametrize(("table", "value", "source", "factor"), LEVELS)
@pytest.mark.parametrize("is_up", [True, False])
def test_a_level_that_jumps_without_its_price_is_held(
    tmp_path, table, value, source, factor, is_up
):
    def jump(factor: float) -> pd.DataFrame:
        levels = np.full(20, 1e8)
        levels[-1] *= factor if is_up else 1 / factor
        return series(value, levels, source=source)

    assert held(tmp_path, {table: jump(factor * 0.99)}) == []
    assert held(tmp_path, {table: jump(factor * 1.01)}) == [(table, "SOL", "2024-01-20", source)]


@pytest.mark.parametrize(
    ("table", "value", "source", "factor"),
    [
        *LEVELS,
        ("fact_price", "close", "coingecko", 20.0),
        ("fact_perp_volume", "volume", "binance", 20.0),
    ],
)
@pytest.mark.parametrize("is_up", [True, False])
def test_a_whole_history_that_is_stated_in_another_unit_is_held(
    tmp_path, table, value, source, factor, is_up
):
    """Once it passed: with every day scaled alike no day left the median of those before."""
    before = series(value, np.linspace(1e4, 1.5e4, 20), source=source)

    def again(times: float) -> pd.DataFrame:
        return before.assign(**{value: before[value] * (times if is_up else 1 / times)})

    stored = {table: before}
    assert held(tmp_path / "a", {table: again(factor * 0.99)}, stored=stored) == []
    found = held(tmp_path / "b", {table: again(factor * 1.01)}, stored=stored)
    assert [day for _, _, day, _ in found] == [f"{day:%Y-%m-%d}" for day in DAYS]


def test_a_level_that_follows_its_price_is_believed(tmp_path):
    closes, caps = np.full(20, 10.0), np.full(20, 1e8)
    closes[-1], caps[-1] = 50.0, 5e8
    tables = {
        "fact_price": series("close", closes, source="binance"),
        "fact_marketcap": series("marketcap", caps),
    }

    assert held(tmp_path, tables) == []
    prices_known = {"fact_price": tables["fact_price"]}
    only_caps = {"fact_marketcap": tables["fact_marketcap"]}
    assert held(tmp_path / "b", only_caps, stored=prices_known) == []
    assert len(held(tmp_path / "c", only_caps)) == 1


def test_a_new_asset_has_no_past_to_jump_from(tmp_path):
    levels = series("marketcap", [1e8, 1e8, 1e8, 1e8, 9e8], days=DAYS[:5])

    assert held(tmp_path, {"fact_marketcap": levels}) == []


def two_sources(share_on_last_day: float) -> pd.DataFrame:
    shares = np.full(20, 0.04)  # one venue of many, a factor of 25 apart
    shares[-1] = share_on_last_day
    return pd.concat(
        series("open_interest_usd", values, source=source)
        for source, values in (("coinglass", np.full(20, 1e9)), ("binance", 1e9 * shares))
    )


def test_two_sources_that_move_apart_have_changed_a_unit(tmp_path):
    assert held(tmp_path, {"fact_open_interest": two_sources(0.04)}) == []
    assert held(tmp_path, {"fact_open_interest": two_sources(0.04 / 3.9)}) == []
    assert [row[2:] for row in held(tmp_path, {"fact_open_interest": two_sources(0.04 / 21)})] == [
        ("2024-01-20", "binance"),
        ("2024-01-20", "coinglass"),
    ]
