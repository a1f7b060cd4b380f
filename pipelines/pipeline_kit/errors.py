"""Errors every package shares, ordered by who must act.

Each package's own tree descends from one of the two branches::

    PipelineError                   exit code
    ├── DataProblem             1   data or vendor; a retry or a data fix may help
    │   ├── LakeContractError       a lake breaks contract.md section 3
    │   ├── SuiteError              an expectation could not be computed, so nothing is known
    │   └── WarehouseError          the warehouse could not be built from the lake
    └── UsageProblem            2   a flag, a setting or a key is wrong; a person edits

Anything else that escapes is a defect of ours and ends with exit code 3.
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of every error that is ours; its text is one line: what, where, what to do."""

    exit_code: ClassVar[int] = 3


class DataProblem(PipelineError):
    """The data or a vendor is at fault."""

    exit_code = 1


class UsageProblem(PipelineError):
    """A flag, a setting or a key is at fault."""

    exit_code = 2


class LakeContractError(DataProblem):
    """A lake breaks contract.md section 3; the text names table, rows and remedy."""


class SuiteError(DataProblem):
    """An expectation could not be computed, so nothing is known about the data."""


class WarehouseError(DataProblem):
    """The warehouse could not be built: names the table, model or test at fault."""
