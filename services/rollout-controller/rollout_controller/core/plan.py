"""What one pass wants: data only, carried out by `act`.

Order: intent, effects, `before` events, claim, `after` events (architecture, "Order of
effects"). A crash after any prefix repeats only idempotent effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from headrace.ids import EventId
from headrace.kubernetes.resources import Manifest
from headrace.model.conditions import Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import RouteDocument
from rollout_controller.core.observed import Observed

_FORESIGHT_SECONDS: Final = 1.0

EventType = Literal["Normal", "Warning"]

Operation = Literal["Run", "Terminate", "Abort"]
"""What the worker of a step plugin is asked for (canary 9)."""


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """A Kubernetes Event on the Rollout.

    Attributes:
        is_before_claim: Created before the claim patch (cli-and-clients 9.1).
        tells: The effect that it is about, or the intent that an abort is stored with: told also
            when a later effect fails.
    """

    reason: Reason
    message: str
    type: EventType = "Normal"
    is_before_claim: bool = True
    tells: Effect | Intent | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CreateReplicaSet:
    """Create the ReplicaSet of a new revision with no pods."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AnnotateRollout:
    """Merge annotations and, where absent, `spec.replicas` into the Rollout itself."""

    annotations: Mapping[str, str]
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class PatchReplicaSet:
    """Change a ReplicaSet by a JSON patch that tests what it replaces.

    Attributes:
        replicas: New spec.replicas; None leaves it.
        annotations: New values; None removes the annotation.
        template_metadata: New pod template labels and annotations, whole; None leaves them.
        min_ready_seconds: New value; None leaves it.
        affinity: New affinity of the pod template, whole; None leaves it.
        is_required: A refusal fails the reconcile; else it is only logged (bluegreen 3.3). It is
            the same change all the same.
    """

    name: str
    replicas: int | None = None
    annotations: Mapping[str, str | None] | None = None
    template_metadata: Mapping[str, Mapping[str, str]] | None = None
    min_ready_seconds: int | None = None
    affinity: Mapping[str, Any] | None = None
    is_required: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class ScaleDeployment:
    """Scale the Deployment that the Rollout takes the place of.

    Attributes:
        is_required: A failure fails the reconcile; else it is only logged (rollout-api 2.3).
    """

    name: str
    replicas: int
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class AdoptReplicaSet:
    """Become the controller of a ReplicaSet that has none; the Rollout is read live before."""

    name: str


@dataclass(frozen=True, slots=True)
class ReleaseReplicaSet:
    """Stop controlling a ReplicaSet that the selector no longer matches."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteReplicaSet:
    """Delete a ReplicaSet of the history, under uid and resourceVersion."""

    name: str


@dataclass(frozen=True, slots=True)
class SwitchService:
    """Point a Service at the pods with a hash, and adopt it.

    Attributes:
        managed_by: Written as annotation when it is missing; None when present.
    """

    name: str
    pod_hash: str
    managed_by: str | None = None


@dataclass(frozen=True, slots=True)
class CreateRun:
    """Create an AnalysisRun; its name may get a suffix on collision (canary 7)."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class TerminateRun:
    """Set spec.terminate on an AnalysisRun."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete an AnalysisRun of the history."""

    name: str


@dataclass(frozen=True, slots=True)
class CreateExperiment:
    """Create an Experiment; its name may get a suffix on collision (canary 8)."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class TerminateExperiment:
    """Set spec.terminate on an Experiment."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteExperiment:
    """Delete an Experiment of the history, and with it its ReplicaSets and runs."""

    name: str


@dataclass(frozen=True, slots=True)
class PatchPod:
    """Bring the ephemeral labels and annotations of a pod up to date; None removes a key."""

    name: str
    labels: Mapping[str, str | None]
    annotations: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class EvictPods:
    """Evict pods in order until `limit` of them go; a disruption budget may spare some."""

    names: tuple[str, ...]
    limit: int


Effect = (
    CreateReplicaSet
    | AnnotateRollout
    | PatchReplicaSet
    | ScaleDeployment
    | AdoptReplicaSet
    | ReleaseReplicaSet
    | DeleteReplicaSet
    | SwitchService
    | CreateRun
    | TerminateRun
    | DeleteRun
    | CreateExperiment
    | TerminateExperiment
    | DeleteExperiment
    | PatchPod
    | EvictPods
)


def describe(effect: Effect) -> str:
    """Return the effect and its object for people, as `SwitchService preview`."""
    match effect:
        case (
            CreateReplicaSet(manifest=manifest)
            | CreateRun(manifest=manifest)
            | CreateExperiment(manifest=manifest)
        ):
            name = str(manifest["metadata"]["name"])
        case AnnotateRollout():
            name = "itself"
        case EvictPods(names=names):
            name = ", ".join(names)
        case _:
            name = effect.name
    return f"{type(effect).__name__} {name}"


@dataclass(frozen=True, slots=True)
class PluginCall:
    """A call of a step plugin's worker that shall be under way now.

    Attributes:
        id: The same for every repetition of this call.
        cause: What the id is derived from.
        index: Of the step.
        execution: Which Run of this step, from 1; always 1 for the other operations.
        config: Of the step.
        status: What the worker said to be given.
    """

    id: EventId
    cause: str
    plugin: str
    operation: Operation
    index: int
    execution: int
    config: Mapping[str, Any] | None = None
    status: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The status that Argo clients read, and what the controller remembers beside it."""

    status: RolloutStatus
    headrace: HeadraceStatus


@dataclass(frozen=True, slots=True)
class Intent:
    """What must be durable before another process acts on it.

    Attributes:
        headrace: `epoch`, `route`, `shares` and `attempt` of the next status.headrace.
        aborted_at: Set with the first intent of an abort; written together with abort: true.
    """

    headrace: HeadraceStatus
    aborted_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one pass.

    Attributes:
        intent: Written first; None when no other process must know.
        effects: In the order in which they are carried out.
        claim: The status after this pass; None leaves the status alone.
        request: Route request to publish once the intent is stored (again, when re-sent).
        call: Call of a step plugin's worker; begun after the claim, unless it is under way.
        wake_at: When to look again though nothing happens; None when only an event can help.
        reason: Why this plan; one word of the registries.
        message: The same for people.
        then: What follows once the claim is stored, where that was decided, too.
    """

    intent: Intent | None = None
    effects: tuple[Effect, ...] = ()
    claim: Claim | None = None
    events: tuple[PlannedEvent, ...] = ()
    request: RouteDocument | None = None
    call: PluginCall | None = None
    wake_at: Instant | None = None
    reason: str = ""
    message: str = ""
    then: Foreseen | None = None

    @property
    def is_quiet(self) -> bool:
        """True when nothing is written, said or asked."""
        return self.is_still and self.request is None

    @property
    def is_still(self) -> bool:
        """True when nothing new is: at most a request that stands already is said again."""
        is_changing = self.intent or self.effects or self.claim
        return not (is_changing or self.events or self.call)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The pass after a plan, decided together with it.

    Attributes:
        observed: The snapshot of that pass, if nothing changes but what the plan writes.
        plan: What shall be done then; mostly nothing.
        decided_at: By this service's clock.
    """

    observed: Observed
    plan: Plan
    decided_at: Instant


def foresee(last: Plan, observed: Observed, *, now: Instant) -> Plan | None:
    """Return what was decided on a snapshot together with the plan before it, if anything was.

    A decision holds for an equal snapshot until its time to wake; one that writes the time into
    objects only for a moment.
    """
    then = last.then
    if then is None or not then.observed.is_like(observed):
        return None
    if not then.plan.is_still and now - then.decided_at > _FORESIGHT_SECONDS:
        return None
    wake_at = then.plan.wake_at
    return then.plan if wake_at is None or now < wake_at else None


def nothing(wake_at: Instant | None = None, reason: str = "") -> Plan:
    """Return the plan that changes nothing."""
    return Plan(wake_at=wake_at, reason=reason)
