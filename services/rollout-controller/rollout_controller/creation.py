"""Creating an object under the first free name (canary 7, 8: collisions)."""

from __future__ import annotations

from headrace.errors import AlreadyExists
from headrace.kubernetes.resources import Manifest, Resource
from headrace.runtime.cluster import Cluster
from rollout_controller.core.sameness import is_same_object

NAMES_MAX = 100
"""Names tried for one object before the reconcile gives up; each is taken by another one."""


async def create_under_free_name(
    cluster: Cluster, resource: Resource, manifest: Manifest, separator: str
) -> Manifest:
    """Return the created object, or the one that an earlier, unclaimed pass created.

    Args:
        cluster: Where to write.
        resource: Kind of the object.
        manifest: With the name to try first and the cause by which it is recognised.
        separator: Between that name and the number of a further try.

    Raises:
        AlreadyExists: No name was free.
    """
    metadata = manifest["metadata"]
    base = str(metadata["name"])
    for number in range(NAMES_MAX):
        name = base if number == 0 else f"{base}{separator}{number}"
        try:
            return await cluster.create(
                resource, {**manifest, "metadata": {**metadata, "name": name}}
            )
        except AlreadyExists:
            existing = await cluster.get(resource, metadata["namespace"], name)
            phase = str((existing.get("status") or {}).get("phase") or "")
            if is_same_object(existing, manifest, phase):
                return existing
    raise AlreadyExists(f"no free name for {resource.kind} {base}")
