"""What edits and skips in the middle of an update do to its analyses (canary 7, 10.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from engine_world import World, canary, routed

from headrace.errors import Conflict, Forbidden
from headrace.events.rollout import AnalysisRequested
from headrace.kubernetes.resources import ANALYSIS_RUNS, ANALYSIS_TEMPLATES, ROLLOUTS, Manifest
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import Request

pytestmark = pytest.mark.spec("canary 7")

ANALYSIS: dict[str, Any] = {"templates": [{"templateName": "ratio"}]}
OTHER: dict[str, Any] = {**ANALYSIS, "args": [{"name": "side", "value": "new"}]}
TEMPLATE: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "ratio", "namespace": "default"},
    "spec": {
        "args": [{"name": "side", "value": "any"}],
        "metrics": [{"name": "m", "count": 1, "provider": {"prometheus": {"query": "up"}}}],
    },
}
PAUSE: dict[str, Any] = {"pause": {}}


class Judged(World):
    """An update whose analyses are judged by the test."""

    async def runs(self) -> dict[str, Manifest]:
        """Return the runs by what follows the hash in their names."""
        found = (await self.user.list(ANALYSIS_RUNS)).items
        return {run["metadata"]["name"].split("-", 2)[2]: run for run in found}

    async def judge(self, name: str, phase: str, message: str = "") -> None:
        run = (await self.runs())[name]
        status = {"status": {"phase": phase, "message": message}}
        await self.user.patch(ANALYSIS_RUNS, "default", run["metadata"]["name"], MergePatch(status))
        await self.settle()

    async def edit(self, **strategy: Any) -> None:
        body = MergePatch({"spec": {"strategy": {"canary": strategy}}})
        await self.user.patch(ROLLOUTS, "default", "app", body)
        await self.settle(8)

    async def index(self) -> int:
        return int((await self.status())["currentStepIndex"])


async def updated(**strategy: Any) -> Judged:
    return await updated_from(canary(**strategy))


async def updated_from(spec: Mapping[str, Any]) -> Judged:
    world = Judged(dict(spec))
    await world.user.create(ANALYSIS_TEMPLATES, TEMPLATE)
    await world.create()
    await world.settle()
    await world.set_image("app:v2")
    await world.settle()
    return world


@pytest.mark.spec("canary 10.8")
@pytest.mark.spec("rollout-api 8")
async def test_steps_edited_after_a_verdict_are_judged_again() -> None:
    world = await updated(steps=[{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE])
    await world.judge("2-1", "Successful")
    assert await world.index() == 2
    await world.edit(steps=[{"setWeight": 50}, {"analysis": ANALYSIS}, PAUSE])
    assert await world.index() == 1
    assert set(await world.runs()) == {"2-1", "2-1.1"}
    await world.judge("2-1.1", "Successful")
    assert await world.index() == 2


@pytest.mark.spec("canary 10.8")
async def test_the_end_of_a_run_that_an_edit_terminated_is_no_verdict() -> None:
    world = await updated(steps=[{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE])
    await world.edit(steps=[{"setWeight": 50}, {"analysis": ANALYSIS}, PAUSE])
    assert (await world.runs())["2-1"]["spec"]["terminate"] is True
    await world.judge("2-1", "Successful", "Run Terminated")
    assert await world.index() == 1
    await world.judge("2-1.1", "Successful")
    assert await world.index() == 2


@pytest.mark.spec("canary 10.8")
async def test_the_background_goes_on_over_an_edit_of_the_steps() -> None:
    world = await updated(steps=[{"setWeight": 25}, PAUSE], analysis=ANALYSIS)
    await world.edit(steps=[{"setWeight": 50}, PAUSE])
    (run,) = (await world.runs()).values()
    assert not run["spec"].get("terminate")
    status = await world.status()
    current = status["canary"]["currentBackgroundAnalysisRunStatus"]
    assert current["name"] == run["metadata"]["name"]
    await world.judge("2", "Failed")
    assert (await world.status())["phase"] == "Degraded"


async def test_a_background_that_is_taken_away_and_given_back_judges_anew() -> None:
    world = await updated(steps=[{"setWeight": 25}, PAUSE], analysis=ANALYSIS)
    await world.judge("2", "Successful")
    await world.edit(analysis=None)
    await world.edit(analysis=ANALYSIS)
    assert set(await world.runs()) == {"2", "2.1"}
    await world.judge("2.1", "Failed")
    assert (await world.status())["phase"] == "Degraded"


@pytest.mark.spec("canary 10.8")
async def test_another_background_takes_the_place_of_one_that_asks_for_something_else() -> None:
    world = await updated(steps=[{"setWeight": 25}, PAUSE], analysis=ANALYSIS)
    await world.edit(steps=[{"setWeight": 50}, PAUSE], analysis=OTHER)
    runs = await world.runs()
    assert set(runs) == {"2", "2.1"}
    assert runs["2"]["spec"]["terminate"] is True
    assert runs["2.1"]["spec"]["args"] == [{"name": "side", "value": "new"}]
    assert not runs["2.1"]["spec"].get("terminate")


@pytest.mark.spec("canary 10.8")
async def test_a_step_whose_run_asks_for_the_same_goes_on_with_it() -> None:
    world = await updated(steps=[{"analysis": ANALYSIS}, PAUSE])
    await world.edit(steps=[{"analysis": ANALYSIS}, {"setWeight": 50}, PAUSE])
    assert set(await world.runs()) == {"2-0"}
    await world.judge("2-0", "Successful")
    assert await world.index() == 2


async def test_a_step_that_is_skipped_and_taken_up_again_is_judged_anew() -> None:
    world = await updated(steps=[{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE])
    await world.patch_status({"currentStepIndex": 2})
    await world.settle()
    await world.judge("2-1", "Successful", "Run Terminated")
    await world.patch_status(
        {"currentStepIndex": 1, "pauseConditions": None, "controllerPause": False}
    )
    await world.settle()
    assert await world.index() == 1
    assert set(await world.runs()) == {"2-1", "2-1.1"}


async def go_back(world: Judged, index: int) -> None:
    await world.patch_status(
        {"currentStepIndex": index, "pauseConditions": None, "controllerPause": False}
    )
    await world.settle()


async def test_a_step_that_was_passed_and_is_taken_up_again_is_judged_anew() -> None:
    world = await updated(steps=[{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE])
    await world.judge("2-1", "Successful")
    assert await world.index() == 2
    await go_back(world, 1)
    assert await world.index() == 1
    assert set(await world.runs()) == {"2-1", "2-1.1"}
    await world.judge("2-1.1", "Failed")
    assert (await world.status())["phase"] == "Degraded"


async def test_a_step_that_was_passed_as_inconclusive_is_judged_anew() -> None:
    world = await updated(steps=[{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE])
    await world.judge("2-1", "Inconclusive")
    await go_back(world, 2)
    assert await world.index() == 2
    await go_back(world, 1)
    status = await world.status()
    assert (status["phase"], await world.index()) == ("Progressing", 1)
    assert set(await world.runs()) == {"2-1", "2-1.1"}


@pytest.mark.spec("canary 3.3")
@pytest.mark.parametrize("is_background", [False, True])
async def test_a_retry_before_the_abort_is_claimed_judges_anew(is_background: bool) -> None:
    step = PAUSE if is_background else {"analysis": ANALYSIS}
    spec = routed(steps=[{"setWeight": 25}, step, {"setWeight": 50}, PAUSE])
    if is_background:
        spec["strategy"]["canary"]["analysis"] = ANALYSIS
    world = await updated_from(spec)
    run = "2" if is_background else "2-1"
    world.router_obeys = False  # the claim of the abort waits for it
    await world.patch_status({"abort": True})
    await world.settle(1)
    assert (await world.status())["phase"] != "Degraded"
    assert (await world.runs())[run]["spec"]["terminate"] is True
    await world.patch_status({"abort": False})
    await world.settle(1)
    assert await world.index() == 0
    world.router_obeys = True
    await world.judge(run, "Successful", "Run Terminated")
    assert await world.index() == 1
    runs = await world.runs()
    assert set(runs) == {run, f"{run}.1"}
    assert not runs[f"{run}.1"]["spec"].get("terminate")


@pytest.mark.spec("canary 3.3")
@pytest.mark.parametrize("refused", ["rollouts", "replicasets"])
async def test_a_retry_of_an_abort_that_was_cut_short_judges_anew(refused: str) -> None:
    world = await updated(steps=[{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE])
    asked: list[str] = []

    def refuse(request: Request) -> None:
        if request.verb == "patch" and request.identity == "rollout-controller":
            asked.append(request.resource)
            if request.resource == refused and "analysisruns" in asked:
                raise Forbidden("denied by a webhook")

    world.cluster.intercept = refuse
    await world.patch_status({"abort": True})
    await world.sync()
    assert (await world.reconciler.process("default/app")).is_error
    assert (await world.runs())["2-1"]["spec"]["terminate"] is True
    world.cluster.intercept = None
    await world.patch_status({"abort": False})
    await world.settle()
    await world.judge("2-1", "Successful", "Run Terminated")
    assert await world.index() == 1
    assert set(await world.runs()) == {"2-1", "2-1.1"}


@pytest.mark.spec("cli-and-clients 9")
@pytest.mark.parametrize("changed", ["services", "replicasets"])
async def test_why_an_update_is_aborted_is_told_though_something_changes_meanwhile(
    changed: str,
) -> None:
    steps = [{"setWeight": 25}, {"analysis": ANALYSIS}, PAUSE]
    world = await updated_from(routed(steps=steps))
    world.recorder.events.clear()
    left = [Conflict("the object has been modified")]

    def refuse(request: Request) -> None:
        if request.verb == "patch" and request.resource == changed and left:
            raise left.pop()

    world.cluster.intercept = refuse
    await world.judge("2-1", "Failed", "bad")
    assert not left
    told = world.recorder.reasons()
    assert (told[0], told.count("AnalysisRunFailed")) == ("AnalysisRunFailed", 1)
    assert told[-1] == "RolloutAborted"


@pytest.mark.parametrize("label", ["rollout-type", "step-index"])
async def test_a_run_is_known_whatever_its_labels_say(label: str) -> None:
    named = {**ANALYSIS, "analysisRunMetadata": {"labels": {label: "mine"}}}
    world = await updated(steps=[{"setWeight": 25}, {"analysis": named}, PAUSE], analysis=named)
    version = (await world.get())["metadata"]["resourceVersion"]
    await world.settle()
    assert (await world.get())["metadata"]["resourceVersion"] == version
    runs = await world.runs()
    assert set(runs) == {"2", "2-1"}
    assert runs["2-1"]["metadata"]["labels"][label] == "mine"
    asked = [
        each.payload for each in world.bus.events if isinstance(each.payload, AnalysisRequested)
    ]
    assert [(each.run_type, each.step) for each in asked] == [("Background", None), ("Step", 1)]
    await world.judge("2-1", "Successful")
    assert await world.index() == 2
