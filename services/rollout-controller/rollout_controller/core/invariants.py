"""What must hold of every snapshot and plan, checked before a plan is carried out.

A violation is a bug: the reconciler freezes this one Rollout, says so, and serves the others.

Source: architecture, "Never-false-safe", "Share"; traffic-routing 12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace.errors import InvariantViolation
from headrace.model.route import RouteDocument
from rollout_controller.core.observed import Observed, ReplicaSet, ServiceObject
from rollout_controller.core.plan import (
    DeleteExperiment,
    DeleteReplicaSet,
    PatchReplicaSet,
    Plan,
    PluginCall,
    SwitchService,
)
from rollout_controller.core.roles import routed_roles
from rollout_controller.core.routers import (
    has_routers,
    may_get_traffic,
    rebased,
    shares_of,
    weight_of,
)
from rollout_controller.core.validation.rules import first_error


def check(observed: Observed, plan: Plan) -> None:
    """Return when the plan may be carried out.

    Raises:
        InvariantViolation: It must not; freeze the Rollout, its text says which rule.
    """
    route = plan.request
    if route is not None:
        _check_weights(route)
        _check_abort(observed, plan, route)
        _check_raise(observed, route)
    if plan.call is not None:
        _check_call(observed, plan, plan.call)
    for effect in plan.effects:
        if isinstance(effect, DeleteExperiment):
            _check_experiment(observed, effect)
        if isinstance(effect, SwitchService):
            _check_switch(observed, effect)
        if isinstance(effect, PatchReplicaSet) and effect.replicas is not None:
            _check_scale(observed, effect)
        if isinstance(effect, DeleteReplicaSet):
            _check_delete(observed, effect)


def _check_call(observed: Observed, plan: Plan, call: PluginCall) -> None:
    """Refuse to start work that an abort would not find, or that comes after one."""
    status = plan.claim.status if plan.claim else observed.status
    runs = {
        (entry.index, entry.name)
        for entry in status.canary.step_plugin_statuses
        if entry.operation == "Run"
    }
    if (call.index, call.plugin) not in runs:
        raise InvariantViolation(f"step plugin {call.plugin} is called before the status says so")
    if call.operation == "Run" and status.abort:
        raise InvariantViolation(f"step plugin {call.plugin} would run in an aborted rollout")


def _check_weights(route: RouteDocument) -> None:
    weights = route.weights
    total = weights.canary + weights.stable + sum(extra.weight for extra in weights.additional)
    if total != weights.base:
        raise InvariantViolation(f"weights sum to {total}, not to {weights.base}")
    if min(weights.canary, weights.stable) < 0:
        raise InvariantViolation("a weight is negative")


def _check_abort(observed: Observed, plan: Plan, route: RouteDocument) -> None:
    claimed = plan.claim.status.abort if plan.claim else observed.status.abort
    is_taken_back = observed.status.current_pod_hash == observed.status.stable_rs
    asked = route.weights.canary + sum(extra.weight for extra in route.weights.additional)
    if claimed and observed.status.abort and asked > 0 and not is_taken_back:
        stored, canary = observed.headrace.route, observed.spec.strategy.canary
        is_known = stored is not None and route.epoch == stored.epoch
        is_dynamic = canary is not None and canary.dynamic_stable_scale
        is_blind = first_error(observed) is not None  # by the stored route, without the spec
        is_draining = (is_dynamic or is_blind) and asked <= _weight_max(observed, route)
        if not is_known and not is_draining:
            raise InvariantViolation("an aborted rollout asks for traffic to the canary")


def _check_raise(observed: Observed, route: RouteDocument) -> None:
    """A new epoch gives the canary more only where pods are there to take it."""
    stored = observed.headrace.route
    if stored is not None and route.epoch == stored.epoch:
        return
    before = 0
    if stored is not None:
        before = weight_of(stored, route.services.canary_role or "") or 0
        before = rebased(before, stored.weights.base, route.weights.base)
    if route.weights.canary > before and _available(observed, route.hashes.canary) == 0:
        raise InvariantViolation(
            f"{route.weights.canary} of {route.weights.base} would go to pods that are not ready"
        )
    known = {each.service for each in stored.weights.additional} if stored is not None else set()
    ready = {
        template.service_name
        for experiment in observed.experiments
        for template in experiment.templates
        if template.available > 0
    }
    for extra in route.weights.additional:
        if extra.weight > 0 and extra.service not in known | ready:
            raise InvariantViolation(f"Service {extra.service} has no pod that is ready")


def _weight_max(observed: Observed, route: RouteDocument) -> int:
    """Return what an abort may leave for now: no more than may have gone past stable before."""
    stored, weights = observed.headrace.route, observed.status.canary.weights
    base = route.weights.base
    if stored is not None:
        return rebased(stored.weights.base - stored.weights.stable, stored.weights.base, base)
    return rebased(weights.canary.weight, weights.base, base) if weights is not None else base


def _check_switch(observed: Observed, effect: SwitchService) -> None:
    """A Service that carries traffic is never moved from pods to none."""
    if not effect.pod_hash:
        raise InvariantViolation(f"Service {effect.name} would lose its selector")
    service = observed.references.services.get(effect.name)
    if service is None or service.pod_hash == effect.pod_hash or not observed.replicas:
        return
    if not _carries(observed, service) or not _answers(observed, service.pod_hash):
        return
    if _available(observed, effect.pod_hash) == 0:
        raise InvariantViolation(f"Service {effect.name} would select pods that cannot answer")


def _carries(observed: Observed, service: ServiceObject) -> bool:
    """Return whether traffic may reach a Service by what is stored and observed."""
    strategy, route = observed.spec.strategy, observed.headrace.route
    if strategy.blue_green is not None:
        is_active = service.name == strategy.blue_green.active_service
        return is_active or may_get_traffic(observed.headrace, service.name)
    if strategy.canary is None or not service.pod_hash:
        return False
    roles = routed_roles(strategy.canary, observed.status.canary.stable_ping_pong)
    weight = weight_of(route, service.name) if route is not None else None
    if service.name == roles.stable or weight is None or not _is_routed(observed):
        return service.name == roles.stable
    known = observed.headrace.acknowledged
    if weight > 0 or known is None or route is None or known.epoch == route.epoch:
        return weight > 0
    # An older route may still hold, in which ping and pong may have had the other role.
    return known.canary > 0 or strategy.canary.ping_pong is not None


def _check_delete(observed: Observed, effect: DeleteReplicaSet) -> None:
    rs = next((rs for rs in observed.replica_sets if rs.name == effect.name), None)
    if rs is not None and _is_routed(observed) and _shares(observed).get(rs.pod_hash, 0) > 0:
        raise InvariantViolation(f"ReplicaSet {rs.name} would go although it has a share")


def _available(observed: Observed, pod_hash: str) -> int:
    return sum(rs.available for rs in observed.replica_sets if rs.pod_hash == pod_hash)


def _answers(observed: Observed, selected: str) -> bool:
    """Return whether a Service that selects a hash, or with "" any, has an available pod."""
    return any(rs.available > 0 for rs in observed.replica_sets if selected in ("", rs.pod_hash))


def _is_routed(observed: Observed) -> bool:
    canary = observed.spec.strategy.canary
    return canary is not None and has_routers(canary.traffic_routing)


def _check_experiment(observed: Observed, effect: DeleteExperiment) -> None:
    shares = _shares(observed)
    found = next((each for each in observed.experiments if each.name == effect.name), None)
    if found is not None and any(shares.get(each.pod_hash, 0) > 0 for each in found.templates):
        raise InvariantViolation(f"Experiment {effect.name} would lose pods that a route names")


def _check_scale(observed: Observed, effect: PatchReplicaSet) -> None:
    rs = next((rs for rs in observed.replica_sets if rs.name == effect.name), None)
    if rs is None or effect.replicas is None or not rs.available:
        return
    if effect.replicas < min(rs.replicas, _needed(observed, rs)):
        raise InvariantViolation(f"ReplicaSet {rs.name} would lose pods that its share needs")


def _needed(observed: Observed, rs: ReplicaSet) -> int:
    """Return how many pods the share of a ReplicaSet needs at least.

    How many carry the canary's weight is the user's word (setCanaryScale): there one is enough.
    """
    share, replicas = _shares(observed).get(rs.pod_hash, 0), observed.replicas
    route = observed.headrace.route
    if not share or route is None or rs.name == observed.new_replica_set:
        return min(share, replicas, 1)
    return math.ceil(share * replicas / route.weights.base)


def _shares(observed: Observed) -> Mapping[str, int]:
    """Return the shares that this pass may rely on: those of a route that was just applied."""
    strategy = observed.spec.strategy
    if strategy.blue_green is not None:
        active = observed.references.services.get(strategy.blue_green.active_service)
        return {active.pod_hash: 1} if active is not None else {}
    if strategy.canary is None or not has_routers(strategy.canary.traffic_routing):
        return {}
    route, known = observed.headrace.route, observed.acknowledgement
    is_applied = known is not None and known.level is not None and not known.error
    if route is not None and known is not None and is_applied and known.epoch == route.epoch:
        return shares_of(route)
    return observed.headrace.shares or {}
