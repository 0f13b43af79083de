"""Rules about the spec alone, in the order in which they are evaluated (rollout-api 4.1).

The path of a strategy's field leaves the strategy's name out, as clients know it:
`spec.strategy.steps[0]`, and `spec.strategy.strategy` where the strategy itself is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.rollout import (
    PROGRESS_DEADLINE_SECONDS_DEFAULT,
    REVISION_HISTORY_LIMIT_DEFAULT,
    RolloutSpec,
)
from rollout_controller.core.validation import blue_green, canary, fields, names, pod_template

_NO_SELECTOR: Final = "Rollout has missing field '.spec.selector'"
_EMPTY_SELECTOR: Final = "empty selector is invalid for deployment"
_NO_STRATEGY: Final = (
    "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'"
)
_SECOND_TEMPLATE: Final = "template must be empty for workload reference rollout"


def errors(spec: RolloutSpec, *, is_resolved: bool = False) -> Iterator[str]:
    """Yield every violated rule, in order.

    Args:
        spec: The spec.
        is_resolved: Template and selector are those of the workload that it refers to.
    """
    yield from fields.not_negative("spec.replicas", 1 if spec.replicas is None else spec.replicas)
    yield from _selector_errors(spec)
    yield from _template_errors(spec, is_resolved)
    yield from _number_errors(spec)
    yield from _strategy_errors(spec)


def _selector_errors(spec: RolloutSpec) -> Iterator[str]:
    if spec.workload_ref is not None:
        return
    if spec.selector is None:
        yield fields.required("spec.selector", _NO_SELECTOR)
        return
    yield from names.selector_errors("spec.selector", spec.selector)
    if spec.selector.is_empty():
        yield fields.invalid("spec.selector", spec.selector, _EMPTY_SELECTOR)


def _template_errors(spec: RolloutSpec, is_resolved: bool) -> Iterator[str]:
    template = spec.template or {}
    metadata = template.get("metadata") or {}
    is_open = spec.workload_ref is not None and not is_resolved
    if is_open and (metadata.get("labels") or metadata.get("annotations")):
        yield fields.internal("spec.template", _SECOND_TEMPLATE)
    if spec.selector is not None and not names.is_convertible(spec.selector):
        yield fields.invalid("spec.selector", spec.selector, "invalid label selector")
        return
    if not is_open:
        yield from pod_template.errors(template, spec.selector, "spec.template")


def _number_errors(spec: RolloutSpec) -> Iterator[str]:
    yield from fields.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    limit = spec.revision_history_limit
    limit = REVISION_HISTORY_LIMIT_DEFAULT if limit is None else limit
    yield from fields.not_negative("spec.revisionHistoryLimit", limit)
    deadline = spec.progress_deadline_seconds
    deadline = PROGRESS_DEADLINE_SECONDS_DEFAULT if deadline is None else deadline
    path = "spec.progressDeadlineSeconds"
    yield from fields.not_negative(path, deadline)
    if deadline <= spec.min_ready_seconds:
        yield fields.invalid(path, deadline, "must be greater than minReadySeconds")


def _strategy_errors(spec: RolloutSpec) -> Iterator[str]:
    strategy = spec.strategy
    path = "spec.strategy.strategy"
    if strategy.canary is not None and strategy.blue_green is not None:
        yield fields.invalid(
            path, "blueGreen: true canary: true", "Multiple Strategies can not be listed"
        )
    elif strategy.canary is not None:
        yield from canary.errors(strategy.canary)
    elif strategy.blue_green is not None:
        yield from blue_green.errors(strategy.blue_green, spec.revision_history_limit)
    else:
        yield fields.required(path, _NO_STRATEGY)
