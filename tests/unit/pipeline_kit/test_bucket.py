"""The bucket behaves the same on a folder and on S3."""

import errno
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from pipeline_kit.bucket import Bucket, BucketError
from pipeline_kit.errors import UsageProblem

AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def s3_address():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def uri(request, tmp_path, monkeypatch):
    if request.param == "file":
        return f"file://{tmp_path / 'bucket'}"
    address = request.getfixturevalue("s3_address")
    for name, value in (AWS | {"AWS_ENDPOINT_URL": address}).items():
        monkeypatch.setenv(name, value)
    name = f"b{abs(hash(tmp_path)) % 10**10}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/team"


def test_what_is_put_is_got_and_listed(uri):
    bucket = Bucket(uri)

    bucket.put("runs/a/one.txt", b"1")
    bucket.put("runs/b/two.txt", b"2")
    bucket.put("runs/a/one.txt", b"one")

    assert bucket.get("runs/a/one.txt") == b"one"
    assert bucket.get("runs/a/none.txt") is None
    assert list(bucket.keys("runs")) == ["runs/a/one.txt", "runs/b/two.txt"]
    assert list(bucket.keys("nothing")) == []


def test_a_folder_is_published_with_its_manifest_last(uri, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    (folder / "charts").mkdir(parents=True)
    for name in ("manifest.json", "kpis.json", "charts/z.png"):
        (folder / name).write_text(name)
    order = []
    put = Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda *a: (order.append(a[1]), put(*a)))

    Bucket(uri).put_folder("runs/x", folder)

    assert order == ["runs/x/charts/z.png", "runs/x/kpis.json", "runs/x/manifest.json"]


def test_the_pointer_never_goes_back(uri):
    bucket = Bucket(uri)

    assert bucket.advance("latest/daily.json", {"n": 1}, "2024-01-02")
    assert not bucket.advance("latest/daily.json", {"n": 2}, "2024-01-01")
    assert bucket.advance("latest/daily.json", {"n": 3}, "2024-01-02")
    assert bucket.advance("latest/daily.json", {"n": 4}, "2024-01-03")
    assert json.loads(bucket.get("latest/daily.json")) == {"asof": "2024-01-03", "n": 4}


def test_of_writers_at_once_one_puts_what_is_new(uri):
    barrier = threading.Barrier(5)

    def put_new(number):
        bucket = Bucket(uri)
        barrier.wait()
        return bucket.put_new("alerts/x", str(number).encode())

    with ThreadPoolExecutor(5) as pool:
        won = list(pool.map(put_new, range(5)))

    assert won.count(True) == 1
    assert Bucket(uri).get("alerts/x") == str(won.index(True)).encode()


def test_writers_at_once_leave_the_latest_day(uri):
    days = [f"2024-01-{day:02d}" for day in (3, 5, 1, 4, 2)]
    barrier = threading.Barrier(len(days))

    def advance(day):
        bucket = Bucket(uri)
        barrier.wait()
        return bucket.advance("latest/daily.json", {}, day)

    with ThreadPoolExecutor(len(days)) as pool:
        list(pool.map(advance, days))

    assert json.loads(Bucket(uri).get("latest/daily.json"))["asof"] == "2024-01-05"


@pytest.mark.parametrize("key", ["/etc/passwd", "../x", "a/../../x", "a//b", ""])
def test_no_key_leaves_its_folder(uri, key):
    with pytest.raises(UsageProblem, match="leaves its folder"):
        Bucket(uri).put(key, b"")


def test_an_unknown_scheme_is_a_usage_problem():
    with pytest.raises(UsageProblem, match="file:// or s3://"):
        Bucket("ftp://host/x")


def test_a_store_that_refuses_is_one_error_of_ours(uri, tmp_path):
    if uri.startswith("file"):
        (tmp_path / "bucket").write_text("a file where the folder should be")
        broken = Bucket(uri)
    else:
        broken = Bucket("s3://no-such-bucket/team")

    with pytest.raises(BucketError, match="cannot"):
        broken.put("a/b", b"")
    with pytest.raises(BucketError, match="cannot"):
        broken.advance("latest/daily.json", {}, "2024-01-01")


def test_a_store_out_of_reach_is_one_error_of_ours(monkeypatch):
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (AWS | nowhere).items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    bucket = Bucket("s3://far-away")
    asked = {
        "put": lambda: bucket.put("a", b""),
        "put_new": lambda: bucket.put_new("a", b""),
        "get": lambda: bucket.get("a"),
        "keys": lambda: list(bucket.keys("a")),
        "advance": lambda: bucket.advance("a", {}, "2024-01-01"),
    }

    for ask in asked.values():
        with pytest.raises(BucketError, match=r"cannot (write|read|list) a.*127\.0\.0\.1:9"):
            ask()
    S3FileSystem.clear_instance_cache()


def test_a_read_only_file_system_is_one_error_of_ours(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("pipeline_kit.bucket.atomic.write_bytes", refuse)

    with pytest.raises(BucketError, match=r"cannot write a: .*Read-only.*check rights and space"):
        Bucket(f"file://{tmp_path}").put("a", b"")
