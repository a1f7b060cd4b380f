"""A backtest over any range, or a sweep of them: what the tasks of ``backfill_backtest`` call.

Flow: ``params -> plan_backfill -> run_planned, one a task -> collect_backfill -> bucket``. The plan
is a file in ``MAM_DATA_DIR/runs/backtests/<sweep_id>``, so tasks pass nothing but its id. It pins
the sealed lake by hard links: a daily run or a compaction in between changes no member.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from majors_alts_monitor import outputs
from majors_alts_monitor.backfill_params import BackfillParams, read_params
from majors_alts_monitor.daily import configured_file
from majors_alts_monitor.data_io import check_range
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.recorded_lake import open_held, pin_lake
from majors_alts_monitor.report.bucket_index import write_index
from majors_alts_monitor.report.comparison_report import comparison_html, comparison_text
from majors_alts_monitor.run import run_id_of
from majors_alts_monitor.sweep import (
    LEADERBOARD,
    OVERFITTING,
    PAGE,
    Sweep,
    collect,
    count_members,
    expand,
    member_request,
    plan_sweep,
    run_member,
)
from majors_alts_monitor.sweep_exchange import (
    PLAN,
    fetch_members,
    fetch_plan,
    offer_plan,
    publish_member,
)
from pipeline_kit import atomic, paths
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import parse_instant
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.mail import Mailer, Message
from pipeline_kit.manifest import canonical_json, readable_json, sha256_text


def main(argv: Sequence[str]) -> None:
    """Plan, run and collect a sweep in this process."""
    parser = Parser(prog="python -m majors_alts_monitor.backfill", description=__doc__)
    parser.add_argument("params", help="JSON, the form of the DAG")
    try:
        params = json.loads(parser.parse_args(argv).params)
    except ValueError as e:
        raise ConfigError(f"params: not JSON: {e}") from e
    if not isinstance(params, dict):
        raise ConfigError('params: must be a JSON object such as {"start": "2024-01-01", ...}')
    plan = plan_backfill(params)
    sys.stdout.write("\n".join(describe_backfill(plan)) + "\n")
    if plan["params"]["dry_run"]:
        return
    for number in range(plan["n_members"]):
        sys.stdout.write(f"finished {run_planned(plan['sweep_id'], number)}\n")
    sys.stdout.write(f"published {collect_backfill(plan['sweep_id'])}\n")


def plan_backfill(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write the plan of a sweep and return it: id, members with run ids, and what is left to do.

    Raises
    ------
    ConfigError
        If a parameter or a configuration key is wrong, or the sweep is too large.
    RangeError
        If a day lies outside the lake.
    """
    params = read_params(values)
    lake = open_held(paths.lake_dir())
    check_range(lake, params.start, params.end)
    inputs = sha256_text(canonical_json(dict(lake.facts.content_sha256)))
    sweep = _sweep(params, paths.lake_dir(), inputs)
    folder = sweep_folder(sweep.sweep_id)
    if not params.dry_run:
        pin_lake(lake.files, folder / "lake")
    members = []
    for number, member in enumerate(sweep.members):
        request = member_request(sweep, number, folder)
        run_id = run_id_of(request, lake)
        is_finished = outputs.is_run_of(folder / "members" / member.name, run_id)
        members.append({"name": member.name, "run_id": run_id, "is_finished": is_finished})
    n_days, bucket = (params.end - params.start).days + 1, Bucket()
    plan = {
        "sweep_id": sweep.sweep_id,
        "inputs": inputs,
        "params": params.model_dump(mode="json"),
        "members": members,
        "n_members": len(members),
        "n_to_run": sum(not member["is_finished"] for member in members),
        "member_days": len(members) * n_days,
        "bucket": bucket.locate(bucket_key(sweep.sweep_id)),
    }
    atomic.write_text(folder / ("dry_run.json" if params.dry_run else PLAN), readable_json(plan))
    if bucket.is_shared and not params.dry_run:
        offer_plan(bucket, bucket_key(sweep.sweep_id), folder)
    return plan


def describe_backfill(plan: Mapping[str, Any]) -> list[str]:
    """Return the plan as lines for a person."""
    lines = [
        f"sweep {plan['sweep_id']}: {plan['n_members']} members, {plan['n_to_run']} to run, "
        f"{plan['member_days']} days in all",
        f"to be published at {plan['bucket']}",
    ]
    for member in plan["members"]:
        state = "finished" if member["is_finished"] else "to run"
        lines.append(f"  {member['run_id']}  {state:<9} {member['name']}")
    return lines


def run_planned(sweep_id: str, number: int) -> str:
    """Run one member of a planned sweep unless it is finished, and return its name.

    A worker that shares no disk with the planner gets plan and lake from the bucket, and the
    member goes there at once.
    """
    bucket, key = Bucket(), bucket_key(sweep_id)
    fetch_plan(bucket, key, sweep_folder(sweep_id))
    sweep, folder = _planned(sweep_id)
    place = run_member(sweep, number, folder, is_counted=False)
    if bucket.is_shared:
        publish_member(bucket, f"{key}/members/{place.name}", place)
    return place.name


def collect_backfill(sweep_id: str) -> str:
    """Compare the members, publish the sweep, mail it if asked, and return its address."""
    sweep, folder = _planned(sweep_id)
    plan, bucket, key = _plan(folder), Bucket(), bucket_key(sweep_id)
    fetch_members(bucket, key, folder, plan)
    count_members(sweep, folder)
    board = collect(sweep, folder)
    verdict = json.loads((folder / OVERFITTING).read_text("utf-8"))
    (folder / "comparison.html").write_text(comparison_html(plan, board, verdict), "utf-8")
    (folder / "comparison.txt").write_text(comparison_text(plan, board, verdict), "utf-8")
    for member in sweep.members:
        publish_member(bucket, f"{key}/members/{member.name}", folder / "members" / member.name)
    for name in (PAGE, OVERFITTING, "comparison.html", "comparison.txt", PLAN, LEADERBOARD):
        bucket.put(f"{key}/{name}", (folder / name).read_bytes())
    write_index(bucket)
    _mail(plan, folder)
    return bucket.locate(key)


def sweep_folder(sweep_id: str) -> Path:
    """Return the working folder of a sweep."""
    if not sweep_id.isalnum():
        raise ConfigError(f"sweep id {sweep_id!r} is not one of ours")
    return paths.data_dir() / "runs" / "backtests" / sweep_id


def bucket_key(sweep_id: str) -> str:
    """Return where a sweep is published, ``runs/backtests/<sweep_id>``."""
    return f"runs/backtests/{sweep_id}"


def _sweep(params: BackfillParams, lake: Path, inputs: str) -> Sweep:
    config = Path(params.config) if params.config else configured_file()
    overrides = [f"{key}={canonical_json(value)}" for key, value in params.overrides.items()]
    known_at: datetime | None = (
        parse_instant(params.known_at, "known_at") if params.known_at else None
    )
    n_members = 1
    for listed in params.sweep.values():
        n_members *= len(listed)
    if n_members > params.max_runs:
        # Counted before it is expanded: a product of long lists would not fit into memory.
        raise ConfigError(f"sweep: {n_members} members, max_runs is {params.max_runs}")
    members = expand(config, overrides, params.sweep)
    return plan_sweep(members, params.start, params.end, lake, known_at, params.max_runs, inputs)


def _planned(sweep_id: str) -> tuple[Sweep, Path]:
    folder = sweep_folder(sweep_id)
    plan = _plan(folder)
    params = BackfillParams.model_validate(plan["params"])
    pinned = folder / "lake"
    sweep = _sweep(params, pinned if pinned.is_dir() else paths.lake_dir(), plan["inputs"])
    if sweep.sweep_id != sweep_id:
        raise ConfigError(f"sweep {sweep_id}: its configuration changed since the plan; plan again")
    return sweep, folder


def _plan(folder: Path) -> dict[str, Any]:
    try:
        plan: dict[str, Any] = json.loads((folder / PLAN).read_text("utf-8"))
    except OSError as e:
        raise ConfigError(f"{folder}: no plan; run the task plan first") from e
    return plan


def _mail(plan: Mapping[str, Any], folder: Path) -> None:
    recipients = plan["params"]["email_to"]
    if not recipients:
        return
    day = date.fromisoformat(plan["params"]["end"])
    is_synthetic = json.loads((folder / OVERFITTING).read_text("utf-8")).get("is_synthetic")
    mark = "SYNTHETIC " if is_synthetic else ""
    message = Message(
        message_id=f"{plan['sweep_id']}.sweep",
        day=day,
        subject=f"[OK] {mark}backtest {plan['sweep_id']}: {plan['n_members']} members",
        text=(folder / "comparison.txt").read_text("utf-8"),
        html=(folder / "comparison.html").read_text("utf-8"),
        folder="backtests",
    )
    Mailer(recipients).send_once(message)


if __name__ == "__main__":
    sys.exit(run_command(main))
