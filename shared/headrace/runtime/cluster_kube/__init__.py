"""The Cluster port on a real API server."""

from headrace.runtime.cluster_kube.cluster import (
    KubeCluster,
    KubeClusterSettings,
    RequestObserver,
)
from headrace.runtime.cluster_kube.connection import Kubeconfig, Overrides

__all__ = ["KubeCluster", "KubeClusterSettings", "Kubeconfig", "Overrides", "RequestObserver"]
