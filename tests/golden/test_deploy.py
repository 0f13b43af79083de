"""What is deployed: the compose file, the image, the manifests of a cluster.

None of it can be started on every machine, so each part is held against what the code says: the
commands take their settings, the topics have the right names, the image's commands install.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.events.topics import TopicSettings, topics
from headrace_lab.api import ApiClient
from headrace_lab.borrow import borrowed_lab

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ("rollout-controller", "traffic-router", "analysis-runner")
ALL_IN_ONE = "headrace-all-in-one"
OVERLAYS = (
    "base",
    "base/all-in-one",
    "overlays/dev",
    "overlays/prod",
)
NOBODY = 65534


@dataclass(frozen=True)
class Stage:
    """One build stage of the Dockerfile, with what it takes over from its base."""

    base: str
    lines: tuple[tuple[str, str], ...]


def dockerfile() -> Mapping[str, Stage]:
    """The stages of the Dockerfile by name; the last one, which chooses, is ``."""
    stages: dict[str, Stage] = {}
    name, base, lines = "", "", list[tuple[str, str]]()
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            stages[name] = Stage(base, tuple(lines))
            base, _, name = rest.partition(" AS ")
            lines = []
        else:
            lines.append((keyword, rest))
    stages[name] = Stage(base, tuple(lines))
    return stages


def entrypoint(service: str) -> list[str]:
    """The command of a service's image, by this Python."""
    (command,) = (rest for keyword, rest in dockerfile()[service].lines if keyword == "ENTRYPOINT")
    words = yaml.safe_load(command)
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


def compose() -> dict[str, Any]:
    text = (ROOT / "docker-compose.yml").read_text()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def settings(command: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """What `--check-config` prints for an environment with nothing else of ours in it."""
    return _settings(tuple(command), tuple(sorted(environment.items())))


@cache
def _settings(command: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE")}
    result = subprocess.run(
        [*command, "--check-config"],
        env={**clean, **dict(environment)},
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert result.returncode == 0, result.stderr
    printed: dict[str, Any] = yaml.safe_load(result.stdout)
    return printed


def compose_settings(service: str) -> dict[str, Any]:
    found = compose()["services"][service]
    assert found["build"]["args"]["SERVICE"] == service
    return settings(entrypoint(service) + found.get("command", []), found["environment"])


@pytest.mark.parametrize("service", SERVICES)
def test_compose_starts_each_service_with_settings_that_it_takes(service: str) -> None:
    found = compose_settings(service)
    kafka = compose()["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert [f"PLAINTEXT://{server}" for server in found["bootstrap-servers"]] == [kafka]
    mounts = [mount.rsplit(":", 2)[1] for mount in compose()["services"][service]["volumes"]]
    assert found["kubeconfig"] in mounts


def test_compose_gives_every_process_of_the_machine_ports_of_its_own() -> None:
    found = [compose_settings(service) for service in SERVICES]
    ports = [each[name] for each in found for name in ("health-port", "metrics-port")]
    assert len(set(ports)) == len(ports)
    scraped = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    targets = scraped["scrape_configs"][0]["static_configs"]
    assert {target["labels"]["service"]: target["targets"] for target in targets} == {
        service: [f"127.0.0.1:{each['metrics-port']}"]
        for service, each in zip(SERVICES, found, strict=True)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_the_topics_of_compose_are_those_that_are_published(service: str) -> None:
    found = compose_settings(service)
    wanted = topics(
        TopicSettings(
            cluster=found["cluster-name"],
            instance_id=found["instance-id"],
            prefix=found["topic-prefix"],
            partitions=found["partitions"],
            retention_seconds=found["topic-retention-seconds"],
        )
    )
    published = list(yaml.safe_load_all((DEPLOY / "kafka" / "topics.yaml").read_text()))
    assert {
        (each["spec"]["topicName"], each["spec"]["partitions"]): int(
            each["spec"]["config"]["retention.ms"]
        )
        for each in published
        if each
    } == {
        (topic.name, topic.partitions): topic.retention_seconds * 1000
        for owned in wanted.all()
        for topic in (owned, owned.dead_letters)
    }


# The image


def test_the_image_of_a_service_is_chosen_by_its_name() -> None:
    stages = dockerfile()
    assert {*SERVICES, "all-in-one"} <= set(stages)
    assert "ARG SERVICE=all-in-one" in (DEPLOY / "Dockerfile").read_text()
    assert stages[""].base == "${SERVICE}"


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = [rest for keyword, rest in dockerfile()["runtime"].lines if keyword == "USER"]
    assert len(users) == 1
    assert users[0].split(":")[0].isdigit()
    assert users[0].split(":")[0] != "0"
    assert not any(
        keyword == "USER" for name in SERVICES for keyword, _ in dockerfile()[name].lines
    )


def test_the_image_has_the_locked_versions() -> None:
    """What an image gets is the part of the lock file that the services need."""
    locked, runtime = (_pins(f"requirements/{name}.txt") for name in ("lock", "runtime"))
    assert runtime.items() <= locked.items()
    wanted = re.findall(
        r'^  "([A-Za-z0-9-]+)>=',
        (ROOT / "pyproject.toml").read_text().split("[project.opt")[0],
        re.M,
    )
    assert {name.lower() for name in wanted} <= set(runtime)


def _pins(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith(" "))
    return {name.split("[")[0].lower(): version for name, version in pairs}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach: each run of pytest closes its own again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.lab
@pytest.mark.timeout(400)
def test_the_commands_of_the_image_install_as_an_unprivileged_user(open_folder: Path) -> None:
    """Run the build stage in an empty folder, with a virtual environment of its own."""
    context, target = open_folder / "build", open_folder / "headrace"
    context.mkdir()
    commands = []
    for keyword, rest in dockerfile()["build"].lines:
        if keyword == "COPY":
            *sources, destination = shlex.split(rest)
            for source in sources:
                _copy(ROOT / source, context / destination)
        elif keyword == "RUN":
            commands.append(rest.replace("/opt/headrace", str(target)))
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        for path in (open_folder, *open_folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    environment = {**os.environ, "HOME": str(open_folder), "TMPDIR": str(open_folder)}
    environment.pop("VIRTUAL_ENV", None)
    environment["PIP_NO_COMPILE"] = "1"  # half of the time, and of the files
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=context, env=environment, **identity)
    for service in (*SERVICES, "all-in-one"):
        version = [str(target / "bin" / "python"), *entrypoint(service)[1:], "--version"]
        result = subprocess.run(
            version, check=True, cwd="/", env=environment, capture_output=True, **identity
        )
        assert result.stdout.strip()


def _copy(source: Path, destination: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, destination, ignore=shutil.ignore_patterns("__pycache__"))
    elif destination.suffix or destination.is_file():
        shutil.copy(source, destination)
    else:
        destination.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, destination / source.name)


# The manifests of a cluster


def built(folder: str) -> list[dict[str, Any]]:
    """The manifests that a kustomization leads to; what is generated or patched is left out."""
    found: list[dict[str, Any]] = []
    here = DEPLOY / folder
    kustomization = yaml.safe_load((here / "kustomization.yaml").read_text())
    for resource in kustomization.get("resources", ()):
        path = (here / resource).resolve()
        if path.is_dir():
            found += built(os.path.relpath(path, DEPLOY))
        else:
            found += [each for each in yaml.safe_load_all(path.read_text()) if each]
    return found


def config_maps(folder: str) -> dict[str, dict[str, str]]:
    """The literals of the generated ConfigMaps below a kustomization, later ones winning."""
    found: dict[str, dict[str, str]] = {}
    here = DEPLOY / folder
    kustomization = yaml.safe_load((here / "kustomization.yaml").read_text())
    for resource in kustomization.get("resources", ()):
        path = (here / resource).resolve()
        if path.is_dir():
            for name, values in config_maps(os.path.relpath(path, DEPLOY)).items():
                found.setdefault(name, {}).update(values)
    for generator in kustomization.get("configMapGenerator", ()):
        literals = dict(each.split("=", 1) for each in generator.get("literals", ()))
        found.setdefault(generator["name"], {}).update(literals)
    return found


def deployments(folder: str) -> Iterator[dict[str, Any]]:
    names = {*SERVICES, ALL_IN_ONE}
    for manifest in built(folder):
        if manifest["kind"] == "Deployment" and manifest["metadata"]["name"] in names:
            yield manifest


def test_every_file_belongs_to_a_kustomization() -> None:
    used = set()
    for kustomization in DEPLOY.rglob("kustomization.yaml"):
        loaded = yaml.safe_load(kustomization.read_text())
        generators = loaded.get("configMapGenerator", ())
        files = [file.split("=")[-1] for each in generators for file in each.get("files", ())]
        for entry in (*loaded.get("resources", ()), *files):
            path = (kustomization.parent / entry).resolve()
            assert path.exists(), f"{kustomization}: {entry}"
            used.add(path)
    folders = [DEPLOY / name for name in ("base", "crds", "monitoring")]
    files = [path for folder in folders for path in folder.rglob("*.yaml")]
    assert [path for path in files if path not in used and path.name != "kustomization.yaml"] == []


def test_nothing_is_there_twice() -> None:
    for folder in OVERLAYS:
        names = [(each["kind"], each["metadata"]["name"]) for each in built(folder)]
        assert len(set(names)) == len(names), folder


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_services_take_the_settings_of_their_pods(folder: str) -> None:
    for deployment in deployments(folder):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        environment = {"POD_NAMESPACE": "headrace"}
        for source in container["envFrom"]:
            environment |= config_maps(folder)[source["configMapRef"]["name"]]
        image = container["image"].split("/")[1].split(":")[0]
        found = settings(entrypoint(image) + container.get("args", []), environment)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"health": found["health-port"], "metrics": found["metrics-port"]}
        assert found["bind-address"] == "0.0.0.0"
        assert found["lease-namespace"] == "headrace"
        grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert found["shutdown-grace-seconds"] < grace


@pytest.mark.parametrize("folder", OVERLAYS)
def test_pods_are_restricted(folder: str) -> None:
    """As Kubernetes' Pod Security Standard "restricted" wants it, with a root that is read-only."""
    for deployment in deployments(folder):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"livenessProbe", "readinessProbe", "resources"} <= set(container)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_account_that_is_bound_or_used_exists(folder: str) -> None:
    manifests = built(folder)
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    roles = {
        (each["kind"], each["metadata"]["name"])
        for each in manifests
        if each["kind"] in ("Role", "ClusterRole")
    }
    for manifest in manifests:
        if manifest["kind"].endswith("RoleBinding"):
            assert (manifest["roleRef"]["kind"], manifest["roleRef"]["name"]) in roles
            assert {subject["name"] for subject in manifest["subjects"]} <= accounts
    for deployment in deployments(folder):
        assert deployment["spec"]["template"]["spec"]["serviceAccountName"] in accounts


def test_the_all_in_one_may_do_what_the_three_may() -> None:
    manifests = yaml.safe_load_all((DEPLOY / "base/all-in-one/rbac.yaml").read_text())
    bound = {each["roleRef"]["name"] for each in manifests if each["kind"] == "ClusterRoleBinding"}
    assert bound == {f"headrace-{service}" for service in SERVICES}


@pytest.mark.lab
@pytest.mark.timeout(180)
def test_the_api_server_takes_every_manifest(tmp_path: Path) -> None:
    """A dry run that refuses unknown fields; quicker and stricter than reading them again."""
    with borrowed_lab(tmp_path / "lab", parts=("apiserver",)) as lab:
        api = lab.api()
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "headrace"}})
        for folder in ("base", "base/all-in-one"):
            for manifest in built(folder):
                _dry_run(api, manifest)


PATHS = {
    "v1": "/api/v1",
    "apps/v1": "/apis/apps/v1",
    "policy/v1": "/apis/policy/v1",
    "rbac.authorization.k8s.io/v1": "/apis/rbac.authorization.k8s.io/v1",
}


def _dry_run(api: ApiClient, manifest: dict[str, Any]) -> None:
    kind = manifest["kind"]
    cluster_wide = kind.startswith("Cluster") or kind == "Namespace"
    scope = "" if cluster_wide else "/namespaces/headrace"
    for subject in manifest.get("subjects", ()):
        subject.setdefault("namespace", "headrace")
    manifest["metadata"]["name"] += "-dry-run"
    path = f"{PATHS[manifest['apiVersion']]}{scope}/{kind.lower()}s"
    api.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", manifest)
