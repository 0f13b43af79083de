"""Pods of the new revision keep away from nodes that run the stable one (rollout-api 7.5).

The term names the hash of the stable revision. It is put into the template of a ReplicaSet at
its creation, never into that of the Rollout, and follows the stable revision from then on.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from headrace.model.rollout import AntiAffinity
from rollout_controller.core import labels
from rollout_controller.core.observed import Observed, ReplicaSet

_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_TOPOLOGY: Final = "kubernetes.io/hostname"


def wanted_affinity(observed: Observed, pod_hash: str) -> dict[str, Any] | None:
    """Return the affinity of the ReplicaSet with a hash; None to leave the template's own."""
    rule, stable = _rule(observed), observed.status.stable_rs
    if rule is None or not stable or stable == pod_hash:
        return None
    affinity = copy.deepcopy(_affinity(observed.spec.template or {}))
    anti: dict[str, Any] = affinity.get("podAntiAffinity") or {}
    term = _term(observed.namespace, stable)
    preferred = rule.preferred_during_scheduling_ignored_during_execution
    if preferred is not None:
        weighted = {"weight": preferred.weight, "podAffinityTerm": term}
        anti = {**anti, _PREFERRED: [*(anti.get(_PREFERRED) or ()), weighted]}
    else:
        anti = {**anti, _REQUIRED: [*(anti.get(_REQUIRED) or ()), term]}
    return {**affinity, "podAntiAffinity": anti}


def stale_affinity(observed: Observed, rs: ReplicaSet) -> dict[str, Any] | None:
    """Return the affinity for a ReplicaSet whose term names an earlier stable revision."""
    template = rs.manifest.get("spec", {}).get("template") or {}
    named = _named_revisions(template)
    if not named or observed.status.stable_rs in named:
        return None
    return wanted_affinity(observed, rs.pod_hash)


def _rule(observed: Observed) -> AntiAffinity | None:
    strategy = observed.spec.strategy.canary or observed.spec.strategy.blue_green
    return strategy.anti_affinity if strategy is not None else None


def _term(namespace: str, stable: str) -> dict[str, Any]:
    expression = {"key": labels.HASH, "operator": "In", "values": [stable]}
    return {
        "labelSelector": {"matchExpressions": [expression]},
        "namespaces": [namespace],
        "topologyKey": _TOPOLOGY,
    }


def _affinity(template: Mapping[str, Any]) -> dict[str, Any]:
    return (template.get("spec") or {}).get("affinity") or {}


def _named_revisions(template: Mapping[str, Any]) -> set[str]:
    """Return the hashes from which the pods of a template keep away."""
    anti = _affinity(template).get("podAntiAffinity") or {}
    terms = [each.get("podAffinityTerm") or {} for each in anti.get(_PREFERRED) or ()]
    terms += anti.get(_REQUIRED) or ()
    return {
        value
        for term in terms
        for expression in (term.get("labelSelector") or {}).get("matchExpressions") or ()
        if expression.get("key") == labels.HASH
        for value in expression.get("values") or ()
    }
