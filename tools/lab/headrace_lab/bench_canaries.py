"""Many small canaries that are driven together, as a benchmark drives them.

Each has one replica, three Services, a TrafficSplit and the steps setWeight 10, pause, setWeight
33, pause. Commands are the existing plugin's own status patches; reactions are seen by a watch of
the TrafficSplits that knows nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from headrace_lab.errors import LabError
from headrace_lab.kube import (
    DELETED,
    MERGE_PATCH,
    NAMESPACES,
    SERVICES,
    Kube,
    Object,
    Resource,
)

ROLLOUTS: Final = Resource("argoproj.io", "v1alpha1", "rollouts")
TRAFFIC_SPLITS: Final = Resource("split.smi-spec.io", "v1alpha4", "trafficsplits")

WEIGHTS: Final = (10, 33)
PROMOTE: Final = {"status": {"pauseConditions": None}}
ABORT: Final = {"status": {"abort": True}}

_REQUESTS_MAX: Final = 40
"""Requests of the benchmark that are under way at once; a person's fleet would send no more."""
_POLL_SECONDS: Final = 0.5


@dataclass(slots=True)
class Reactions:
    """When each canary was told something, and when its TrafficSplit said that it was done.

    Attributes:
        answered: When the patch was answered, by name (monotonic seconds).
        seen: When the watch brought the weight.
    """

    answered: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def seconds(self) -> list[float]:
        """Return the reactions in order; one that the watch saw before the answer counts as 0."""
        return sorted(max(self.seen[name] - at, 0.0) for name, at in self.answered.items())

    @property
    def span_seconds(self) -> float:
        """From the first answer to the last weight."""
        return max(self.seen.values()) - min(self.answered.values())


class Canaries:
    """The canaries of one namespace.

    Args:
        kube: Client of the person who drives them.
        namespace: Theirs alone.
        names: Their names.
    """

    def __init__(self, kube: Kube, namespace: str, names: Sequence[str]) -> None:
        self._kube = kube
        self._namespace = namespace
        self.names = names
        self._weights: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._limit = asyncio.Semaphore(_REQUESTS_MAX)

    async def deploy(self) -> None:
        """Create them with their first image."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}}
        await self._kube.apply(NAMESPACES, "", body)
        async with asyncio.TaskGroup() as group:
            for name in self.names:
                group.create_task(self._deploy(name))

    async def set_image(self, image: str) -> None:
        """Give all of them another image."""
        containers = [{"name": "app", "image": image}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        await self._patch_all(body, "", {})

    async def command(self, body: Object, weight: int, timeout_seconds: float) -> Reactions:
        """Send a status patch to all, and wait until every TrafficSplit has a canary weight."""
        reactions = Reactions()
        async with self._watch():
            self._seen = {}
            await self._patch_all(body, "status", reactions.answered)
            await self._all_at(weight, timeout_seconds)
            reactions.seen = {name: self._seen[name] for name in self.names}
        return reactions

    async def delete(self, timeout_seconds: float) -> None:
        """Delete them and their namespace, and wait until it is gone. Raises LabError."""
        await self._kube.request("DELETE", ROLLOUTS.path(self._namespace))
        await self._kube.request("DELETE", NAMESPACES.path(name=self._namespace))
        deadline = time.monotonic() + timeout_seconds
        while await self._exists():
            if time.monotonic() > deadline:
                raise LabError(f"namespace {self._namespace} does not go")
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_phase(
        self, phase: str, *, timeout_seconds: float, weight: int | None = None
    ) -> None:
        """Return when all are in a phase for their present spec, at a canary weight if given.

        Raises:
            LabError: They are not in time; the text names some.
        """
        deadline = time.monotonic() + timeout_seconds
        while late := await self._not_in(phase, weight):
            if time.monotonic() > deadline:
                raise LabError(f"{len(late)} canaries are not {phase}: {', '.join(late[:5])}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _exists(self) -> bool:
        listing = await self._kube.list(NAMESPACES)
        return self._namespace in {item["metadata"]["name"] for item in listing["items"]}

    async def _not_in(self, phase: str, weight: int | None) -> list[str]:
        listing = await self._kube.list(ROLLOUTS, self._namespace)
        found = {rollout["metadata"]["name"]: rollout for rollout in listing["items"]}
        return [name for name in self.names if not _is_in(found.get(name, {}), phase, weight)]

    async def _all_at(self, weight: int, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                while any(self._weights.get(name) != weight for name in self.names):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            late = [name for name in self.names if self._weights.get(name) != weight]
            names = ", ".join(late[:5])
            raise LabError(f"{len(late)} TrafficSplits are not at {weight}: {names}") from error

    @asynccontextmanager
    async def _watch(self) -> AsyncIterator[None]:
        synced = asyncio.Event()
        task = asyncio.create_task(
            self._kube.follow(
                TRAFFIC_SPLITS, self._note, namespace=self._namespace, on_synced=synced.set
            )
        )
        try:
            await synced.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _note(self, change: str, split: Object) -> None:
        name = split["metadata"]["name"]
        weight = 0 if change == DELETED else canary_weight(split)
        if self._weights.get(name) != weight:
            self._weights[name] = weight
            self._seen[name] = time.monotonic()
            self._changed.set()

    async def _patch_all(self, body: Object, subresource: str, answered: dict[str, float]) -> None:
        async with asyncio.TaskGroup() as group:
            for name in self.names:
                group.create_task(self._patch(name, body, subresource, answered))

    async def _patch(
        self, name: str, body: Object, subresource: str, answered: dict[str, float]
    ) -> None:
        path = ROLLOUTS.path(self._namespace, name, subresource)
        async with self._limit:
            await self._kube.request("PATCH", path, body, content_type=MERGE_PATCH)
            answered[name] = time.monotonic()

    async def _deploy(self, name: str) -> None:
        async with self._limit:
            for role in ("stable", "canary", "root"):
                await self._kube.create(SERVICES, self._namespace, _service(name, role))
            await self._kube.create(ROLLOUTS, self._namespace, _rollout(name))


def canary_weight(split: Mapping[str, Any]) -> int:
    """Return the weight of the canary Service in a TrafficSplit; 0 when it is not in it."""
    backends = (split.get("spec") or {}).get("backends") or ()
    return sum(each["weight"] for each in backends if each["service"].endswith("-canary"))


def _is_in(rollout: Mapping[str, Any], phase: str, weight: int | None) -> bool:
    status = rollout.get("status") or {}
    if status.get("phase") != phase:
        return False
    if status.get("observedGeneration") != str(rollout["metadata"]["generation"]):
        return False
    weights = (status.get("canary") or {}).get("weights") or {}
    return weight is None or (weights.get("canary") or {}).get("weight") == weight


def _service(name: str, role: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-{role}"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    }


def _rollout(name: str) -> Object:
    pauses: Object = {"pause": {}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "bench:v1"}]},
            },
            "strategy": {
                "canary": {
                    "stableService": f"{name}-stable",
                    "canaryService": f"{name}-canary",
                    "trafficRouting": {
                        "smi": {"rootService": f"{name}-root", "trafficSplitName": name}
                    },
                    "steps": [
                        step for weight in WEIGHTS for step in ({"setWeight": weight}, pauses)
                    ],
                }
            },
        },
    }
