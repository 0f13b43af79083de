"""Store: a synchronous cache of one kind of object, fed by a Reflector.

Cores and shells read from it without awaiting. A write's own answer is offered to it
(read-your-writes), so a reconcile never decides on what it has itself replaced. Two things make
that safe: an object only ever moves forward in resourceVersion, and an answer that arrives after
the watch has passed its version cannot bring back what the watch has deleted.

Manifests are shared with every reader: they must not be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

from headrace.kubernetes.resources import Manifest
from headrace.runtime.cluster import Listing, WatchEvent

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
IndexFunction = Callable[[Manifest], Iterable[str]]
"""Returns the values under which an object is found in an index; must be pure."""

_BY_NAMESPACE: Final = "namespace"

_Key = tuple[str, str]


class Listener(Protocol):
    """Called synchronously after each change of a store; must not change the store."""

    def __call__(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        """Hear of one change: `old` is None when added, `new` is None when deleted."""
        ...


class Store:
    """Objects of one kind by namespace and name, with indexes."""

    def __init__(self, indexes: Mapping[str, IndexFunction] | None = None) -> None:
        self._objects: dict[_Key, Manifest] = {}
        self._index_functions = {_BY_NAMESPACE: _namespaces, **(indexes or {})}
        self._indexes: dict[str, dict[str, dict[_Key, Manifest]]] = {
            name: {} for name in self._index_functions
        }
        self._removed: dict[_Key, str] = {}  # key to uid: our own deletes, not yet watched
        self._listeners: list[Listener] = []
        self._resource_version = ""

    @property
    def resource_version(self) -> str:
        """How far the watch has come: where it goes on; empty before the first list."""
        return self._resource_version

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, namespace: str | None, name: str) -> Manifest | None:
        """Return an object, None if it is unknown."""
        return self._objects.get((namespace or "", name))

    def list(self, namespace: str | None = None) -> Sequence[Manifest]:
        """Return the objects of a namespace, or all; in no particular order."""
        if namespace is None:
            return [*self._objects.values()]
        return self.by_index(_BY_NAMESPACE, namespace)

    def by_index(self, index: str, value: str) -> Sequence[Manifest]:
        """Return the objects that an index function gave `value` for."""
        return [*self._indexes[index].get(value, {}).values()]

    def has(self, index: str, value: str) -> bool:
        """Return whether an index function gave `value` for any object."""
        return value in self._indexes[index]

    def listen(self, listener: Listener) -> None:
        """Call `listener` after every later change, in the order of the calls to `listen`."""
        self._listeners.append(listener)

    # What this process did itself.

    def offer(self, manifest: Manifest) -> bool:
        """Take the answer of a read or write of our own if it is newer; return whether it was.

        An object unknown here, of a version that the watch has passed, was deleted meanwhile (or
        left the selection) and stays away.
        """
        key = _key(manifest)
        stored = self._objects.get(key)
        if stored is not None:
            is_newer = _is_newer(_version(manifest), _version(stored))
        else:
            is_newer = _is_newer(_version(manifest), self._resource_version)
        return is_newer and not self._is_removed(key, manifest) and self._put(key, manifest)

    def remove(self, namespace: str | None, name: str, uid: str) -> None:
        """Forget an object that this process has deleted, before the watch says so.

        It comes back only with a deletionTimestamp: held by a finalizer or a grace period.
        """
        key = (namespace or "", name)
        stored = self._objects.get(key)
        if stored is not None and _uid(stored) == uid:
            self._removed[key] = uid
            self._drop(key)

    # What the Reflector brings.

    def replace(self, listing: Listing) -> None:
        """Take a complete list: what is not in it is gone, unless it is newer than the list.

        A list older than what the watch has brought comes from a restored backup; then it
        replaces everything.
        """
        is_rewound = _is_newer(self._resource_version, listing.resource_version)
        self._resource_version = listing.resource_version
        listed = {_key(manifest): manifest for manifest in listing.items}
        self._removed = {key: uid for key, uid in self._removed.items() if key in listed}
        for key, stored in [*self._objects.items()]:
            is_ours = _is_newer(_version(stored), listing.resource_version)
            if key not in listed and (is_rewound or not is_ours):
                self._drop(key)
        for key, manifest in listed.items():
            known = self._objects.get(key)
            is_news = known is None or _is_newer(_version(manifest), _version(known))
            if (is_news or is_rewound) and not self._is_removed(key, manifest):
                self._put(key, manifest)

    def apply(self, event: WatchEvent) -> None:
        """Take one event of the watch."""
        manifest = event.manifest
        version = _version(manifest)
        self._resource_version = version
        if event.type == "BOOKMARK":
            return
        key = _key(manifest)
        stored = self._objects.get(key)
        if event.type == "DELETED":
            self._removed.pop(key, None)
            # Ours may be newer by version (an answer of our own) and gone all the same.
            if stored is not None and (
                _uid(stored) == _uid(manifest) or not _is_newer(_version(stored), version)
            ):
                self._drop(key)
        elif (stored is None or _is_newer(version, _version(stored))) and not self._is_removed(
            key, manifest
        ):
            self._put(key, manifest)

    def _is_removed(self, key: _Key, manifest: Manifest) -> bool:
        is_removed = self._removed.get(key) == _uid(manifest)
        return is_removed and not manifest["metadata"].get("deletionTimestamp")

    def _put(self, key: _Key, manifest: Manifest) -> bool:
        old = self._objects.get(key)
        if old is not None and _uid(old) != _uid(manifest):
            self._drop(key)  # deleted and created again: two objects, two changes
            old = None
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = manifest
        for name, values_of in self._index_functions.items():
            for value in values_of(manifest):
                self._indexes[name].setdefault(value, {})[key] = manifest
        self._tell("MODIFIED" if old is not None else "ADDED", old, manifest)
        return True

    def _drop(self, key: _Key) -> None:
        old = self._objects.pop(key)
        self._unindex(key, old)
        self._tell("DELETED", old, None)

    def _unindex(self, key: _Key, manifest: Manifest) -> None:
        for name, values_of in self._index_functions.items():
            index = self._indexes[name]
            for value in values_of(manifest):
                found = index.get(value, {})
                found.pop(key, None)
                if not found:
                    index.pop(value, None)

    def _tell(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        for listener in self._listeners:
            listener(change, old, new)


def controller_uid(manifest: Manifest) -> Iterable[str]:
    """Index function: the uid of the owner that controls an object."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            yield owner["uid"]


def _namespaces(manifest: Manifest) -> Iterable[str]:
    yield manifest["metadata"].get("namespace", "")


def _key(manifest: Manifest) -> _Key:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _uid(manifest: Manifest) -> str:
    uid: str = manifest["metadata"]["uid"]
    return uid


def _version(manifest: Manifest) -> str:
    version: str = manifest["metadata"]["resourceVersion"]
    return version


def _is_newer(version: str, than: str) -> bool:
    """Compare resourceVersions as numbers (Kubernetes promises that for its own and CRDs)."""
    return not than or (bool(version) and int(version) > int(than))
