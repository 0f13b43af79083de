from typing import Any

import pytest

from headrace import intents
from headrace.errors import InvalidSpec
from headrace.intents import Patches
from headrace.model.quantities import Instant

pytestmark = pytest.mark.spec("canary 2.6")

STEPS = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}]


def canary(status: dict[str, Any], steps: Any = STEPS, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "uid": "u1"},
        "spec": {"strategy": {"canary": {"steps": steps}}, **spec},
        "status": status,
    }


def blue_green(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"strategy": {"blueGreen": {}}, **spec}, "status": status}


PAUSED = {"pauseConditions": [{"reason": "CanaryPauseStep"}], "controllerPause": True}
INCONCLUSIVE = {"canary": {"currentStepAnalysisRunStatus": {"status": "Inconclusive"}}}


@pytest.mark.parametrize(
    ("rollout", "status", "spec"),
    [
        (canary({**PAUSED, "currentStepIndex": 1}), {"pauseConditions": None}, None),
        (
            canary({**PAUSED, "currentStepIndex": 1}, paused=True),
            {"pauseConditions": None},
            {"paused": False},
        ),
        (
            canary({"currentStepIndex": 1}),
            {"pauseConditions": None, "currentStepIndex": 2},
            None,
        ),
        (canary({}), {"pauseConditions": None, "currentStepIndex": 1}, None),
        (
            canary({"currentStepIndex": 3}),
            {"pauseConditions": None, "currentStepIndex": 3},
            None,
        ),
        (
            canary({"currentStepIndex": 0}, paused=True),
            {"pauseConditions": None, "currentStepIndex": 1},
            {"paused": False},
        ),
        (
            canary({**PAUSED, **INCONCLUSIVE, "currentStepIndex": 1}),
            {"pauseConditions": None, "controllerPause": False, "currentStepIndex": 2},
            None,
        ),
        (canary({**PAUSED, **INCONCLUSIVE}, steps=[]), None, None),
        (
            canary({**INCONCLUSIVE, "currentStepIndex": 1}),
            {"pauseConditions": None, "currentStepIndex": 2},
            None,
        ),
        (canary({}, steps=[]), None, None),
        (canary({}, steps=[], paused=True), None, {"paused": False}),
        (blue_green({}), None, None),
        (blue_green({}, paused=True), None, {"paused": False}),
        (
            blue_green({"pauseConditions": [{"reason": "BlueGreenPause"}]}),
            {"pauseConditions": None},
            None,
        ),
    ],
)
def test_promotes_by_the_first_case_that_matches(
    rollout: dict[str, Any], status: dict[str, Any] | None, spec: dict[str, Any] | None
) -> None:
    patches = intents.promote(rollout)
    assert (patches.status, patches.spec) == (status, spec)


def test_the_unified_patch_resumes_in_any_case() -> None:
    patches = intents.promote(canary({**PAUSED, "currentStepIndex": 1}))
    assert patches.unified == {"spec": {"paused": False}, "status": {"pauseConditions": None}}


def test_promotes_fully_only_what_is_not_promoted_yet() -> None:
    moving = canary({"currentPodHash": "b", "stableRS": "a"}, paused=True)
    assert intents.promote(moving, full=True) == Patches(
        status={"promoteFull": True},
        spec={"paused": False},
        unified={"spec": {"paused": False}, "status": {"promoteFull": True}},
    )
    assert intents.promote(canary({"currentPodHash": "a", "stableRS": "a"}), full=True) == Patches()


def test_skips_a_step_or_all_without_touching_the_pause() -> None:
    rollout = canary({**PAUSED, "currentStepIndex": 1})
    assert intents.skip_current_step(rollout).status == {"currentStepIndex": 2}
    assert intents.skip_all_steps(rollout).status == {"currentStepIndex": 3}
    assert intents.skip_all_steps(rollout).unified == {"status": {"currentStepIndex": 3}}


def test_refuses_to_skip_steps_that_do_not_exist() -> None:
    with pytest.raises(InvalidSpec, match="Cannot skip steps of a bluegreen rollout"):
        intents.skip_current_step(blue_green({}))
    with pytest.raises(InvalidSpec, match="Cannot skip steps of a rollout without steps"):
        intents.skip_all_steps(canary({}, steps=[]))


def test_restarts_at_a_whole_second_in_utc() -> None:
    assert intents.restart(Instant(1_700_000_000.9)).spec == {"restartAt": "2023-11-14T22:13:20Z"}


def workload() -> dict[str, Any]:
    pod = {
        "initContainers": [{"name": "setup", "image": "old"}],
        "containers": [{"name": "web", "image": "old"}, {"name": "proxy", "image": "old"}],
        "ephemeralContainers": [{"name": "web", "image": "old"}],
    }
    return {"metadata": {"name": "web"}, "spec": {"template": {"spec": pod}}}


def images(manifest: dict[str, Any]) -> list[str]:
    pod = manifest["spec"]["template"]["spec"]
    lists = ("initContainers", "containers", "ephemeralContainers")
    return [each["image"] for name in lists for each in pod[name]]


def test_sets_the_image_of_every_container_of_the_name() -> None:
    before = workload()
    assert images(intents.with_image(before, "web", "new")) == ["old", "new", "old", "new"]
    assert images(intents.with_image(before, "*", "new")) == ["new"] * 4
    assert images(before) == ["old"] * 4


def test_says_which_container_does_not_exist() -> None:
    with pytest.raises(InvalidSpec, match='unable to find container named "nope"'):
        intents.with_image(workload(), "nope", "new")


def replica_set(revision: str | None, uid: str = "u1", *, is_controller: bool = True) -> Any:
    annotations = {} if revision is None else {"rollout.argoproj.io/revision": revision}
    owner = {"uid": uid, "controller": is_controller}
    metadata = {"annotations": annotations, "ownerReferences": [owner], "name": f"web-{revision}"}
    template = {"metadata": {"labels": {"app": "web", "rollouts-pod-template-hash": "x"}}}
    return {"metadata": metadata, "spec": {"template": template}}


def test_undoes_to_the_second_highest_revision_or_the_one_that_is_named() -> None:
    sets = [
        replica_set("2"),
        replica_set("10"),
        replica_set("9"),
        replica_set("11", uid="other"),
        replica_set("12", is_controller=False),
        replica_set("none"),
    ]
    assert intents.undo_target(canary({}), sets)["metadata"]["name"] == "web-9"
    assert intents.undo_target(canary({}), sets, 2)["metadata"]["name"] == "web-2"


def test_says_which_revision_does_not_exist() -> None:
    with pytest.raises(InvalidSpec, match="unable to find specified revision 7 in history"):
        intents.undo_target(canary({}), [replica_set("1")], 7)
    with pytest.raises(InvalidSpec, match='no revision found for rollout "web"'):
        intents.undo_target(canary({}), [replica_set("1")])


def test_a_revision_that_is_not_said_is_the_oldest() -> None:
    sets = [replica_set(None), replica_set("1")]
    assert intents.undo_target(canary({}), sets)["metadata"]["name"] == "web-None"


def test_a_restored_template_has_no_hash() -> None:
    stored = replica_set("1")
    restored = intents.restored_template(stored)
    assert restored == {"metadata": {"labels": {"app": "web"}}}
    assert "rollouts-pod-template-hash" in stored["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": ""}, {"a": "x"}, True),
        ({"a": None}, {}, True),
        ({"a": {}}, {"a": {"b": 1}}, True),
        ({"a": []}, {"a": [1]}, True),
        ({"a": False}, {"a": True}, False),
        ({"a": False}, {}, True),
        ({"a": 0}, {"a": 30}, False),
        ({"a": [{"n": 1}]}, {"a": [{"n": 1, "m": 2}]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": [1]}, {"a": "x"}, False),
        ({"a": {"b": 1}}, {"a": 1}, False),
    ],
)
def test_compares_what_is_set(part: Any, whole: Any, expected: bool) -> None:
    assert intents.is_derivative(part, whole) is expected
