"""The route stage: which document the router shall hold, and whether it holds it.

Requests are made only when all they rely on is observed: Service selectors, available pods,
the gate. A request that differs from the stored one in anything but time gets the next epoch;
a raise expires and is renewed under the same epoch.

Source: canary 5, 5.1, 5.4, 5.6, 5.7; architecture, "The route document", "Fencing", section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from headrace.model.conditions import Reason
from headrace.model.headrace_status import Acknowledged
from headrace.model.meta import format_micro_time, format_time, parse_time
from headrace.model.route import (
    Hashes,
    ManagedRoutes,
    RouteDocument,
    RouterConfig,
    Services,
    Verify,
    Weights,
    WithdrawnObject,
)
from headrace.model.traffic import TrafficRouting, TrafficWeights, WeightDestination
from rollout_controller.core.canary.drain import stored_weights
from rollout_controller.core.canary.weights import (
    DesiredWeight,
    apply_order,
    desired_weight,
    gate_holds,
)
from rollout_controller.core.draft import Draft
from rollout_controller.core.managed_routes import cleared, managed_routes
from rollout_controller.core.routers import raised, router_configs, shares_of
from rollout_controller.core.services import is_canary_elsewhere, is_idle

_VOLATILE: dict[str, Any] = {
    "epoch": 0,
    "generation": 0,
    "decided_at": "",
    "valid_until": None,
    "renewal": 0,
    "causation": "",
    "actor": None,
}

_NO_VERIFY: Final = Verify()

_LASTING = tuple(RouteDocument.model_fields.keys() - _VOLATILE.keys() - {"order", "withdraw"})
"""What a document asks for, whenever it was decided and whatever was there before."""


def reconcile_route(draft: Draft) -> None:
    """Absorb what is known of the traffic, then ask for the wanted route.

    Sets `request`, `needs_intent`, `acknowledged`, `shares`, `weights` and `is_route_settled`
    of the draft.
    """
    stored = draft.observed.headrace.route
    absorb_acknowledgement(draft, stored)
    if not draft.has_routers:
        _withdraw(draft, stored)
        return
    draft.request = stored
    desired = desired_weight(draft)
    wanted = _wanted(draft, desired)
    managed = managed_routes(draft, wanted)
    if not _may_request(draft, wanted, managed):
        draft.is_route_settled = False
        _keep_alive(draft, stored, may_renew=False)
        return
    document = _document(draft, wanted, managed)
    if stored is not None and _same_route(stored, document) and stored.epoch == draft.epoch:
        is_desired = wanted is desired or (
            wanted.weight == desired.weight and managed == managed_routes(draft, desired)
        )
        draft.is_route_settled = is_desired and _is_acknowledged(draft, stored)
        _keep_alive(draft, stored, may_renew=True)
        return
    _request(draft, document, expires=is_raise(document) and not wanted.only_lowers)


def _withdraw(draft: Draft, stored: RouteDocument | None) -> None:
    """Give up the traffic objects of routers that the spec no longer has; nothing waits.

    What the old split may still bring each version is remembered until it is known to be gone: it
    counts again when a router is added before.
    """
    draft.weights = None
    if stored is None or not stored.routers:
        return
    given_up = stored.model_copy(
        update={
            **_VOLATILE,
            "routers": (),
            "withdraw": tuple(WithdrawnObject(router=router) for router in stored.routers),
            "weights": Weights(canary=0, stable=stored.weights.base, base=stored.weights.base),
            "order": "remove-hash-weight",
            "managed": cleared(stored.managed),
        }
    )
    _request(draft, given_up)
    draft.is_route_settled = True


def absorb_acknowledgement(draft: Draft, stored: RouteDocument | None) -> None:
    """Take over what the router, or the traffic objects, say of the newest epoch."""
    known = draft.observed.acknowledgement
    if stored is None or known is None:
        return
    if known.found_epoch > draft.epoch:
        draft.epoch = known.found_epoch
    if known.epoch != stored.epoch:
        return
    draft.route_error = known.error
    if known.error or known.level is None:
        _tell_error(draft, known.error)
        return
    previous = draft.acknowledged
    if previous is not None and previous.epoch == stored.epoch and previous.level == known.level:
        return
    draft.acknowledged = Acknowledged(
        epoch=stored.epoch,
        level=known.level,
        canary=stored.weights.canary,
        at=format_time(draft.now),
        verified=known.verified,
    )
    draft.shares = shares_of(stored)
    if stored.routers:
        _claim_weights(draft, stored, known.verified)


def _tell_error(draft: Draft, error: str) -> None:
    waiting = draft.observed.headrace.waiting
    if error and (waiting is None or waiting.unblock != error):
        draft.event(Reason.TRAFFIC_ROUTING_ERROR, error, type="Warning", before=True)


def _claim_weights(draft: Draft, route: RouteDocument, verified: bool | None) -> None:
    old = draft.status.canary.weights
    new = TrafficWeights(
        canary=WeightDestination(
            weight=route.weights.canary,
            service_name=route.services.canary or "",
            pod_template_hash=route.hashes.canary,
        ),
        stable=WeightDestination(
            weight=route.weights.stable,
            service_name=route.services.stable or "",
            pod_template_hash=route.hashes.stable,
        ),
        additional=tuple(
            WeightDestination(
                weight=extra.weight, service_name=extra.service, pod_template_hash=extra.hash
            )
            for extra in route.weights.additional
        ),
        verified=verified,
    )
    draft.weights = new
    message = _weights_message(old, new)
    if message:
        draft.event(Reason.TRAFFIC_WEIGHT_UPDATED, message)


def _weights_message(old: TrafficWeights | None, new: TrafficWeights) -> str:
    """Return what changed, in the words of canary 5.4.5; "" when nothing did."""
    details = []
    if old is None:
        details.append(f"to {new.canary.weight}")
    elif old.canary.weight != new.canary.weight:
        details.append(f"from {old.canary.weight} to {new.canary.weight}")
    if old is not None and old.additional != new.additional:
        details.append(f"additional: {_go_slice(new.additional)}")
    return f"Traffic weight updated {', '.join(details)}" if details else ""


def _go_slice(destinations: Sequence[WeightDestination]) -> str:
    """Return destinations as Go prints a slice of its structs."""
    shown = (
        f"{{{each.weight} {each.service_name} {each.pod_template_hash}}}" for each in destinations
    )
    return f"[{' '.join(shown)}]"


def _is_acknowledged(draft: Draft, route: RouteDocument) -> bool:
    known = draft.acknowledged
    return known is not None and known.epoch == route.epoch


def _wanted(draft: Draft, desired: DesiredWeight) -> DesiredWeight:
    """Return the weight to ask for now: the desired one, or none while its Service is elsewhere.

    A canary Service that selects other pods gets nothing: it may leave those only when a route
    without them is acknowledged. Else an adopted Rollout, whose route we do not know, and a
    revision that has its pods from the start would wait for ever. On a dynamic way back it selects
    the update that was undone, which keeps its share for now (canary 4.6).
    """
    if not is_canary_elsewhere(draft) or desired.canary_hash is not None:
        return desired
    return replace(desired, weight=0, keeps_managed_routes=False)


def _may_request(draft: Draft, wanted: DesiredWeight, managed: ManagedRoutes) -> bool:
    """Return whether everything the route relies on is observed."""
    if not gate_holds(draft, wanted.weight):
        return False
    if not (_points_at(draft, draft.roles.stable, _stable_hash(draft)) or _may_stay(draft)):
        return False
    # At 0 replicas setCanaryScale may give the canary pods all the same.
    if draft.observed.replicas == 0 and wanted.weight == 0:
        return True
    is_reached = bool(wanted.weight or managed.header or managed.mirror)
    if not (is_reached or wanted.additional):
        return True
    if draft.observed.server_offset_seconds is None and not wanted.only_lowers:
        return False
    canary_hash = wanted.canary_hash or draft.new_hash
    return not is_reached or _points_at(draft, draft.roles.canary, canary_hash)


def _may_stay(draft: Draft) -> bool:
    """Return whether the Service of the stable role may select what it does now, at 0 replicas.

    One of ours moves to stable when nobody is left behind it; one that is not adopted yet is moved
    only to pods. Until then others get its weight, which may not be news to them.
    """
    service = draft.observed.references.services.get(draft.roles.stable)
    if service is None or draft.observed.replicas:
        return not draft.observed.replicas
    if is_idle(draft, service):
        return not service.managed_by
    stored = draft.observed.headrace.route
    is_news = stored is not None and stored.routers and stored.services.stable_role != service.name
    return not is_news


def _points_at(draft: Draft, service_name: str, pod_hash: str) -> bool:
    if not service_name:
        return True
    service = draft.observed.references.services.get(service_name)
    return service is not None and service.pod_hash == pod_hash


def _stable_hash(draft: Draft) -> str:
    return draft.stable.pod_hash if draft.stable else ""


def _document(draft: Draft, wanted: DesiredWeight, managed: ManagedRoutes) -> RouteDocument:
    routing = draft.canary.traffic_routing or TrafficRouting()
    routers = router_configs(routing)
    return RouteDocument(
        cluster=draft.observed.settings.cluster_uid,
        namespace=draft.observed.namespace,
        rollout=draft.observed.name,
        uid=draft.observed.uid,
        instance_id=draft.observed.settings.instance_id or None,
        epoch=0,
        generation=0,
        decided_at="",
        aborted=wanted.is_abort,
        routers=routers,
        services=_services(draft),
        hashes=Hashes(canary=wanted.canary_hash or draft.new_hash, stable=_stable_hash(draft)),
        weights=_weights(draft, wanted),
        order=apply_order(draft),
        withdraw=_withdrawn(draft, routers),
        managed=managed,
        verify=_NO_VERIFY,
    )


def _services(draft: Draft) -> Services:
    strategy, roles = draft.canary, draft.roles
    smi = strategy.traffic_routing.smi if strategy.traffic_routing else None
    pair = strategy.ping_pong
    return Services(
        canary=strategy.canary_service or None,
        stable=strategy.stable_service or None,
        ping=pair.ping_service if pair else None,
        pong=pair.pong_service if pair else None,
        root=(smi.root_service if smi else "") or None,
        canary_role=roles.canary or None,
        stable_role=roles.stable or None,
    )


def _weights(draft: Draft, wanted: DesiredWeight) -> Weights:
    rest = draft.base - wanted.weight - sum(each.weight for each in wanted.additional)
    return Weights(
        canary=wanted.weight,
        stable=rest,
        additional=wanted.additional,
        base=draft.base,
        experiment_active=bool(wanted.additional),
    )


def _withdrawn(draft: Draft, routers: tuple[RouterConfig, ...]) -> tuple[WithdrawnObject, ...]:
    """Return the objects of the stored route that the spec no longer names."""
    stored = draft.observed.headrace.route
    if stored is None:
        return ()
    removed = tuple(WithdrawnObject(router=r) for r in stored.routers if r not in routers)
    return removed if _is_acknowledged(draft, stored) else (*stored.withdraw, *removed)


def _same_route(stored: RouteDocument, wanted: RouteDocument) -> bool:
    """Return whether two documents ask for the same, whenever and by whom they were decided.

    The order of writes is a consequence of the moment, not of what shall hold; withdrawals
    follow from a change of the routers.
    """
    return all(getattr(stored, name) == getattr(wanted, name) for name in _LASTING)


def _request(draft: Draft, document: RouteDocument, *, expires: bool = False) -> None:
    """Ask for `document` under the next epoch; what can raise a weight expires."""
    epoch = _next_epoch(draft)
    route = document.model_copy(
        update={
            "epoch": epoch,
            "generation": draft.observed.generation,
            "decided_at": format_micro_time(draft.server_now),
            "valid_until": _valid_until(draft) if expires else None,
            "causation": draft.observed.cause,
            "actor": draft.observed.actor,
        }
    )
    draft.shares = raised(draft.shares, draft.share_base, route)
    draft.request = route
    draft.epoch = epoch
    draft.needs_intent = True
    draft.is_route_settled = False
    draft.wake(draft.now + draft.observed.settings.route_resend_seconds)


def _next_epoch(draft: Draft) -> int:
    """Return the next epoch; the first one is 1 only for a Rollout without any status.

    A Rollout whose `status.headrace` was lost starts above every epoch that a fence may hold.
    """
    if draft.epoch or draft.observed.has_headrace:
        return draft.epoch + 1
    return 1 if not draft.status.current_pod_hash else int(draft.now)


def is_raise(document: RouteDocument) -> bool:
    """Return whether a backend other than stable gets anything, by weight or by a header."""
    managed, weights = document.managed, document.weights
    has_weight = weights.canary > 0 or any(each.weight > 0 for each in weights.additional)
    return has_weight or bool(managed.header or managed.mirror)


def _valid_until(draft: Draft) -> str:
    return format_micro_time(draft.server_now + draft.observed.settings.route_valid_seconds)


def _keep_alive(draft: Draft, stored: RouteDocument | None, *, may_renew: bool) -> None:
    """Renew an unacknowledged raise, and say an unacknowledged request again."""
    if stored is None or _is_acknowledged(draft, stored):
        return
    settings = draft.observed.settings
    if stored.valid_until is not None:
        renew_at = (
            parse_time(stored.valid_until)
            - settings.route_valid_seconds
            + settings.route_renew_seconds
        )
        if may_renew and draft.server_now >= renew_at:
            _renew(draft, stored)
            return
        if may_renew:
            draft.wake(draft.now + renew_at - draft.server_now)
    draft.resend = True
    draft.wake(draft.now + settings.route_resend_seconds)


def _renew(draft: Draft, stored: RouteDocument) -> None:
    draft.request = stored.model_copy(
        update={
            "renewal": stored.renewal + 1,
            "valid_until": _valid_until(draft),
        }
    )
    draft.needs_intent = True
    draft.wake(draft.now + draft.observed.settings.route_resend_seconds)


def reconcile_stored_abort(draft: Draft) -> None:
    """Bring the traffic back to stable by the stored route alone, without the spec.

    For an abort while the spec is invalid: routers, Services and hashes are those of the last
    request.
    """
    stored = draft.observed.headrace.route
    absorb_acknowledgement(draft, stored)
    draft.request = stored
    if stored is None or not stored.routers:
        return
    weights = stored_weights(draft, stored)
    if stored.aborted and weights == stored.weights:
        draft.is_route_settled = weights.canary == 0 and _is_acknowledged(draft, stored)
        _keep_alive(draft, stored, may_renew=False)
        return
    _request(
        draft,
        stored.model_copy(
            update={
                **_VOLATILE,
                "aborted": True,
                "weights": weights,
                "order": "remove-hash-weight",
                "managed": cleared(stored.managed),
            }
        ),
    )
