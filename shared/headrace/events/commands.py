"""Commands of people over the bus, and when they are refused.

A command becomes the patch that the command line would write, with a resourceVersion; the object
stays the truth. Since a message may come late or twice, each command says what it relies on: so a
redelivered promote cannot skip two steps (architecture: Commands).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from headrace.events.payload import Payload
from headrace.model.base import Model
from headrace.model.meta import Time
from headrace.model.quantities import Instant

COMMAND_SECONDS: Final = 300.0
"""How long a command stays valid when its sender says nothing else."""


class Action(StrEnum):
    """What a command can ask for; the writes are those of cli-and-clients 2."""

    PROMOTE = "promote"
    PROMOTE_FULL = "promoteFull"
    SKIP = "skip"
    SKIP_ALL = "skipAll"
    ABORT = "abort"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    SET_IMAGE = "setImage"
    UNDO = "undo"


_SAFE_AT_ANY_STEP: Final = frozenset({Action.ABORT, Action.PAUSE})
"""They only hold or lower; whatever step they meet, they do no harm."""

_ACTIONS: Final = frozenset(Action)


class CommandArguments(Model):
    """What an action needs beside its name.

    Attributes:
        container: `setImage`: name of the container, `*` for all.
        image: `setImage`: the new image.
        to_revision: `undo`: revision to return to; None for the one before.
        restart_at: `restart`: when; None for now.
    """

    container: str | None = None
    image: str | None = None
    to_revision: int | None = None
    restart_at: Time | None = None


class Preconditions(Model):
    """What the sender saw and relies on.

    Attributes:
        uid: metadata.uid of the Rollout.
        current_pod_hash: status.currentPodHash.
        epoch: status.headrace.epoch; needed by all actions but abort and pause.
        step_index: status.currentStepIndex; needed likewise, None where the Rollout has none.
    """

    uid: str
    current_pod_hash: str
    epoch: int | None = None
    step_index: int | None = None


class RolloutCommanded(Payload):
    """A person, the dashboard or the fleet-controller wants something of a Rollout.

    Attributes:
        command: Id of the command, chosen by the sender; a repetition carries the same.
        action: One of `Action`. Text, so that an action of a later version is refused with an
            answer and is no undecodable message.
        arguments: Of the action.
        preconditions: What must still hold.
        expires_at: After that it is answered, not applied.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.rollout.commanded.v1"

    command: str
    action: str
    arguments: CommandArguments = CommandArguments()
    preconditions: Preconditions
    expires_at: Time

    def id_ordinal(self) -> str:
        """Return the id of the command."""
        return self.command


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """The Rollout that a command meets, as observed.

    Attributes:
        uid: metadata.uid.
        current_pod_hash: status.currentPodHash.
        epoch: status.headrace.epoch.
        step_index: status.currentStepIndex.
        known_commands: Ids applied already: status.headrace.commands.
    """

    uid: str
    current_pod_hash: str
    epoch: int
    step_index: int | None
    known_commands: frozenset[str]


def refusal(command: RolloutCommanded, target: CommandTarget, *, now: Instant) -> str | None:
    """Return why a command must not be applied, None when it may be.

    Args:
        command: As received.
        target: The Rollout now.
        now: In API server time; the command's expiry is the sender's, so both clocks are
            expected to be close.
    """
    if command.command in target.known_commands:
        return f"command {command.command} was applied before"
    if command.action not in _ACTIONS:
        return f"unknown action {command.action}"
    if now >= command.expires_at:
        return "the command has expired"
    return _mismatch(Action(command.action), command.preconditions, target)


def _mismatch(action: Action, wanted: Preconditions, target: CommandTarget) -> str | None:
    if wanted.uid != target.uid:
        return f"the Rollout was re-created: uid is {target.uid}, not {wanted.uid}"
    if wanted.current_pod_hash != target.current_pod_hash:
        return f"the version is {target.current_pod_hash}, not {wanted.current_pod_hash}"
    if action in _SAFE_AT_ANY_STEP:
        return None
    if wanted.epoch != target.epoch:
        return f"the epoch is {target.epoch}, not {wanted.epoch}"
    if wanted.step_index != target.step_index:
        return f"the step index is {target.step_index}, not {wanted.step_index}"
    return None
