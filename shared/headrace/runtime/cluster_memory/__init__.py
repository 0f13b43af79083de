"""The Cluster port in memory: an API server with the controllers that rollouts need.

For the demo, the simulator and fast tests; it passes the same contract tests as `cluster_kube`.
"""

from headrace.runtime.cluster_memory.client import Interceptor, MemoryClient, Request
from headrace.runtime.cluster_memory.cluster import MemoryCluster, MemoryClusterSettings
from headrace.runtime.cluster_memory.pods import CRASHING, NEVER_READY, UNPULLABLE, PodBehaviour
from headrace.runtime.cluster_memory.watches import MemoryWatch

__all__ = [
    "CRASHING",
    "NEVER_READY",
    "UNPULLABLE",
    "Interceptor",
    "MemoryClient",
    "MemoryCluster",
    "MemoryClusterSettings",
    "MemoryWatch",
    "PodBehaviour",
    "Request",
]
