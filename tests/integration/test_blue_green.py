"""Blue-green on a memory cluster: the whole controller, in virtual time."""

from typing import Any

import pytest
from engine_world import World

from headrace.errors import Conflict, Forbidden
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.model.meta import format_time
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import Request
from headrace.runtime.cluster_memory.pods import NEVER_READY, PodBehaviour
from rollout_controller.core import labels

MANUAL = {"autoPromotionEnabled": False}
WRITES = ("create", "patch", "update", "delete", "evict")
READY = PodBehaviour(ready_seconds=0.0)
ANALYSIS = {"templates": [{"templateName": "ratio"}], "args": [{"name": "side", "value": "new"}]}
TEMPLATE: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "ratio", "namespace": "default"},
    "spec": {
        "args": [{"name": "side"}],
        "metrics": [{"name": "m", "count": 1, "provider": {"prometheus": {"query": "up"}}}],
    },
}


class BlueGreen(World):
    """A Rollout with the strategy blueGreen, and what users do to it."""

    def __init__(self, strategy: dict[str, Any], spec: dict[str, Any]) -> None:
        template = {
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
        }
        services = {"activeService": "active", "previewService": "preview"}
        self.is_strict = False
        super().__init__(
            {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "app"}},
                "template": template,
                "strategy": {"blueGreen": {**services, **strategy}},
                **spec,
            }
        )

    async def phase(self) -> tuple[str, str]:
        status = await self.status()
        return status["phase"], status.get("message", "")

    async def active(self) -> str:
        """The revision that the active Service selects."""
        return await self.revision_of(await self.selected("active"))

    async def preview(self) -> str:
        """The revision that the preview Service selects."""
        return await self.revision_of(await self.selected("preview"))

    async def stable(self) -> str:
        return await self.revision_of((await self.status())["stableRS"])

    async def revision_of(self, pod_hash: str) -> str:
        found = {rs["metadata"]["labels"][labels.HASH]: rs for rs in await self.replica_sets()}
        if pod_hash not in found:
            return ""
        return str(found[pod_hash]["metadata"]["annotations"][labels.REVISION])

    async def replica_sets(self) -> list[Manifest]:
        return list((await self.user.list(REPLICA_SETS)).items)

    async def replica_set(self, revision: str) -> Manifest:
        for rs in await self.replica_sets():
            if rs["metadata"]["annotations"][labels.REVISION] == revision:
                return rs
        raise AssertionError(f"no revision {revision}")

    async def has_deadline(self, revision: str) -> bool:
        rs = await self.replica_set(revision)
        return labels.SCALE_DOWN_DEADLINE in rs["metadata"]["annotations"]

    async def patch_spec(self, spec: dict[str, Any]) -> None:
        await self.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": spec}))

    async def update(self, image: str, seconds: float = 5.0) -> None:
        await self.set_image(image)
        await self.settle(seconds)

    async def resume(self) -> None:
        await self.patch_status({"pauseConditions": None})

    async def runs(self) -> dict[str, Manifest]:
        return {run["metadata"]["name"]: run for run in (await self.user.list(ANALYSIS_RUNS)).items}

    async def judge(self, suffix: str, phase: str, message: str = "") -> None:
        """Let the newest run of a kind end; also one that is being terminated."""
        name = max(name for name in await self.runs() if suffix in name)
        status = {"phase": phase, "message": message}
        await self.user.patch(ANALYSIS_RUNS, "default", name, MergePatch({"status": status}))

    async def pods(self) -> list[Manifest]:
        return list((await self.user.list(PODS)).items)

    async def roles(self) -> dict[str, set[str | None]]:
        """The label `role` of the pods of each image."""
        found: dict[str, set[str | None]] = {}
        for pod in await self.pods():
            image = pod["spec"]["containers"][0]["image"].removeprefix("app:")
            found.setdefault(image, set()).add(pod["metadata"]["labels"].get("role"))
        return found

    async def restart(self) -> None:
        await self.patch_spec({"restartAt": format_time(self.clock.now())})


async def deployed(strategy: dict[str, Any] | None = None, **spec: Any) -> BlueGreen:
    world = BlueGreen(strategy or {}, spec)
    await world.user.create(ANALYSIS_TEMPLATES, TEMPLATE)
    await world.create()
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    world.recorder.events.clear()
    return world


# Updates (bluegreen 1, 4, 5, 8)


@pytest.mark.spec("bluegreen 8")
@pytest.mark.spec("bluegreen 2")
async def test_a_first_deployment_is_stable_at_once_and_serves_when_all_pods_are_there() -> None:
    world = BlueGreen({}, {})
    world.cluster.behave("app:v1", NEVER_READY)
    await world.create()
    await world.settle()
    status = await world.status()
    assert status["stableRS"] == status["currentPodHash"]
    assert await world.phase() == (
        "Progressing",
        "updated replicas are still becoming available",
    )
    assert await world.active() == ""
    assert await world.preview() == "1"
    world.cluster.behave("app:v1", READY)
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "1"
    assert (await world.status())["blueGreen"] == {
        "activeSelector": status["stableRS"],
        "previewSelector": status["stableRS"],
    }


@pytest.mark.spec("cli-and-clients 9.1")
async def test_events_come_in_the_order_of_the_reference() -> None:
    world = BlueGreen({"previewService": ""}, {})
    await world.create()
    await world.settle()
    assert world.recorder.reasons() == [
        "RolloutAddedToInformer",
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "ScalingReplicaSet",
        "RolloutCompleted",
        "SwitchService",
    ]
    world.recorder.events.clear()
    await world.update("app:v2")
    assert world.recorder.reasons() == [
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
        "SwitchService",
        "RolloutCompleted",
    ]
    assert world.recorder.events[-1][1].endswith(": Completed blue-green update")


@pytest.mark.spec("bluegreen 1")
@pytest.mark.spec("bluegreen 8")
@pytest.mark.spec("bluegreen 3.3")
async def test_an_update_promotes_itself_and_the_old_version_goes_after_its_delay() -> None:
    world = await deployed()
    await world.update("app:v2")
    assert await world.phase() == ("Healthy", "")
    assert (await world.active(), await world.preview(), await world.stable()) == ("2", "2", "2")
    assert await world.replicas() == {"1": 3, "2": 3}
    assert await world.has_deadline("1")
    await world.settle(20)
    assert await world.replicas() == {"1": 3, "2": 3}
    await world.settle(10)
    assert await world.replicas() == {"1": 0, "2": 3}
    assert not await world.has_deadline("1")


@pytest.mark.spec("bluegreen 4")
@pytest.mark.spec("bluegreen 11")
async def test_a_person_promotes() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    status = await world.status()
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert [pause["reason"] for pause in status["pauseConditions"]] == ["BlueGreenPause"]
    assert status["controllerPause"] is True
    assert (await world.active(), await world.preview()) == ("1", "2")
    assert await world.replicas() == {"1": 3, "2": 3}
    await world.settle(60)
    assert await world.active() == "1"
    await world.resume()
    await world.settle(1)
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "2"


@pytest.mark.spec("bluegreen 4")
async def test_a_countdown_promotes() -> None:
    world = await deployed({"autoPromotionSeconds": 20})
    await world.update("app:v2", 15)
    assert await world.phase() == ("Paused", "BlueGreenPause")
    waiting = (await world.status())["headrace"]["waiting"]
    assert (waiting["reason"], waiting["unblock"]) == ("Duration", "the rollout promotes itself")
    await world.settle(10)
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "2"


@pytest.mark.spec("bluegreen 4")
async def test_a_resume_starts_the_countdown_again() -> None:
    world = await deployed({"autoPromotionSeconds": 20})
    await world.update("app:v2", 15)
    first = (await world.status())["pauseConditions"][0]["startTime"]
    await world.resume()
    await world.settle(10)
    pauses = (await world.status())["pauseConditions"]
    assert pauses[0]["startTime"] > first
    assert await world.active() == "1"
    await world.settle(12)
    assert await world.active() == "2"


@pytest.mark.spec("bluegreen 3.2")
@pytest.mark.spec("bluegreen 8")
async def test_a_small_preview_grows_only_when_it_is_promoted() -> None:
    world = await deployed({**MANUAL, "previewReplicaCount": 1})
    world.cluster.behave("app:v2", PodBehaviour(ready_seconds=10))
    await world.update("app:v2", 15)
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert await world.replicas() == {"1": 3, "2": 1}
    assert not (await world.status())["blueGreen"].get("scaleUpPreviewCheckPoint")
    await world.resume()
    await world.settle(3)
    assert await world.replicas() == {"1": 3, "2": 3}
    assert (await world.status())["blueGreen"]["scaleUpPreviewCheckPoint"] is True
    assert await world.active() == "1"
    await world.settle(12)
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "2"
    assert not (await world.status())["blueGreen"].get("scaleUpPreviewCheckPoint")


@pytest.mark.spec("bluegreen 3.2")
async def test_a_small_preview_that_promotes_itself_passes_the_check_point() -> None:
    world = await deployed({"previewReplicaCount": 1})
    await world.update("app:v2")
    assert await world.phase() == ("Healthy", "")
    assert await world.replicas() == {"1": 3, "2": 3}


@pytest.mark.spec("bluegreen 9")
async def test_promote_full_skips_pause_and_preview_size() -> None:
    world = await deployed({**MANUAL, "previewReplicaCount": 1, "prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.patch_status({"promoteFull": True})
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "2"
    assert "promoteFull" not in await world.status()
    assert (await world.status())["duration"]["completionStatus"] == "FastPromoted"
    (run,) = (await world.runs()).values()
    assert run["spec"]["terminate"] is True
    assert world.recorder.events[-1][1].endswith(": Full promotion requested")


# Analysis (bluegreen 7)


@pytest.mark.spec("bluegreen 7")
@pytest.mark.spec("bluegreen 4")
@pytest.mark.spec("bluegreen 11")
async def test_the_pause_begins_when_the_analysis_before_it_has_passed() -> None:
    world = await deployed({**MANUAL, "prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    assert await world.phase() == ("Progressing", "active service cutover pending")
    status = await world.status()
    run = status["blueGreen"]["prePromotionAnalysisRunStatus"]
    assert run["name"] == f"app-{status['currentPodHash']}-2-pre"
    manifest = (await world.runs())[run["name"]]
    assert manifest["metadata"]["labels"]["rollout-type"] == "PrePromotion"
    assert manifest["spec"]["args"] == [{"name": "side", "value": "new"}]
    assert status["headrace"]["waiting"]["reason"] == "Verdict"
    await world.judge("-pre", "Successful")
    await world.settle()
    assert await world.phase() == ("Paused", "BlueGreenPause")
    await world.resume()
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    kept = (await world.status())["blueGreen"]["prePromotionAnalysisRunStatus"]
    assert kept["status"] == "Successful"


@pytest.mark.spec("bluegreen 7")
@pytest.mark.spec("bluegreen 9")
@pytest.mark.parametrize("phase", ["Failed", "Error"])
async def test_a_failure_before_the_switch_aborts(phase: str) -> None:
    world = await deployed({"prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.judge("-pre", phase, "too many errors")
    await world.settle(1)
    assert await world.phase() == (
        "Degraded",
        "RolloutAborted: Rollout aborted update to revision 2: "
        "Blue/green pre-promotion analysis phase error/failed: too many errors",
    )
    assert (await world.active(), await world.preview(), await world.stable()) == ("1", "2", "1")
    status = await world.status()
    assert status["blueGreen"]["prePromotionAnalysisRunStatus"]["status"] == phase
    await world.settle(35)
    assert await world.replicas() == {"1": 3, "2": 0}


@pytest.mark.spec("bluegreen 7")
@pytest.mark.spec("bluegreen 11")
@pytest.mark.spec("bluegreen 10.4")
async def test_the_old_version_stays_while_the_new_one_is_judged() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    status = await world.status()
    assert await world.phase() == ("Progressing", "waiting for analysis to complete")
    assert (await world.active(), await world.stable()) == ("2", "1")
    run = status["blueGreen"]["postPromotionAnalysisRunStatus"]
    assert run["name"] == f"app-{status['currentPodHash']}-2-post"
    await world.settle(60)
    assert await world.replicas() == {"1": 3, "2": 3}
    await world.judge("-post", "Successful")
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    assert await world.stable() == "2"
    await world.settle(35)
    assert await world.replicas() == {"1": 0, "2": 3}


@pytest.mark.spec("bluegreen 5")
@pytest.mark.spec("bluegreen 7")
@pytest.mark.spec("bluegreen 9")
async def test_a_failure_after_the_switch_brings_all_traffic_back() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    world.recorder.events.clear()
    await world.judge("-post", "Failed")
    await world.settle(1)
    assert await world.phase() == (
        "Degraded",
        "RolloutAborted: Rollout aborted update to revision 2: "
        "Blue/green post-promotion analysis phase error/failed",
    )
    assert (await world.active(), await world.stable()) == ("1", "1")
    assert world.recorder.reasons() == ["AnalysisRunFailed", "RolloutAborted", "SwitchService"]
    await world.settle(35)
    assert await world.replicas() == {"1": 3, "2": 0}


@pytest.mark.spec("bluegreen 7")
@pytest.mark.spec("bluegreen 11")
async def test_an_inconclusive_analysis_waits_for_a_person_and_is_repeated() -> None:
    world = await deployed({"prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.judge("-pre", "Inconclusive")
    await world.settle()
    assert await world.phase() == ("Paused", "InconclusiveAnalysisRun")
    assert await world.active() == "1"
    await world.resume()
    await world.settle()
    assert await world.phase() == ("Progressing", "active service cutover pending")
    assert len(await world.runs()) == 2
    await world.judge("-pre.1", "Successful")
    await world.settle()
    assert await world.phase() == ("Healthy", "")


@pytest.mark.spec("bluegreen 7")
async def test_an_inconclusive_analysis_after_the_switch_keeps_both_versions() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS, "scaleDownDelaySeconds": 1})
    await world.update("app:v2")
    await world.judge("-post", "Inconclusive")
    await world.settle(20)
    assert await world.phase() == ("Paused", "InconclusiveAnalysisRun")
    assert (await world.active(), await world.stable()) == ("2", "1")
    assert await world.replicas() == {"1": 3, "2": 3}


# Abort, retry, rollback (bluegreen 9)


@pytest.mark.spec("bluegreen 9")
@pytest.mark.spec("bluegreen 3.2")
async def test_an_abort_before_the_switch_keeps_the_old_version_and_retry_begins_anew() -> None:
    world = await deployed({**MANUAL, "prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.judge("-pre", "Successful")
    await world.settle()
    await world.patch_status({"abort": True})
    await world.settle(1)
    assert await world.phase() == (
        "Degraded",
        "RolloutAborted: Rollout aborted update to revision 2",
    )
    assert (await world.active(), await world.preview()) == ("1", "2")
    assert await world.has_deadline("2")
    await world.patch_status({"abort": False})
    await world.settle()
    assert len(await world.runs()) == 2
    assert await world.phase() == ("Progressing", "active service cutover pending")
    assert not await world.has_deadline("2")
    await world.judge("-pre.1", "Successful")
    await world.settle()
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert "abortedAt" not in await world.status()


@pytest.mark.spec("bluegreen 9")
async def test_a_retry_without_pause_is_judged_again_before_it_takes_traffic() -> None:
    world = await deployed({"prePromotionAnalysis": ANALYSIS, "postPromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.judge("-pre", "Successful")
    await world.settle()
    assert await world.active() == "2"
    await world.patch_status({"abort": True})
    await world.settle(1)
    assert await world.active() == "1"
    await world.patch_status({"abort": False})
    await world.settle()
    assert await world.active() == "1"
    await world.judge("-pre.1", "Successful")
    await world.settle()
    assert (await world.active(), await world.stable()) == ("2", "1")


@pytest.mark.spec("bluegreen 3.2")
@pytest.mark.spec("bluegreen 9")
@pytest.mark.parametrize("is_passed", [False, True])
async def test_a_retry_of_a_small_preview_begins_with_it_small(is_passed: bool) -> None:
    world = await deployed({"previewReplicaCount": 1, "prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    if is_passed:
        await world.judge("-pre", "Successful")
        await world.settle(0.25)
        assert (await world.status())["blueGreen"]["scaleUpPreviewCheckPoint"] is True
    await world.patch_status({"abort": True})
    await world.settle(1)
    await world.judge("-pre", "Successful", "Run Terminated")
    await world.settle(1)
    await world.patch_status({"abort": False})
    await world.settle()
    assert await world.replicas() == {"1": 3, "2": 1}
    assert len(await world.runs()) == 2
    await world.judge("-pre.1", "Successful")
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    assert await world.stable() == "2"


@pytest.mark.spec("bluegreen 7")
@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_preview_that_is_not_small_is_judged_all_the_same(is_deleted: bool) -> None:
    world = await deployed({**MANUAL, "previewReplicaCount": 1})
    await world.update("app:v2")
    judged = {"strategy": {"blueGreen": {"prePromotionAnalysis": ANALYSIS}}}
    if is_deleted:  # what the active Service selects is gone, and with it who served
        await world.patch_spec(judged)
        for revision in ("1", "2"):
            name = (await world.replica_set(revision))["metadata"]["name"]
            await world.user.delete(REPLICA_SETS, "default", name)
        await world.settle(0.5)
        await world.update("app:v3")
    else:  # it grows since a person has resumed
        await world.resume()
        await world.settle(0.25)
        await world.patch_spec(judged)
    await world.settle()
    await world.judge("-pre", "Successful")
    await world.settle()
    if is_deleted:
        await world.resume()
        await world.settle()
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == await world.stable()


@pytest.mark.spec("bluegreen 3.2")
async def test_an_aborted_version_stays_when_its_delay_is_0() -> None:
    world = await deployed({**MANUAL, "abortScaleDownDelaySeconds": 0})
    await world.update("app:v2")
    await world.patch_status({"abort": True})
    await world.settle(60)
    assert await world.replicas() == {"1": 3, "2": 3}
    assert not await world.has_deadline("2")


@pytest.mark.spec("bluegreen 5")
async def test_an_abort_goes_back_though_the_new_version_is_broken() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    assert await world.active() == "2"
    world.cluster.behave("app:v2", NEVER_READY)
    await world.patch_status({"abort": True})
    await world.settle(1)
    assert await world.active() == "1"


@pytest.mark.spec("bluegreen 5")
async def test_an_abort_does_not_go_back_to_pods_that_cannot_answer() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    world.cluster.behave("app:v1", NEVER_READY)
    await world.settle(1)
    await world.patch_status({"abort": True})
    await world.settle(60)
    assert await world.active() == "2"
    assert await world.replicas() == {"1": 3, "2": 3}
    assert (await world.status())["headrace"]["waiting"]["reason"] == "StablePods"
    world.cluster.behave("app:v1", READY)
    await world.settle(2)
    assert await world.active() == "1"


@pytest.mark.spec("bluegreen 9")
@pytest.mark.spec("bluegreen 8")
async def test_going_back_within_the_delay_is_immediate() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    await world.resume()
    await world.settle()
    assert await world.has_deadline("1")
    world.recorder.events.clear()
    await world.update("app:v1", 2)
    assert await world.phase() == ("Healthy", "")
    assert (await world.active(), await world.stable()) == ("3", "3")
    assert await world.replicas() == {"2": 3, "3": 3}
    assert not await world.has_deadline("3")
    assert any(text.endswith(": Fast rollback") for _, text in world.recorder.events)


@pytest.mark.spec("bluegreen 9")
async def test_going_back_within_the_delay_survives_a_pod_that_is_away_for_a_moment() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    await world.resume()
    await world.settle()
    world.cluster.behave("app:v1", NEVER_READY)
    await world.update("app:v1", 2)
    assert await world.active() == "2"
    world.cluster.behave("app:v1", READY)
    await world.settle(2)
    assert await world.active() == "3"


@pytest.mark.spec("bluegreen 9")
async def test_going_back_after_the_delay_is_an_ordinary_update() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    await world.resume()
    await world.settle(40)
    await world.update("app:v1")
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert await world.active() == "2"


@pytest.mark.spec("bluegreen 9")
async def test_going_back_to_stable_in_mid_update_is_immediate() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    await world.update("app:v1")
    assert await world.phase() == ("Healthy", "")
    assert (await world.active(), await world.preview()) == ("3", "3")
    assert await world.has_deadline("2")
    assert (await world.status())["duration"]["completionStatus"] == "FastRolledBack"


# The cases of bluegreen 10


@pytest.mark.spec("bluegreen 10.1")
@pytest.mark.spec("bluegreen 4")
async def test_a_resume_is_lost_while_the_new_version_is_not_whole() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    world.cluster.behave("app:v2", NEVER_READY)
    await world.settle(1)
    await world.resume()
    await world.settle(1)
    assert "controllerPause" not in await world.status()
    world.cluster.behave("app:v2", READY)
    await world.settle(2)
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert await world.active() == "1"


@pytest.mark.spec("bluegreen 10.2")
async def test_a_countdown_is_ignored_where_nothing_promotes_by_itself() -> None:
    world = await deployed({**MANUAL, "autoPromotionSeconds": 5})
    await world.update("app:v2", 60)
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert await world.active() == "1"


@pytest.mark.spec("bluegreen 10.3")
async def test_an_autoscaler_scales_what_serves_and_not_the_small_preview() -> None:
    world = await deployed({**MANUAL, "previewReplicaCount": 1})
    await world.update("app:v2")
    await world.patch_spec({"replicas": 5})
    await world.settle()
    assert await world.replicas() == {"1": 5, "2": 1}
    assert await world.phase() == ("Paused", "BlueGreenPause")
    status = await world.status()
    assert (status["HPAReplicas"], status["availableReplicas"]) == (5, 5)
    assert status["selector"].endswith(f"{labels.HASH}={status['stableRS']}")


@pytest.mark.spec("bluegreen 10.4")
@pytest.mark.spec("bluegreen 10.10")
async def test_an_explicit_delay_lets_the_unreferenced_go_while_stable_stays() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS, "scaleDownDelaySeconds": 5})
    await world.update("app:v2")
    await world.update("app:v3")
    await world.settle(20)
    assert await world.phase() == ("Progressing", "waiting for analysis to complete")
    assert await world.replicas() == {"1": 3, "2": 0, "3": 3}
    await world.judge("-post", "Failed")
    await world.settle(1)
    assert await world.active() == "1"


@pytest.mark.spec("bluegreen 10.5")
async def test_a_delay_of_0_means_at_once() -> None:
    world = await deployed({"scaleDownDelaySeconds": 0})
    await world.update("app:v2", 3)
    assert await world.active() == "2"
    assert await world.replicas() == {"1": 0, "2": 3}


@pytest.mark.spec("bluegreen 10.6")
async def test_the_preview_goes_on_following_the_new_version() -> None:
    world = await deployed()
    await world.update("app:v2")
    hashes = (await world.status())["blueGreen"]
    assert hashes["activeSelector"] == hashes["previewSelector"]
    await world.update("app:v3", 0.5)
    assert (await world.active(), await world.preview()) == ("2", "3")


@pytest.mark.spec("bluegreen 10.7")
@pytest.mark.spec("bluegreen 1")
async def test_a_paused_rollout_scales_but_switches_nothing() -> None:
    world = await deployed({"prePromotionAnalysis": ANALYSIS})
    await world.patch_spec({"paused": True})
    await world.update("app:v2")
    assert await world.phase() == ("Paused", "manually paused")
    assert (await world.active(), await world.preview()) == ("1", "1")
    assert await world.replicas() == {"1": 3, "2": 3}
    assert len(await world.runs()) == 1
    await world.judge("-pre", "Successful")
    await world.patch_spec({"paused": False})
    await world.settle()
    assert (await world.active(), await world.preview()) == ("2", "2")


@pytest.mark.spec("bluegreen 10.8")
async def test_an_active_service_that_somebody_moved_is_brought_back() -> None:
    world = await deployed(MANUAL)
    body = MergePatch({"spec": {"selector": {labels.HASH: "elsewhere"}}})
    await world.user.patch(SERVICES, "default", "active", body)
    await world.settle(1)
    assert await world.active() == "1"
    assert await world.phase() == ("Healthy", "")


@pytest.mark.spec("bluegreen 10.9")
@pytest.mark.spec("rollout-api 10")
async def test_a_restart_takes_a_quarter_at_a_time_and_the_rest_goes_on() -> None:
    world = await deployed(replicas=4)
    await world.settle(30)
    before = {pod["metadata"]["uid"] for pod in await world.pods()}
    world.cluster.behave("app:v1", PodBehaviour(ready_seconds=20))
    await world.restart()
    await world.settle(2)
    kept = before & {pod["metadata"]["uid"] for pod in await world.pods()}
    assert len(kept) == 3
    assert await world.phase() == ("Progressing", "rollout is restarting")
    await world.settle(240)
    assert not before & {pod["metadata"]["uid"] for pod in await world.pods()}
    assert await world.phase() == ("Healthy", "")


@pytest.mark.spec("bluegreen 10.11")
@pytest.mark.spec("bluegreen 3.3")
async def test_a_version_that_is_superseded_during_the_pause_goes_after_its_delay() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    await world.update("app:v3")
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert (await world.active(), await world.preview()) == ("1", "3")
    assert await world.replicas() == {"1": 3, "2": 3, "3": 3}
    assert await world.has_deadline("2")
    await world.settle(30)
    assert await world.replicas() == {"1": 3, "2": 0, "3": 3}


@pytest.mark.spec("bluegreen 10.11")
async def test_the_revision_limit_counts_the_superseded() -> None:
    world = await deployed({**MANUAL, "scaleDownDelayRevisionLimit": 1})
    for image in ("app:v2", "app:v3", "app:v4"):
        await world.update(image)
    assert await world.replicas() == {"1": 3, "2": 0, "3": 3, "4": 3}


@pytest.mark.spec("bluegreen 10.12")
async def test_the_deadline_runs_during_an_analysis_and_not_during_a_pause() -> None:
    strategy = {**MANUAL, "prePromotionAnalysis": ANALYSIS}
    world = await deployed(strategy, progressDeadlineSeconds=30)
    await world.update("app:v2", 40)
    phase, message = await world.phase()
    assert phase == "Degraded"
    assert message.startswith("ProgressDeadlineExceeded: ")
    await world.judge("-pre", "Successful")
    await world.settle(60)
    assert await world.phase() == ("Paused", "BlueGreenPause")


@pytest.mark.spec("bluegreen 10.13")
async def test_a_first_deployment_progresses_though_it_is_stable_already() -> None:
    world = BlueGreen({}, {})
    world.cluster.behave("app:v1", NEVER_READY)
    await world.create()
    await world.settle(1)
    assert (await world.status())["stableRS"]
    assert (await world.phase())[0] == "Progressing"


@pytest.mark.spec("bluegreen 10.14")
@pytest.mark.spec("bluegreen 1")
async def test_an_autoscaler_scales_both_versions_and_those_that_wait_for_their_end() -> None:
    world = await deployed(MANUAL)
    await world.update("app:v2")
    await world.update("app:v3")
    await world.patch_spec({"replicas": 4})
    await world.settle(2)
    assert await world.replicas() == {"1": 4, "2": 4, "3": 4}
    assert await world.phase() == ("Paused", "BlueGreenPause")


@pytest.mark.spec("bluegreen 10.15")
async def test_an_abort_of_a_paused_rollout_switches_back_when_it_goes_on() -> None:
    world = await deployed({"postPromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.patch_spec({"paused": True})
    await world.patch_status({"abort": True})
    await world.settle()
    assert await world.active() == "2"
    await world.patch_spec({"paused": False})
    await world.settle(1)
    assert await world.active() == "1"


# What both Services and pods carry


@pytest.mark.spec("rollout-api 11")
async def test_pods_carry_the_metadata_of_their_role() -> None:
    metadata = {
        "activeMetadata": {"labels": {"role": "active"}},
        "previewMetadata": {"labels": {"role": "preview"}},
    }
    world = await deployed({**MANUAL, **metadata})
    await world.update("app:v2")
    assert await world.roles() == {"v1": {"active"}, "v2": {"preview"}}
    await world.resume()
    await world.settle()
    assert await world.roles() == {"v1": {None}, "v2": {"active"}}


@pytest.mark.spec("bluegreen 2")
async def test_the_preview_service_is_optional() -> None:
    world = await deployed({"previewService": ""})
    await world.update("app:v2")
    assert await world.phase() == ("Healthy", "")
    assert await world.selected("preview") == ""
    assert "previewSelector" not in (await world.status())["blueGreen"]


@pytest.mark.spec("rollout-api 4.2")
async def test_a_missing_service_is_told_and_nothing_happens() -> None:
    world = BlueGreen({"activeService": "nobody"}, {})
    await world.create()
    await world.settle(1)
    phase, message = await world.phase()
    assert phase == "Degraded"
    assert message == (
        'InvalidSpec: The Rollout "app" is invalid: spec.strategy.blueGreen.activeService: '
        'Invalid value: "nobody": service "nobody" not found'
    )
    assert await world.replicas() == {}


@pytest.mark.parametrize("state", ["healthy", "paused", "aborted", "delayed", "halted"])
async def test_a_settled_rollout_writes_nothing(state: str) -> None:
    world = await deployed(MANUAL)
    if state != "healthy":
        await world.update("app:v2")
    if state == "aborted":
        await world.patch_status({"abort": True})
        await world.settle(40)
    if state == "delayed":
        await world.resume()
    if state == "halted":
        await world.patch_spec({"paused": True})
    await world.settle(3)
    before = len(world.cluster.requests)
    await world.settle(20 if state == "delayed" else 60)
    writes = [r for r in list(world.cluster.requests)[before:] if r.verb in WRITES]
    assert writes == []


@pytest.mark.spec("rollout-api 5")
async def test_lack_of_progress_aborts_where_the_user_wants_it() -> None:
    world = await deployed(progressDeadlineAbort=True, progressDeadlineSeconds=20)
    world.cluster.behave("app:v2", NEVER_READY)
    await world.update("app:v2", 25)
    name = (await world.replica_set("2"))["metadata"]["name"]
    assert await world.phase() == (
        "Degraded",
        "RolloutAborted: Rollout aborted update to revision 2: "
        f'ReplicaSet "{name}" has timed out progressing.',
    )
    await world.settle(35)
    assert await world.replicas() == {"1": 3, "2": 0}


@pytest.mark.spec("bluegreen 9")
@pytest.mark.spec("canary 3.4")
async def test_a_rollback_within_the_window_is_not_paused_though_its_pods_are_gone() -> None:
    world = await deployed(MANUAL, rollbackWindow={"revisions": 1})
    await world.update("app:v2")
    await world.resume()
    await world.settle(40)
    assert await world.replicas() == {"1": 0, "2": 3}
    await world.update("app:v1")
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "3"
    texts = [text for _, text in world.recorder.events]
    assert any(text.endswith(": Rollback within window") for text in texts)


@pytest.mark.spec("rollout-api 7.5")
async def test_new_pods_keep_away_from_those_that_serve() -> None:
    rule: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {}}
    world = await deployed({**MANUAL, "antiAffinity": rule})
    await world.update("app:v2")
    template = (await world.replica_set("2"))["spec"]["template"]["spec"]
    (term,) = template["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    (expression,) = term["labelSelector"]["matchExpressions"]
    assert expression["values"] == [(await world.status())["stableRS"]]


# Other strategies before and after


@pytest.mark.spec("bluegreen 9")
async def test_a_third_version_leaves_the_one_that_serves_alone_and_an_abort_goes_to_stable() -> (
    None
):
    world = await deployed({"postPromotionAnalysis": ANALYSIS, "scaleDownDelaySeconds": 1})
    await world.update("app:v2")
    assert (await world.active(), await world.stable()) == ("2", "1")
    world.cluster.behave("app:v3", NEVER_READY)
    await world.update("app:v3", 20)
    assert (await world.active(), await world.preview()) == ("2", "3")
    assert await world.replicas() == {"1": 3, "2": 3, "3": 3}
    await world.patch_status({"abort": True})
    await world.settle(2)
    assert await world.active() == "1"
    await world.settle(35)
    assert await world.replicas() == {"1": 3, "2": 0, "3": 0}


@pytest.mark.spec("canary 10.10")
async def test_a_rollout_becomes_a_canary_without_another_release() -> None:
    world = await deployed()
    canary = {"canaryService": "preview", "stableService": "active", "steps": [{"pause": {}}]}
    await world.patch_spec({"strategy": {"blueGreen": None, "canary": canary}})
    await world.settle()
    status = await world.status()
    assert await world.phase() == ("Healthy", "")
    assert status["currentStepIndex"] == 1
    assert "blueGreen" not in status or not status["blueGreen"]
    assert await world.replicas() == {"1": 3}


async def routed_canary() -> BlueGreen:
    """Return a Rollout that has become a canary, with a fifth of the traffic at revision 2."""
    world = await deployed()
    canary = {
        "canaryService": "preview",
        "stableService": "active",
        "trafficRouting": {"smi": {"rootService": "root", "trafficSplitName": "split"}},
        "steps": [{"setWeight": 20}, {"pause": {}}],
    }
    await world.patch_spec({"strategy": {"blueGreen": None, "canary": canary}})
    await world.settle()
    await world.update("app:v2")
    assert await world.weight() == 20
    return world


async def test_a_routed_canary_becomes_blue_green_and_gives_its_traffic_objects_up() -> None:
    world = await routed_canary()
    services = {"activeService": "active", "previewService": "preview", **MANUAL}
    await world.patch_spec({"strategy": {"canary": None, "blueGreen": services}})
    await world.settle()
    route = (await world.status())["headrace"]["route"]
    assert not route.get("routers")
    assert [each["router"]["kind"] for each in route["withdraw"]] == ["smi"]
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert (await world.active(), await world.preview()) == ("1", "2")
    assert "currentStepIndex" not in await world.status()
    await world.resume()
    await world.settle()
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "2"


@pytest.mark.spec("bluegreen 2")
@pytest.mark.parametrize("obeys", [True, False])
async def test_a_preview_that_was_the_canarys_keeps_its_pods_until_others_answer(
    obeys: bool,
) -> None:
    world = await routed_canary()
    world.router_obeys = obeys  # else a fifth of the traffic goes on to the Service
    services = {"activeService": "active", "previewService": "preview", **MANUAL}
    template = {"spec": {"containers": [{"name": "app", "image": "app:v3"}]}}
    strategy = {"canary": None, "blueGreen": services}
    await world.patch_spec({"strategy": strategy, "template": template})
    await world.settle(0.5)
    assert await world.preview() == ("3" if obeys else "2")
    await world.settle()
    assert (await world.active(), await world.preview()) == ("1", "3")
    assert await world.phase() == ("Paused", "BlueGreenPause")


async def gone_back(**analyses: Any) -> BlueGreen:
    """Return a Rollout on the way back from revision 2, when its delay is over long ago."""
    world = await deployed({"scaleDownDelaySeconds": 5, **analyses})
    await world.update("app:v2")
    await world.judge("-2-", "Successful")
    await world.settle(20)
    assert await world.replicas() == {"1": 0, "2": 3}
    await world.update("app:v1")
    return world


@pytest.mark.spec("bluegreen 9")
@pytest.mark.spec("canary 3.4")
async def test_a_retry_on_the_way_back_is_judged_again() -> None:
    world = await gone_back(prePromotionAnalysis=ANALYSIS)
    await world.judge("-3-pre", "Failed")
    await world.settle(3)
    assert await world.has_deadline("3")
    await world.patch_status({"abort": False})
    await world.settle(3)
    assert await world.phase() == ("Progressing", "active service cutover pending")
    assert (await world.active(), await world.stable()) == ("2", "2")
    assert not await world.has_deadline("3")
    await world.judge("-3-pre.1", "Successful")
    await world.settle(3)
    assert (await world.active(), await world.stable()) == ("3", "3")


@pytest.mark.spec("bluegreen 8")
@pytest.mark.spec("bluegreen 10")
async def test_what_failed_on_the_way_back_is_not_promoted_while_paused() -> None:
    world = await gone_back(postPromotionAnalysis=ANALYSIS)
    assert (await world.active(), await world.stable()) == ("3", "2")
    await world.patch_spec({"paused": True})
    await world.settle(1)
    await world.judge("-3-post", "Failed")
    await world.settle(40)
    assert (await world.active(), await world.stable()) == ("3", "2")
    assert (await world.phase())[0] == "Degraded"
    assert await world.replicas() == {"3": 3, "2": 3}
    await world.patch_spec({"paused": False})
    await world.settle(3)
    assert (await world.active(), await world.stable()) == ("2", "2")


@pytest.mark.spec("bluegreen 9")
@pytest.mark.spec("bluegreen 1")
@pytest.mark.parametrize("phase", ["Failed", "Successful"])
async def test_a_retry_beside_an_autoscaler_is_judged_again(phase: str) -> None:
    world = await deployed({"autoPromotionSeconds": 20, "prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.judge("-pre", phase)
    await world.settle(3)
    if phase == "Successful":
        await world.patch_status({"abort": True})
        await world.settle(3)
    assert (await world.phase())[0] == "Degraded"
    await world.patch_status({"abort": False})
    await world.patch_spec({"replicas": 4})
    await world.settle(3)
    assert await world.phase() == ("Progressing", "active service cutover pending")
    status = await world.status()
    run = status["blueGreen"]["prePromotionAnalysisRunStatus"]
    assert run == {"name": f"app-{status['currentPodHash']}-2-pre.1", "status": ""}
    assert "abortedAt" not in status
    told = [fact["type"] for fact in status["headrace"]["history"]]
    assert told.count("headrace.rollout.retried.v1") == 1


@pytest.mark.spec("bluegreen 3.3")
async def test_an_old_version_that_may_not_be_scaled_holds_nothing_up() -> None:
    world = await deployed({"scaleDownDelaySeconds": 5})
    old = (await world.replica_set("1"))["metadata"]["name"]

    def refuse(request: Request) -> None:
        change = (request.verb, request.resource, request.name)
        if world.is_strict and change == ("patch", "replicasets", old):
            raise Forbidden("old ReplicaSets are frozen")

    world.cluster.intercept = refuse
    await world.update("app:v2", 1)
    world.is_strict = True
    await world.settle(10)
    assert await world.phase() == ("Healthy", "")
    await world.update("app:v3")
    assert await world.phase() == ("Healthy", "")
    assert (await world.active(), await world.stable()) == ("3", "3")
    assert await world.replicas() == {"1": 3, "2": 3, "3": 3}
    told = [message for reason, message in world.recorder.events if reason == "ScalingReplicaSet"]
    assert not any(old in message for message in told)
    world.is_strict = False
    await world.settle(10)
    assert await world.replicas() == {"1": 0, "2": 0, "3": 3}


@pytest.mark.spec("bluegreen 7")
@pytest.mark.spec("canary 7")
async def test_an_analysis_that_is_taken_away_and_given_back_judges_anew() -> None:
    world = await deployed({**MANUAL, "prePromotionAnalysis": ANALYSIS})
    await world.update("app:v2")
    await world.patch_spec({"strategy": {"blueGreen": {"prePromotionAnalysis": None}}})
    await world.settle(3)
    assert await world.phase() == ("Paused", "BlueGreenPause")
    await world.judge("-pre", "Successful", "Run Terminated")
    await world.patch_spec({"strategy": {"blueGreen": {"prePromotionAnalysis": ANALYSIS}}})
    await world.resume()
    await world.settle(3)
    assert (await world.active(), len(await world.runs())) == ("1", 2)
    await world.judge("-pre.1", "Failed")
    await world.settle(3)
    assert (await world.phase())[0] == "Degraded"


@pytest.mark.spec("cli-and-clients 9.1")
async def test_a_new_revision_is_told_though_something_changes_meanwhile() -> None:
    world = await deployed()
    await world.update("app:v2", 40)
    assert await world.phase() == ("Healthy", "")
    world.recorder.events.clear()
    left = [Conflict("the object has been modified")]

    def refuse(request: Request) -> None:
        if request.verb == "patch" and request.resource == "services" and left:
            raise left.pop()

    world.cluster.intercept = refuse
    await world.update("app:v1")
    assert not left
    assert world.recorder.reasons().count("RolloutUpdated") == 1


@pytest.mark.spec("bluegreen 4")
async def test_a_negative_countdown_is_none() -> None:
    world = await deployed({"autoPromotionSeconds": -5})
    await world.update("app:v2")
    assert await world.phase() == ("Healthy", "")
    assert await world.active() == "2"


@pytest.mark.spec("bluegreen 3.2")
async def test_a_preview_of_negative_size_has_no_pods() -> None:
    world = await deployed({"previewReplicaCount": -1, "autoPromotionEnabled": False})
    await world.update("app:v2")
    assert await world.phase() == ("Paused", "BlueGreenPause")
    assert await world.replicas() == {"1": 3, "2": 0}
    await world.resume()
    await world.settle(5)
    assert await world.phase() == ("Healthy", "")
