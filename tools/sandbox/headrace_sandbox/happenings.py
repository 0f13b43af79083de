"""What a scenario may let happen beside what users do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from headrace.kubernetes.resources import (
    HTTP_ROUTES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import PodBehaviour
from headrace_sandbox.nodes import drive
from headrace_sandbox.scenario import Happening
from headrace_sandbox.troubles import Cast
from headrace_sandbox.users import ACTIONS, STRANGER, Users
from headrace_sandbox.workload import HASH, NAMESPACE, image_of, replica_sets, roles, split_of
from headrace_sandbox.world import World, Write

KUBELET: Final = "kubelet"

_KINDS: Final[Mapping[str, Resource]] = {
    "replicaset": REPLICA_SETS,
    "service": SERVICES,
    "httproute": HTTP_ROUTES,
    "trafficsplit": TRAFFIC_SPLITS,
    "rollout": ROLLOUTS,
}


class Stage:
    """Where happenings happen: the world, its services and its users."""

    def __init__(self, world: World, fleet: Cast, users: Users) -> None:
        self.world = world
        self.fleet = fleet
        self.users = users
        self._waiting: list[Happening] = []
        world.watch(self)

    @property
    def untold(self) -> list[str]:
        """What has waited for a status that never came."""
        return [f"{each.do} when {each.when}" for each in self._waiting]

    def plan(self, happening: Happening) -> None:
        """Let something happen at its time, or when the Rollout is there."""
        if happening.when is None:
            self.world.after(happening.at, lambda: self.happen(happening))
        else:
            self._waiting.append(happening)

    def happen(self, happening: Happening) -> None:
        """Let something happen now."""
        if happening.do in ACTIONS:
            self.users.act(happening.to, happening.do, happening.argument)
            return
        self.world.tell("scenario", happening.do, to=happening.to, argument=happening.argument)
        _EVENTS[happening.do](self, happening)

    def written(self, write: Write) -> None:
        """Begin what has waited for this status of its Rollout."""
        new = write.change.new
        if new is None or new.resource.plural != ROLLOUTS.plural or not self._waiting:
            return
        due = [
            each
            for each in self._waiting
            if new.name == (each.of or each.to)
            and each.when is not None
            and _matches(new.manifest, each.when)
        ]
        for happening in due:
            self._waiting.remove(happening)
            self.world.after(happening.at, partial(self.happen, happening))

    # The world's own

    def kill_pod(self, image: str) -> None:
        """Delete the oldest pod of an image, at once."""
        client = self.world.cluster.client(KUBELET)
        for record in self.world.objects.all(PODS):
            containers = record.manifest["spec"]["containers"]
            if containers[0].get("image") == image and not record.is_terminating:
                drive(client.delete(PODS, record.namespace, record.name))
                return

    def edit_split(self, name: str, weight: int) -> None:
        """Move a Rollout's traffic by hand: so much to its canary, or to some colour."""
        record = self.world.objects.find(ROLLOUTS, NAMESPACE, name)
        if record is not None and "blueGreen" in record.manifest["spec"]["strategy"]:
            self._edit_active(record.manifest, weight)
        found = split_of(self.world.objects, record.manifest) if record is not None else None
        if record is None or found is None:
            return
        canary, stable = roles(record.manifest)
        weights = {canary: weight, stable: 100 - weight}
        split = found[0].copy()
        if "backends" in split["spec"]:
            backends = [
                {**each, "weight": weights.get(each["service"], each["weight"])}
                for each in split["spec"]["backends"]
            ]
            body: dict[str, Any] = {"spec": {"backends": backends}}
        else:
            rules = split["spec"]["rules"]
            for rule in rules:
                if len(rule["backendRefs"]) < 2:  # a header route's
                    continue
                for backend in rule["backendRefs"]:
                    backend["weight"] = weights.get(backend["name"], backend.get("weight", 1))
            body = {"spec": {"rules": rules}}
        client = self.world.cluster.client(STRANGER)
        drive(client.patch(found[0].resource, NAMESPACE, found[0].name, MergePatch(body)))

    def _edit_active(self, rollout: Manifest, size: int) -> None:
        """Point the active Service of blue-green at some revision by hand."""
        hashes = sorted(replica_sets(self.world.objects, rollout["metadata"]["uid"]))
        service = rollout["spec"]["strategy"]["blueGreen"]["activeService"]
        if not hashes or self.world.objects.find(SERVICES, NAMESPACE, service) is None:
            return
        body = {"spec": {"selector": {HASH: hashes[size % len(hashes)]}}}
        client = self.world.cluster.client(STRANGER)
        drive(client.patch(SERVICES, NAMESPACE, service, MergePatch(body)))


def _matches(rollout: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(value_at(rollout, path) == value for path, value in wanted.items())


def value_at(manifest: Mapping[str, Any], path: str) -> Any:
    """Return a field by its dotted path, from `status` on unless it begins at the top."""
    parts = path.split(".")
    found: Any = manifest if parts[0] in ("spec", "metadata") else manifest.get("status") or {}
    for part in parts:
        if isinstance(found, list) and part.isdigit():
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, Mapping) else None
    return found


def behaviour(raw: Mapping[str, Any] | str) -> PodBehaviour:
    """Return what pods do: `crash`, or how long until they are ready."""
    if raw == "crash":
        return PodBehaviour(None, "CrashLoopBackOff")
    if raw == "never-ready":
        return PodBehaviour(None)
    assert isinstance(raw, Mapping)
    return PodBehaviour(float(raw["ready_seconds"]))


def _crash(stage: Stage, happening: Happening) -> None:
    for node in stage.fleet.nodes:
        if node.name.startswith(happening.to):
            node.crash()


def _freeze(stage: Stage, happening: Happening) -> None:
    for node in stage.fleet.nodes:
        if node.name.startswith(happening.to):
            node.frozen_until = stage.world.now + float(happening.argument)


def _lag(stage: Stage, happening: Happening) -> None:
    for node in stage.fleet.nodes:
        if node.name.startswith(happening.to):
            node.lags_until = stage.world.now + float(happening.argument)


def _cut_off(stage: Stage, happening: Happening) -> None:
    for node in stage.fleet.nodes:
        if node.name.startswith(happening.to):
            node.cut_off_until = stage.world.now + float(happening.argument)


def _broker_outage(stage: Stage, happening: Happening) -> None:
    stage.fleet.broker.down_until = stage.world.now + float(happening.argument)
    stage.fleet.broker.look()


def _api_outage(stage: Stage, happening: Happening) -> None:
    stage.world.api_down_until = stage.world.now + float(happening.argument)


def _delete(stage: Stage, happening: Happening) -> None:
    kind, name = happening.to.split("/", 1)
    resource = _KINDS[kind]
    client = stage.world.cluster.client(STRANGER)
    if resource is REPLICA_SETS:  # by the image of its pods
        found = [r for r in stage.world.objects.all(resource) if image_of(r.manifest) == name]
        for record in found:
            drive(client.delete(resource, NAMESPACE, record.name))
        return
    drive(client.delete(resource, NAMESPACE, name))


def _behave(stage: Stage, happening: Happening) -> None:
    stage.world.behave(happening.to, behaviour(happening.argument))


_EVENTS: Final[Mapping[str, Callable[[Stage, Happening], None]]] = {
    "crash": _crash,
    "freeze": _freeze,
    "cut-off": _cut_off,
    "lag": _lag,
    "broker-outage": _broker_outage,
    "api-outage": _api_outage,
    "behave": _behave,
    "kill-pod": lambda stage, happening: stage.kill_pod(happening.to),
    "hand-edit": lambda stage, happening: stage.edit_split(happening.to, int(happening.argument)),
    "delete": _delete,
}
