"""What the controller and the workers of step plugins say to each other.

The same documents travel as CloudEvents on Kafka and as bodies of HTTP requests and answers.
`docs/step-plugins.md` is the protocol for people who write workers.

Source: canary 9.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from headrace.events.payload import Payload
from headrace.model.base import Model
from headrace.model.meta import Time
from headrace.model.traffic import OpenObject


class PluginRequested(Payload):
    """The controller asks the worker of a step plugin to do something; `epoch` is always 0.

    Attributes:
        call: Id of this call, which is that of the event: the same for every repetition.
        cause: What the id is derived from.
        plugin: Name of the plugin.
        operation: What to do.
        step: Index of the step, from 0.
        execution: Which Run of this step, from 1; always 1 for the other operations.
        expires_at: The answer is not waited for any longer.
        config: steps[].plugin.config of the step.
        status: What the worker answered last, to be given with this call.
        object: The Rollout, without managedFields.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.plugin.requested.v1"

    call: str
    cause: str
    plugin: str
    operation: Literal["Run", "Terminate", "Abort"]
    step: int
    execution: int = 1
    expires_at: Time
    config: OpenObject | None = None
    status: OpenObject | None = None
    object: OpenObject

    def id_ordinal(self) -> str:
        """Return the cause: revision, step and attempt, plugin, begin, operation, execution."""
        return self.cause


class WorkerAnswer(Model):
    """What a worker says to a call: the whole body of an HTTP answer.

    Attributes:
        phase: Running, Successful or Failed; "" for no change (Running in the beginning).
        message: For people.
        requeue_after: Go duration, when to be asked again; only while Running, more than 10 s.
        status: What to be given with the next call; kept in the Rollout.
        error: The call could not be carried out; it is repeated later.
    """

    phase: str = ""
    message: str = ""
    requeue_after: str = ""
    status: OpenObject | None = None
    error: str = ""


class PluginAnswered(Payload):
    """The worker of a step plugin answers a call; `epoch` is always 0.

    Attributes:
        call: Id of the call.
        answer: What an HTTP worker would answer.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.plugin.answered.v1"

    call: str
    answer: WorkerAnswer = WorkerAnswer()

    def id_ordinal(self) -> str:
        """Return the id of the call."""
        return self.call
