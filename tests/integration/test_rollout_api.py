"""What the Rollout API promises beside its strategies, on a memory cluster."""

from __future__ import annotations

from typing import Any

import pytest
from engine_world import World, canary, deployed, routed

from headrace.errors import Conflict
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    Manifest,
)
from headrace.model.meta import format_time
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import Request
from rollout_controller.core import labels

SELECTOR = {"matchLabels": {"app": "app"}}


async def with_pods(spec: dict[str, Any]) -> World:
    world = World(spec)
    world.stores[PODS] = world.caches.pods
    await world.create()
    await world.settle(8)
    return world


async def pods(world: World) -> dict[str, Manifest]:
    found = (await world.user.list(PODS)).items
    return {pod["metadata"]["uid"]: pod for pod in found}


async def restart(world: World) -> None:
    body = MergePatch({"spec": {"restartAt": format_time(world.clock.now())}})
    await world.user.patch(ROLLOUTS, "default", "app", body)


async def budget(world: World, available: int) -> None:
    spec = {"minAvailable": available, "selector": SELECTOR}
    metadata = {"name": "budget", "namespace": "default"}
    await world.user.create(POD_DISRUPTION_BUDGETS, {"metadata": metadata, "spec": spec})


# Restart


@pytest.mark.spec("rollout-api 10")
async def test_a_restart_replaces_every_pod_and_never_misses_more_than_allowed() -> None:
    world = await with_pods(canary(maxUnavailable=1, steps=[]))
    before = set(await pods(world))
    await restart(world)
    await world.settle(1)
    status = await world.status()
    assert (status["phase"], status["message"]) == ("Progressing", "rollout is restarting")
    fewest = 4
    for _ in range(80):
        await world.settle(0.5)
        fewest = min(fewest, (await world.status()).get("availableReplicas", 0))
        if (await world.status())["phase"] == "Healthy":
            break
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert status["restartedAt"] == (await world.get())["spec"]["restartAt"]
    assert not before & set(await pods(world))
    assert fewest >= 3


@pytest.mark.spec("rollout-api 10")
async def test_a_restart_waits_until_new_pods_were_ready_for_long_enough() -> None:
    spec = canary(maxUnavailable=1, steps=[]) | {"minReadySeconds": 5}
    world = await with_pods(spec)
    await world.settle(8)
    assert (await world.status())["phase"] == "Healthy"
    before = set(await pods(world))
    await restart(world)
    for seconds, left in ((4, 3), (5, 2), (7, 1), (7, 0)):
        await world.settle(seconds)
        assert len(before & set(await pods(world))) == left
    await world.settle(10)
    assert (await world.status())["phase"] == "Healthy"


@pytest.mark.spec("rollout-api 10")
async def test_a_disruption_budget_is_honoured_and_stops_nothing_else() -> None:
    world = await with_pods(canary(steps=[{"setWeight": 25}, {"pause": {}}]))
    await budget(world, available=4)
    before = set(await pods(world))
    await restart(world)
    await world.settle(5)
    assert set(await pods(world)) == before
    assert (await world.status())["message"] == "rollout is restarting"
    await world.set_image("app:v2")
    await world.settle(5)
    status = await world.status()
    assert (status["phase"], status["message"]) == ("Paused", "CanaryPauseStep")
    assert status["restartedAt"], "a new update counts as a restart"


@pytest.mark.spec("rollout-api 10")
async def test_refused_evictions_are_not_tried_without_end() -> None:
    world = await with_pods(canary(steps=[]))
    await budget(world, available=4)
    await restart(world)
    await world.settle(2)
    before = len(world.cluster.requests)
    await world.reconciler.process("default/app")
    asked = [r for r in list(world.cluster.requests)[before:] if r.subresource == "eviction"]
    assert len(asked) == 4
    outcome = await world.reconciler.process("default/app")
    assert outcome.wake_at == pytest.approx(world.clock.now() + 30.0)


# ReplicaSets


@pytest.mark.spec("rollout-api 7.4")
async def test_a_name_that_is_taken_counts_as_a_collision() -> None:
    probe = await deployed(canary())
    name = (await probe.user.list(REPLICA_SETS)).items[0]["metadata"]["name"]
    world = World(canary())
    foreign = {
        "metadata": {"name": name, "namespace": "default", "labels": {"of": "somebody"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"of": "somebody"}},
            "template": {"metadata": {"labels": {"of": "somebody"}}},
        },
    }
    await world.user.create(REPLICA_SETS, foreign)
    await world.create()
    await world.settle()
    status = await world.status()
    assert (status["phase"], status["collisionCount"]) == ("Healthy", 1)
    assert f"app-{status['currentPodHash']}" != name
    kept = await world.user.get(REPLICA_SETS, "default", name)
    assert "ownerReferences" not in kept["metadata"]


@pytest.mark.spec("rollout-api 9")
async def test_the_history_goes_with_its_runs() -> None:
    steps = [{"analysis": {"templates": [{"templateName": "good"}]}}]
    world = World(canary(steps=steps) | {"revisionHistoryLimit": 1})
    metric = {"name": "m", "count": 1, "provider": {"prometheus": {"query": "x"}}}
    template = {"metadata": {"name": "good", "namespace": "default"}, "spec": {"metrics": [metric]}}
    await world.user.create(ANALYSIS_TEMPLATES, template)
    await world.create()
    await world.settle()
    for version in range(2, 6):
        await world.set_image(f"app:v{version}")
        await world.settle()
        for run in (await world.user.list(ANALYSIS_RUNS)).items:
            body = MergePatch({"status": {"phase": "Successful"}})
            await world.user.patch(ANALYSIS_RUNS, "default", run["metadata"]["name"], body)
        await world.settle(8)
    assert set(await world.replicas()) == {"4", "5"}
    hashes = {
        rs["metadata"]["labels"][labels.HASH] for rs in (await world.user.list(REPLICA_SETS)).items
    }
    runs = (await world.user.list(ANALYSIS_RUNS)).items
    assert {run["metadata"]["labels"][labels.HASH] for run in runs} <= hashes


@pytest.mark.spec("rollout-api 2")
async def test_replicas_that_are_not_said_are_written_down_as_one() -> None:
    spec = {key: value for key, value in canary().items() if key != "replicas"}
    world = await deployed(spec)
    assert (await world.get())["spec"]["replicas"] == 1
    assert (await world.status())["phase"] == "Healthy"


# Scaling by others


@pytest.mark.spec("rollout-api 1")
@pytest.mark.spec("rollout-api 9")
@pytest.mark.spec("cli-and-clients 7")
async def test_an_autoscaler_reads_the_pods_it_scales_and_moves_nothing_else() -> None:
    world = await deployed(routed(steps=[{"setWeight": 50}, {"pause": {}}]))
    await world.set_image("app:v2")
    await world.settle()
    before = await world.status()
    assert (before["HPAReplicas"], before["selector"]) == (6, "app=app")
    world.recorder.events.clear()
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": {"replicas": 8}}))
    await world.settle()
    after = await world.status()
    assert await world.replicas() == {"1": 8, "2": 4}
    assert after["HPAReplicas"] == 12
    for field in ("currentStepIndex", "phase", "message", "pauseConditions", "currentPodHash"):
        assert after[field] == before[field]
    assert set(world.recorder.reasons()) == {"ScalingReplicaSet"}
    wanted = {
        rs["metadata"]["annotations"][labels.DESIRED_REPLICAS]
        for rs in (await world.user.list(REPLICA_SETS)).items
    }
    assert wanted == {"8"}


# Ephemeral metadata


@pytest.mark.spec("rollout-api 11")
async def test_pods_carry_the_metadata_of_their_role() -> None:
    strategy = {
        "steps": [{"setWeight": 25}, {"pause": {}}],
        "canaryMetadata": {"labels": {"role": "canary"}, "annotations": {"why": "new"}},
        "stableMetadata": {"labels": {"role": "stable"}},
    }
    world = await with_pods(canary(**strategy))

    async def roles() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for pod in (await pods(world)).values():
            if "deletionTimestamp" not in pod["metadata"]:
                tags = pod["metadata"]["labels"]
                found.setdefault(tags[labels.HASH], set()).add(tags.get("role", ""))
        return found

    stable = (await world.status())["stableRS"]
    assert await roles() == {stable: {"stable"}}
    await world.set_image("app:v2")
    await world.settle(8)
    new = (await world.status())["currentPodHash"]
    assert await roles() == {stable: {"stable"}, new: {"canary"}}
    await world.patch_status({"pauseConditions": None})
    await world.settle(12)
    assert await roles() == {new: {"stable"}}
    assert all(
        "why" not in (p["metadata"].get("annotations") or {}) for p in (await pods(world)).values()
    )


# Events, whole sequences

UPDATE = ["RolloutUpdated", "NewReplicaSetCreated", "RolloutNotCompleted", "ScalingReplicaSet"]


def told(world: World) -> list[str]:
    """Return the reasons since the last call."""
    reasons = world.recorder.reasons()
    world.recorder.events.clear()
    return reasons


async def tell_an_abort_and_a_retry(world: World) -> None:
    """Update to the first pause, abort, retry: each tells what the contract says, in its order."""
    await world.set_image("app:v2")
    await world.settle(8)
    assert told(world) == [*UPDATE, "RolloutStepCompleted", "RolloutPaused"]
    await world.patch_status({"abort": True})
    await world.settle(8)
    assert told(world) == ["ScalingReplicaSet", "RolloutAborted"]
    await world.patch_status({"abort": False})
    await world.settle(8)
    assert told(world) == ["ScalingReplicaSet", "RolloutStepCompleted", "RolloutPaused"]


@pytest.mark.spec("cli-and-clients 9")
@pytest.mark.spec("cli-and-clients 9.1")
async def test_a_basic_canary_is_told_in_the_order_of_the_contract() -> None:
    world = await deployed(canary(steps=[{"setWeight": 25}, {"pause": {}}]) | {"replicas": 1})
    assert told(world) == [
        *("RolloutAddedToInformer", "RolloutUpdated", "NewReplicaSetCreated"),
        *("RolloutNotCompleted", "ScalingReplicaSet", "RolloutCompleted"),
    ]
    await tell_an_abort_and_a_retry(world)
    await world.patch_status({"pauseConditions": None})
    await world.settle(20)
    assert told(world) == ["RolloutStepCompleted", "ScalingReplicaSet", "RolloutCompleted"]


@pytest.mark.spec("cli-and-clients 9.1")
async def test_what_a_claim_tells_is_said_once_however_often_the_claim_is_tried() -> None:
    """Somebody else writes to the Rollout between every pass and its claim."""
    world = await deployed(canary(steps=[{"setWeight": 25}, {"pause": {}}]) | {"replicas": 1})
    world.recorder.events.clear()
    tried: list[str] = []

    def refuse(request: Request) -> None:
        if (request.identity, request.subresource) == ("rollout-controller", "status"):
            tried.append(request.name)
            if len(tried) % 2:
                raise Conflict("the object has been modified")

    world.cluster.intercept = refuse
    await tell_an_abort_and_a_retry(world)
    assert len(tried) > 8


@pytest.mark.spec("cli-and-clients 9")
@pytest.mark.spec("cli-and-clients 9.1")
async def test_the_messages_are_those_of_the_contract() -> None:
    world = await deployed(canary(steps=[{"setWeight": 25}, {"pause": {"duration": 1}}]))
    first = (await world.status())["stableRS"]
    assert world.recorder.events == [
        ("RolloutAddedToInformer", "Rollout resource added to informer: default/app"),
        ("RolloutUpdated", "Rollout updated to revision 1"),
        ("NewReplicaSetCreated", f"Created ReplicaSet app-{first} (revision 1)"),
        (
            "RolloutNotCompleted",
            f"Rollout not completed, started update to revision 1 ({first})",
        ),
        ("ScalingReplicaSet", f"Scaled up ReplicaSet app-{first} (revision 1) from 0 to 4"),
        ("RolloutCompleted", f"Rollout completed update to revision 1 ({first}): Initial deploy"),
    ]
    world.recorder.events.clear()
    await world.set_image("app:v2")
    await world.settle(20)
    new = (await world.status())["stableRS"]
    said = [text for reason, text in world.recorder.events if reason != "ScalingReplicaSet"]
    assert said == [
        "Rollout updated to revision 2",
        f"Created ReplicaSet app-{new} (revision 2)",
        f"Rollout not completed, started update to revision 2 ({new})",
        "Rollout step 1/2 completed (setWeight: 25)",
        "Rollout is paused (CanaryPauseStep)",
        "Rollout step 2/2 completed (pause: 1)",
        "Rollout is resumed",
        f"Rollout completed update to revision 2 ({new}): Completed all 2 canary steps",
    ]
