"""What the fetch may do: config.yaml and the environment, checked once and frozen."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib import resources
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lake_ingest.errors import SettingsError

Plan = Literal["demo", "pro"]


class _Frozen(BaseModel):
    """Immutable, and a misspelt key is an error rather than a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VendorSettings(_Frozen):
    """How one vendor is reached."""

    base_url: str
    """Scheme, host and fixed path, without a final slash."""
    requests_per_minute: int | None = Field(ge=1)
    """Most requests in any 60 seconds, retries included; null = not counted."""
    workers: int = Field(ge=1, le=32)
    """Series fetched at once."""
    patience_s: float = Field(gt=0)
    """Seconds one request may spend on failing attempts while nothing else succeeds."""


class VendorsSettings(_Frozen):
    """All vendors."""

    coinglass: VendorSettings
    coingecko: VendorSettings
    binance: VendorSettings
    archive: VendorSettings


class TransportSettings(_Frozen):
    """Limits of one request and of a vendor's patience."""

    connect_s: float = Field(gt=0)
    answer_s: float = Field(gt=0)
    attempts: int = Field(ge=1)
    backoff_s: float = Field(ge=0)
    backoff_max_s: float = Field(ge=0)
    max_pause_s: float = Field(gt=0)
    give_up_after_series: int = Field(ge=1)
    max_answer_bytes: int = Field(ge=1)


class BudgetSettings(_Frozen):
    """Windows of the shared request budget."""

    window_s: float = Field(ge=60)
    binance_funding_requests: int = Field(ge=1, le=500)
    binance_funding_window_s: float = Field(ge=300)
    binance_max_weight: int = Field(ge=1, le=2400)


class PlanSettings(_Frozen):
    """Sizes of the windows that are asked for."""

    overlap_days: int = Field(ge=1)
    heal_days: int = Field(ge=1)
    level_days: int = Field(ge=0)
    settled_after_hours: float = Field(ge=1)
    coinglass_bars: int = Field(ge=10, le=1000)
    coinglass_overlap_bars: int = Field(ge=0, le=5)
    binance_kline_bars: int = Field(ge=10, le=1500)
    binance_funding_rows: int = Field(ge=10, le=1000)
    binance_open_interest_days: int = Field(ge=1, le=30)
    coingecko_min_days: int = Field(gt=90)
    coinglass_history_days: Mapping[str, Mapping[int, int]]


class Settings(_Frozen):
    """Everything of config.yaml."""

    vendors: VendorsSettings
    coingecko_pro_base_url: str
    coingecko_demo_history_days: int = Field(ge=91)
    coingecko_plan: Plan = "demo"
    """Of the variable ``COINGECKO_PLAN``; decides host, header, depth and interval."""
    transport: TransportSettings
    budget: BudgetSettings
    plan: PlanSettings
    core_assets: tuple[str, ...]
    checked_assets: tuple[str, ...]

    def with_environment(self, environ: Mapping[str, str]) -> Self:
        """Return the settings with addresses and rates of the environment in place.

        Raises
        ------
        SettingsError
            If a rate is not a number of at least 1, or an address is not http(s).
        """
        plan = _coingecko_plan(environ)
        vendors = {
            name: _override(name, vendor, environ)
            for name, vendor in (
                ("coinglass", self.vendors.coinglass),
                ("coingecko", self._coingecko(plan)),
                ("binance", self.vendors.binance),
                ("archive", self.vendors.archive),
            )
        }
        return self.model_copy(
            update={"vendors": VendorsSettings(**vendors), "coingecko_plan": plan}
        )

    def _coingecko(self, plan: Plan) -> VendorSettings:
        if plan == "demo":
            return self.vendors.coingecko
        return self.vendors.coingecko.model_copy(update={"base_url": self.coingecko_pro_base_url})


def _coingecko_plan(environ: Mapping[str, str]) -> Plan:
    """Return the CoinGecko plan of ``COINGECKO_PLAN``, demo by default."""
    plan = environ.get("COINGECKO_PLAN") or "demo"
    if plan == "demo":
        return "demo"
    if plan == "pro":
        return "pro"
    raise SettingsError(f"COINGECKO_PLAN is {plan!r}, expected demo or pro")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return config.yaml of this package with the environment's addresses and rates.

    Raises
    ------
    SettingsError
        If the file or a variable is wrong.
    """
    text = resources.files("lake_ingest").joinpath("config.yaml").read_text("utf-8")
    try:
        settings = Settings.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as e:
        raise SettingsError(f"lake_ingest/config.yaml: {e}") from e
    return settings.with_environment(os.environ if environ is None else environ)


_ADDRESS = {
    "coinglass": "COINGLASS_BASE_URL",
    "coingecko": "COINGECKO_BASE_URL",
    "binance": "BINANCE_BASE_URL",
    "archive": "BINANCE_ARCHIVE_URL",
}


def _override(name: str, vendor: VendorSettings, environ: Mapping[str, str]) -> VendorSettings:
    update: dict[str, object] = {}
    address = environ.get(_ADDRESS[name])
    if address:
        if not address.startswith(("https://", "http://")):
            raise SettingsError(f"{_ADDRESS[name]} is {address!r}, expected an http(s) address")
        update["base_url"] = address.rstrip("/")
    rate = environ.get(f"MAM_RATE_{name.upper()}")
    if rate and name != "archive":
        update["requests_per_minute"] = _parse_rate(f"MAM_RATE_{name.upper()}", rate)
    return vendor.model_copy(update=update)


def _parse_rate(name: str, text: str) -> int:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate >= 1):
        raise SettingsError(f"{name} is {text!r}, expected requests a minute, at least 1")
    return int(rate)
