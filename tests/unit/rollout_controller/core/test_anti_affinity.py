"""Keeping the pods of two revisions apart (rollout-api 7.5)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.rollout import RolloutSpec
from rollout_controller.core import labels, samples
from rollout_controller.core.anti_affinity import stale_affinity, wanted_affinity
from rollout_controller.core.observed import Observed, ReplicaSet

pytestmark = pytest.mark.spec("rollout-api 7.5")

REQUIRED: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {}}
PREFERRED = {"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 7}}


def term(stable: str) -> dict[str, Any]:
    expression = {"key": labels.HASH, "operator": "In", "values": [stable]}
    return {
        "labelSelector": {"matchExpressions": [expression]},
        "namespaces": ["default"],
        "topologyKey": "kubernetes.io/hostname",
    }


def observed(rule: dict[str, Any], stable: str = "stable", **template_spec: Any) -> Observed:
    template = {**samples.TEMPLATE, "spec": {**samples.TEMPLATE["spec"], **template_spec}}
    return samples.rollout(
        {"antiAffinity": rule} if rule else {},
        spec={"template": template},
        status={"stableRS": stable},
    )


def injected(affinity: dict[str, Any]) -> ReplicaSet:
    template = {**samples.TEMPLATE, "spec": {**samples.TEMPLATE["spec"], "affinity": affinity}}
    return samples.replica_set("new", manifest={"metadata": {}, "spec": {"template": template}})


def test_required_terms_name_the_stable_revision() -> None:
    assert wanted_affinity(observed(REQUIRED), "new") == {
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("stable")]}
    }


def test_preferred_terms_have_the_users_weight() -> None:
    weighted = {"weight": 7, "podAffinityTerm": term("stable")}
    assert wanted_affinity(observed(PREFERRED), "new") == {
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}
    }


def test_the_templates_own_terms_stay() -> None:
    own = {"topologyKey": "zone"}
    affinity = {
        "nodeAffinity": {"n": 1},
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own]},
    }
    found = observed(REQUIRED, affinity=affinity)
    assert wanted_affinity(found, "new") == {
        "nodeAffinity": {"n": 1},
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [own, term("stable")]
        },
    }
    assert found.spec.template is not None
    assert found.spec.template["spec"]["affinity"] == affinity


@pytest.mark.parametrize(
    ("rule", "stable"),
    [({}, "stable"), (REQUIRED, ""), (REQUIRED, "new")],
    ids=["not configured", "first deployment", "the stable template"],
)
def test_nothing_is_injected_without_another_revision(rule: dict[str, Any], stable: str) -> None:
    assert wanted_affinity(observed(rule, stable), "new") is None


def test_blue_green_injects_the_same() -> None:
    found = observed(REQUIRED)
    strategy = {"blueGreen": {"activeService": "active", "antiAffinity": REQUIRED}}
    raw = {**found.raw_spec, "strategy": strategy}
    both = replace(found, spec=RolloutSpec.load(raw))
    assert wanted_affinity(both, "new") == wanted_affinity(found, "new")


@pytest.mark.parametrize("rule", [REQUIRED, PREFERRED])
def test_the_term_follows_the_stable_revision(rule: dict[str, Any]) -> None:
    before, after = observed(rule), observed(rule, "other")
    old = wanted_affinity(before, "new")
    assert old is not None
    assert stale_affinity(after, injected(old)) == wanted_affinity(after, "new")
    assert stale_affinity(before, injected(old)) is None


def test_a_revision_made_without_a_term_gets_none_later() -> None:
    assert stale_affinity(observed(REQUIRED), samples.replica_set("new")) is None
    assert stale_affinity(observed(REQUIRED), injected({"podAntiAffinity": None})) is None


def test_a_promoted_revision_keeps_its_last_term() -> None:
    old = wanted_affinity(observed(REQUIRED), "new")
    assert old is not None
    assert stale_affinity(observed(REQUIRED, "new"), injected(old)) is None
