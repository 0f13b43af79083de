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
    if pod_hash == active_hash(draft) or _can_answer(draft, pod_hash):
        _point(draft, draft.blue_green.active_service, pod_hash)


def active_hash(draft: Draft) -> str:
    """Return the hash that the active Service selects as this pass leaves it."""
    return selected_hash(draft, draft.blue_green.active_service)


def preview_hash(draft: Draft) -> str:
    """Return the hash that the preview Service selects as this pass leaves it."""
    return selected_hash(draft, draft.blue_green.preview_service)


def _can_answer(draft: Draft, pod_hash: str) -> bool:
    if draft.observed.replicas == 0:
        return True
    return any(rs.pod_hash == pod_hash and rs.available > 0 for rs in draft.observed.replica_sets)


def _point(draft: Draft, name: str, pod_hash: str) -> None:
    service = draft.observed.references.services.get(name)
    if service is None or not pod_hash:
        return
    if service.pod_hash != pod_hash or not service.managed_by:
        switch(draft, service, pod_hash)
