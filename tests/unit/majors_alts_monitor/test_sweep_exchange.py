"""A sweep between workers that share a bucket and no disk."""

import json

import pytest

from majors_alts_monitor import outputs
from majors_alts_monitor.errors import ConfigError, TableContractError
from majors_alts_monitor.sweep_exchange import (
    fetch_members,
    fetch_plan,
    offer_plan,
    publish_member,
)
from pipeline_kit.bucket import Bucket, BucketError
from pipeline_kit.lake_mirror import pull, push
from pipeline_kit.manifest import sha256_file

KEY = "runs/backtests/0123"


class SharedBucket(Bucket):
    """A folder that stands for a store both workers reach."""

    is_shared = True


@pytest.fixture
def bucket(tmp_path):
    return SharedBucket(f"file://{tmp_path / 'bucket'}")


def seal(lake, **contents):
    """Write a sealed lake of small part files."""
    tables = {}
    for name, content in contents.items():
        part = lake / name / f"part-000001-{content}.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(content)
        path = part.relative_to(lake).as_posix()
        tables[name] = {"files": [{"path": path, "sha256": sha256_file(part)}]}
    (lake / "manifest.json").write_text(json.dumps({"snapshot_id": "s", "tables": tables}))
    return lake


def run_folder(folder, run_id="r", **texts):
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    hashes = {path.name: sha256_file(path) for path in folder.iterdir()}
    (folder / "manifest.json").write_text(json.dumps({"run_id": run_id, "outputs": hashes}))
    return folder


def test_a_lake_pulled_elsewhere_has_the_same_files(tmp_path, bucket):
    lake = seal(tmp_path / "lake", fact_price="aaaa", fact_volume="bbbb")

    push(lake, bucket, "here/lake.json")
    pulled = pull(bucket, "here/lake.json", tmp_path / "elsewhere")

    assert (pulled / "fact_price/part-000001-aaaa.parquet").read_text() == "aaaa"
    assert json.loads((pulled / "manifest.json").read_text()) == json.loads(
        (lake / "manifest.json").read_text()
    )


def test_two_snapshots_share_their_part_files(tmp_path, bucket):
    push(seal(tmp_path / "a", fact_price="aaaa"), bucket, "a.json")
    sent = []
    bucket.put = lambda key, content: sent.append(key)

    push(seal(tmp_path / "b", fact_price="aaaa", fact_volume="bbbb"), bucket, "b.json")

    assert sent == ["lake/fact_volume/part-000001-bbbb.parquet", "b.json"]


@pytest.mark.parametrize(("content", "words"), [(b"other", "was changed"), (None, "is missing")])
def test_a_part_that_is_not_what_was_sealed_is_refused(tmp_path, bucket, content, words):
    push(seal(tmp_path / "lake", fact_price="aaaa"), bucket, "lake.json")
    part = tmp_path / "bucket" / "lake" / "fact_price" / "part-000001-aaaa.parquet"
    part.write_bytes(content) if content else part.unlink()

    with pytest.raises(BucketError, match=words):
        pull(bucket, "lake.json", tmp_path / "elsewhere")

    assert not (tmp_path / "elsewhere" / "manifest.json").exists()


def test_a_guest_gets_plan_and_lake_from_the_bucket(tmp_path, bucket):
    home = tmp_path / "home"
    seal(home / "lake", fact_price="aaaa")
    (home / "plan.json").write_text("{}")

    offer_plan(bucket, KEY, home)
    fetch_plan(bucket, KEY, tmp_path / "guest")

    assert (tmp_path / "guest" / "plan.json").read_text() == "{}"
    assert (tmp_path / "guest" / "lake" / "manifest.json").is_file()


def test_without_a_plan_anywhere_the_remedy_is_named(tmp_path, bucket):
    with pytest.raises(ConfigError, match="run the task plan first"):
        fetch_plan(bucket, KEY, tmp_path / "guest")


def test_only_changed_files_are_put_and_the_manifest_last(tmp_path, bucket):
    publish_member(bucket, KEY, run_folder(tmp_path / "run", kpis="1", curve="2"))
    outputs.amend_run(tmp_path / "run", {"kpis.csv": "3"})
    sent = []
    bucket.put = lambda key, content: sent.append(key)

    publish_member(bucket, KEY, tmp_path / "run")

    assert sent == [f"{KEY}/kpis.csv", f"{KEY}/manifest.json"]


def test_members_of_other_workers_come_back_whole(tmp_path, bucket):
    plan = {"members": [{"name": "a", "run_id": "r"}]}
    publish_member(bucket, f"{KEY}/members/a", run_folder(tmp_path / "run", kpis="1"))

    fetch_members(bucket, KEY, tmp_path / "home", plan)

    assert (tmp_path / "home" / "members" / "a" / "kpis.csv").read_text() == "1"


def test_a_member_of_other_code_is_refused(tmp_path, bucket):
    plan = {"members": [{"name": "a", "run_id": "r"}]}
    run = run_folder(tmp_path / "run", run_id="of-other-code", kpis="1")
    publish_member(bucket, f"{KEY}/members/a", run)

    with pytest.raises(TableContractError, match="every worker has the same code, then clear"):
        fetch_members(bucket, KEY, tmp_path / "home", plan)


def test_an_amended_run_lists_the_hash_of_what_it_holds(tmp_path):
    folder = run_folder(tmp_path / "run", kpis="1", curve="2")

    outputs.amend_run(folder, {"kpis.csv": "3"})

    manifest = outputs.read_manifest(folder)
    held = {name: sha256_file(folder / name) for name in ("kpis.csv", "curve.csv")}
    assert manifest["outputs"] == held
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
