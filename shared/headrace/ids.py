"""Derived identifiers: a fact has one id for ever, whoever computes it and how often.

Called by every service when it publishes. Nothing here draws a number: a doubled, late or
repeated effect must carry the id of the first.

Source: architecture, "Topics and events" (ids are uuid5 over uid, epoch, type, ordinal).
"""

from __future__ import annotations

import hashlib
from typing import NewType
from uuid import UUID, uuid5

EventId = NewType("EventId", str)

_NAMESPACE = UUID("7b6bb1e0-6c6c-5a0e-9c53-5f0f6c1c4a11")


def event_id(uid: str, epoch: int, event_type: str, ordinal: str | int) -> EventId:
    """Return the id of a fact.

    Args:
        uid: UID of the Rollout (or of the standalone run) that the fact is about.
        epoch: Route epoch it belongs to, >= 0.
        event_type: Full type, as `headrace.route.applied.v1`.
        ordinal: What tells facts of one type and epoch apart; never a counter in memory.
    """
    return EventId(str(uuid5(_NAMESPACE, f"{uid}/{epoch}/{event_type}/{ordinal}")))


def object_cause(uid: str, resource_version: str) -> str:
    """Return the causation id of an object change, `k8s:<uid>/<resourceVersion>`."""
    return f"k8s:{uid}/{resource_version}"


def fence_key(uid: str) -> str:
    """Return the name of the fence annotation of the Rollout with this uid.

    Keyed by uid, so that several Rollouts can share one traffic object and a re-created
    Rollout is not fenced by its predecessor (architecture: Fencing).
    """
    return f"headrace.io/route.{hashlib.sha256(uid.encode()).hexdigest()[:10]}"
