"""The command itself, over HTTP: a lake fetched on two days is the market's truth to the bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lake_ingest.fetch import main as fetch
from lake_ingest.sandbox import Settings, serve, truth
from lake_ingest.seal import read_snapshot
from lake_ingest.verify import main as verify
from pipeline_kit.calendar import parse_instant
from pipeline_kit.contract import FACTS, TABLES

YESTERDAY, TODAY = "2024-06-14T00:50:00+00:00", "2024-06-15T00:50:00+00:00"
NEWEST = pd.Timestamp("2024-06-14")
START = "2024-05-01"
SYMBOLS = "BTC,ETH,LEO,PEPE"
ASSETS, DAYS = 27, 60


def span(day: str) -> list[str]:
    return ["--start", START, "--end", day, "--symbols", SYMBOLS]


def run_command_line(day: str) -> None:
    command = [sys.executable, "-m", "lake_ingest.fetch", *span(day)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def versions(home: Path, name: str) -> pd.DataFrame:
    lake = home / "curated" / "data_lake"
    rows = pd.concat([pd.read_parquet(file) for file in read_snapshot(lake).files(lake, name)])
    return canonical(name, rows)


def canonical(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows since ``START`` of our assets, ``at`` their day or instant."""
    at = "settled_at" if "settlement" in name else "date"
    rows = rows.assign(at=pd.to_datetime(rows[at]).astype("datetime64[us]"))
    is_inside = rows["at"] > START if at == "settled_at" else rows["at"] >= START
    return rows[is_inside & rows["asset_id"].isin(SYMBOLS.split(","))]


def test_a_lake_fetched_on_two_days_with_revisions_is_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COINGLASS_API_KEY", "sandbox-hobbyist")
    for name in ("COINGECKO_API_KEY", "COINGECKO_PLAN"):
        monkeypatch.delenv(name, raising=False)
    for vendor in ("COINGLASS", "COINGECKO", "BINANCE"):
        monkeypatch.setenv(f"MAM_RATE_{vendor}", "100000")
    restated = int(parse_instant(TODAY, "TODAY").timestamp() * 1000)
    settings = Settings(rate=100_000, revisions=True, restated_at_ms=restated)
    monkeypatch.setenv("MAM_NOW", YESTERDAY)  # the sandbox reads it at every request

    with serve(assets=ASSETS, days=DAYS, settings=settings) as sandbox:
        for name, url in sandbox.base_urls.items():
            monkeypatch.setenv(name, url)
        fetch(span("2024-06-13"))  # here: another process would import for ten seconds
        monkeypatch.setenv("MAM_NOW", TODAY)
        run_command_line("2024-06-14")

    true = truth(assets=ASSETS, days=DAYS, now=parse_instant(TODAY, "TODAY"))
    for name in FACTS:
        value, stored = str(TABLES[name].value), versions(tmp_path, name)
        newest = stored.sort_values("known_at").drop_duplicates(["asset_id", "at"], keep="last")
        both = canonical(name, true[name]).merge(
            newest, on=["asset_id", "at"], how="outer", suffixes=("", "_got")
        )
        wrong = both[both[value] != both[f"{value}_got"]]
        if name in ("fact_open_interest", "fact_funding"):
            # CoinGlass's newest bar is provisional until tomorrow.
            is_newest = (wrong["at"] == NEWEST) & (wrong["source_got"] == "coinglass")
            wrong = wrong[~is_newest]
        assert wrong.empty, f"{name}:\n{wrong.head()}"
    again = versions(tmp_path, "fact_open_interest")
    n_versions = again[again["asset_id"] == "BTC"].groupby("at").size()
    assert n_versions.max() == 2  # restated from START to yesterday, seen and kept
    assert (n_versions[n_versions.index < "2024-06-12"] == 2).all()
    verify([])
