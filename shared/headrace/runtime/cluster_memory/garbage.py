"""The garbage collector of the memory cluster: objects go with the last of their owners.

Source: kube-controller-manager's garbage-collector controller.
"""

from __future__ import annotations

from headrace.model.quantities import Instant
from headrace.runtime.cluster_memory.controller import Controller
from headrace.runtime.cluster_memory.objects import (
    FOREGROUND,
    ORPHAN,
    Change,
    Record,
    owner_uids,
)


class GarbageCollector(Controller):
    """Deletes dependents of absent owners, and serves the deletion finalizers."""

    def _observe(self, change: Change) -> None:
        if change.new is None:
            for dependent in self._objects.dependents(change.record.uid):
                self._agenda.add(dependent.uid)
            for owner in owner_uids(change.record):  # one that waits for this dependent
                self._agenda.add(owner)
        elif change.new.is_terminating or owner_uids(change.new) != owner_uids(change.old):
            self._agenda.add(change.new.uid)

    def _sync(self, record: Record, now: Instant) -> None:
        finalizers = record.metadata.get("finalizers") or ()
        if record.is_terminating and ORPHAN in finalizers:
            for dependent in self._objects.dependents(record.uid):
                self._disown(dependent, {record.uid})
            self._release(record, ORPHAN)
        elif record.is_terminating and FOREGROUND in finalizers:
            self._delete_dependents(record)
        elif not record.is_terminating:
            self._check_owners(record)

    def _check_owners(self, record: Record) -> None:
        owners = owner_uids(record)
        absent = {uid for uid in owners if self._objects.by_uid(uid) is None}
        if owners and absent == owners:
            self._objects.delete(record)
        elif absent:
            self._disown(record, absent)

    def _delete_dependents(self, owner: Record) -> None:
        dependents = [*self._objects.dependents(owner.uid)]
        for dependent in dependents:
            self._objects.delete(dependent, propagation="Foreground")
        if not any(_blocks(dependent, owner) for dependent in self._objects.dependents(owner.uid)):
            self._release(owner, FOREGROUND)

    def _disown(self, record: Record, owners: set[str]) -> None:
        kept = [owner for owner in record.metadata["ownerReferences"] if owner["uid"] not in owners]
        metadata = {**record.metadata, "ownerReferences": kept}
        if not kept:
            del metadata["ownerReferences"]
        self._objects.update(record, {**record.manifest, "metadata": metadata})

    def _release(self, record: Record, finalizer: str) -> None:
        kept = [found for found in record.metadata["finalizers"] if found != finalizer]
        metadata = {**record.metadata, "finalizers": kept}
        if not kept:
            del metadata["finalizers"]
        self._objects.update(record, {**record.manifest, "metadata": metadata})


def _blocks(dependent: Record, owner: Record) -> bool:
    return any(
        found["uid"] == owner.uid and found.get("blockOwnerDeletion")
        for found in dependent.metadata.get("ownerReferences") or ()
    )
