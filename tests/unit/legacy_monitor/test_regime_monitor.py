"""The previous monitor as a user runs it: live vendors, one row a day, safe to repeat."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from lake_ingest.sandbox import serve
from legacy_monitor.formulas import COLUMNS
from legacy_monitor.regime_monitor import main
from pipeline_kit.cli import run_command

NOW = datetime(2024, 6, 15, 0, 50, tzinfo=UTC)
ASSETS, DAYS = 60, 130


@pytest.fixture(scope="module")
def vendors():
    """Run the sandbox for the module; yields the environment that leads to it."""
    with serve(assets=ASSETS, days=DAYS, now=NOW) as sandbox:
        yield {**sandbox.base_urls, "COINGLASS_API_KEY": "sandbox-professional"}


@pytest.fixture
def home(vendors, monkeypatch, tmp_path):
    """Return a fresh working directory that talks to the sandbox."""
    for name in [name for name in os.environ if name.startswith(("MAM_", "COIN", "BINANCE"))]:
        monkeypatch.delenv(name)
    limits = {f"MAM_RATE_{name}": "100000" for name in ("COINGLASS", "COINGECKO", "BINANCE")}
    for name, text in {**vendors, **limits, "MAM_NOW": NOW.isoformat()}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(home: Path) -> list[dict[str, str]]:
    with (home / "regime_history.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == list(COLUMNS)
        return list(reader)


def test_a_day_is_one_row_whatever_is_repeated_and_old_rows_keep_their_bytes(home, capsys):
    main(["--asof", "2024-06-13"])
    alone = (home / "regime_history.csv").read_text("utf-8").splitlines()[1]

    main(["--historical", "3"])
    before = (home / "regime_history.csv").read_bytes()
    main(["--historical", "3"])

    assert [row["date_iso"] for row in rows_of(home)] == ["2024-06-12", "2024-06-13", "2024-06-14"]
    assert alone in before.decode("utf-8").splitlines()
    assert (home / "regime_history.csv").read_bytes() == before
    assert capsys.readouterr().out.count("0 rows added") == 1


def test_a_live_row_is_the_formulas_on_what_the_vendors_know(home, vendors):
    main(["--asof", "2024-06-14"])

    (row,) = rows_of(home)

    # Bitcoin's chart, read by hand: the point stamped at a midnight closes the day before.
    span = {"vs_currency": "usd", "from": 1_706_745_600, "to": int(NOW.timestamp())}
    address = f"{vendors['COINGECKO_BASE_URL']}/coins/bitcoin/market_chart/range"
    points = httpx.get(address, params=span, trust_env=False).json()["prices"]
    close = [price for stamp, price in points if stamp % 86_400_000 == 0]
    r1, r7 = 100 * (close[-1] / close[-2] - 1), 100 * (close[-1] / close[-8] - 1)
    assert float(row["btc_1d"]) == pytest.approx(r1)
    assert float(row["btc_7d"]) == pytest.approx(r7)
    three = 0.5 * (r7 * 3 / 7 + r1 / 3)
    values = {name: float(row[name]) for name in COLUMNS if name not in ("date_iso", "bucket")}
    trend = np.clip(values["spread7"] / (abs(values["btc_7d"]) + 0.001) / 3, -1, 1)
    interest = np.clip(values["oi_change_3d"] / 50, 0, 1) * (1 if three > 0 else 0.5)
    combined = trend - 0.25 * values["funding_risk"] - 0.15 * interest - 0.1 * values["breadth_3d"]
    assert values["regime_score"] == pytest.approx(50 * (np.clip(combined, -1, 1) + 1))


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--asof", "2024-06-15"], 1, "has not ended"),
        (["--historical", "0"], 2, "must be 1 to 10000"),
        (["--historical", "99999999999"], 2, "must be 1 to 10000"),
        (["--historical", "2", "--end", "2099-01-01"], 1, "has not ended"),
        ([], 2, "required"),
        (["--asof", "2024-06-14", "--historical", "2"], 2, "not allowed"),
    ],
)
def test_what_cannot_be_asked_says_so_and_writes_nothing(home, capsys, flags, code, said):
    assert run_command(main, flags) == code

    assert said in capsys.readouterr().err
    assert not (home / "regime_history.csv").exists()


def test_without_a_key_a_person_must_act(home, monkeypatch, capsys):
    monkeypatch.delenv("COINGLASS_API_KEY")

    assert run_command(main, ["--asof", "2024-06-14"]) == 2

    assert "COINGLASS_API_KEY" in capsys.readouterr().err
