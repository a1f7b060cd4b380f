"""The vendor clients of one run: keys, budgets, archive and transports put together once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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
    opening = _Opening(
        settings, os.environ if environ is None else environ, transports or {}, sleep, replay
    )
    with ExitStack() as stack:
        store = Archive(bronze_dir(), run_id)
        stack.callback(store.close)
        yield opening.clients(store, stack)


@dataclass(frozen=True, slots=True)
class _Opening:
    settings: Settings
    environ: Mapping[str, str]
    transports: Transports
    sleep: Callable[[float], None]
    replay: Sequence[Answer]

    def clients(self, store: Archive, stack: ExitStack) -> Clients:
        keys = {name: self._key(f"{name.upper()}_API_KEY") for name in ("coinglass", "coingecko")}
        # Replacing a text so short would also change data.
        secrets = tuple(key for key in keys.values() if len(key) >= SHORTEST_SECRET)
        vendors, plan = self.settings.vendors, self.settings.coingecko_plan
        max_weight = self.settings.budget.binance_max_weight

        def channel(
            vendor: VendorSettings, protocol: _http.Protocol, headers: Mapping[str, str]
        ) -> _http.Channel:
            http = _http.open_http(
                vendor.base_url,
                self.settings.transport,
                headers,
                self.transports.get(protocol.vendor),
            )
            stack.enter_context(http)
            return _http.Channel(
                http,
                protocol,
                self.settings.transport,
                store,
                budget=self._budget(protocol.vendor, vendor),
                replay=self.replay,
                sleep=self.sleep,
            )

        def protocol(
            vendor: VendorSettings, name: str, classify: _http.Classify, **rules: _http.Heed
        ) -> _http.Protocol:
            # The others never see a key, and a zip file must stay as it came.
            echoed = secrets if name in keys else ()
            return _http.Protocol(
                name, classify, secrets=echoed, patience_s=vendor.patience_s, **rules
            )

        glass = protocol(
            vendors.coinglass, coinglass.VENDOR, coinglass.classify, heed=coinglass.heed
        )
        gecko = protocol(vendors.coingecko, coingecko.VENDOR, coingecko.classify)
        rest = protocol(
            vendors.binance, binance.VENDOR, binance.classify, heed=binance.heeding(max_weight)
        )
        files = protocol(vendors.archive, archive.VENDOR, archive.classify)
        gecko_header = {coingecko.KEY_HEADERS[plan]: keys["coingecko"]}
        return Clients(
            coinglass=CoinglassClient(
                channel(vendors.coinglass, glass, {coinglass.KEY_HEADER: keys["coinglass"]})
            )
            if keys["coinglass"]
            else None,
            coingecko=CoingeckoClient(
                channel(vendors.coingecko, gecko, gecko_header if keys["coingecko"] else {}), plan
            ),
            binance=BinanceClient(
                channel(vendors.binance, rest, {}),
                Budget(
                    self._budgets(),
                    "binance_funding",
                    self.settings.budget.binance_funding_requests,
                    self.settings.budget.binance_funding_window_s,
                ),
            ),
            archive=ArchiveClient(channel(vendors.archive, files, {"Accept": "*/*"})),
        )

    def _budgets(self) -> Path:
        return data_dir() / "budget"

    def _budget(self, name: str, vendor: VendorSettings) -> Budget | None:
        if vendor.requests_per_minute is None:
            return None
        return Budget(
            self._budgets(), name, vendor.requests_per_minute, self.settings.budget.window_s
        )

    def _key(self, name: str) -> str:
        key = (self.environ.get(name) or "").strip()
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise AuthError(f"{name} holds characters that no key has; set it again")
        return key
