"""The ReplicaSet controller of the memory cluster.

Source: kube-controller-manager's replicaset controller; pods are owned, never adopted.
"""

from __future__ import annotations

from typing import Any

from headrace.kubernetes.resources import PODS, REPLICA_SETS, Manifest
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.runtime.cluster_memory.controller import Controller
from headrace.runtime.cluster_memory.objects import Change, Record, controller_uid, table_key
from headrace.runtime.cluster_memory.pods import condition, is_active, is_ready

_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSetController(Controller):
    """Keeps as many pods as `spec.replicas` says, and counts them in the status."""

    def _observe(self, change: Change) -> None:
        kind = table_key(change.record.resource)
        if kind == table_key(REPLICA_SETS):
            self._agenda.add(change.record.uid)
        elif kind == table_key(PODS) and (uid := controller_uid(change.record, REPLICA_SETS)):
            self._agenda.add(uid)

    def _sync(self, record: Record, now: Instant) -> None:
        replica_set = record
        if not replica_set.is_terminating:
            self._scale(replica_set)
        pods = self._pods(replica_set)
        status = self._counts(replica_set, pods, now)
        before = replica_set.manifest.get("status", {})
        if "conditions" in before:
            status["conditions"] = before["conditions"]
        self._objects.set_status(replica_set, status)

    def _pods(self, replica_set: Record) -> list[Record]:
        return [
            record
            for record in self._objects.dependents(replica_set.uid)
            if table_key(record.resource) == table_key(PODS)
            and controller_uid(record, REPLICA_SETS) == replica_set.uid
            and is_active(record)
        ]

    def _scale(self, replica_set: Record) -> None:
        pods = self._pods(replica_set)
        missing = _replicas(replica_set) - len(pods)
        for _ in range(missing):
            self._objects.create(PODS, pod_of(replica_set, replica_set.manifest["spec"]))
        if missing < 0:
            for pod in sorted(pods, key=_deletion_rank)[:-missing]:
                self._objects.delete(pod)

    def _counts(self, replica_set: Record, pods: list[Record], now: Instant) -> dict[str, Any]:
        spec = replica_set.manifest["spec"]
        wanted = (spec["template"].get("metadata", {}).get("labels") or {}).items()
        labelled = sum(1 for pod in pods if wanted <= (pod.metadata.get("labels") or {}).items())
        ready = [pod for pod in pods if is_ready(pod)]
        available = 0
        for pod in ready:
            due = parse_time(condition(pod, "Ready")["lastTransitionTime"]) + spec.get(
                "minReadySeconds", 0
            )
            if due <= now:
                available += 1
            else:
                self._agenda.add_at(due, replica_set.uid)
        counts = {
            "fullyLabeledReplicas": labelled,
            "readyReplicas": len(ready),
            "availableReplicas": available,
            "observedGeneration": replica_set.metadata["generation"],
        }
        return {"replicas": len(pods)} | {name: count for name, count in counts.items() if count}


def pod_of(owner: Record, spec: Manifest) -> Manifest:
    """Return a new pod of a controller, made from the template in its spec."""
    template = spec["template"]
    metadata = template.get("metadata") or {}
    return {
        "metadata": {
            "generateName": f"{owner.name}-",
            "namespace": owner.namespace,
            "labels": metadata.get("labels") or {},
            "annotations": metadata.get("annotations") or {},
            "finalizers": metadata.get("finalizers") or [],
            "ownerReferences": [
                {
                    "apiVersion": owner.resource.api_version,
                    "kind": owner.resource.kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": template.get("spec") or {},
    }


def _replicas(replica_set: Record) -> int:
    replicas: int = replica_set.manifest["spec"].get("replicas", 1)
    return replicas


def _deletion_rank(pod: Record) -> tuple[bool, int, float]:
    """Order pods for deletion: not ready, then cheap, then young ones first."""
    cost = (pod.metadata.get("annotations") or {}).get(_DELETION_COST, "0")
    return is_ready(pod), int(cost), -pod.version
