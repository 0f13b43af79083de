"""Rules about the objects that the spec names (rollout-api 4.2).

All of them must exist before any of them is judged: Services first, then templates. Step plugins
come last: one that is not configured is waited for (canary 9), one that cannot be called is
refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.expression.arguments import UnresolvedArgument, substitute
from headrace.model.analysis import Argument, Metric
from headrace.model.rollout import BlueGreenStrategy, CanaryStrategy, RolloutSpec, Strategy
from headrace.model.steps import RolloutAnalysis, TemplateMetadata
from rollout_controller.core import labels
from rollout_controller.core.observed import Observed, ServiceObject
from rollout_controller.core.runs import (
    NamedTemplate,
    RunError,
    TemplateMissing,
    flat_arguments,
    flat_dry_run,
    flat_metrics,
    flat_retention,
    merge_arguments,
    resolve_templates,
    rollout_arguments,
)
from rollout_controller.core.validation import fields

_CANARY: Final = "spec.strategy.canary"
_BLUE_GREEN: Final = "spec.strategy.blueGreen"
_PLACEHOLDER: Final = "dummy-value"
"""Stands for values that only a run will have, such as those of Secrets."""


@dataclass(frozen=True, slots=True)
class _ServiceUse:
    path: str
    name: str
    metadata: TemplateMetadata | None


@dataclass(frozen=True, slots=True)
class _AnalysisUse:
    """An analysis of the spec; `path` is that of its templates."""

    path: str
    analysis: RolloutAnalysis
    is_background: bool = False


def errors(observed: Observed) -> Iterator[str]:
    """Yield every violated rule, in order."""
    missing = False
    for error in _missing(observed):
        missing = True
        yield error
    if missing:
        return
    yield from service_errors(observed.name, observed.spec, observed.references.services)
    for use in _analyses(observed.spec.strategy):
        yield from _analysis_errors(observed, use)
    yield from _plugin_errors(observed)


def service_names(strategy: Strategy) -> tuple[str, ...]:
    """Return the names of all Services that a strategy relies on."""
    return tuple(use.name for use in _services(strategy))


def service_errors(
    rollout: str, spec: RolloutSpec, services: Mapping[str, ServiceObject]
) -> Iterator[str]:
    """Yield what is wrong with those Services of a Rollout that are given."""
    for use in _services(spec.strategy):
        if use.name in services:
            yield from _errors_of_service(rollout, spec, services[use.name], use)


def _services(strategy: Strategy) -> Iterator[_ServiceUse]:
    return (use for use in _service_uses(strategy) if use.name)


def _service_uses(strategy: Strategy) -> tuple[_ServiceUse, ...]:
    canary, blue_green = strategy.canary, strategy.blue_green
    if blue_green is not None:
        active, preview = blue_green.active_service, blue_green.preview_service
        return (
            _ServiceUse(f"{_BLUE_GREEN}.activeService", active, blue_green.active_metadata),
            _ServiceUse(f"{_BLUE_GREEN}.previewService", preview, blue_green.preview_metadata),
        )
    if canary is None:
        return ()
    uses = (
        _ServiceUse(f"{_CANARY}.stableService", canary.stable_service, canary.stable_metadata),
        _ServiceUse(f"{_CANARY}.canaryService", canary.canary_service, canary.canary_metadata),
    )
    pair = canary.ping_pong
    if pair is None:
        return uses
    return (
        *uses,
        _ServiceUse(f"{_CANARY}.pingPong.pingService", pair.ping_service, None),
        _ServiceUse(f"{_CANARY}.pingPong.pongService", pair.pong_service, None),
    )


def _analyses(strategy: Strategy) -> Iterator[_AnalysisUse]:
    if strategy.blue_green is not None:
        yield from _analyses_of_blue_green(strategy.blue_green)
    if strategy.canary is not None:
        yield from _analyses_of_canary(strategy.canary)


def _analyses_of_blue_green(strategy: BlueGreenStrategy) -> Iterator[_AnalysisUse]:
    uses = (
        ("prePromotionAnalysis", strategy.pre_promotion_analysis),
        ("postPromotionAnalysis", strategy.post_promotion_analysis),
    )
    for name, analysis in uses:
        if analysis is not None:
            yield _AnalysisUse(f"{_BLUE_GREEN}.{name}.templates", analysis)


def _analyses_of_canary(canary: CanaryStrategy) -> Iterator[_AnalysisUse]:
    for index, step in enumerate(canary.steps):
        if step.analysis is not None:
            yield _AnalysisUse(f"{_CANARY}.steps[{index}].analysis.templates", step.analysis)
    if canary.analysis is not None:
        yield _AnalysisUse(f"{_CANARY}.analysis.templates", canary.analysis, is_background=True)


def _missing(observed: Observed) -> Iterator[str]:
    strategy = observed.spec.strategy
    for service in _services(strategy):
        if service.name not in observed.references.services:
            yield fields.invalid(service.path, service.name, f'service "{service.name}" not found')
    for use in _analyses(strategy):
        try:
            resolve_templates(observed.references, use.analysis.templates)
        except TemplateMissing as error:
            path = "spec.templates" if error.is_nested else use.path
            yield fields.invalid(path, error.name, str(error))


def _errors_of_service(
    rollout: str, spec: RolloutSpec, service: ServiceObject, use: _ServiceUse
) -> Iterator[str]:
    for key in _unmatched(spec, service, use.metadata):
        detail = f'Service "{use.name}" has unmatch label "{key}" in rollout'
        yield fields.invalid(use.path, use.name, detail)
    if service.managed_by not in ("", rollout):
        detail = f'Service "{use.name}" is managed by another Rollout'
        yield fields.invalid(use.path, use.name, detail)


def _plugin_errors(observed: Observed) -> Iterator[str]:
    canary = observed.spec.strategy.canary
    for index, step in enumerate(canary.steps if canary is not None else ()):
        plugin = observed.plugins.get(step.plugin.name) if step.plugin is not None else None
        if plugin is not None and plugin.refusal and not plugin.is_disabled:
            yield fields.forbidden(f"{_CANARY}.steps[{index}].plugin", plugin.refusal)


def _unmatched(
    spec: RolloutSpec, service: ServiceObject, metadata: TemplateMetadata | None
) -> Iterator[str]:
    """Yield the keys by which a Service selects pods that the Rollout does not make.

    Labels that pods get while they play the Service's role count as theirs.
    """
    template = (spec.template or {}).get("metadata") or {}
    own = template.get("labels") or {}
    injected = metadata.labels if metadata is not None else {}
    for key, value in sorted(service.selector.items()):
        if key != labels.HASH and value not in (own.get(key), injected.get(key)):
            yield key


def _analysis_errors(observed: Observed, use: _AnalysisUse) -> Iterator[str]:
    templates = resolve_templates(observed.references, use.analysis.templates)
    try:
        values = _merged_values(observed, use.analysis, templates)
    except RunError as error:
        names = " ".join(template.name for template in templates)
        yield fields.invalid(use.path, f"templateNames: [{names}]", str(error))
        return
    for template in templates:
        details = (
            _missing_arguments(use.analysis, template)
            if use.is_background
            else _endless_metrics(template, values)
        )
        yield from (fields.invalid(use.path, template.name, detail) for detail in details)


def _merged_values(
    observed: Observed, analysis: RolloutAnalysis, templates: tuple[NamedTemplate, ...]
) -> dict[str, str]:
    """Return the arguments of the run that these templates would make.

    Raises:
        RunError: They cannot make one.
    """
    flat_metrics(templates)
    flat_dry_run(analysis.dry_run, templates)
    flat_retention(analysis.measurement_retention, templates)
    given = rollout_arguments(
        observed,
        analysis.args,
        latest_hash=_PLACEHOLDER,
        stable_hash=_PLACEHOLDER,
        tolerate_missing=True,
    )
    merged = merge_arguments(given, flat_arguments(templates))
    return {argument.name: _value(argument) for argument in merged}


def _value(argument: Argument) -> str:
    return _PLACEHOLDER if argument.value is None else argument.value


def _endless_metrics(template: NamedTemplate, values: dict[str, str]) -> Iterator[str]:
    """Yield why a template cannot end by itself, as that of a step must."""
    for argument in template.spec.args:
        if argument.value is not None and argument.value_from is not None:
            detail = f"arg '{argument.name}' has both Value and ValueFrom fields"
            yield f"AnalysisTemplate {template.name}: {detail}"
            return
    own = {argument.name: values[argument.name] for argument in template.spec.args}
    for metric in template.spec.metrics:
        try:
            resolved = Metric.load(substitute(metric.dump(), own))
        except UnresolvedArgument as error:
            yield f"AnalysisTemplate {template.name}: {error}"
            return
        if resolved.effective_count() is None:
            count = "<nil>" if resolved.count is None else resolved.count
            yield (
                f"AnalysisTemplate {template.name} has metric {resolved.name} which runs "
                f"indefinitely. Invalid value for count: {count}"
            )


def _missing_arguments(analysis: RolloutAnalysis, template: NamedTemplate) -> Iterator[str]:
    """Yield which arguments a template of the background analysis lacks."""
    given = {argument.name for argument in analysis.args}
    for argument in template.spec.args:
        if argument.value is not None or argument.value_from is not None:
            continue
        if not given:
            yield "missing analysis arguments in rollout spec"
        elif argument.name not in given:
            yield argument.name
