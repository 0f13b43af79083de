"""The Cluster port on a real API server."""

from headrace.runtime.cluster_kube.cluster import (
    KubeCluster,
    KubeClusterSettings,
    RequestObserver,
)
from headrace.runtime.cluster_kube.connection import Kubeconfig

__all__ = ["KubeCluster", "KubeClusterSettings", "Kubeconfig", "RequestObserver"]
