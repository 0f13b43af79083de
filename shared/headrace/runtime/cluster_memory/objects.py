"""The memory cluster's storage: what etcd and the registry of an API server do.

Every object is kept decoded, for the cluster's own controllers, and encoded, for readers: a
reader gets a fresh decoding and can never change what is stored. All rules of writing live here:
resourceVersion, generation, the status subresource, preconditions, finalizers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import orjson

from headrace.errors import AlreadyExists, Conflict, NotFound, PreconditionFailed, Rejected
from headrace.kubernetes.patches import apply_json_patch, json_equal, merge_patch
from headrace.kubernetes.resources import POD_TEMPLATES, PODS, REPLICA_SETS, Manifest, Resource
from headrace.model.meta import format_time
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import JsonPatch, MergePatch

Propagation = Literal["Background", "Foreground", "Orphan"]

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"

_UIDS: Final = UUID("2b1c1a4e-93f8-5d0e-8c38-7a3c1d9a6f10")
_NAME_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_NAME_SUFFIX_LENGTH: Final = 5
_NAME_ATTEMPTS: Final = 5
_GRACE_SECONDS: Final = 30

# The API server sets these; what a client writes there is ignored.
_SERVER_FIELDS: Final = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
)


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one stored object.

    Attributes:
        resource: Its kind, at the version it was last written with.
        manifest: For the cluster's own parts, which must not change it.
        encoded: The same as JSON, for readers.
        version: resourceVersion.
    """

    resource: Resource
    manifest: Manifest
    encoded: bytes
    version: int

    @property
    def metadata(self) -> dict[str, Any]:
        """The object's metadata; not to be changed."""
        metadata: dict[str, Any] = self.manifest["metadata"]
        return metadata

    @property
    def namespace(self) -> str:
        """Namespace; empty for cluster-scoped kinds."""
        return str(self.metadata.get("namespace", ""))

    @property
    def name(self) -> str:
        """Name within the namespace."""
        return str(self.metadata["name"])

    @property
    def uid(self) -> str:
        """Identity over the object's life."""
        return str(self.metadata["uid"])

    @property
    def is_terminating(self) -> bool:
        """Deleted, but held by a finalizer or a grace period."""
        return "deletionTimestamp" in self.metadata

    def copy(self, resource: Resource | None = None) -> Manifest:
        """Return the object for a reader, at the API version it asked for."""
        manifest: Manifest = orjson.loads(self.encoded)
        if resource is not None:
            manifest["apiVersion"] = resource.api_version
        return manifest


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write: `old` is None on creation, `new` on deletion."""

    old: Record | None
    new: Record | None
    version: int

    @property
    def record(self) -> Record:
        """The object after the change; on deletion, as it was last."""
        record = self.new or self.old
        assert record is not None
        return record


TableKey = tuple[str, str]
"""Group and plural: all versions of a kind share one table."""

ObjectKey = tuple[str, str]
"""Namespace and name."""


def table_key(resource: Resource) -> TableKey:
    """Return the table in which a kind is kept."""
    return resource.group, resource.plural


_FIRST_STATUS: Final[Mapping[TableKey, Mapping[str, Any]]] = {
    table_key(PODS): {"phase": "Pending"},
    table_key(REPLICA_SETS): {"replicas": 0},
}
"""What the API server itself writes there on creation."""


class Objects:
    """All objects of a cluster, and the rules of writing them.

    Args:
        clock: For timestamps.
        name: Told apart clusters have different uids for equal objects.
    """

    def __init__(self, clock: Clock, name: str) -> None:
        self._clock = clock
        self._uids = uuid5(_UIDS, name)
        self._tables: dict[TableKey, dict[ObjectKey, Record]] = {}
        self._by_uid: dict[str, Record] = {}
        self._dependents: dict[str, dict[str, None]] = {}  # owner's uid to uids
        self._observers: list[Callable[[Change], None]] = []
        self.version = 1

    def observe(self, observer: Callable[[Change], None]) -> None:
        """Call `observer` after every commit, synchronously."""
        self._observers.append(observer)

    # Reading.

    def all(self, resource: Resource) -> list[Record]:
        """Return all objects of a kind, oldest first."""
        return [*self._tables.get(table_key(resource), {}).values()]

    def find(self, resource: Resource, namespace: str | None, name: str) -> Record | None:
        """Return one object, None if absent."""
        return self._tables.get(table_key(resource), {}).get((namespace or "", name))

    def get(self, resource: Resource, namespace: str | None, name: str) -> Record:
        """Return one object. Raises NotFound."""
        record = self.find(resource, namespace, name)
        if record is None:
            raise NotFound(f"{_title(resource, name)} not found")
        return record

    def by_uid(self, uid: str) -> Record | None:
        """Return the object of a uid, None if it is gone."""
        return self._by_uid.get(uid)

    def dependents(self, uid: str) -> Iterator[Record]:
        """Return all objects that name the owner `uid`, oldest first."""
        return iter([self._by_uid[dependent] for dependent in self._dependents.get(uid, ())])

    # Writing.

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Record:
        """Store a new object. Raises AlreadyExists, Rejected."""
        created: Manifest = orjson.loads(orjson.dumps(manifest))
        metadata = created.setdefault("metadata", {})
        uid = str(uuid5(self._uids, str(self.version + 1)))
        self._check_new(resource, created, uid)
        for field in _SERVER_FIELDS:
            metadata.pop(field, None)
        if not resource.is_namespaced:
            metadata.pop("namespace", None)
        metadata = created["metadata"] = _without_empty(metadata)
        metadata["uid"] = uid
        metadata["creationTimestamp"] = format_time(self._clock.now())
        if _has_generation(resource):
            metadata["generation"] = 1
        if resource.has_status:
            created.pop("status", None)
        if table_key(resource) in _FIRST_STATUS:
            created["status"] = _FIRST_STATUS[table_key(resource)]
        return self._commit(resource, None, created)

    def patch(
        self, record: Record, patch: MergePatch | JsonPatch, *, is_status: bool = False
    ) -> Record:
        """Store a patched object. Raises Conflict, PreconditionFailed, Rejected."""
        if isinstance(patch, MergePatch):
            body = orjson.loads(orjson.dumps(patch.body))
            patched = merge_patch(record.manifest, body)
        else:
            operations = orjson.loads(orjson.dumps([*patch.operations]))
            patched = apply_json_patch(record.manifest, operations)
        if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
            raise Rejected(f"{_title(record.resource, record.name)}: no object is left")
        return self._accept(record, patched, is_status=is_status)

    def replace(self, record: Record, manifest: Manifest) -> Record:
        """Store a whole object in the place of another. Raises Conflict, Rejected."""
        if not manifest["metadata"].get("resourceVersion"):
            raise Rejected("metadata.resourceVersion: must be specified for an update")
        return self._accept(record, orjson.loads(orjson.dumps(manifest)), is_status=False)

    def _accept(self, record: Record, patched: Manifest, *, is_status: bool) -> Record:
        """Store what a client makes of an object: its status, or all but that."""
        _check_identity(record, patched)
        if is_status:
            patched = {**record.manifest, "status": patched.get("status")}
            if patched["status"] is None:
                del patched["status"]
        elif record.resource.has_status:
            patched.pop("status", None)
            if "status" in record.manifest:
                patched["status"] = record.manifest["status"]
        return self.update(record, patched)

    def update(self, record: Record, manifest: Manifest) -> Record:
        """Store an object as it is, server-owned metadata aside; nothing when equal."""
        metadata = _without_empty(manifest["metadata"])
        for field in _SERVER_FIELDS:
            metadata.pop(field, None)
            if field in record.metadata:
                metadata[field] = record.metadata[field]
        updated = {**manifest, "metadata": metadata}
        if json_equal(updated, record.manifest):
            return record
        if _is_done(updated):
            return self._drop(replace(record, manifest=updated))
        if "generation" in metadata and _moves_generation(record, updated):
            metadata["generation"] += 1
        return self._commit(record.resource, record, updated)

    def set_status(self, record: Record, status: Mapping[str, Any]) -> Record:
        """Store a new status, as a controller of the cluster does."""
        return self.update(record, {**record.manifest, "status": status})

    def delete(
        self,
        record: Record,
        *,
        uid: str | None = None,
        version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        """Remove an object, or mark it where finalizers or a running pod hold it.

        Raises:
            PreconditionFailed: The object has another uid or resourceVersion.
        """
        title = _title(record.resource, record.name)
        if uid is not None and uid != record.uid:
            raise PreconditionFailed(f"{title}: uid is {record.uid}, not {uid}")
        if version is not None and version != str(record.version):
            raise PreconditionFailed(f"{title}: version is {record.version}, not {version}")
        if record.is_terminating:
            return
        finalizers = [*record.metadata.get("finalizers", ())]
        if propagation != "Background":
            finalizers.append(FOREGROUND if propagation == "Foreground" else ORPHAN)
        grace_seconds = _GRACE_SECONDS if _is_bound_pod(record) else 0
        if not finalizers and not grace_seconds:
            self._drop(record)
            return
        metadata = {
            **record.metadata,
            "deletionTimestamp": format_time(self._clock.now() + grace_seconds),
            "deletionGracePeriodSeconds": grace_seconds,
        }
        if finalizers:
            metadata["finalizers"] = finalizers
        if "generation" in metadata:
            metadata["generation"] += 1
        marked = {**record.manifest, "metadata": metadata}
        self._commit(record.resource, record, marked)

    def end_grace(self, record: Record) -> None:
        """Remove a terminating pod whose processes have ended; finalizers still hold it."""
        metadata = {**record.metadata, "deletionGracePeriodSeconds": 0}
        ended = {**record.manifest, "metadata": metadata}
        if _is_done(ended):
            self._drop(replace(record, manifest=ended))
        elif not json_equal(ended, record.manifest):
            self._commit(record.resource, record, ended)

    # Rules.

    def _check_new(self, resource: Resource, manifest: Manifest, uid: str) -> None:
        """Check and complete the identity of a new object."""
        metadata = manifest["metadata"]
        if metadata.get("resourceVersion"):
            raise Rejected("resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._generated_name(resource, metadata, uid)
        if not metadata.get("name"):
            raise Rejected(f"{resource.kind}: name or generateName is required")
        if resource.is_namespaced and not metadata.get("namespace"):
            raise Rejected(f"{_title(resource, metadata['name'])}: namespace is required")
        for field, expected in (("kind", resource.kind), ("apiVersion", resource.api_version)):
            if manifest.setdefault(field, expected) != expected:
                raise Rejected(f"{field} {manifest[field]!r} is not {expected!r}")
        namespace = metadata["namespace"] if resource.is_namespaced else ""
        if self.find(resource, namespace, metadata["name"]) is not None:
            raise AlreadyExists(f"{_title(resource, metadata['name'])} already exists")

    def _generated_name(self, resource: Resource, metadata: Mapping[str, Any], uid: str) -> str:
        """Return a name that is free; the last one tried if none is, as the API server does."""
        namespace = metadata.get("namespace", "") if resource.is_namespaced else ""
        names = [f"{metadata['generateName']}{suffix}" for suffix in name_suffixes(uid)]
        free = (name for name in names if self.find(resource, namespace, name) is None)
        return next(free, names[-1])

    def _next_version(self) -> int:
        self.version += 1
        return self.version

    def _commit(self, resource: Resource, old: Record | None, manifest: Manifest) -> Record:
        version = self._next_version()
        manifest["metadata"]["resourceVersion"] = str(version)
        record = Record(resource, manifest, orjson.dumps(manifest), version)
        table = self._tables.setdefault(table_key(resource), {})
        table[record.namespace, record.name] = record
        self._by_uid[record.uid] = record
        self._index_owners(old, record)
        self._tell(Change(old, record, version))
        return record

    def _drop(self, record: Record) -> Record:
        version = self._next_version()
        metadata = {**record.metadata, "resourceVersion": str(version)}
        manifest = {**record.manifest, "metadata": metadata}
        last = Record(record.resource, manifest, orjson.dumps(manifest), version)
        del self._tables[table_key(record.resource)][record.namespace, record.name]
        stored = self._by_uid.pop(record.uid)
        self._index_owners(stored, None)
        self._tell(Change(last, None, version))
        return last

    def _index_owners(self, old: Record | None, new: Record | None) -> None:
        before, after = owner_uids(old), owner_uids(new)
        uid = (new or old).uid  # type: ignore[union-attr]  # one of them is there
        for owner in before - after:
            self._dependents[owner].pop(uid)
            if not self._dependents[owner]:
                del self._dependents[owner]
        for owner in after - before:
            self._dependents.setdefault(owner, {})[uid] = None

    def _tell(self, change: Change) -> None:
        for observer in self._observers:
            observer(change)


def owner_uids(record: Record | None) -> set[str]:
    """Return the uids of an object's owners."""
    if record is None:
        return set()
    return {owner["uid"] for owner in record.metadata.get("ownerReferences") or ()}


def controller_of(record: Record) -> Mapping[str, Any] | None:
    """Return the owner reference of the controller of an object, None without one."""
    owners = record.metadata.get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def controller_uid(record: Record, resource: Resource) -> str | None:
    """Return the uid of the controller of an object if it is of one kind."""
    owner = controller_of(record)
    return owner["uid"] if owner is not None and owner["kind"] == resource.kind else None


def name_suffixes(uid: str) -> Iterator[str]:
    """Yield what may complete a generateName, five characters each; derived, never drawn."""
    number = UUID(uid).int
    for _ in range(_NAME_ATTEMPTS):
        characters = []
        for _ in range(_NAME_SUFFIX_LENGTH):
            number, index = divmod(number, len(_NAME_ALPHABET))
            characters.append(_NAME_ALPHABET[index])
        yield "".join(characters)


def _title(resource: Resource, name: str) -> str:
    group = f".{resource.group}" if resource.group else ""
    return f'{resource.plural}{group} "{name}"'


def _has_generation(resource: Resource) -> bool:
    """Whether the server counts generations: few core kinds, and those of most other groups."""
    is_counted = resource.plural in (PODS.plural, POD_TEMPLATES.plural)
    return is_counted or resource.group not in ("", "coordination.k8s.io")


def _moves_generation(old: Record, updated: Manifest) -> bool:
    """With a status subresource anything but status counts, without it anything at all."""
    ignored = {"metadata", "status"} if old.resource.has_status else {"metadata"}
    keys = (old.manifest.keys() | updated.keys()) - ignored
    return any(not json_equal(old.manifest.get(key), updated.get(key)) for key in keys)


def _check_identity(record: Record, patched: Manifest) -> None:
    title = _title(record.resource, record.name)
    metadata = patched["metadata"]
    if metadata.get("resourceVersion", str(record.version)) not in ("", str(record.version)):
        raise Conflict(
            f"Operation cannot be fulfilled on {title}: the object has been modified; "
            "please apply your changes to the latest version and try again"
        )
    for field in ("name", "namespace", "uid"):
        if metadata.get(field, record.metadata.get(field)) != record.metadata.get(field):
            raise Rejected(f"{title}: metadata.{field}: field is immutable")


def _without_empty(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as the server writes it: empty fields are left out."""
    return {field: value for field, value in metadata.items() if value not in (None, "", {}, [])}


def _is_done(manifest: Manifest) -> bool:
    metadata = manifest["metadata"]
    return (
        "deletionTimestamp" in metadata
        and not metadata.get("deletionGracePeriodSeconds")
        and not metadata.get("finalizers")
    )


def _is_bound_pod(record: Record) -> bool:
    is_pod = table_key(record.resource) == table_key(PODS)
    return is_pod and bool(record.manifest.get("spec", {}).get("nodeName"))
