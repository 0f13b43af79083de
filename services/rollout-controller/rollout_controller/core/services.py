"""How a Service is pointed at a ReplicaSet.

Source: canary 6.1; bluegreen 2.
"""

from __future__ import annotations

from headrace.model.conditions import Reason
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ServiceObject
from rollout_controller.core.plan import SwitchService


def selected_hash(draft: Draft, name: str) -> str:
    """Return the hash that a Service selects as this pass leaves it, "" when it selects none."""
    service = draft.observed.references.services.get(name)
    return draft.selected.get(name, service.pod_hash if service is not None else "")


def roles_selecting(draft: Draft, pod_hash: str) -> set[str]:
    """Return the Services of both roles of the newest route that select the pods with a hash."""
    stored = draft.observed.headrace.route
    roles = (stored.services.canary_role, stored.services.stable_role) if stored else ()
    return {name for name in roles if name and selected_hash(draft, name) == pod_hash}


def is_canary_elsewhere(draft: Draft) -> bool:
    """Return whether the canary Service selects other pods than those of the new version."""
    name = draft.roles.canary
    return bool(name) and selected_hash(draft, name) != draft.new_hash


def is_idle(draft: Draft, service: ServiceObject) -> bool:
    """Return whether no pod is wanted, and none is left that a Service would bring requests to."""
    selected = service.pod_hash
    reached = (rs for rs in draft.observed.replica_sets if selected in ("", rs.pod_hash))
    return not draft.observed.replicas and not any(rs.available > 0 for rs in reached)


def switch(draft: Draft, service: ServiceObject, pod_hash: str) -> None:
    """Plan to point a Service at the pods with a hash, and to adopt it."""
    draft.selected[service.name] = pod_hash
    effect = SwitchService(
        service.name,
        pod_hash,
        managed_by=None if service.managed_by else draft.observed.name,
    )
    draft.effect(effect)
    draft.event(
        Reason.SWITCH_SERVICE,
        f"Switched selector for service '{service.name}' from '{service.pod_hash}' to '{pod_hash}'",
        tells=effect,
    )
