"""Apache Kafka in KRaft mode: one node that is broker and controller.

Besides the listener of everybody there is one per service: the broker listens on
`kafka-direct-<service>` and tells clients to come to `kafka-proxy-<service>`. A service that is
started with the latter as its bootstrap server can be reached only through a fault proxy there.
"""

from __future__ import annotations

import base64
import secrets
import socket
import struct
from collections.abc import Iterator
from typing import Final

from headrace_lab import artifacts
from headrace_lab.commands import run_logged
from headrace_lab.credentials import SERVICES
from headrace_lab.site import READY_TIMEOUT_SECONDS, Part, Site
from headrace_lab.toolchain import JAVA, find

LOG_CONFIG: Final = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
"""
HEAP: Final = {
    "default": ("-Xms256m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "throughput": ("-Xms256m", "-Xmx1G"),
}
API_VERSIONS: Final = 18


def listeners(site: Site) -> Iterator[tuple[str, str, str]]:
    """Yield name, address to listen on, and advertised address of each client listener."""
    yield "PLAINTEXT", site.address("kafka"), site.address("kafka")
    for service in SERVICES:
        name = "PROXY_" + service.upper().replace("-", "_")
        yield name, site.address(f"kafka-direct-{service}"), site.address(f"kafka-proxy-{service}")


def server_properties(site: Site) -> str:
    """Return the broker's configuration."""
    clients = list(listeners(site))
    controller = site.address("kafka-controller")
    plain = ["CONTROLLER:PLAINTEXT", *(f"{name}:PLAINTEXT" for name, _, _ in clients)]
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": ",".join(
            [f"CONTROLLER://{controller}", *(f"{name}://{bound}" for name, bound, _ in clients)]
        ),
        "advertised.listeners": ",".join(f"{name}://{told}" for name, _, told in clients),
        "listener.security.protocol.map": ",".join(plain),
        "log.dirs": f"{site.directory}/kafka/data",
        "num.partitions": "1",
        # Whoever reads a topic that is not there must not create it with one partition.
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker registers again only when its former session has ended (default 9 s).
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "log.cleaner.dedupe.buffer.size": "2097152",
        "num.network.threads": "2",
        "num.io.threads": "2",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def java(site: Site, *options: str) -> list[str]:
    """Return the start of a Java command with Kafka's jars."""
    return [
        find(JAVA),
        *options,
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile=file:{site.directory}/kafka/log4j2.properties",
        "-cp",
        f"{site.cache.place(artifacts.KAFKA)}/libs/*",
    ]


def _prepare(site: Site) -> None:
    folder = site.directory / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log4j2.properties").write_text(LOG_CONFIG)
    properties = folder / "server.properties"
    properties.write_text(server_properties(site))
    if (folder / "data" / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
    # An id that begins with a dash would be read as an option.
    cluster = "A" + cluster[1:]
    small = java(site, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    run_logged(
        [*small, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
        log=site.log("kafka"),
        cwd=folder,
    )


def _argv(site: Site) -> list[str]:
    properties = str(site.directory / "kafka" / "server.properties")
    return [*java(site, *HEAP[site.options.profile]), "kafka.Kafka", properties]


def _is_ready(site: Site) -> bool:
    """Ask for the versions of its protocol: a starting broker accepts, but does not answer."""
    request = struct.pack(">hhih", API_VERSIONS, 0, 1, 0)
    try:
        with socket.create_connection(
            ("127.0.0.1", site.ports["kafka"]), READY_TIMEOUT_SECONDS
        ) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


KAFKA: Final = Part(
    name="kafka",
    argv=_argv,
    is_ready=_is_ready,
    prepare=_prepare,
    port_names=(
        "kafka",
        "kafka-controller",
        *(f"kafka-{way}-{service}" for service in SERVICES for way in ("direct", "proxy")),
    ),
    artifacts=(artifacts.KAFKA,),
    stop_seconds=15.0,
)
