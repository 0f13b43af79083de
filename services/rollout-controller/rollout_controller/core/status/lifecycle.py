"""The life of a revision as a machine: its states, and every arc between two of them.

The state is a pure function of what is stored, so it can be told of any Rollout at any time.
Nothing is decided by it: `decide` looks at the whole snapshot. It is the map of what `decide`,
people and the cluster do together, drawn in `docs/state-machines.md` and held to by a test that
walks through many histories: no other arc is taken, and each of these is.

Source: canary 2.2, 2.5, 3.1, 3.3; bluegreen 8; rollout-api 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from headrace.model.conditions import ConditionType, RolloutPhase
from headrace.model.headrace_status import HeadraceStatus
from rollout_controller.core.observed import Observed


class State(StrEnum):
    """Where a Rollout stands with the revision of its current template."""

    NEW = "new"
    REFUSED = "refused"
    STEPPING = "stepping"
    AWAITING_ROUTE = "awaiting route"
    PAUSED = "paused"
    PROMOTING = "promoting"
    SETTLING = "settling"
    SETTLED = "settled"
    ABORTING = "aborting"


Arc = tuple[State, State]

MEANINGS: Final[Mapping[State, str]] = {
    State.NEW: "The template has a revision that no status speaks of yet.",
    State.REFUSED: "The spec cannot work; only an abort and what drains after it go on.",
    State.STEPPING: "The steps move it: pods, weights, analysis.",
    State.AWAITING_ROUTE: "A route is asked for that the router has not acknowledged.",
    State.PAUSED: "A pause step, a person, or an unclear verdict holds it.",
    State.PROMOTING: "No step is left: it becomes stable when its pods and its route are there.",
    State.SETTLING: "It is stable; pods and the route are still on their way.",
    State.SETTLED: "It is stable and healthy. Nothing is written any more.",
    State.ABORTING: "It is given up: traffic goes back to the stable revision, and stays there.",
}


def state_of(observed: Observed) -> State:
    """Return the state that spec and status show; the first that holds."""
    status = observed.status
    if any(condition.type == ConditionType.INVALID_SPEC for condition in status.conditions):
        return State.REFUSED
    if status.current_pod_hash != _hash_of_template(observed):
        return State.NEW
    is_outstanding = is_route_outstanding(observed.headrace)
    is_stable = status.stable_rs == status.current_pod_hash
    if status.abort and not is_stable:
        return State.ABORTING
    if observed.spec.paused or status.pause_conditions:
        return State.PAUSED
    if is_stable:
        is_healthy = status.phase == RolloutPhase.HEALTHY and not is_outstanding
        return State.SETTLED if is_healthy else State.SETTLING
    if is_outstanding:
        return State.AWAITING_ROUTE
    return State.PROMOTING if _has_no_step_left(observed) else State.STEPPING


def is_route_outstanding(headrace: HeadraceStatus) -> bool:
    """Return whether a route is asked for that is not acknowledged."""
    route, known = headrace.route, headrace.acknowledged
    return route is not None and (known is None or known.epoch != route.epoch)


def _hash_of_template(observed: Observed) -> str:
    """Return the hash of the current template, by its ReplicaSet where there is one."""
    named = (rs for rs in observed.replica_sets if rs.name == observed.new_replica_set)
    new = next(named, None)
    return new.pod_hash if new is not None else observed.template_hash


def _has_no_step_left(observed: Observed) -> bool:
    status, canary = observed.status, observed.spec.strategy.canary
    if canary is None:
        return status.blue_green.active_selector == status.current_pod_hash
    return status.promote_full or (status.current_step_index or 0) >= len(canary.steps)


def _but(*states: State) -> tuple[State, ...]:
    return tuple(state for state in State if state not in states)


def _arcs(target: State, by_cause: Mapping[str, tuple[State, ...]]) -> dict[Arc, str]:
    return {(source, target): why for why, sources in by_cause.items() for source in sources}


TRANSITIONS: Final[Mapping[Arc, str]] = {
    **_arcs(State.NEW, {"the template changes": _but(State.NEW, State.REFUSED)}),
    **_arcs(State.REFUSED, {"the spec cannot work": _but(State.REFUSED)}),
    **_arcs(
        State.STEPPING,
        {
            "the update begins": (State.NEW,),
            "the router acknowledges": (State.AWAITING_ROUTE,),
            "resumed": (State.PAUSED,),
            "retried": (State.ABORTING,),
            "the steps change": (State.PROMOTING,),
            "the spec works again": (State.REFUSED,),
        },
    ),
    **_arcs(
        State.AWAITING_ROUTE,
        {
            "a route is asked for": (State.STEPPING, State.PROMOTING),
            "the update begins": (State.NEW,),
            "resumed": (State.PAUSED,),
            "retried": (State.ABORTING,),
            "the spec works again": (State.REFUSED,),
        },
    ),
    **_arcs(
        State.PAUSED,
        {
            "held": (
                State.STEPPING,
                State.AWAITING_ROUTE,
                State.PROMOTING,
                State.SETTLING,
                State.SETTLED,
            ),
            "the update begins": (State.NEW,),
            "retried": (State.ABORTING,),
            "the spec works again": (State.REFUSED,),
        },
    ),
    **_arcs(
        State.PROMOTING,
        {
            "the last step is done": (State.STEPPING,),
            "the router acknowledges": (State.AWAITING_ROUTE,),
            "the update begins": (State.NEW,),
            "resumed": (State.PAUSED,),
            "retried": (State.ABORTING,),
            "the spec works again": (State.REFUSED,),
        },
    ),
    **_arcs(
        State.SETTLING,
        {
            "promoted": (State.STEPPING, State.AWAITING_ROUTE, State.PROMOTING),
            "pods or the route move": (State.SETTLED,),
            "stable already": (State.NEW,),
            "resumed": (State.PAUSED,),
            "promoted in full": (State.ABORTING,),
            "the spec works again": (State.REFUSED,),
        },
    ),
    **_arcs(
        State.SETTLED,
        {
            "everything is there": (State.SETTLING,),
            "promoted": (State.STEPPING, State.AWAITING_ROUTE, State.PROMOTING),
            "stable already": (State.NEW,),
            "resumed": (State.PAUSED,),
            "promoted in full": (State.ABORTING,),
            "the spec works again": (State.REFUSED,),
        },
    ),
    **_arcs(
        State.ABORTING,
        {
            "aborted": (State.STEPPING, State.AWAITING_ROUTE, State.PAUSED, State.PROMOTING),
            "the template is taken back": (State.NEW,),
            "the spec works again": (State.REFUSED,),
        },
    ),
}
"""Every arc, and what takes it. One pass may do several things; its arc has the last one's name."""
