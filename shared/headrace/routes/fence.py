"""The fence: the epoch that a traffic object carries, written together with its change.

It lives where it is enforced, on the traffic object, so that a late, restarted or second writer
still sees which route came last (architecture: Fencing). The key holds a hash of the Rollout's
uid and the value the uid itself; both are checked, so several Rollouts can share one object and a
re-created Rollout is not fenced by its predecessor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from headrace.ids import fence_key
from headrace.kubernetes.resources import Manifest
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.route import LEVELS, Fence, Level, RouteDocument
from headrace.routes.splits import Split

FENCE_PREFIX: Final = "headrace.io/route."
_EPOCH_MAX: Final = 2**53
"""No epoch comes near it: a greater one, plus one, would not be a number of the API any more."""
_FENCES_KEPT: Final = 1024
"""Texts that are kept with what they say: a fence is read many times between its changes."""


def read_fence(manifest: Manifest, uid: str) -> Fence | None:
    """Return the fence of the Rollout with this uid; None when there is none to be read.

    A text that is no fence counts as none: the next write replaces it under the object's
    resourceVersion.
    """
    return _parse(fence_key(uid), _annotations(manifest).get(fence_key(uid)))


def read_fences(manifest: Manifest) -> tuple[Fence, ...]:
    """Return every readable fence on the object, whosever it is."""
    annotations = _annotations(manifest)
    found = (_parse(key, annotations[key]) for key in annotations if key.startswith(FENCE_PREFIX))
    return tuple(fence for fence in found if fence is not None)


def stamp(manifest: Manifest, fence: Fence) -> Manifest:
    """Return the object with this fence in place of an older one of the same Rollout."""
    text = json.dumps(fence.dump(), separators=(",", ":"))
    return with_metadata(manifest, annotations={fence_key(fence.uid): text})


def unstamp(manifest: Manifest, uid: str) -> Manifest:
    """Return the object without the fence of this uid."""
    return with_metadata(manifest, annotations={fence_key(uid): None})


def with_metadata(
    manifest: Manifest,
    *,
    annotations: Mapping[str, str | None] | None = None,
    labels: Mapping[str, str | None] | None = None,
) -> Manifest:
    """Return the object with annotations and labels set, or removed where the value is None.

    The same object comes back when nothing changes, so that `is` tells whether to write.
    """
    metadata: dict[str, Any] = dict(manifest.get("metadata") or {})
    changed = False
    for field, updates in (("annotations", annotations or {}), ("labels", labels or {})):
        current: dict[str, str] = metadata.get(field) or {}
        merged = {**current, **updates}
        wanted = {key: value for key, value in merged.items() if value is not None}
        if wanted != current:
            metadata[field] = wanted
            changed = True
    return {**manifest, "metadata": metadata} if changed else manifest


def rank(level: Level | None) -> int:
    """Return the strength of a level, 0 for none."""
    return 0 if level is None else LEVELS.index(level) + 1


def is_confirmed(fence: Fence | None, document: RouteDocument, rendered: Split, acked: int) -> bool:
    """Return whether the fence confirms the document's epoch for this rendered split.

    It does when it carries the epoch itself. It also does when the epoch before was acknowledged
    and had the same split: then nothing between could have raised anything, and no write is
    needed. An older fence alone is not enough, since a writer that still holds an unacknowledged
    epoch in between would not be fenced.

    Args:
        fence: As read from the object.
        document: The request.
        rendered: What the router can express for it.
        acked: `status.headrace.acknowledged.epoch`, 0 for none.
    """
    if fence is None or fence.split != rendered:
        return False
    if fence.epoch == document.epoch:
        return True
    return fence.epoch < document.epoch and fence.epoch <= acked and acked >= document.epoch - 1


def is_expired(document: RouteDocument, server_now: Instant | None, acked: int) -> bool:
    """Return whether a raise to this document comes too late.

    An acknowledged epoch no longer expires, and a request without `valid_until` only lowers, as
    its author saw it. Without knowledge of the server's time no raise is accepted.

    Args:
        document: The request.
        server_now: Time of the API server, None when unknown.
        acked: `status.headrace.acknowledged.epoch`, 0 for none.
    """
    if acked >= document.epoch or document.valid_until is None:
        return False
    try:
        valid_until = parse_time(document.valid_until)
    except ValueError:
        return True
    return server_now is None or server_now > valid_until


def _annotations(manifest: Manifest) -> dict[str, str]:
    return (manifest.get("metadata") or {}).get("annotations") or {}


@lru_cache(maxsize=_FENCES_KEPT)
def _parse(key: str, text: str | None) -> Fence | None:
    if text is None:
        return None
    try:
        fence = Fence.model_validate_json(text)
    except ValidationError:
        return None
    return fence if fence_key(fence.uid) == key and _is_sound(fence) else None


def _is_sound(fence: Fence) -> bool:
    """Return whether it says what a fence can say, not what a hand has made of one."""
    namespace, _, name = fence.rollout.partition("/")
    return bool(namespace and name) and "/" not in name and 0 < fence.epoch <= _EPOCH_MAX
