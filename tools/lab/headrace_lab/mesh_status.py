"""What the mesh says about an HTTPRoute: accepted, for the generation it routes by."""

from __future__ import annotations

from headrace_lab.kube import Object

CONTROLLER_NAME = "lab.headrace.io/mesh"
_REASONS = {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"}


def accepted_parents(route: Object, now: str) -> list[Object] | None:
    """The route's `status.parents` with our acceptance, None if they say so already.

    Entries of other controllers stay as they are.
    """
    generation = route["metadata"]["generation"]
    present = route.get("status", {}).get("parents", [])
    ours = [item for item in present if item["controllerName"] == CONTROLLER_NAME]
    wanted = route["spec"].get("parentRefs", [])
    if [item["parentRef"] for item in ours] == wanted and all(
        _observed_generations(item) == {generation} for item in ours
    ):
        return None
    others = [item for item in present if item["controllerName"] != CONTROLLER_NAME]
    return others + [_accept(reference, generation, now) for reference in wanted]


def _accept(reference: Object, generation: int, now: str) -> Object:
    return {
        "parentRef": reference,
        "controllerName": CONTROLLER_NAME,
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": now,
            }
            for kind, reason in _REASONS.items()
        ],
    }


def _observed_generations(parent: Object) -> set[int]:
    return {item.get("observedGeneration", 0) for item in parent.get("conditions", [])}
