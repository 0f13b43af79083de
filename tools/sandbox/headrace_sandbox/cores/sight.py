"""What one process has seen of the stored objects: true once, and perhaps no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.kubernetes.resources import Manifest, Resource
from headrace.runtime.cluster_memory.objects import Change, Objects, TableKey, table_key


class Sight:
    """The newest version seen of each object of some kinds; shared, so not to be changed."""

    def __init__(self, kinds: Iterable[Resource]) -> None:
        self._kinds = tuple(kinds)
        self._seen: dict[TableKey, dict[tuple[str, str], Manifest]] = {
            table_key(kind): {} for kind in self._kinds
        }

    def fill(self, objects: Objects) -> None:
        """See everything as it is now."""
        for kind in self._kinds:
            self._seen[table_key(kind)] = {
                (record.namespace, record.name): record.manifest for record in objects.all(kind)
            }

    def see(self, change: Change) -> bool:
        """See one change; return whether it is news: a later version may have been seen."""
        record = change.record
        seen = self._seen[table_key(record.resource)]
        key = (record.namespace, record.name)
        known = seen.get(key)
        if known is not None and int(known["metadata"]["resourceVersion"]) >= change.version:
            return False
        if change.new is not None:
            seen[key] = change.new.manifest
        elif known is not None and known["metadata"]["uid"] == record.uid:
            del seen[key]
        return True

    def offer(self, resource: Resource, manifest: Manifest) -> None:
        """Take the answer to a request of one's own, if it is newer."""
        metadata = manifest["metadata"]
        seen = self._seen[table_key(resource)]
        key = (metadata.get("namespace", ""), metadata["name"])
        known = seen.get(key)
        version = int(metadata["resourceVersion"])
        if known is None or int(known["metadata"]["resourceVersion"]) < version:
            seen[key] = manifest

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as it was seen last, None where none was."""
        return self._seen.get(table_key(resource), {}).get((namespace, name))

    def all(self, resource: Resource) -> list[Manifest]:
        """Return all objects of a kind, in the order in which they were seen first."""
        return [*self._seen[table_key(resource)].values()]

    def everything(self) -> Iterator[tuple[TableKey, Manifest]]:
        """Return all objects with their kinds."""
        for kind, seen in self._seen.items():
            for manifest in [*seen.values()]:
                yield kind, manifest

    def owned(self, resource: Resource, uid: str) -> Iterator[Manifest]:
        """Return the objects of a kind that `uid` controls."""
        for manifest in self.all(resource):
            for owner in manifest["metadata"].get("ownerReferences") or ():
                if owner["uid"] == uid and owner.get("controller"):
                    yield manifest
