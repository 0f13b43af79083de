"""What `decide` answers: what to ask of providers, what to write, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from analysis_runner.core.observed import Step
from headrace.model.analysis import AnalysisRunStatus, Measurement
from headrace.model.quantities import Instant


class Reason(StrEnum):
    """Why a plan is as it is; the same word in logs."""

    RUN_DELETING = "RunDeleting"
    RUN_EXPIRED = "RunExpired"
    RUN_COMPLETED = "RunCompleted"
    SPEC_INVALID = "SpecInvalid"
    MEASURING = "Measuring"
    TERMINATING = "Terminating"
    WAITING = "Waiting"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a provider.

    Attributes:
        metric: Name of the metric.
        step: What is asked.
        index: Which measurement of the metric, from 0, counted over the run's life.
        unfinished: The measurement to go on with; None for a new one.
    """

    metric: str
    step: Step
    index: int
    unfinished: Measurement | None = None


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """A Kubernetes Event on the run, written after the claim."""

    reason: str
    message: str
    type: str = "Normal"


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision of one pass.

    Attributes:
        reason: Why.
        message: For people.
        abandon: Metrics whose measurement under way is of no use any more.
        asks: Measurements to begin; nothing waits for them.
        claim: The status to write; None when it is right already.
        taken: Metrics whose finding is in the claim, or worth nothing.
        events: To write once the claim is.
        says: Facts of the stored status that the bus does not have yet are to be said.
        deletes: The run has lived long enough after its end.
        wake_at: When to look again without an event.
    """

    reason: Reason
    message: str = ""
    abandon: frozenset[str] = frozenset()
    asks: tuple[Ask, ...] = ()
    claim: AnalysisRunStatus | None = None
    taken: frozenset[str] = frozenset()
    events: tuple[PlannedEvent, ...] = ()
    says: bool = False
    deletes: bool = False
    wake_at: Instant | None = None

    @property
    def is_quiet(self) -> bool:
        """True when there is nothing to do."""
        return not (self.abandon or self.asks or self.claim or self.says or self.deletes)
