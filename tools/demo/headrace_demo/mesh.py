"""Where requests go: what a mesh makes of the objects as they are stored, and of nothing else.

TrafficSplit of a root Service -> weighted Services -> their selectors -> pods that are ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.kubernetes.resources import PODS, SERVICES, TRAFFIC_SPLITS, Manifest, Resource
from headrace.runtime.cluster import Cluster, Selection


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that answers requests.

    Attributes:
        version: Tag of its image.
        labels: As they are now; the role in them changes while the pod runs.
    """

    name: str
    version: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Destination:
    """A Service behind another one.

    Attributes:
        service: Its name.
        weight: Share of the requests, relative to the other destinations, >= 0.
        pods: Those that its selector matches and that are ready.
    """

    service: str
    weight: int
    pods: tuple[Pod, ...]


class Mesh:
    """Knows where requests go in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def destinations(self, root: str) -> Sequence[Destination]:
        """Return where requests to a Service go now: to itself, when no TrafficSplit has it."""
        selectors = {
            service["metadata"]["name"]: service["spec"].get("selector") or {}
            for service in await self._list(SERVICES)
        }
        pods = [_pod(pod) for pod in await self._list(PODS) if _is_ready(pod)]
        weights = {root: 1}
        for split in await self._list(TRAFFIC_SPLITS):
            if split["spec"]["service"] == root:
                weights = split_weights(split)
        return [
            Destination(service, weight, _selected(selectors.get(service), pods))
            for service, weight in weights.items()
        ]

    async def pods(self) -> Sequence[Pod]:
        """Return all pods that are ready."""
        return [_pod(pod) for pod in await self._list(PODS) if _is_ready(pod)]

    async def _list(self, resource: Resource) -> Sequence[Manifest]:
        return (await self._cluster.list(resource, Selection(self._namespace))).items


def split_weights(split: Manifest) -> dict[str, int]:
    """Return the weights of a TrafficSplit by Service."""
    return {each["service"]: int(each["weight"]) for each in split["spec"].get("backends") or ()}


def _selected(selector: dict[str, str] | None, pods: Sequence[Pod]) -> tuple[Pod, ...]:
    if not selector:
        return ()
    return tuple(pod for pod in pods if selector.items() <= pod.labels.items())


def _is_ready(pod: Manifest) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _pod(pod: Manifest) -> Pod:
    image = pod["spec"]["containers"][0]["image"]
    metadata = pod["metadata"]
    return Pod(metadata["name"], image.rpartition(":")[2], metadata.get("labels") or {})
