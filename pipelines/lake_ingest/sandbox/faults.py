"""Scripted faults: which requests go wrong, when, how often, and in what way.

The file's format, with examples: ``docs/sandbox.md``.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lake_ingest.sandbox.contracts import ms
from lake_ingest.sandbox.fault_actions import ACTIONS, ROW_ACTIONS, Ask, act
from lake_ingest.sandbox.messages import Answer, Request, Settings
from pipeline_kit.calendar import parse_instant
from pipeline_kit.errors import UsageProblem


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Strict):
    """Which requests a rule is about; what is not given matches everything."""

    vendor: Literal["coinglass", "coingecko", "binance", "archive"] | None = None
    path: str = ""
    """Regular expression searched for in the path below the base URL."""
    params: dict[str, str] = Field(default_factory=dict)
    """Regular expressions that the parameters' values match as a whole."""

    @field_validator("params", mode="before")
    @classmethod
    def _as_text(cls, params: Mapping[str, object]) -> dict[str, str]:
        return {name: str(value) for name, value in params.items()}

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        for pattern in (self.path, *self.params.values()):
            try:
                re.compile(pattern)
            except re.error as e:
                raise ValueError(f"{pattern!r} is no regular expression: {e}") from e
        return self

    def fits(self, request: Request) -> bool:
        """Return whether the rule is about the request.

        Examples
        --------
        >>> Match(path="fundingRate", params={"symbol": "BTC.*"}).fits(
        ...     Request("binance", "/fapi/v1/fundingRate", {"symbol": "BTCUSDT"})
        ... )
        True
        """
        if self.vendor not in (None, request.vendor) or not re.search(self.path, request.path):
            return False
        return all(
            re.fullmatch(pattern, request.params.get(name, ""))
            for name, pattern in self.params.items()
        )


class Rule(_Strict):
    """One fault."""

    match: Match = Field(default_factory=Match)
    after: int = Field(default=0, ge=0)
    """Matching requests that pass before the fault begins."""
    times: int | None = Field(default=None, ge=1)
    """Requests it then befalls; null = all."""
    since: datetime | None = None
    """Clock (``MAM_NOW``) from which the rule holds; a time without zone is UTC."""
    until: datetime | None = None
    """Clock from which it no longer does."""
    action: dict[str, Any]
    """``kind`` and the parameters of that kind."""

    @field_validator("since", "until", mode="before")
    @classmethod
    def _utc(cls, instant: object) -> datetime | None:
        return None if instant is None else parse_instant(str(instant), "since/until")

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        kind = self.action.get("kind")
        known = {**ACTIONS, **ROW_ACTIONS}
        if kind not in known:
            raise ValueError(f"action kind {kind!r} is not one of {', '.join(sorted(known))}")
        fixed = ("request", "ask") if kind in ACTIONS else ("rows",)
        try:
            inspect.signature(known[kind]).bind(*fixed, **self.parameters)
        except TypeError as e:
            raise ValueError(f"action {kind}: {e}") from e
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the action's parameters."""
        return {name: value for name, value in self.action.items() if name != "kind"}

    def holds_at(self, now_ms: int) -> bool:
        """Return whether the clock lies between ``since`` and ``until``."""
        is_early = self.since is not None and now_ms < ms(self.since)
        is_late = self.until is not None and now_ms >= ms(self.until)
        return not is_early and not is_late


class Switches(_Strict):
    """The ``settings`` of a faults file; meanings: ``messages.Settings``."""

    rate: int | None = Field(default=None, ge=1)
    types: Literal["vendor", "strings", "numbers"] = "vendor"
    revisions: bool = False
    restated_at: datetime | None = None
    limit_style: Literal["http", "body"] = "http"

    @field_validator("restated_at", mode="before")
    @classmethod
    def _utc(cls, instant: object) -> datetime | None:
        return None if instant is None else parse_instant(str(instant), "restated_at")

    def settings(self) -> Settings:
        """Return them as the vendors read them."""
        return Settings(
            rate=self.rate,
            types=self.types,
            revisions=self.revisions,
            restated_at_ms=ms(self.restated_at) if self.restated_at else None,
            limit_style=self.limit_style,
        )


class FaultsFile(_Strict):
    """A whole faults file."""

    settings: Switches = Field(default_factory=Switches)
    rules: tuple[Rule, ...] = ()


class FaultPlan:
    """Rules in their order, and how often each has been met."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._met = [0] * len(self._rules)
        self._lock = threading.Lock()

    @classmethod
    def from_rules(cls, rules: Sequence[Mapping[str, Any]]) -> FaultPlan:
        """Return the plan of rules written as in a file."""
        return cls(FaultsFile.model_validate({"rules": list(rules)}).rules)

    def apply(self, request: Request, ask: Ask, now_ms: int) -> Answer:
        """Return the vendor's answer after every rule whose turn it is; the first acts first.

        Raises
        ------
        Dropped
            If a rule closes the connection.
        """
        for rule in self._due(request, now_ms):
            ask = _after(rule, ask)
        return ask(request)

    def _due(self, request: Request, now_ms: int) -> list[Rule]:
        due = []
        with self._lock:
            for number, rule in enumerate(self._rules):
                if not rule.match.fits(request) or not rule.holds_at(now_ms):
                    continue
                self._met[number] += 1
                met = self._met[number] - rule.after
                if met > 0 and (rule.times is None or met <= rule.times):
                    due.append(rule)
        return due


def _after(rule: Rule, ask: Ask) -> Ask:
    return lambda request: act(request, ask, rule.action["kind"], rule.parameters)


def load_faults(path: Path | None) -> tuple[Settings, FaultPlan]:
    """Return the switches and the rules of a faults file; without one, none.

    Raises
    ------
    UsageProblem
        If the file cannot be read or says something unknown.
    """
    if path is None:
        return Settings(), FaultPlan(())
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        file = FaultsFile.model_validate(said)
    except OSError as e:
        raise UsageProblem(f"--faults {path}: {e.strerror}") from e
    except yaml.YAMLError as e:
        raise UsageProblem(f"--faults {path}: not YAML or JSON: {e}") from e
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageProblem(f"--faults {path}: {where}: {first['msg']}") from e
    return file.settings.settings(), FaultPlan(file.rules)
