"""One pass over one Experiment: templates, analyses, status (experiment 3).

`decide` is total and pure. An Experiment that is over is looked at still: its ReplicaSets go down
after their delay, and its Services when no traffic can come any more.
"""

from __future__ import annotations

from headrace.model.analysis import AnalysisPhase
from headrace.model.conditions import Reason
from headrace.model.experiment import ExperimentStatus
from headrace.model.quantities import Instant
from rollout_controller.core.experiment import conditions, phase, validation
from rollout_controller.core.experiment.analyses import reconcile_analysis
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Observed
from rollout_controller.core.experiment.plan import Plan
from rollout_controller.core.experiment.templates import reconcile_template

_BAD = (AnalysisPhase.FAILED, AnalysisPhase.ERROR, AnalysisPhase.INCONCLUSIVE)


def decide(observed: Observed, *, now: Instant) -> Plan:
    """Return what to do about one Experiment.

    Args:
        observed: The whole snapshot.
        now: Decision time, seconds since the epoch, by this service's clock.
    """
    if observed.is_deleting:
        return Plan(reason="Deleting")
    error = validation.first_error(observed)
    if error is not None:
        return _invalid(observed, error, now)
    draft = Draft(observed, now)
    for template in draft.spec.templates:
        reconcile_template(draft, template)
    for analysis in draft.spec.analyses:
        reconcile_analysis(draft, analysis)
    return _plan(draft, _status(draft))


def _invalid(observed: Observed, error: str, now: Instant) -> Plan:
    told = conditions.invalid(observed, error, now)
    status = observed.status.model_copy(update={"conditions": told})
    claim = None if status == observed.status else status
    return Plan(claim=claim, reason=Reason.INVALID_SPEC, message=error)


def _status(draft: Draft) -> ExperimentStatus:
    old = draft.status
    name, message = phase.calculate(draft)
    available_at = phase.available_at(draft)
    if name != old.phase:
        draft.event(
            Reason(f"Experiment{name}"),
            f"Experiment transitioned from {old.phase} -> {name}",
            type="Warning" if name in _BAD else "Normal",
        )
    return ExperimentStatus(
        phase=name,
        message=message,
        available_at=available_at,
        template_statuses=tuple(draft.templates.values()),
        analysis_runs=tuple(draft.analyses.values()),
        conditions=conditions.calculate(draft, name, available_at),
    )


def _plan(draft: Draft, status: ExperimentStatus) -> Plan:
    if draft.ends_at is not None and not (draft.is_terminating or draft.is_duration_over):
        draft.wake(draft.ends_at + 0.001)
    return Plan(
        effects=tuple(draft.effects),
        events=tuple(draft.events),
        rollout_events=tuple(draft.rollout_events),
        claim=None if status == draft.status else status,
        wake_at=draft.wake_at,
        reason="RouteAcknowledgement" if draft.held else status.phase,
        message=draft.held or status.message,
    )
