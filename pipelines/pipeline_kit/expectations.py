"""Judge a frame by a Great Expectations suite file, and say which rows failed how badly.

Great Expectations takes seconds to import, so that happens here, at the first call. It reads
pandas batches: its SQL path to DuckDB is broken.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_kit.errors import SuiteError


class Severity(IntEnum):
    """How bad a failed expectation is; the worst one decides."""

    NONE = 0
    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation that failed."""

    expectation: str
    column: str
    severity: Severity
    reason: str
    rows: tuple[int, ...]
    """Positions of the failing rows in the frame; empty for a whole-table expectation."""

    observed: str
    """What stands there instead: the value of the table, or some values of the rows."""

    def as_record(self) -> dict[str, Any]:
        """Return the finding for a JSON file: the number of rows, not their positions."""
        record = asdict(self)
        return record | {"severity": self.severity.name.lower(), "rows": len(self.rows)}


def worst(findings: Sequence[Finding]) -> Severity:
    """Return the highest severity among the findings.

    Examples
    --------
    >>> worst([]).name
    'NONE'
    """
    return max((finding.severity for finding in findings), default=Severity.NONE)


def judge(frame: pd.DataFrame, suite_file: Path) -> list[Finding]:
    """Return every expectation of the suite that the frame fails, in the suite's order.

    Parameters
    ----------
    frame : DataFrame
        The batch; must have the suite's columns.
    suite_file : Path
        JSON with ``name`` and ``expectations`` of type, kwargs, severity and ``meta.reason``.

    Raises
    ------
    SuiteError
        If the suite is not readable, or an expectation could not be computed. Great Expectations
        reports the latter as a plain failure; ``exception_info`` tells them apart.
    """
    suite = _read(suite_file)
    with _quiet():
        results = _validate(frame.reset_index(drop=True), suite)
    findings = []
    for expectation, result in zip(suite["expectations"], results, strict=True):
        if error := _error_of(result.exception_info):
            raise SuiteError(
                f"{suite_file.name}: {expectation['type']} of"
                f" {expectation['kwargs'].get('column', 'the table')} was not computed: {error}"
            )
        if not result.success:
            findings.append(_finding(expectation, result.result))
    return findings


def _read(suite_file: Path) -> dict[str, Any]:
    try:
        suite: dict[str, Any] = json.loads(suite_file.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise SuiteError(f"{suite_file}: not a readable suite ({e})") from e
    return suite


def _finding(expectation: Mapping[str, Any], result: Mapping[str, Any]) -> Finding:
    observed = result.get("observed_value", result.get("partial_unexpected_list", ""))
    return Finding(
        expectation=expectation["type"],
        column=str(expectation["kwargs"].get("column", "")),
        severity=Severity[expectation["severity"].upper()],
        reason=expectation["meta"]["reason"],
        rows=tuple(int(row) for row in result.get("unexpected_index_list") or ()),
        observed=str(observed[:5] if isinstance(observed, list) else observed),
    )


def _validate(frame: pd.DataFrame, suite: Mapping[str, Any]) -> list[Any]:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    # GX returns its results in an order of its own.
    numbered = [
        {**expectation, "meta": {"position": position}}
        for position, expectation in enumerate(suite["expectations"])
    ]
    expectations = gx.ExpectationSuite(name=suite["name"], expectations=numbered)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("batch")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    outcome = batch.validate(expectations, result_format={"result_format": "COMPLETE"})
    return sorted(outcome.results, key=lambda r: int(r.expectation_config.meta["position"]))


def _error_of(exception_info: Mapping[str, Any]) -> str:
    """Return why the metric was not computed, or nothing."""
    details = [exception_info] if "raised_exception" in exception_info else exception_info.values()
    messages = [d["exception_message"] for d in details if d.get("raised_exception")]
    return " ".join(str(message) for message in messages)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep GX from sending telemetry and from stopping us by its own deprecation warnings."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
