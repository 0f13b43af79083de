"""The two Services of blue-green: preview follows the new version, active moves once.

Source: bluegreen 1 (stages 3 and 8), 2, 5; architecture, "Never-false-safe".
"""

from __future__ import annotations

from rollout_controller.core.draft import Draft
from rollout_controller.core.routers import may_get_traffic
from rollout_controller.core.scaling import is_halted
from rollout_controller.core.services import selected_hash, switch


def reconcile_preview(draft: Draft) -> None:
    """Point the preview Service at the new version, whether its pods are there or not.

    Only where it was the Service of a canary, and a route may still bring it traffic, somebody
    must answer there.
    """
    new, name = draft.new, draft.blue_green.preview_service
    if new is None or is_halted(draft):
        return
    if new.available or not may_get_traffic(draft.observed.headrace, name):
        _point(draft, name, new.pod_hash)


def point_active(draft: Draft, pod_hash: str) -> None:
    """Point the active Service at the pods with a hash, if that leaves somebody to answer.

    All traffic moves at once: it never moves to a ReplicaSet without an available pod.
    """
    if pod_hash == active_hash(draft) or can_answer(draft, pod_hash):
        _point(draft, draft.blue_green.active_service, pod_hash)


def active_hash(draft: Draft) -> str:
    """Return the hash that the active Service selects as this pass leaves it."""
    return selected_hash(draft, draft.blue_green.active_service)


def has_begun(draft: Draft) -> bool:
    """Return whether a version serves that is to be protected from the new one.

    Not before a first promotion; nor when the new version is stable already. An active Service
    that selects every version while one serves has lost its hash: somebody has made it anew.
    """
    return draft.stable is not None and draft.stable is not draft.new


def needs_no_judgement(draft: Draft, active: str) -> bool:
    """Return whether nobody is to be protected from the new version.

    Args:
        draft: The pass.
        active: The hash that the active Service selects, or is known to; "" for every version.
    """
    return active == draft.new_hash or (not active and not has_begun(draft))


def preview_hash(draft: Draft) -> str:
    """Return the hash that the preview Service selects as this pass leaves it."""
    return selected_hash(draft, draft.blue_green.preview_service)


def can_answer(draft: Draft, pod_hash: str) -> bool:
    """Return whether traffic may move to the pods with a hash: one is there, or none is wanted."""
    if draft.observed.replicas == 0:
        return True
    return any(rs.pod_hash == pod_hash and rs.available > 0 for rs in draft.observed.replica_sets)


def _point(draft: Draft, name: str, pod_hash: str) -> None:
    service = draft.observed.references.services.get(name)
    if service is None or not pod_hash:
        return
    if service.pod_hash != pod_hash or not service.managed_by:
        switch(draft, service, pod_hash)
