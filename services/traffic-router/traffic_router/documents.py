"""Requests as they stand in the Rollouts, decoded once per change.

A Rollout changes many times between two routes; decoding the document each time would be most
of what the router does.
"""

from __future__ import annotations

from typing import Any

import structlog
from pydantic import ValidationError

from headrace.kubernetes.resources import Manifest
from headrace.model.route import RouteDocument

log = structlog.get_logger(__name__)


class DocumentCache:
    """The decoded `status.headrace.route` of each Rollout, by uid."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[dict[str, Any], RouteDocument | None]] = {}

    def read(self, rollout: Manifest) -> RouteDocument | None:
        """Return the request in a Rollout; None when there is none that can be read."""
        uid = rollout["metadata"]["uid"]
        raw = raw_route(rollout)
        if raw is None:
            self._known.pop(uid, None)
            return None
        known = self._known.get(uid)
        if known is None or (known[0] is not raw and known[0] != raw):
            known = (raw, _decode(rollout, raw))
            self._known[uid] = known
        return known[1]

    def forget(self, uid: str) -> None:
        """Forget a Rollout that is gone."""
        self._known.pop(uid, None)


def raw_route(rollout: Manifest) -> dict[str, Any] | None:
    """Return `status.headrace.route` as it is stored."""
    headrace = (rollout.get("status") or {}).get("headrace") or {}
    route: dict[str, Any] | None = headrace.get("route")
    return route


def raw_acknowledged(rollout: Manifest) -> dict[str, Any]:
    """Return `status.headrace.acknowledged` as it is stored, empty where there is none."""
    headrace = (rollout.get("status") or {}).get("headrace") or {}
    found = headrace.get("acknowledged")
    return found if isinstance(found, dict) else {}


def _decode(rollout: Manifest, raw: dict[str, Any]) -> RouteDocument | None:
    metadata = rollout["metadata"]
    try:
        document = RouteDocument.load(raw)
    except ValidationError as error:
        log.warning(
            "route document cannot be read",
            rollout=f"{metadata['namespace']}/{metadata['name']}",
            errors=error.error_count(),
        )
        return None
    # A Rollout that was created from a dump of another one brings that one's request along.
    return document if document.uid == metadata["uid"] else None
