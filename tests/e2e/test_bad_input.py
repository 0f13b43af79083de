"""Input that nobody can work with: a clear condition or a dead letter, and nobody else notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace_lab import records
from headrace_lab.application import CANARY, NAME, ROOT, SPLIT, STABLE, Application, Edit
from headrace_lab.edits import measures_without_traffic, pauses, together
from headrace_lab.errors import ApiError
from headrace_lab.kube import SERVICES
from headrace_lab.lab import Lab
from headrace_lab.recording import REPLICA_SETS, ROLLOUTS, TRAFFIC_SPLITS
from headrace_lab.services import Fleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

MakeApplication = Callable[..., Application]

FIRST_PAUSE, SECOND_PAUSE = 2, 5
QUIET_SECONDS = 1.0


@pytest.fixture(scope="module")
def bystander(lab: Lab, fleet: Fleet) -> Iterator[Application]:
    """A release in the middle; nothing in this file may disturb it."""
    name = f"bystander-{time.time_ns() // 10**6 % 10**7}"
    with Application(lab, name, fleet.instance_id) as application:
        application.image = "headrace/still-app"
        application.deploy()
        application.set_image("v2")
        application.wait_paused(FIRST_PAUSE)
        before = application.rollout()["metadata"]["resourceVersion"]
        yield application
        assert application.rollout()["metadata"]["resourceVersion"] == before
        application.promote()
        application.wait_paused(SECOND_PAUSE)
        assert fleet.crashes() == []


@pytest.fixture
def application(bystander: Application, fleet: Fleet, applications: MakeApplication) -> Application:
    return applications(fleet.instance_id, has_processes=False)


def canary(change: Callable[[dict[str, Any]], None]) -> Edit:
    """A change of the canary strategy of a Rollout."""

    def edit(manifest: dict[str, Any]) -> None:
        if manifest["kind"] == "Rollout":
            change(manifest["spec"]["strategy"]["canary"])

    return edit


def invalid_spec(application: Application) -> str:
    """The message of the condition InvalidSpec; "" without it."""
    for condition in application.status().get("conditions", []):
        if condition["type"] == "InvalidSpec" and condition["status"] == "True":
            return str(condition["message"])
    return ""


INVALID = {
    "a weight above 100": (
        lambda spec: spec["steps"].insert(0, {"setWeight": 101}),
        "spec.strategy.steps[0].setWeight: Invalid value: 101: "
        "SetWeight needs to be between 0 and 100",
    ),
    "a step that the router cannot carry out": (
        lambda spec: spec["steps"].insert(0, {"setHeaderRoute": {"name": "beta"}}),
        "SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix",
    ),
    "a router of a later version": (
        lambda spec: spec.update({"trafficRouting": {"nginx": {"stableIngress": "x"}}}),
        "Forbidden: not supported by this version",
    ),
    "a Service that is missing": (
        lambda spec: spec.update({"canaryService": "nowhere"}),
        'spec.strategy.canary.canaryService: Invalid value: "nowhere": service "nowhere" not found',
    ),
    "a template that is missing": (
        lambda spec: spec.update({"analysis": {"templates": [{"templateName": "nowhere"}]}}),
        "AnalysisTemplate 'nowhere' not found",
    ),
}


@pytest.mark.parametrize("what", INVALID)
def test_an_invalid_rollout_says_what_is_wrong_and_touches_nothing(
    application: Application, what: str
) -> None:
    change, problem = INVALID[what]
    application.apply_example("canary-manual-approval", canary(change))

    message = application.wait(lambda: invalid_spec(application), "InvalidSpec")
    assert message.startswith(f'The Rollout "{NAME}" is invalid: ')
    assert message.endswith(problem)
    assert application.status()["message"] == f"InvalidSpec: {message}"
    assert application.phase() == "Degraded"
    assert application.recording.names(REPLICA_SETS) == set()
    assert application.recording.names(TRAFFIC_SPLITS) == set()
    assert all(application.selected(service) == "" for service in (STABLE, CANARY, ROOT))


def test_a_rollout_goes_on_when_what_was_wrong_is_right(application: Application) -> None:
    application.apply_example("canary-manual-approval")
    application.wait_phase("Healthy")
    service = application.get(SERVICES, CANARY)
    application.delete(SERVICES, CANARY)
    application.wait(lambda: "not found" in invalid_spec(application), "InvalidSpec")

    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        del service["metadata"][field]
    application.apply(service)

    application.wait(lambda: not invalid_spec(application), "valid again")
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)


def test_what_is_no_rollout_at_all_is_refused_by_the_api_server(application: Application) -> None:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": NAME},
        "spec": {"replicas": "many", "strategy": {"canary": {}}},
    }
    with pytest.raises(ApiError) as refused:
        application.api.request("POST", ROLLOUTS.path(application.namespace), manifest)

    assert refused.value.status == 422


def test_an_unknown_step_stops_a_release_where_it_is(application: Application) -> None:
    application.deploy()
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)
    path = "/spec/strategy/canary/steps"
    steps = application.rollout()["spec"]["strategy"]["canary"]["steps"]

    # The API server drops what the schema does not know, so that an empty step is left.
    unknown = [*steps, {"setNothing": 1}]
    application.patch(ROLLOUTS, NAME, [{"op": "replace", "path": path, "value": unknown}])

    message = application.wait(lambda: invalid_spec(application), "InvalidSpec")
    assert message.endswith(
        "Step must have one of the following set: "
        "experiment, setWeight, setCanaryScale, plugin or pause"
    )
    application.recording.stays(
        lambda: application.canary_weight == 10 and application.sizes == {"v1": 4, "v2": 1},
        "the release stands still",
        QUIET_SECONDS,
    )
    application.patch(ROLLOUTS, NAME, [{"op": "replace", "path": path, "value": steps}])
    application.wait(lambda: not invalid_spec(application), "valid again")
    application.wait_paused(FIRST_PAUSE)


def test_a_traffic_split_of_somebody_else_is_left_alone(application: Application) -> None:
    foreign = {
        "apiVersion": "split.smi-spec.io/v1alpha4",
        "kind": "TrafficSplit",
        "metadata": {"name": SPLIT},
        "spec": {"service": "theirs", "backends": [{"service": "theirs", "weight": 1}]},
    }
    application.apply(foreign)
    application.apply_example("canary-manual-approval")

    def waiting() -> str:
        return str((application.headrace().get("waiting") or {}).get("unblock", ""))

    text = f"Rollout does not own TrafficSplit `{SPLIT}`"
    application.wait(lambda: text in waiting(), "a word about the owner")
    application.wait(
        lambda: any(
            event["reason"] == "TrafficRoutingError" and text in event["message"]
            for event in application.events()
        ),
        "a Kubernetes Event about the owner",
    )
    (split,) = application.recording.versions(TRAFFIC_SPLITS, SPLIT)
    assert split["spec"] == foreign["spec"]

    application.delete(TRAFFIC_SPLITS, SPLIT)
    application.wait_phase("Healthy")


MEASUREMENTS = {
    "a query that Prometheus does not understand": ("query", "sum(", "bad_data"),
    "an expression with a typing error": (
        "successCondition",
        "result[0] >= ",
        'could not evaluate successCondition "result[0] >= "',
    ),
    "an expression that is no condition": (
        "successCondition",
        "result[0]",
        "expected bool, but got float64",
    ),
}


@pytest.mark.parametrize("what", MEASUREMENTS)
def test_a_measurement_that_cannot_be_made_aborts_the_release(
    application: Application, what: str
) -> None:
    place, text, problem = MEASUREMENTS[what]
    url = application.lab.prometheus_url

    def spoil(manifest: dict[str, Any]) -> None:
        if manifest["kind"] == "AnalysisTemplate":
            (metric,) = manifest["spec"]["metrics"]
            target = metric["provider"]["prometheus"] if place == "query" else metric
            target[place] = text

    measures = measures_without_traffic(url, error_limit=0)
    application.deploy("canary-with-metrics", together(pauses("1s", None), measures, spoil))
    application.set_image("v2")

    application.wait_phase("Degraded")
    application.wait_weight(0)
    (run,) = application.runs()
    (metric,) = run["status"]["metricResults"]
    assert run["status"]["phase"] == "Error"
    assert problem in metric["measurements"][-1]["message"]
    assert problem in application.status()["message"]


UNREADABLE = {
    "no event at all": {},
    "an event without its payload": {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "somewhere",
        "ce_time": "2026-01-01T00:00:00Z",
        "content-type": "application/json",
    },
}
TYPES = {
    "steps": "headrace.route.requested.v1",
    "traffic": "headrace.route.applied.v1",
    "verdicts": "headrace.analysis.judged.v1",
    "commands": "headrace.rollout.commanded.v1",
}


@pytest.mark.parametrize("topic", TYPES)
@pytest.mark.parametrize("what", UNREADABLE)
def test_a_message_that_nobody_can_read_goes_to_the_dead_letters(
    lab: Lab, fleet: Fleet, bystander: Application, topic: str, what: str
) -> None:
    headers = dict(UNREADABLE[what])
    if headers:
        headers["ce_type"] = TYPES[topic]
    value = f"not JSON {time.time_ns()}".encode()
    records.write(
        lab.bootstrap_servers, fleet.topic(topic), value, key=bystander.key(), headers=headers
    )

    dead = fleet.wait_dead_letter(topic, value)

    assert dead.key == bystander.key()
    assert dead.headers["headrace_dead_reason"]
