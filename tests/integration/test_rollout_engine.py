"""The rollout-controller's shell on a memory cluster, with a router that obeys at once or not."""

import itertools

import pytest
from engine_world import STEPS, World, canary, deployed, routed

from headrace.errors import Forbidden
from headrace.kubernetes.hashes import pod_template_hash
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    REPLICA_SETS,
    ROLLOUTS,
    Manifest,
    Resource,
)
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import Request


@pytest.mark.spec("canary 2.3")
async def test_a_first_deployment_becomes_healthy_and_quiet() -> None:
    world = await deployed(routed())
    status = await world.status()
    assert (status["phase"], status.get("message")) == ("Healthy", None)
    assert status["currentStepIndex"] == len(STEPS)
    assert status["stableRS"] == status["currentPodHash"]
    assert await world.selected("active") == status["stableRS"]
    assert world.recorder.reasons()[:6] == [
        "RolloutAddedToInformer",
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
        "RolloutCompleted",
    ]
    before = len(world.cluster.requests)
    version = (await world.get())["metadata"]["resourceVersion"]
    await world.settle(10)
    assert (await world.get())["metadata"]["resourceVersion"] == version
    writes = [r for r in list(world.cluster.requests)[before:] if r.verb in ("patch", "create")]
    assert writes == []


@pytest.mark.spec("canary 1")
@pytest.mark.spec("canary 5.6")
async def test_a_manual_canary_moves_by_promotion() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    status = await world.status()
    assert (status["phase"], status["message"]) == ("Paused", "CanaryPauseStep")
    assert status["currentStepIndex"] == 2
    assert await world.weight() == 10
    assert await world.replicas() == {"1": 4, "2": 1}
    assert await world.selected("preview") == status["currentPodHash"]
    assert await world.selected("active") == status["stableRS"]

    await world.patch_status({"pauseConditions": None})
    await world.settle()
    assert await world.weight() == 33
    assert await world.replicas() == {"1": 4, "2": 2}

    await world.patch_status({"pauseConditions": None})
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert status["stableRS"] == status["currentPodHash"]
    assert await world.selected("active") == status["currentPodHash"]
    assert await world.selected("preview") == status["currentPodHash"]
    assert await world.weight() == 0
    await world.settle(35)
    assert await world.replicas() == {"1": 0, "2": 4}


@pytest.mark.spec("canary 3.3")
async def test_an_abort_brings_traffic_back_and_retry_begins_again() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.patch_status({"abort": True})
    await world.settle(1)
    status = await world.status()
    assert status["phase"] == "Degraded"
    assert status["message"] == "RolloutAborted: Rollout aborted update to revision 2"
    assert status["currentStepIndex"] == 0
    assert await world.weight() == 0
    assert await world.selected("preview") == status["stableRS"]
    await world.settle(35)
    assert await world.replicas() == {"1": 4, "2": 0}

    await world.patch_status({"abort": False})
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Paused"
    assert await world.weight() == 10
    assert "abortedAt" not in status


async def test_no_step_completes_before_the_route_is_acknowledged() -> None:
    world = await deployed(routed())
    world.router_obeys = False
    await world.set_image("app:v2")
    await world.settle()
    status = await world.status()
    assert status["currentStepIndex"] == 0
    assert status["headrace"]["waiting"]["reason"] == "RouteAcknowledgement"
    assert status["canary"]["weights"]["canary"]["weight"] == 0
    world.router_obeys = True
    await world.settle()
    assert (await world.status())["currentStepIndex"] == 2


async def test_an_abort_without_router_moves_the_service_and_is_told() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    world.router_obeys = False
    await world.patch_status({"abort": True})
    await world.settle(1)
    stable = (await world.status())["stableRS"]
    assert await world.selected("preview") == stable
    assert (await world.status())["phase"] != "Degraded"
    await world.settle(2)
    assert (await world.status())["phase"] == "Degraded"
    await world.settle(40)
    assert (await world.replicas())["2"] == 1


@pytest.mark.spec("cli-and-clients 9")
@pytest.mark.spec("cli-and-clients 9.1")
async def test_a_basic_canary_has_the_events_of_the_reference() -> None:
    world = await deployed(canary(steps=[{"setWeight": 25}, {"pause": {}}]))
    world.recorder.events.clear()
    await world.set_image("app:v2")
    await world.settle(8)
    assert world.recorder.reasons()[:4] == [
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
    ]
    assert world.recorder.reasons()[-2:] == ["RolloutStepCompleted", "RolloutPaused"]
    world.recorder.events.clear()
    await world.patch_status({"abort": True})
    await world.settle(8)
    assert "RolloutAborted" in world.recorder.reasons()
    world.recorder.events.clear()
    await world.patch_status({"abort": False})
    await world.settle(8)
    assert world.recorder.reasons()[-2:] == ["RolloutStepCompleted", "RolloutPaused"]
    world.recorder.events.clear()
    await world.patch_status({"pauseConditions": None})
    await world.settle(20)
    assert world.recorder.reasons()[-1] == "RolloutCompleted"
    assert (await world.status())["phase"] == "Healthy"


@pytest.mark.parametrize(
    ("phase", "wanted"), [("Successful", "Paused"), ("Failed", "Degraded"), ("Error", "Degraded")]
)
@pytest.mark.spec("canary 7")
async def test_a_step_analysis_decides(phase: str, wanted: str) -> None:
    analysis = {"templates": [{"templateName": "check"}]}
    spec = routed(steps=[{"setWeight": 10}, {"analysis": analysis}, {"pause": {}}])
    world = World(spec)
    template: Manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "check", "namespace": "default"},
        "spec": {"metrics": [{"name": "m", "count": 1, "provider": {"prometheus": {}}}]},
    }
    await world.user.create(ANALYSIS_TEMPLATES, template)
    await world.create()
    await world.settle()
    await world.set_image("app:v2")
    await world.settle()
    runs = (await world.user.list(ANALYSIS_RUNS)).items
    assert len(runs) == 1
    name = runs[0]["metadata"]["name"]
    status = await world.status()
    assert status["canary"]["currentStepAnalysisRunStatus"]["name"] == name
    await finish(world, ANALYSIS_RUNS, name, phase)
    await world.settle()
    status = await world.status()
    assert status["phase"] == wanted
    assert len((await world.user.list(ANALYSIS_RUNS)).items) == 1
    if wanted == "Degraded":
        assert "Step-based analysis phase error/failed: because" in status["message"]
        assert await world.weight() == 0


async def finish(world: World, resource: Resource, name: str, phase: str) -> None:
    body = MergePatch({"status": {"phase": phase, "message": "because"}})
    await world.user.patch(resource, "default", name, body)


@pytest.mark.spec("canary 5.7")
async def test_a_new_image_in_the_middle_drains_the_old_canary_first() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.set_image("app:v3")
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Paused"
    assert await world.weight() == 10
    assert await world.selected("preview") == status["currentPodHash"]
    assert await world.replicas() == {"1": 4, "2": 0, "3": 1}


@pytest.mark.spec("canary 3.4")
async def test_undo_in_the_middle_returns_to_stable_at_once() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.set_image("app:v1")
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert status["currentPodHash"] == status["stableRS"]
    assert await world.weight() == 0
    assert "SkipSteps" in world.recorder.reasons()


@pytest.mark.spec("canary 3.2")
async def test_promote_full_skips_steps_and_pauses() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.patch_status({"promoteFull": True})
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert "promoteFull" not in status
    assert await world.weight() == 0


@pytest.mark.spec("canary 10.1")
@pytest.mark.spec("rollout-api 9")
async def test_scaling_during_a_pause_scales_both_sides() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": {"replicas": 8}}))
    await world.settle()
    assert await world.replicas() == {"1": 8, "2": 2}
    assert (await world.status())["phase"] == "Paused"


async def test_a_refused_effect_is_told_and_nothing_that_rests_on_it_is_claimed() -> None:
    world = await deployed(routed())

    def refuse(request: Request) -> None:
        if request.verb == "patch" and request.resource == "services":
            raise Forbidden("services is forbidden")

    world.cluster.intercept = refuse
    await world.set_image("app:v2")
    for _ in range(40):
        await world.sync()
        outcome = await world.reconciler.process("default/app")
        await world.route()
        world.cluster.step()
        world.clock.advance(0.25)
    assert outcome.is_error
    status = await world.status()
    assert status["observedGeneration"] == str((await world.get())["metadata"]["generation"])
    assert (status["updatedReplicas"], status["currentStepIndex"]) == (1, 0)
    waiting = status["headrace"]["waiting"]
    assert (waiting["reason"], waiting["on"]) == ("Failure", "SwitchService preview")
    assert waiting["unblock"] == "services is forbidden"
    version = (await world.get())["metadata"]["resourceVersion"]
    await world.reconciler.process("default/app")
    assert (await world.get())["metadata"]["resourceVersion"] == version
    world.cluster.intercept = None
    await world.settle()
    assert (await world.status())["phase"] == "Paused"


@pytest.mark.spec("canary 2.2")
async def test_a_refused_write_at_the_beginning_of_an_update_skips_no_step() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.patch_status({"promoteFull": True})
    await world.settle(40)
    assert (await world.status())["phase"] == "Healthy"

    def refuse(request: Request) -> None:
        if request.verb == "patch" and request.resource == "replicasets":
            raise Forbidden("denied by a webhook")

    world.cluster.intercept = refuse
    world.recorder.events.clear()
    world.bus.events.clear()
    await world.set_image("app:v1")
    await world.sync()
    assert (await world.reconciler.process("default/app")).is_error
    status = await world.status()
    assert (status["currentStepIndex"], status["phase"]) == (0, "Progressing")
    assert world.recorder.reasons() == ["RolloutNotCompleted"]
    assert "headrace.rollout.updated.v1" in [event.type for event in world.bus.events]
    world.cluster.intercept = None
    await world.settle()
    assert (await world.status())["message"] == "CanaryPauseStep"
    assert await world.weight() == 10


@pytest.mark.spec("cli-and-clients 9")
async def test_what_was_done_before_a_refused_write_is_told_all_the_same() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    world.recorder.events.clear()

    def refuse(request: Request) -> None:
        if request.verb == "patch" and request.resource == "replicasets":
            raise Forbidden("denied by a webhook")

    world.cluster.intercept = refuse
    await world.patch_status({"abort": True})
    for _ in range(20):
        await world.sync()
        await world.reconciler.process("default/app")
        await world.route()
        world.clock.advance(0.25)
    assert await world.selected("preview") == await world.selected("active")
    assert world.recorder.reasons().count("SwitchService") == 1


@pytest.mark.spec("canary 3.2")
async def test_a_full_promotion_asked_for_one_revision_promotes_no_other() -> None:
    """An abort, its full promotion and a new image that arrive together."""
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    await world.patch_status({"abort": True, "promoteFull": True})
    await world.set_image("app:v3")
    await world.settle(20)
    status = await world.status()
    assert (status["message"], status["currentStepIndex"]) == ("CanaryPauseStep", 2)
    assert await world.weight() == 10


@pytest.mark.spec("rollout-api 7.4")
async def test_a_replica_set_that_cannot_be_created_is_told() -> None:
    world = await deployed(routed())

    def refuse(request: Request) -> None:
        if request.verb == "create" and request.resource == "replicasets":
            raise Forbidden("exceeded quota")

    world.cluster.intercept = refuse
    await world.set_image("app:v2")
    await world.sync()
    outcome = await world.reconciler.process("default/app")
    assert outcome.is_error
    status = await world.status()
    conditions = {c["type"]: c for c in status["conditions"]}
    name = f"app-{pod_template_hash((await world.get())['spec']['template'])}"
    told = f'Failed to create new replica set "{name}": exceeded quota'
    assert conditions["Progressing"]["reason"] == "ReplicaSetCreateError"
    assert conditions["Progressing"]["message"] == told
    assert world.recorder.events[-1] == ("ReplicaSetCreateError", told)
    assert status["observedGeneration"] == str((await world.get())["metadata"]["generation"])
    assert (status["phase"], status["message"]) == (
        "Progressing",
        "more replicas need to be updated",
    )
    assert status["headrace"]["waiting"]["unblock"] == "exceeded quota"
    world.cluster.intercept = None
    await world.settle()
    assert (await world.status())["phase"] == "Paused"


async def test_an_invalid_edit_is_refused_and_an_abort_still_works() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    bad = {"spec": {"strategy": {"canary": {"steps": [{"setWeight": 200}]}}}}
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch(bad))
    await world.settle(1)
    status = await world.status()
    assert status["phase"] == "Degraded"
    assert status["message"].startswith('InvalidSpec: The Rollout "app" is invalid: ')
    assert await world.weight() == 10
    await world.patch_status({"abort": True})
    await world.settle(1)
    assert await world.weight() == 0


async def test_a_settled_rollout_causes_no_writes() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    for intent in ({}, {"abort": True}):
        if intent:
            await world.patch_status(intent)
        await world.settle(40)
        before = len(world.cluster.requests)
        await world.settle(60)
        requests = list(world.cluster.requests)[before:]
        assert [r for r in requests if r.verb not in ("list", "get", "watch")] == []


@pytest.mark.spec("rollout-api 7.4")
async def test_an_orphan_that_the_selector_matches_is_adopted() -> None:
    world = await deployed(routed())
    (owned,) = (await world.user.list(REPLICA_SETS)).items
    name = owned["metadata"]["name"]
    nobody = MergePatch({"metadata": {"ownerReferences": None}})
    await world.user.patch(REPLICA_SETS, "default", name, nobody)
    await world.settle()
    (adopted,) = (await world.user.list(REPLICA_SETS)).items
    owners = adopted["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [(await world.get())["metadata"]["uid"]]
    assert (await world.status())["phase"] == "Healthy"


@pytest.mark.spec("rollout-api 7.4")
async def test_a_replica_set_that_no_longer_matches_is_released() -> None:
    world = await deployed(routed())
    await world.set_image("app:v2")
    await world.settle()
    sets = (await world.user.list(REPLICA_SETS)).items
    old = next(rs for rs in sets if rs["spec"]["replicas"] == 4)
    foreign = MergePatch({"metadata": {"labels": {"app": "other"}}})
    await world.user.patch(REPLICA_SETS, "default", old["metadata"]["name"], foreign)
    await world.settle(1)
    released = await world.user.get(REPLICA_SETS, "default", old["metadata"]["name"])
    assert not released["metadata"].get("ownerReferences")


async def test_an_unanswered_request_is_said_again_with_growing_delays_up_to_the_longest() -> None:
    world = World(routed())
    await world.create()
    await world.settle(10)
    world.router_obeys = False
    await world.set_image("app:v2")
    await world.settle(65)
    requests = [each for each in world.bus.events if each.type == "headrace.route.requested.v1"]
    newest = requests[-1].epoch
    times = [each.time for each in requests if each.epoch == newest]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses[:3] == pytest.approx([1, 2, 4], abs=0.3)
    assert 8 < max(pauses) <= 10.3
