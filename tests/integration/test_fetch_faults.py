"""The newest day is fetched into a sealed lake under faults: the same bytes, or none changed.

The faults are those of ``python -m lake_ingest.sandbox --faults FILE``. What a fetch hands to the
lake under each of them is tested in ``tests/unit/lake_ingest/test_fetch.py``.
"""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import lake_ingest.fetch as fetching
from lake_ingest.clients import open_clients
from lake_ingest.sandbox import serve
from lake_ingest.sandbox.faults import FaultPlan
from lake_ingest.sandbox.server import Sandbox
from pipeline_kit.cli import run_command
from tests.chaos.kills import hashes

pytestmark = pytest.mark.chaos
YESTERDAY, TODAY = "2024-06-14T00:50:00+00:00", "2024-06-15T00:50:00+00:00"
FETCH = ["--start", "2024-05-20", "--end", "2024-06-14", "--sources", "coinglass"]
SYMBOLS = ["--symbols", "BTC,PEPE,SOL"]
Rule = Mapping[str, Any]


def rule(path: str, kind: str, *, times: int | None = None, symbol: str = "", **more: Any) -> Rule:
    params = {"symbol": symbol} if symbol else {}
    match = {"vendor": "coinglass", "path": path, "params": params}
    return {"match": match, "times": times, "action": {"kind": kind, **more}}


class World:
    """One sandbox and one lake that was sealed the day before; a copy of it per case."""

    def __init__(self, root: Path, sandbox: Sandbox, patch: pytest.MonkeyPatch) -> None:
        self.root, self.patch = root, patch
        self._sandbox = sandbox
        self._copies = 0

    def fetch(self, *rules: Rule, now: str = TODAY, folder: str = "") -> tuple[int, str, Path]:
        """Fetch with these faults; return exit code, stderr and the lake."""
        data = self.root / (folder or f"case{self._copies}")
        if not folder:
            self._copies += 1
            shutil.copytree(self.root / "base", data)
        self._sandbox.vendors._faults = FaultPlan.from_rules(rules)
        self.patch.setenv("MAM_NOW", now)
        self.patch.setenv("MAM_DATA_DIR", str(data))
        errors = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            code = run_command(fetching.main, [*FETCH, *SYMBOLS])
        return code, errors.getvalue(), data / "curated" / "data_lake"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("MAM_NOW", TODAY)  # the market begins so many days before
        sandbox = stack.enter_context(serve(assets=27, days=120))
        for name, url in sandbox.base_urls.items():
            patch.setenv(name, url)
        patch.setenv("COINGLASS_API_KEY", "sandbox-hobbyist")
        patch.setenv("MAM_RATE_COINGLASS", "100000")
        hurried = functools.partial(open_clients, sleep=lambda _: None)
        patch.setattr(fetching, "open_clients", hurried)
        made = World(root, sandbox, patch)
        assert made.fetch(now=YESTERDAY, folder="base")[:2] == (0, "")
        yield made


@pytest.fixture(scope="module")
def clean(world: World) -> dict[str, str]:
    code, said, lake = world.fetch()
    assert (code, said) == (0, "")
    assert hashes(lake) != hashes(base_of(world))
    return hashes(lake)


def base_of(world: World) -> Path:
    return world.root / "base" / "curated" / "data_lake"


def test_a_storm_of_everything_that_passes_by_itself_leaves_the_same_bytes(
    world: World, clean: dict[str, str]
) -> None:
    storm = [
        rule("supported-coins", "html", times=1),
        rule("supported-coins", "duplicate_rows"),
        rule("supported-coins", "shuffle_rows"),
        rule("subscription", "code", times=2, code="500", msg="Server Error"),
        rule("supported-exchange-pairs", "reset", times=2),
        rule("delisted", "status", times=1, status=503),
        rule("aggregated", "rate_limit", times=1, status=429, retry_after=0),
        rule("aggregated", "rate_limit", times=1, status=200, symbol="SOL"),
        rule("aggregated", "truncate", times=1, symbol="BTC"),
        rule("aggregated", "cut", times=1, symbol="PEPE"),
        rule("aggregated", "duplicate_rows"),
        rule("aggregated", "shuffle_rows"),
        rule("aggregated", "retype_field", field="close", to="string"),
        rule("oi-weight", "status", times=1, status=408),
        rule("oi-weight", "duplicate_rows", count=9),
        rule("oi-weight", "drip", seconds=0.2),
    ]

    code, said, lake = world.fetch(*storm)

    assert (code, said) == (0, "")
    assert hashes(lake) == clean


HISTORY = "aggregated|oi-weight"
FATAL = {
    "key refused": (2, "Invalid API key", [rule("", "echo_key")]),
    "no plan": (2, "Upgrade plan", [rule("", "code", code="401", msg="Upgrade plan")]),
    "firewall": (0, "", [rule("", "status", status=403)]),
    "dead": (1, "supported-coins|subscription", [rule("", "reset")]),
    "down": (1, "HTTP 503", [rule("", "status", status=503)]),
    "always too many": (1, "429", [rule("", "rate_limit", status=200)]),
    "redirected": (1, "never followed", [rule("", "redirect", to="http://127.0.0.1:9/")]),
    "always a web page": (1, "not JSON", [rule("", "html")]),
    "list empty": (1, "list lacks BTC", [rule("supported-coins", "empty")]),
    "list without core": (1, "list lacks BTC", [rule("supported-coins", "keep_newest", count=3)]),
    "field renamed": (1, "field close is missing", [rule(HISTORY, "drop_field", field="close")]),
    "field re-typed": (
        1,
        "close is not a number",
        [rule(HISTORY, "retype_field", field="close", to="list")],
    ),
    "window ignored": (1, "outside the window", [rule(HISTORY, "ignore_window")]),
    "time in the future": (1, "outside the window", [rule(HISTORY, "future_row", days=3)]),
    "stamped off": (1, "not the opening of a bar", [rule(HISTORY, "shift_time", hours=3)]),
    "no rows": (1, "no data", [rule(HISTORY, "empty")]),
    "core without number": (
        1,
        "not finite",
        [
            rule(
                "aggregated",
                "set_field",
                symbol="BTC",
                field="close",
                value="NaN",
                first="2024-06-14",
            )
        ],
    ),
    "core negative": (
        1,
        "out of range",
        [
            rule("aggregated", "scale_field", symbol="BTC", field="close", factor=-1),
        ],
    ),
    "core jumped": (
        1,
        "level changed",
        [
            rule(
                "aggregated",
                "scale_field",
                symbol="BTC",
                field="close",
                factor=9,
                first="2024-06-14",
            )
        ],
    ),
}


@pytest.mark.parametrize(("exit_code", "words", "rules"), FATAL.values(), ids=FATAL)
def test_what_cannot_be_used_ends_in_one_line_and_changes_no_byte_of_its_table(
    world: World, exit_code: int, words: str, rules: list[Rule]
) -> None:
    code, said, lake = world.fetch(*rules)

    assert code == exit_code
    assert any(word in said for word in words.split("|"))
    assert len(said.splitlines()) == (1 if exit_code else 0)
    before, after = hashes(base_of(world)), hashes(lake)
    assert parts(after, "fact_open_interest") == parts(before, "fact_open_interest")


def parts(files: Mapping[str, str], table: str) -> dict[str, str]:
    return {name: sha for name, sha in files.items() if name.startswith(f"{table}/")}


def test_a_list_cut_behind_the_core_loses_no_asset(world: World, clean: dict[str, str]) -> None:
    code, _, lake = world.fetch(rule("supported-coins", "keep_oldest", count=2))

    assert code == 0
    assert parts(hashes(lake), "fact_open_interest") == parts(clean, "fact_open_interest")
