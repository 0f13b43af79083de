"""What a recorded release may never have shown, at any moment of it.

Read from Kubernetes objects alone, in the order of their resourceVersions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from headrace_lab.kube import DELETED, SERVICES, Object
from headrace_lab.recording import HTTP_ROUTES, REPLICA_SETS, TRAFFIC_SPLITS, Recording

HASH: Final = "rollouts-pod-template-hash"

_Objects = dict[str, dict[str, Object]]


def unserved_shares(recording: Recording) -> list[str]:
    """Return each moment at which a Service had a share of the traffic and no ready pod.

    Services that select no ReplicaSet yet count as served: a first deployment is not traffic
    that was lost.
    """
    kinds = (SERVICES, REPLICA_SETS, TRAFFIC_SPLITS, HTTP_ROUTES)
    objects: _Objects = {kind.plural: {} for kind in kinds}
    found: list[str] = []
    for change in recording.changes(*kinds):
        if change.type == DELETED:
            objects[change.kind].pop(change.name, None)
        else:
            objects[change.kind][change.name] = change.object
        for problem in _unserved(objects):
            if problem not in found:
                found.append(problem)
    return found


def _unserved(objects: _Objects) -> Iterator[str]:
    ready = {
        item["metadata"].get("labels", {}).get(HASH): item.get("status", {}).get("readyReplicas", 0)
        for item in objects[REPLICA_SETS.plural].values()
    }
    for name, share in _shares(objects).items():
        service = objects[SERVICES.plural].get(name)
        selector = service["spec"].get("selector") or {} if service is not None else {}
        pod_hash = selector.get(HASH)
        if share > 0 and pod_hash is not None and not ready.get(pod_hash):
            yield f"{share} for {name}, which selects {pod_hash}: no pod of it is ready"


def _shares(objects: _Objects) -> Mapping[str, int]:
    shares: dict[str, int] = {}
    for split in objects[TRAFFIC_SPLITS.plural].values():
        for backend in split["spec"].get("backends") or ():
            shares[backend["service"]] = int(backend["weight"])
    for route in objects[HTTP_ROUTES.plural].values():
        for rule in route["spec"].get("rules") or ():
            for ref in rule.get("backendRefs") or ():
                shares[ref["name"]] = int(ref.get("weight", 1))
    return shares
