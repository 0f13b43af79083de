"""Who is woken by a change of a workload."""

import pytest

from headrace.kubernetes.resources import DEPLOYMENTS, POD_TEMPLATES, Manifest
from headrace.runtime.cluster import WatchEvent
from headrace.runtime.workqueue import Lane
from rollout_controller.caches import Caches, Facts
from rollout_controller.wake import Waker

pytestmark = pytest.mark.spec("rollout-api 2.3")


def rollout(owner: str, **reference: str) -> Manifest:
    spec = {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", **reference}}
    return {"metadata": metadata(owner), "spec": spec}


def metadata(name: str, version: int = 1, generation: int = 1) -> dict[str, object]:
    return {
        "namespace": "default",
        "name": name,
        "uid": name,
        "resourceVersion": str(version),
        "generation": generation,
    }


def woken_by(*events: WatchEvent) -> list[tuple[str, Lane]]:
    caches, keys = Caches(), []
    for each in (
        rollout("web", name="app"),
        rollout("other", name="else"),
        rollout("pods", name="app", kind="PodTemplate", apiVersion="v1"),
    ):
        caches.rollouts.apply(WatchEvent("ADDED", each))
    waker = Waker(caches, Facts(), lambda key, lane: keys.append((key, lane)), lambda _: None)
    waker.listen()
    for event in events:
        caches.workloads[DEPLOYMENTS].apply(event)
    return keys


def test_a_new_generation_wakes_who_refers_to_it_as_a_user_patch_does() -> None:
    added = WatchEvent("ADDED", {"metadata": metadata("app", 5)})
    changed = WatchEvent("MODIFIED", {"metadata": metadata("app", 6, generation=2)})
    assert woken_by(added, changed) == [("default/web", Lane.USER)] * 2


def test_a_change_of_its_status_wakes_nobody() -> None:
    added = WatchEvent("ADDED", {"metadata": metadata("app", 5)})
    changed = WatchEvent("MODIFIED", {"metadata": metadata("app", 6)})
    assert woken_by(added, changed) == [("default/web", Lane.USER)]


def test_its_end_wakes_too() -> None:
    added = WatchEvent("ADDED", {"metadata": metadata("app", 5)})
    deleted = WatchEvent("DELETED", {"metadata": metadata("app", 6)})
    assert woken_by(added, deleted) == [("default/web", Lane.USER)] * 2


def test_only_kinds_that_are_referred_to_are_wanted() -> None:
    caches = Caches()
    caches.rollouts.apply(WatchEvent("ADDED", rollout("web", name="app")))
    assert caches.rollouts.has("workload kind", DEPLOYMENTS.plural)
    assert not caches.rollouts.has("workload kind", POD_TEMPLATES.plural)
    caches.rollouts.apply(WatchEvent("DELETED", rollout("web", name="app")))
    assert not caches.rollouts.has("workload kind", DEPLOYMENTS.plural)
