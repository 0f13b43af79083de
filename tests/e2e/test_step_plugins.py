"""Step plugins on real parts: the example's workers as processes, over HTTP and over Kafka."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace_lab.application import EXAMPLES, Application
from headrace_lab.kube import Object
from headrace_lab.lab import Lab
from headrace_lab.people import CommandLine
from headrace_lab.services import Fleet, free_port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120), pytest.mark.spec("canary 9")]

FOLDER = EXAMPLES / "step-plugin-worker"
HOME = "headrace"
TOKEN = "Bearer of-the-lab"
LOCATIONS = ["http", "kafka"]
LAST_PAUSE = 2


@dataclass(frozen=True, slots=True)
class Approvals:
    """The folder that both workers look into."""

    folder: Path

    def say(self, application: Application, word: str) -> None:
        """Answer for one application; the word is there at once or not at all."""
        draft = self.folder / f".{application.namespace}"
        draft.write_text(word)
        draft.replace(self.folder / application.namespace)


@pytest.fixture(scope="module")
def approvals(
    lab: Lab, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Approvals]:
    """Two workers, which the controller knows."""
    folder = tmp_path_factory.mktemp("approvals")
    port = free_port()
    servers, topics = lab.bootstrap_servers, fleet.topic("steps").removesuffix(".steps")
    environs = {
        "worker.py": {"PORT": str(port), "TOKEN": TOKEN.removeprefix("Bearer ")},
        "kafka_worker.py": {
            "BOOTSTRAP_SERVERS": servers,
            "TOPICS": topics,
            "PLUGIN": "example/kafka",
        },
    }
    for manifest in known_to_the_controller(port):
        lab.api("person").apply(manifest)
    processes = [
        lab.run(
            f"step-plugin-{fleet.instance_id}-{script}",
            [sys.executable, str(FOLDER / script)],
            env={"FOLDER": str(folder), **environ},
        )
        for script, environ in environs.items()
    ]
    try:
        yield Approvals(folder)
    finally:
        for process in processes:
            process.kill()


def known_to_the_controller(port: int) -> list[Object]:
    http = {
        "name": "example/http",
        "protocol": "headrace/v1",
        "location": f"http://127.0.0.1:{port}/",
        "headersFrom": [{"secretRef": {"name": "step-plugin-worker"}}],
    }
    kafka = {"name": "example/kafka", "protocol": "headrace/v1", "location": "kafka"}
    secret = {"Authorization": base64.b64encode(TOKEN.encode()).decode()}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "argo-rollouts-config", "namespace": HOME},
            "data": {"stepPlugins": json.dumps([http, kafka])},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "step-plugin-worker", "namespace": HOME},
            "data": secret,
        },
    ]


def release(app: Application, location: str) -> str:
    """Deploy the example, release a second version, and return the name of the plugin."""
    name = f"example/{location}"
    manifest = yaml.safe_load((FOLDER / "rollout.yaml").read_text())
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = f"{app.image}:v1"
    plugin = {"name": name, "config": {"file": app.namespace}}
    steps = [{"plugin": plugin}, {"setWeight": 25}, {"pause": {}}]
    manifest["spec"]["strategy"]["canary"]["steps"] = steps
    app.apply(manifest)
    app.wait_phase("Healthy")
    app.set_image("v2")
    return name


def entries(app: Application) -> list[Any]:
    return list(app.status().get("canary", {}).get("stepPluginStatuses") or ())


def ends(app: Application) -> list[tuple[str, str]]:
    """Operations and phases of all calls so far."""
    return [(each["operation"], each.get("phase", "")) for each in entries(app)]


def wait_asked(app: Application) -> None:
    """Return when the worker has answered once that it does not know yet."""
    app.wait(lambda: [each.get("executions") for each in entries(app)] == [1], "asked once")
    assert ends(app) == [("Run", "Running")]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.spec("canary 3.3")
def test_a_worker_stops_a_release_and_lets_it_go_on(
    still_application: Application, approvals: Approvals, location: str
) -> None:
    app = still_application
    approvals.say(app, "no")
    name = release(app, location)
    app.wait_phase("Degraded")
    file = approvals.folder / app.namespace
    assert app.status()["message"] == (
        "RolloutAborted: Rollout aborted update to revision 2: "
        f"Step Plugin 1 ({name}) failed: {file} says no"
    )
    assert ends(app) == [("Run", "Failed")]

    approvals.say(app, "yes")
    app.retry()
    app.wait_paused(LAST_PAUSE)
    (run,) = entries(app)
    assert (run["index"], run["name"], run["operation"]) == (0, name, "Run")
    assert (run["phase"], run["message"]) == ("Successful", f"{file} says yes")
    assert run["status"] == {"asked": 1}
    app.abort()
    app.wait(lambda: ends(app) == [("Run", "Successful"), ("Abort", "Successful")], "it is undone")
    app.wait_phase("Degraded")
    assert TOKEN.removeprefix("Bearer ") not in json.dumps(app.rollout())


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.spec("canary 3.2")
def test_a_full_promotion_ends_a_step_that_runs(
    still_application: Application, approvals: Approvals, location: str
) -> None:
    app, headrace = still_application, CommandLine(still_application)
    name = release(app, location)
    wait_asked(app)
    assert app.status()["headrace"]["waiting"]["reason"] == "Plugin"
    headrace.promote_full()
    app.wait_phase("Healthy")
    assert app.status()["stableRS"] == app.hash_of("v2")
    app.wait(
        lambda: (
            f"Step plugin {name} (step 1) terminated (Successful)"
            in [event["message"] for event in app.events()]
        ),
        "its end is told",
    )


def test_a_worker_is_asked_again_until_it_knows(
    still_application: Application, approvals: Approvals
) -> None:
    app = still_application
    release(app, "kafka")
    wait_asked(app)
    (run,) = entries(app)
    assert (run["phase"], run["backoff"], run["status"]) == ("Running", "11s", {"asked": 1})
    approvals.say(app, "yes")
    app.wait_paused(LAST_PAUSE, seconds=40)
    (run,) = entries(app)
    assert (run["phase"], run["executions"], run["status"]) == ("Successful", 2, {"asked": 2})
    app.promote()
    app.wait_phase("Healthy")
