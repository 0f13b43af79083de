"""The pass under construction: what was observed of an Experiment, and what this pass adds.

A draft lives for one call of `decide`; it is the only mutable object of this core.

Source: experiment 3.
"""

from __future__ import annotations

from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.conditions import Reason
from headrace.model.experiment import (
    ExperimentAnalysisStatus,
    ExperimentStatus,
    ExperimentTemplate,
    TemplateStatus,
)
from headrace.model.quantities import Instant, parse_duration
from rollout_controller.core.experiment.observed import Failure, Observed
from rollout_controller.core.experiment.plan import Effect
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.plan import EventType, PlannedEvent

RETRY_SECONDS = 10.0
"""When something that the API server refused is tried again."""

PROGRESS_DEADLINE_SECONDS_DEFAULT = 600
SCALE_DOWN_DELAY_SECONDS_DEFAULT = 30

_BAD = (AnalysisPhase.FAILED, AnalysisPhase.ERROR, AnalysisPhase.INCONCLUSIVE)


class Draft:
    """One pass over one Experiment.

    Attributes:
        is_terminating: By the status as it is stored: what this pass finds out takes effect in
            the next one, when it is durable.
        templates: Statuses of the templates as this pass leaves them, by name.
        analyses: Statuses of the analyses as this pass leaves them, by name.
    """

    def __init__(self, observed: Observed, now: Instant) -> None:
        self.observed = observed
        self.now = now
        self.spec = observed.spec
        self.status: ExperimentStatus = observed.status
        self.effects: list[Effect] = []
        self.events: list[PlannedEvent] = []
        self.rollout_events: list[PlannedEvent] = []
        self.templates = {status.name: status for status in observed.status.template_statuses}
        self.analyses = {status.name: status for status in observed.status.analysis_runs}
        self.is_terminating = _is_terminating(observed)
        self.has_moved = False
        self.held = ""
        self.wake_at: Instant | None = None

    # What was observed

    @property
    def progress_deadline_seconds(self) -> int:
        """The progressDeadlineSeconds, or their default."""
        seconds = self.spec.progress_deadline_seconds
        return PROGRESS_DEADLINE_SECONDS_DEFAULT if seconds is None else seconds

    @property
    def scale_down_delay_seconds(self) -> int:
        """The scaleDownDelaySeconds, or their default."""
        seconds = self.spec.scale_down_delay_seconds
        return SCALE_DOWN_DELAY_SECONDS_DEFAULT if seconds is None else seconds

    @property
    def ends_at(self) -> Instant | None:
        """When the duration is over; None before availableAt, or without a readable duration."""
        available_at = self.status.available_at
        if available_at is None or not self.spec.duration:
            return None
        try:
            return Instant(available_at + parse_duration(self.spec.duration))
        except ValueError:
            return None  # never passes (experiment 10.7)

    @property
    def is_duration_over(self) -> bool:
        """Whether the Experiment ran for its whole duration."""
        ends_at = self.ends_at
        return ends_at is not None and self.now > ends_at

    def desired(self, template: ExperimentTemplate) -> int:
        """Return how many pods the template shall have (experiment 4)."""
        status = self.templates.get(template.name)
        if self.is_terminating or (status is not None and is_completed(status.status)):
            return 0
        return 1 if template.replicas is None else template.replicas

    def failure_of(self, subject: str) -> Failure | None:
        """Return the failure for which nothing is tried now; plan the look at its end."""
        failure = self.observed.failures.get(subject)
        if failure is None or self.now >= failure.at + RETRY_SECONDS:
            return None
        self.wake(failure.at + RETRY_SECONDS)
        return failure

    def is_held(self, template: ExperimentTemplate, rs: ReplicaSet) -> bool:
        """Return whether the Rollout may still send traffic to this template.

        Its pods and its Service stay until no route can name them (architecture, section 4).
        """
        rollout = self.observed.rollout
        if rollout is None:
            return False
        is_relied_on = rollout.relies_on_it and template.name in rollout.weighted
        if is_relied_on or rollout.shares.get(rs.pod_hash, 0) > 0:
            self.held = (
                self.held or f"the Rollout {rollout.name} may still send traffic to {rs.name}"
            )
            return True
        return False

    # What this pass adds

    def effect(self, effect: Effect) -> None:
        """Add an effect; effects are carried out in the order added."""
        self.effects.append(effect)

    def event(self, reason: Reason, message: str, *, type: EventType = "Normal") -> None:
        """Add a Kubernetes Event on the Experiment."""
        self.events.append(PlannedEvent(reason, message, type))

    def wake(self, at: Instant | float) -> None:
        """Look again at `at`, or earlier when another deadline is earlier."""
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = Instant(at)

    def put_template(self, status: TemplateStatus) -> None:
        """Set the status of a template, and tell a change of its state (experiment 4.4)."""
        old = self.templates.get(status.name)
        self.templates[status.name] = status
        before = old.status if old is not None else ""
        if status.status == before:
            return
        suffix = f": {status.message}" if status.message else ""
        self.event(
            Reason(f"Template{status.status}"),
            f"Template '{status.name}' transitioned from {before} -> {status.status}{suffix}",
            type="Warning" if status.status in ("Failed", "Error") else "Normal",
        )

    def put_analysis(self, status: ExperimentAnalysisStatus) -> None:
        """Set the status of an analysis, and tell a change of its phase (experiment 5).

        The Rollout is told as well, as a warning whatever the phase: so notifications about it
        hear of the analyses of its Experiments.
        """
        old = self.analyses.get(status.name)
        self.analyses[status.name] = status
        before = old.phase if old is not None else ""
        if status.phase == before:
            return
        suffix = f": {status.message}" if status.message else ""
        reason = Reason(f"AnalysisRun{status.phase}")
        text = f"AnalysisRun '{status.name}' transitioned from {before} -> {status.phase}{suffix}"
        self.event(reason, text, type="Warning" if status.phase in _BAD else "Normal")
        if self.observed.rollout is not None:
            self.rollout_events.append(PlannedEvent(reason, text, "Warning"))


def _is_terminating(observed: Observed) -> bool:
    """Return whether the Experiment ends, by its stored status (experiment 3.2)."""
    status = observed.status
    phases = {run.name: run.phase for run in status.analysis_runs}
    required = [each.name for each in observed.spec.analyses if each.required_for_completion]
    return (
        observed.spec.terminate
        or is_completed(status.phase)
        or any(template.status in ("Failed", "Error") for template in status.template_statuses)
        or any(phase in _BAD for phase in phases.values())
        or are_successful(phases, required)
    )


def are_successful(phases: dict[str, str], required: list[str]) -> bool:
    """Return whether there are required analyses, and all of them ended well."""
    return bool(required) and all(phases.get(name) == AnalysisPhase.SUCCESSFUL for name in required)
