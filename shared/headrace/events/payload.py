"""The part that every payload has, and how a payload names itself.

An event type is a class: its name on the wire and the rule of its ordinal stand beside its
fields, so that a fact cannot be published under a wrong type or id.

Readers ignore unknown fields; writers only add optional ones (default None). A breaking change
is a new `.v2` type beside the old.
"""

from __future__ import annotations

from typing import ClassVar

from headrace.ids import EventId, event_id
from headrace.model.base import Model


class Payload(Model):
    """What each event says about its Rollout.

    For an AnalysisRun or Experiment without Rollout, `rollout` and `uid` are those of the object
    itself (or `rollout` the name in its annotation `headrace.io/key`).

    Attributes:
        namespace: Of the Rollout.
        rollout: Its name.
        uid: Its metadata.uid.
        generation: metadata.generation that the fact was decided from; 0 when not known.
        revision: Annotation `rollout.argoproj.io/revision`.
        pod_hash: Pod template hash of the new version.
        epoch: Route epoch, >= 0; 0 for measurements, verdicts and before the first route.
        reason: A Reason constant.
        message: For people, as the Kubernetes Event says it where there is one.
    """

    EVENT_TYPE: ClassVar[str]

    namespace: str
    rollout: str
    uid: str
    generation: int = 0
    revision: str = ""
    pod_hash: str = ""
    epoch: int = 0
    reason: str = ""
    message: str = ""

    @property
    def key(self) -> str:
        """The key on the bus, `<namespace>/<rollout>`: one Rollout is one ordered stream."""
        return f"{self.namespace}/{self.rollout}"

    def id_ordinal(self) -> str:
        """Return what tells facts of one uid, epoch and type apart; never a counter in memory."""
        raise NotImplementedError

    def event_id(self) -> EventId:
        """Return the id of this fact, the same whoever says it and how often."""
        return event_id(self.uid, self.epoch, self.EVENT_TYPE, self.id_ordinal())
