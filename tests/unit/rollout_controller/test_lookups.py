"""Templates are read from their store when asked for, and compared without being read."""

from __future__ import annotations

from headrace.runtime.cluster import Listing, WatchEvent
from headrace.runtime.store import Store
from rollout_controller.lookups import Templates

TEMPLATE = {
    "metadata": {"name": "errors", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
    "spec": {"metrics": "no list"},  # that must not be read
}


def test_templates_are_equal_until_something_comes_into_their_store() -> None:
    store = Store()
    store.replace(Listing((TEMPLATE,), "1"))
    first = Templates(store, "ns")
    assert first == Templates(store, "ns")
    assert hash(first) == hash(Templates(store, "ns"))
    assert first != Templates(store, "other")
    assert first != {}
    moved = {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], "resourceVersion": "2"}}
    store.apply(WatchEvent("MODIFIED", moved))
    assert first != Templates(store, "ns")
