from __future__ import annotations

from headrace.routes.changes import JsonChange, MergeChange, json_change, merge_change


def test_a_merge_change_removes_by_null_and_keeps_the_rest() -> None:
    old = {
        "metadata": {"resourceVersion": "4", "annotations": {"a": "1", "b": "2"}},
        "spec": {"x": {"y": 1, "z": 2}, "kept": [1]},
    }
    new = {
        "metadata": {"resourceVersion": "4", "annotations": {"a": "1"}},
        "spec": {"x": {"y": 3, "z": 2}, "kept": [1]},
    }
    assert merge_change(old, new) == MergeChange(
        {
            "metadata": {"resourceVersion": "4", "annotations": {"b": None}},
            "spec": {"x": {"y": 3}},
        }
    )


def test_only_spec_labels_and_annotations_are_ever_written() -> None:
    old = {"metadata": {"resourceVersion": "4"}, "status": {"a": 1}}
    new = {"metadata": {"resourceVersion": "5"}, "status": {"a": 2}}
    assert merge_change(old, new) is None
    assert json_change(old, new, "fence") is None


def test_a_json_change_escapes_pointers_and_replaces_lists_of_another_length() -> None:
    old = {"metadata": {"resourceVersion": "4", "annotations": {"fence": "1"}}, "spec": {"l": [1]}}
    new = {
        "metadata": {"resourceVersion": "4", "annotations": {"fence": "1", "a~b/c": "x"}},
        "spec": {"l": [1, 2], "new": True},
    }
    assert json_change(old, new, "fence") == JsonChange(
        (
            {"op": "test", "path": "/metadata/annotations/fence", "value": "1"},
            {"op": "add", "path": "/metadata/annotations/a~0b~1c", "value": "x"},
            {"op": "replace", "path": "/spec/l", "value": [1, 2]},
            {"op": "add", "path": "/spec/new", "value": True},
        )
    )


def test_new_labels_are_added_under_the_resource_version() -> None:
    old = {"metadata": {"resourceVersion": "4", "annotations": {"fence": "1"}}}
    new = {"metadata": {**old["metadata"], "labels": {"a": "b"}}}
    change = json_change(old, new, "fence")
    assert change is not None
    assert change.operations[0]["path"] == "/metadata/resourceVersion"
    assert change.operations[-1] == {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}


def test_a_replaced_annotation_is_tested() -> None:
    old = {"metadata": {"resourceVersion": "4", "annotations": {"fence": "1", "a": "x"}}}
    new = {"metadata": {"resourceVersion": "4", "annotations": {"fence": "1", "a": "y"}}}
    change = json_change(old, new, "fence")
    assert change is not None
    assert {"op": "test", "path": "/metadata/annotations/a", "value": "x"} in change.operations
