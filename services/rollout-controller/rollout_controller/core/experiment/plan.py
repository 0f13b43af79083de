"""What one pass over an Experiment wants: data only, carried out by `act`.

Order: effects, each with its Event, the other Events, claim. There is no intent: what the Rollout
must know of an Experiment stands in its status.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.kubernetes.resources import Manifest
from headrace.model.experiment import ExperimentStatus
from headrace.model.quantities import Instant
from rollout_controller.core.plan import PatchReplicaSet, PlannedEvent


@dataclass(frozen=True, slots=True)
class CreateReplicaSet:
    """Create the ReplicaSet of a template, with no pods; `event` is said when it is done."""

    template: str
    manifest: Manifest
    event: PlannedEvent


@dataclass(frozen=True, slots=True)
class PatchTemplate:
    """Change the ReplicaSet of a template; `event` is said when it is done."""

    template: str
    patch: PatchReplicaSet
    event: PlannedEvent | None = None


@dataclass(frozen=True, slots=True)
class CreateService:
    """Create the Service of a template."""

    template: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Delete the Service of a template, under uid and resourceVersion."""

    template: str


@dataclass(frozen=True, slots=True)
class CreateRun:
    """Create the AnalysisRun of an analysis; its name may get a suffix on collision."""

    analysis: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class TerminateRun:
    """Set spec.terminate on an AnalysisRun; `event` is said when it is done."""

    name: str
    event: PlannedEvent


Effect = CreateReplicaSet | PatchTemplate | CreateService | DeleteService | CreateRun | TerminateRun


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one pass.

    Attributes:
        effects: In the order in which they are carried out.
        events: Kubernetes Events on the Experiment.
        rollout_events: Kubernetes Events on the Rollout that owns it.
        claim: The status after this pass; None leaves it alone.
        wake_at: When to look again though nothing happens; None when only an event can help.
        reason: Why this plan; one word.
        message: The same for people.
    """

    effects: tuple[Effect, ...] = ()
    events: tuple[PlannedEvent, ...] = ()
    rollout_events: tuple[PlannedEvent, ...] = ()
    claim: ExperimentStatus | None = None
    wake_at: Instant | None = None
    reason: str = ""
    message: str = ""

    @property
    def is_quiet(self) -> bool:
        """True when nothing is written and nothing is said."""
        return not (self.effects or self.events or self.rollout_events or self.claim)
