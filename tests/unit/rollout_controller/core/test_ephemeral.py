"""Labels and annotations that pods carry while they play a role (rollout-api 11)."""

from typing import Any

import pytest

from headrace.model.rollout import RolloutSpec
from rollout_controller.core import labels, samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.ephemeral import is_configured, reconcile_ephemeral_metadata
from rollout_controller.core.observed import Observed, ReplicaSet
from rollout_controller.core.plan import PatchPod, PatchReplicaSet

pytestmark = pytest.mark.spec("rollout-api 11")

STRATEGY: dict[str, Any] = {
    "canaryMetadata": {"labels": {"role": "canary"}, "annotations": {"note": "c"}},
    "stableMetadata": {"labels": {"role": "stable"}},
}
CANARY_TEXT = '{"labels":{"role":"canary"},"annotations":{"note":"c"}}'
STABLE_TEXT = '{"labels":{"role":"stable"}}'


def replica_set(
    pod_hash: str, injected: str | None = None, replicas: int = 4, **metadata: dict[str, str]
) -> ReplicaSet:
    annotations = {} if injected is None else {labels.EPHEMERAL_METADATA: injected}
    manifest = {
        "metadata": {"annotations": annotations},
        "spec": {"template": {"metadata": metadata}},
    }
    return samples.replica_set(pod_hash, replicas, manifest=manifest)


def pod(pod_hash: str, *, is_terminating: bool = False, **metadata: dict[str, str]) -> Any:
    manifest = {"metadata": metadata}
    return samples.pod(
        f"pod-{pod_hash}", pod_hash, manifest=manifest, is_terminating=is_terminating
    )


def effects(strategy: dict[str, Any], *sets: ReplicaSet, **more: Any) -> list[Any]:
    observed: Observed = samples.rollout(strategy, replica_sets=sets, **more)
    draft = Draft(observed, samples.NOW)
    reconcile_ephemeral_metadata(draft)
    return draft.effects


SETTLED_STABLE = replica_set("stable", STABLE_TEXT, labels={"role": "stable"})
SETTLED_CANARY = replica_set(
    "new", CANARY_TEXT, labels={"role": "canary"}, annotations={"note": "c"}
)


def test_each_revision_gets_the_metadata_of_its_role() -> None:
    stable, new = effects(
        STRATEGY,
        replica_set("stable", labels={"app": "app"}),
        replica_set("new", labels={"app": "app"}, annotations={"own": "1"}),
    )
    assert stable == PatchReplicaSet(
        "app-stable",
        annotations={labels.EPHEMERAL_METADATA: STABLE_TEXT},
        template_metadata={"labels": {"app": "app", "role": "stable"}, "annotations": {}},
    )
    assert new == PatchReplicaSet(
        "app-new",
        annotations={labels.EPHEMERAL_METADATA: CANARY_TEXT},
        template_metadata={
            "labels": {"app": "app", "role": "canary"},
            "annotations": {"own": "1", "note": "c"},
        },
    )


def test_nothing_is_written_in_a_steady_state() -> None:
    stable_pod = pod("stable", labels={"role": "stable"})
    canary_pod = pod("new", labels={"role": "canary"}, annotations={"note": "c"})
    pods = (stable_pod, canary_pod)
    assert effects(STRATEGY, SETTLED_STABLE, SETTLED_CANARY, pods=pods) == []


def test_a_promoted_version_changes_its_role_and_so_do_its_pods() -> None:
    found = pod("new", labels={"app": "app", "role": "canary"}, annotations={"note": "c"})
    patch, pod_patch = effects(
        STRATEGY,
        replica_set("new", CANARY_TEXT, labels={"role": "canary"}, annotations={"note": "c"}),
        status={"stableRS": "new"},
        pods=(found,),
    )
    assert patch == PatchReplicaSet(
        "app-new",
        annotations={labels.EPHEMERAL_METADATA: STABLE_TEXT},
        template_metadata={"labels": {"role": "stable"}, "annotations": {}},
    )
    assert pod_patch == PatchPod("pod-new", {"role": "stable"}, {"note": None})


def test_pods_that_the_pass_before_did_not_reach_lose_the_keys_of_the_other_role() -> None:
    """The ReplicaSet has its new role already, and with it forgotten the old one."""
    patched = replica_set("new", STABLE_TEXT, labels={"app": "app", "role": "stable"})
    left = pod("new", labels={"app": "app", "role": "canary"}, annotations={"note": "c"})
    found = effects(STRATEGY, patched, status={"stableRS": "new"}, pods=(left,))
    assert found == [PatchPod("pod-new", {"role": "stable"}, {"note": None})]


def test_a_key_of_the_template_is_not_taken_for_one_of_a_role() -> None:
    own = replica_set(
        "new", STABLE_TEXT, labels={"role": "stable"}, annotations={"note": "its own"}
    )
    found = pod("new", labels={"role": "stable"}, annotations={"note": "its own"})
    assert effects(STRATEGY, own, status={"stableRS": "new"}, pods=(found,)) == []


def test_the_first_version_is_stable() -> None:
    (patch,) = effects(STRATEGY, replica_set("new", replicas=0), status={"stableRS": None})
    assert patch.annotations == {labels.EPHEMERAL_METADATA: STABLE_TEXT}


def test_an_old_version_has_no_role() -> None:
    old = replica_set("old", STABLE_TEXT, labels={"app": "app", "role": "stable"})
    (patch,) = effects(STRATEGY, SETTLED_STABLE, old)
    assert patch == PatchReplicaSet(
        "app-old",
        annotations={labels.EPHEMERAL_METADATA: None},
        template_metadata={"labels": {"app": "app"}, "annotations": {}},
    )


def test_pods_that_nobody_sees_are_left_alone() -> None:
    terminating = pod("stable", is_terminating=True)
    elsewhere = pod("other")
    assert effects(STRATEGY, SETTLED_STABLE, pods=(terminating, elsewhere)) == []
    empty = replica_set("stable", STABLE_TEXT, 0, labels={"role": "stable"})
    assert effects(STRATEGY, empty, pods=(pod("stable"),)) == []


def test_removing_both_fields_leaves_what_was_injected() -> None:
    assert effects({}, SETTLED_STABLE, SETTLED_CANARY) == []
    assert not is_configured(RolloutSpec.load({"strategy": {"canary": {}}}))
    assert is_configured(RolloutSpec.load({"strategy": {"canary": STRATEGY}}))


def test_an_annotation_that_cannot_be_read_injected_nothing() -> None:
    (patch,) = effects(STRATEGY, replica_set("stable", "{", labels={"role": "mine"}))
    assert patch.template_metadata == {"labels": {"role": "stable"}, "annotations": {}}
