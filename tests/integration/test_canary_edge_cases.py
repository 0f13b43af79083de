"""What happens to a canary at the worst moment, case by case (canary 10, 5.7, 3.4)."""

from typing import Any

import pytest
from engine_world import World, canary, deployed, routed

from headrace.intents import promote
from headrace.kubernetes.resources import REPLICA_SETS, ROLLOUTS, SERVICES
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory.pods import NEVER_READY, PodBehaviour

ONE_STEP: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}]


async def updated(spec: dict[str, Any] | None = None) -> World:
    """A world that waits at the first pause of an update."""
    world = await deployed(routed(steps=ONE_STEP) if spec is None else spec)
    await world.set_image("app:v2")
    await world.settle()
    return world


async def patch_spec(world: World, spec: dict[str, Any]) -> None:
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": spec}))


async def progressing(world: World) -> tuple[str, str]:
    conditions = {each["type"]: each for each in (await world.status())["conditions"]}
    return conditions["Progressing"]["status"], conditions["Progressing"]["reason"]


@pytest.mark.spec("canary 10.2")
async def test_size_and_template_change_at_once() -> None:
    world = await deployed(routed(steps=ONE_STEP))
    await patch_spec(world, {"replicas": 8})
    await world.set_image("app:v2")
    await world.settle(8)
    assert await world.replicas() == {"1": 8, "2": 2}
    status = await world.status()
    assert (status["phase"], status["message"]) == ("Paused", "CanaryPauseStep")
    assert status["currentPodHash"] != status["stableRS"]


@pytest.mark.spec("canary 10.9")
async def test_steps_edited_while_nothing_happens_change_no_traffic() -> None:
    world = await deployed(routed(steps=ONE_STEP))
    route = (await world.status())["headrace"]["route"]
    await patch_spec(world, {"strategy": {"canary": {"steps": [{"setWeight": 5}, *ONE_STEP]}}})
    await world.settle()
    status = await world.status()
    assert (status["phase"], status["currentStepIndex"]) == ("Healthy", 3)
    assert status["headrace"]["route"]["weights"] == route["weights"]
    assert ("SkipSteps", "Rollback to stable ReplicaSets") in world.recorder.events


@pytest.mark.spec("canary 2.6")
@pytest.mark.parametrize(("index", "phase"), [(-1, "Paused"), (None, "Paused"), (99, "Healthy")])
async def test_any_index_that_a_client_writes_is_a_step_or_the_end(
    index: int | None, phase: str
) -> None:
    world = await updated()
    await world.patch_status({"currentStepIndex": index, "pauseConditions": None})
    await world.settle(10)
    status = await world.status()
    steps = len(ONE_STEP)
    at = (status["phase"], status["currentStepIndex"])
    assert at == (phase, 1 if phase == "Paused" else steps)
    assert (await world.replicas())["2"] == (1 if phase == "Paused" else 4)


@pytest.mark.spec("canary 2.1")
@pytest.mark.spec("canary 5.2")
async def test_a_canary_that_is_scaled_to_nothing_gives_its_traffic_back_first() -> None:
    steps = [{"setWeight": 50}, {"setCanaryScale": {"weight": 0}}, {"pause": {}}]
    world = await deployed(routed(steps=steps))
    await world.set_image("app:v2")
    await world.settle(8)
    status = await world.status()
    assert (status["phase"], status["currentStepIndex"]) == ("Paused", 2)
    assert await world.replicas() == {"1": 4, "2": 0}
    told = [message for _, message in world.recorder.events]
    weight = told.index("Traffic weight updated from 50 to 0")
    name = f"app-{status['currentPodHash']}"
    assert weight < told.index(f"Scaled down ReplicaSet {name} (revision 2) from 1 to 0")


@pytest.mark.spec("canary 10.15")
async def test_more_pods_than_wanted_hinder_no_promotion() -> None:
    # The person resumes while the size changes: the pass that only scales must not lose that.
    world = await updated()
    await patch_spec(world, {"replicas": 2})
    await world.patch_status({"pauseConditions": None})
    await world.settle(8)
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert status["stableRS"] == status["currentPodHash"]


@pytest.mark.spec("canary 10.16")
async def test_no_revision_is_kept_when_none_may_be() -> None:
    world = await updated(routed(steps=ONE_STEP, scaleDownDelayRevisionLimit=0))
    await world.patch_status({"pauseConditions": None})
    await world.settle(8)
    assert await world.replicas() == {"1": 0, "2": 4}


@pytest.mark.spec("canary 10.17")
async def test_the_replica_sets_of_an_experiment_are_not_ours() -> None:
    world = await updated()
    (first, *_) = (await world.user.list(REPLICA_SETS)).items
    service = await world.user.get(SERVICES, "default", "active")  # stands for the Experiment
    owner = {
        **first["metadata"]["ownerReferences"][0],
        "apiVersion": "v1",
        "kind": "Service",
        "name": "active",
        "uid": service["metadata"]["uid"],
    }
    labels = {**first["metadata"]["labels"], "rollouts-pod-template-hash": "experiment"}
    metadata = {
        "name": "app-experiment",
        "namespace": "default",
        "labels": labels,
        "ownerReferences": [owner],
        "annotations": {"rollout.argoproj.io/revision": "experiment"},
    }
    spec = {**first["spec"], "replicas": 3, "selector": {"matchLabels": labels}}
    template = spec["template"]
    spec["template"] = {**template, "metadata": {**template["metadata"], "labels": labels}}
    manifest = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
    before = (await world.status())["availableReplicas"]
    await world.user.create(REPLICA_SETS, manifest)
    await world.patch_status({"pauseConditions": None})
    await world.settle(40)
    assert await world.replicas() == {"1": 0, "2": 4, "experiment": 3}
    assert before == 5
    assert (await world.status())["availableReplicas"] == 4


@pytest.mark.spec("canary 10.18")
async def test_a_promotion_ends_both_kinds_of_pause() -> None:
    world = await updated()
    await patch_spec(world, {"paused": True})
    await world.settle(1)
    assert (await world.status())["message"] == "manually paused"
    patches = promote(await world.get())
    assert patches.status is not None
    assert patches.spec is not None
    await world.patch_status(patches.status)
    await patch_spec(world, patches.spec)
    await world.settle(8)
    assert (await world.status())["phase"] == "Healthy"


@pytest.mark.spec("canary 10.20")
async def test_a_pause_stops_the_clock_of_the_deadline() -> None:
    steps = [*ONE_STEP, {"setWeight": 50}, {"pause": {}}]
    world = await updated(routed(steps=steps) | {"progressDeadlineSeconds": 30})
    await world.settle(60)
    assert await progressing(world) == ("Unknown", "RolloutPaused")
    world.router_obeys = False
    await world.patch_status({"pauseConditions": None})
    await world.settle(5)
    assert (await progressing(world))[1] != "ProgressDeadlineExceeded"
    await world.settle(35)
    assert await progressing(world) == ("False", "ProgressDeadlineExceeded")


@pytest.mark.spec("canary 5.7")
async def test_a_superseded_revision_keeps_its_pods_while_traffic_may_reach_it() -> None:
    world = await updated()
    world.router_obeys = False
    await world.set_image("app:v3")
    await world.settle(10)
    # Nobody said yet that the route is empty: V2 answers, and the Service still selects it.
    assert (await world.replicas())["2"] == 1
    assert await world.weight() == 0
    status = await world.status()
    assert await world.selected("preview") not in (status["currentPodHash"], status["stableRS"])
    world.router_obeys = True
    await world.settle(8)
    assert await world.replicas() == {"1": 4, "2": 0, "3": 1}
    assert await world.weight() == 25


@pytest.mark.spec("canary 5.7")
async def test_an_undone_update_keeps_its_pods_while_traffic_may_reach_it() -> None:
    world = await updated()
    world.router_obeys = False
    await world.set_image("app:v1")
    await world.settle(10)
    assert (await world.replicas())["2"] == 1
    world.router_obeys = True
    await world.settle(40)
    assert (await world.replicas())["2"] == 0
    assert (await world.status())["phase"] == "Healthy"


@pytest.mark.spec("canary 3.4")
async def test_a_rollback_within_the_window_stops_nowhere() -> None:
    world = await updated(routed(steps=ONE_STEP) | {"rollbackWindow": {"revisions": 1}})
    await world.patch_status({"promoteFull": True})
    await world.settle(5)
    assert (await world.status())["phase"] == "Healthy"
    world.recorder.events.clear()
    await world.set_image("app:v1")
    await world.settle(10)
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert "RolloutPaused" not in world.recorder.reasons()
    completed = [text for reason, text in world.recorder.events if reason == "RolloutCompleted"]
    assert [text.rpartition(": ")[2] for text in completed] == ["Rollback within window"]


@pytest.mark.spec("rollout-api 5")
async def test_pods_that_never_become_ready_abort_at_the_deadline() -> None:
    deadline = {"progressDeadlineSeconds": 20, "progressDeadlineAbort": True}
    world = await deployed(canary(steps=ONE_STEP) | deadline)
    world.cluster.behave("app:bad", NEVER_READY)
    world.recorder.events.clear()
    await world.set_image("app:bad")
    await world.settle(30)
    status = await world.status()
    aborts = [text for reason, text in world.recorder.events if reason == "RolloutAborted"]
    timeout = f'ReplicaSet "app-{status["currentPodHash"]}" has timed out progressing.'
    assert aborts == [timeout, f"Rollout aborted update to revision 2: {timeout}"]
    assert status["message"] == f"RolloutAborted: {aborts[1]}"
    assert (await world.replicas()) == {"1": 4, "2": 0}


@pytest.mark.spec("canary 5.3")
async def test_an_update_repairs_a_stable_version_that_is_broken() -> None:
    world = await deployed(routed(steps=ONE_STEP))
    world.cluster.behave("app:v1", NEVER_READY)
    await world.settle(2)
    await world.set_image("app:v2")
    await world.settle()
    assert await world.weight() == 25
    status = await world.status()
    assert (status["phase"], status["message"]) == ("Paused", "CanaryPauseStep")
    conditions = {each["type"]: each["message"] for each in status["conditions"]}
    assert conditions["StableBroken"].startswith("The stable version has no available pods")
    await world.patch_status({"pauseConditions": None})
    await world.settle(8)
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert "StableBroken" not in [each["type"] for each in status["conditions"]]


async def edit_base(world: World, base: int | None) -> None:
    routing = {"trafficRouting": {"maxTrafficWeight": base}}
    body = MergePatch({"spec": {"strategy": {"canary": routing}}})
    await world.user.patch(ROLLOUTS, "default", "app", body)


def weighed(base: int | None, weight: int) -> dict[str, Any]:
    plugins = {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}
    steps = [{"setWeight": weight}, {"pause": {}}]
    spec = routed(trafficRouting={"plugins": plugins, "maxTrafficWeight": base}, steps=steps)
    return {**spec, "replicas": 10}


@pytest.mark.spec("canary 5.2")
async def test_a_smaller_weight_of_all_traffic_raises_no_share_before_its_pods() -> None:
    """What was a tenth becomes everything."""
    world = await deployed(weighed(1000, 100))
    await world.set_image("app:v2")
    await world.settle(10)
    world.cluster.behave("app:v2", PodBehaviour(ready_seconds=8.0))  # the first one is older
    await edit_base(world, 100)
    await world.settle(5)
    weights = (await world.status())["headrace"]["route"]["weights"]
    assert (weights["canary"], weights["stable"], weights.get("base", 100)) == (10, 90, 100)
    await world.settle(5)
    assert await world.weight() == 100


@pytest.mark.spec("canary 4.7")
async def test_a_greater_weight_of_all_traffic_takes_no_pods_before_their_share() -> None:
    """What was a half becomes a twentieth."""
    world = await deployed(weighed(100, 50))
    await world.set_image("app:v2")
    await world.settle(10)
    assert await world.replicas() == {"1": 10, "2": 5}
    world.router_obeys = False
    await edit_base(world, 1000)
    await world.settle(10)
    weights = (await world.status())["headrace"]["route"]["weights"]
    assert (weights["canary"], weights["base"]) == (50, 1000)
    assert await world.replicas() == {"1": 10, "2": 5}
    world.router_obeys = True
    await world.settle(10)
    assert await world.replicas() == {"1": 10, "2": 1}


@pytest.mark.spec("canary 4.1")
@pytest.mark.parametrize("scale", [{"replicas": -1}, {"weight": -50}])
async def test_a_negative_scale_is_none(scale: dict[str, int]) -> None:
    world = await updated(routed(steps=[{"setCanaryScale": scale}, *ONE_STEP]))
    await world.settle()
    assert (await world.status())["message"] == "CanaryPauseStep"
    assert await world.replicas() == {"1": 4, "2": 0}


@pytest.mark.spec("canary 4.2")
@pytest.mark.parametrize("limits", [{"maxSurge": -5}, {"maxUnavailable": "-50%"}])
async def test_a_negative_limit_is_none(limits: dict[str, Any]) -> None:
    world = await updated(canary(steps=ONE_STEP, **limits))
    await world.settle()
    assert (await world.status())["message"] == "CanaryPauseStep"
    assert await world.replicas() == {"1": 3, "2": 1}
