"""Every scripted fault does what docs/sandbox.md says, and only when its turn has come."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake_ingest.sandbox.contracts import DAY_MS, day_ms
from lake_ingest.sandbox.fault_actions import ACTIONS, ROW_ACTIONS, Dropped
from lake_ingest.sandbox.faults import FaultPlan, FaultsFile, load_faults
from lake_ingest.sandbox.messages import Answer, Request, Settings
from lake_ingest.sandbox.series import Market
from lake_ingest.sandbox.server import Vendors
from pipeline_kit.errors import UsageProblem

NOW = datetime(2024, 6, 20, 0, 50, tzinfo=UTC)
MIDNIGHT = day_ms(date(2024, 6, 20))
OPEN_INTEREST = Request(
    "coinglass",
    "/api/futures/open-interest/aggregated-history",
    {"symbol": "BTC", "interval": "1d", "limit": "5"},
    {"cg-api-key": "canary-key"},
)
KLINES = Request(
    "binance", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1d", "limit": "5"}
)
CHART = Request(
    "coingecko",
    "/coins/bitcoin/market_chart/range",
    {
        "vs_currency": "usd",
        "from": str(MIDNIGHT // 1000 - 95 * 86_400),
        "to": str(MIDNIGHT // 1000 + 3000),
    },
)
FILE = Request(
    "archive", "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-05.zip"
)


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7, 3, 150, lambda: NOW)


def with_faults(market: Market, *rules: Mapping[str, Any]) -> Vendors:
    return Vendors(market, Settings(rate=10**6), FaultPlan.from_rules(rules))


def rows_after(market: Market, action: dict[str, Any]) -> list[dict[str, Any]]:
    answer = with_faults(market, {"action": action}).answer(OPEN_INTEREST)
    return list(answer.payload["data"])


@pytest.fixture(scope="module")
def rows(market: Market) -> list[dict[str, Any]]:
    return list(with_faults(market).answer(OPEN_INTEREST).payload["data"])


def test_a_rule_waits_its_turn_and_ends_after_its_times(market: Market) -> None:
    rule = {"after": 2, "times": 3, "action": {"kind": "status", "status": 503}}
    vendors = with_faults(market, rule)
    statuses = [vendors.answer(OPEN_INTEREST).status for _ in range(7)]
    assert statuses == [200, 200, 503, 503, 503, 200, 200]
    assert [one.status for one in vendors.requests] == statuses


@pytest.mark.parametrize(
    ("match", "hits"),
    [
        ({}, 2),
        ({"vendor": "coinglass"}, 1),
        ({"path": "klines$"}, 1),
        ({"params": {"symbol": "BTC"}}, 1),
        ({"params": {"symbol": "BTC.*"}}, 2),
        ({"params": {"limit": 5}, "vendor": "binance"}, 1),
        ({"params": {"exchange": "Binance"}}, 0),
    ],
)
def test_a_rule_befalls_only_what_it_matches(
    market: Market, match: dict[str, Any], hits: int
) -> None:
    vendors = with_faults(market, {"match": match, "action": {"kind": "status", "status": 500}})
    statuses = [vendors.answer(request).status for request in (OPEN_INTEREST, KLINES)]
    assert statuses.count(500) == hits


def test_a_rule_can_hold_between_two_instants_of_the_clock(market: Market) -> None:
    action = {"kind": "status", "status": 500}
    held = {"since": "2024-06-20T00:00:00Z", "until": "2024-06-20T01:00:00Z", "action": action}
    over = {"until": "2024-06-20T00:50:00", "action": action}
    assert with_faults(market, held).answer(KLINES).status == 500
    assert with_faults(market, over).answer(KLINES).status == 200


def test_rules_add_up(market: Market) -> None:
    vendors = with_faults(
        market,
        {"action": {"kind": "keep_newest", "count": 2}},
        {"action": {"kind": "duplicate_rows", "count": 1}},
    )
    data = vendors.answer(OPEN_INTEREST).payload["data"]
    assert len(data) == 3
    assert data[-1] == data[-2]


@pytest.mark.parametrize(
    ("action", "status", "text"),
    [
        ({"kind": "status", "status": 451, "body": "Restricted"}, 451, "Restricted"),
        ({"kind": "code", "code": "500", "msg": "Server Error"}, 200, '"Server Error"'),
        ({"kind": "rate_limit"}, 429, "Too Many Requests"),
        ({"kind": "rate_limit", "status": 200}, 200, "Too Many Requests"),
        ({"kind": "html"}, 200, "<html>"),
        ({"kind": "redirect", "to": "http://127.0.0.1:1/"}, 302, ""),
        ({"kind": "echo_key"}, 200, "canary-key"),
    ],
)
def test_answers_can_be_replaced(
    market: Market, action: dict[str, Any], status: int, text: str
) -> None:
    answer = with_faults(market, {"action": action}).answer(OPEN_INTEREST)
    assert answer.status == status
    assert text in answer.body().decode()


def test_retry_after_comes_only_where_it_is_asked_for(market: Market) -> None:
    def headers(**more: int) -> dict[str, str]:
        rule = {"action": {"kind": "rate_limit", **more}}
        return with_faults(market, rule).answer(KLINES).headers

    assert headers(retry_after=7)["Retry-After"] == "7"
    assert "Retry-After" not in headers()


def test_connections_can_be_dropped_before_or_within_an_answer(market: Market) -> None:
    vendors = with_faults(
        market, {"times": 1, "action": {"kind": "reset"}}, {"action": {"kind": "cut"}}
    )
    with pytest.raises(Dropped) as before:
        vendors.answer(KLINES)
    with pytest.raises(Dropped) as within:
        vendors.answer(KLINES)
    assert before.value.sent == b""
    head, _, body = within.value.sent.partition(b"\r\n\r\n")
    promised = int(head.rsplit(b" ", 1)[-1])
    assert len(body) == promised // 2
    assert [one.status for one in vendors.requests] == [0, 0]


def test_bodies_can_be_cut_short_or_corrupted(market: Market) -> None:
    whole = with_faults(market).answer(KLINES).body()
    short = with_faults(market, {"action": {"kind": "truncate", "keep": 0.25}}).answer(KLINES)
    assert short.body() == whole[: len(whole) // 4]
    bad = with_faults(market, {"action": {"kind": "corrupt"}}).answer(FILE).body()
    good = with_faults(market).answer(FILE).body()
    assert len(bad) == len(good)
    assert bad != good


def test_a_window_can_be_ignored(market: Market) -> None:
    asked = Request(
        KLINES.vendor, KLINES.path, {**KLINES.params, "endTime": str(MIDNIGHT - DAY_MS)}
    )
    newest = with_faults(market, {"action": {"kind": "ignore_window"}}).answer(asked).payload
    assert newest[-1][0] == MIDNIGHT


def test_rows_can_be_missing(market: Market, rows: list[dict[str, Any]]) -> None:
    assert rows_after(market, {"kind": "empty"}) == []
    assert rows_after(market, {"kind": "keep_oldest", "count": 2}) == rows[:2]
    assert rows_after(market, {"kind": "keep_newest", "count": 2}) == rows[-2:]
    assert rows_after(market, {"kind": "stale", "days": 2}) == rows[:-2]
    gap = {"kind": "drop_days", "first": "2024-06-17", "last": "2024-06-18"}
    assert rows_after(market, gap) == [rows[0], *rows[3:]]


def test_rows_can_come_twice_out_of_order_or_from_the_future(
    market: Market, rows: list[dict[str, Any]]
) -> None:
    assert rows_after(market, {"kind": "duplicate_rows", "count": 2}) == rows + rows[-2:]
    shuffled = rows_after(market, {"kind": "shuffle_rows"})
    assert shuffled != rows
    assert sorted(shuffled, key=lambda row: row["time"]) == rows
    assert rows_after(market, {"kind": "future_row"})[-1]["time"] == MIDNIGHT + DAY_MS
    moved = rows_after(market, {"kind": "shift_time", "hours": 1})
    assert [row["time"] - 3_600_000 for row in moved] == [row["time"] for row in rows]


def test_an_array_of_a_chart_can_change_its_name_or_lose_its_values(market: Market) -> None:
    def chart(action: dict[str, Any]) -> dict[str, Any]:
        return dict(with_faults(market, {"action": action}).answer(CHART).payload)

    whole = chart({"kind": "rename_field", "field": "no such field", "to": "x"})
    renamed = chart({"kind": "rename_field", "field": "prices", "to": "price"})
    assert renamed == {"price": whole["prices"]} | {k: v for k, v in whole.items() if k != "prices"}
    dropped = chart({"kind": "drop_field", "field": "prices"})
    assert dropped["prices"] == [[stamp, None] for stamp, _ in whole["prices"]]


def test_fields_can_change_name_type_and_value(market: Market, rows: list[dict[str, Any]]) -> None:
    renamed = rows_after(market, {"kind": "rename_field", "field": "close", "to": "c"})
    assert set(renamed[0]) == {"time", "open", "high", "low", "c"}
    dropped = rows_after(market, {"kind": "drop_field", "field": "close"})
    assert set(dropped[0]) == {"time", "open", "high", "low"}
    typed = rows_after(market, {"kind": "retype_field", "field": "close", "to": "number"})
    assert typed[0]["close"] == float(rows[0]["close"])
    listed = rows_after(market, {"kind": "retype_field", "field": "close", "to": "list"})
    assert listed[0]["close"] == [rows[0]["close"]]
    null = {"kind": "set_field", "field": "close", "value": None, "first": "2024-06-19"}
    assert [row["close"] is None for row in rows_after(market, null)] == [0, 0, 0, 1, 1]


def test_a_unit_can_flip_from_a_day_on(market: Market, rows: list[dict[str, Any]]) -> None:
    flip = {"kind": "scale_field", "field": "*", "factor": 100, "first": "2024-06-18"}
    flipped = rows_after(market, flip)
    assert flipped[:2] == rows[:2]
    for before, after in zip(rows[2:], flipped[2:], strict=True):
        assert after["time"] == before["time"]
        assert float(after["high"]) == pytest.approx(100 * float(before["high"]))
        assert isinstance(after["close"], str)


def test_every_vendors_rows_can_be_changed(market: Market) -> None:
    doubled = {"kind": "scale_field", "field": "close", "factor": 2}
    klines = with_faults(market, {"action": doubled}).answer(KLINES).payload
    plain = with_faults(market).answer(KLINES).payload
    assert float(klines[0][4]) == 2 * float(plain[0][4])
    stale = with_faults(market, {"action": {"kind": "stale", "days": 3}}).answer(CHART).payload
    newest = {points[-1][0] for points in stale.values()}
    assert max(newest) <= MIDNIGHT - 2 * DAY_MS
    caps = {"kind": "set_field", "field": "market_caps", "value": 0}
    chart = with_faults(market, {"action": caps}).answer(CHART).payload
    assert {cap for _, cap in chart["market_caps"]} == {0}
    assert all(price > 0 for _, price in chart["prices"])


def test_a_changed_file_has_a_fitting_checksum_and_a_wrong_one_by_wish(market: Market) -> None:
    action = {"kind": "scale_field", "field": "last_funding_rate", "factor": 100}
    vendors = with_faults(market, {"action": action})
    body = vendors.answer(FILE).body()
    with zipfile.ZipFile(io.BytesIO(body)) as file:
        lines = file.read(file.namelist()[0]).decode().splitlines()
    assert lines[0] == "calc_time,funding_interval_hours,last_funding_rate"
    assert abs(float(lines[1].split(",")[2])) > 1e-3
    asked = Request("archive", f"{FILE.path}.CHECKSUM")
    line = vendors.answer(asked).body().decode()
    assert line.split()[0] == hashlib.sha256(body).hexdigest()
    wrong = with_faults(market, {"action": {"kind": "wrong_checksum"}})
    assert wrong.answer(asked).body() != line.encode()
    assert wrong.answer(FILE).body() == with_faults(market).answer(FILE).body()


def test_errors_pass_row_faults_unchanged(market: Market) -> None:
    nobody = Request("binance", "/fapi/v1/klines", {"symbol": "NOPE", "interval": "1d"})
    answer = with_faults(market, {"action": {"kind": "empty"}}).answer(nobody)
    assert answer.payload["code"] == -1121


def test_a_slow_answer_is_late_and_whole(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("lake_ingest.sandbox.fault_actions.time.sleep", slept.append)
    answer = with_faults(market, {"action": {"kind": "slow", "seconds": 31}}).answer(KLINES)
    assert (slept, answer.status) == ([31], 200)
    assert (
        with_faults(market, {"action": {"kind": "drip", "seconds": 9}}).answer(KLINES).drip_s == 9
    )


def test_a_faults_file_sets_switches_and_rules(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(
        """
settings: {rate: 600, types: strings, revisions: true, restated_at: 2024-06-01}
rules:
  - match: {vendor: binance}
    action: {kind: status, status: 418, retry_after: 120}
""",
        encoding="utf-8",
    )
    settings, plan = load_faults(path)
    assert settings == Settings(600, "strings", True, day_ms(date(2024, 6, 1)), "http")
    answer = plan.apply(KLINES, lambda _: Answer({}), 0)
    assert (answer.status, answer.headers) == (418, {"Retry-After": "120"})
    as_json = tmp_path / "faults.json"
    as_json.write_text(json.dumps({"rules": [{"action": {"kind": "html"}}]}), encoding="utf-8")
    assert load_faults(as_json)[1].apply(KLINES, lambda _: Answer({}), 0).raw
    assert load_faults(None)[0] == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{action: {kind: nonsense}}]", "'nonsense' is not one of"),
        ("rules: [{action: {kind: stale, hours: 2}}]", "unexpected keyword argument 'hours'"),
        ("rules: [{action: {kind: keep_oldest}}]", "missing a required argument: 'count'"),
        ("rules: [{match: {path: '('}, action: {kind: html}}]", "no regular expression"),
        ("rules: [{mach: {}, action: {kind: html}}]", "Extra inputs are not permitted"),
        ("settings: {types: words}", "Input should be"),
        ("a: [", "not YAML or JSON"),
    ],
)
def test_a_faults_file_that_says_something_unknown_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageProblem, match=r"--faults") as refused:
        load_faults(path)
    assert said in str(refused.value)


def test_a_faults_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="No such file"):
        load_faults(tmp_path / "none.yaml")


def test_every_action_is_in_the_document_and_its_examples_are_valid() -> None:
    text = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [kind for kind in (*ACTIONS, *ROW_ACTIONS) if f"`{kind}`" not in text] == []
    examples = text.split("```yaml\n")[1:]
    assert len(examples) >= 3
    for example in examples:
        FaultsFile.model_validate(yaml.safe_load(example.split("```")[0]))
