"""The whole fetch against the sandbox: what is handed to the lake, and how each failure ends.

``commit`` is replaced by one that keeps what it is given, so that these tests are about the
vendors' side alone; ``tests/integration`` goes through the lake.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

import lake_ingest.fetch as fetching
from lake_ingest.bronze import read_file
from lake_ingest.clients import open_clients
from lake_ingest.curate import CommitReport, Fetched
from lake_ingest.errors import FetchBusyError, FetchIncompleteError, FetchRefusedError, MapError
from lake_ingest.fetch_coinglass_data import main as fetch_coinglass_data
from lake_ingest.fetch_state import fetch_lock
from lake_ingest.plan import Known
from lake_ingest.sandbox import truth
from lake_ingest.sandbox.fault_actions import Dropped
from lake_ingest.sandbox.faults import FaultPlan
from lake_ingest.sandbox.messages import Request, Settings
from lake_ingest.sandbox.series import Market
from lake_ingest.sandbox.server import Logged, Vendors
from pipeline_kit.cli import run_command
from pipeline_kit.errors import PipelineError, UsageProblem
from pipeline_kit.paths import bronze_dir

NOW = datetime(2024, 6, 15, 0, 50, tzinfo=UTC)
START, END = "2024-06-01", "2024-06-14"
SYMBOLS = ("BTC", "PEPE", "SOL")
ALL_KINDS = (*SYMBOLS, "LEO", "WAVES")
"""Also a coin without a perpetual, and one whose perpetual was delisted within the range."""
ASSETS, DAYS = 27, 60
KEY = "sandbox-hobbyist"
Rules = Sequence[Mapping[str, Any]]


class InProcess(httpx.BaseTransport):
    """The sandbox without its socket: one market for all tests, faults for each."""

    def __init__(self, vendors: Vendors, vendor: str, base_path: str) -> None:
        self._vendors = vendors
        self._vendor = vendor
        self._base_path = base_path

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.url.path.removeprefix(self._base_path)
        try:
            answer = self._vendors.answer(
                Request(self._vendor, path, dict(request.url.params), headers)
            )
        except Dropped as e:
            raise httpx.RemoteProtocolError("connection dropped") from e
        told = {
            **answer.headers,
            "Content-Type": answer.content_type,
            "Server": "SyntheticMarket/1",
        }
        return httpx.Response(answer.status, headers=told, content=answer.body())


@dataclass
class World:
    """A data folder, the vendors, and what the fetches handed to the lake."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    vendors: Vendors
    fetched: list[Fetched] = field(default_factory=list)

    def fetch(
        self, *rules: Mapping[str, Any], start: str = START, end: str = END, **options: Any
    ) -> PipelineError | None:
        """Fetch with these faults and return the error it ended with."""
        self.befall(*rules)
        try:
            fetching.fetch_days(start, end, **({"symbols": SYMBOLS} | options))
        except PipelineError as e:
            return e
        return None

    def befall(self, *rules: Mapping[str, Any]) -> None:
        """Forget what was asked, and let these faults hold from now on."""
        self.vendors.requests.clear()
        self.vendors._faults = FaultPlan.from_rules(rules)

    @property
    def requests(self) -> list[Logged]:
        return self.vendors.requests

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        return dict(self.fetched[-1].tables)

    def asked_of(self, vendor: str) -> int:
        return sum(request.vendor == vendor for request in self.requests)

    def open_with(self, sleep: Callable[[float], None]) -> None:
        paths = {"coinglass": "", "coingecko": "/api/v3", "binance": "", "archive": ""}
        transports = {name: InProcess(self.vendors, name, path) for name, path in paths.items()}
        opened = functools.partial(open_clients, sleep=sleep, transports=transports)
        self.monkeypatch.setattr(fetching, "open_clients", opened)


@pytest.fixture(scope="module")
def vendors() -> Vendors:
    market = Market(7, ASSETS, DAYS, lambda: NOW)
    return Vendors(market, Settings(rate=100_000), FaultPlan(()))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendors: Vendors) -> World:
    made = World(tmp_path, monkeypatch, vendors)

    def commit(fetched: Fetched, **_: Any) -> CommitReport:
        made.fetched.append(fetched)
        empty = pd.DataFrame()
        return CommitReport("snapshot", {}, {}, {}, {}, empty, empty, (), tmp_path)

    def hurry(seconds: float) -> None:
        time.sleep(min(seconds, 0.001))

    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAM_NOW", NOW.isoformat())
    monkeypatch.setenv("COINGLASS_API_KEY", KEY)
    for name in ("COINGECKO_API_KEY", "COINGECKO_PLAN"):
        monkeypatch.delenv(name, raising=False)
    for vendor in ("COINGLASS", "COINGECKO", "BINANCE"):
        monkeypatch.setenv(f"MAM_RATE_{vendor}", "100000")
        monkeypatch.delenv(f"{vendor}_BASE_URL", raising=False)
    monkeypatch.delenv("BINANCE_ARCHIVE_URL", raising=False)
    monkeypatch.setattr(fetching, "commit", commit)
    made.befall()
    made.open_with(hurry)
    return made


@pytest.fixture(scope="module")
def true_tables() -> dict[str, pd.DataFrame]:
    return truth(assets=ASSETS, days=DAYS, now=NOW)


RANK = {"fact_open_interest": ("coinglass", "binance")}


def best(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per key, of the best source, as a second and dumber ``curate`` would."""
    order = RANK.get(name, ("binance", "coinglass", "coingecko"))
    key = ["asset_id", "settled_at" if name == "fact_funding_settlement" else "date"]
    frame = frame.assign(**{key[1]: pd.to_datetime(frame[key[1]]).astype("datetime64[us]")})
    ranked = frame.assign(rank=frame["source"].map(order.index)).sort_values([*key, "rank"])
    return ranked.drop_duplicates(key).drop(columns="rank").reset_index(drop=True)


def in_range(name: str, frame: pd.DataFrame, symbols: Sequence[str] = SYMBOLS) -> pd.DataFrame:
    stamp = frame["settled_at"] - pd.Timedelta(1, "us") if "settled_at" in frame else frame["date"]
    inside = stamp.dt.normalize().between(pd.Timestamp(START), pd.Timestamp(END))
    return frame[inside & frame["asset_id"].isin(symbols)].reset_index(drop=True)


def differences(name: str, got: pd.DataFrame, want: pd.DataFrame) -> pd.DataFrame:
    key = ["asset_id", "settled_at" if name == "fact_funding_settlement" else "date"]
    values = [c for c in want.columns if c not in (*key, "source", "mark_price")]
    both = want.merge(got, on=key, how="outer", suffixes=("_want", "_got"), indicator=True)
    is_same = both["_merge"] == "both"
    for value in values:
        is_same &= both[f"{value}_want"].astype(float) == both[f"{value}_got"].astype(float)
    return both[~is_same]


FACTS = (
    "fact_price",
    "fact_marketcap",
    "fact_volume",
    "fact_perp_volume",
    "fact_open_interest",
    "fact_funding",
    "fact_funding_settlement",
)


def assert_true(
    world: World,
    true_tables: Mapping[str, pd.DataFrame],
    *but: str,
    symbols: Sequence[str] = SYMBOLS,
) -> None:
    """Assert that what was fetched is the truth to the bit, but for tables named."""
    for name in FACTS:
        if name not in but:
            want = in_range(name, best(name, true_tables[name]), symbols)
            got = best(name, world.tables[name])
            wrong = differences(name, got, want)
            # The last settlements of a delisted contract stand in a file not published yet.
            wrong = wrong[wrong["asset_id"] != "WAVES"] if "funding" in name else wrong
            assert wrong.empty, f"{name}:\n{wrong.head()}"


def test_a_clean_fetch_brings_the_truth_to_the_bit(
    world: World, true_tables: dict[str, pd.DataFrame]
) -> None:
    assert world.fetch(symbols=ALL_KINDS) is None

    assert_true(world, true_tables, symbols=ALL_KINDS)


def test_identities_and_lives_are_written(world: World) -> None:
    world.fetch(symbols=ALL_KINDS)

    instruments = world.tables["dim_instrument"].set_index("instrument_id")
    assert instruments.loc["1000PEPEUSDT", ["asset_id", "multiplier"]].tolist() == ["PEPE", 1000]
    # WAVES closed on June 10 at 09:00: its last bar is of that day, and no close.
    assert str(instruments.loc["WAVESUSDT", "delisted_on"]) == "2024-06-11"
    price = world.tables["fact_price"]
    waves = price[(price["asset_id"] == "WAVES") & (price["source"] == "binance")]
    assert waves["date"].max() == pd.Timestamp("2024-06-09")
    assert set(world.tables["dim_asset"]["asset_id"]) == set(ALL_KINDS)


GLASS = {"vendor": "coinglass", "path": "aggregated-history"}


def glass(symbol: str, **action: Any) -> dict[str, Any]:
    return {"match": GLASS | {"params": {"symbol": symbol}}, "action": action}


PASSING = {
    "server error twice": {
        "match": {"vendor": "coinglass"},
        "times": 2,
        "action": {"kind": "code", "code": "500", "msg": "Server Error"},
    },
    "web page": {"match": GLASS, "times": 1, "action": {"kind": "html"}},
    "body that ends too soon": {"match": GLASS, "times": 1, "action": {"kind": "truncate"}},
    "connection closed in the body": {"match": GLASS, "times": 1, "action": {"kind": "cut"}},
    "connection reset": {"match": {"vendor": "binance"}, "times": 2, "action": {"kind": "reset"}},
    "429": {
        "match": {"vendor": "coinglass"},
        "times": 2,
        "action": {"kind": "rate_limit", "status": 429},
    },
    "429 under 200": {
        "match": {"vendor": "coingecko"},
        "times": 2,
        "action": {"kind": "rate_limit", "status": 200},
    },
    "duplicate rows": {"match": GLASS, "action": {"kind": "duplicate_rows"}},
    "rows out of order": {"match": GLASS, "action": {"kind": "shuffle_rows"}},
    "klines out of order": {
        "match": {"vendor": "binance", "path": "klines"},
        "action": {"kind": "shuffle_rows"},
    },
    "a file replaced while read": {
        "match": {"vendor": "archive", "path": "klines"},
        "times": 1,
        "action": {"kind": "corrupt"},
    },
    "numbers as texts": {
        "match": GLASS,
        "action": {"kind": "retype_field", "field": "close", "to": "string"},
    },
}


@pytest.mark.parametrize("rule", PASSING.values(), ids=PASSING)
def test_what_passes_by_itself_leaves_no_trace(
    world: World, true_tables: dict[str, pd.DataFrame], rule: Mapping[str, Any]
) -> None:
    assert world.fetch(rule) is None

    assert_true(world, true_tables)


ONE_SERIES = {
    "renamed field": (
        glass("SOL", kind="rename_field", field="close", to="c"),
        "aggregated-history: field close is missing",
    ),
    "retyped field": (
        glass("SOL", kind="retype_field", field="close", to="object"),
        "aggregated-history: field close is not a number",
    ),
    "ignored window": (
        glass("SOL", kind="ignore_window"),
        "aggregated-history: field time lies outside the window",
    ),
    "bars stamped off": (
        glass("SOL", kind="shift_time", hours=3),
        "aggregated-history: field time is not the opening of a bar",
    ),
    "redirect": (glass("SOL", kind="redirect", to="http://127.0.0.1:9/"), "never followed"),
    "empty": (glass("SOL", kind="empty"), "coinglass open_interest SOL: no data"),
}


@pytest.mark.parametrize(("rule", "said"), ONE_SERIES.values(), ids=ONE_SERIES)
def test_a_series_that_broke_is_named_and_the_others_are_kept(
    world: World,
    true_tables: dict[str, pd.DataFrame],
    rule: Mapping[str, Any],
    said: str,
) -> None:
    error = world.fetch(rule)

    assert isinstance(error, FetchIncompleteError)
    assert said in str(error)
    assert_true(world, true_tables, "fact_open_interest")
    interest = world.tables["fact_open_interest"]
    assert set(interest["asset_id"]) == {"BTC", "PEPE"}


def test_a_sum_over_some_of_the_spellings_is_not_stored(world: World) -> None:
    error = world.fetch(glass("kPEPE", kind="empty"))

    assert "kPEPE" in str(error)
    assert "PEPE" not in set(world.tables["fact_open_interest"]["asset_id"])


def test_a_vendor_that_lacks_the_newest_day_is_an_error_that_keeps_the_rest(world: World) -> None:
    error = world.fetch({"match": GLASS, "action": {"kind": "stale", "days": 2}})

    assert isinstance(error, FetchIncompleteError)
    assert "no 2024-06-14, newest day 2024-06-12" in str(error)
    assert len(world.tables["fact_open_interest"])


def test_a_core_history_cut_in_silence_is_an_error_and_another_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.fetch(glass("SOL", kind="keep_newest", count=5)) is None
    assert "open_interest SOL: asked for 2024-06-01" in capsys.readouterr().out

    assert "open_interest BTC: asked for 2024-06-01" in str(
        world.fetch(glass("BTC", kind="keep_newest", count=5))
    )


def test_a_value_that_is_no_number_is_handed_on_to_be_quarantined(world: World) -> None:
    rule = glass(
        "SOL", kind="set_field", field="close", value="NaN", first="2024-06-05", last="2024-06-05"
    )

    world.fetch(rule)

    interest = world.tables["fact_open_interest"]
    refused = interest[interest["open_interest_usd"].isna()]
    assert refused[["asset_id", "date"]].astype(str).to_numpy().tolist() == [["SOL", "2024-06-05"]]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "COINGLASS_API_KEY is not set"),
        ("invalid", "Invalid API key"),
        ("sandbox-noplan", "Upgrade plan"),
    ],
)
def test_a_key_or_plan_that_is_refused_is_exit_2_and_the_others_are_kept(
    world: World, key: str, said: str
) -> None:
    world.monkeypatch.setenv("COINGLASS_API_KEY", key)

    error = world.fetch()

    assert isinstance(error, FetchRefusedError)
    assert error.exit_code == 2
    assert said in str(error)
    assert world.asked_of("coinglass") == (1 if key else 0)
    assert set(world.tables["fact_price"]["asset_id"]) == set(SYMBOLS)
    # Binance's own last thirty days stand in.
    assert set(world.tables["fact_open_interest"]["source"]) == {"binance"}


def test_exit_2_wins_over_exit_1(world: World) -> None:
    world.monkeypatch.setenv("COINGLASS_API_KEY", "invalid")

    error = world.fetch({"match": {"vendor": "coingecko"}, "action": {"kind": "reset"}})

    assert isinstance(error, FetchRefusedError)
    assert "coingecko" in str(error)


def test_a_key_that_a_vendor_echoes_is_nowhere(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.monkeypatch.setenv("COINGLASS_API_KEY", "canary-5f3a")

    error = world.fetch({"match": {"vendor": "coinglass"}, "action": {"kind": "echo_key"}})

    assert error is not None
    assert error.exit_code == 2
    assert "canary-5f3a" not in str(error) + "".join(capsys.readouterr())
    files = bronze_dir().glob("*/*/*.jsonl.gz")
    stored = b"".join(one.body for file in files for one in read_file(file))
    assert b"[key removed]" in stored
    assert b"canary-5f3a" not in stored


def test_where_binance_is_blocked_coinglass_serves_the_same_pairs(
    world: World, true_tables: dict[str, pd.DataFrame]
) -> None:
    rule = {
        "match": {"vendor": "binance"},
        "action": {"kind": "status", "status": 451, "body": "restricted"},
    }
    error = world.fetch(
        rule,
        {"match": {"vendor": "archive"}, "action": {"kind": "status", "status": 403}},
        symbols=("BTC", "LEO"),
    )

    assert error is None
    prices = best("fact_price", world.tables["fact_price"]).set_index("asset_id")["source"]
    assert set(prices["BTC"]) == {"coinglass"}
    assert set(prices["LEO"]) == {"coingecko"}
    settled = world.tables["fact_funding_settlement"]
    assert set(settled["source"]) == {"coinglass"}
    assert world.asked_of("binance") == 1
    # CoinGlass's history of a Binance pair is the same number.
    want = in_range("fact_price", best("fact_price", true_tables["fact_price"]), ("BTC", "LEO"))
    wrong = differences("fact_price", best("fact_price", world.tables["fact_price"]), want)
    assert wrong.empty


def test_where_only_rest_is_blocked_the_archive_has_the_past_and_coinglass_the_newest_days(
    world: World,
) -> None:
    rule = {"match": {"vendor": "binance"}, "action": {"kind": "status", "status": 451}}

    assert world.fetch(rule, start="2024-05-20", symbols=("BTC",)) is None

    prices = best("fact_price", world.tables["fact_price"]).set_index("date")["source"]
    assert prices["2024-05-31"] == "binance"
    assert prices["2024-06-14"] == "coinglass"
    settled = best("fact_funding_settlement", world.tables["fact_funding_settlement"])
    assert settled["settled_at"].max() == pd.Timestamp("2024-06-15")


@pytest.mark.parametrize(("key", "sources"), [("sandbox-standard", {"coinglass"}), (KEY, set())])
def test_without_coingecko_the_days_market_caps_come_from_a_plan_that_shows_them(
    world: World, key: str, sources: set[str]
) -> None:
    world.monkeypatch.setenv("COINGLASS_API_KEY", key)

    world.fetch({"match": {"vendor": "coingecko"}, "action": {"kind": "status", "status": 403}})

    caps = world.tables.get("fact_marketcap", pd.DataFrame(columns=["source", "date"]))
    assert set(caps["source"]) == sources
    assert set(caps["date"]) <= {pd.Timestamp("2024-06-14")}


def test_dead_vendors_are_given_up_and_end_with_exit_1(world: World) -> None:
    error = world.fetch({"action": {"kind": "reset"}})

    assert isinstance(error, FetchIncompleteError)
    assert all(vendor in str(error) for vendor in ("coinglass", "coingecko", "binance"))
    assert world.fetched == []
    assert world.asked_of("coinglass") == 6


def test_a_ban_for_long_ends_the_asking(world: World) -> None:
    world.fetch(
        {
            "match": {"vendor": "binance"},
            "action": {"kind": "status", "status": 418, "retry_after": 300},
        }
    )

    assert world.asked_of("binance") == 1


def test_an_unknown_ticker_is_exit_2_before_the_first_request(world: World) -> None:
    error = world.fetch(symbols=("BTC", "NOPE"))

    assert isinstance(error, MapError)
    assert error.exit_code == 2
    assert world.requests == []
    assert not bronze_dir().exists()


@pytest.mark.parametrize(
    ("start", "end", "options"),
    [
        ("2024-06-02", "2024-06-01", {}),
        ("2024-06-xx", "2024-06-01", {}),
        (START, END, {"sources": ("kraken",)}),
        (START, END, {"sources": ()}),
        (START, END, {"symbols": ()}),
    ],
)
def test_a_wrong_argument_is_exit_2(
    world: World, start: str, end: str, options: dict[str, Any]
) -> None:
    error = world.fetch(start=start, end=end, **options)

    assert isinstance(error, UsageProblem)
    assert world.requests == []


@pytest.mark.parametrize("end", ["2024-06-15", "2030-01-01"])
def test_an_end_in_the_future_stops_at_the_last_whole_day(
    world: World, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.fetch(end=end) is None

    assert "stopping at 2024-06-14" in capsys.readouterr().out
    assert world.tables["fact_price"]["date"].max() == pd.Timestamp("2024-06-14")


def test_today_alone_is_nothing_to_fetch(world: World) -> None:
    assert world.fetch(start="2024-06-15", end="2024-06-15") is None
    assert world.requests == []


def test_the_plan_is_told_before_the_first_request(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.fetch({"action": {"kind": "reset"}})

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[1].strip() for line in lines if line.startswith("plan:")] == [
        "coinglass",
        "coingecko",
        "binance",
    ]


@pytest.mark.parametrize(
    "sources", [("coinglass", "coingecko", "binance"), ("coinglass", "coingecko")]
)
def test_the_plan_counts_every_request_of_a_fetch_in_which_nothing_fails(
    world: World, capsys: pytest.CaptureFixture[str], sources: tuple[str, ...]
) -> None:
    assert world.fetch(sources=sources) is None

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plan:")]
    told = {line.split(": ")[1]: int(line.split(", ")[1].split()[0]) for line in lines}
    assert told == {vendor: world.asked_of(vendor) for vendor in sources}


def test_a_source_that_was_not_asked_for_is_not_asked(world: World) -> None:
    world.fetch(sources=("coingecko",))

    assert {request.vendor for request in world.requests} == {"coingecko"}
    assert set(world.tables) == {"fact_price", "fact_marketcap", "fact_volume", "dim_asset"}


def test_a_second_fetch_at_once_is_refused(world: World) -> None:
    with fetch_lock():
        error = world.fetch()

    assert isinstance(error, FetchBusyError)
    assert error.exit_code == 1
    assert world.requests == []


def test_resuming_asks_only_what_was_not_answered(
    world: World, true_tables: dict[str, pd.DataFrame]
) -> None:
    down = {"match": {"vendor": "coinglass", "path": "aggregated"}, "action": {"kind": "reset"}}
    first = world.fetch(down)
    answered = world.asked_of("binance") + world.asked_of("coingecko")

    second = world.fetch(is_resumed=True)

    assert first is not None
    assert second is None
    assert answered > 0
    assert world.asked_of("binance") == world.asked_of("coingecko") == 0
    assert world.asked_of("archive") == 0
    assert_true(world, true_tables)


def test_resuming_after_a_kill_in_the_middle_of_a_write(
    world: World, true_tables: dict[str, pd.DataFrame]
) -> None:
    world.fetch({"match": {"vendor": "coingecko"}, "action": {"kind": "reset"}})
    for file in bronze_dir().glob("*/*/*.jsonl.gz"):
        file.write_bytes(file.read_bytes()[:-20])

    assert world.fetch(is_resumed=True) is None

    # The last answer of each vendor was torn and is asked for again.
    assert world.asked_of("binance") == 1
    assert_true(world, true_tables)


def test_without_anything_to_resume_a_new_run_begins(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.fetch(is_resumed=True) is None

    assert "starting anew" in capsys.readouterr().out


def test_without_a_fault_a_frozen_clock_gives_the_same_rows_twice(world: World) -> None:
    world.fetch()
    world.fetch()

    first, second = world.fetched
    for name, frame in first.tables.items():
        pd.testing.assert_frame_equal(frame, second.tables[name])


def test_only_the_overlap_is_asked_where_the_lake_holds_the_rest(world: World) -> None:
    covered = pd.DataFrame(
        [
            (table, source, asset, START, END, 14)
            for table in FACTS
            for source in ("binance", "coinglass", "coingecko")
            for asset in ALL_KINDS
        ],
        columns=["table", "source", "asset_id", "first_day", "last_day", "rows"],
    )
    world.monkeypatch.setattr(fetching, "coverage", lambda: covered)

    assert world.fetch(symbols=ALL_KINDS) is None

    klines = [r for r in world.requests if r.path.endswith("klines")]
    assert {r.params["limit"] for r in klines} == {"4"}
    # A perpetual that is gone and held to its end is not looked for again.
    assert world.asked_of("archive") == 0


def test_a_day_on_which_a_vendor_was_down_was_asked_for_where_the_lake_has_the_days_before(
    world: World,
) -> None:
    """So that what arrives a day later is late, and changes no row that was final by then."""
    covered = pd.DataFrame(
        [(table, "coingecko", "SOL", START, "2024-06-13", 13) for table in FACTS],
        columns=["table", "source", "asset_id", "first_day", "last_day", "rows"],
    )
    world.monkeypatch.setattr(fetching, "coverage", lambda: covered)

    error = world.fetch({"match": {"vendor": "coingecko"}, "action": {"kind": "reset"}})

    assert isinstance(error, FetchIncompleteError)
    asked = world.fetched[-1].asked
    missed = asked[asked["source"] == "coingecko"]
    assert set(missed["asset_id"]) == {"SOL"}  # of the others the lake has nothing: back-filled
    assert set(missed["table"]) == {"fact_price", "fact_marketcap", "fact_volume"}
    assert set(missed["last_day"].astype(str)) == {END}


def test_where_settlements_are_late_the_venues_average_stands_in(world: World) -> None:
    late = {"match": {"vendor": "binance"}, "action": {"kind": "stale", "days": 1}}

    error = world.fetch(late)

    assert isinstance(error, FetchIncompleteError)
    funding = world.tables["fact_funding"]
    newest = funding[funding["date"] == pd.Timestamp(END)]
    assert dict(zip(newest["asset_id"], newest["source"], strict=True)) == dict.fromkeys(
        SYMBOLS, "coinglass"
    )


def test_the_budget_holds_over_retries(world: World) -> None:
    world.monkeypatch.setenv("MAM_RATE_COINGECKO", "3")
    waited: list[float] = []

    def note(seconds: float) -> None:
        waited.append(seconds)
        if seconds > 10:
            raise KeyboardInterrupt

    world.open_with(note)

    rule = {"match": {"vendor": "coingecko"}, "action": {"kind": "status", "status": 500}}
    with pytest.raises(KeyboardInterrupt):
        world.fetch(rule, sources=("coingecko",))

    assert world.asked_of("coingecko") == 3
    assert 50 < max(waited) <= 62


def test_synthetic_answers_are_told(world: World) -> None:
    told: list[bool] = []

    def commit(_: Fetched, *, is_synthetic: bool, **__: Any) -> CommitReport:
        told.append(is_synthetic)
        empty = pd.DataFrame()
        return CommitReport("s", {}, {}, {}, {}, empty, empty, (), world.root)

    world.monkeypatch.setattr(fetching, "commit", commit)
    world.fetch()

    assert told == [True]


def test_the_command_prints_one_line_on_stderr_and_writes_a_report(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--start", START, "--end", END, "--symbols", "BTC,NOPE"]
    assert run_command(fetching.main, arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1

    arguments = ["--start", START, "--end", END, "--symbols", "BTC, ETH", "--sources", "binance"]
    assert run_command(fetching.main, arguments) == 0

    (report,) = (world.root / "fetch").glob("2024*.json")
    record = json.loads(report.read_text())
    assert record["errors"] == []
    assert record["requests"]["binance"] == len(
        [r for r in world.requests if r.vendor == "binance"]
    )


def test_the_narrow_command_writes_funding_and_open_interest_only(
    world: World, true_tables: dict[str, pd.DataFrame]
) -> None:
    fetch_coinglass_data(["--start", START, "--end", END, "--symbols", "BTC,PEPE"])

    assert {r.vendor for r in world.requests} == {"coinglass"}
    assert set(world.tables) == {"fact_funding", "fact_open_interest", "dim_asset"}
    funding = world.tables["fact_funding"]
    assert len(funding) == 2 * 14
    assert funding["funding_rate"].abs().max() < 0.01


def test_known_spans_are_read_from_the_lakes_records() -> None:
    frame = pd.DataFrame(
        [("fact_price", "binance", "BTC", START, END, 14)],
        columns=["table", "source", "asset_id", "first_day", "last_day", "rows"],
    )
    asked = pd.DataFrame(
        columns=["table", "source", "asset_id", "first_day", "last_day", "asked_at"]
    )

    assert ("fact_price", "binance", "BTC") in Known.of(frame, asked).held
