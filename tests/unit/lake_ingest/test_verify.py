"""Whatever is changed in a sealed lake, verify finds it."""

import gzip
import json
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from lake_ingest import verify
from lake_ingest.bronze import Answer, Archive
from lake_ingest.datasets import parquet_schema
from lake_ingest.errors import SealError
from lake_ingest.seal import ASKED, Snapshot, seal
from lake_ingest.staging import ASKED_SCHEMA
from lake_ingest.verify import verify_bronze, verify_lake
from pipeline_kit.cli import run_command
from pipeline_kit.contract import REQUIRED, TABLES
from pipeline_kit.errors import LakeContractError
from pipeline_kit.paths import bronze_dir, lake_dir


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))


def rows(name: str, **changed: object) -> pa.Table:
    frame = pd.DataFrame(
        {
            "asset_id": ["BTC", "ETH"],
            "date": [pd.Timestamp("2024-01-01").date()] * 2,
            str(TABLES[name].value): [1.0, 2.0],
            "source": "binance",
            "known_at": pd.Timestamp("2024-01-02 00:50"),
            "known_basis": "observed",
            **changed,
        }
    )
    schema = pa.schema([field.with_nullable(True) for field in parquet_schema(TABLES[name])])
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def sealed(**changed: object):
    return seal(
        lake_dir(),
        Snapshot(),
        appended={name: rows(name, **changed) for name in REQUIRED},
        replaced={ASKED: ASKED_SCHEMA.empty_table()},
        sealed_at=datetime(2024, 1, 3, tzinfo=UTC),
        is_synthetic=False,
    )


def test_a_whole_lake_is_described(capsys):
    snapshot = sealed()

    assert run_command(verify.main, []) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fact_price: 2 rows in 1 files"
    assert lines[-1] == (
        f"snapshot {snapshot.snapshot_id} is whole: 2024-01-01 to 2024-01-01, 0.0% assumed"
    )


def test_a_lake_that_was_never_sealed_is_exit_1(capsys):
    assert run_command(verify.main, []) == 1
    assert "nothing was sealed here yet" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*REQUIRED, ASKED])
def test_one_flipped_bit_is_found(name):
    (path,) = sealed().files(lake_dir(), name)
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(bytes(content))

    with pytest.raises(SealError, match=f"{name}/part-000001-.*was changed"):
        verify_lake(lake_dir())


def test_a_missing_and_a_stray_file_are_found():
    (path,) = sealed().files(lake_dir(), "fact_price")

    path.rename(path.with_name("mine.parquet"))

    with pytest.raises(SealError, match=r"is missing \(and 1 more\)"):
        verify_lake(lake_dir())


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("rows", 3, "the manifest says 3 rows"),
        ("columns", {}, "not the manifest's rows or columns"),
    ],
)
def test_an_edited_manifest_is_found(key, value, text):
    sealed()
    path = lake_dir() / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["tables"]["fact_volume"][key] = value
    path.write_text(json.dumps(manifest))

    with pytest.raises(SealError, match="do not give its snapshot_id"):
        verify_lake(lake_dir())
    problems = [*verify._manifest_problems(verify.read_snapshot(lake_dir()))]
    problems += verify._file_problems(lake_dir(), verify.read_snapshot(lake_dir()))
    assert any(text in problem for problem in problems)


def test_a_broken_contract_and_missing_knowledge_are_found(tmp_path, monkeypatch):
    sealed(asset_id=["BTC", "BTC"])
    with pytest.raises(LakeContractError, match="2 rows share the same key"):
        verify_lake(lake_dir())

    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "other"))
    sealed(known_basis=[None, "observed"])
    with pytest.raises(SealError, match="1 rows without known_at or known_basis"):
        verify_lake(lake_dir())


def archive_two_answers():
    archive = Archive(bronze_dir(), "run")
    for body in (b'{"code":"0"}', b"\xff\xfe"):
        archive.append(
            Answer(
                vendor="binance",
                path="/x",
                params={},
                status=200,
                headers={},
                body=body,
                fetched_at=datetime(2024, 1, 2, tzinfo=UTC),
            )
        )
    archive.close()
    (path,) = bronze_dir().rglob("*.jsonl.gz")
    return path


def test_archived_answers_are_counted_and_a_torn_end_is_no_fault():
    path = archive_two_answers()
    assert verify_bronze(bronze_dir()) == (2, 0)

    path.write_bytes(path.read_bytes()[:-5])

    assert verify_bronze(bronze_dir()) == (1, 1)


def test_a_changed_answer_is_found():
    path = archive_two_answers()
    line = gzip.decompress(path.read_bytes()).replace(b'\\"0\\"', b'\\"1\\"')
    first, _, second = line.partition(b"\n")
    path.write_bytes(gzip.compress(first + b"\n") + gzip.compress(second))
    with pytest.raises(SealError, match="is not the one that was archived"):
        verify_bronze(bronze_dir())

    damaged = bytearray(gzip.compress(first + b"\n"))
    damaged[-6] ^= 1  # its checksum
    path.write_bytes(bytes(damaged))
    with pytest.raises(SealError, match="damaged"):
        verify_bronze(bronze_dir())
