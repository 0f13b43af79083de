"""Decoded parts of stored objects, each made once per version of the object. Pure.

A pass mostly meets the objects of the pass before, and a status that we wrote ourselves: the body
of a status patch starts from what was dumped for the patch before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.kubernetes.resources import Manifest
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core.observed import Observed, ReplicaSet
from rollout_controller.core.plan import Claim
from rollout_controller.patches import stored_status
from rollout_controller.views import replica_set_view


@dataclass(frozen=True, slots=True)
class DecodedStatus:
    """The status of one stored Rollout.

    Attributes:
        raw: As it is stored; the very object, by which it is known again.
        dumped: As the models dump it, mostly the same; None while nobody asked.
    """

    raw: Mapping[str, Any]
    status: RolloutStatus
    headrace: HeadraceStatus
    dumped: Mapping[str, Any] | None = None


class Decoded:
    """What was decoded last of each Rollout and its ReplicaSets, by the uid of the Rollout."""

    def __init__(self) -> None:
        self._statuses: dict[str, DecodedStatus] = {}
        self._sets: dict[str, tuple[ReplicaSet, ...]] = {}

    def forget(self, uid: str) -> None:
        """Drop what is kept about a Rollout that is gone."""
        self._statuses.pop(uid, None)
        self._sets.pop(uid, None)

    def status(self, uid: str, raw: Mapping[str, Any]) -> DecodedStatus:
        """Return the status of a Rollout."""
        known = self._statuses.get(uid)
        if known is not None and known.raw is raw:
            return known
        if known is not None and known.raw == raw:  # something else of the Rollout was written
            known = replace(known, raw=raw)
        else:
            known = DecodedStatus(raw, _status(raw), HeadraceStatus.remembered(raw.get("headrace")))
        self._statuses[uid] = known
        return known

    def dumped(self, observed: Observed) -> Mapping[str, Any]:
        """Return the status of a snapshot as it stands in the object; never change it."""
        known = self._statuses.get(observed.uid)
        is_known = (
            known is not None
            and known.status is observed.status
            and known.headrace is observed.headrace
        )
        if known is None or not is_known:
            return stored_status(observed.status, observed.headrace)
        if known.dumped is None:
            known = replace(known, dumped=stored_status(known.status, known.headrace))
            self._statuses[observed.uid] = known
        assert known.dumped is not None
        return known.dumped

    def claimed(self, uid: str, raw: Mapping[str, Any], claim: Claim) -> None:
        """Take note that a stored status is what this claim dumps to."""
        self._statuses[uid] = DecodedStatus(raw, claim.status, claim.headrace, raw)

    def replica_sets(self, uid: str, stored: Sequence[Manifest]) -> tuple[ReplicaSet, ...]:
        """Return the ReplicaSets of a Rollout; the same tuple while they are the same."""
        known = self._sets.get(uid, ())
        if len(known) == len(stored) and all(
            view.manifest is manifest for view, manifest in zip(known, stored, strict=True)
        ):
            return known
        by_uid = {view.uid: view for view in known}
        views = []
        for manifest in stored:
            view = by_uid.get(manifest["metadata"]["uid"])
            if view is None or view.manifest is not manifest:
                view = replica_set_view(manifest)
            views.append(view)
        self._sets[uid] = tuple(views)
        return self._sets[uid]


def _status(raw: Mapping[str, Any]) -> RolloutStatus:
    """Return the status; a step before the first, which a client may write, counts as the first."""
    status = RolloutStatus.load({k: v for k, v in raw.items() if k != "headrace"})
    if (status.current_step_index or 0) < 0:
        return status.model_copy(update={"current_step_index": 0})
    return status
