"""What people edit beside versions: limits, delays, runs, traffic objects and Services.

Each edit is what somebody does by hand, or a tool that applies manifests, without a thought of the
update that is under way. What is deleted is made again soon, as it was before Headrace touched it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from headrace.errors import InvalidSpec, NotFound
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    HTTP_ROUTES,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryClient
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.nodes import drive
from headrace_sandbox.workload import (
    HASH,
    NAMESPACE,
    Application,
    replica_sets,
    routes,
    services_of,
    split_of,
)
from headrace_sandbox.world import World

NUMBERS: Final = 12
"""An edit takes a number below it, which chooses what it changes, and to what."""

_DEADLINES: Final = (3600, 30, 10)
_DELAYS: Final = (0, 5, 15, None)
_AGAIN_SECONDS: Final = 3.0
"""How long what somebody has deleted is away."""


class Editor:
    """A person who edits the Rollouts of a world."""

    def __init__(
        self, world: World, client: MemoryClient, applications: Mapping[str, Application]
    ) -> None:
        self._world = world
        self._client = client
        self._applications = applications

    def _patch(self, rollout: Manifest, spec: Mapping[str, Any]) -> None:
        name = rollout["metadata"]["name"]
        drive(self._client.patch(ROLLOUTS, NAMESPACE, name, MergePatch({"spec": spec})))


class Edits(Editor):
    """A person who edits what belongs to Rollouts, and how they go."""

    def limits(self, rollout: Manifest, number: int) -> None:
        """Change the progress deadline, or how many old revisions are kept.

        No worker of a step plugin is asked once that is exceeded (canary 9): there it stays.
        """
        canary = rollout["spec"]["strategy"].get("canary") or {}
        has_plugin = any("plugin" in step for step in canary.get("steps") or ())
        spec: dict[str, Any] = {"revisionHistoryLimit": number // 2 % 3}
        if number % 2 and not has_plugin:
            spec = {"progressDeadlineSeconds": _DEADLINES[number // 2 % 3]}
        self._patch(rollout, spec)

    def delays(self, rollout: Manifest, number: int) -> None:
        """Change how long pods that are not needed stay. Raises InvalidSpec: no delay is known."""
        name, strategy = next(iter(rollout["spec"]["strategy"].items()))
        field = "abortScaleDownDelaySeconds" if number % 2 else "scaleDownDelaySeconds"
        is_basic = name == "canary" and not strategy.get("trafficRouting")
        is_dynamic = bool(strategy.get("dynamicStableScale")) and field == "scaleDownDelaySeconds"
        if is_basic or is_dynamic:
            raise InvalidSpec("no delay")
        self._patch(rollout, {"strategy": {name: {field: _DELAYS[number // 2 % len(_DELAYS)]}}})

    def delete_run(self, rollout: Manifest, number: int) -> None:
        """Delete an AnalysisRun, the newest ones first. Raises NotFound: there is none."""
        found = [
            record
            for record in self._world.objects.dependents(rollout["metadata"]["uid"])
            if record.resource.plural == ANALYSIS_RUNS.plural
        ]
        found.sort(key=lambda record: str(record.metadata["creationTimestamp"]), reverse=True)
        if not found:
            raise NotFound("no AnalysisRun")
        self._delete(found[number % min(len(found), 2)])

    def delete_route(self, rollout: Manifest, _: int) -> None:
        """Delete the traffic object: an HTTPRoute comes back as it was applied once."""
        found = split_of(self._world.objects, rollout)
        if found is None:
            raise NotFound("no traffic object")
        record, _weights = found
        self._delete(record)
        for manifest in routes([*self._applications.values()]):
            if record.resource is HTTP_ROUTES and manifest["metadata"]["name"] == record.name:
                self._again(HTTP_ROUTES, manifest)

    def delete_service(self, rollout: Manifest, number: int) -> None:
        """Delete a Service of the Rollout; it comes back with the selector of its manifest."""
        record = self._service(rollout, number)
        manifest: Manifest = {
            "metadata": {"name": record.name, "namespace": NAMESPACE},
            "spec": {"selector": {"app": rollout["metadata"]["name"]}, "ports": [{"port": 80}]},
        }
        self._delete(record)
        self._again(SERVICES, manifest)

    def edit_service(self, rollout: Manifest, number: int) -> None:
        """Point a Service at some version, or at all of them."""
        record = self._service(rollout, number)
        hashes = [*sorted(replica_sets(self._world.objects, rollout["metadata"]["uid"])), None]
        body = MergePatch({"spec": {"selector": {HASH: hashes[number % len(hashes)]}}})
        drive(self._client.patch(SERVICES, NAMESPACE, record.name, body))

    def _service(self, rollout: Manifest, number: int) -> Record:
        names = sorted(services_of(rollout))
        if not names:
            raise NotFound("no Service")
        return self._world.objects.get(SERVICES, NAMESPACE, names[number // 2 % len(names)])

    def _delete(self, record: Record) -> None:
        drive(self._client.delete(record.resource, NAMESPACE, record.name))

    def _again(self, resource: Resource, manifest: Manifest) -> None:
        self._world.after(_AGAIN_SECONDS, partial(self._create, resource, manifest))

    def _create(self, resource: Resource, manifest: Manifest) -> None:
        if self._world.objects.find(resource, NAMESPACE, manifest["metadata"]["name"]) is None:
            drive(self._client.create(resource, manifest))


Edit = Callable[[Edits, Manifest, int], None]

EDITS: Final[Mapping[str, Edit]] = {
    "edit-limits": Edits.limits,
    "edit-delays": Edits.delays,
    "delete-run": Edits.delete_run,
    "delete-route": Edits.delete_route,
    "delete-service": Edits.delete_service,
    "edit-service": Edits.edit_service,
}
