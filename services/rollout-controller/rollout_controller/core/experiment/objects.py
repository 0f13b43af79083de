"""The objects that an Experiment makes: ReplicaSets, Services and AnalysisRuns.

Source: experiment 4.1, 4.3, 5.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from headrace.events.topics import KEY_ANNOTATION
from headrace.kubernetes.hashes import pod_template_hash
from headrace.kubernetes.owners import controller_reference
from headrace.kubernetes.resources import EXPERIMENTS, Manifest
from headrace.model.experiment import ExperimentAnalysis, ExperimentTemplate
from rollout_controller.core import labels
from rollout_controller.core.experiment.observed import Observed
from rollout_controller.core.observed import ReplicaSet

_APART: Final = 1 << 16
"""A count that no Rollout's collisions reach: the next one must not get the same hash, either."""


def replica_set_name(observed: Observed, template: str) -> str:
    """Return the name of a template's ReplicaSet; it does not depend on the hash."""
    return f"{observed.name}-{template}"


def replica_set(
    observed: Observed, template: ExperimentTemplate, collision_count: int | None
) -> Manifest:
    """Return the ReplicaSet of a template, with no pods.

    The hash label that a template copied from a Rollout's ReplicaSet brings is replaced by another
    one, even where the template is the same: no Service of the Rollout selects these pods, and no
    share of the traffic is counted for both.

    Raises:
        ValueError: A field of the pod template has another type than Kubernetes gives it.
    """
    pod_template: dict[str, Any] = copy.deepcopy(template.template)
    metadata = pod_template.get("metadata") or {}
    own = {k: v for k, v in (metadata.get("labels") or {}).items() if k != labels.HASH}
    pod_template["metadata"] = {**metadata, "labels": own}
    pod_hash = pod_template_hash(pod_template, collision_count)
    if pod_hash == (metadata.get("labels") or {}).get(labels.HASH):
        pod_hash = pod_template_hash(pod_template, _APART + (collision_count or 0))
    pod_template["metadata"]["labels"] = {**own, labels.HASH: pod_hash}
    selector = template.selector.dump()
    selector["matchLabels"] = {**selector.get("matchLabels", {}), labels.HASH: pod_hash}
    spec: dict[str, Any] = {"replicas": 0, "selector": selector, "template": pod_template}
    if template.min_ready_seconds:
        spec["minReadySeconds"] = template.min_ready_seconds
    metadata = _metadata(observed, replica_set_name(observed, template.name), template.name)
    metadata["labels"] = {**own, labels.HASH: pod_hash}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def service_name(template: ExperimentTemplate, rs: ReplicaSet) -> str:
    """Return the name of a template's Service."""
    return (template.service.name if template.service else "") or rs.name


def service(observed: Observed, template: ExperimentTemplate, rs: ReplicaSet) -> Manifest | None:
    """Return the Service of a template; None when its containers declare no port."""
    pod_spec = rs.manifest["spec"]["template"].get("spec") or {}
    ports = [
        _service_port(port)
        for container in pod_spec.get("containers") or ()
        for port in container.get("ports") or ()
    ]
    if not ports:
        return None
    selector = dict(rs.manifest["metadata"].get("labels") or {})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(observed, service_name(template, rs), template.name),
        "spec": {"selector": selector, "ports": ports},
    }


def _service_port(port: Mapping[str, Any]) -> dict[str, Any]:
    number = port["containerPort"]
    named = {name: port[name] for name in ("name", "protocol") if port.get(name)}
    return {**named, "port": number, "targetPort": number}


def _metadata(observed: Observed, name: str, template: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": observed.namespace,
        "annotations": {labels.EXPERIMENT: observed.name, labels.EXPERIMENT_TEMPLATE: template},
        "ownerReferences": [_owner(observed)],
    }


def run(
    observed: Observed, analysis: ExperimentAnalysis, spec: Mapping[str, Any], cause: str
) -> Manifest:
    """Return the AnalysisRun of an analysis.

    Args:
        observed: The Experiment.
        analysis: Of its spec.
        spec: Built from the template and the resolved arguments.
        cause: By which a repeated create knows its own run.
    """
    metadata = observed.spec.analysis_run_metadata
    instance = observed.labels.get(labels.INSTANCE_ID)
    own = {labels.INSTANCE_ID: instance} if instance is not None else {}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": f"{observed.name}-{analysis.name}",
            "namespace": observed.namespace,
            "labels": {**own, **metadata.labels},
            "annotations": {
                **metadata.annotations,
                labels.CAUSE: cause,
                KEY_ANNOTATION: observed.key,
            },
            "ownerReferences": [_owner(observed)],
        },
        "spec": dict(spec),
    }


def _owner(observed: Observed) -> dict[str, Any]:
    return controller_reference(
        EXPERIMENTS.api_version, EXPERIMENTS.kind, observed.name, observed.uid
    )
