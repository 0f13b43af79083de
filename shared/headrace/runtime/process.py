"""From settings to a running process: the composition of ports that all services share.

Together with each service's `app.py`, which says what components the process holds, this is the
only place where adapters are made. What a test gives a component by hand, this gives it from
flags and environment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from headrace.errors import INSTALL_CRDS, NotFound, RolloutError
from headrace.events.topics import Topics, TopicSettings, group_name, topics
from headrace.kubernetes.resources import ARGO_GROUP, NAMESPACES, ROLLOUTS
from headrace.runtime import logs
from headrace.runtime.bus import Bus
from headrace.runtime.bus_kafka import KafkaBus, KafkaSettings
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.cluster import Cluster
from headrace.runtime.cluster_kube import KubeCluster, KubeClusterSettings, Kubeconfig
from headrace.runtime.component import Ports
from headrace.runtime.http import HttpServer, HttpSettings
from headrace.runtime.lease import Terms
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.metrics import CONTENT_TYPE, BusMetrics, Metrics
from headrace.runtime.ownership import Layout, Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from headrace.runtime.settings import ServiceSettings

log = structlog.get_logger(__name__)


class Component(Protocol):
    """A service over its ports."""

    @property
    def caches(self) -> Part:
        """The part that fills its caches; it comes before the Leases."""
        ...

    @property
    def work(self) -> Sequence[Part]:
        """The parts that act; they come after the Leases."""
        ...


Build = Callable[[Ports], Component]


@dataclass(frozen=True, slots=True)
class Program:
    """What a process is.

    Attributes:
        name: As `rollout-controller`; names Leases and consumer groups.
        components: Makers of its components, by the name of the service.
    """

    name: str
    components: Mapping[ServiceName, Build]


async def serve(settings: ServiceSettings, program: Program) -> None:
    """Run a program until a signal.

    Raises:
        InvalidSpec: The kubeconfig or a topic name is not usable; the text says why.
    """
    logs.configure(settings.log_level, settings.log_format, service=program.name)
    for notice in settings.notices:
        log.warning("flag without effect", notice=notice)
    clock = SystemClock()
    metrics = Metrics(program.components, clock)
    cluster = await _connect(settings, clock, metrics)
    try:
        await _Process(settings, program, clock, metrics, cluster).run()
    finally:
        await cluster.close()


async def _connect(settings: ServiceSettings, clock: Clock, metrics: Metrics) -> KubeCluster:
    return await KubeCluster.connect(
        Kubeconfig(settings.kubeconfig, settings.context),
        clock=clock,
        settings=KubeClusterSettings(),
        observer=metrics.request,
    )


class _Process:
    """The parts of one process, in the order in which they start."""

    def __init__(
        self,
        settings: ServiceSettings,
        program: Program,
        clock: Clock,
        metrics: Metrics,
        cluster: KubeCluster,
    ) -> None:
        self._settings = settings
        self._program = program
        self._clock = clock
        self._metrics = metrics
        self._cluster = cluster
        self._rng = random.Random()
        self._topics = topics(topic_settings(settings))
        self._bus = self._make_bus()
        self._ownership = Ownership(cluster, clock, self._membership())
        self._source = ""
        self._service = Service(
            program.name,
            base=(self._http_part(),),
            checks=(self._find_source, self._find_schema),
            parts=self._parts,
            grace_seconds=settings.shutdown_grace_seconds,
        )
        metrics.sample("headrace_runtime_ready", lambda: [((), float(not self._missing()))])
        self._bus.observe(BusMetrics(metrics))
        metrics.sample("headrace_runtime_bus_up", lambda: [((), float(self._bus.is_up))])
        metrics.sample(
            "headrace_runtime_bus_queued_events", lambda: [((), float(self._bus.queued))]
        )
        metrics.sample(
            "headrace_runtime_lease_held",
            lambda: [((str(shard),), 1.0) for shard in sorted(self._ownership.shards)],
        )

    async def run(self) -> None:
        """Live until a signal."""
        if self._settings.bus == "memory" and len(self._program.components) == 1:
            log.info("memory bus: this service uses the durable path only")
        await self._service.run()

    def _make_bus(self) -> Bus:
        settings = self._settings
        group = group_name(self._program.name, topic_settings(settings))
        if settings.bus == "memory":
            broker = MemoryBroker()
            broker.is_up = len(self._program.components) > 1  # alone there is nobody to talk to
            return MemoryBus(broker, group)
        return KafkaBus(kafka_settings(settings, group), self._topics.all(), self._clock, self._rng)

    def _membership(self) -> Membership:
        settings = self._settings
        return Membership(
            service=self._program.name,
            namespace=settings.lease_namespace or self._cluster.default_namespace,
            identity=settings.identity,
            instance_id=settings.instance_id,
            layout=Layout(settings.partitions, settings.shards),
            terms=Terms(
                settings.lease_duration_seconds,
                settings.lease_renew_seconds,
                settings.lease_retry_seconds,
            ),
        )

    # What must be known first

    async def _find_source(self) -> str:
        """Read the uid by which clusters are told apart."""
        try:
            namespace = await self._cluster.get(NAMESPACES, None, "kube-system")
        except NotFound:
            return "the namespace kube-system, whose uid names this cluster"
        except RolloutError as error:
            return f"the namespace kube-system: {error}"
        self._source = str(namespace["metadata"]["uid"])
        return ""

    async def _find_schema(self) -> str:
        """Look whether the installed CRD keeps what we remember in the status."""
        try:
            document = await self._cluster.openapi(ARGO_GROUP, ROLLOUTS.version)
        except NotFound:
            return f"the CRDs of {ARGO_GROUP}: {INSTALL_CRDS}"
        except RolloutError as error:
            return f"the schema of {ARGO_GROUP}: {error}"
        if keeps_headrace(document):
            return ""
        return f"status.headrace in the CRD of Rollouts, which drops it: {INSTALL_CRDS}"

    # Parts

    def _http_part(self) -> Part:
        settings = self._settings
        server = HttpServer(
            HttpSettings(settings.bind_address, settings.metrics_port, settings.health_port),
            expose=self._metrics.expose,
            content_type=CONTENT_TYPE,
            missing=self._missing,
            notes=self._notes,
        )
        return Part("http", start=server.start, close=server.close)

    def _missing(self) -> Sequence[str]:
        return self._service.missing()

    def _notes(self) -> Sequence[str]:
        shards = ", ".join(str(shard) for shard in sorted(self._ownership.shards))
        return (f"leases: {shards or 'none'}",)

    def _parts(self) -> Sequence[Part]:
        """Return the parts, when all that the ports need is known."""
        ports = self._ports()
        components = [build(ports) for build in self._program.components.values()]
        return (
            Part("bus", start=self._bus.start, close=self._bus.close),
            *(component.caches for component in components),
            ownership_part(self._ownership),
            Part("events", run=ports.recorder.run, close=ports.recorder.catch_up),
            *(part for component in components for part in component.work),
        )

    def _ports(self) -> Ports:
        cluster: Cluster = self._cluster
        recorder = Recorder(
            lambda key: self._ownership.guard(cluster, key), self._clock, self._metrics
        )
        return Ports(
            cluster=cluster,
            bus=self._bus,
            topics=self._topics,
            ownership=self._ownership,
            clock=self._clock,
            rng=self._rng,
            recorder=recorder,
            metrics=self._metrics,
            source=self._source,
        )


def topic_settings(settings: ServiceSettings) -> TopicSettings:
    """Return what the topics' names and sizes are made of."""
    return TopicSettings(
        cluster=settings.cluster_name,
        instance_id=settings.instance_id,
        prefix=settings.topic_prefix,
        partitions=settings.partitions,
        retention_seconds=int(settings.topic_retention_seconds),
    )


def topics_of(settings: ServiceSettings) -> Topics:
    """Return the topics that a process with these settings uses."""
    return topics(topic_settings(settings))


def kafka_settings(settings: ServiceSettings, group: str) -> KafkaSettings:
    """Return how to reach the broker."""
    password = settings.kafka_password.get_secret_value() if settings.kafka_password else None
    if settings.kafka_password_file is not None:
        password = Path(settings.kafka_password_file).read_text(encoding="utf-8").strip()
    replication = settings.topic_replication_factor
    return KafkaSettings(
        bootstrap_servers=",".join(settings.bootstrap_servers),
        group=group,
        client_id=settings.identity,
        security_protocol=settings.kafka_security_protocol,
        ca_file=settings.kafka_ca_file,
        certificate_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=password,
        replication_factor=None if replication < 0 else replication,
    )


def keeps_headrace(document: Mapping[str, Any]) -> bool:
    """Return whether a published schema of Rollouts has `status.headrace`."""
    schemas = (document.get("components") or {}).get("schemas") or {}
    for schema in schemas.values():
        kinds = schema.get("x-kubernetes-group-version-kind") or ()
        if any(kind.get("kind") == ROLLOUTS.kind for kind in kinds):
            status = (schema.get("properties") or {}).get("status") or {}
            return "headrace" in (status.get("properties") or {})
    return False
