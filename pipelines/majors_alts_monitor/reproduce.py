"""Rebuild a run from its manifest and compare every artefact, byte for byte.

``python -m majors_alts_monitor.reproduce RUN_DIR [--data-lake DIR]``. Exit 0 when everything is
identical; 1 when a file differs, and then the first cause is named: other inputs, another lock,
other code.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from majors_alts_monitor import outputs
from majors_alts_monitor.config import build_config
from majors_alts_monitor.data_io import open_lake
from majors_alts_monitor.errors import ReproductionError
from majors_alts_monitor.recorded_lake import remembered
from majors_alts_monitor.run import Request, code_version, run_backtest
from majors_alts_monitor.signals import write_signal
from pipeline_kit import paths
from pipeline_kit.calendar import parse_day, parse_instant
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.manifest import sha256_file


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m majors_alts_monitor.reproduce", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="a run folder")
    parser.add_argument(
        "--data-lake", type=Path, help="the lake it was run on; default: as recorded"
    )
    flags = parser.parse_args(argv)
    manifest = outputs.read_manifest(flags.run_dir)
    lake = flags.data_lake or remembered(str(manifest["run_id"]))
    verdicts = reproduce(flags.run_dir, lake)
    for name, is_identical in sorted(verdicts.items()):
        sys.stdout.write(f"{'identical' if is_identical else 'DIFFERENT'}  {name}\n")
    different = sorted(name for name, is_identical in verdicts.items() if not is_identical)
    if different:
        raise ReproductionError(
            f"{flags.run_dir}: {len(different)} of {len(verdicts)} files differ, first "
            f"{different[0]}; {cause(manifest, lake)}"
        )


def reproduce(run_dir: Path, lake: Path) -> dict[str, bool]:
    """Return for every file of the run whether a rebuild gives the same bytes.

    Raises
    ------
    TableContractError
        If ``run_dir`` is no run.
    """
    manifest = outputs.read_manifest(run_dir)
    work = Path(tempfile.mkdtemp(prefix="reproduce."))
    try:
        request = request_from(manifest, lake, work / "run")
        rebuilt = (
            write_signal(request)[0] if request.command == "signals" else run_backtest(request)
        )
        fresh = outputs.read_manifest(rebuilt)["outputs"]
        recorded = manifest["outputs"]
        return {
            name: _is_intact(run_dir / name, recorded.get(name)) and recorded[name] == fresh[name]
            if name in recorded and name in fresh
            else False
            for name in recorded | fresh
        }
    finally:
        shutil.rmtree(work, ignore_errors=True)


def request_from(manifest: Mapping[str, Any], lake: Path, out: Path) -> Request:
    """Return the request that a manifest records."""
    words, known_at = manifest["command"], manifest["known_at"]
    return Request(
        command=words["name"],
        start=parse_day(words["start"], "start"),
        end=parse_day(words["end"], "end"),
        config=build_config(manifest["config"], "manifest.json"),
        lake=lake,
        out=out,
        known_at=parse_instant(known_at, "known_at") if known_at else None,
    )


def cause(manifest: Mapping[str, Any], lake: Path) -> str:
    """Return the first thing that is not what the manifest records."""
    changed = other_inputs(manifest, lake)
    if changed:
        return f"input {changed[0]} has other content; name the lake of the run with --data-lake"
    if manifest["lock_sha256"] != sha256_file(paths.lock_file()):
        return "the environment has another lock; check out the run's commit"
    if manifest["code_version"] != code_version():
        return "the code has changed; check out the run's commit"
    return "same inputs, lock and code: the recorded file was altered, or the run is not pure"


def other_inputs(manifest: Mapping[str, Any], lake: Path) -> list[str]:
    """Return the tables of a lake that are not what the run of the manifest read."""
    now = open_lake(lake).facts.content_sha256
    then = {name: entry["sha256"] for name, entry in manifest["inputs"].items()}
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _is_intact(path: Path, sha256: str | None) -> bool:
    return path.is_file() and sha256_file(path) == sha256


if __name__ == "__main__":
    sys.exit(run_command(main))
