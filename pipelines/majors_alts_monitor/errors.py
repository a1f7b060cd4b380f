"""Errors raised by the monitor.

Every error a caller may want to catch descends from one of the two branches of
``pipeline_kit.errors``::

    PipelineError                       exit code
    ├── UsageProblem
    │   └── ConfigError             2   the YAML or a flag is wrong; a person edits
    └── DataProblem
        ├── TableContractError      1   a mart breaks contract.md section 4
        ├── RangeError              1   days asked for lie outside the lake
        ├── MissingBetaError        1   an asset in the basket has no row in ``betas``
        ├── IdentityError           1   a day's parts do not add up to its result
        ├── RuinError               1   a book lost all of its NAV
        ├── LedgerError             1   the trial ledger was altered
        ├── GateError               1   gate 2 found what must not be published
        ├── DayBusyError            1   another process works on the same day
        ├── CausalityError          1   a past day depends on its future
        └── ReproductionError       1   a run could not be rebuilt to the same bytes
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline_kit.errors import DataProblem, UsageProblem


class ConfigError(UsageProblem):
    """The YAML or a flag is wrong."""


class TableContractError(DataProblem):
    """A mart does not have the columns or keys it promises."""


class RangeError(DataProblem):
    """Days asked for lie outside the lake."""


class MissingBetaError(DataProblem):
    """An asset in the basket has no row in ``betas``."""

    def __init__(self, asset_ids: Iterable[str]) -> None:
        self.asset_ids = tuple(sorted(asset_ids))
        super().__init__(f"No beta estimate for {', '.join(self.asset_ids)}")


class IdentityError(DataProblem):
    """A day's parts do not add up to its result."""


class RuinError(DataProblem):
    """A book lost all of its NAV, and fractions of it mean nothing any more."""


class DayBusyError(DataProblem):
    """Another process works on the same day."""


class LedgerError(DataProblem):
    """The trial ledger was altered or is broken."""


class ReproductionError(DataProblem):
    """A run could not be rebuilt to the same bytes."""


class GateError(DataProblem):
    """Gate 2 found something in the marts that must not be published."""


class CausalityError(DataProblem):
    """A table or decision of a past day depends on what came after it."""
