"""Changes of traffic objects as data, and how they are derived from the old and the new object.

Every change is conditional on what it was computed from (architecture: Writes). A merge patch
carries the resourceVersion. Where others write the status of the object all the time, a JSON
patch tests what matters instead: the generation, our fence, and every label and annotation that
it replaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.kubernetes.patches import json_equal, merge_diff, pointer
from headrace.kubernetes.resources import Manifest

Operation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CreateObject:
    """The object does not exist yet."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class MergeChange:
    """RFC 7386 merge patch with the resourceVersion in it."""

    body: Manifest


@dataclass(frozen=True, slots=True)
class JsonChange:
    """RFC 6902 patch whose first operations are its tests."""

    operations: tuple[Operation, ...]


Change = CreateObject | MergeChange | JsonChange


def merge_change(old: Manifest, new: Manifest) -> MergeChange | None:
    """Return the merge patch of the changed leaves; None when nothing changed."""
    body = merge_diff(_owned(old), _owned(new))
    if not body:
        return None
    metadata = {"resourceVersion": old["metadata"]["resourceVersion"], **body.get("metadata", {})}
    return MergeChange({**body, "metadata": metadata})


def json_change(old: Manifest, new: Manifest, fence: str) -> JsonChange | None:
    """Return the JSON patch from `old` to `new`; None when nothing changed.

    Args:
        old: The object as read.
        new: The object as it shall be.
        fence: Name of the own fence annotation. Without it on `old` the resourceVersion is
            tested, since the generation does not see another writer's annotation.
    """
    operations = list(_json_diff(_owned(old), _owned(new), ""))
    if not operations:
        return None
    return JsonChange((*_tests(old, new, fence), *operations))


def _owned(manifest: Manifest) -> Manifest:
    """What a change may touch: spec, labels and annotations."""
    metadata = manifest.get("metadata") or {}
    kept = {
        key: metadata[key] for key in ("annotations", "labels") if metadata.get(key) is not None
    }
    return {"metadata": kept, "spec": manifest.get("spec") or {}}


def _tests(old: Manifest, new: Manifest, fence: str) -> Iterator[Operation]:
    metadata = old["metadata"]
    if "generation" in metadata:
        yield _test("/metadata/generation", metadata["generation"])
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    changed = new["metadata"]
    if fence not in annotations or (not labels and changed.get("labels")):
        yield _test("/metadata/resourceVersion", metadata["resourceVersion"])
    for field, current in (("annotations", annotations), ("labels", labels)):
        wanted: Mapping[str, str] = changed.get(field) or {}
        for key, value in current.items():
            if wanted.get(key) != value or key == fence:
                yield _test(pointer("metadata", field, key), value)


def _test(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}


def _json_diff(old: Any, new: Any, path: str) -> Iterator[Operation]:
    if json_equal(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() - new.keys():
            yield {"op": "remove", "path": path + pointer(key)}
        for key, value in new.items():
            inner = path + pointer(key)
            if key in old:
                yield from _json_diff(old[key], value, inner)
            else:
                yield {"op": "add", "path": inner, "value": value}
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _json_diff(before, after, path + pointer(index))
    else:
        yield {"op": "replace", "path": path, "value": new}
