"""What `decide` answers: writes, facts to publish, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.events.payload import Payload
from headrace.events.traffic import RouteDrifted
from headrace.kubernetes.resources import Manifest
from headrace.model.quantities import Instant
from headrace.routes import Change, ObjectRef
from traffic_router.core.observed import Said


class Reason(StrEnum):
    """Why a plan is as it is; the same word in facts, logs and metrics."""

    NO_ROUTE = "NoRoute"
    ROLLOUT_GONE = "RolloutGone"
    ROLLOUT_DELETING = "RolloutDeleting"
    ROUTE_APPLYING = "RouteApplying"
    ROUTE_APPLIED = "RouteApplied"
    OLDER_EPOCH = "OlderEpoch"
    RAISE_EXPIRED = "RaiseExpired"
    ROLLOUT_IS_ABORTED = "RolloutIsAborted"
    FOREIGN_WEIGHTS = "ForeignWeights"
    DRIFTS_AGAIN = "DriftsAgain"
    ROUTER_ERROR = "RouterError"
    ROUTE_VERIFIED = "RouteVerified"
    ROUTE_DRIFTED = "RouteDrifted"


class Purpose(StrEnum):
    """What a write is for; a label of the metrics."""

    APPLY = "apply"
    REPAIR = "repair"
    LEVEL = "level"
    WITHDRAW = "withdraw"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional write of one traffic object.

    Attributes:
        ref: The object.
        purpose: What it is for.
        change: What is sent.
        previous: The object as it was read; None when it is created.
        desired: The object as it shall be, fence included.
        not_after: API server time after which it must not be sent; None for no bound.
        drift: The fact to publish once the object is repaired.
    """

    ref: ObjectRef
    purpose: Purpose
    change: Change
    previous: Manifest | None
    desired: Manifest
    not_after: Instant | None = None
    drift: RouteDrifted | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision of one pass.

    Attributes:
        writes: In this order; the next pass answers when there are none left.
        facts: To publish now.
        said: What the answer among `facts` says, to be remembered; None when there is none.
        wake_at: When to look again without an event.
        reason: Why.
        message: For people.
    """

    reason: Reason
    message: str = ""
    writes: tuple[Write, ...] = ()
    facts: tuple[Payload, ...] = ()
    said: Said | None = None
    wake_at: Instant | None = None

    @property
    def is_quiet(self) -> bool:
        """True when there is nothing to write and nothing to say."""
        return not self.writes and not self.facts
