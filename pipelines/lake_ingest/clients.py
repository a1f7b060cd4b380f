"""The vendor clients of one run: keys, budgets, archive and transports put together once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from lake_ingest.bronze import Answer, Archive
from lake_ingest.budget import Budget
from lake_ingest.errors import AuthError, VendorError
from lake_ingest.settings import Settings, VendorSettings
from lake_ingest.vendors import _http, archive, binance, coingecko, coinglass
from lake_ingest.vendors.archive import ArchiveClient
from lake_ingest.vendors.binance import BinanceClient
from lake_ingest.vendors.coingecko import CoingeckoClient
from lake_ingest.vendors.coinglass import CoinglassClient
from pipeline_kit.paths import bronze_dir, data_dir

SHORTEST_SECRET: Final = 6
Transports = Mapping[str, httpx.BaseTransport]


@dataclass(frozen=True, slots=True)
class Clients:
    """One client per vendor."""

    coinglass: CoinglassClient | None
    """None without a key."""
    coingecko: CoingeckoClient
    binance: BinanceClient
    archive: ArchiveClient

    @property
    def channels(self) -> tuple[_http.Channel, ...]:
        """Return the channels of every vendor that can be asked."""
        keyless = (self.coingecko.channel, self.binance.channel, self.archive.channel)
        return keyless if self.coinglass is None else (self.coinglass.channel, *keyless)

    @property
    def is_synthetic(self) -> bool:
        """Return whether the bundled sandbox answered."""
        return any(channel.is_synthetic for channel in self.channels)


def missing_key() -> VendorError:
    """Return the complaint of a run that needs CoinGlass and has no key."""
    return AuthError("coinglass: COINGLASS_API_KEY is not set; set it or leave out this source")


@contextmanager
def open_clients(
    settings: Settings,
    run_id: str,
    *,
    environ: Mapping[str, str] | None = None,
    replay: Sequence[Answer] = (),
    transports: Transports | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Clients]:
    """Open the clients of one run and close them with everything they archived.

    Parameters
    ----------
    settings : Settings
        Addresses, rates and limits.
    run_id : str
        Names the run's files in bronze.
    environ : mapping, optional
        Where the keys are; the environment by default.
    replay : sequence of Answer, optional
        Answers that are not asked for again.
    transports : mapping, optional
        Vendor to transport, for tests.
    sleep : callable, optional
        Waits some seconds; replaced in tests.

    Raises
    ------
    AuthError
        If a key holds characters that no header can carry.
    """
    found = os.environ if environ is None else environ
    keys = {name: _read_key(found, name) for name in ("coinglass", "coingecko")}
    with ExitStack() as stack:
        store = Archive(bronze_dir(), run_id)
        stack.callback(store.close)
        yield _Opening(settings, keys, transports or {}, sleep, replay, store, stack).clients()


@dataclass(frozen=True, slots=True)
class _Opening:
    settings: Settings
    keys: Mapping[str, str]
    transports: Transports
    sleep: Callable[[float], None]
    replay: Sequence[Answer]
    store: Archive
    stack: ExitStack

    def clients(self) -> Clients:
        vendors, plan = self.settings.vendors, self.settings.coingecko_plan
        glass_key, gecko_key = self.keys["coinglass"], self.keys["coingecko"]
        heed = binance.heeding(self.settings.budget.binance_max_weight)
        glass = None
        if glass_key:
            header = {coinglass.KEY_HEADER: glass_key}
            rules = self._protocol("coinglass", vendors.coinglass, coinglass.classify)
            glass = self._channel(vendors.coinglass, replace(rules, heed=coinglass.heed), header)
        rules = self._protocol("coingecko", vendors.coingecko, coingecko.classify)
        header = {coingecko.KEY_HEADERS[plan]: gecko_key} if gecko_key else {}
        gecko = self._channel(vendors.coingecko, rules, header)
        rules = self._protocol("binance", vendors.binance, binance.classify)
        rest = self._channel(vendors.binance, replace(rules, heed=heed), {})
        rules = self._protocol("archive", vendors.archive, archive.classify)
        files = self._channel(vendors.archive, rules, {"Accept": "*/*"})
        return Clients(
            coinglass=None if glass is None else CoinglassClient(glass),
            coingecko=CoingeckoClient(gecko, plan),
            binance=BinanceClient(rest, self._funding_budget()),
            archive=ArchiveClient(files),
        )

    def _protocol(
        self, name: str, vendor: VendorSettings, classify: _http.Classify
    ) -> _http.Protocol:
        # Replacing a text so short would also change data. Vendors without a key never see
        # one, and a zip file must stay as it came.
        long_enough = tuple(key for key in self.keys.values() if len(key) >= SHORTEST_SECRET)
        secrets = long_enough if name in self.keys else ()
        return _http.Protocol(name, classify, secrets=secrets, patience_s=vendor.patience_s)

    def _channel(
        self, vendor: VendorSettings, protocol: _http.Protocol, headers: Mapping[str, str]
    ) -> _http.Channel:
        transport = self.settings.transport
        mounted = self.transports.get(protocol.vendor)
        http = _http.open_http(vendor.base_url, transport, headers, mounted)
        self.stack.enter_context(http)
        return _http.Channel(
            http,
            protocol,
            transport,
            self.store,
            budget=self._budget(protocol.vendor, vendor.requests_per_minute),
            replay=self.replay,
            sleep=self.sleep,
        )

    def _budget(self, name: str, limit: int | None) -> Budget | None:
        if limit is None:
            return None
        return Budget(_budgets(), name, limit, self.settings.budget.window_s)

    def _funding_budget(self) -> Budget:
        rules = self.settings.budget
        limit, window_s = rules.binance_funding_requests, rules.binance_funding_window_s
        return Budget(_budgets(), "binance_funding", limit, window_s)


def _budgets() -> Path:
    return data_dir() / "budget"


def _read_key(environ: Mapping[str, str], vendor: str) -> str:
    name = f"{vendor.upper()}_API_KEY"
    key = (environ.get(name) or "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise AuthError(f"{name} holds characters that no key has; set it again")
    return key
