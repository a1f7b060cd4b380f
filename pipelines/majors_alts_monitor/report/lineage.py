"""A delivered run as OpenLineage events: which tables of the lake became which files.

Flow: ``manifest.json of a run -> two RunEvents -> openlineage.ndjson beside the run``. Only the
published JSON form is used, version 2-0-2 of the specification [1]_: any collector of OpenLineage
takes the lines by POST.

References
----------
.. [1] https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
VERSION_FACET: Final = (
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json"
    "#/$defs/DatasetVersionDatasetFacet"
)
TAGS_FACET: Final = "https://openlineage.io/spec/facets/1-0-0/TagsRunFacet.json#/$defs/TagsRunFacet"
PRODUCER: Final = "https://majors-alts-monitor.invalid/lineage"
"""Names the program, as the specification asks; ``.invalid`` belongs to nobody."""
NAMESPACE: Final = "majors_alts_monitor"


def run_events(
    manifest: Mapping[str, Any],
    job: str,
    ended_at: datetime,
    *,
    lake: str,
    address: str,
    tags: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the START and the COMPLETE event of a run.

    Parameters
    ----------
    manifest : mapping
        ``manifest.json`` of the run: ``run_id``, ``inputs``, ``outputs``, ``durations``.
    job : str
        What ran, such as ``daily_signal``.
    ended_at : datetime
        When it was delivered; it began its ``durations`` earlier.
    lake : str
        Where the input tables lie.
    address : str
        Where the outputs were published.
    tags : mapping
        What to find the run by, such as its day.
    """
    took = sum(float(seconds) for seconds in manifest["durations"].values())
    inputs = [
        _dataset(lake, name, entry["sha256"]) for name, entry in sorted(manifest["inputs"].items())
    ]
    outputs = [
        _dataset(address, name, sha256) for name, sha256 in sorted(manifest["outputs"].items())
    ]
    about = {
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {
            "runId": str(uuid5(NAMESPACE_URL, f"{PRODUCER}/{manifest['run_id']}")),
            "facets": {"tags": _tags(tags)},
        },
        "job": {"namespace": NAMESPACE, "name": job},
        "inputs": inputs,
    }
    return [
        about | {"eventType": "START", "eventTime": _time(ended_at - timedelta(seconds=took))},
        about | {"eventType": "COMPLETE", "eventTime": _time(ended_at), "outputs": outputs},
    ]


def _dataset(namespace: str, name: str, sha256: str) -> dict[str, Any]:
    facet = {"_producer": PRODUCER, "_schemaURL": VERSION_FACET, "datasetVersion": sha256}
    return {"namespace": namespace, "name": name, "facets": {"version": facet}}


def _tags(tags: Mapping[str, str]) -> dict[str, Any]:
    listed = [{"key": key, "value": value, "source": "USER"} for key, value in sorted(tags.items())]
    return {"_producer": PRODUCER, "_schemaURL": TAGS_FACET, "tags": listed}


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")
