"""Errors of the lake, ordered by who must act.

Every error here is also a ``DataProblem`` (exit code 1) or a ``UsageProblem`` (exit code 2)::

    LakeError                       exit code
    ├── VendorError                     a vendor answered with a failure, or not at all
    │   ├── AuthError           2       key missing or wrong; a person edits; no retry
    │   ├── PlanError           2       the plan does not allow it; a person pays or asks for less
    │   ├── RequestError        1       our question is wrong or unknown to the vendor; no retry
    │   ├── RateLimitedError    1       too many requests; after the wait
    │   ├── BlockedError        1       refused for this address or region; no retry
    │   ├── UnavailableError    1       down, slow or talking nonsense; bounded retries
    │   └── ContractError       1       a field was renamed or re-typed; series not kept
    ├── MapError                2       the asset map contradicts itself, or does not know a ticker
    ├── SettingsError           2       config.yaml or a variable of the environment is wrong
    ├── FetchBusyError          1       another fetch holds this data folder
    ├── FetchIncompleteError    1       some series failed; what passed is stored
    ├── FetchRefusedError       2       a key or plan was refused; what passed is stored
    ├── GateBlockedError        1       gate 1 held back a core asset or more than the budget
    ├── SealError               1       the snapshot on disk is not what its manifest says
    ├── QuarantineError         1       the rows to review or release are not there
    └── MixedLakeError          2       synthetic rows meant for a real lake, or the reverse

The module stays light: Airflow resolves these names while it parses its DAGs.
"""

from __future__ import annotations

from pipeline_kit.errors import DataProblem, PipelineError, UsageProblem


class LakeError(PipelineError):
    """Base of every error of this package."""


class VendorError(LakeError):
    """A vendor answered with a failure, or not at all."""


class AuthError(VendorError, UsageProblem):
    """The key is missing or wrong."""


class PlanError(VendorError, UsageProblem):
    """The plan behind the key does not allow the request."""


class RequestError(VendorError, DataProblem):
    """The vendor does not know what we ask for.

    Parameters
    ----------
    message : str
        Vendor, path and the vendor's words.
    code : str, optional
        The vendor's own code, or the HTTP status.
    """

    def __init__(self, message: str, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class RateLimitedError(VendorError, DataProblem):
    """Too many requests.

    Parameters
    ----------
    message : str
        Vendor, path and the vendor's words.
    retry_after_s : float, optional
        Seconds the vendor asks us to wait; None when it does not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class BlockedError(VendorError, DataProblem):
    """The vendor refuses this address or region."""


class UnavailableError(VendorError, DataProblem):
    """The vendor is down, too slow, or answers with something that is not its format."""


class ContractError(VendorError, DataProblem):
    """An answer does not have the shape it is documented to have.

    Parameters
    ----------
    endpoint : str
        Path that was asked.
    field : str
        Name of the field that is missing or has the wrong type.
    found : str
        What stands there instead.
    """

    def __init__(self, endpoint: str, field: str, found: str) -> None:
        self.endpoint = endpoint
        self.field = field
        super().__init__(f"{endpoint}: field {field} {found}; nothing of this series was stored")


class MapError(LakeError, UsageProblem):
    """The asset map contradicts itself, or does not know a ticker."""


class SettingsError(LakeError, UsageProblem):
    """The package's configuration or a variable of the environment is wrong."""


class FetchBusyError(LakeError, DataProblem):
    """Another fetch holds this data folder."""


class FetchIncompleteError(LakeError, DataProblem):
    """Some series failed; what passed is stored."""


class FetchRefusedError(LakeError, UsageProblem):
    """A key or plan was refused; what passed is stored."""


class GateBlockedError(LakeError, DataProblem):
    """Gate 1 held back a core asset or more rows than the budget allows."""


class SealError(LakeError, DataProblem):
    """The snapshot on disk is not what its manifest says."""


class QuarantineError(LakeError, DataProblem):
    """The quarantined rows to review or release are not there."""


class MixedLakeError(LakeError, UsageProblem):
    """Synthetic rows meant for a real lake, or the reverse."""
