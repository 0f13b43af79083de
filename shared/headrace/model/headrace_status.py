"""`status.headrace`: what the rollout-controller remembers in the Rollout itself.

One writer: the rollout-controller (the intent patch writes `epoch`, `route`, `shares`,
`attempt`; the claim patch the rest). An Argo client never reads it.

Source: architecture, "Order of effects", "Share", "Outbox", "Commands".
"""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError

from headrace.model.base import Model
from headrace.model.route import Level, RouteDocument


class Acknowledged(Model):
    """The newest route epoch that the router confirmed.

    Attributes:
        canary: Weight of the canary-role Service, 0 to base.
        at: RFC 3339, when the controller learned it.
        verified: As the router said; None where it cannot tell.
    """

    epoch: int
    level: Level = "written"
    canary: int = 0
    at: str | None = None
    verified: bool | None = None


class Waiting(Model):
    """Why nothing moves: changed only when the reason changes (architecture, section 4).

    Attributes:
        reason: One of the waiting reasons of the registry.
        since: RFC 3339.
        on: What is waited for, as `route epoch 7`.
        deadline: RFC 3339; None when there is none.
        unblock: What will end the wait, in words.
        expected: RFC 3339, by when it should have ended; None where it may take any time.
        stuck: RFC 3339, when it was found to take longer; told once as `rollout.stuck`.
    """

    reason: str
    since: str
    on: str | None = None
    deadline: str | None = None
    unblock: str | None = None
    expected: str | None = None
    stuck: str | None = None


class Transition(Model):
    """One fact of the Rollout's life, as published on the bus.

    Attributes:
        ordinal: Grows by one per fact of this Rollout; makes the event's id.
        at: RFC 3339.
        type: Event type, as `headrace.step.completed.v1`.
        epoch: Route epoch at that time.
        reason: A Reason constant.
        message: As the Kubernetes Event says it.
        causation: Event id or `k8s:<uid>/<resourceVersion>`.
        actor: Who caused it, where known.
        step: Index of the step that the fact is about, from 0.
        command: Id of the command that it answers.
        run: Name of the AnalysisRun that it is about.
    """

    ordinal: int
    at: str
    type: str
    epoch: int = 0
    reason: str = ""
    message: str = ""
    causation: str = ""
    actor: str | None = None
    generation: int = 0
    revision: str = ""
    pod_hash: str = ""
    step: int | None = None
    command: str | None = None
    run: str | None = None


class HeadraceStatus(Model):
    """The whole of `status.headrace`.

    Attributes:
        epoch: Newest epoch requested; 0 before the first route.
        abort_message: Why the engine aborted; None after a user's abort.
        attempt: Grows when an abort or an inconclusive pause is taken back, the steps of an
            update are edited, or a step that is judged is left.
        plugin_attempt: Grows when the entries of step plugins are cleared.
        route: The newest request.
        acknowledged: The newest acknowledged epoch.
        shares: Hash -> highest weight since the last acknowledgement of the newest epoch.
        history: Last 10 transitions, oldest first.
        published: Highest ordinal below which the broker has acknowledged all.
        commands: Ids of the last 10 commands applied through the status.
    """

    epoch: int = 0
    attempt: int = 0
    plugin_attempt: int = 0
    abort_message: str | None = None
    route: RouteDocument | None = None
    acknowledged: Acknowledged | None = None
    shares: dict[str, int] | None = None
    waiting: Waiting | None = None
    history: tuple[Transition, ...] = ()
    published: int = 0
    commands: tuple[str, ...] = ()

    @classmethod
    def remembered(cls, raw: object) -> Self:
        """Return what a Rollout remembers; what cannot be read counts as lost, and is found again.

        The CRD leaves it open, so that anybody who may write a status may write anything.
        """
        try:
            return cls.model_validate(raw or {})
        except ValidationError:
            return cls()
