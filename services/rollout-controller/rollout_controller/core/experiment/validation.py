"""What makes an Experiment invalid: the first violated rule is told (experiment 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollout_controller.core.experiment.draft import PROGRESS_DEADLINE_SECONDS_DEFAULT
from rollout_controller.core.experiment.observed import Observed


def first_error(observed: Observed) -> str | None:
    """Return the first violated rule, in order; None when the spec can work."""
    return next(_errors(observed), observed.spec_error or None)


def _errors(observed: Observed) -> Iterator[str]:
    spec = observed.raw_spec
    deadline = spec.get("progressDeadlineSeconds")
    deadline = PROGRESS_DEADLINE_SECONDS_DEFAULT if deadline is None else deadline
    names: set[str] = set()
    for index, template in enumerate(spec.get("templates") or ()):
        yield from _selector_errors(template, index)
        if (template.get("minReadySeconds") or 0) > deadline:
            yield (
                "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. "
                f"Check template index {index}"
            )
        name = template.get("name") or ""
        if not name:
            yield f"Experiment {observed.name} has empty template name at index {index}"
        if name in names:
            yield f"Experiment {observed.name} has repeated template name '{name}' in templates"
        names.add(name)


def _selector_errors(template: Mapping[str, Any], index: int) -> Iterator[str]:
    selector = template.get("selector")
    if selector is None:
        yield f"Rollout has missing field '.Spec.Templates[{index}].Selector'"
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield (
            f"This experiment is selecting all pods at index {index}. "
            "A non-empty selector is required."
        )
