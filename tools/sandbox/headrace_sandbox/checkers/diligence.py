"""Nobody rests while something is left to do that it knows of.

A process that has nothing left to do about a Rollout, and knows all that is stored about it, has
minded all of that: whoever does not lower a weight, end a run or repair a split then never will.

Source: canary 5.2, 7; architecture, section 4 (deviation 8), "The route document".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.runtime.cluster_memory.objects import Record
from headrace.runtime.reconciler import Outcome
from headrace_sandbox.checkers.book import fence_of, weight_in
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.looking import Agent
from headrace_sandbox.workload import (
    NAMESPACE,
    available,
    is_refused,
    replica_sets,
    roles,
    selected_hash,
    services_of,
    split_of,
)
from headrace_sandbox.world import World

_COMPLETED: Final = ("Successful", "Failed", "Error", "Inconclusive")


class Diligence:
    """Checked whenever a process is done with a Rollout for now."""

    def __init__(self, world: World, findings: Findings) -> None:
        self._world = world
        self._require = findings.require

    def reconciled(self, node: Agent, key: str, outcome: Outcome) -> None:
        """Hear how a reconcile ended."""
        if outcome.kind != "settled":
            return
        namespace, _, name = key.partition("/")
        record = self._world.objects.find(ROLLOUTS, namespace, name)
        if record is None or record.is_terminating or not self._knows(node, record):
            return
        if node.name.startswith("rollout-controller"):
            self._controller(node, record)
        elif node.name.startswith("traffic-router") and outcome.wake_at is None:
            self._router(node, record)  # else it repairs what is changed again and again later

    def _knows(self, node: Agent, record: Record) -> bool:
        """Return whether a process knows an object as it is stored."""
        known = node.cached(record.resource, NAMESPACE, record.name)
        return known is not None and int(known["metadata"]["resourceVersion"]) == record.version

    # The controller

    def _controller(self, node: Agent, record: Record) -> None:
        status = record.manifest.get("status") or {}
        objects = self._world.objects
        if status.get("observedGeneration") != str(record.metadata["generation"]):
            return
        if not all(
            self._knows(node, each)
            for each in objects.dependents(record.uid)
            if each.resource.plural in (REPLICA_SETS.plural, ANALYSIS_RUNS.plural)
        ):
            return
        self._ends_runs(record, status)
        services = [objects.find(SERVICES, NAMESPACE, n) for n in services_of(record.manifest)]
        if all(each is not None and self._knows(node, each) for each in services):
            self._lowers(record.manifest, status)

    def _ends_runs(self, record: Record, status: Mapping[str, Any]) -> None:
        """Nothing is judged for an update that was aborted."""
        if not status.get("abort") or is_refused(status):
            return
        going = [
            run.name
            for run in self._world.objects.dependents(record.uid)
            if run.resource.plural == ANALYSIS_RUNS.plural
            and (run.manifest.get("status") or {}).get("phase") not in _COMPLETED
            and not run.manifest["spec"].get("terminate")
            and not run.is_terminating
        ]
        text = f"{record.name} is aborted, {going} go on"
        self._require(not going, "an abort ends what judges the update", text)

    def _lowers(self, rollout: Manifest, status: Mapping[str, Any]) -> None:
        """Where stable can carry everything, a canary that is aborted or gone is asked nothing."""
        uid, objects = rollout["metadata"]["uid"], self._world.objects
        canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
        route = (status.get("headrace") or {}).get("route")
        wanted = int(rollout["spec"].get("replicas", 1))
        stable, latest = status.get("stableRS", ""), status.get("currentPodHash", "")
        if route is None or not canary.get("trafficRouting") or not wanted or is_refused(status):
            return
        sets = replica_sets(objects, uid)
        service = roles(rollout)[1]
        can_carry = available(sets.get(stable)) >= wanted
        if not can_carry or (service and selected_hash(objects, service) != stable):
            return
        weight, pod_hash = int(route["weights"].get("canary") or 0), route["hashes"]["canary"]
        text = f"{rollout['metadata']['name']}: {weight} for {pod_hash}, epoch {route['epoch']}"
        if pod_hash == latest != stable and not available(sets.get(pod_hash)):
            self._require(weight == 0, "nobody is left with pods that are gone", text)
        if status.get("abort") and not canary.get("dynamicStableScale"):
            self._require(weight == 0, "an abort takes the weight back", text)

    # The router

    def _router(self, node: Agent, record: Record) -> None:
        """What was applied and acknowledged stays as it was, whoever changes it."""
        status = record.manifest.get("status") or {}
        headrace = status.get("headrace") or {}
        route, known = headrace.get("route"), headrace.get("acknowledged") or {}
        found = split_of(self._world.objects, record.manifest)
        if route is None or found is None or known.get("epoch") != route["epoch"]:
            return
        fence = fence_of(found[0].manifest, record.uid) or {}
        if not self._knows(node, found[0]) or fence.get("epoch") != route["epoch"]:
            return
        services = {name for name in roles(record.manifest) if name}
        wanted = {name: weight_in(route, name) for name in services}
        if not _are_claimed(status, route) or (status.get("abort") and not route.get("aborted")):
            return
        shown = {name: found[1].get(name, 0) for name in services}
        text = f"{record.name}: {shown} on {found[0].name}, acknowledged is {wanted}"
        self._require(shown == wanted, "a split that somebody changed is repaired", text)


def _are_claimed(status: Mapping[str, Any], route: Mapping[str, Any]) -> bool:
    """Whether the status tells of the weights of a route: else another controller was here."""
    claimed = (status.get("canary") or {}).get("weights") or {}
    return all(
        int((claimed.get(role) or {}).get("weight") or 0) == int(route["weights"].get(role) or 0)
        for role in ("canary", "stable")
    ) and len(claimed.get("additional") or ()) == len(route["weights"].get("additional") or ())
