"""The map resolves tickers, keeps versions apart and refuses collisions."""

from __future__ import annotations

import io
from datetime import date

import pytest

from lake_ingest.asset_map import COLUMNS, find_collisions, load_map
from lake_ingest.errors import MapError

HEADER = ",".join(COLUMNS)
DAY = date(2026, 11, 1)
MINIMUM = (
    "BTC ETH SOL XRP BNB DOGE ADA TRX AVAX LINK DOT LTC BCH UNI NEAR APT ATOM FIL ARB OP "
    "INJ SUI PEPE SHIB TIA WAVES"
).split()


def load(*lines: str) -> object:
    return load_map(io.StringIO("\n".join([HEADER, *lines]) + "\n"))


def test_the_shipped_map_knows_a_hundred_coins_and_the_minimum() -> None:
    rows = load_map().select(None, DAY, DAY)

    assert len({row.coingecko_id for row in rows}) >= 100
    assert len(load_map().select(MINIMUM, DAY, DAY)) == len(MINIMUM)


def test_the_shipped_map_has_no_collision() -> None:
    assert find_collisions(load_map().rows) == []


def test_multiplied_contracts_carry_their_multiplier() -> None:
    by_asset = {row.asset_id: row for row in load_map().rows}

    assert by_asset["PEPE"].multiplier == 1000
    assert by_asset["PEPE"].coinglass_spellings == ("PEPE", "1000PEPE", "kPEPE")
    assert by_asset["MOG"].multiplier == 1_000_000
    assert by_asset["BTC"].multiplier == 1


def test_a_coin_that_changed_its_ticker_is_two_rows_with_one_id() -> None:
    before = load_map().select(["RNDR"], date(2024, 1, 1), date(2024, 1, 2))
    after = load_map().select(["RENDER"], date(2025, 1, 1), date(2025, 1, 2))

    assert before[0].coingecko_id == after[0].coingecko_id
    with pytest.raises(MapError, match="RNDR"):
        load_map().select(["RNDR"], date(2025, 1, 1), date(2025, 1, 2))


def test_an_unknown_ticker_is_a_mistake_of_the_user() -> None:
    with pytest.raises(MapError, match="--symbols: NOPE") as caught:
        load_map().select(["BTC", "NOPE"], DAY, DAY)

    assert caught.value.exit_code == 2


def test_a_span_is_clipped_to_the_days_a_row_is_valid() -> None:
    (row,) = load_map().select(["MATIC"], date(2024, 9, 1), date(2024, 9, 30))

    assert row.clip(date(2024, 9, 1), date(2024, 9, 30)) == (date(2024, 9, 1), date(2024, 9, 12))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("BBB,coin-a,BBBUSDT,BBB,1,coin,,,", "coingecko_id coin-a belongs to AAA and BBB"),
        ("BBB,coin-b,AAAUSDT,BBB,1,coin,,,", "binance_symbol AAAUSDT belongs to AAA and BBB"),
        ("BBB,coin-b,BBBUSDT,BBB|AAA,1,coin,,,", "spelling AAA belongs to AAA and BBB"),
        ("AAA,coin-b,BBBUSDT,BBB,1,coin,,,", "asset_id AAA belongs to AAA and AAA"),
    ],
)
def test_two_coins_with_one_identity_on_one_day_are_refused(second: str, said: str) -> None:
    with pytest.raises(MapError, match=said):
        load("AAA,coin-a,AAAUSDT,AAA,1,coin,,,", second)


def test_one_identity_may_pass_on_when_the_first_has_ended() -> None:
    load(
        "AAA,coin-a,AAAUSDT,AAA,1,coin,,2024-01-31,",
        "BBB,coin-a,AAAUSDT,AAA,1,coin,2024-02-01,,",
    )


@pytest.mark.parametrize(
    "line",
    [
        "aaa,coin-a,,,1,coin,,,",
        "AAA,coin-a,,,0,coin,,,",
        "AAA,coin-a,,,x,coin,,,",
        "AAA,coin-a,,,nan,coin,,,",
        "AAA,coin-a,,,inf,coin,,,",
        "AAA,coin-a,,,1,coin,,",
        "AAA,coin-a,,,1,coin,,,a note, cut at its comma",
        "AAA,coin-a,,,1,share,,,",
        "AAA,coin-a,,,1,coin,2024-02-01,2024-01-01,",
        "AAA,coin-a,,,1,coin,soon,,",
        "AAA,../coin,,,1,coin,,,",
        "AAA,coin-a,A/USDT,,1,coin,,,",
    ],
)
def test_a_malformed_row_is_named_by_its_line(line: str) -> None:
    with pytest.raises(MapError, match="line 2"):
        load(line)


def test_other_columns_are_refused() -> None:
    with pytest.raises(MapError, match="columns"):
        load_map(io.StringIO("asset_id,id\nBTC,bitcoin\n"))
