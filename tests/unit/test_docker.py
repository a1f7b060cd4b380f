"""The container files agree with the repository, as far as that can be seen without an engine."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
REQUIRED = re.compile(r"\$\{(\w+):\?")
USED = re.compile(r"\$\{(\w+)(?::[-?][^}]*)?\}")


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]


def test_every_component_of_airflow_three_is_there(services):
    wanted = (
        "api-server scheduler dag-processor triggerer worker postgres redis store mail watchdog"
    )

    assert set(wanted.split()) <= set(services)
    assert services["worker"]["deploy"]["replicas"] == 2


def test_every_secret_is_required_and_none_has_a_default():
    text = COMPOSE.read_text("utf-8")
    secret = {name for name in USED.findall(text) if re.search(r"PASSWORD|SECRET|FERNET|S3_", name)}

    assert secret == set(REQUIRED.findall(text))
    assert not re.search(r"\$\{\w*(PASSWORD|SECRET|FERNET|S3_)\w*:-", text)


def test_every_variable_is_named_in_the_example():
    listed = (ROOT / ".env.example").read_text("utf-8")

    assert [name for name in USED.findall(COMPOSE.read_text("utf-8")) if name not in listed] == []


def test_ports_are_published_on_loopback_only(services):
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_vendor_keys_reach_the_workers_alone(services):
    holders = [
        name
        for name, service in services.items()
        if "COINGLASS_API_KEY" in (service.get("environment") or {})
    ]

    assert holders == ["worker"]


def test_our_containers_are_read_only_and_have_no_capabilities(services):
    names = ["api-server", "scheduler", "dag-processor", "triggerer", "worker", "watchdog"]
    for name in names:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_a_reader_cannot_write_the_lake(services):
    assert all(volume.endswith(":ro") for volume in services["reader"]["volumes"])


def test_the_image_copies_only_what_exists_and_runs_as_nobody_special():
    text = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    copied = [
        source
        for line in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["mam"]
    assert "--require-hashes" in text


def test_the_build_context_holds_no_secret_and_no_data():
    allowed = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    ]  # fmt: skip

    assert "*" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert not {"!.env", "!data", "!.airflow"} & set(allowed)


def test_every_pool_a_dag_names_is_made():
    made = set(json.loads((ROOT / "docker" / "pools.json").read_text("utf-8")))
    named = {
        pool
        for file in (ROOT / "dags").glob("*.py")
        for pool in re.findall(r'pool="(\w+)"', file.read_text("utf-8"))
    }

    assert named == made


def test_compose_renders_where_there_is_compose(tmp_path):
    """Where there is no engine the YAML is at least complete: no alias and no merge is left."""
    docker = shutil.which("docker")
    if docker and not subprocess.run([docker, "compose", "version"], check=False).returncode:
        secrets = REQUIRED.findall(COMPOSE.read_text("utf-8"))
        (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in secrets))
        command = [docker, "compose", "--env-file", str(tmp_path / ".env"), "-f", str(COMPOSE)]
        assert subprocess.run([*command, "config", "--quiet"], check=False).returncode == 0
    rendered = yaml.safe_dump(yaml.safe_load(COMPOSE.read_text("utf-8")), sort_keys=True)
    assert "<<" not in rendered
