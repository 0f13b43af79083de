"""What a service stands on, whether it runs alone, in the all-in-one or in a test.

A service is a component over these ports: it constructs no adapter itself. `app.py` of each
service, the all-in-one, the demo and the tests give it theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.backoff import Rng
from headrace.events.topics import Topics
from headrace.runtime.bus import Bus
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Ownership
from headrace.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside of a service.

    Attributes:
        cluster: The API server, with the identity of the service.
        bus: The broker.
        topics: Names of the topics.
        ownership: Which keys this replica may act for.
        recorder: For Kubernetes Events.
        source: UID of the kube-system namespace, by which clusters are told apart.
    """

    cluster: Cluster
    bus: Bus
    topics: Topics
    ownership: Ownership
    clock: Clock
    rng: Rng
    recorder: Recorder
    metrics: Metrics
    source: str
