from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from headrace.kubernetes.defaults import with_defaults
from headrace.kubernetes.hashes import dumped_template_hash, pod_template_hash
from headrace.kubernetes.templates import (
    EPHEMERAL_METADATA,
    HASH_LABEL,
    find_new_replica_set,
    has_template,
    hash_label,
    without_ephemeral_metadata,
)

pytestmark = pytest.mark.spec("rollout-api 7.3")

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {"name": "app", "image": "web:v1", "resources": {"limits": {"cpu": "1000m"}}}
        ],
        "serviceAccountName": "web",
        "volumes": [{"name": "scratch"}],
    },
}
INJECTED = {
    "labelSelector": {
        "matchExpressions": [{"key": HASH_LABEL, "operator": "In", "values": ["abc"]}]
    },
    "namespaces": ["default"],
    "topologyKey": "kubernetes.io/hostname",
}


def replica_set(
    name: str = "web",
    *,
    template: dict[str, Any] = TEMPLATE,
    label: str = "other",
    created: str = "2026-01-01T00:00:00Z",
) -> dict[str, Any]:
    """Return a ReplicaSet as the API server would hold it."""
    live = with_defaults(copy.deepcopy(template))
    live["metadata"].setdefault("labels", {})[HASH_LABEL] = label
    return {
        "metadata": {"name": name, "labels": {HASH_LABEL: label}, "creationTimestamp": created},
        "spec": {"template": live},
    }


def changed(**spec: Any) -> dict[str, Any]:
    return {**TEMPLATE, "spec": {**TEMPLATE["spec"], **spec}}


def test_the_label_decides_first() -> None:
    by_label = replica_set("b", template=changed(nodeName="x"), label=pod_template_hash(TEMPLATE))
    by_content = replica_set("a")
    assert find_new_replica_set([by_content, by_label], TEMPLATE) is by_label


def test_the_collision_count_is_part_of_the_hash() -> None:
    plain = replica_set("a", label=pod_template_hash(TEMPLATE))
    collided = replica_set("b", label=pod_template_hash(TEMPLATE, 2))
    assert find_new_replica_set([plain, collided], TEMPLATE, 2) is collided


def test_a_label_of_the_controllers_of_kubernetes_decides_before_the_content() -> None:
    by_content = replica_set("a", created="2025-01-01T00:00:00Z")
    dumped = dumped_template_hash(TEMPLATE, 2)
    by_label = replica_set("b", template=changed(nodeName="x"), label=dumped)
    assert find_new_replica_set([by_content, by_label], TEMPLATE, 2) is by_label
    assert find_new_replica_set([by_content, by_label], TEMPLATE) is by_content


def test_a_template_without_such_a_label_is_found_by_its_content() -> None:
    template = {**TEMPLATE, "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}
    same = replica_set("a", template=template)
    assert find_new_replica_set([same], template) is same


def test_the_content_decides_when_no_label_fits() -> None:
    other = replica_set("a", template=changed(nodeName="x"))
    same = replica_set("b")
    assert find_new_replica_set([other, same], TEMPLATE) is same


def test_the_oldest_match_wins_and_then_the_name() -> None:
    young = replica_set("a", created="2026-01-02T00:00:00Z")
    old = replica_set("c", created="2026-01-01T00:00:00Z")
    as_old = replica_set("b", created="2026-01-01T00:00:00Z")
    assert find_new_replica_set([young, old, as_old], TEMPLATE) is as_old


def test_nothing_is_found_for_a_new_template() -> None:
    assert find_new_replica_set([replica_set()], changed(nodeName="x")) is None
    assert find_new_replica_set([], TEMPLATE) is None


@pytest.mark.parametrize(
    "written",
    [
        changed(dnsPolicy="ClusterFirst", hostNetwork=False),
        changed(serviceAccount="web"),
        changed(affinity={}),
        changed(volumes=[{"name": "scratch", "emptyDir": {}}], tolerations=[]),
        changed(
            containers=[{"name": "app", "image": "web:v1", "resources": {"limits": {"cpu": 1}}}]
        ),
        {**TEMPLATE, "metadata": {"labels": {"app": "web", HASH_LABEL: "x"}, "annotations": {}}},
    ],
)
def test_the_same_template_written_differently_is_the_same(written: dict[str, Any]) -> None:
    assert has_template(replica_set(), written)


def test_a_replica_set_without_defaults_runs_its_template() -> None:
    live = {**replica_set(), "spec": {"template": copy.deepcopy(TEMPLATE)}}
    assert has_template(live, TEMPLATE)
    assert not has_template(live, changed(dnsPolicy="Default"))


@pytest.mark.parametrize(
    "written",
    [
        changed(dnsPolicy="Default"),
        changed(terminationGracePeriodSeconds=0),
        changed(tolerations=[{}]),
        changed(affinity={"nodeAffinity": {}}),
        changed(serviceAccountName="other"),
        changed(containers=[{"name": "app", "image": "web:v2"}]),
        {**TEMPLATE, "metadata": {"labels": {"app": "web", "more": ""}}},
    ],
)
def test_another_template_is_another(written: dict[str, Any]) -> None:
    assert not has_template(replica_set(), written)


def test_injected_metadata_does_not_count() -> None:
    live = replica_set()
    live["spec"]["template"]["metadata"]["labels"]["role"] = "canary"
    live["spec"]["template"]["metadata"]["annotations"] = {"note": "x"}
    assert not has_template(live, TEMPLATE)
    injected = {"labels": {"role": "canary"}, "annotations": {"note": "x"}}
    live["metadata"]["annotations"] = {EPHEMERAL_METADATA: json.dumps(injected)}
    assert has_template(live, TEMPLATE)
    assert without_ephemeral_metadata(live)["metadata"]["labels"] == {
        "app": "web",
        HASH_LABEL: "other",
    }


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"labels":null}'])
def test_an_annotation_that_says_nothing_removes_nothing(text: str) -> None:
    live = replica_set()
    live["metadata"]["annotations"] = {EPHEMERAL_METADATA: text}
    assert has_template(live, TEMPLATE)


@pytest.mark.parametrize("own", [None, {"nodeAffinity": {}}, {"podAffinity": {}}])
@pytest.mark.spec("rollout-api 7.5")
def test_the_injected_anti_affinity_term_does_not_count(own: dict[str, Any] | None) -> None:
    template = changed(affinity=own) if own else TEMPLATE
    preferred = [{"weight": 50, "podAffinityTerm": INJECTED}]
    for terms in (
        {"requiredDuringSchedulingIgnoredDuringExecution": [INJECTED]},
        {"preferredDuringSchedulingIgnoredDuringExecution": preferred},
    ):
        live = replica_set(template=changed(affinity={**(own or {}), "podAntiAffinity": terms}))
        assert has_template(live, template)


@pytest.mark.spec("rollout-api 7.5")
def test_anti_affinity_of_the_users_own_counts() -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    live = replica_set(template=changed(affinity=affinity))
    assert has_template(live, changed(affinity=affinity))
    assert not has_template(live, TEMPLATE)


def test_a_replica_set_without_labels_has_no_hash() -> None:
    assert hash_label({"metadata": {"name": "a"}}) == ""
