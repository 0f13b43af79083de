"""Which rows of the table of acknowledgements and which edge cases a run meets.

Source: architecture, section 4; canary 10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace_sandbox.checkers.book import Book
from headrace_sandbox.workload import available, replica_sets
from headrace_sandbox.world import World, Write

ROWS: Final = (
    "setWeight",
    "canary Service of a new revision",
    "first deployment",
    "last step",
    "after promotion",
    "promote full",
    "abort",
    "superseded revision",
)
"""Rows of the table that the supported strategies and routers can reach."""

EDGES: Final = (
    "canary 10.1",
    "canary 10.3",
    "canary 10.4",
    "canary 10.6",
    "canary 10.7",
    "canary 10.8",
    "canary 10.13",
    "canary 10.18",
    "canary 10.19",
)


class Rows:
    """Counts what a run meets."""

    def __init__(self, world: World, book: Book, seen: Counter[str]) -> None:
        self._world = world
        self._book = book
        self._seen = seen

    def written(self, write: Write) -> None:
        """Hear of a committed change of a Rollout."""
        new, old = write.change.new, write.change.old
        if new is None or old is None or new.resource.plural != "rollouts":
            return
        rollout, before = new.manifest, old.manifest.get("status") or {}
        status = rollout.get("status") or {}
        headrace = status.get("headrace") or {}
        route, known = headrace.get("route"), headrace.get("acknowledged") or {}
        if route is not None and known.get("epoch") != route["epoch"]:
            self._seen[f"row {_row(status, route)}"] += 1
        old_spec, spec = old.manifest["spec"], rollout["spec"]
        if old_spec.get("replicas") != spec.get("replicas") and is_updating(status):
            self._seen["edge canary 10.1"] += 1
        if _steps(old_spec) != _steps(spec) and is_updating(status):
            self._seen["edge canary 10.8"] += 1
        if spec.get("paused") is False and old_spec.get("paused") and before.get("pauseConditions"):
            self._seen["edge canary 10.18"] += 1
        self._edges(rollout, status)

    def _edges(self, rollout: Manifest, status: Mapping[str, Any]) -> None:
        seen, spec = self._seen, rollout["spec"]
        if not is_updating(status):
            return
        sets = replica_sets(self._world.objects, rollout["metadata"]["uid"])
        new = sets.get(status.get("currentPodHash", ""))
        stable = sets.get(status.get("stableRS", ""))
        weight = ((status.get("canary") or {}).get("weights") or {}).get("canary") or {}
        if weight.get("weight") and available(new) == 0:
            seen["edge canary 10.3"] += 1
        if available(stable) < int(spec.get("replicas", 1)):
            seen["edge canary 10.4"] += 1
        if int(spec.get("replicas", 1)) == 1:
            seen["edge canary 10.6"] += 1
        if int(spec.get("replicas", 1)) == 0:
            seen["edge canary 10.7"] += 1
        if new is not None and int(status.get("currentStepIndex") or 0) == 0:
            revision = new.metadata.get("annotations") or {}
            if "rollout.argoproj.io/revision-history" in revision:
                seen["edge canary 10.13"] += 1
        run = (status.get("canary") or {}).get("currentBackgroundAnalysisRunStatus") or {}
        if run.get("status") in ("Failed", "Error"):
            seen["edge canary 10.19"] += 1


def is_updating(status: Mapping[str, Any]) -> bool:
    """Return whether a new version is on its way."""
    return bool(status.get("stableRS")) and status.get("currentPodHash") != status.get("stableRS")


def _steps(spec: Mapping[str, Any]) -> Any:
    return ((spec.get("strategy") or {}).get("canary") or {}).get("steps")


def _row(status: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    """Return which row of the table an open request belongs to."""
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
