"""Snapshots of an Experiment as `gather` builds them, made by hand: what tests vary.

An Experiment `exp` with two pods of one template `a`. Its ReplicaSets are those of
`core.samples`, named by their template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.model.experiment import ExperimentSpec, ExperimentStatus
from headrace.model.meta import format_time
from rollout_controller.core import labels, samples
from rollout_controller.core.experiment.observed import Observed, TemplateService
from rollout_controller.core.observed import ReplicaSet

NOW = samples.NOW
PORTS = ({"name": "http", "containerPort": 8080, "protocol": "TCP"},)


def template(name: str = "a", *, replicas: int | None = 2, **members: Any) -> dict[str, Any]:
    """Return a template whose container declares a port; `members` are added to it."""
    container = {"name": "app", "image": f"app:{name}", "ports": list(PORTS)}
    made: dict[str, Any] = {
        "name": name,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
    }
    if replicas is not None:
        made["replicas"] = replicas
    return {**made, **members}


def replica_set(name: str = "a", replicas: int = 2, **changes: Any) -> ReplicaSet:
    """Return the ReplicaSet of a template whose pods are all there."""
    manifest = {
        "metadata": {"labels": {"app": name, labels.HASH: f"hash-{name}"}},
        "spec": {"template": template(name)["template"]},
    }
    own = {"name": f"exp-{name}", "manifest": manifest}
    return samples.replica_set(f"hash-{name}", replicas, **{**own, **changes})


def service(name: str = "a") -> TemplateService:
    """Return the Service of a template."""
    return TemplateService(f"exp-{name}", f"uid-{name}", "1")


def template_status(name: str = "a", state: str = "Running", pods: int = 2, **members: Any) -> Any:
    """Return the status of a template that changed a minute ago for the last time."""
    counters = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    since = format_time(NOW - 60)
    fixed = {"name": name, "status": state, "lastTransitionTime": since}
    return {**fixed, **dict.fromkeys(counters, pods), **members}


def running(age: float = 60, **members: Any) -> dict[str, Any]:
    """Return the status of an Experiment that runs for so many seconds."""
    return {
        "phase": "Running",
        "availableAt": format_time(NOW - age),
        "templateStatuses": [template_status()],
        **members,
    }


def experiment(
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Observed:
    """Return the snapshot of an Experiment.

    Args:
        spec: Members of the spec to add or replace.
        status: The status; by default that of a new one.
        changes: Fields of the snapshot to replace.
    """
    raw = {"templates": [template()], **(spec or {})}
    fields: dict[str, Any] = {
        "namespace": "default",
        "name": "exp",
        "uid": "uid-exp",
        "resource_version": "1",
        "key": "default/exp",
        "labels": {},
        "is_deleting": False,
        "spec": ExperimentSpec.load(raw),
        "raw_spec": raw,
        "status": ExperimentStatus.load(dict(status or {})),
    }
    return Observed(**{**fields, **changes})
