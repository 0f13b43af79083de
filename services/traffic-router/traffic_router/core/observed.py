"""Everything that `decide` may know about one Rollout's route.

Filled by `gather`. `Memory` is the part that this process alone knows; losing it costs a repeated
answer, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.events.rollout import RouteVerifyRequested
from headrace.model.quantities import Instant
from headrace.model.route import Fence, RouteDocument, RouterConfig
from headrace.model.traffic import TrafficWeights
from headrace.routes import ObjectRef, Sighting, Targets


@dataclass(frozen=True, slots=True)
class RolloutView:
    """What the router reads of the Rollout itself.

    Attributes:
        revision: Annotation `rollout.argoproj.io/revision`.
        is_deleting: It has a deletionTimestamp: nothing is applied, created or repaired.
        is_aborted: `status.abort`: nothing is raised.
        acknowledged_epoch: `status.headrace.acknowledged.epoch`, 0 for none.
        acknowledged_canary: Canary weight of that epoch; None for none.
        weights: `status.canary.weights`.
    """

    namespace: str
    name: str
    uid: str
    generation: int = 0
    revision: str = ""
    is_deleting: bool = False
    is_aborted: bool = False
    acknowledged_epoch: int = 0
    acknowledged_canary: int | None = None
    weights: TrafficWeights | None = None


@dataclass(frozen=True, slots=True)
class RouterSight:
    """One configured router and the objects that it names, as last read."""

    router: RouterConfig
    targets: Targets
    sightings: tuple[Sighting, ...] = ()


@dataclass(frozen=True, slots=True)
class Orphan:
    """An object with the fence of a Rollout that a live read found gone.

    Attributes:
        is_name_foreign: Another controller's Rollout has the name now, and maybe wrote weights
            that no fence tells of.
    """

    sighting: Sighting
    fence: Fence
    is_name_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """The last answer that was published for a Rollout."""

    kind: Literal["applied", "refused"]
    uid: str
    epoch: int
    renewal: int
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that the API server refuses for ever.

    Attributes:
        epoch: Of the request.
        renewal: Of the request; the next renewal tries again.
        resource_version: Of the object that was to be written; "" when it was to be created.
        message: What the API server said.
    """

    epoch: int
    renewal: int
    resource_version: str
    message: str


@dataclass(frozen=True, slots=True)
class Repair:
    """The last repair of an object.

    Attributes:
        at: When, by own time.
        pause_seconds: How long the next one has to wait after it: longer each time, since
            whoever changes the object again and again would be answered for ever.
    """

    at: Instant
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process remembers of one Rollout.

    Attributes:
        is_asked: A message asked since the last answer, so the answer is due again.
        said: The last answer.
        failures: Refused writes by object.
        repairs: Last repairs by object.
        verify: A check that is no route and waits for its answer.
    """

    is_asked: bool = False
    said: Said | None = None
    failures: Mapping[ObjectRef, Failure] = field(default_factory=dict)
    repairs: Mapping[ObjectRef, Repair] = field(default_factory=dict)
    verify: RouteVerifyRequested | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """One snapshot.

    Attributes:
        key: `<namespace>/<name>` of the Rollout.
        rollout: None when it is gone.
        document: The newest request of both paths; None for none.
        routers: One per router of the document, in its order.
        withdrawn: The routers that the document withdraws.
        orphans: Objects that a Rollout of this name left behind.
        unserved: Kinds that the API server does not serve, as `<plural>.<group>`.
        server_offset_seconds: API server time minus own time; None when unknown.
        reverify_seconds: How long to wait before a level is looked at again, > 0.
        memory: What this process remembers.
    """

    key: str
    rollout: RolloutView | None = None
    document: RouteDocument | None = None
    routers: tuple[RouterSight, ...] = ()
    withdrawn: tuple[RouterSight, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    unserved: frozenset[str] = frozenset()
    server_offset_seconds: float | None = None
    reverify_seconds: float = 10.0
    memory: Memory = field(default_factory=Memory)
