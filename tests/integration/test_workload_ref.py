"""A Rollout that takes its pod template from a workload, on a memory cluster."""

from typing import Any

import pytest
from engine_world import World, canary

from headrace import intents
from headrace.errors import Forbidden
from headrace.events.commands import Action, CommandArguments, Preconditions, RolloutCommanded
from headrace.events.envelope import Event
from headrace.kubernetes.resources import (
    DEPLOYMENTS,
    POD_TEMPLATES,
    REPLICA_SETS,
    Manifest,
    Resource,
)
from headrace.model.quantities import Instant
from headrace.runtime.cluster import JsonPatch, MergePatch, Selection
from headrace.runtime.cluster_memory import Request
from rollout_controller.commands import CommandHandler
from rollout_controller.core import labels

pytestmark = pytest.mark.spec("rollout-api 2.3")

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "app"}},
    "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
}
SELECTOR = {"matchLabels": {"app": "app"}}
STEPS = [{"setWeight": 25}, {"pause": {}}]


def workload(resource: Resource) -> Manifest:
    manifest: Manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "app", "namespace": "default"},
    }
    if resource == POD_TEMPLATES:
        return {**manifest, "template": TEMPLATE}
    return {**manifest, "spec": {"replicas": 4, "selector": SELECTOR, "template": TEMPLATE}}


def referring(resource: Resource, scale_down: str = "", **spec: Any) -> dict[str, Any]:
    """Return the spec of a Rollout without template and selector of its own."""
    raw = canary(steps=STEPS) | spec
    raw = {key: value for key, value in raw.items() if key not in ("template", "selector")}
    reference = {"apiVersion": resource.api_version, "kind": resource.kind, "name": "app"}
    if resource == POD_TEMPLATES:
        raw["selector"] = SELECTOR
    return raw | {"workloadRef": {**reference, "scaleDown": scale_down}}


async def world_of(spec: dict[str, Any], *workloads: Resource) -> World:
    world = World(spec)
    for resource in workloads:
        await world.user.create(resource, workload(resource))
    await world.create()
    return world


async def deployment_replicas(world: World) -> int:
    return int((await world.user.get(DEPLOYMENTS, "default", "app"))["spec"]["replicas"])


async def release(world: World, image: str) -> None:
    deployment = await world.user.get(DEPLOYMENTS, "default", "app")
    await world.user.replace(DEPLOYMENTS, intents.with_image(deployment, "*", image))


@pytest.mark.parametrize(
    "resource", [DEPLOYMENTS, REPLICA_SETS, POD_TEMPLATES], ids=lambda each: each.kind
)
async def test_takes_template_and_selector_and_never_writes_them_back(resource: Resource) -> None:
    spec = referring(resource)
    world = await world_of(spec, resource)
    await world.settle()
    rollout = await world.get()
    assert rollout["status"]["phase"] == "Healthy"
    assert rollout["spec"] == spec
    assert rollout["metadata"]["annotations"][labels.WORKLOAD_GENERATION] == "1"
    assert rollout["status"]["workloadObservedGeneration"] == "1"
    assert rollout["status"]["selector"] == "app=app"
    owned = (await world.user.list(REPLICA_SETS, Selection(labels=labels.HASH))).items
    assert [rs["spec"]["selector"]["matchLabels"]["app"] for rs in owned] == ["app"]
    assert owned[0]["spec"]["template"]["spec"]["containers"] == TEMPLATE["spec"]["containers"]
    assert owned[0]["metadata"]["annotations"][labels.WORKLOAD_GENERATION] == "1"


async def test_a_change_of_the_workload_is_an_update() -> None:
    world = await world_of(referring(DEPLOYMENTS), DEPLOYMENTS)
    await world.settle()
    await release(world, "app:v2")
    await world.settle()
    rollout = await world.get()
    assert rollout["status"]["phase"] == "Paused"
    assert rollout["metadata"]["annotations"][labels.WORKLOAD_GENERATION] == "2"
    assert rollout["status"]["workloadObservedGeneration"] == "2"
    assert "template" not in rollout["spec"]
    assert (await world.replicas())["2"] == 1


async def test_a_change_that_is_no_update_is_seen_too() -> None:
    world = await world_of(referring(DEPLOYMENTS), DEPLOYMENTS)
    await world.settle()
    body = MergePatch({"spec": {"replicas": 1}})
    await world.user.patch(DEPLOYMENTS, "default", "app", body)
    await world.settle()
    rollout = await world.get()
    assert rollout["status"]["phase"] == "Healthy"
    assert rollout["status"]["workloadObservedGeneration"] == "2"
    assert await world.replicas() == {"1": 4}


async def test_a_settled_reference_causes_no_writes() -> None:
    world = await world_of(referring(DEPLOYMENTS, "progressively"), DEPLOYMENTS)
    await world.settle()
    before = len(world.cluster.requests)
    await world.settle(60)
    writes = [r for r in list(world.cluster.requests)[before:] if r.verb in ("patch", "create")]
    assert writes == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"template": TEMPLATE}, "template must be empty for workload reference rollout"),
        (
            {"workloadRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "app"}},
            "workload of type apps/StatefulSet is not supported",
        ),
        (
            {"workloadRef": {"apiVersion": "v1", "kind": "Pod", "name": "app"}},
            "workload of type /Pod is not supported",
        ),
        ({}, 'deployments.apps "app" not found'),
    ],
)
@pytest.mark.spec("rollout-api 4")
async def test_a_reference_that_leads_nowhere_is_told_and_tried_every_20_seconds(
    change: dict[str, Any], text: str
) -> None:
    world = await world_of(referring(DEPLOYMENTS) | change)
    await world.settle(1)
    message = f'The Rollout "app" is invalid: {text}'
    status = await world.status()
    assert (status["phase"], status["message"]) == ("Degraded", f"InvalidSpec: {message}")
    outcome = await world.reconciler.process("default/app")
    assert outcome.kind == "settled"
    assert outcome.wake_at == pytest.approx(world.clock.now() + 20.0)


async def test_a_workload_that_comes_later_heals_the_rollout() -> None:
    world = await world_of(referring(DEPLOYMENTS))
    await world.settle(1)
    await world.user.create(DEPLOYMENTS, workload(DEPLOYMENTS))
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert "InvalidSpec" not in [each["type"] for each in status["conditions"]]


async def test_a_workload_that_goes_leaves_the_pods_alone() -> None:
    world = await world_of(referring(DEPLOYMENTS), DEPLOYMENTS)
    await world.settle()
    await world.user.delete(DEPLOYMENTS, "default", "app", propagation="Orphan")
    await world.settle()
    assert (await world.status())["phase"] == "Degraded"
    assert await world.replicas() == {"1": 4}


async def test_a_kind_that_may_not_be_read_is_told() -> None:
    world = await world_of(referring(POD_TEMPLATES), POD_TEMPLATES)

    def refuse(request: Request) -> None:
        if request.resource == "podtemplates" and request.identity == "rollout-controller":
            raise Forbidden("no role")

    world.cluster.intercept = refuse
    await world.settle(1)
    assert (await world.status())["message"].endswith(
        "failed to sync informer for v1, Kind=PodTemplate"
    )


@pytest.mark.parametrize(
    ("mode", "wanted"), [("onsuccess", 0), ("never", 4), ("", 4), ("OnSuccess", 4)]
)
async def test_the_deployment_goes_down_when_the_rollout_is_healthy(mode: str, wanted: int) -> None:
    world = await world_of(referring(DEPLOYMENTS, mode), DEPLOYMENTS)
    seen: list[tuple[str, int]] = []
    for _ in range(20):
        await world.settle(0.25)
        seen.append(((await world.status()).get("phase", ""), await deployment_replicas(world)))
    assert seen[-1] == ("Healthy", wanted)
    assert all(replicas == 4 for phase, replicas in seen if phase != "Healthy")


async def test_the_deployment_goes_down_as_pods_become_ready() -> None:
    world = await world_of(referring(DEPLOYMENTS, "progressively"), DEPLOYMENTS)
    seen: list[tuple[int, int]] = []
    for _ in range(20):
        await world.settle(0.25)
        ready = (await world.status()).get("readyReplicas", 0)
        seen.append((ready, await deployment_replicas(world)))
    assert seen[-1] == (4, 0)
    assert all(deployed >= 4 - ready for ready, deployed in seen)


@pytest.mark.parametrize("mode", ["onsuccess", "progressively"])
async def test_later_revisions_leave_the_deployment_alone(mode: str) -> None:
    world = await world_of(referring(DEPLOYMENTS, mode), DEPLOYMENTS)
    await world.settle()
    await release(world, "app:v2")
    await world.settle()
    body = MergePatch({"spec": {"replicas": 3}})
    await world.user.patch(DEPLOYMENTS, "default", "app", body)
    await world.settle()
    assert await deployment_replicas(world) == 3


async def test_only_a_deployment_is_ever_scaled() -> None:
    """The Deployment of the workload's name, whatever kind the workload is."""
    world = await world_of(referring(POD_TEMPLATES, "onsuccess"), POD_TEMPLATES, DEPLOYMENTS)
    await world.settle()
    assert await deployment_replicas(world) == 0


@pytest.mark.parametrize(("mode", "is_error"), [("onsuccess", True), ("progressively", False)])
async def test_a_refused_scaling_fails_the_reconcile_on_success_only(
    mode: str, is_error: bool
) -> None:
    world = await world_of(referring(DEPLOYMENTS, mode), DEPLOYMENTS)

    def refuse(request: Request) -> None:
        if request.resource == "deployments" and request.verb == "patch":
            raise Forbidden("no role")

    world.cluster.intercept = refuse
    outcomes = set()
    for _ in range(40):
        world.cluster.step()
        await world.sync()
        outcomes.add((await world.reconciler.process("default/app")).is_error)
        world.clock.advance(0.25)
    assert (True in outcomes) is is_error
    assert await deployment_replicas(world) == 4


async def test_undo_restores_the_template_of_the_workload() -> None:
    world = await world_of(referring(DEPLOYMENTS), DEPLOYMENTS)
    await world.settle()
    await release(world, "app:v2")
    await world.settle()
    rollout, sets = await world.get(), (await world.user.list(REPLICA_SETS)).items
    template = intents.restored_template(intents.undo_target(rollout, sets, 1))
    replacement = {"op": "replace", "path": "/spec/template", "value": template}
    await world.user.patch(DEPLOYMENTS, "default", "app", JsonPatch([replacement]))
    await world.settle()
    status = await world.status()
    assert (status["phase"], status["stableRS"]) == ("Healthy", status["currentPodHash"])


@pytest.mark.parametrize("action", [Action.SET_IMAGE, Action.UNDO])
@pytest.mark.spec("cli-and-clients 2.4")
async def test_a_command_never_writes_a_template_into_the_rollout(action: Action) -> None:
    world = await world_of(referring(DEPLOYMENTS), DEPLOYMENTS)
    await world.settle()
    await release(world, "app:v2")
    await world.settle()
    rollout = await world.get()
    status, uid = rollout["status"], rollout["metadata"]["uid"]
    command = RolloutCommanded(
        namespace="default",
        rollout="app",
        uid=uid,
        command="c-1",
        action=action,
        arguments=CommandArguments(container="app", image="app:v3"),
        preconditions=Preconditions(
            uid=uid,
            current_pod_hash=status["currentPodHash"],
            epoch=status["headrace"].get("epoch", 0),
            step_index=status["currentStepIndex"],
        ),
        expires_at=Instant(world.clock.now() + 300),
    )
    handler = CommandHandler(
        lambda key: world.cluster.client("rollout-controller"),
        world.caches,
        world.facts,
        world.clock,
    )
    event = Event.of(command, source="cluster", time=world.clock.now())
    await handler.handle(event, command)
    assert (await world.get())["spec"] == rollout["spec"]
    assert (await world.status())["headrace"]["history"][-1]["message"] == (
        "the Rollout has its template from another object: change that"
    )
