"""Gateway API: the weights of HTTPRoutes (traffic-routing 11).

The routes belong to the user: only the weights of the canary and stable backendRefs, the
in-progress label and our fence are ours. A Service as parent (a mesh) and a Gateway as parent are
rendered alike; only their status tells them apart.

Destinations of an experiment are appended to the first rule that has the canary or the stable
Service, and taken out again when the route no longer names them. GRPCRoutes, TCPRoutes and
TLSRoutes are refused with a clear text. Mirror routes change nothing (11.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from pydantic import ValidationError

from headrace.kubernetes.resources import HTTP_ROUTES, Manifest
from headrace.model.base import Model
from headrace.model.meta import LabelSelector
from headrace.model.route import BackendShare, Fence, Level, RouteDocument, RouterConfig
from headrace.routes.changes import Change, CreateObject, json_change
from headrace.routes.fence import read_fence, read_fences, unstamp, with_metadata
from headrace.routes.gateway_headers import (
    is_managed,
    with_header_rules,
    without_header_rules,
)
from headrace.routes.splits import Split, all_to_stable, wanted_split
from headrace.routes.targets import ApiVersions, ObjectRef, ObjectSelector, RenderError, Targets

PLUGIN: Final = "argoproj-labs/gatewayAPI"

VERIFIED: Final[bool | None] = True
"""What was read back is what the provider is told (traffic-routing 11.4)."""

LEVEL_MAX: Final[Level] = "accepted"

NO_OBJECTS: Final = (
    "No routes configured. At least one of 'httpRoutes', 'grpcRoutes', 'tcpRoutes', 'tlsRoutes', "
    "'httpRoute', 'grpcRoute', 'tcpRoute' or 'tlsRoute' must be set"
)

_BACKEND_NOT_FOUND: Final = "backendRef was not found in httpRoute"
_UNSUPPORTED: Final = "not supported by this version"
_LABEL_KEY: Final = "rollouts.argoproj.io/gatewayapi-canary"
_LABEL_VALUE: Final = "in-progress"
_PORT_DEFAULT: Final = 8080
"""Port of an experiment's Service of which nothing is known (traffic-routing 11.2)."""
_WEIGHT_DEFAULT: Final = 1
"""Weight of a backendRef that names none. Source: Gateway API reference, BackendRef."""


class GatewayRoute(Model):
    """One named route."""

    name: str
    use_header_routes: bool = False


class GatewayApiConfig(Model):
    """The configuration below the plugin key (traffic-routing 11.1)."""

    http_route: str = ""
    grpc_route: str = ""
    tcp_route: str = ""
    tls_route: str = ""
    http_routes: tuple[GatewayRoute, ...] = ()
    grpc_routes: tuple[GatewayRoute, ...] = ()
    tcp_routes: tuple[GatewayRoute, ...] = ()
    tls_routes: tuple[GatewayRoute, ...] = ()
    http_route_selector: LabelSelector | None = None
    grpc_route_selector: LabelSelector | None = None
    tcp_route_selector: LabelSelector | None = None
    tls_route_selector: LabelSelector | None = None
    namespace: str = ""
    disable_in_progress_label: bool = False
    in_progress_label_key: str = ""
    in_progress_label_value: str = ""

    def http_names(self) -> tuple[str, ...]:
        """Return the names of the HTTPRoutes in order, each once; the single one is appended."""
        names = [route.name for route in self.http_routes]
        return tuple(dict.fromkeys([*names, *filter(None, (self.http_route,))]))

    def serves_headers(self, name: str) -> bool:
        """Return whether header steps make rules in this HTTPRoute."""
        named = (route.name for route in self.http_routes if route.use_header_routes)
        return name in (self.http_route, *named)

    def unsupported(self) -> str | None:
        """Return the first field that names a kind of route we do not serve."""
        for kind in ("grpc", "tcp", "tls"):
            for field in ("route", "routes", "route_selector"):
                if getattr(self, f"{kind}_{field}"):
                    first, *rest = field.split("_")
                    return kind + "".join(word.title() for word in (first, *rest))
        return None

    def label(self) -> tuple[str, str] | None:
        """Return key and value of the in-progress label; None when it is switched off."""
        if self.disable_in_progress_label:
            return None
        return self.in_progress_label_key or _LABEL_KEY, (
            self.in_progress_label_value or _LABEL_VALUE
        )


def targets(router: RouterConfig, document: RouteDocument, versions: ApiVersions) -> Targets:
    """Return the HTTPRoutes that are named, and the selector of those to be discovered."""
    del versions
    try:
        config = GatewayApiConfig.model_validate_json(router.config)
    except ValidationError:
        return Targets(error=RenderError(f'plugins."{PLUGIN}" cannot be read'))
    if unsupported := config.unsupported():
        return Targets(error=RenderError(f'plugins."{PLUGIN}".{unsupported}: {_UNSUPPORTED}'))
    namespace = config.namespace or document.namespace
    refs = tuple(ObjectRef(HTTP_ROUTES, namespace, name) for name in config.http_names())
    selectors: tuple[ObjectSelector, ...] = ()
    if config.http_route_selector is not None:
        selectors = (ObjectSelector(HTTP_ROUTES, namespace, config.http_route_selector),)
    if not refs and not selectors:
        return Targets(error=RenderError(NO_OBJECTS))
    return Targets(refs, selectors)


def split(document: RouteDocument) -> Split:
    """Return what an HTTPRoute can express: canary, destinations of an experiment, stable."""
    return wanted_split(document)


def render(
    router: RouterConfig, document: RouteDocument, ref: ObjectRef, manifest: Manifest | None
) -> Manifest | RenderError:
    """Return the HTTPRoute as it shall be, without the fence.

    The given object itself comes back when there is nothing to change.
    """
    if manifest is None:
        # As the API server says it, which is what users of the reference see.
        plural = f"{ref.resource.plural}.{ref.resource.group}"
        return RenderError(f'{plural} "{ref.name}" not found')
    wanted = split(document)
    found = {share.service for share in observe(manifest, wanted, document.managed.names)}
    if not {wanted[0].service, wanted[-1].service} <= found:
        return RenderError(_BACKEND_NOT_FOUND)
    config = GatewayApiConfig.model_validate_json(router.config)
    fence = read_fence(manifest, document.uid)
    made = fence.rules if fence is not None else ()
    ruled: Manifest | RenderError
    if config.serves_headers(ref.name):
        ruled = with_header_rules(manifest, document, made)
    else:
        ruled = without_header_rules(manifest, made, wanted[0].service)
    if isinstance(ruled, RenderError):
        return ruled
    members = _with_destinations(ruled, document)
    weighted = _with_weights(members, wanted, document.managed.names)
    is_in_progress = document.weights.canary != 0 or bool(document.weights.additional)
    is_in_progress = is_in_progress or _is_others_progress(manifest, document.uid)
    return _with_label(weighted, config, is_in_progress=is_in_progress)


def observe(manifest: Manifest, wanted: Split, managed: tuple[str, ...] = ()) -> Split:
    """Return the weights that the object stores for the services of `wanted`.

    One entry per service, in the order of `wanted`, when all rules agree; every differing
    weight of a service follows behind. Foreign backends are not ours and do not count.
    """
    weights: dict[str, list[int]] = {share.service: [] for share in wanted}
    for rule in _weighted_rules(manifest, wanted, managed):
        for ref in rule.get("backendRefs") or ():
            known = weights.get(ref.get("name"))
            weight = ref.get("weight", _WEIGHT_DEFAULT)
            if known is not None and weight not in known:
                known.append(weight)
    rounds = max((len(known) for known in weights.values()), default=0)
    return tuple(
        BackendShare(service=service, weight=known[turn])
        for turn in range(rounds)
        for service, known in weights.items()
        if turn < len(known)
    )


def level(manifest: Manifest) -> Level:
    """Return `accepted` when every parent accepted the stored generation, else `written`."""
    generation = manifest["metadata"].get("generation", 0)
    wanted = (manifest.get("spec") or {}).get("parentRefs") or ()
    parents = (manifest.get("status") or {}).get("parents") or ()
    accepted = [parent for parent in parents if _is_accepted(parent, generation)]
    complete = len(accepted) == len(parents) and len(accepted) >= max(len(wanted), 1)
    return "accepted" if complete else "written"


def change(old: Manifest | None, new: Manifest, fence: str) -> Change | None:
    """Return the write from `old` to `new`; None when there is nothing to write."""
    return CreateObject(new) if old is None else json_change(old, new, fence)


def release(manifest: Manifest, fence: Fence, router: RouterConfig | None) -> Manifest:
    """Return the object with the canary's share on stable, without fence and, if ours, label.

    Args:
        manifest: The object as read.
        fence: What we wrote last; only its services are touched.
        router: The configuration that named the object, None when it is not known any more.
    """
    config = GatewayApiConfig.model_validate_json(router.config) if router else GatewayApiConfig()
    own = _without_additions(manifest, fence)
    lowered = _with_weights(own, all_to_stable(_without(fence.split, fence.backends)), ())
    is_in_progress = _is_others_progress(manifest, fence.uid)
    return unstamp(_with_label(lowered, config, is_in_progress=is_in_progress), fence.uid)


def release_orphan(manifest: Manifest, fence: Fence) -> Manifest:
    """Return the object after its Rollout is gone: nobody else would take the canary out."""
    return release(manifest, fence, None)


def release_succeeded(manifest: Manifest, fence: Fence) -> Manifest:
    """Return the object after another Rollout of the fence's name has written its weights.

    It knows nothing of the destinations and rules that its predecessor added.
    """
    return unstamp(_without_additions(manifest, fence), fence.uid)


def _weighted_rules(
    manifest: Manifest, wanted: Split, managed: tuple[str, ...]
) -> Iterator[Manifest]:
    canary = wanted[0].service if wanted else ""
    for rule in (manifest.get("spec") or {}).get("rules") or ():
        if not is_managed(rule, canary, managed):
            yield rule


def _with_weights(manifest: Manifest, wanted: Split, managed: tuple[str, ...]) -> Manifest:
    if not wanted:
        return manifest
    weights = {share.service: share.weight for share in wanted}
    spec = manifest.get("spec") or {}
    rules: list[Manifest] = list(spec.get("rules") or ())
    rewritten = [
        rule if is_managed(rule, wanted[0].service, managed) else _reweighted(rule, weights)
        for rule in rules
    ]
    return manifest if rewritten == rules else {**manifest, "spec": {**spec, "rules": rewritten}}


def _with_destinations(manifest: Manifest, document: RouteDocument) -> Manifest:
    """Return the route with exactly the wanted destinations of an experiment (11.2).

    Only backends that we added, by the fence, are taken out.
    """
    wanted = {each.service: each for each in document.weights.additional}
    fence = read_fence(manifest, document.uid)
    given_up = frozenset(fence.backends if fence else ()) - wanted.keys()
    manifest = _without_backends(manifest, given_up)
    spec = manifest.get("spec") or {}
    rules: list[Manifest] = list(spec.get("rules") or ())
    canary = document.services.canary_role or ""
    services = {canary, document.services.stable_role}
    for index, rule in enumerate(rules):
        refs: list[Manifest] = list(rule.get("backendRefs") or ())
        names = {ref.get("name") for ref in refs}
        if is_managed(rule, canary, document.managed.names):
            continue
        if not names & services:
            continue
        added = [
            {
                "group": "",
                "kind": "Service",
                "name": each.service,
                "namespace": document.namespace,
                "port": each.port or _PORT_DEFAULT,
                "weight": each.weight,
            }
            for each in document.weights.additional
            if each.service not in names
        ]
        if not added:
            return manifest
        rules[index] = {**rule, "backendRefs": [*refs, *added]}
        return {**manifest, "spec": {**spec, "rules": rules}}
    return manifest


def _without_additions(manifest: Manifest, fence: Fence) -> Manifest:
    """Return the route without what was added under this fence, and under no other one."""
    others = [other for other in read_fences(manifest) if other.uid != fence.uid]
    rules = {*fence.rules}.difference(*(other.rules for other in others))
    backends = frozenset(fence.backends).difference(*(other.backends for other in others))
    canary = fence.split[0].service if fence.split else ""
    return _without_backends(without_header_rules(manifest, rules, canary), backends)


def _without_backends(manifest: Manifest, names: frozenset[str]) -> Manifest:
    """Return the route without the backends of these names."""
    spec = manifest.get("spec") or {}
    rules: list[Manifest] = list(spec.get("rules") or ())
    rewritten = [
        {**rule, "backendRefs": kept}
        if len(kept := [r for r in rule.get("backendRefs") or () if r.get("name") not in names])
        != len(rule.get("backendRefs") or ())
        else rule
        for rule in rules
    ]
    return manifest if rewritten == rules else {**manifest, "spec": {**spec, "rules": rewritten}}


def _without(split: Split, names: Collection[str]) -> Split:
    """Return the split without these services, their weight on the last one."""
    kept = [share for share in split if share.service not in names]
    if not kept:
        return ()
    given_up = sum(share.weight for share in split if share.service in names)
    last = kept[-1].model_copy(update={"weight": kept[-1].weight + given_up})
    return (*kept[:-1], last)


def _reweighted(rule: Manifest, weights: dict[str, int]) -> Manifest:
    refs: list[dict[str, Any]] = rule.get("backendRefs") or []
    rewritten = [
        {**ref, "weight": weights[ref["name"]]}
        if ref.get("name") in weights and ref.get("weight", _WEIGHT_DEFAULT) != weights[ref["name"]]
        else ref
        for ref in refs
    ]
    return rule if rewritten == refs else {**rule, "backendRefs": rewritten}


def _with_label(manifest: Manifest, config: GatewayApiConfig, *, is_in_progress: bool) -> Manifest:
    label = config.label()
    if label is None:
        return manifest
    key, value = label
    return with_metadata(manifest, labels={key: value if is_in_progress else None})


def _is_others_progress(manifest: Manifest, uid: str) -> bool:
    """Return whether another Rollout that shares the route has a canary in progress, by its fence.

    The label is one for all of them: else the one at weight 0 would take away for ever what the
    other one sets for ever.
    """
    others = (fence.split for fence in read_fences(manifest) if fence.uid != uid)
    return any(share.weight > 0 for split in others for share in split[:-1])


def _is_accepted(parent: Manifest, generation: int) -> bool:
    return any(
        condition.get("type") == "Accepted"
        and condition.get("status") == "True"
        and condition.get("observedGeneration", 0) >= generation
        for condition in parent.get("conditions") or ()
    )
