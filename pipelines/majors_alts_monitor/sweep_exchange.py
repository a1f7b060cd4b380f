"""A sweep on workers that share no disk: plan and lake go out by the bucket, members come back.

On a ``file://`` bucket every worker sees the sweep's folder, and only ``publish_member`` is used.
The trial ledger stays with the worker that plans and collects; the others count nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from majors_alts_monitor import outputs
from majors_alts_monitor.errors import ConfigError, TableContractError
from pipeline_kit import atomic
from pipeline_kit.bucket import Bucket
from pipeline_kit.lake_mirror import pull, push

PLAN: Final = "plan.json"
LAKE: Final = "lake_manifest.json"


def offer_plan(bucket: Bucket, key: str, folder: Path) -> None:
    """Publish a sweep's pinned lake and then its plan."""
    push(folder / "lake", bucket, f"{key}/{LAKE}")
    bucket.put(f"{key}/{PLAN}", (folder / PLAN).read_bytes())


def fetch_plan(bucket: Bucket, key: str, folder: Path) -> None:
    """Make a sweep's folder from the bucket unless it is there; the plan goes last.

    Raises
    ------
    ConfigError
        If there is no such plan.
    """
    if (folder / PLAN).is_file():
        return
    plan = bucket.get(f"{key}/{PLAN}") if bucket.is_shared else None
    if plan is None:
        raise ConfigError(f"{folder}: no plan; run the task plan first")
    pull(bucket, f"{key}/{LAKE}", folder / "lake")
    atomic.write_bytes(folder / PLAN, plan)


def publish_member(bucket: Bucket, key: str, folder: Path) -> None:
    """Put the files of a run that the bucket holds otherwise or not at all; the manifest last."""
    known = json.loads(bucket.get(f"{key}/{outputs.MANIFEST}") or b"{}").get("outputs", {})
    for name, sha256 in sorted(outputs.read_manifest(folder)["outputs"].items()):
        if known.get(name) != sha256:
            bucket.put(f"{key}/{name}", (folder / name).read_bytes())
    bucket.put(f"{key}/{outputs.MANIFEST}", (folder / outputs.MANIFEST).read_bytes())


def fetch_members(bucket: Bucket, key: str, folder: Path, plan: Mapping[str, Any]) -> None:
    """Bring the members that other workers ran into ``folder/members``.

    Raises
    ------
    TableContractError
        If one is nowhere, or was run by other code or on other inputs than planned.
    """
    for member in plan["members"]:
        place = folder / "members" / member["name"]
        if not outputs.is_run_of(place, member["run_id"]) and bucket.is_shared:
            _fetch_run(bucket, f"{key}/members/{member['name']}", place)
        if not outputs.is_run_of(place, member["run_id"]):
            raise TableContractError(
                f"{place}: not the run {member['run_id']} of the plan; see that every worker has "
                "the same code, then clear the dag run from plan on"
            )


def _fetch_run(bucket: Bucket, key: str, folder: Path) -> None:
    manifest = bucket.get(f"{key}/{outputs.MANIFEST}")
    if manifest is None:
        return
    for name in json.loads(manifest)["outputs"]:
        atomic.write_bytes(folder / name, bucket.get(f"{key}/{name}") or b"")
    atomic.write_bytes(folder / outputs.MANIFEST, manifest)
