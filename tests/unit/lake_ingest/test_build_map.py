"""The builder proposes and never decides: collisions are told, not resolved."""

from __future__ import annotations

from datetime import date

import pytest

from lake_ingest.asset_map import MapRow
from lake_ingest.build_map import Listed, main, propose
from pipeline_kit.errors import UsageProblem

TODAY = date(2024, 6, 1)
ROWS = [MapRow("SOL", "solana", "SOLUSDT", ("SOL",), 1.0, "coin", None, None, "")]
CONTRACTS = {"SOLUSDT": "SOL"}


def test_what_is_mapped_is_not_proposed_again() -> None:
    assert propose(ROWS, Listed([("solana", "SOL")], CONTRACTS, ["SOL"]), TODAY) == []


def test_a_new_coin_is_proposed_with_its_contract_and_spellings() -> None:
    listed = Listed(
        [("bonk", "BONK")], CONTRACTS | {"1000BONKUSDT": "1000BONK"}, ["BONK", "kBONK", "SOL"]
    )

    assert propose(ROWS, listed, TODAY) == ["+ BONK,bonk,1000BONKUSDT,BONK|kBONK,1000,coin,,,"]


def test_a_second_coin_under_a_known_ticker_is_a_collision() -> None:
    """Two coins, one ticker: which one the venue means is for a person to say."""
    (line,) = propose(ROWS, Listed([("wrapped-solana", "SOL")], CONTRACTS, ["SOL"]), TODAY)

    assert line.startswith("! wrapped-solana: asset_id SOL belongs to SOL and SOL")


def test_two_new_coins_under_one_ticker_are_not_both_proposed() -> None:
    listed = Listed([("coin-one", "ONE"), ("coin-two", "ONE")], CONTRACTS, [])

    assert [line[0] for line in propose(ROWS, listed, TODAY)] == ["+", "!"]


def test_a_contract_that_vanished_and_a_spelling_nobody_mapped_are_remarked() -> None:
    lines = propose(ROWS, Listed([], {}, ["SOL", "1000SOL"]), TODAY)

    assert lines == [
        "? SOL: SOLUSDT is no longer listed",
        "? SOL: 1000SOL is another spelling of it?",
    ]


def test_a_ticker_that_cannot_be_an_asset_id_is_left_out() -> None:
    assert propose(ROWS, Listed([("x", "$X")], CONTRACTS, []), TODAY) == []


def test_a_wrong_number_of_coins_is_exit_2() -> None:
    with pytest.raises(UsageProblem, match="--coins"):
        main(["--coins", "0"])
