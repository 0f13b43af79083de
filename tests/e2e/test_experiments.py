"""Experiments on real parts: alone, and as a step of a canary with a share of the traffic."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from headrace_lab.application import (
    CANARY,
    EXAMPLES,
    HASH,
    NAME,
    STABLE,
    Application,
    Edit,
)
from headrace_lab.kube import SERVICES, Object
from headrace_lab.load import Load
from headrace_lab.people import Person
from headrace_lab.recording import ANALYSIS_RUNS, EXPERIMENTS, REPLICA_SETS
from headrace_lab.steady_load import SteadyLoad

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.spec("experiment 3", "experiment 4.3", "experiment 9", "canary 8"),
]

REQUESTS = 2000
LAST_PAUSE = 2


def template(name: str, tag: str, app: Application, **fields: Any) -> Object:
    """A template with the pods of the example."""
    rollout = yaml.safe_load((EXAMPLES / "canary-manual-approval/rollout.yaml").read_text())
    pods = copy.deepcopy(rollout["spec"]["template"])
    pods["metadata"]["labels"] = {"app": name}
    pods["spec"]["containers"][0]["image"] = f"{app.image}:{tag}"
    selector = {"matchLabels": {"app": name}}
    return {"name": name, "replicas": 1, "selector": selector, "template": pods, **fields}


def experiment(*templates: Object, **fields: Any) -> Object:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "trial"},
        "spec": {"templates": list(templates), "scaleDownDelaySeconds": 0, **fields},
    }


def measured(app: Application, query: str, **metric: Any) -> Object:
    """An AnalysisTemplate that asks the lab's Prometheus."""
    prometheus = {"address": app.lab.prometheus_url, "query": query}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "measured"},
        "spec": {
            "args": [{"name": "hash"}],
            "metrics": [
                {
                    "name": "one",
                    "successCondition": "result[0] == 1",
                    "provider": {"prometheus": prometheus},
                    **metric,
                }
            ],
        },
    }


def analysis(app: Application) -> Object:
    """The same for the metric of a template's pods."""
    args = [{"name": "hash", "value": "{{templates.new.podTemplateHash}}"}]
    return {"name": "measured", "templateName": "measured", "args": args}


def size(app: Application, replica_set: str) -> int | None:
    found = app.recording.get(REPLICA_SETS, replica_set)
    return None if found is None else int(found["spec"]["replicas"])


def pods(app: Application, replica_set: str) -> int:
    """How many the controller of ReplicaSets counts."""
    found = app.recording.get(REPLICA_SETS, replica_set) or {}
    return int(found["status"]["replicas"])


def hash_of(app: Application, replica_set: str) -> str:
    found = app.recording.get(REPLICA_SETS, replica_set) or {}
    return str(found["metadata"]["labels"][HASH])


def told(app: Application, name: str) -> dict[str, str]:
    """Types of the Events on an Experiment, by message."""
    return {event["message"]: event["type"] for event in app.events_on(app.experiment(name))}


def phases(app: Application, name: str) -> list[str]:
    """Every phase that an Experiment had, in order."""
    seen: list[str] = []
    for version in app.recording.versions(EXPERIMENTS, name):
        phase = version.get("status", {}).get("phase", "")
        if seen[-1:] != [phase]:
            seen.append(phase)
    return seen


# Alone


@pytest.mark.spec("experiment 4.1", "experiment 4.2", "experiment 5", "experiment 6")
def test_an_experiment_serves_requests_and_is_judged_for_its_duration(
    application: Application,
) -> None:
    app = application
    app.apply(measured(app, "vector(1)", interval="1s"))
    templates = [template("old", "v1", app), template("new", "v2", app, service={})]
    app.apply(experiment(*templates, duration="4s", analyses=[analysis(app)]))
    app.wait_experiment("trial", "Running")
    service = app.get(SERVICES, "trial-new")
    assert service["spec"]["selector"] == {"app": "new", HASH: hash_of(app, "trial-new")}
    assert app.recording.get(SERVICES, "trial-old") is None
    host = f"trial-new.{app.namespace}"
    with SteadyLoad(Load(f"{app.lab.envoy_url}/", host, 100, window_seconds=0.5)) as load:
        load.settle_on("v2", 50)

    app.wait_experiment("trial", "Successful")
    assert phases(app, "trial") == ["", "Pending", "Running", "Successful"]
    app.wait(
        lambda: [size(app, f"trial-{name}") for name in ("old", "new")] == [0, 0],
        "the ReplicaSets are scaled down",
    )
    app.wait(lambda: app.recording.get(SERVICES, "trial-new") is None, "the Service is gone")
    app.wait(
        lambda: (
            {
                "Experiment transitioned from Running -> Successful",
                "Terminating measured (trial-measured)",
            }
            <= told(app, "trial").keys()
        ),
        "the ends are told as Events",
    )
    (run,) = app.recording.all(ANALYSIS_RUNS)
    assert run["metadata"]["name"] == "trial-measured"
    assert run["spec"]["args"] == [{"name": "hash", "value": hash_of(app, "trial-new")}]
    app.wait(lambda: app.recording.all(ANALYSIS_RUNS)[0]["spec"].get("terminate"), "terminated")


@pytest.mark.spec("experiment 5", "experiment 6")
def test_an_experiment_fails_with_its_analysis(still_application: Application) -> None:
    app = still_application
    app.apply(measured(app, "vector(0)"))
    app.apply(experiment(template("new", "v2", app), analyses=[analysis(app)]))
    app.wait_experiment("trial", "Failed")
    status = app.experiment("trial")["status"]
    assert status["message"].startswith('Metric "one" assessed Failed due to failed (1)')
    assert [run["phase"] for run in status["analysisRuns"]] == ["Failed"]
    app.wait(lambda: size(app, "trial-new") == 0, "the ReplicaSet is scaled down")
    message = "Experiment transitioned from Running -> Failed"
    app.wait(lambda: told(app, "trial").get(message) == "Warning", "the failure is told")


@pytest.mark.spec("cli-and-clients 2.1", "experiment 6")
def test_a_person_ends_an_experiment(still_application: Application, person: Person) -> None:
    app = still_application
    app.apply(experiment(template("new", "v2", app, service={"name": "named"})))
    app.wait_experiment("trial", "Running")
    app.wait(lambda: app.recording.get(SERVICES, "named"), "the Service has the given name")
    person.terminate_experiment("trial")
    app.wait_experiment("trial", "Successful")
    app.wait(lambda: size(app, "trial-new") == 0, "the ReplicaSet is scaled down")
    app.wait(lambda: app.recording.get(SERVICES, "named") is None, "the Service is gone")


@pytest.mark.spec("cli-and-clients 2.1", "experiment 5")
def test_a_person_begins_an_experiment_again(
    still_application: Application, person: Person
) -> None:
    app = still_application
    app.apply(measured(app, "vector(1)"))
    required = analysis(app) | {"requiredForCompletion": True}
    app.apply(experiment(template("new", "v2", app), analyses=[required]))
    app.wait_experiment("trial", "Successful")
    app.wait(lambda: pods(app, "trial-new") == 0, "its pods are gone")
    once = ["", "Pending", "Running", "Successful"]
    assert phases(app, "trial") == once
    person.retry_experiment("trial")
    app.wait(lambda: phases(app, "trial") == once + once, "it has run again")
    app.wait(
        lambda: (
            [run["metadata"]["name"] for run in app.recording.all(ANALYSIS_RUNS)]
            == ["trial-measured", "trial-measured.1"]
        ),
        "it has been measured again",
    )
    app.wait(lambda: size(app, "trial-new") == 0, "the ReplicaSet is scaled down again")


# As a step


def with_experiment(**fields: Any) -> Edit:
    """Give the example a step with two templates, each with a share of the traffic."""
    templates = [
        {"name": "base", "specRef": "stable", "replicas": 1, "weight": 20},
        {"name": "new", "specRef": "canary", "replicas": 1, "weight": 30},
    ]
    step = {"experiment": {"templates": templates, "scaleDownDelaySeconds": 0, **fields}}

    def edit(manifest: Object) -> None:
        if manifest["kind"] == "Rollout":
            canary = manifest["spec"]["strategy"]["canary"]
            canary["abortScaleDownDelaySeconds"] = 1
            canary["steps"] = [{"setWeight": 10}, step, {"pause": {}}]

    return edit


def wait_current(app: Application, *, after: str = "") -> str:
    """Return the name of the step's Experiment as soon as it runs."""

    def current() -> str:
        return str(app.status().get("canary", {}).get("currentExperiment", ""))

    name = app.wait(lambda: current() if current() != after else "", "an Experiment of the step")
    app.wait_experiment(name, "Running")
    return name


def wait_weights(app: Application, weights: dict[str, int]) -> None:
    app.wait(lambda: app.weights() == weights, f"weights {weights}")


def wait_cleared(app: Application, name: str) -> None:
    """Return when nothing is left of an Experiment's pods and Services."""
    parts = [f"{name}-base", f"{name}-new"]
    app.wait(lambda: [size(app, part) for part in parts] == [0, 0], f"the pods of {name} are gone")
    app.wait(
        lambda: not any(app.recording.get(SERVICES, part) for part in parts),
        f"the Services of {name} are gone",
    )


@pytest.mark.spec("canary 5.5", "canary 3.3", "cli-and-clients 2.2")
def test_a_person_aborts_retries_and_skips_an_experiment_step(
    still_application: Application, person: Person
) -> None:
    app = still_application
    app.deploy(edit=with_experiment())
    person.set_image("v2")
    first = wait_current(app)
    assert first == f"{NAME}-{app.hash_of('v2')}-2-1"
    wait_weights(app, {f"{first}-base": 20, f"{first}-new": 30, CANARY: 10, STABLE: 40})

    person.abort()
    app.wait_phase("Degraded")
    wait_weights(app, {CANARY: 0, STABLE: 100})
    app.wait_experiment(first, "Successful")
    assert app.experiment(first)["spec"]["terminate"] is True
    wait_cleared(app, first)

    person.retry()
    second = wait_current(app, after=first)
    assert second == f"{first}-1"
    wait_weights(app, {f"{second}-base": 20, f"{second}-new": 30, CANARY: 10, STABLE: 40})
    person.promote()
    app.wait_paused(LAST_PAUSE)
    wait_weights(app, {CANARY: 10, STABLE: 90})
    app.wait_experiment(second, "Successful")
    wait_cleared(app, second)
    person.promote()
    app.wait_phase("Healthy")
    assert app.status()["stableRS"] == app.hash_of("v2")


@pytest.mark.spec("canary 5.5")
def test_an_experiment_takes_its_share_of_live_requests_and_gives_it_back(
    application: Application, loads: Callable[..., SteadyLoad]
) -> None:
    app = application
    app.deploy(edit=with_experiment())
    with loads(app, rate=500) as load:
        app.set_image("v2")
        name = wait_current(app)
        base, new = f"{name}-base", f"{name}-new"
        wait_weights(app, {base: 20, new: 30, CANARY: 10, STABLE: 40})
        assert 0.40 in load.measure(REQUESTS).share("v2").interval
        app.wait(lambda: additional(app), "the weights are told")
        assert additional(app) == [
            {"weight": 20, "serviceName": base, "podTemplateHash": hash_of(app, base)},
            {"weight": 30, "serviceName": new, "podTemplateHash": hash_of(app, new)},
        ]
        app.promote()
        app.wait_paused(LAST_PAUSE)
        wait_weights(app, {CANARY: 10, STABLE: 90})
        assert 0.10 in load.measure(REQUESTS).share("v2").interval
        wait_cleared(app, name)
        report = load.stop()
    assert report.failed_without_version == 0
    assert {status for (_, status) in report.counts} == {200}


def additional(app: Application) -> Any:
    return app.status().get("canary", {}).get("weights", {}).get("additional")


def test_a_step_whose_analysis_fails_aborts_the_update(still_application: Application) -> None:
    app = still_application
    app.apply(measured(app, "vector(0)"))
    latest = {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
    app.deploy(edit=with_experiment(analyses=[analysis(app) | {"args": [latest]}]))
    app.set_image("v2")
    app.wait_phase("Degraded")
    assert app.status()["message"].startswith(
        "RolloutAborted: Rollout aborted update to revision 2: Experiment analysis phase is "
        'error/failed: Metric "one" assessed Failed due to failed (1)'
    )
    wait_weights(app, {CANARY: 0, STABLE: 100})
    (run,) = app.recording.all(ANALYSIS_RUNS)
    assert run["spec"]["args"] == [{"name": "hash", "value": app.hash_of("v2")}]
    (name,) = app.recording.names(EXPERIMENTS)
    wait_cleared(app, name)
