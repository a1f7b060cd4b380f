"""A snapshot is sealed whole or not at all, whatever moment the process dies at."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_ingest.datasets import parquet_schema
from lake_ingest.errors import SealError
from lake_ingest.seal import ASKED, Snapshot, clean, read_snapshot, seal, writer_lock
from pipeline_kit.contract import TABLES
from pipeline_kit.lake import find_tables

NOW = datetime(2024, 2, 1, tzinfo=UTC)


def prices(value: float, asset: str = "BTC") -> pa.Table:
    frame = pd.DataFrame(
        {
            "asset_id": [asset],
            "date": [pd.Timestamp("2024-01-01").date()],
            "close": [value],
            "source": ["binance"],
            "known_at": [pd.Timestamp("2024-01-02 00:50")],
            "known_basis": ["observed"],
        }
    )
    return pa.Table.from_pandas(frame, parquet_schema(TABLES["fact_price"]), preserve_index=False)


def put(lake, snapshot=None, appended=None, replaced=None, now=NOW):
    return seal(
        lake,
        read_snapshot(lake) if snapshot is None else snapshot,
        appended=appended or {},
        replaced=replaced or {},
        sealed_at=now,
        is_synthetic=False,
    )


def files(lake) -> list[str]:
    return sorted(p.relative_to(lake).as_posix() for p in lake.rglob("*.parquet"))


def test_a_commit_appends_a_part_and_keeps_the_others(tmp_path):
    first = put(tmp_path, appended={"fact_price": prices(1.0)})
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    second = put(tmp_path, appended={"fact_price": prices(2.0, "ETH")})

    assert second.sequence == 2
    assert second.snapshot_id != first.snapshot_id
    assert second.tables["fact_price"]["rows"] == 2
    assert len(files(tmp_path)) == 2
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    assert find_tables(tmp_path, verify=True)["fact_price"] == second.files(tmp_path, "fact_price")


def test_globbing_the_folder_gives_exactly_the_manifest(tmp_path):
    put(tmp_path, appended={"fact_price": prices(1.0)})
    put(tmp_path, replaced={"fact_price": prices(1.0)})

    sealed = read_snapshot(tmp_path)

    assert files(tmp_path) == [f["path"] for f in sealed.tables["fact_price"]["files"]]


def test_the_snapshot_is_named_by_its_content(tmp_path):
    one = put(tmp_path / "a", appended={"fact_price": prices(1.0)})
    other = put(tmp_path / "b", appended={"fact_price": prices(1.0)}, now=NOW + timedelta(days=1))

    assert one.snapshot_id == other.snapshot_id
    assert one.sealed_at != other.sealed_at


def test_a_record_beside_the_tables_does_not_change_the_snapshot(tmp_path):
    sealed = put(tmp_path, appended={"fact_price": prices(1.0)})

    recorded = put(tmp_path, replaced={ASKED: pa.table({"x": [1]})}, now=NOW + timedelta(days=1))

    assert (recorded.snapshot_id, recorded.sealed_at) == (sealed.snapshot_id, sealed.sealed_at)
    assert list(recorded.records) == [ASKED]
    assert list(find_tables(tmp_path)) == ["fact_price"]


def test_a_table_never_shrinks(tmp_path):
    put(tmp_path, appended={"fact_price": pa.concat_tables([prices(1.0), prices(2.0, "ETH")])})
    before = (tmp_path / "manifest.json").read_bytes()

    with pytest.raises(SealError, match="1 rows would take the place of 2"):
        put(tmp_path, replaced={"fact_price": prices(1.0)})

    assert (tmp_path / "manifest.json").read_bytes() == before


def test_the_second_writer_is_refused(tmp_path):
    with writer_lock(tmp_path), pytest.raises(SealError, match="another process"):  # noqa: SIM117
        with writer_lock(tmp_path):
            pass


def test_a_lake_that_no_manifest_lists_is_never_cleaned_away(tmp_path):
    (tmp_path / "fact_price").mkdir()
    theirs = tmp_path / "fact_price" / "2024.parquet"
    theirs.write_bytes(b"theirs")

    with pytest.raises(SealError, match="import_lake"):
        clean(tmp_path, Snapshot())

    assert theirs.read_bytes() == b"theirs"


def test_a_full_disk_leaves_the_old_snapshot(tmp_path, monkeypatch):
    put(tmp_path, appended={"fact_price": prices(1.0)})
    before = (tmp_path / "manifest.json").read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SealError, match="No space left on device"):
        put(tmp_path, appended={"fact_price": prices(2.0, "ETH")})
    monkeypatch.undo()

    assert (tmp_path / "manifest.json").read_bytes() == before
    find_tables(tmp_path, verify=True)


# For n = 1, 2, ... a child dies by SIGKILL right before the n-th fsync, rename or unlink of its
# commit into lake n; the first child that survives is the last. Prints every exit status.
KILLED_COMMITS = """
    import os, signal, sys
    from datetime import UTC, datetime
    from pathlib import Path
    import pyarrow.parquet as pq
    from lake_ingest.seal import clean, read_snapshot, seal, writer_lock

    def deadly(call, fatal, counter=[0]):
        def wrapped(*args, **kwargs):
            counter[0] += 1
            if counter[0] == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return wrapped

    def commit(lake, fatal):
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, deadly(getattr(os, name), fatal))
        with writer_lock(lake):
            snapshot = read_snapshot(lake)
            clean(lake, snapshot)
            rows = pq.ParquetFile(root / "extra.parquet").read(use_threads=False)
            seal(lake, snapshot, appended={"fact_price": rows}, replaced={"fact_volume": rows},
                 sealed_at=datetime(2024, 3, 1, tzinfo=UTC), is_synthetic=False)

    root = Path(sys.argv[1])
    for fatal in range(1, 30):
        child = os.fork()
        if child == 0:
            commit(root / f"lake{fatal}", fatal)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        print(status, flush=True)
        if status == 0:
            break
"""


@pytest.mark.chaos
def test_killed_at_any_point_the_lake_is_the_old_or_the_new_one(tmp_path):
    pq.write_table(prices(2.0, "ETH"), tmp_path / "extra.parquet")
    old = {
        fatal: put(
            tmp_path / f"lake{fatal}",
            appended={"fact_price": prices(1.0), "fact_volume": prices(1.0)},
        )
        for fatal in range(1, 30)
    }

    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED_COMMITS), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )

    statuses = [int(line) for line in ran.stdout.split()]
    assert statuses == [signal.SIGKILL] * (len(statuses) - 1) + [0]
    outcomes = []
    for fatal in range(1, len(statuses) + 1):
        lake = tmp_path / f"lake{fatal}"
        seen = read_snapshot(lake)
        find_tables(lake, verify=True)
        outcomes.append("old" if seen == old[fatal] else "new")
        after = put(lake, seen, appended={"fact_price": prices(3.0, "SOL")})
        listed = [f["path"] for entry in after.tables.values() for f in entry["files"]]
        assert files(lake) == sorted(listed)
    # Two parts and the manifest, each with fsync, rename and fsync; then the old part goes.
    assert outcomes == ["old"] * outcomes.count("old") + ["new"] * outcomes.count("new")
    assert outcomes.count("old") >= 8
    assert outcomes.count("new") >= 2
