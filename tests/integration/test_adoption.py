"""A Rollout that another controller left in the middle of an update is taken over as it stands.

What that controller left is made by ours: its objects are made anew in another cluster, without
anything that only we remember, and with other hashes than ours where the test says so.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from engine_world import World, canary, deployed, routed

from headrace.kubernetes.defaults import with_defaults
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.runtime.cluster import MergePatch
from rollout_controller.core import labels

pytestmark = [pytest.mark.spec("rollout-api 7.3"), pytest.mark.spec("rollout-api 9")]

STEPS: list[dict[str, Any]] = [
    {"setWeight": 10},
    {"pause": {}},
    {"setCanaryScale": {"weight": 50}},
    {"setWeight": 40},
    {"pause": {}},
]
ANALYSIS: list[dict[str, Any]] = [
    {"setWeight": 10},
    {"analysis": {"templates": [{"templateName": "good"}]}},
    {"pause": {}},
]
TEMPLATE: Manifest = {
    "metadata": {"name": "good", "namespace": "default"},
    "spec": {"metrics": [{"name": "m", "count": 1, "provider": {"prometheus": {"query": "x"}}}]},
}


async def taken_over(old: World, *, other_hashes: bool = False) -> World:
    """Return a world with the objects of another, as a controller that we never were left them."""
    rollout = await old.get()
    renamed = _hashes(rollout["status"]) if other_hashes else {}
    world = World(_renamed(rollout["spec"], renamed))
    world.clock.advance(old.clock.now() - world.clock.now())
    await world.user.create(ANALYSIS_TEMPLATES, TEMPLATE)
    created = await world.user.create(ROLLOUTS, _bare(world.rollout, rollout))
    for resource in (SERVICES, REPLICA_SETS, ANALYSIS_RUNS):
        for manifest in (await old.user.list(resource)).items:
            bare = _bare(_renamed(manifest, renamed), manifest)
            for owner in bare["metadata"].get("ownerReferences", ()):
                owner["uid"] = created["metadata"]["uid"]
            if resource == REPLICA_SETS:
                _default(bare)
            await world.user.create(resource, bare)
    status = _renamed(rollout["status"], renamed)
    status.pop("headrace", None)
    status["observedGeneration"] = str(created["metadata"]["generation"])
    await world.patch_status(status)
    for _ in range(4):  # its pods run already
        world.cluster.step()
        world.clock.advance(1.0)
    return world


def _default(replica_set: Manifest) -> None:
    """Set the defaults of a pod template, as a real API server has done."""
    template = replica_set["spec"]["template"]
    replica_set["spec"]["template"] = with_defaults(template, quantity=str)


def _hashes(status: dict[str, Any]) -> dict[str, str]:
    mine = {status.get("currentPodHash"), status.get("stableRS")} - {None, ""}
    return {pod_hash: f"old{number}" for number, pod_hash in enumerate(sorted(map(str, mine)))}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    text = json.dumps(value)
    for old, new in names.items():
        text = text.replace(old, new)
    return json.loads(text)


def _bare(manifest: Manifest, original: Manifest) -> Manifest:
    """Return what one gives to create an object, without what is ours alone."""
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    metadata = {**original["metadata"], **manifest["metadata"]}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if not key.startswith(labels.HEADRACE_PREFIX)
    }
    metadata = {key: value for key, value in metadata.items() if key in kept}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


Story = Callable[[], Awaitable[World]]


async def in_pause() -> World:
    world = await deployed(routed(steps=STEPS))
    await world.set_image("app:v2")
    await world.settle()
    return world


async def in_weight() -> World:
    """The pods of the canary are not ready yet."""
    world = await deployed(routed(steps=STEPS))
    await world.set_image("app:v2")
    await world.settle(0.5)
    return world


async def in_scale() -> World:
    world = await in_pause()
    await world.patch_status({"pauseConditions": None})
    await world.settle(0.5)
    return world


async def in_analysis() -> World:
    world = World(routed(steps=ANALYSIS))
    await world.user.create(ANALYSIS_TEMPLATES, TEMPLATE)
    await world.create()
    await world.settle()
    await world.set_image("app:v2")
    await world.settle()
    return world


async def in_basic_pause() -> World:
    world = await deployed(canary(steps=[{"setWeight": 25}, {"pause": {}}]))
    await world.set_image("app:v2")
    await world.settle()
    return world


async def aborted() -> World:
    world = await in_pause()
    await world.patch_status({"abort": True})
    await world.settle(3)
    return world


async def held_by_a_person() -> World:
    world = await in_pause()
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": {"paused": True}}))
    await world.settle(1)
    return world


async def promoted_with_delay() -> World:
    world = await in_pause()
    await world.patch_status({"promoteFull": True})
    await world.settle(5)
    return world


STORIES: list[Story] = [
    in_pause,
    in_weight,
    in_scale,
    in_analysis,
    in_basic_pause,
    aborted,
    held_by_a_person,
    promoted_with_delay,
]
KEPT = ("currentPodHash", "stableRS", "currentStepHash", "currentStepIndex", "abort", "phase")


@pytest.mark.parametrize("other_hashes", [False, True], ids=["our hashes", "other hashes"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_nothing_begins_anew(story: Story, other_hashes: bool) -> None:
    old = await story()
    world = await taken_over(old, other_hashes=other_hashes)
    before, sets = await world.status(), await world.replicas()
    traffic = ((before.get("canary") or {}).get("weights") or {}).get("canary", {})
    seen = [traffic.get("weight", 0)]
    for _ in range(8):
        await world.settle(0.25)
        route = (await world.status()).get("headrace", {}).get("route")
        seen.append(route["weights"]["canary"] if route else seen[-1])
    after = await world.status()
    moving = story in (in_weight, in_scale)
    fields = [name for name in KEPT if not moving or name not in ("currentStepIndex", "phase")]
    assert {name: after.get(name) for name in fields} == {name: before.get(name) for name in fields}
    assert set(await world.replicas()) == set(sets)
    assert not {"RolloutUpdated", "NewReplicaSetCreated", "RolloutNotCompleted"} & set(
        world.recorder.reasons()
    )
    assert seen == sorted(seen), "the canary lost traffic in the takeover"
    if story is aborted:
        assert set(seen) == {0}


@pytest.mark.parametrize("other_hashes", [False, True], ids=["our hashes", "other hashes"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_the_update_goes_on_to_its_end(story: Story, other_hashes: bool) -> None:
    world = await taken_over(await story(), other_hashes=other_hashes)
    await world.settle(3)
    if story is aborted:
        await world.patch_status({"abort": False})
    if story is held_by_a_person:
        body = MergePatch({"spec": {"paused": False}})
        await world.user.patch(ROLLOUTS, "default", "app", body)
    if story is in_analysis:
        [run] = (await world.user.list(ANALYSIS_RUNS)).items
        body = MergePatch({"status": {"phase": "Successful"}})
        await world.user.patch(ANALYSIS_RUNS, "default", run["metadata"]["name"], body)
    await world.settle(3)
    for _ in range(4):
        if (await world.status()).get("pauseConditions"):
            await world.patch_status({"pauseConditions": None})
        await world.settle(4)
    status = await world.status()
    assert (status["phase"], status.get("message")) == ("Healthy", None)
    assert status["stableRS"] == status["currentPodHash"]
    await world.settle(35)
    assert await world.replicas() == {"1": 0, "2": 4}
    assert len((await world.user.list(ANALYSIS_RUNS)).items) <= 1


async def test_the_old_version_goes_down_at_the_time_that_stood_there() -> None:
    old = await promoted_with_delay()
    deadlines = {
        rs["metadata"]["annotations"].get(labels.SCALE_DOWN_DEADLINE)
        for rs in (await old.user.list(REPLICA_SETS)).items
    }
    world = await taken_over(old)
    await world.settle(3)
    assert {
        rs["metadata"]["annotations"].get(labels.SCALE_DOWN_DEADLINE)
        for rs in (await world.user.list(REPLICA_SETS)).items
    } == deadlines
    assert (await world.replicas())["1"] == 4


async def test_the_router_is_asked_for_what_is_there_with_a_fresh_epoch() -> None:
    """The fence of another life of this Rollout may hold any small number."""
    world = await taken_over(await in_pause())
    await world.settle(1)
    route = (await world.status())["headrace"]["route"]
    assert route["weights"]["canary"] == 10
    assert route["epoch"] >= int(world.clock.now()) - 60
