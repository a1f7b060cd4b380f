"""A run's folder: every file of contract.md section 5, written whole or not at all.

Flow: ``RunTables -> write_run -> folder`` and back with ``read_run``. Formats are fixed here and
nowhere else: CSV with the shortest floats that read back, lower-case booleans and empty nulls;
Parquet with one schema; JSON with sorted keys. No arithmetic happens here.
"""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from majors_alts_monitor.errors import ConfigError, TableContractError
from pipeline_kit.atomic import publish_folder
from pipeline_kit.manifest import readable_json, sha256_file

MANIFEST: Final = "manifest.json"

CSV_COLUMNS: Final = {
    "regime_timeline": (
        "date score_raw score regime days_in_regime high_vol_gate insufficient_data"
    ).split(),
    "bt_equity_curve": "date equity drawdown r_ls_net".split(),
    "bt_daily_pnl": (
        "date window regime score pnl_alts pnl_btc pnl_eth funding_alts funding_majors fees "
        "slippage impact r_ls_gross r_ls_net alt_turnover major_turnover alt_gross major_gross "
        "total_gross net_exposure beta_btc beta_eth regime_scale vol_scale position_scale "
        "rebalanced exit_reason"
    ).split(),
    "regime_metrics": "regime n_days mean_return median_return volatility sharpe pnl_share".split(),
}
PARQUET_COLUMNS: Final = {
    "universe": "date asset_id is_eligible exclusion_reason".split(),
    "bt_decisions": "date asset_id action target_weight".split(),
    "bt_positions": (
        "date asset_id leg weight_open return_1d funding_rate pnl_price pnl_funding weight_target "
        "traded fee slippage impact beta_btc beta_eth stale_price"
    ).split(),
}


@dataclass(frozen=True, slots=True)
class RunTables:
    """Everything a run folder holds, as frames and plain values."""

    tables: Mapping[str, pd.DataFrame]
    """File stem to frame: features_wide, universe, bt_*, regime_*, calibration."""
    kpis: Mapping[str, Any]
    """Empty for a signal, which makes no backtest claim."""
    signal: Mapping[str, Any]
    manifest: Mapping[str, Any]
    pages: Mapping[str, str] = field(default_factory=dict)
    """File name to text, ``dashboard.html`` above all."""


def check_destination(folder: Path) -> None:
    """Raise a ``ConfigError`` unless ``folder`` can be written and holds at most an earlier run."""
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"--out {folder}: {folder if folder.exists() else above} is a file")
    if not os.access(above, os.W_OK):
        raise ConfigError(f"--out {folder}: {above} may not be written to; name another folder")
    stranger = _first_stranger(folder, _paths_of_run(folder)) if folder.exists() else None
    if stranger:
        raise ConfigError(
            f"--out {folder}: holds {stranger.relative_to(folder)}, which is not part of an "
            "earlier run; name an empty folder"
        )


def write_run(folder: Path, run: RunTables) -> dict[str, Any]:
    """Write the run in place of whatever run was there, and return the finished manifest.

    The files are built in a sibling folder and take the name at the end, so ``folder`` never
    holds half a run. ``manifest.json`` lists every other file with its SHA-256.
    """
    check_destination(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    built = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.building")
    built.mkdir()
    try:
        for stem, frame in run.tables.items():
            _write_table(built, stem, frame)
        if run.kpis:
            _write_json(built / "kpis.json", run.kpis)
        _write_json(built / "signals_today.json", run.signal)
        for name, text in run.pages.items():
            (built / name).write_text(text, "utf-8")
        outputs = {
            p.relative_to(built).as_posix(): sha256_file(p)
            for p in sorted(built.rglob("*"))
            if p.is_file()
        }
        manifest = {**run.manifest, "outputs": outputs}
        _write_json(built / MANIFEST, manifest)
        publish_folder(built, folder)
    finally:
        shutil.rmtree(built, ignore_errors=True)
    return manifest


def amend_run(folder: Path, texts: Mapping[str, str]) -> None:
    """Replace text files of a run, and their hashes in its manifest, whole or not at all."""
    manifest = read_manifest(folder)
    built = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.building")
    shutil.copytree(folder, built)
    try:
        for name, text in texts.items():
            (built / name).write_text(text, "utf-8")
            manifest["outputs"][name] = sha256_file(built / name)
        _write_json(built / MANIFEST, manifest)
        publish_folder(built, folder)
    finally:
        shutil.rmtree(built, ignore_errors=True)


def read_run(folder: Path) -> RunTables:
    """Return a run folder as it was written; CSV and Parquet become frames.

    Raises
    ------
    TableContractError
        If ``folder`` is no run.
    """
    manifest = read_manifest(folder)
    tables = {}
    for name in manifest["outputs"]:
        stem, _, suffix = name.rpartition(".")
        if suffix == "csv":
            tables[stem] = pd.read_csv(folder / name, parse_dates=_date_columns(folder / name))
        elif suffix == "parquet":
            tables[stem] = pq.read_table(folder / name).to_pandas()
    return RunTables(
        tables=tables,
        kpis=_read_json(folder / "kpis.json"),
        signal=_read_json(folder / "signals_today.json"),
        manifest=manifest,
        pages={
            name: (folder / name).read_text("utf-8")
            for name in manifest["outputs"]
            if name.endswith(".html")
        },
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return ``manifest.json`` of a run folder, or raise a ``TableContractError``."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        return {**manifest, "outputs": dict(manifest["outputs"]), "run_id": manifest["run_id"]}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise TableContractError(
            f"{folder}: not a run folder ({e}); name one with a {MANIFEST}"
        ) from e


def is_run_of(folder: Path, run_id: str) -> bool:
    """Return whether ``folder`` holds the finished run ``run_id``."""
    try:
        return str(read_manifest(folder)["run_id"]) == run_id
    except TableContractError:
        return False


def csv_text(frame: pd.DataFrame) -> str:
    r"""Return a frame as the contract's CSV.

    Examples
    --------
    >>> csv_text(pd.DataFrame({"x": [0.1, None], "is_up": [True, False]}))
    'x,is_up\n0.1,true\n,false\n'
    """
    written = frame.copy()
    for name, column in frame.items():
        if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
            written[name] = column.dt.strftime("%Y-%m-%d")
        elif column.dtype.kind == "b":
            written[name] = np.where(column, "true", "false")
        elif column.dtype.kind == "f":
            written[name] = column + 0.0  # no negative zero
    buffer = io.StringIO()
    written.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it: undefined is null, numpy becomes Python."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None
    return value


def _paths_of_run(folder: Path) -> set[Path]:
    """Return the files of the run in ``folder`` and the folders they lie in; none if it is none."""
    try:
        files = {folder / name for name in (MANIFEST, *read_manifest(folder)["outputs"])}
    except TableContractError:
        return set()
    return files | {parent for file in files for parent in file.parents}


def _first_stranger(folder: Path, known: Collection[Path]) -> Path | None:
    """Return the first entry of any kind that is not ``known``, links and empty folders too."""
    for entry in sorted(folder.iterdir()):
        is_folder = entry.is_dir() and not entry.is_symlink()
        found = entry if entry not in known else None
        found = _first_stranger(entry, known) if found is None and is_folder else found
        if found is not None:
            return found
    return None


def _read_json(path: Path) -> dict[str, Any]:
    """Return a JSON document; empty where the run has none, as a signal has no KPIs."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return content


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(readable_json(plain(value)), "utf-8")


def _write_table(folder: Path, stem: str, frame: pd.DataFrame) -> None:
    if stem in PARQUET_COLUMNS or stem == "features_wide":
        columns = PARQUET_COLUMNS.get(stem, list(frame.columns))
        pq.write_table(_arrow(frame[columns]), folder / f"{stem}.parquet", compression="zstd")
    else:
        columns = CSV_COLUMNS.get(stem, list(frame.columns))
        (folder / f"{stem}.csv").write_text(csv_text(frame[columns]), "utf-8")


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """Return a table of days, texts, flags and doubles without the writer's own metadata."""
    columns = {}
    for name, column in frame.items():
        if column.dtype.kind == "M":
            columns[str(name)] = pa.array(column.dt.date, pa.date32())
        elif column.dtype.kind == "f":
            columns[str(name)] = pa.array(column + 0.0, pa.float64(), from_pandas=True)
        elif column.dtype.kind == "b":
            columns[str(name)] = pa.array(column, pa.bool_(), from_pandas=True)
        else:
            columns[str(name)] = pa.array(column, pa.string(), from_pandas=True)
    return pa.table(columns)


def _date_columns(path: Path) -> list[str]:
    with path.open("r", encoding="utf-8") as f:
        header = f.readline().strip().split(",")
    return [name for name in header if name == "date" or name.endswith(("_start", "_end", "_from"))]
