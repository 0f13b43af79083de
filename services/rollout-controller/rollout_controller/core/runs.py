"""The spec of an AnalysisRun, built from templates and the Rollout's arguments.

Substitution of `{{args.x}}` happens later, in the analysis-runner: the stored run keeps the
placeholders beside the resolved arguments.

Source: analysis 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from headrace.expression.text import quote
from headrace.model.analysis import AnalysisTemplateSpec, Argument, Metric
from headrace.model.steps import (
    AnalysisArgument,
    AnalysisTemplateReference,
    DryRun,
    MeasurementRetention,
    RolloutAnalysis,
)
from rollout_controller.core.observed import Observed, References

_SEPARATORS = re.compile(r"[.\[\]]+")
_LABEL = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class RunError(ValueError):
    """A run cannot be made from these templates and arguments; the text is for the status."""


class TemplateMissing(RunError):
    """A template that is referred to does not exist.

    Attributes:
        name: Of the missing template.
        is_nested: Another template refers to it, not the Rollout.
    """

    def __init__(self, reference: AnalysisTemplateReference, *, is_nested: bool) -> None:
        kind = "ClusterAnalysisTemplate" if reference.cluster_scope else "AnalysisTemplate"
        super().__init__(f"{kind} '{reference.template_name}' not found")
        self.name = reference.template_name
        self.is_nested = is_nested


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A resolved reference."""

    name: str
    cluster_scope: bool
    spec: AnalysisTemplateSpec


def run_spec(
    observed: Observed, analysis: RolloutAnalysis, *, latest_hash: str, stable_hash: str
) -> dict[str, Any]:
    """Return the spec of the run that `analysis` asks for, as JSON.

    Raises:
        RunError: A template is missing, names collide, or an argument has no value.
    """
    given = Given(
        rollout_arguments(
            observed, analysis.args, latest_hash=latest_hash, stable_hash=stable_hash
        ),
        analysis.dry_run,
        analysis.measurement_retention,
    )
    return spec_of(observed.references, analysis.templates, given)


@dataclass(frozen=True, slots=True)
class Given:
    """What the owner of a run says beside its templates.

    Attributes:
        arguments: With literal values.
        dry_run: Rules that come before those of the templates.
        retention: The same.
    """

    arguments: Sequence[Argument] = ()
    dry_run: Sequence[DryRun] = ()
    retention: Sequence[MeasurementRetention] = ()


def spec_of(
    references: References, wanted: Sequence[AnalysisTemplateReference], given: Given
) -> dict[str, Any]:
    """Return the spec of the run that these templates make, as JSON.

    Raises:
        RunError: A template is missing, names collide, or an argument has no value.
    """
    templates = resolve_templates(references, wanted)
    spec: dict[str, Any] = {"metrics": [m.dump() for m in flat_metrics(templates)]}
    merged = merge_arguments(given.arguments, flat_arguments(templates))
    if merged:
        spec["args"] = [argument.dump() for argument in merged]
    dry_run = flat_dry_run(given.dry_run, templates)
    if dry_run:
        spec["dryRun"] = [rule.dump() for rule in dry_run]
    retention = flat_retention(given.retention, templates)
    if retention:
        spec["measurementRetention"] = [rule.dump() for rule in retention]
    return spec


def resolve_templates(
    references: References, wanted: Sequence[AnalysisTemplateReference]
) -> tuple[NamedTemplate, ...]:
    """Return the templates depth first, each once, namespaced ones before cluster ones.

    A template that refers to itself, directly or not, is taken once: the guard that the
    specification asks for (analysis 2.1).

    Raises:
        TemplateMissing: A reference has no object.
    """
    found: dict[tuple[bool, str], NamedTemplate] = {}
    _collect(references, wanted, found, is_nested=False)
    ordered = [t for t in found.values() if not t.cluster_scope]
    return (*ordered, *(t for t in found.values() if t.cluster_scope))


def _collect(
    references: References,
    wanted: Iterable[AnalysisTemplateReference],
    found: dict[tuple[bool, str], NamedTemplate],
    *,
    is_nested: bool,
) -> None:
    for reference in wanted:
        key = (reference.cluster_scope, reference.template_name)
        if key in found:
            continue
        table = references.cluster_templates if key[0] else references.templates
        spec = table.get(reference.template_name)
        if spec is None:
            raise TemplateMissing(reference, is_nested=is_nested)
        found[key] = NamedTemplate(reference.template_name, reference.cluster_scope, spec)
        _collect(references, spec.templates, found, is_nested=True)


def flat_metrics(templates: Sequence[NamedTemplate]) -> tuple[Metric, ...]:
    """Return all metrics; names must be unique (analysis 2.2)."""
    metrics = tuple(metric for template in templates for metric in template.spec.metrics)
    name = _repeated(metric.name for metric in metrics)
    if name is not None:
        raise RunError(f"two metrics have the same name '{name}'")
    return metrics


def flat_dry_run(own: Sequence[DryRun], templates: Sequence[NamedTemplate]) -> tuple[DryRun, ...]:
    """Return the Rollout's rules and those of the templates (analysis 2.3)."""
    rules = (*own, *(rule for template in templates for rule in template.spec.dry_run))
    name = _repeated(rule.metric_name for rule in rules)
    if name is not None:
        raise RunError(f"two Dry-Run metric rules have the same name '{name}'")
    return rules


def flat_retention(
    own: Sequence[MeasurementRetention], templates: Sequence[NamedTemplate]
) -> tuple[MeasurementRetention, ...]:
    """Return the Rollout's rules and those of the templates (analysis 2.3)."""
    rules = (*own, *(r for template in templates for r in template.spec.measurement_retention))
    name = _repeated(rule.metric_name for rule in rules)
    if name is not None:
        raise RunError(f"two Measurement Retention metric rules have the same name '{name}'")
    return rules


def flat_arguments(templates: Sequence[NamedTemplate]) -> tuple[Argument, ...]:
    """Return the declared arguments, each once (analysis 2.4)."""
    merged: dict[str, Argument] = {}
    for template in templates:
        for argument in template.spec.args:
            old = merged.get(argument.name)
            if old is None or old.value is None:
                merged[argument.name] = argument
            elif argument.value is not None and argument.value != old.value:
                raise RunError(
                    f"Argument `{argument.name}` specified multiple times with different "
                    f"values: '{old.value}', '{argument.value}'"
                )
    return tuple(merged.values())


def merge_arguments(
    given: Sequence[Argument], declared: Sequence[Argument], *, allow_missing: bool = False
) -> tuple[Argument, ...]:
    """Return the declared arguments with the given values (analysis 2.5, 2.6).

    A value does not take the place of a declared source: a secret wins over it when the run is
    measured (analysis 3).

    Raises:
        RunError: An argument has neither value nor source.
    """
    by_name = {argument.name: argument for argument in given}
    merged = []
    for argument in declared:
        own = by_name.get(argument.name)
        if own is not None and own.value is not None:
            argument = argument.model_copy(update={"value": own.value})
        elif own is not None and own.value_from is not None:
            argument = argument.model_copy(update={"value_from": own.value_from})
        if argument.value is None and argument.value_from is None and not allow_missing:
            raise RunError(f"args.{argument.name} was not resolved")
        merged.append(argument)
    return tuple(merged)


def rollout_arguments(
    observed: Observed,
    arguments: Sequence[AnalysisArgument],
    *,
    latest_hash: str,
    stable_hash: str,
    tolerate_missing: bool = False,
) -> tuple[Argument, ...]:
    """Return a Rollout's arguments with literal values (analysis 2, caller args).

    Args:
        observed: The Rollout that field references are read from.
        arguments: As in the spec.
        latest_hash: Value of podTemplateHashValue Latest.
        stable_hash: Value of podTemplateHashValue Stable.
        tolerate_missing: Validation takes an unresolvable path for an empty value.

    Raises:
        RunError: A path does not lead to a primitive value.
    """
    resolved = []
    for argument in arguments:
        source = argument.value_from
        value = argument.value
        if source is not None and source.pod_template_hash_value is not None:
            is_latest = source.pod_template_hash_value == "Latest"
            value = latest_hash if is_latest else stable_hash
        elif source is not None and source.field_ref is not None:
            try:
                value = field_value(observed, source.field_ref.field_path)
            except RunError:
                if not tolerate_missing or source.field_ref.field_path.startswith("metadata"):
                    raise
                value = ""
        resolved.append(Argument(name=argument.name, value=value))
    return tuple(resolved)


def field_value(observed: Observed, path: str) -> str:
    """Return the text of a field of the Rollout.

    Raises:
        RunError: The path does not lead to a primitive value.
    """
    if path.startswith("metadata"):
        return _metadata_value(observed, path)
    parts = [part for part in _SEPARATORS.split(path) if part]
    node: Any = {"spec": observed.raw_spec, "status": observed.status.dump()}
    for part in parts:
        node = _child(node, part, path)
    if isinstance(node, dict | list) or node is None:
        raise RunError(f"path {path} in rollout must terminate in a primitive value")
    return _go_text(node)


def _child(node: Any, part: str, path: str) -> Any:
    if isinstance(node, list):
        if not re.fullmatch(r"[+-]?\d+", part):
            raise RunError(f"invalid index '{part}'")
        index = int(part)
        if not 0 <= index < len(node):
            raise RunError(f"index {index} out of range")
        return node[index]
    if not isinstance(node, Mapping) or part not in node:
        raise RunError(f"invalid path {path} in rollout")
    return node[part]


def _metadata_value(observed: Observed, path: str) -> str:
    plain = {
        "metadata.name": observed.name,
        "metadata.namespace": observed.namespace,
        "metadata.uid": observed.uid,
    }
    if path in plain:
        return plain[path]
    maps = {"labels": observed.labels, "annotations": observed.annotations}
    for name, values in maps.items():
        if path == f"metadata.{name}":
            return "\n".join(f"{k}={quote(values[k])}" for k in sorted(values))
    match = _LABEL.fullmatch(path)
    if match is not None:
        return maps[match[1]].get(match[2], "")
    raise RunError(f"unsupported fieldPath: {path}")


def _go_text(value: bool | int | float | str) -> str:
    """Return a JSON scalar as Go prints it after decoding into float64."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    number = float(value)
    exponent = Decimal(repr(number)).adjusted() if number else 0
    if exponent < -4 or exponent >= 6:
        return _go_exponent(number)
    return str(int(number)) if number.is_integer() else repr(number)


def _go_exponent(number: float) -> str:
    shortest = next(s for p in range(18) if float(s := f"{number:.{p}e}") == number)
    digits, _, exponent = shortest.partition("e")
    return f"{digits}e{int(exponent):+03d}"


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
