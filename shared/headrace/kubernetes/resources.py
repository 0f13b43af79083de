"""The kinds of Kubernetes objects that Headrace reads or writes.

A `Resource` is an address: adapters turn it into a URL, the memory cluster into a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Manifest = dict[str, Any]
"""A Kubernetes object as decoded JSON. Shared by caches: treat it as immutable, copy to change."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind of object lives in the API.

    Attributes:
        group: API group; empty for the core group.
        version: API version, as `v1`.
        plural: Lower-case plural, as in the URL.
        kind: CamelCase kind.
        is_namespaced: False for cluster-scoped kinds.
        has_status: True when `status` is a subresource of its own.
    """

    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True
    has_status: bool = False

    @property
    def api_version(self) -> str:
        """`group/version`, or only the version in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def at_version(self, version: str) -> Resource:
        """Return the same kind at another served version."""
        return replace(self, version=version)


ARGO_GROUP = "argoproj.io"

ROLLOUTS = Resource(ARGO_GROUP, "v1alpha1", "rollouts", "Rollout", has_status=True)
ANALYSIS_TEMPLATES = Resource(ARGO_GROUP, "v1alpha1", "analysistemplates", "AnalysisTemplate")
CLUSTER_ANALYSIS_TEMPLATES = Resource(
    ARGO_GROUP, "v1alpha1", "clusteranalysistemplates", "ClusterAnalysisTemplate", False
)
ANALYSIS_RUNS = Resource(ARGO_GROUP, "v1alpha1", "analysisruns", "AnalysisRun")
EXPERIMENTS = Resource(ARGO_GROUP, "v1alpha1", "experiments", "Experiment")

REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", has_status=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", has_status=True)
POD_TEMPLATES = Resource("", "v1", "podtemplates", "PodTemplate")
PODS = Resource("", "v1", "pods", "Pod", has_status=True)
SERVICES = Resource("", "v1", "services", "Service", has_status=True)
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False, has_status=True)
EVENTS = Resource("", "v1", "events", "Event")
JOBS = Resource("batch", "v1", "jobs", "Job", has_status=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRDS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    False,
    has_status=True,
)
TRAFFIC_SPLITS = Resource("split.smi-spec.io", "v1alpha1", "trafficsplits", "TrafficSplit")
HTTP_ROUTES = Resource(
    "gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", has_status=True
)
POD_DISRUPTION_BUDGETS = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", has_status=True
)
