"""Every vendor gone for a day and back: nothing is lost, and the lake is that of a calm week."""

import functools
from datetime import datetime

import pytest

import lake_ingest.fetch as fetching
from lake_ingest.clients import open_clients
from lake_ingest.errors import FetchIncompleteError
from lake_ingest.sandbox import serve
from tests.chaos.kills import hashes

pytestmark = pytest.mark.chaos
SYMBOLS = ("BTC", "ETH", "SOL")
START = "2024-06-03"
CLOSED = {day: f"2024-06-{day + 1}T00:50:00+00:00" for day in (12, 13, 14)}
DOWN = [{"action": {"kind": "reset"}}]


@pytest.fixture
def fetch(monkeypatch):
    """Fetch up to a day just after it has closed, from vendors that are there or not."""
    hurried = functools.partial(open_clients, sleep=lambda _seconds: None)
    monkeypatch.setattr(fetching, "open_clients", hurried)
    monkeypatch.setenv("COINGLASS_API_KEY", "sandbox-standard")
    for name in ("COINGECKO_API_KEY", "COINGECKO_PLAN"):
        monkeypatch.delenv(name, raising=False)
    for vendor in ("COINGLASS", "COINGECKO", "BINANCE"):
        monkeypatch.setenv(f"MAM_RATE_{vendor}", "100000")

    def go(home, day, faults=()):
        monkeypatch.setenv("MAM_DATA_DIR", str(home))
        monkeypatch.setenv("MAM_NOW", CLOSED[day])
        now = datetime.fromisoformat(CLOSED[day])
        with serve(assets=3, days=40, now=now, faults=faults) as sandbox:
            for name, url in sandbox.base_urls.items():
                monkeypatch.setenv(name, url)
            fetching.fetch_days(START, f"2024-06-{day}", symbols=SYMBOLS, is_resumed=True)

    return go


def lake_of(home):
    facts = hashes(home / "curated" / "data_lake")
    return {name: value for name, value in facts.items() if name.startswith("fact_")}


def test_a_day_without_vendors_fails_alone_and_the_next_brings_both(tmp_path, fetch):
    stormy, calm = tmp_path / "stormy", tmp_path / "calm"
    fetch(stormy, 12)
    before = lake_of(stormy)

    with pytest.raises(FetchIncompleteError, match="coinglass"):
        fetch(stormy, 13, DOWN)
    assert lake_of(stormy) == before
    fetch(stormy, 14)

    fetch(calm, 12)
    fetch(calm, 14)
    assert lake_of(stormy) == lake_of(calm)
    assert len(lake_of(stormy)) > len(before)


def test_a_day_fetched_again_when_the_vendors_are_back_is_the_calm_day(tmp_path, fetch):
    stormy, calm = tmp_path / "stormy", tmp_path / "calm"
    with pytest.raises(FetchIncompleteError, match="coinglass"):
        fetch(stormy, 13, DOWN)
    fetch(stormy, 13)

    fetch(calm, 13)
    assert lake_of(stormy)
    assert lake_of(stormy) == lake_of(calm)
