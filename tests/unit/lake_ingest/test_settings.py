"""The environment replaces addresses and rates, and a mistake in it is exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_ingest.clients import open_clients
from lake_ingest.errors import AuthError, SettingsError
from lake_ingest.settings import Settings, load_settings


def test_the_shipped_configuration_is_valid_and_below_the_lowest_plans() -> None:
    vendors = load_settings({}).vendors

    assert vendors.coinglass.requests_per_minute == 28
    assert vendors.coingecko.requests_per_minute == 25
    assert vendors.archive.requests_per_minute is None


def test_addresses_and_rates_come_from_the_environment() -> None:
    settings = load_settings(
        {
            "COINGLASS_BASE_URL": "http://127.0.0.1:1/coinglass/",
            "BINANCE_ARCHIVE_URL": "http://127.0.0.1:1/archive",
            "MAM_RATE_BINANCE": "7",
        }
    )

    assert settings.vendors.coinglass.base_url == "http://127.0.0.1:1/coinglass"
    assert settings.vendors.archive.base_url == "http://127.0.0.1:1/archive"
    assert settings.vendors.binance.requests_per_minute == 7


def test_the_paid_plan_of_coingecko_has_its_own_host() -> None:
    settings = load_settings({"COINGECKO_PLAN": "pro"})

    assert settings.coingecko_plan == "pro"
    assert settings.vendors.coingecko.base_url.startswith("https://pro-api.")


@pytest.mark.parametrize(
    "environ",
    [
        {"MAM_RATE_COINGLASS": "0"},
        {"MAM_RATE_COINGLASS": "-1"},
        {"MAM_RATE_COINGECKO": "many"},
        {"MAM_RATE_BINANCE": "nan"},
        {"MAM_RATE_BINANCE": "inf"},
        {"COINGECKO_PLAN": "gold"},
        {"COINGLASS_BASE_URL": "ftp://x"},
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str]) -> None:
    (name,) = environ
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings(environ)

    assert caught.value.exit_code == 2


def test_a_misspelt_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="overlap_day"):
        Settings.model_validate(load_settings({}).model_dump() | {"overlap_day": 3}, strict=False)


@pytest.mark.parametrize("key", ["with space", "line\nbreak", "ключ"])
def test_a_key_no_header_can_carry_is_refused_without_being_shown(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))

    with (
        pytest.raises(AuthError, match="COINGLASS_API_KEY") as caught,
        open_clients(load_settings({}), "run", environ={"COINGLASS_API_KEY": key}),
    ):
        pass

    assert key not in str(caught.value)
