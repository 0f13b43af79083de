"""The catalogue: event type, payload model, topic, producer and kind.

The one list of what Headrace says. Decoding, the generated schemas, the AsyncAPI document and
`docs/events.md` follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from headrace.events import analysis, commands, plugins, rollout, traffic
from headrace.events.payload import Payload

TopicKind = Literal["steps", "traffic", "verdicts", "commands", "answers"]


class Kind(StrEnum):
    """What an event is for."""

    REQUEST = "request"
    """Asks another service; repeated by its owner until answered, coalesced per key."""
    FACT = "fact"
    """Says what happened; never dropped silently."""
    COMMAND = "command"
    """A person's wish, with preconditions and an expiry."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One entry of the catalogue.

    Attributes:
        name: `headrace.<aggregate>.<past participle>.v<n>`.
        model: The payload.
        topic: Where it travels.
        owner: The service that says it.
        kind: Request, fact or command.
    """

    name: str
    model: type[Payload]
    topic: TopicKind
    owner: str
    kind: Kind

    @property
    def is_request(self) -> bool:
        """Whether the bus may replace a waiting one of the same key by a newer one."""
        return self.kind is Kind.REQUEST

    @property
    def summary(self) -> str:
        """One sentence for documents."""
        return (self.model.__doc__ or "").strip().splitlines()[0]


def _types(
    topic: TopicKind, owner: str, kind: Kind, *models: type[Payload]
) -> tuple[EventType, ...]:
    return tuple(EventType(model.EVENT_TYPE, model, topic, owner, kind) for model in models)


_ENTRIES: Final = (
    *_types(
        "steps",
        "rollout-controller",
        Kind.FACT,
        rollout.RolloutUpdated,
        rollout.RolloutPaused,
        rollout.RolloutResumed,
        rollout.RolloutAborted,
        rollout.RolloutRetried,
        rollout.RolloutPromoted,
        rollout.RolloutCompleted,
        rollout.RolloutRejected,
        rollout.RolloutDeleted,
        rollout.RolloutStuck,
        rollout.StepEntered,
        rollout.StepCompleted,
        rollout.AnalysisTerminated,
        rollout.CommandAccepted,
        rollout.CommandRejected,
        rollout.HistoryTruncated,
    ),
    *_types(
        "steps",
        "rollout-controller",
        Kind.REQUEST,
        rollout.RouteRequested,
        rollout.RouteVerifyRequested,
        rollout.AnalysisRequested,
        plugins.PluginRequested,
    ),
    *_types(
        "traffic",
        "traffic-router",
        Kind.FACT,
        traffic.RouteApplied,
        traffic.RouteRefused,
        traffic.RouteVerified,
        traffic.RouteDrifted,
    ),
    *_types(
        "verdicts",
        "analysis-runner",
        Kind.FACT,
        analysis.AnalysisMeasured,
        analysis.AnalysisJudged,
    ),
    *_types("commands", "anyone", Kind.COMMAND, commands.RolloutCommanded),
    *_types("answers", "workers", Kind.FACT, plugins.PluginAnswered),
)

CATALOG: Final[Mapping[str, EventType]] = MappingProxyType(
    {entry.name: entry for entry in _ENTRIES}
)
"""Every event type by its name on the wire."""
