"""Read a lake folder and answer what the row of a day may know; obvious before fast.

The second, independent version of strategy.md sections 1 to 3. It shares no code with the
warehouse, on purpose: a rule misread twice in the same way is the only error it cannot show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

DAY: Final = timedelta(days=1)
MAJORS: Final = ("BTC", "ETH")
VALUE_COLUMNS: Final = {
    "fact_price": "close",
    "fact_marketcap": "marketcap",
    "fact_volume": "volume",
    "fact_funding": "funding_rate",
    "fact_open_interest": "open_interest_usd",
    "fact_perp_volume": "volume",
}
SETTLEMENTS: Final = "fact_funding_settlement"
FACTS: Final = (*VALUE_COLUMNS, SETTLEMENTS)
TABLES: Final = (*FACTS, "dim_asset", "dim_instrument")


@dataclass(frozen=True)
class Settings:
    """What the numbers depend on besides the lake; the names are the dbt variables'."""

    known_at: str | None = None
    vintage: str = "pit"
    zscore_days: int = 60
    staleness_days: int = 3
    exclude_assets: tuple[str, ...] = ()
    min_mcap_usd: float = 50e6
    min_volume_usd: float = 1e6
    min_listing_days: int = 30
    lag_minutes_coingecko: float = 45
    lag_minutes_default: float = 30

    def variables(self) -> dict[str, Any]:
        """Return them as ``warehouse.build`` takes them."""
        return {**asdict(self), "exclude_assets": list(self.exclude_assets)}

    def known_at_limit(self) -> datetime:
        """Return the last instant whose knowledge may be used, UTC without zone."""
        if self.known_at is None:
            return pd.Timestamp.max.to_pydatetime(warn=False)
        instant = pd.Timestamp(self.known_at)
        if instant.tzinfo is not None:
            instant = instant.tz_convert("UTC").tz_localize(None)
        return instant.to_pydatetime()


@dataclass(frozen=True)
class Version:
    """One version of one value; a settlement also carries its hours and perhaps its mark."""

    known_at: datetime
    value: float
    is_assumed: bool
    interval_hours: float | None = None
    mark_price: float | None = None


def table_files(folder: Path) -> dict[str, list[Path]]:
    """Return the Parquet files of every table found in ``folder``, both layouts."""
    found = {}
    for table in TABLES:
        single = folder / f"{table}.parquet"
        files = [single] if single.is_file() else sorted((folder / table).rglob("*.parquet"))
        if files:
            found[table] = files
    return found


def read_lake(folder: Path) -> dict[str, pd.DataFrame]:
    """Return every table found in ``folder`` as one frame."""
    return {
        table: pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
        for table, files in table_files(folder).items()
    }


class Knowledge:
    """Every version of every key, and which of them the row of a day reads."""

    def __init__(self, lake: Mapping[str, pd.DataFrame], settings: Settings) -> None:
        self.settings = settings
        self._limit = settings.known_at_limit()
        self.versions: dict[str, dict[tuple[str, date], list[Version]]] = {}
        for table, column in VALUE_COLUMNS.items():
            self.versions[table] = self._read_fact(lake.get(table), column)
        self.settlement_versions = self._read_settlements(lake.get(SETTLEMENTS))
        self.dim_asset = {row["asset_id"]: row for row in _records(lake.get("dim_asset"))}
        self.dim_instrument = _records(lake.get("dim_instrument"))
        # A table without rows is a table: its rule stands.
        self.has_instruments = "dim_instrument" in lake

    def _read_fact(
        self, frame: pd.DataFrame | None, column: str
    ) -> dict[tuple[str, date], list[Version]]:
        found: dict[tuple[str, date], list[Version]] = defaultdict(list)
        for record in _records(frame):
            if record[column] is not None:
                label = pd.Timestamp(record["date"]).date()
                version = self._version(record, label, record[column])
                found[record["asset_id"], label].append(version)
        return _in_order_of_knowledge(found)

    def _read_settlements(
        self, frame: pd.DataFrame | None
    ) -> dict[tuple[str, date], dict[datetime, list[Version]]]:
        """Return versions by asset and day, then by the stamp rounded to the minute."""
        found: dict[tuple[str, date], dict[datetime, list[Version]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for record in _records(frame):
            if record["funding_rate"] is not None:
                stamp = _naive_utc(record["settled_at"]).round("min").to_pydatetime()
                # A day holds (t 00:00, t+1 00:00]: the stamp at midnight ends the day before.
                label = (stamp - timedelta(minutes=1)).date()
                version = self._version(record, label, record["funding_rate"])
                found[record["asset_id"], label][stamp].append(version)
        return {key: _in_order_of_knowledge(stamps) for key, stamps in found.items()}

    def _version(self, record: Mapping[str, Any], label: date, value: float) -> Version:
        known_at = record.get("known_at")
        basis = record.get("known_basis")
        if known_at is None:
            from_coingecko = record.get("source") == "coingecko"
            lag = (
                self.settings.lag_minutes_coingecko
                if from_coingecko
                else self.settings.lag_minutes_default
            )
            instant = datetime.combine(label + DAY, time.min) + timedelta(minutes=lag)
        else:
            instant = _naive_utc(known_at).to_pydatetime()
        return Version(
            known_at=instant,
            value=float(value),
            is_assumed=known_at is None or basis == "assumed",
            interval_hours=record.get("interval_hours"),
            mark_price=record.get("mark_price"),
        )

    def _newest(self, versions: list[Version], t: date) -> Version | None:
        """Return the newest version the row of ``t`` reads, if there is one."""
        before = datetime.combine(t + 2 * DAY, time.min)
        chosen = None
        for version in versions:
            in_time = self.settings.vintage == "latest" or version.known_at < before
            if in_time and version.known_at <= self._limit:
                chosen = version
        return chosen

    def row(self, table: str, asset: str, day: date, t: date) -> Version | None:
        """Return the row labelled ``day`` as known for ``t``."""
        versions = self.versions[table].get((asset, day))
        return self._newest(versions, t) if versions else None

    def value(self, table: str, asset: str, day: date, t: date) -> float | None:
        """Return the value labelled ``day`` as known for ``t``."""
        row = self.row(table, asset, day, t)
        return None if row is None else row.value

    def level(self, table: str, asset: str, day: date, t: date) -> float | None:
        """Return the level on ``day``, its newest row at most 3 days old, as known for ``t``."""
        for age in range(self.settings.staleness_days + 1):
            value = self.value(table, asset, day - age * DAY, t)
            if value is not None:
                return value
        return None

    def window(self, table: str, asset: str, n_days: int, t: date) -> list[float | None]:
        """Return the own values of the ``n_days`` days ending at ``t``, as known for ``t``."""
        return [self.value(table, asset, t - k * DAY, t) for k in reversed(range(n_days))]

    def settlements(self, asset: str, day: date, t: date) -> list[Version]:
        """Return the settlements of ``day`` as known for ``t``, in order of their stamps."""
        stamps = self.settlement_versions.get((asset, day), {})
        newest = (self._newest(stamps[stamp], t) for stamp in sorted(stamps))
        return [version for version in newest if version is not None]

    def rows_labelled(self, asset: str, day: date, t: date) -> list[Version]:
        """Return the rows of every fact labelled ``day``, as known for ``t``."""
        daily = (self.row(table, asset, day, t) for table in VALUE_COLUMNS)
        return [row for row in daily if row is not None] + self.settlements(asset, day, t)

    def labels(self) -> Iterator[tuple[str, date]]:
        """Yield the asset and day of every key of every fact known by the limit."""
        for facts in self.versions.values():
            for key, versions in facts.items():
                if versions[0].known_at <= self._limit:
                    yield key
        for key, stamps in self.settlement_versions.items():
            if any(versions[0].known_at <= self._limit for versions in stamps.values()):
                yield key

    def assets(self) -> list[str]:
        """Return every asset with a row in any fact, sorted."""
        return sorted({asset for asset, _ in self.labels()})

    def days(self) -> list[date]:
        """Return every calendar day from the lake's first to its last."""
        labels = {day for _, day in self.labels()}
        first, last = min(labels), max(labels)
        return [first + k * DAY for k in range((last - first).days + 1)]


def _naive_utc(value: Any) -> pd.Timestamp:
    stamp = pd.Timestamp(value)
    return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo is not None else stamp


def _records(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the rows as dictionaries in which every kind of missing value is None."""
    if frame is None:
        return []
    columns = {
        name: [None if missing else value for value, missing in zip(column, absent, strict=True)]
        for name, column, absent in (
            (name, frame[name].tolist(), frame[name].isna().tolist()) for name in frame.columns
        )
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _in_order_of_knowledge(found: Mapping[Any, list[Version]]) -> dict[Any, list[Version]]:
    return {key: sorted(versions, key=lambda v: v.known_at) for key, versions in found.items()}
