"""The form of ``backfill_backtest``, checked a second time where it is used.

Airflow checks the same form by its JSON schema when a person sends it; here a value is refused that
the schema lets pass, and everything a command line or an older run could bring.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator, model_validator

from majors_alts_monitor.config import Frozen
from majors_alts_monitor.errors import ConfigError
from pipeline_kit.manifest import canonical_json

MOST_RUNS: Final = 512
"""Hard cap of one sweep, whatever ``max_runs`` says."""
ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
"""What a browser takes for a mail address: one, without a name, a list or a line break."""


class BackfillParams(Frozen):
    """The form of ``backfill_backtest``, checked a second time."""

    start: date
    end: date
    config: str | None = None
    """YAML on the worker; null: the production configuration."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Dotted key to value."""
    sweep: dict[str, list[Any]] = Field(default_factory=dict)
    """Dotted key to the values to try; every combination is one member."""
    known_at: str | None = None
    max_runs: Annotated[int, Field(ge=1, le=MOST_RUNS)] = 64
    email_to: list[str] = Field(default_factory=list)
    dry_run: bool = False

    @field_validator("email_to")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for address in value:
            if not ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not a mail address")
        return value

    @field_validator("config")
    @classmethod
    def _yaml_file(cls, value: str | None) -> str | None:
        # A complaint about a configuration quotes it, so no other file of the worker is read.
        if value and (PurePath(value).suffix not in {".yaml", ".yml"} or "\0" in value):
            raise ValueError(f"{value!r} is not the name of a .yaml file")
        return value

    @model_validator(mode="after")
    def _range_and_lists(self) -> BackfillParams:
        if self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}")
        for key, value in self.overrides.items():
            _check_setting(f"overrides.{key}", key, value)
        for key, values in self.sweep.items():
            for value in values:
                _check_setting(f"sweep.{key}", key, value)
            if not values:
                raise ValueError(f"sweep.{key}: an empty list runs nothing")
            if key in self.overrides:
                raise ValueError(f"{key} is in overrides and in sweep; keep one")
        return self


def read_params(values: Mapping[str, Any]) -> BackfillParams:
    """Return validated parameters.

    Raises
    ------
    ConfigError
        If one is unknown (the nearest known one is named) or its value is wrong.

    Examples
    --------
    >>> read_params({"start": "2024-01-01", "end": "2024-02-01"}).max_runs
    64
    >>> read_params({"start": "2024-01-01", "end": "2024-02-01", "swep": {}})
    Traceback (most recent call last):
        ...
    majors_alts_monitor.errors.ConfigError: backfill_backtest: no param swep; did you mean sweep?
    """
    known = list(BackfillParams.model_fields)
    for name in sorted(set(values) - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
        raise ConfigError(f"backfill_backtest: no param {name}{hint}")
    try:
        return BackfillParams.model_validate(dict(values))
    except ValidationError as e:
        first = e.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "params"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"backfill_backtest: {key}: {message}") from e


def _check_setting(where: str, key: str, value: Any) -> None:
    """Raise a ``ValueError`` for what no run may be given by a form."""
    try:
        canonical_json(value)
    except ValueError as e:
        raise ValueError(f"{where}: NaN and infinity are not settings") from e
    if key.startswith("outputs.") and _leaves_its_folder(value):
        raise ValueError(f"{where}: {value!r} must stay below the data folder")


def _leaves_its_folder(value: Any) -> bool:
    path = PurePath(str(value))
    return path.is_absolute() or ".." in path.parts
