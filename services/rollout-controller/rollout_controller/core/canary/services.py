"""The Services of a canary: which ReplicaSet each of them selects.

A Service that may still carry traffic by an unacknowledged route is not pointed at other pods:
the canary Service of a new revision moves only when the newest epoch is acknowledged with no
more on it than the step's weight.

Source: canary 6.1, 6.2; architecture, section 4 (table of acknowledgements).
"""

from __future__ import annotations

from rollout_controller.core.canary import steps as canary_steps
from rollout_controller.core.canary.drain import is_drained
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet, ServiceObject
from rollout_controller.core.services import switch


def reconcile_services(draft: Draft) -> None:
    """Plan the switches of stable and canary Service."""
    ensure_target(draft, draft.canary.stable_service, draft.stable)
    canary = draft.canary.canary_service
    if draft.new is draft.stable or draft.is_aborted:
        if is_drained(draft):
            is_urgent = draft.is_aborted and draft.has_routers and not draft.is_fully_promoted
            ensure_target(draft, canary, draft.stable, check_availability=not is_urgent)
    elif _may_leave(draft, canary):
        ensure_target(draft, canary, draft.new)


def ensure_target(
    draft: Draft, name: str, rs: ReplicaSet | None, *, check_availability: bool = True
) -> None:
    """Point the Service `name` at `rs` where that is allowed (canary 6.1)."""
    service = draft.observed.references.services.get(name)
    if rs is None or service is None or service.pod_hash == rs.pod_hash:
        return
    if check_availability and not _is_ready_for(service, rs):
        return
    switch(draft, service, rs.pod_hash)


def _is_ready_for(service: ServiceObject, rs: ReplicaSet) -> bool:
    if not service.managed_by and not (rs.replicas > 0 and rs.replicas <= rs.available):
        return False
    return rs.available >= 1


def _may_leave(draft: Draft, name: str) -> bool:
    """Return whether the canary Service may be pointed at another ReplicaSet now."""
    service = draft.observed.references.services.get(name)
    if service is None or draft.new is None:
        return True
    if not draft.has_routers or not service.pod_hash:
        return True
    if not draft.status.stable_rs:
        return True
    stored, known = draft.observed.headrace.route, draft.acknowledged
    if stored is None or known is None or known.epoch != draft.epoch:
        return False
    is_new_revision = stored.hashes.canary != draft.new.pod_hash
    limit = 0 if is_new_revision else canary_steps.set_weight_at(draft.steps, draft.index)
    return known.canary <= limit
