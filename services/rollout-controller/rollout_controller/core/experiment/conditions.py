"""The conditions of an Experiment (experiment 2, 7)."""

from __future__ import annotations

from headrace.model.analysis import AnalysisPhase
from headrace.model.conditions import Condition, ConditionStatus, ConditionType, Reason
from headrace.model.quantities import Instant
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Observed
from rollout_controller.core.status.conditions import ConditionList

_PROGRESSING = ConditionType.PROGRESSING
_TRUE = ConditionStatus.TRUE


def calculate(draft: Draft, phase: str, available_at: Instant | None) -> tuple[Condition, ...]:
    """Return the conditions after a pass over a valid Experiment."""
    conditions = ConditionList(list(draft.status.conditions), draft.now)
    conditions.remove(ConditionType.INVALID_SPEC)
    name = draft.observed.name
    if phase == AnalysisPhase.SUCCESSFUL:
        text = f'Experiment "{name}" has successfully ran and completed.'
        conditions.set(_PROGRESSING, ConditionStatus.FALSE, Reason.EXPERIMENT_COMPLETED, text)
    elif draft.has_moved:
        text = f'Experiment "{name}" is progressing.'
        conditions.replace(_PROGRESSING, _TRUE, Reason.REPLICA_SET_UPDATED, text)
    elif available_at is not None and not draft.is_duration_over:
        text = f'Experiment "{name}" is running.'
        conditions.set(_PROGRESSING, _TRUE, Reason.NEW_REPLICA_SET_AVAILABLE, text)
    return tuple(conditions.items)


def invalid(observed: Observed, error: str, now: Instant) -> tuple[Condition, ...]:
    """Return the conditions of an Experiment whose spec cannot work."""
    conditions = ConditionList(list(observed.status.conditions), now)
    old = conditions.find(ConditionType.INVALID_SPEC)
    if old is None or (old.status, old.message) != (_TRUE, error):
        conditions.replace(ConditionType.INVALID_SPEC, _TRUE, Reason.INVALID_SPEC, error)
    return tuple(conditions.items)
