"""Events of the rollout-controller: the life of a Rollout, and its requests.

The facts (`RolloutFact`) are transitions of `status.headrace.history`, which is their outbox:
their ordinal is the transition's. The requests have an object as durable path.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from headrace.events.payload import Payload
from headrace.model.route import RouteDocument, RouterConfig, Services


class RolloutFact(Payload):
    """A transition of the Rollout's history.

    Attributes:
        ordinal: Position in the history, >= 1; grows by one per fact of this Rollout.
        step: Index of the step that the fact is about, from 0.
    """

    ordinal: int
    step: int | None = None

    def id_ordinal(self) -> str:
        """Return the position in the history."""
        return str(self.ordinal)


class RolloutUpdated(RolloutFact):
    """A new revision was found and its rollout began."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.updated.v1"


class RolloutPaused(RolloutFact):
    """The rollout waits for a person, a duration or a verdict."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.paused.v1"


class RolloutResumed(RolloutFact):
    """The pause is over."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.resumed.v1"


class RolloutAborted(RolloutFact):
    """The rollout was aborted; traffic goes back to stable."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.aborted.v1"


class RolloutRetried(RolloutFact):
    """An abort was taken back; the steps begin again."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.retried.v1"


class RolloutPromoted(RolloutFact):
    """A person or a verdict moved the rollout on, past a pause or to the end."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.promoted.v1"


class RolloutCompleted(RolloutFact):
    """The new version is stable."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.completed.v1"


class RolloutRejected(RolloutFact):
    """The spec is invalid; nothing is touched until it is corrected."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.rejected.v1"


class RolloutDeleted(RolloutFact):
    """The Rollout is gone."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.deleted.v1"


class RolloutStuck(RolloutFact):
    """The rollout made no progress within its deadline."""

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.stuck.v1"


class StepEntered(RolloutFact):
    """A step began."""

    EVENT_TYPE: ClassVar[str] = "headrace.step.entered.v1"


class StepCompleted(RolloutFact):
    """A step is done: the traffic has moved, the pause is over, the verdict is there."""

    EVENT_TYPE: ClassVar[str] = "headrace.step.completed.v1"


class AnalysisTerminated(RolloutFact):
    """The controller ended an AnalysisRun before its time.

    Attributes:
        run: Name of the AnalysisRun.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.analysis.terminated.v1"

    run: str = ""


class CommandAnswer(RolloutFact):
    """What became of a command.

    Attributes:
        command: Id of the command.
    """

    command: str


class CommandAccepted(CommandAnswer):
    """A command was applied to the object."""

    EVENT_TYPE: ClassVar[str] = "headrace.command.accepted.v1"


class CommandRejected(CommandAnswer):
    """A command was not applied: a precondition, its expiry or its id stood against it."""

    EVENT_TYPE: ClassVar[str] = "headrace.command.rejected.v1"


class HistoryTruncated(RolloutFact):
    """Transitions left the history before the broker had them.

    `ordinal` is that of the last one lost.

    Attributes:
        first_lost: Ordinal of the first one lost, <= ordinal.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.history.truncated.v1"

    first_lost: int


class RouteRequested(Payload):
    """The controller asks for a route; durable in `status.headrace.route`.

    Attributes:
        route: The same document as in the status.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.route.requested.v1"

    route: RouteDocument

    def id_ordinal(self) -> str:
        """Return the number of the renewal."""
        return str(self.route.renewal)


Check = Literal["targetGroups", "stableService"]
"""What is verified apart from a route (bluegreen 6; canary 4.7)."""


class RouteVerifyRequested(Payload):
    """The controller asks for a check that is no route.

    Attributes:
        check: What to verify.
        routers: Routers to ask, as in a route document.
        services: Services that the check is about.
        renewal: How often it was asked again, >= 0.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.route.verify.requested.v1"

    check: Check
    routers: tuple[RouterConfig, ...] = ()
    services: Services = Services()
    renewal: int = 0

    def id_ordinal(self) -> str:
        """Return the check and the number of the renewal."""
        return f"{self.check}/{self.renewal}"


RunType = Literal["Step", "Background", "PrePromotion", "PostPromotion"]
"""Values of the label `rollout-type` of an AnalysisRun."""


class AnalysisRequested(Payload):
    """The controller created an AnalysisRun, which is the durable request.

    Attributes:
        run: Name of the AnalysisRun.
        run_uid: Its metadata.uid.
        run_type: Its label `rollout-type`; None for a run of an Experiment.
        step: Index of the step that it belongs to, from 0.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.analysis.requested.v1"

    run: str
    run_uid: str
    run_type: RunType | None = None
    step: int | None = None

    def id_ordinal(self) -> str:
        """Return the uid of the run."""
        return self.run_uid
