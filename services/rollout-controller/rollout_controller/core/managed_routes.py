"""Which header and mirror routes shall exist now.

The lists are accumulated: the step that is current adds, replaces or removes its own route, and
what earlier steps asked for is taken from the stored route, not from the spec. So what is skipped
is never made, and a rule that takes routes away (canary 5.2) takes them away for good.

Source: canary 5.2, 5.4, 2.1, 2.3; architecture, "The route document".
"""

from __future__ import annotations

from typing import TypeVar

from headrace.model import route as documents
from headrace.model import steps as spec
from headrace.model.route import HeaderRoute, ManagedRoutes, MirrorRoute
from headrace.model.traffic import StringMatch, TrafficRouting
from rollout_controller.core.canary.weights import DesiredWeight, has_scale
from rollout_controller.core.draft import Draft

_Route = TypeVar("_Route", HeaderRoute, MirrorRoute)


def managed_routes(draft: Draft, wanted: DesiredWeight) -> ManagedRoutes:
    """Return the routes of the current step and those that the steps before it left."""
    routing = draft.canary.traffic_routing or TrafficRouting()
    steps = draft.steps
    used = [step.set_header_route.name for step in steps if step.set_header_route]
    used += [step.set_mirror_route.name for step in steps if step.set_mirror_route]
    has_any = wanted.keeps_managed_routes and draft.revision > 1
    header, mirror = _existing(draft) if has_any else ((), ())
    return ManagedRoutes(
        names=tuple(route.name for route in routing.managed_routes),
        step_names=tuple(dict.fromkeys(used)),
        header=header,
        mirror=mirror,
    )


def are_managed_routes_gone(draft: Draft) -> bool:
    """Return whether surely no header or mirror route brings the canary anything any more.

    What requests before the newest asked for is not kept: without its acknowledgement nothing is
    sure, unless the Rollout has no such routes at all.
    """
    route = draft.request
    if route is None or not draft.has_routers:
        return True
    managed = route.managed
    if managed.header or managed.mirror:
        return False
    return draft.is_route_acknowledged or not (managed.names or managed.step_names)


def is_step_route_made(draft: Draft) -> bool:
    """Return whether the requested route has what the current step asks for.

    It has not while no pod of the canary is available; what a step was passed without would never
    be made. Where the canary shall have no pods, there is nothing to wait for.
    """
    step, request = draft.step, draft.request
    if step is None or request is None or not draft.has_routers or draft.revision <= 1:
        return True
    header, mirror = step.set_header_route, step.set_mirror_route
    missing = [
        wanted.name
        for wanted, routes in ((header, request.managed.header), (mirror, request.managed.mirror))
        if wanted is not None and wanted.match and wanted.name not in {r.name for r in routes}
    ]
    return not missing or not has_scale(draft)


def cleared(managed: ManagedRoutes) -> ManagedRoutes:
    """Return the same names without any route that shall exist."""
    return managed.model_copy(update={"header": (), "mirror": ()})


def _existing(draft: Draft) -> tuple[tuple[HeaderRoute, ...], tuple[MirrorRoute, ...]]:
    """Return the routes that the current step wants beside those of the steps before it."""
    header, mirror = _left(draft)
    step = draft.step
    if step is not None and step.set_header_route is not None:
        header = _with(header, step.set_header_route.name, _header(step.set_header_route))
    if step is not None and step.set_mirror_route is not None:
        mirror = _with(mirror, step.set_mirror_route.name, _mirror(step.set_mirror_route))
    return header, mirror


def _left(draft: Draft) -> tuple[tuple[HeaderRoute, ...], tuple[MirrorRoute, ...]]:
    """Return the routes of steps already passed.

    At the first step there are none: a new revision, edited steps and a retry all begin there.
    """
    stored = draft.observed.headrace.route
    if stored is None or draft.index == 0 or stored.hashes.canary != draft.new_hash:
        return (), ()
    return stored.managed.header, stored.managed.mirror


def _with(routes: tuple[_Route, ...], name: str, route: _Route | None) -> tuple[_Route, ...]:
    """Return the routes with this one in place of an older one of its name."""
    kept: tuple[_Route, ...] = tuple(each for each in routes if each.name != name)
    added: tuple[_Route, ...] = () if route is None else (route,)
    return kept + added


def _header(step: spec.SetHeaderRoute) -> HeaderRoute | None:
    if not step.match:
        return None
    return HeaderRoute(
        name=step.name,
        match=tuple(
            documents.HeaderMatch(
                header_name=each.header_name, header_value=_text(each.header_value)
            )
            for each in step.match
        ),
    )


def _mirror(step: spec.SetMirrorRoute) -> MirrorRoute | None:
    if not step.match:
        return None
    return MirrorRoute(
        name=step.name,
        match=tuple(
            documents.RouteMatch(
                method=_text(each.method) if each.method else None,
                path=_text(each.path) if each.path else None,
                headers={name: _text(value) for name, value in each.headers.items()} or None,
            )
            for each in step.match
        ),
        percentage=step.percentage,
    )


def _text(match: StringMatch | None) -> documents.StringMatch:
    """Return the match as the document has it; an empty text is an absent one."""
    if match is None:
        return documents.StringMatch()
    return documents.StringMatch(
        exact=match.exact or None, regex=match.regex or None, prefix=match.prefix or None
    )
