"""Evictions: what a PodDisruptionBudget allows.

Source: the eviction subresource of kube-apiserver, and kube-controller-manager's disruption
controller for the numbers.
"""

from __future__ import annotations

import math

from headrace.errors import RateLimited
from headrace.kubernetes.resources import POD_DISRUPTION_BUDGETS, PODS
from headrace.model.meta import LabelSelector
from headrace.runtime.cluster_memory.objects import Objects, Record, controller_of
from headrace.runtime.cluster_memory.pods import is_active, is_ready


def check_budgets(objects: Objects, pod: Record) -> None:
    """Raise RateLimited when a budget does not allow to disrupt `pod` now."""
    if pod.is_terminating or not is_active(pod):
        return
    for budget in objects.all(POD_DISRUPTION_BUDGETS):
        pods = _selected(objects, budget)
        if any(found.uid == pod.uid for found in pods) and not _allows(objects, budget, pods, pod):
            raise RateLimited(
                "Cannot evict pod as it would violate the pod's disruption budget. "
                f"The disruption budget {budget.name} does not allow it."
            )


def _selected(objects: Objects, budget: Record) -> list[Record]:
    selector = LabelSelector.model_validate(budget.manifest["spec"].get("selector") or {})
    return [
        pod
        for pod in objects.all(PODS)
        if pod.namespace == budget.namespace
        and is_active(pod)
        and selector.matches(pod.metadata.get("labels") or {})
    ]


def _allows(objects: Objects, budget: Record, pods: list[Record], pod: Record) -> bool:
    spec = budget.manifest["spec"]
    expected = _expected(objects, pods)
    if "maxUnavailable" in spec:
        wanted = expected - _scaled(spec["maxUnavailable"], expected)
    else:
        wanted = _scaled(spec.get("minAvailable", 1), expected)
    healthy = sum(1 for found in pods if is_ready(found))
    # A pod that is not healthy may go while the budget is met; a healthy one needs room.
    return healthy > wanted if is_ready(pod) else healthy >= wanted


def _expected(objects: Objects, pods: list[Record]) -> int:
    """Return how many pods there should be: what their controllers want."""
    owners = {owner["uid"] for pod in pods if (owner := controller_of(pod)) is not None}
    controllers = [found for uid in owners if (found := objects.by_uid(uid)) is not None]
    return sum(int(found.manifest["spec"].get("replicas", 1)) for found in controllers)


def _scaled(value: int | str, total: int) -> int:
    """Return an int-or-percent value as a count, percentages rounded up."""
    if isinstance(value, int):
        return value
    return math.ceil(int(value.removesuffix("%")) * total / 100)
