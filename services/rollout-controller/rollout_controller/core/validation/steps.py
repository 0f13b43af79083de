"""Rules about the steps of a canary (rollout-api 4.1, rules 12 to 26)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from headrace.model.rollout import CanaryStrategy
from headrace.model.steps import AnalysisArgument, CanaryStep, RolloutExperiment, SetHeaderRoute
from headrace.model.traffic import StringMatch, TrafficRouting
from rollout_controller.core.canary.steps import weight_base
from rollout_controller.core.validation import fields, names

_ROUTING: Final = "spec.strategy.trafficRouting"
_PAUSE_SECONDS_MAX: Final = 2**31 - 1

_ONE_ACTION: Final = (
    "Step must have one of the following set: "
    "experiment, setWeight, setCanaryScale, plugin or pause"
)
_HEADER_ROUTERS: Final = "SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix"
_MIRROR_ROUTERS: Final = "SetMirrorRoute requires TrafficRouting, supports Istio and Plugins"
_NO_MATCH: Final = (
    "StringMatch value missed, match value must have one of the following: exact, regex, prefix"
)
_SECOND_MATCH: Final = (
    "StringMatch match value must have exactly one of the following: exact, regex, prefix"
)
_ALB_MATCH: Final = "SetHeaderRoute match value invalid. ALB supports 'exact' value only"
_NO_MANAGED_ROUTES: Final = (
    "Rollout has missing field 'spec.strategy.canary.trafficRouting.managedRoutes'"
)
_ROUTE_NOT_MANAGED: Final = (
    "Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes"
)
_WEIGHT_UNROUTED: Final = (
    "Experiment template weight cannot be set unless TrafficRouting is enabled"
)
_WEIGHT_ROUTERS: Final = (
    "Experiment template weight is only available for TrafficRouting with SMI, ALB, Istio "
    "and Plugins at this time"
)
_UNKNOWN_METADATA: Final = (
    "Analyses arguments must refer to valid object metadata supported by downwardAPI"
)
_METADATA_PATHS: Final = tuple(
    f"metadata.{name}" for name in ("name", "namespace", "uid", "labels", "annotations")
)
_METADATA_KEY: Final = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]", re.DOTALL)


def step_errors(strategy: CanaryStrategy, step: CanaryStep, path: str) -> Iterator[str]:
    """Yield every violated rule about one step, in order."""
    routing = strategy.traffic_routing
    yield from _action_errors(step, path)
    base = weight_base(strategy)
    if step.set_weight is not None and not 0 <= step.set_weight <= base:
        detail = f"SetWeight needs to be between 0 and {base}"
        yield fields.invalid(f"{path}.setWeight", step.set_weight, detail)
    yield from _pause_errors(step, path)
    if step.set_canary_scale is not None and routing is None:
        yield fields.required(_ROUTING, "SetCanaryScale requires TrafficRouting to be set")
    yield from _route_errors(step, routing, path)
    yield from _managed_route_errors(step, routing, path)
    if step.experiment is not None:
        yield from _experiment_errors(step.experiment, routing, f"{path}.experiment")
    yield from _argument_errors(_arguments(step), f"{path}.analyses")


def _action_errors(step: CanaryStep, path: str) -> Iterator[str]:
    exclusive = {
        "Experiment": step.experiment,
        "Pause": step.pause,
        "SetWeight": step.set_weight,
        "Analysis": step.analysis,
    }
    if sum(action is not None for action in exclusive.values()) > 1:
        shown = (f"step.{name}: {_bool(action is not None)}" for name, action in exclusive.items())
        yield fields.invalid(path, " ".join(shown), _ONE_ACTION)
    every = {
        **exclusive,
        "SetCanaryScale": step.set_canary_scale,
        "SetHeaderRoute": step.set_header_route,
        "SetMirrorRoute": step.set_mirror_route,
        "Plugin": step.plugin,
    }
    if all(action is None for action in every.values()):
        yield fields.invalid(path, " ".join(f"step.{name}: true" for name in every), _ONE_ACTION)


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _pause_errors(step: CanaryStep, path: str) -> Iterator[str]:
    seconds = step.pause.seconds() if step.pause is not None else None
    if seconds is None:
        return
    if seconds < 0:
        detail = "Duration needs to be greater than 0"
        yield fields.invalid(f"{path}.pause.duration", seconds, detail)
    elif seconds > _PAUSE_SECONDS_MAX:
        # Not representable in the API: the reference cannot even read such an object.
        detail = f"Duration needs to be at most {_PAUSE_SECONDS_MAX} seconds"
        yield fields.invalid(f"{path}.pause.duration", seconds, detail)


def _route_errors(step: CanaryStep, routing: TrafficRouting | None, path: str) -> Iterator[str]:
    header, mirror = step.set_header_route, step.set_mirror_route
    if header is not None:
        yield from _header_errors(header, routing, f"{path}.setHeaderRoute")
    if mirror is None:
        return
    path = f"{path}.setMirrorRoute"
    if routing is None or not (routing.istio or routing.plugins):
        yield fields.invalid(path, mirror, _MIRROR_ROUTERS)
    for index, match in enumerate(mirror.match):
        for value in (match.method, match.path):
            if value is not None:
                yield from _match_errors(value, f"{path}.match[{index}]")


def _header_errors(
    header: SetHeaderRoute, routing: TrafficRouting | None, path: str
) -> Iterator[str]:
    routers = (routing.istio, routing.alb, routing.apisix, routing.plugins) if routing else ()
    if routing is None or not any(routers):
        yield fields.invalid(path, header, _HEADER_ROUTERS)
        return
    for index, match in enumerate(header.match):
        own, value = f"{path}.match[{index}]", match.header_value
        if routing.alb is None or value is None:
            yield from _match_errors(value, own)
        elif not value.exact or value.regex or value.prefix:
            yield fields.invalid(own, value, _ALB_MATCH)


def _match_errors(value: StringMatch | None, path: str) -> Iterator[str]:
    given = [text for text in (value.exact, value.regex, value.prefix) if text] if value else []
    if not given:
        yield fields.invalid(path, value, _NO_MATCH)
    elif len(given) > 1:
        yield fields.invalid(path, value, _SECOND_MATCH)


def _managed_route_errors(
    step: CanaryStep, routing: TrafficRouting | None, path: str
) -> Iterator[str]:
    routes = {"setHeaderRoute": step.set_header_route, "setMirrorRoute": step.set_mirror_route}
    used = {member: route.name for member, route in routes.items() if route is not None}
    if routing is None or not used:
        return
    managed = {route.name for route in routing.managed_routes}
    if not managed:
        yield fields.required(f"{_ROUTING}.managedRoutes", _NO_MANAGED_ROUTES)
        return
    for member, name in used.items():
        if name not in managed:
            yield fields.invalid(f"{path}.{member}", name, _ROUTE_NOT_MANAGED)


def _experiment_errors(
    experiment: RolloutExperiment, routing: TrafficRouting | None, path: str
) -> Iterator[str]:
    routers = (routing.alb, routing.smi, routing.istio, routing.plugins) if routing else ()
    for index, template in enumerate(experiment.templates):
        if template.weight is None or any(routers):
            continue
        detail = _WEIGHT_UNROUTED if routing is None else _WEIGHT_ROUTERS
        yield fields.invalid(f"{path}.templates[{index}].weight", template.weight, detail)


def _arguments(step: CanaryStep) -> tuple[AnalysisArgument, ...]:
    experiment = step.experiment.analyses if step.experiment is not None else ()
    own = step.analysis.args if step.analysis is not None else ()
    return (*(argument for analysis in experiment for argument in analysis.args), *own)


def _argument_errors(arguments: Sequence[AnalysisArgument], path: str) -> Iterator[str]:
    for argument in arguments:
        field = argument.value_from.field_ref if argument.value_from is not None else None
        if field is None or not field.field_path.startswith("metadata"):
            continue
        if not _is_readable(field.field_path):
            yield fields.invalid(path, arguments, _UNKNOWN_METADATA)


def _is_readable(path: str) -> bool:
    """Return whether a path leads to metadata that the downward API can give."""
    keyed = _METADATA_KEY.fullmatch(path)
    if keyed is None:
        return path in _METADATA_PATHS
    member, key = keyed.groups()
    # The case of an annotation's key does not count.
    return names.is_qualified_name(key if member == "labels" else key.lower())
