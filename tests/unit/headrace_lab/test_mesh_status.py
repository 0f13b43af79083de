from __future__ import annotations

from typing import Any

from headrace_lab.mesh_status import CONTROLLER_NAME, accepted_parents

NOW = "2026-01-01T00:00:00Z"
PARENT = {"group": "", "kind": "Service", "name": "root"}


def make_route(generation: int, parents: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"parentRefs": [PARENT]},
        "status": {"parents": parents or []},
    }


def accept(route: dict[str, Any]) -> list[dict[str, Any]]:
    parents = accepted_parents(route, NOW)
    assert parents is not None
    return parents


def test_a_new_route_is_accepted_for_its_generation() -> None:
    (parent,) = accept(make_route(3))

    assert parent["parentRef"] == PARENT
    assert [(item["type"], item["observedGeneration"]) for item in parent["conditions"]] == [
        ("Accepted", 3),
        ("ResolvedRefs", 3),
    ]


def test_what_was_said_is_not_said_again() -> None:
    assert accepted_parents(make_route(3, accept(make_route(3))), NOW) is None


def test_a_new_generation_is_accepted_anew() -> None:
    parents = accept(make_route(4, accept(make_route(3))))

    assert [item["controllerName"] for item in parents] == [CONTROLLER_NAME]
    assert parents[0]["conditions"][0]["observedGeneration"] == 4


def test_what_other_controllers_said_stays() -> None:
    other = {"parentRef": PARENT, "controllerName": "example.com/other", "conditions": []}

    assert accept(make_route(3, [other]))[0] == other
