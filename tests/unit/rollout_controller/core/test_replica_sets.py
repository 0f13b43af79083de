"""The ReplicaSet of a revision (rollout-api 7.2, 7.4, 9)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from rollout_controller.core import labels, samples
from rollout_controller.core.anti_affinity import wanted_affinity
from rollout_controller.core.decide import decide
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import (
    AnnotateRollout,
    CreateReplicaSet,
    DeleteReplicaSet,
    PatchReplicaSet,
)
from rollout_controller.core.replica_sets import (
    collect_history,
    copied_annotations,
    create_replica_set,
    sync_revision,
)

pytestmark = [
    pytest.mark.spec("rollout-api 7.2"),
    pytest.mark.spec("rollout-api 7.4"),
]


def created(observed: Observed) -> tuple[dict[str, Any], Draft]:
    draft = Draft(observed, samples.NOW)
    create_replica_set(draft)
    effect = draft.effects[0]
    assert isinstance(effect, CreateReplicaSet)
    return effect.manifest, draft


def synced(observed: Observed) -> Draft:
    draft = Draft(observed, samples.NOW)
    sync_revision(draft)
    return draft


# Anti-affinity (rollout-api 7.5)

APART: dict[str, Any] = {"antiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}


@pytest.mark.spec("rollout-api 7.5")
def test_the_pods_of_a_new_revision_keep_away_from_the_stable_one() -> None:
    observed = samples.rollout(APART, replica_sets=(samples.replica_set("stable"),))
    manifest, _ = created(observed)
    affinity = wanted_affinity(observed, "new")
    assert affinity is not None
    assert manifest["spec"]["template"]["spec"]["affinity"] == affinity
    assert "affinity" not in (observed.spec.template or {})["spec"]


@pytest.mark.spec("rollout-api 7.5")
def test_the_injected_term_follows_the_stable_version() -> None:
    before = samples.rollout(APART)
    template = {"spec": {"affinity": wanted_affinity(before, "new")}}
    manifest = {"metadata": {}, "spec": {"template": template}}
    new = samples.replica_set("new", manifest=manifest)
    sets = (samples.replica_set("later"), new)
    after = samples.rollout(APART, status={"stableRS": "later"}, replica_sets=sets)
    wanted = PatchReplicaSet("app-new", annotations={}, affinity=wanted_affinity(after, "new"))
    assert synced(after).effects == [wanted]
    assert (
        synced(samples.rollout(APART, replica_sets=(samples.replica_set("stable"), new))).effects
        == []
    )


# Creation (rollout-api 7.4)


@pytest.mark.spec("rollout-api 7.1")
def test_the_replica_set_of_a_template() -> None:
    only_stable = (samples.replica_set("stable", revision=4),)
    spec = {"minReadySeconds": 7}
    annotations = {"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    observed = samples.rollout({}, spec=spec, replica_sets=only_stable, annotations=annotations)
    manifest, _ = created(observed)
    assert manifest["metadata"]["name"] == "app-new"
    assert manifest["metadata"]["namespace"] == "default"
    assert manifest["metadata"]["labels"] == {"app": "app", labels.HASH: "new"}
    assert manifest["metadata"]["annotations"] == {
        "team": "a",
        labels.REVISION: "5",
        labels.DESIRED_REPLICAS: "4",
        labels.CAUSE: "5",
    }
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "app",
        "uid": "uid-app",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    body = manifest["spec"]
    assert (body["replicas"], body["minReadySeconds"]) == (0, 7)
    assert body["selector"] == {"matchLabels": {"app": "app", labels.HASH: "new"}}
    assert body["template"]["metadata"]["labels"] == {"app": "app", labels.HASH: "new"}
    assert body["template"]["spec"] == samples.TEMPLATE["spec"]


def test_the_spec_of_the_rollout_is_left_as_it_is() -> None:
    created(samples.rollout({}, replica_sets=(samples.replica_set("stable"),)))
    assert samples.TEMPLATE["metadata"] == {"labels": {"app": "app"}}


def test_a_creation_is_told() -> None:
    observed = samples.rollout({}, replica_sets=(samples.replica_set("stable"),), annotations={})
    _, draft = created(observed)
    assert draft.effects[1] == AnnotateRollout({labels.REVISION: "2"})
    assert sorted((event.reason, event.message) for event in draft.events) == [
        ("NewReplicaSetCreated", "Created ReplicaSet app-new (revision 2)"),
        ("RolloutUpdated", "Rollout updated to revision 2"),
    ]


CANARY = {"labels": {"role": "canary"}, "annotations": {"note": "c"}}
STABLE = {"labels": {"role": "stable"}}


@pytest.mark.parametrize(
    ("stable", "role", "annotation"),
    [
        ("stable", "canary", '{"labels":{"role":"canary"},"annotations":{"note":"c"}}'),
        (None, "stable", '{"labels":{"role":"stable"}}'),
    ],
)
def test_new_pods_know_their_role_from_the_start(
    stable: str | None, role: str, annotation: str
) -> None:
    strategy = {"canaryMetadata": CANARY, "stableMetadata": STABLE}
    observed = samples.rollout(
        strategy, status={"stableRS": stable}, replica_sets=(samples.replica_set("stable"),)
    )
    manifest, _ = created(observed)
    assert manifest["spec"]["template"]["metadata"]["labels"]["role"] == role
    assert manifest["metadata"]["annotations"][labels.EPHEMERAL_METADATA] == annotation
    assert "role" not in manifest["metadata"]["labels"]


def test_some_annotations_are_never_copied() -> None:
    own = {
        "team": "a",
        labels.REVISION: "1",
        labels.REVISION_HISTORY: "1",
        labels.DESIRED_REPLICAS: "1",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "notified.notifications.argoproj.io": "{}",
        "notifications.argoproj.io/subscribe.on-x.slack": "c",
        "headrace.io/command": "1",
    }
    assert copied_annotations(own) == {
        "team": "a",
        "notifications.argoproj.io/subscribe.on-x.slack": "c",
    }


# Keeping step (rollout-api 9)


def test_nothing_is_written_in_a_steady_state() -> None:
    draft = synced(samples.rollout({}))
    assert (draft.effects, draft.events) == ([], [])


def test_a_version_that_comes_back_is_the_newest_revision() -> None:
    sets = (samples.replica_set("stable", revision=5), samples.replica_set("new", revision=3))
    draft = synced(samples.rollout({}, replica_sets=sets))
    patch, annotate = draft.effects
    assert patch == PatchReplicaSet(
        "app-new", annotations={labels.REVISION: "6", labels.REVISION_HISTORY: "3"}
    )
    assert annotate == AnnotateRollout({labels.REVISION: "6"})
    assert [event.message for event in draft.events] == ["Rollout updated to revision 6"]


def test_the_history_of_revisions_grows() -> None:
    annotated = {"metadata": {"annotations": {labels.REVISION_HISTORY: "1,2"}}}
    new = samples.replica_set("new", revision=3, manifest=annotated)
    sets = (samples.replica_set("stable", revision=5), new)
    patch = synced(samples.rollout({}, replica_sets=sets)).effects[0]
    assert isinstance(patch, PatchReplicaSet)
    assert patch.annotations is not None
    assert patch.annotations[labels.REVISION_HISTORY] == "1,2,3"


def test_added_annotations_are_copied_and_removed_ones_stay() -> None:
    annotated = {"metadata": {"annotations": {"old": "1", labels.REVISION: "2"}}}
    new = samples.replica_set("new", manifest=annotated)
    observed = samples.rollout(
        {},
        replica_sets=(samples.replica_set("stable"), new),
        annotations={"team": "a", labels.REVISION: "2"},
    )
    (patch,) = synced(observed).effects
    assert patch == PatchReplicaSet("app-new", annotations={"team": "a", labels.REVISION: "2"})


def test_the_minimum_ready_time_is_kept_in_step() -> None:
    (patch,) = synced(samples.rollout({}, spec={"minReadySeconds": 9})).effects
    assert patch == PatchReplicaSet("app-new", annotations={}, min_ready_seconds=9)


# History (rollout-api 9)


def deleted(
    *, limit: int | None = 1, shares: dict[str, int] | None = None, **more: Any
) -> list[str]:
    old = tuple(
        replace(samples.replica_set(f"old-{age}", 0), created_at=Instant(samples.NOW - age), **more)
        for age in (1, 3, 2)
    )
    sets = (samples.replica_set("stable"), samples.replica_set("new"), *old)
    spec = {} if limit is None else {"revisionHistoryLimit": limit}
    observed = samples.rollout({}, spec=spec, replica_sets=sets)
    draft = Draft(replace(observed, headrace=HeadraceStatus(shares=shares)), samples.NOW)
    collect_history(draft)
    return [e.name for e in draft.effects if isinstance(e, DeleteReplicaSet)]


@pytest.mark.spec("rollout-api 9")
def test_the_oldest_revisions_beyond_the_limit_go() -> None:
    assert deleted(limit=1) == ["app-old-3", "app-old-2"]
    assert deleted(limit=0) == ["app-old-3", "app-old-2", "app-old-1"]
    assert deleted(limit=3) == []
    assert deleted(limit=None) == []


@pytest.mark.spec("rollout-api 9")
@pytest.mark.parametrize(
    "change",
    [{"replicas": 1}, {"status_replicas": 1}, {"is_status_current": False}, {"is_deleting": True}],
    ids=lambda change: next(iter(change)),
)
def test_a_revision_that_may_have_pods_stays(change: dict[str, Any]) -> None:
    assert deleted(limit=1, **change) == []


@pytest.mark.spec("canary 4.8")
def test_a_revision_that_carries_traffic_stays() -> None:
    assert deleted(limit=1, shares={"old-3": 5}) == ["app-old-2"]


def test_a_pass_speaks_of_the_revision_that_it_gives() -> None:
    """What it creates and claims would else have the name of a revision that nobody has."""
    sets = (samples.replica_set("stable"), samples.replica_set("new", 4, revision=1))
    draft = Draft(samples.rollout({}, replica_sets=sets), samples.NOW)
    assert draft.revision == 1
    sync_revision(draft)
    assert draft.revision == 2


def test_an_abort_names_the_revision_that_its_own_pass_gives() -> None:
    sets = (samples.replica_set("stable", revision=2), samples.replica_set("new", 4))
    observed = samples.blue_green(status={"abort": True}, replica_sets=sets)
    claim = decide(observed, now=samples.NOW).claim
    assert claim is not None
    assert claim.status.message == "RolloutAborted: Rollout aborted update to revision 3"
