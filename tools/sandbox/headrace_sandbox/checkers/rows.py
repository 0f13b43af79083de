"""Which rows of the table of acknowledgements and which edge cases a run meets.

Source: architecture, section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.checkers import edges
from headrace_sandbox.checkers.edge_changes import RolloutChange, is_updating
from headrace_sandbox.checkers.edge_experiments import ExperimentChange
from headrace_sandbox.users import STRANGER, USER
from headrace_sandbox.world import World, Write

ROWS: Final = (
    "setWeight",
    "setHeaderRoute, setMirrorRoute",
    "canary Service of a new revision",
    "first deployment",
    "last step",
    "after promotion",
    "promote full",
    "abort",
    "dynamicStableScale",
    "dynamic rollback to stable",
    "superseded revision",
    "experiment step",
    "trafficRouting removed",
)
"""Rows of the table that the supported routers can reach."""


class Rows:
    """Counts what a run meets."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        self._world = world
        self._seen = seen

    def written(self, write: Write) -> None:
        """Hear of a committed change."""
        new, old = write.change.new, write.change.old
        if new is None:
            return
        match new.resource.plural:
            case "rollouts" if old is not None:
                self._rollout(new.manifest, old.manifest, by_user=write.identity == USER)
            case "experiments" if old is not None:
                change = ExperimentChange(self._world.objects, new.manifest, old.manifest)
                self._met(edges.of_experiment(change))
            case "analysisruns" if old is not None:
                self._met(edges.of_run(self._world.objects, new.manifest, old.manifest))
            case "services" if write.identity == STRANGER:
                self._met(edges.of_service(self._world.objects.all(ROLLOUTS), new.manifest))
            case "replicasets":
                self._replica_set(new, is_created=old is None)
                if old is not None and write.request is not None:
                    rollouts = self._world.objects.all(ROLLOUTS)
                    self._met(edges.of_replica_set(rollouts, new.manifest, old.manifest))

    def _rollout(self, rollout: Manifest, old: Manifest, *, by_user: bool) -> None:
        status = rollout.get("status") or {}
        headrace = status.get("headrace") or {}
        route, known = headrace.get("route"), headrace.get("acknowledged") or {}
        if route is not None and known.get("epoch") != route["epoch"]:
            for row in _rows(rollout, status, route):
                self._seen[f"row {row}"] += 1
        change = RolloutChange(self._world.objects, rollout, old, by_user)
        self._met(edges.of_rollout(change))

    def _replica_set(self, record: Record, *, is_created: bool) -> None:
        experiment = edges.experiment_of(self._world.objects, record.manifest)
        if experiment is not None:
            change = ExperimentChange(
                self._world.objects,
                experiment,
                replica_set=record.manifest,
                is_created=is_created,
            )
            self._met(edges.of_experiment(change))

    def _met(self, names: list[str]) -> None:
        for name in names:
            self._seen[f"edge {name}"] += 1


def _rows(rollout: Manifest, status: Mapping[str, Any], route: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rows of the table that an open request belongs to."""
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    if route.get("withdraw"):
        yield "trafficRouting removed"
        return
    yield _row(status, route)
    steps, index = canary.get("steps") or [], status.get("currentStepIndex")
    step = steps[index] if index is not None and index < len(steps) else {}
    if is_updating(status) and ("setHeaderRoute" in step or "setMirrorRoute" in step):
        yield "setHeaderRoute, setMirrorRoute"
    if route["weights"].get("additional"):
        yield "experiment step"
    if canary.get("dynamicStableScale"):
        yield "dynamicStableScale"
        if not is_updating(status) and route["weights"].get("canary"):
            yield "dynamic rollback to stable"


def _row(status: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    """Return the row of an open request by the stage of the update."""
    stable, current = status.get("stableRS"), status.get("currentPodHash")
    if status.get("abort"):
        return "abort"
    if not (status.get("canary") or {}).get("weights"):
        return "first deployment"
    if stable == current:
        return "after promotion"
    if status.get("promoteFull"):
        return "promote full"
    carried = (route.get("hashes") or {}).get("canary")
    if carried not in (current, stable, None, ""):
        return "superseded revision"
    if not status.get("currentStepIndex") and not route["weights"].get("canary"):
        return "canary Service of a new revision"
    if int(route["weights"].get("canary") or 0) == 100:
        return "last step"
    return "setWeight"
