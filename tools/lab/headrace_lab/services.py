"""Headrace's services as processes of the lab, each under its own identity.

They are run by their commands, as anybody would run them; nothing of them is imported. Tests
kill, freeze and start them again; the health port of each is read from its log.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.error import URLError

from headrace_lab.errors import LabError
from headrace_lab.lab import Lab
from headrace_lab.processes import OwnedProcess
from headrace_lab.records import Record, read

MODULES: Final = {
    "rollout-controller": "rollout_controller",
    "traffic-router": "traffic_router",
    "analysis-runner": "analysis_runner",
    "all-in-one": "headrace_all_in_one",
}
THREE: Final = ("rollout-controller", "traffic-router", "analysis-runner")

CLUSTER: Final = "default"
FACTS: Final = ("steps", "traffic", "verdicts")
"""Topics that only the services write to."""

SHORT: Final = {
    "lease-duration-seconds": "3",
    "lease-renew-seconds": "0.8",
    "lease-retry-seconds": "0.3",
}
"""Times that a test would have to sit out."""

ROUTE_SHORT: Final = {
    "route-valid-seconds": "6",
    "route-renew-seconds": "3",
    "route-resend-seconds": "0.5",
}

_CRASH: Final = re.compile(r"crashed|invariant violated|part failed|service failed|Traceback")
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 20.0


@dataclass(slots=True)
class LabService:
    """One process of a service.

    Attributes:
        name: As `traffic-router`.
        replica: Tells several of one service apart.
        flags: Without the two dashes; the ports are chosen here.
        kubeconfig: Another one than the service's own, such as a proxy's.
        log_begin: Where its log begins in the file, which earlier ones of its name wrote, too.
    """

    lab: Lab
    name: str
    replica: int = 0
    flags: dict[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    kubeconfig: Path | None = None
    health_port: int = 0
    metrics_port: int = 0
    process: OwnedProcess | None = None
    log_begin: int = -1

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self.health_port, self.metrics_port = free_port(), free_port()
        if self.log_begin < 0:
            log = self.lab.log(self.log_name)
            self.log_begin = log.stat().st_size if log.exists() else 0
        self.process = self.lab.run(self.log_name, self._command(), env=dict(self.env))

    def wait_ready(self, timeout_seconds: float = 30.0) -> None:
        """Return when `/readyz` answers 200. Raises LabError with the end of the log."""
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if time.monotonic() >= deadline or not self.is_alive():
                raise LabError(f"{self.log_name} is not ready:\n{self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def is_ready(self) -> bool:
        """Say whether `/readyz` answers 200 now."""
        try:
            url = f"http://127.0.0.1:{self.health_port}/readyz"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def has_leases(self) -> bool:
        """Say whether it holds the Lease of a shard now."""
        return re.search(r"^headrace_runtime_lease_held\{.*\} 1", self.metrics(), re.M) is not None

    def is_alive(self) -> bool:
        """Say whether the process runs."""
        return self.process is not None and self.process.is_alive()

    def kill(self) -> None:
        """Send SIGKILL and wait until it is gone."""
        if self.process is not None:
            self.process.kill()

    def ask_to_stop(self) -> None:
        """Send SIGTERM, also to a frozen one, and do not wait."""
        if self.process is not None:
            self.process.send(signal.SIGTERM)
            self.process.resume()

    def wait_stopped(self) -> None:
        """Wait until it has ended as it was asked to, or kill it after a while."""
        if self.process is not None and not self.process.wait_gone(_STOP_SECONDS):
            self.process.kill()

    def stop(self) -> None:
        """Let it end in order."""
        self.ask_to_stop()
        self.wait_stopped()

    def suspend(self) -> None:
        """Freeze it by SIGSTOP."""
        if self.process is not None:
            self.process.suspend()

    def resume(self) -> None:
        """Let a frozen one go on."""
        if self.process is not None:
            self.process.resume()

    def metrics(self) -> str:
        """Return what Prometheus would scrape."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    def series(self) -> int:
        """Return how many series Prometheus would scrape."""
        return sum(not line.startswith("#") for line in self.metrics().splitlines())

    @property
    def log_name(self) -> str:
        """Name of its log."""
        instance = self.flags.get("instance-id", "")
        return "-".join(part for part in (self.name, instance, str(self.replica)) if part)

    def log(self) -> str:
        """Return everything that it has logged since its first start."""
        path = self.lab.log(self.log_name)
        if not path.exists():
            return ""
        return path.read_bytes()[max(self.log_begin, 0) :].decode(errors="replace")

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def crashes(self) -> list[str]:
        """Return lines of the log that no fault may cause."""
        return [line for line in self.log().splitlines() if _CRASH.search(line)]

    def _command(self) -> Sequence[str]:
        flags = {
            "kubeconfig": str(self.kubeconfig or self.lab.kubeconfig(self.name)),
            "lease-namespace": "headrace",
            "metrics-port": str(self.metrics_port),
            "health-port": str(self.health_port),
            "identity": f"{self.log_name}-{time.monotonic_ns():x}",
            **self.flags,
        }
        words = [f"--{name}={value}" for name, value in flags.items()]
        return [sys.executable, "-m", MODULES[self.name], *words]


@dataclass(slots=True)
class Fleet:
    """Several services that are started and ended together."""

    services: list[LabService] = field(default_factory=list)

    def __getitem__(self, name: str) -> LabService:
        """Return the first replica of a service."""
        return next(service for service in self.services if service.name == name)

    @property
    def instance_id(self) -> str:
        """The instance id that all of them have; "" for none."""
        return self.services[0].flags.get("instance-id", "")

    def topic(self, name: str) -> str:
        """Return the full name of one of the topics `steps`, `traffic`, `verdicts`, ..."""
        instance = f"-{self.instance_id}" if self.instance_id else ""
        return f"headrace.{CLUSTER}{instance}.{name}"

    def records(self, key: str, *names: str) -> list[Record]:
        """Return what was said about one key on some topics; all but `commands` by default."""
        lab = self.services[0].lab
        topics = [self.topic(name) for name in names or FACTS]
        return read(lab.bootstrap_servers, topics, key)

    def wait_dead_letter(self, name: str, value: bytes, seconds: float = 15.0) -> Record:
        """Return the dead letter of a topic with a value. Raises LabError."""
        servers = self.services[0].lab.bootstrap_servers

        def found() -> list[Record]:
            letters = read(servers, [f"{self.topic(name)}.dead"])
            return [letter for letter in letters if letter.value == value]

        _wait_for(lambda: bool(found()), f"no dead letter in {name}", seconds)
        return found()[-1]

    def wait_record(self, key: str, type: str, seconds: float = 15.0) -> Record:
        """Return the last record of a type about a key, as soon as there is one.

        Raises:
            LabError: There was none in time.
        """

        def found() -> list[Record]:
            return [record for record in self.records(key) if record.type == type]

        _wait_for(lambda: bool(found()), f"no {type} of {key}", seconds)
        return found()[-1]

    def add_standby(self, name: str) -> LabService:
        """Start a second replica of a service that holds the Leases, and return it."""
        first = self[name]
        _wait_for(first.has_leases, f"{first.log_name} has no Lease")
        standby = replace(first, replica=1, kubeconfig=None, process=None, log_begin=-1)
        self.services.append(standby)
        standby.start()
        standby.wait_ready()
        return standby

    def start(self) -> Fleet:
        """Start all that do not run, and wait until they are ready."""
        for service in self.services:
            if not service.is_alive():
                service.start()
        for service in self.services:
            service.wait_ready()
        return self

    def stop(self) -> None:
        """Let all end in order, also those that are frozen."""
        for service in self.services:
            service.ask_to_stop()
        for service in self.services:
            service.wait_stopped()

    def crashes(self) -> list[str]:
        """Return lines of the logs that no fault may cause."""
        return [f"{each.log_name}: {line}" for each in self.services for line in each.crashes()]


def three(lab: Lab, flags: Mapping[str, str], *, is_short: bool = True) -> Fleet:
    """Return the three services on Kafka, not started yet.

    Args:
        lab: Where they run.
        flags: Of all of them, without dashes.
        is_short: Whether the times that somebody must sit out are short; else the defaults.
    """
    common = {"bootstrap-servers": lab.bootstrap_servers, **flags}
    routes = dict(common)
    if is_short:
        common = {**SHORT, **common}
        routes = {**ROUTE_SHORT, **SHORT, **routes}
    return Fleet(
        [
            LabService(lab, "rollout-controller", flags=routes),
            LabService(lab, "traffic-router", flags=dict(routes)),
            LabService(lab, "analysis-runner", flags=common),
        ]
    )


def _wait_for(condition: Callable[[], bool], problem: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise LabError(f"{problem} after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
