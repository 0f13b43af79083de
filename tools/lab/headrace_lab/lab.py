"""The lab as a program uses it: tests, the demo, and the command line."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import threading
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

from headrace_lab import ports as port_numbers
from headrace_lab.api import ApiClient
from headrace_lab.cache import Cache
from headrace_lab.console import ConsoleRecord, read_topic
from headrace_lab.credentials import IDENTITIES, SERVICES
from headrace_lab.errors import LabError
from headrace_lab.parts import PARTS, PORT_NAMES, kafka, named, select
from headrace_lab.processes import OWNER_VARIABLE, OwnedProcess, owned_by, spawn
from headrace_lab.progress import Progress
from headrace_lab.running import RunningPart
from headrace_lab.site import Part, Site
from headrace_lab.state import Options, State, StateFile
from headrace_lab.toolchain import JAVA, envoy_binary, require

# Set by `env`, so that commands and tests of a shell use the same lab.
DIRECTORY_VARIABLE: Final = "HEADRACE_LAB_DIR"
# What a lab leaves in its folder when it ends: what somebody may want to read afterwards.
KEPT: Final = ("logs",)
MADE: Final = (
    "etcd",
    "kafka",
    "prometheus",
    "prometheus.yaml",
    "certs",
    "pki",
    "kubeconfigs",
    "targets",
    "pods",
    "envoy",
    "ready",
    "audit-policy.json",
    "state.json",
    "state.lock",
)
# Small second octets belong to the machine itself (127.0.0.1, 127.0.1.1, 127.0.0.53).
POD_NETWORKS: Final = range(16, 255)


@dataclass(frozen=True, slots=True)
class PartStatus:
    """What `status` tells of one part."""

    name: str
    pid: int | None
    running: bool
    ready: bool


class Lab:
    """A lab in a folder; make one with `start` or `attach`."""

    def __init__(self, directory: Path, cache: Cache | None = None) -> None:
        self.directory = directory.resolve()
        self._cache = cache if cache is not None else Cache()
        self._state = StateFile(self.directory)

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        parts: Iterable[str] | None = None,
        options: Options | None = None,
        ports: Mapping[str, int] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Start a lab, or what is not running of it, and wait until all of it serves.

        Args:
            directory: The lab's folder; None means `default_directory()`.
            parts: Names of parts and groups, with what they need; None means all.
            options: How to run it; None keeps what a lab in this folder has.
            ports: Chosen ports by name; the others are free ones.
            progress: Where to tell what happens.

        Raises:
            LabError: With a message for a person. A lab that was new is stopped again.
        """
        lab = cls(directory if directory is not None else default_directory())
        progress = progress if progress is not None else Progress(quiet=True)
        wanted = _existing(select(parts), progress)
        with lab._state.lock("up.lock"):
            is_new = not lab._state.exists()
            _prepare(lab._cache, wanted, progress)
            lab._settle(wanted, options, ports or {})
            with ExitStack() as undo:
                if is_new:
                    undo.callback(lab._tear_down, keep_data=False)
                lab._bring_up(progress)
                undo.pop_all()
        return lab

    @classmethod
    def attach(cls, directory: Path | None = None) -> Self:
        """Use a lab that was started before.

        Raises:
            NotRunning: There is none in the folder.
        """
        lab = cls(directory if directory is not None else default_directory())
        lab._state.read()
        return lab

    def stop(self, *, keep_data: bool = False) -> None:
        """Stop everything; without `keep_data` only logs stay. Twice is as good as once."""
        if not self.directory.exists():
            return
        with self._state.lock("up.lock"):
            self._tear_down(keep_data=keep_data)
        if not keep_data:
            (self.directory / "up.lock").unlink(missing_ok=True)

    # What it consists of

    def part(self, name: str) -> RunningPart:
        """Return one part, to be killed, started, frozen or awaited."""
        return RunningPart(named(name), self._site, self._state)

    def status(self) -> list[PartStatus]:
        """Return what each part of the lab does."""
        found = []
        for name in self._state.read().parts:
            part = self.part(name)
            process = part.process
            running = part.is_running
            pid = process.pid if process is not None and running else None
            found.append(PartStatus(name, pid, running, running and part.is_ready()))
        return found

    def port(self, name: str) -> int:
        """Return a port by its name."""
        return self._site.ports[name]

    @property
    def api_server_url(self) -> str:
        """Where the API server listens."""
        return self._site.api_server_url

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address for everybody."""
        return self._site.address("kafka")

    @property
    def prometheus_url(self) -> str:
        """Prometheus' address."""
        return f"http://{self._site.address('prometheus')}"

    @property
    def envoy_url(self) -> str:
        """Where requests to the mesh enter; the Host header names the root Service."""
        return f"http://{self._site.address('envoy')}"

    @property
    def envoy_admin_url(self) -> str:
        """Envoy's admin address."""
        return f"http://{self._site.address('envoy-admin')}"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log; written only while audit is on."""
        return self._site.audit_log

    def log(self, part: str) -> Path:
        """Return the path of a part's log."""
        return self._site.log(part)

    def kubeconfig(self, identity: str = "admin") -> Path:
        """Return the path of an identity's kubeconfig."""
        return self._site.credentials.kubeconfig(identity)

    def api(self, identity: str = "admin") -> ApiClient:
        """Return a synchronous client of the API server."""
        return self._site.api(identity)

    def describe(self) -> dict[str, Any]:
        """Return everything that a program needs to use the lab, as JSON types."""
        return {
            "directory": str(self.directory),
            "api_server": self.api_server_url,
            "kubeconfigs": {who.name: str(self.kubeconfig(who.name)) for who in IDENTITIES},
            "bootstrap_servers": self.bootstrap_servers,
            "prometheus_url": self.prometheus_url,
            "envoy_url": self.envoy_url,
            "envoy_admin_url": self.envoy_admin_url,
            "audit_log": str(self.audit_log),
            "ports": dict(self._site.ports),
        }

    # What tests do to it

    def compact_etcd(self) -> int:
        """Compact etcd up to now and return the revision; see `expire_watches`."""
        key = base64.b64encode(b"\0").decode()
        header = self._etcd("range", {"key": key, "range_end": key, "limit": "1"})["header"]
        revision = int(header["revision"])
        self._etcd("compaction", {"revision": str(revision), "physical": True})
        return revision

    def advance_etcd(self) -> int:
        """Write something that nobody reads, and return the revision that it made."""
        key = base64.b64encode(b"/headrace-lab/revision").decode()
        return int(self._etcd("put", {"key": key, "value": key})["header"]["revision"])

    def expire_watches(self) -> int:
        """End every watch, and let every resumption answer 410; return the revision.

        A compaction alone is not enough, since the API server goes on serving older
        resourceVersions from its own cache. So it is killed, etcd moves on to a revision that no
        client has seen, and the server's new cache begins there.
        """
        server = self.part("apiserver")
        server.kill()
        self.advance_etcd()
        revision = self.compact_etcd()
        self.revive_api_server()
        return revision

    def revive_api_server(self) -> None:
        """Start the API server after it was killed, and return when the lab serves as before.

        The controller-manager starts anew, too: after an outage it looks again with a back-off of
        up to half a minute, and no ReplicaSet would have pods before.
        """
        server = self.part("apiserver")
        server.start()
        server.wait_ready()
        manager = self.part("controller-manager")
        if manager.is_running:
            manager.restart()

    def set_audit(self, *, enabled: bool) -> Path:
        """Switch the audit log on (truncated) or off, and return its path.

        The API server is restarted for it.
        """
        self._state.change(lambda s: replace(s, options=replace(s.options, audit=enabled)))
        server = self.part("apiserver")
        server.kill()
        if enabled:
            self.audit_log.unlink(missing_ok=True)
        server.start()
        server.wait_ready()
        return self.audit_log

    def console_consumer(self, topic: str, records_max: int) -> list[ConsoleRecord]:
        """Return a topic's first records as Kafka's console consumer prints them."""
        java = kafka.java(self._site, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        return read_topic(java, self.bootstrap_servers, topic, records_max=records_max)

    def run(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> OwnedProcess:
        """Start a process beside the lab's parts, such as a service; it ends with the lab.

        Args:
            name: Of its log.
            argv: The command; the program by its full path.
            env: Added to this process's environment.
        """
        environment = {**os.environ, **(env or {}), OWNER_VARIABLE: str(self.directory)}
        return spawn(argv, log=self.log(name), env=environment)

    # Inside

    @property
    def _site(self) -> Site:
        state = self._state.read()
        return Site(self.directory, state.ports, state.options, state.pod_network, self._cache)

    def _settle(
        self, parts: tuple[str, ...], options: Options | None, ports: Mapping[str, int]
    ) -> None:
        """Write down what the lab shall be, keeping what runs."""
        if not self._state.exists():
            rng = random.Random()
            state = State(
                options=options or Options(),
                ports=port_numbers.choose(PORT_NAMES, ports, rng),
                parts=parts,
                pod_network=rng.choice(POD_NETWORKS),
            )
            self._state.create(state)
            self._site.credentials.create(self.api_server_url)
            return
        state = self._state.read()
        is_running = any(process.is_alive() for process in state.processes.values())
        if is_running and options is not None and options != state.options:
            raise LabError(f"the lab in {self.directory} runs with {state.options}; stop it first")
        moved = {name for name, port in ports.items() if state.ports.get(name) != port}
        if moved:
            raise LabError(f"the lab in {self.directory} has other ports for {sorted(moved)}")
        union = tuple(part.name for part in PARTS if part.name in {*state.parts, *parts})
        changed = replace(state, parts=union, options=options or state.options)
        self._state.change(lambda _: changed)

    def _bring_up(self, progress: Progress) -> None:
        """Start all parts, each as soon as those that it needs serve."""
        site = self._site
        parts = [named(name) for name in self._state.read().parts]
        cancelled = threading.Event()
        futures: dict[str, Future[None]] = {}

        def bring_up(part: Part) -> None:
            for need in part.needs:
                futures[need].result()
            running = RunningPart(part, site, self._state)
            if running.is_ready():
                progress.say(f"{part.name} runs")
            else:
                with progress.step(part.name):
                    running.start()
                    running.wait_ready(cancelled=cancelled)
            part.on_ready(site)

        with ThreadPoolExecutor(max_workers=len(parts) + 1) as pool:
            try:
                for part in parts:
                    futures[part.name] = pool.submit(bring_up, part)
                done, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
            finally:
                cancelled.set()
        # Those that are done now are all of them, or the first that failed; what fails later
        # fails because it was cancelled.
        for future in done:
            future.result()

    def _tear_down(self, *, keep_data: bool) -> None:
        if self._state.exists():
            for name in reversed(self._state.read().parts):
                self.part(name).stop(hurry=not keep_data)
        for process in owned_by(str(self.directory)):
            process.kill()
        if not keep_data:
            for name in MADE:
                _remove(self.directory / name)

    def _etcd(self, verb: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://{self._site.address('etcd')}/v3/kv/{verb}",
            method="POST",
            data=json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)


def default_directory() -> Path:
    """Return `$HEADRACE_LAB_DIR`, else `.lab` where the command runs."""
    return Path(os.environ.get(DIRECTORY_VARIABLE, ".lab"))


def proxied_port(service: str) -> str:
    """Return the name of the port where a service's fault proxy for Kafka listens."""
    return _service_port(service, "proxy")


def direct_port(service: str) -> str:
    """Return the name of the port where the broker listens for a service's fault proxy."""
    return _service_port(service, "direct")


def _service_port(service: str, way: str) -> str:
    if service not in SERVICES:
        raise LabError(f"no listener of the broker is for {service} (only {', '.join(SERVICES)})")
    return f"kafka-{way}-{service}"


def _existing(names: tuple[str, ...], progress: Progress) -> tuple[str, ...]:
    """Leave out parts of our own whose module is not there."""
    found = []
    for name in names:
        module = named(name).module
        if module and find_spec(module) is None:
            progress.say(f"{name} is left out: there is no module {module}")
        else:
            found.append(name)
    return tuple(found)


def check_tools(cache: Cache, names: Iterable[str]) -> None:
    """Check that the machine has what running some parts, and building the missing ones, needs.

    Raises:
        ToolMissing: With a line for each tool that is missing or too old.
    """
    parts = [named(name) for name in names]
    artifacts = dict.fromkeys(artifact for part in parts for artifact in part.artifacts)
    missing = [artifact for artifact in artifacts if not cache.has(artifact)]
    tools = [tool for artifact in missing for tool in artifact.tools]
    if any(part.name == "kafka" for part in parts):
        tools.append(JAVA)
    require(list(dict.fromkeys(tools)))
    if any(part.name == "envoy" for part in parts):
        envoy_binary()


def _prepare(cache: Cache, names: Iterable[str], progress: Progress) -> None:
    """Check and build everything before the first process is started."""
    names = list(names)
    check_tools(cache, names)
    artifacts = dict.fromkeys(artifact for name in names for artifact in named(name).artifacts)
    cache.ensure(list(artifacts), progress)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
