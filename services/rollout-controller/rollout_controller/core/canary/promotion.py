"""When the new version becomes the stable one (canary 3.1, 3.2)."""

from __future__ import annotations

from rollout_controller.core.canary.counts import Size, threshold_met
from rollout_controller.core.canary.weights import gate_holds
from rollout_controller.core.draft import Draft
from rollout_controller.core.managed_routes import are_managed_routes_gone
from rollout_controller.core.roles import ping_pong_roles
from rollout_controller.core.rollback import is_within_window
from rollout_controller.core.services import selected_hash


def promotion_reason(draft: Draft, index: int) -> str | None:
    """Return why the new version is promoted now, or None when it is not.

    Args:
        draft: The pass.
        index: Working step index; len(steps) when all are done or skipped.

    A routed canary that ran its last step is promoted only when its weight is acknowledged:
    the pods of stable go down on the strength of that (architecture, section 4). A full
    promotion leaves the weight as it is, and waits only until managed routes are gone.
    """
    if draft.stable is None:
        return "Initial deploy"
    if draft.is_aborted:
        return None
    new = draft.new
    if new is None:
        return None
    replicas = draft.observed.replicas
    if new.available < replicas and not _is_threshold_met(draft, replicas):
        return None
    if not _may_swap(draft):
        return None
    if draft.status.promote_full:
        return None if _awaits_removal(draft) else "Full promotion requested"
    if draft.new is draft.stable:
        return "Fast rollback"
    steps = len(draft.steps)
    is_back = is_within_window(draft)
    if steps and index < steps and not is_back:
        return None
    if not draft.is_fully_promoted and not draft.is_route_settled:
        return None
    if is_back:
        return "Rollback within window"
    if not draft.is_fully_promoted and _lacks_weight(draft):
        return None
    return f"Completed all {steps} canary steps"


def _lacks_weight(draft: Draft) -> bool:
    """Return whether the route that holds is that of the last step, not yet that of the end.

    So it is while there are other pods than wanted, as after a scale-in (canary 5.2, rule 7).
    """
    route = draft.request
    if route is None or not draft.has_routers or not draft.steps or not draft.observed.replicas:
        return False
    return route.weights.canary < route.weights.base


def _may_swap(draft: Draft) -> bool:
    """Return whether the Service of the canary role may become the stable one (pingPong)."""
    roles = ping_pong_roles(draft.canary, draft.status.canary.stable_ping_pong)
    return (
        roles is None
        or draft.is_fully_promoted
        or selected_hash(draft, roles.canary) == draft.new_hash
    )


def _awaits_removal(draft: Draft) -> bool:
    """Return whether managed routes may still exist, and the router can be asked for one without.

    It cannot where stable could not carry the rest: the way out of a broken stable version must
    not wait for that.
    """
    route = draft.request
    if route is None or draft.is_fully_promoted or are_managed_routes_gone(draft):
        return False
    return gate_holds(draft, route.weights.canary)


def _is_threshold_met(draft: Draft, replicas: int) -> bool:
    threshold = draft.canary.replica_progress_threshold
    if threshold is None or draft.new is None:
        return False
    new = draft.new
    return threshold_met(
        threshold, Size(new.replicas, new.available, new.status_replicas), replicas
    )
