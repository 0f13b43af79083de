"""Restart of all pods by eviction, at most as fast as availability allows (rollout-api 10)."""

from __future__ import annotations

from headrace.model.quantities import Instant, resolve_percent
from headrace.model.rollout import MAX_UNAVAILABLE_DEFAULT
from rollout_controller.core.canary import counts
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Pod
from rollout_controller.core.plan import EvictPods

RETRY_SECONDS = 30.0


def reconcile_restart(draft: Draft) -> None:
    """Plan the evictions of this pass."""
    restart_at = draft.spec.restart_at
    if restart_at is None or restart_at == draft.status.restarted_at:
        return
    if draft.now < restart_at:
        draft.wake(restart_at)
        return
    old = [
        pod for pod in draft.observed.pods if pod.created_at < restart_at and not pod.is_terminating
    ]
    if not old:
        draft.restarted_at = restart_at
        return
    times = [at for pod in draft.observed.pods if (at := _available_at(draft, pod)) is not None]
    budget = _budget(draft, available=sum(at <= draft.now for at in times))
    if budget > 0:
        draft.effect(EvictPods(tuple(pod.name for pod in old), budget))
    draft.wake(draft.now + RETRY_SECONDS)
    for soon in times:
        if soon > draft.now:
            draft.wake(soon)


def _available_at(draft: Draft, pod: Pod) -> Instant | None:
    """Return when a pod has been ready for minReadySeconds; None for one that is not, or goes.

    One that is ready has been so since now at the latest, also by a clock that is behind.
    """
    if pod.ready_at is None or pod.is_terminating:
        return None
    return Instant(min(pod.ready_at, draft.now) + draft.spec.min_ready_seconds)


def _budget(draft: Draft, *, available: int) -> int:
    """Return how many pods may go now."""
    replicas = draft.observed.replicas
    wanted = max(replicas, sum(rs.replicas for rs in draft.observed.replica_sets))
    floor = wanted - max(_max_unavailable(draft), 1)
    return available - floor


def _max_unavailable(draft: Draft) -> int:
    if not draft.is_blue_green:
        return counts.max_unavailable(draft.count_facts())
    value, replicas = draft.blue_green.max_unavailable, draft.observed.replicas
    value = MAX_UNAVAILABLE_DEFAULT if value is None else value
    return min(resolve_percent(value, replicas, round_up=False), replicas)
