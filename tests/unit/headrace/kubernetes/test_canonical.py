from __future__ import annotations

from typing import Any

import pytest

from headrace.kubernetes.canonical import typed_view


def container(**fields: Any) -> Any:
    view = typed_view({"spec": {"containers": [fields]}})
    return view["spec"]["containers"][0]


def test_an_absent_template_has_a_zero_value() -> None:
    assert typed_view(None) == {"metadata": {}, "spec": {"containers": None}}


def test_unknown_fields_and_zero_values_vanish() -> None:
    assert container(name="a", image="", tty=False, x=1) == {"name": "a", "resources": {}}


def test_pointers_keep_their_zero_values() -> None:
    view = container(name="a", securityContext={"runAsUser": 0, "privileged": False})
    assert view["securityContext"] == {"privileged": False, "runAsUser": 0}


def test_an_empty_list_is_kept_only_where_it_is_always_written() -> None:
    assert container(name="a", args=[]) == {"name": "a", "resources": {}}
    assert typed_view({"spec": {"containers": []}})["spec"] == {"containers": []}


def test_numbers_are_taken_for_quantities_and_whole_floats_for_integers() -> None:
    view = container(
        name="a",
        resources={"limits": {"memory": 1024.0, "cpu": 0.5}},
        ports=[{"containerPort": 80.0}],
    )
    assert view["resources"] == {"limits": {"cpu": "500m", "memory": "1024"}}
    assert view["ports"] == [{"containerPort": 80}]


def test_times_are_written_in_utc_and_null_is_left_out() -> None:
    metadata = {"creationTimestamp": None, "deletionTimestamp": "2026-01-02T05:04:05+02:00"}
    assert typed_view({"metadata": metadata})["metadata"] == {
        "deletionTimestamp": "2026-01-02T03:04:05Z"
    }


def test_the_caller_says_what_a_quantity_becomes() -> None:
    view = typed_view({"limits": {"cpu": "1"}}, "ResourceRequirements", quantity=lambda text: text)
    assert view == {"limits": {"cpu": "1"}}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"spec": []}, "expected PodSpec, got list"),
        ({"spec": {"containers": {}}}, "expected list, got dict"),
        ({"spec": {"nodeSelector": []}}, "expected map, got list"),
        ({"spec": {"hostNetwork": 1}}, "expected bool, got int"),
        ({"spec": {"priority": True}}, "expected int, got bool"),
        ({"spec": {"priority": 1.5}}, "expected int, got float"),
        ({"spec": {"overhead": {"cpu": []}}}, "expected quantity, got list"),
        ({"metadata": {"creationTimestamp": 5}}, "expected time, got int"),
    ],
)
def test_a_value_of_another_type_is_refused(template: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        typed_view(template)
    assert str(raised.value) == message
