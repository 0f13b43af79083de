"""Events of the traffic-router: what became of a route, read back from the traffic objects.

Their outbox is the fence on the objects: at start and when the bus returns the router says
again what the fences show, under the same ids (architecture: Topics and events).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from headrace.events.payload import Payload
from headrace.events.rollout import Check
from headrace.model.route import Level, RouterAnswer, Weights

_NO_LEVEL = "none"


class RouteFact(Payload):
    """What the routers of one Rollout say.

    Attributes:
        level: The weakest level that all routers reached; None when one holds nothing.
        answers: One per router, in the order of the request.
        resource_versions: `<Kind>/<name>` of each traffic object to the resourceVersion read
            back, so that the fact can lie over an older cached object.
    """

    level: Level | None = None
    answers: tuple[RouterAnswer, ...] = ()
    resource_versions: dict[str, str] = Field(default_factory=dict)

    def id_ordinal(self) -> str:
        """Return the level."""
        return self.level or _NO_LEVEL


class RouteApplied(RouteFact):
    """All routers hold the route of this epoch, to this level.

    Attributes:
        requested: The split of the document.
        renewal: Of the request that was answered.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.route.applied.v1"

    requested: Weights
    renewal: int = 0


class RouteRefused(RouteFact):
    """The route was not applied: an older epoch, an expired raise, an abort, an error.

    Attributes:
        requested: The split of the document.
        renewal: Of the request that was answered.
        found_epoch: Highest epoch found in a fence, when the request was older.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.route.refused.v1"

    requested: Weights
    renewal: int = 0
    found_epoch: int | None = None


class RouteVerified(RouteFact):
    """The answer to `route.verify.requested`.

    Attributes:
        check: What was asked.
        verified: None when this router cannot tell.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.route.verified.v1"

    check: Check
    verified: bool | None = None

    def id_ordinal(self) -> str:
        """Return the check and the level."""
        return f"{self.check}/{super().id_ordinal()}"


class RouteDrifted(RouteFact):
    """A traffic object was found with another split than its fence says; it is repaired.

    `answers` holds the rendered and the observed split; `epoch` is the acknowledged one.

    Attributes:
        object: `<Kind>/<name>` of the traffic object.
        resource_version: In which it was seen so.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.route.drifted.v1"

    object: str
    resource_version: str

    def id_ordinal(self) -> str:
        """Return the resourceVersion in which the drift was seen."""
        return self.resource_version
