"""The Services of a canary: which ReplicaSet each of them selects.

A Service that may still carry traffic by an unacknowledged route is not pointed at other pods:
the canary Service of a new revision moves only when the newest epoch is acknowledged with no
more on it than the step's weight.

Source: canary 1 (stages 6, 7), 6.1, 6.2, 6.3; architecture, section 4 (table of acknowledgements).
"""

from __future__ import annotations

import math

from rollout_controller.core.canary import steps as canary_steps
from rollout_controller.core.canary.drain import has_pods, is_drained
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet, ServiceObject
from rollout_controller.core.roles import ping_pong_roles
from rollout_controller.core.routers import weight_of
from rollout_controller.core.services import is_idle, roles_selecting, selected_hash, switch


def reconcile_services(draft: Draft) -> None:
    """Plan the switches of ping and pong, then those of stable and canary Service."""
    _reconcile_ping_pong(draft)
    _ensure_stable(draft, draft.canary.stable_service)
    canary = draft.canary.canary_service
    if draft.new is draft.stable or draft.is_aborted:
        if is_drained(draft):
            ensure_target(draft, canary, draft.stable, check_availability=not _is_urgent(draft))
    else:
        _ensure_canary(draft, canary)


def _reconcile_ping_pong(draft: Draft) -> None:
    """Point the Service of the canary role at the new version, however few pods it has.

    That of the stable role selects stable since it was the canary's; only where somebody else had
    a hand in it, or pingPong is new to a Rollout, it is pointed there (deviation 48).
    """
    roles = ping_pong_roles(draft.canary, draft.status.canary.stable_ping_pong)
    if roles is None:
        return
    _ensure_stable(draft, roles.stable)
    if not draft.is_fully_promoted:
        _ensure_canary(draft, roles.canary, is_free_when_empty=True)


def _ensure_stable(draft: Draft, name: str) -> None:
    """Point the Service of the stable role at stable, when that has the pods for what it brings.

    With a dynamic stable they may be few, and the Service may have been the canary's until now.
    At 0 replicas it moves before stable has any: who scales up must not find the canary behind it.
    """
    service = draft.observed.references.services.get(name)
    if service is not None and _can_take(draft, service):
        is_free = is_idle(draft, service) and bool(service.managed_by)
        ensure_target(draft, name, draft.stable, check_availability=not is_free)


def _can_take(draft: Draft, service: ServiceObject) -> bool:
    stable, stored = draft.stable, draft.observed.headrace.route
    if stable is None or stored is None or not draft.is_dynamic or draft.is_fully_promoted:
        return True
    if not has_pods(draft, service.pod_hash):
        return True
    names = roles_selecting(draft, stable.pod_hash) | {service.name}
    weight = sum(weight_of(stored, name) or 0 for name in names)
    return stable.available >= weight * draft.observed.replicas // stored.weights.base


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


def _is_urgent(draft: Draft) -> bool:
    """Return whether the canary Service leaves the canary at once, whoever answers at stable.

    Not while somebody answers there and stable has nobody: then requests would fail that now do
    not. That may be the version before the aborted one, which was on its way, too.
    """
    if not draft.is_aborted or not draft.has_routers or draft.is_fully_promoted:
        return False
    stable = draft.stable
    is_answering = has_pods(draft, selected_hash(draft, draft.canary.canary_service))
    return not is_answering or (stable is not None and stable.available > 0)


def _ensure_canary(draft: Draft, name: str, *, is_free_when_empty: bool = False) -> None:
    """Point the Service of the canary role at the new version, when its traffic allows it.

    With traffic it goes only to pods that answer; without any it may do so before.
    """
    if draft.is_dynamic and selected_hash(draft, draft.roles.stable) == draft.new_hash:
        return  # else both would select the pods of the canary
    weight = _weight_on(draft, name)
    if weight is not None and weight <= _weight_allowed(draft):
        is_free = is_free_when_empty and weight == 0
        ensure_target(draft, name, draft.new, check_availability=not is_free)


def _weight_on(draft: Draft, name: str) -> int | None:
    """Return what a Service gets by the newest route; None while that is not sure to hold.

    What counts is the weight of this very Service: right after a promotion with pingPong it may
    be the one that the newest route gives everything. Ping and pong that routers do not divide
    the traffic between may have been those a moment ago.
    """
    service = draft.observed.references.services.get(name)
    if service is None or not draft.status.stable_rs or not draft.has_routers:
        return 0
    if not service.pod_hash and draft.canary.ping_pong is None:
        return 0
    stored, known = draft.observed.headrace.route, draft.acknowledged
    if stored is None or known is None or known.epoch != draft.epoch:
        return None
    weight = weight_of(stored, name)
    if weight is None:
        return None if name == draft.roles.canary else 0
    return math.ceil(weight * draft.base / stored.weights.base)


def _weight_allowed(draft: Draft) -> int:
    """Return what the pods of the new version may get with the switch, by their step."""
    stored = draft.observed.headrace.route
    is_new_revision = stored is not None and stored.hashes.canary != draft.new_hash
    return 0 if is_new_revision else canary_steps.set_weight_at(draft.steps, draft.index)
