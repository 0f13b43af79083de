"""Which module renders which router, and what all routers have in common.

Two callers use it: the traffic-router to write, and the rollout-controller to read the same
objects back when an acknowledgement is late (architecture, section 2, durable path). Both get
the same answer from `read_back`, since it is one function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from headrace.kubernetes.resources import HTTP_ROUTES, TRAFFIC_SPLITS, Resource
from headrace.model.route import RouteDocument, RouterAnswer, RouterConfig
from headrace.routes import gateway_api, smi
from headrace.routes.fence import rank
from headrace.routes.readings import Reading, read_object
from headrace.routes.router import Router
from headrace.routes.targets import ApiVersions, RenderError, Sighting, Targets

TRAFFIC_KINDS: Final[tuple[Resource, ...]] = (TRAFFIC_SPLITS, HTTP_ROUTES)
"""Every kind of object that may carry a fence."""

_BY_KIND: Final[dict[str, Router]] = {TRAFFIC_SPLITS.kind: smi, HTTP_ROUTES.kind: gateway_api}


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the stored objects say about a request.

    Attributes:
        answer: Together, as the router says it.
        readings: Each for itself; none when the objects cannot be read.
    """

    answer: RouterAnswer
    readings: tuple[Reading, ...] = ()


def router_of(router: RouterConfig) -> Router | RenderError:
    """Return the module of a configured router."""
    match router.kind, router.plugin:
        case "smi", _:
            return smi
        case "plugin", gateway_api.PLUGIN:
            return gateway_api
        case "plugin", name:
            return RenderError(f'plugins."{name}": not supported by this version')
        case kind, _:
            return RenderError(f"{kind}: not supported by this version")


def unsupported_field(router: RouterConfig) -> str | None:
    """Return the field of a router's configuration that asks for what it does not serve yet.

    What cannot be read is no such field: the router says it when it locates its objects.
    """
    if router_of(router) is not gateway_api:
        return None
    try:
        return gateway_api.GatewayApiConfig.model_validate_json(router.config).unsupported()
    except ValidationError:
        return None


def router_of_object(resource: Resource) -> Router:
    """Return the module that owns the objects of a kind of `TRAFFIC_KINDS`."""
    return _BY_KIND[resource.kind]


def locate(router: RouterConfig, document: RouteDocument, versions: ApiVersions) -> Targets:
    """Return the objects that a configured router names, or why it names none."""
    module = router_of(router)
    if isinstance(module, RenderError):
        return Targets(error=module)
    return module.targets(router, document, versions)


def read_back(
    router: RouterConfig,
    document: RouteDocument,
    targets: Targets,
    sightings: Sequence[Sighting],
    acknowledged_epoch: int,
) -> ReadBack:
    """Return what the stored objects say about a request, without any write.

    The answer has a level only when every object confirms the document: the split is the
    rendered one, and the fence carries the epoch (or `is_confirmed` says that it need not).

    Args:
        router: One of `document.routers`.
        document: The request.
        targets: What `locate` answered.
        sightings: What `resolve` made of the objects read.
        acknowledged_epoch: `status.headrace.acknowledged.epoch`, 0 for none.
    """
    module = router_of(router)
    error = module if isinstance(module, RenderError) else targets.error
    if isinstance(module, RenderError) or error is not None:
        return _unreadable(router, error.message if error else None)
    if not sightings:
        return _unreadable(router, module.NO_OBJECTS)
    readings = tuple(
        read_object(module, router, document, each, acknowledged_epoch) for each in sightings
    )
    rendered = readings[0].rendered
    level = min((each.level for each in readings), key=rank)
    found = [each.fence.epoch for each in readings if each.fence is not None]
    differing = (each.observed for each in readings if each.observed != rendered)
    answer = RouterAnswer(
        kind=router.kind,
        plugin=router.plugin,
        objects=tuple(sighting.ref.label for sighting in sightings),
        level=level,
        rendered=rendered,
        observed=next(differing, rendered),
        verified=None if module.VERIFIED is None else level is not None,
        found_epoch=max((epoch for epoch in found if epoch > document.epoch), default=None),
    )
    return ReadBack(answer, readings)


def _unreadable(router: RouterConfig, error: str | None) -> ReadBack:
    return ReadBack(RouterAnswer(kind=router.kind, plugin=router.plugin, error=error))
