"""The container files agree with the repository, as far as that can be seen without an engine."""

import json
import re
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

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


def test_a_limit_of_processes_is_said_the_same_twice(services):
    # Compose refuses a file in which the two ways to say it differ.
    for service in services.values():
        limits = service.get("deploy", {}).get("resources", {}).get("limits")
        if limits and "pids_limit" in service:
            assert limits["pids"] == service["pids_limit"]


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
    names = ["api-server", "scheduler", "dag-processor", "triggerer", "worker", "watchdog", "init"]
    for name in names:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_a_reader_cannot_write_the_lake_and_reaches_nobody(services):
    assert all(volume.endswith(":ro") for volume in services["reader"]["volumes"])
    assert services["reader"]["network_mode"] == "none"


def test_databases_and_store_have_no_way_out_and_publish_nothing(services):
    networks = yaml.safe_load(COMPOSE.read_text("utf-8"))["networks"]
    inside = {name for name, network in networks.items() if network and network.get("internal")}

    for name in ("postgres", "redis", "store"):
        assert set(services[name]["networks"]) <= inside
        assert "ports" not in services[name]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_no_container_can_write_what_another_reads_as_its_configuration(services):
    homes = [volume for s in services.values() for volume in s.get("volumes", [])]

    assert not [volume for volume in homes if volume.split(":")[1] == "/opt/airflow"]


def test_the_watchdog_holds_no_secret_of_airflow(services):
    held = services["watchdog"]["environment"]

    assert not [name for name in held if name.startswith("AIRFLOW") or name == "MAM_AIRFLOW_DB"]


def test_no_password_is_on_a_command_line(services):
    for service in services.values():
        assert "PASSWORD}" not in str(service.get("command")) + str(service.get("entrypoint"))


def test_the_image_copies_only_what_exists_and_runs_as_nobody_special():
    text = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    copied = [
        source
        for line in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    # A number: Kubernetes cannot see that a name is not root.
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["50000"]
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


def test_the_image_keeps_the_compiler_out_and_the_rules_of_a_linter():
    text = (ROOT / "docker" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    build, run = re.split(r"^FROM .* AS run$", text, flags=re.MULTILINE)
    installs = re.findall(r"apt-get install(.*?)(?:&&|$)", text, re.MULTILINE)

    assert "build-essential" in build
    assert "apt-get" not in run
    assert "COPY --from=build" in run
    assert "HEALTHCHECK" in run
    assert all("--yes --no-install-recommends" in line for line in installs)
    assert text.count("rm -rf /var/lib/apt/lists/*") == len(installs)
    assert not re.search(
        r"^ADD |curl|wget|sudo|:latest|--trusted-host|index-url", text, re.MULTILINE
    )


def test_what_the_image_bakes_is_where_a_build_looks_for_it():
    bake = (ROOT / "docker" / "bake.py").read_text("utf-8")
    warehouse = (ROOT / "pipelines" / "pipeline_kit" / "warehouse.py").read_text("utf-8")

    assert "docker/bake.py" in (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    assert 'bake_models(ROOT / "baked")' in bake
    assert 'paths.project_root() / "baked" / cached.name' in warehouse


def test_the_s3_extension_of_duckdb_loads_from_its_package():
    run_path(str(ROOT / "docker" / "bake.py"))["load_extension"]()


def test_every_service_that_stays_up_is_watched(services):
    once = {"init", "reader"}
    by_image = {"watchdog"}

    assert {name for name, service in services.items() if "healthcheck" not in service} == (
        once | by_image
    )


def test_images_of_others_have_a_version(services):
    tags = [service["image"].rpartition(":")[2] for service in services.values()]

    assert "latest" not in tags
    assert all(":" in service["image"] for service in services.values())


def test_services_have_only_keys_of_the_compose_specification(services):
    known = (
        "build cap_drop command depends_on deploy entrypoint environment healthcheck image "
        "network_mode networks pids_limit ports profiles read_only restart security_opt tmpfs user "
        "volumes"
    )

    assert {key for service in services.values() for key in service} <= set(known.split())


def test_a_volume_and_a_dependency_that_are_named_are_there(services):
    volumes = yaml.safe_load(COMPOSE.read_text("utf-8"))["volumes"]
    mounted = {v.split(":")[0] for s in services.values() for v in s.get("volumes", [])}
    needed = {name for s in services.values() for name in s.get("depends_on", {})}

    assert mounted == set(volumes)
    assert needed <= set(services)


def test_there_is_an_account_to_look_and_one_to_operate(services):
    script = (ROOT / "docker" / "init.sh").read_text("utf-8")

    assert '{"admin": "Admin", "operator": "Op", "viewer": "Viewer"}' in script
    for name in ("ADMIN", "OPERATOR", "VIEWER"):
        assert f"MAM_AIRFLOW_{name}_PASSWORD" in services["init"]["environment"]
    assert services["api-server"]["environment"]["AIRFLOW__CORE__AUTH_MANAGER"].endswith(
        "FabAuthManager"
    )


def test_the_folder_of_lineage_events_is_made_where_they_are_written(services):
    transport = json.loads(services["worker"]["environment"]["AIRFLOW__OPENLINEAGE__TRANSPORT"])
    folder = transport["log_file_path"].rpartition("/")[0]

    assert f"mkdir --parents {folder}\n" in (ROOT / "docker" / "init.sh").read_text("utf-8")
    for name in ("init", "worker", "scheduler"):
        assert "data:/data" in services[name]["volumes"]


def test_some_worker_takes_every_queue_a_dag_names(services):
    named = {
        queue
        for file in (ROOT / "dags").glob("*.py")
        for queue in re.findall(r'queue="(\w+)"', file.read_text("utf-8"))
    }
    values = yaml.safe_load((ROOT / "docker" / "helm" / "values.yaml").read_text("utf-8"))
    commands = [services["worker"]["command"][-1], values["workers"]["args"][-1].split()[-1]]

    for queues in commands:
        assert set(queues.split(",")) == {"default", *named}


def test_every_worker_imports_once_what_its_tasks_need(services):
    named = services["worker"]["environment"]["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"]
    values = yaml.safe_load((ROOT / "docker" / "helm" / "values.yaml").read_text("utf-8"))
    guest = (ROOT / "docker" / "helm" / "guests.yaml").read_text("utf-8")
    module, _, options = named.rpartition(".")

    assert getattr(import_module(module), options)["imports"] == import_module(module).IMPORTED_ONCE
    assert all(find_spec(name) for name in import_module(module).IMPORTED_ONCE)
    assert values["config"]["celery"]["celery_config_options"] == named
    assert f"value: {named}" in guest


def test_the_chart_gets_every_secret_by_name_and_makes_none():
    values = yaml.safe_load((ROOT / "docker" / "helm" / "values.yaml").read_text("utf-8"))
    text = (ROOT / "docker" / "helm" / "values.yaml").read_text("utf-8")
    named = ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName")

    assert all(values[name] for name in named)
    assert values["data"]["metadataSecretName"]
    assert values["data"]["brokerUrlSecretName"]
    for name in ("postgresql", "redis", "createUserJob"):
        assert values[name]["enabled"] is False
    assert not re.search(r"(?i)(password|fernetKey|jwtSecret|brokerUrl):", text)
    assert values["uid"] == 50000
    assert values["airflowVersion"] in (ROOT / "requirements" / "main.lock").read_text("utf-8")


def test_a_guest_has_no_lake_no_vendor_key_and_no_root():
    guest = yaml.safe_load((ROOT / "docker" / "helm" / "guests.yaml").read_text("utf-8"))
    pod = guest["spec"]["template"]["spec"]
    (worker,) = pod["containers"]

    assert worker["command"][-1] == "members"
    assert [volume["name"] for volume in pod["volumes"] if "emptyDir" in volume] == ["scratch"]
    assert not [entry for entry in worker["env"] if entry["name"].startswith("COIN")]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert worker["securityContext"]["readOnlyRootFilesystem"] is True
    assert (
        guest["spec"]["selector"]["matchLabels"] == guest["spec"]["template"]["metadata"]["labels"]
    )


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
