"""The store: forward only, in whatever order watch events and own answers arrive."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kubernetes.resources import Manifest
from headrace.runtime.cluster import Listing, WatchEvent, WatchType
from headrace.runtime.store import Store, controller_uid


def manifest(name: str, version: int, uid: str = "", **metadata: Any) -> Manifest:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            **metadata,
        }
    }


def event(kind: WatchType, found: Manifest) -> WatchEvent:
    return WatchEvent(kind, found)


def listing(version: int, *items: Manifest) -> Listing:
    return Listing(items, str(version))


@pytest.fixture
def store() -> Store:
    store = Store({"owner": controller_uid})
    store.replace(listing(10, manifest("a", 5)))
    return store


@pytest.fixture
def heard(store: Store) -> list[tuple[str, str]]:
    """What a listener heard: the change, and the names or versions it was between."""
    changes: list[tuple[str, str]] = []

    def listen(change: str, old: Manifest | None, new: Manifest | None) -> None:
        versions = [found["metadata"]["resourceVersion"] for found in (old, new) if found]
        changes.append((change, "-".join(versions)))

    store.listen(listen)
    return changes


def version(store: Store, name: str = "a") -> int | None:
    found = store.get("shop", name)
    return int(found["metadata"]["resourceVersion"]) if found else None


def test_an_answer_of_our_own_is_seen_at_once(store: Store, heard: list[Any]) -> None:
    assert store.offer(manifest("a", 12))
    assert version(store) == 12
    assert heard == [("MODIFIED", "5-12")]


def test_an_older_answer_is_not_taken(store: Store, heard: list[Any]) -> None:
    store.apply(event("MODIFIED", manifest("a", 12)))
    assert not store.offer(manifest("a", 11))
    assert not store.offer(manifest("a", 12))
    assert version(store) == 12
    assert heard == [("MODIFIED", "5-12")]


def test_the_watch_does_not_take_back_an_answer(store: Store, heard: list[Any]) -> None:
    store.offer(manifest("a", 12))
    store.apply(event("MODIFIED", manifest("a", 11)))
    store.apply(event("MODIFIED", manifest("a", 12)))
    assert version(store) == 12
    assert heard == [("MODIFIED", "5-12")]
    assert store.resource_version == "12"


def test_versions_are_compared_as_numbers(store: Store) -> None:
    store.offer(manifest("a", 99))
    assert store.offer(manifest("a", 100))


def test_a_late_answer_does_not_bring_back_what_was_deleted(store: Store) -> None:
    store.apply(event("DELETED", manifest("a", 13)))
    assert not store.offer(manifest("a", 12))
    assert version(store) is None


def test_an_object_that_left_the_selection_is_gone_despite_a_newer_answer(store: Store) -> None:
    store.offer(manifest("a", 12))
    store.apply(event("DELETED", manifest("a", 11)))
    assert version(store) is None


def test_the_old_objects_deletion_spares_the_new_one(store: Store) -> None:
    store.offer(manifest("a", 14, uid="second"))
    store.apply(event("DELETED", manifest("a", 13)))
    assert version(store) == 14


def test_another_object_of_the_same_name_is_a_deletion_and_an_addition(
    store: Store, heard: list[Any]
) -> None:
    store.offer(manifest("a", 14, uid="second"))
    assert heard == [("DELETED", "5"), ("ADDED", "14")]


def test_our_own_deletion_is_seen_at_once_and_stays(store: Store) -> None:
    store.remove("shop", "a", "uid-a")
    assert version(store) is None
    assert not store.offer(manifest("a", 12))
    store.apply(event("MODIFIED", manifest("a", 12)))
    assert version(store) is None
    store.apply(event("DELETED", manifest("a", 13)))
    assert store.offer(manifest("a", 14, uid="second"))


def test_what_a_finalizer_holds_comes_back_after_our_deletion(store: Store) -> None:
    store.remove("shop", "a", "uid-a")
    held = manifest("a", 13, deletionTimestamp="2026-11-24T10:00:00Z")
    store.apply(event("MODIFIED", held))
    assert store.get("shop", "a") == held


def test_our_own_deletion_survives_a_list_from_before(store: Store) -> None:
    store.remove("shop", "a", "uid-a")
    store.replace(listing(12, manifest("a", 11)))
    assert version(store) is None
    store.replace(listing(14))
    store.replace(listing(16, manifest("a", 15)))
    assert version(store) == 15


def test_removing_needs_the_right_uid(store: Store) -> None:
    store.remove("shop", "a", "other")
    store.remove("shop", "b", "uid-b")
    assert version(store) == 5


def test_a_list_tells_what_changed_meanwhile(store: Store, heard: list[Any]) -> None:
    store.replace(listing(20, manifest("b", 18)))
    store.replace(listing(30, manifest("b", 18), manifest("c", 25)))
    store.replace(listing(40, manifest("b", 35)))
    assert heard == [
        ("DELETED", "5"),
        ("ADDED", "18"),
        ("ADDED", "25"),
        ("DELETED", "25"),
        ("MODIFIED", "18-35"),
    ]


def test_a_list_keeps_what_is_newer_than_itself(store: Store) -> None:
    store.offer(manifest("a", 25))
    store.offer(manifest("b", 26))
    store.replace(listing(20, manifest("a", 19)))
    assert version(store) == 25
    assert version(store, "b") == 26


def test_a_restored_backup_replaces_everything(store: Store) -> None:
    store.apply(event("MODIFIED", manifest("a", 100)))
    store.apply(event("ADDED", manifest("b", 101)))
    store.replace(listing(50, manifest("a", 40)))
    assert version(store) == 40
    assert version(store, "b") is None


def test_a_bookmark_moves_only_the_position(store: Store, heard: list[Any]) -> None:
    store.apply(event("BOOKMARK", {"metadata": {"resourceVersion": "99"}}))
    assert store.resource_version == "99"
    assert heard == []
    assert not store.offer(manifest("b", 98))


def test_objects_are_found_by_index(store: Store) -> None:
    def owned(name: str, number: int, owner: str) -> Manifest:
        owners = [{"uid": "other"}, {"uid": owner, "controller": True}]
        return manifest(name, number, ownerReferences=owners)

    store.offer(owned("x", 11, "one"))
    store.offer(owned("y", 12, "one"))
    assert [found["metadata"]["name"] for found in store.by_index("owner", "one")] == ["x", "y"]
    store.offer(owned("x", 13, "two"))
    assert [found["metadata"]["name"] for found in store.by_index("owner", "one")] == ["y"]
    assert [found["metadata"]["name"] for found in store.by_index("owner", "two")] == ["x"]
    store.apply(event("DELETED", owned("x", 14, "two")))
    assert list(store.by_index("owner", "two")) == []
    assert list(store.by_index("owner", "nobody")) == []


def test_lists_one_namespace_or_all(store: Store) -> None:
    store.offer(manifest("b", 11, namespace="other"))
    assert len(store.list()) == len(store) == 2
    assert [found["metadata"]["name"] for found in store.list("other")] == ["b"]
    assert list(store.list("empty")) == []


def test_cluster_scoped_objects_have_no_namespace() -> None:
    store = Store()
    store.offer({"metadata": {"name": "x", "uid": "u", "resourceVersion": "1"}})
    assert store.get(None, "x") is not None


# The truth: one object's life as (version, exists); each watch event also comes as an answer,
# at any later time and any number of times.
@given(
    lives=st.lists(st.booleans(), min_size=1, max_size=8),
    late=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 7)), max_size=12),
)
@settings(max_examples=300)
def test_ends_where_the_watch_ends_however_answers_are_delayed(
    lives: list[bool], late: list[tuple[int, int]]
) -> None:
    store = Store()
    store.replace(listing(1))
    states: list[tuple[WatchEvent, bool]] = []
    incarnation, is_alive = 0, False
    for index, exists in enumerate(lives):
        if not exists and not is_alive:
            continue
        incarnation += exists and not is_alive
        found = manifest("a", index + 2, uid=f"uid-{incarnation}")
        kind: WatchType = "DELETED" if not exists else "MODIFIED" if is_alive else "ADDED"
        states.append((event(kind, found), exists))
        is_alive = exists
    for position, (change, _) in enumerate(states):
        store.apply(change)
        for after, index in late:
            # An answer to a write is there at the earliest when the write is.
            if after == position and index < len(states) and states[index][1]:
                store.offer(states[index][0].manifest)
    expected = states[-1][0].manifest if states and states[-1][1] else None
    assert store.get("shop", "a") == expected
