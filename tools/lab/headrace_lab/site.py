"""What the parts of one lab share, and what a part is."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace_lab.api import ApiClient
from headrace_lab.cache import Artifact, Cache
from headrace_lab.credentials import Credentials
from headrace_lab.state import Options

READY_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """One lab: its folder, its ports, its options.

    Attributes:
        directory: Absolute.
        ports: By name; see `PORT_NAMES`.
        options: How the lab is run.
        pod_network: N of 127.N.0.0/16, where the lab's pods listen.
        cache: Where built parts are.
    """

    directory: Path
    ports: Mapping[str, int]
    options: Options
    pod_network: int
    cache: Cache

    def address(self, port_name: str) -> str:
        """Return host and port of a server of the lab."""
        return f"127.0.0.1:{self.ports[port_name]}"

    @property
    def credentials(self) -> Credentials:
        """Certificates, tokens and kubeconfigs."""
        return Credentials(self.directory)

    @property
    def api_server_url(self) -> str:
        """Where the API server listens."""
        return f"https://{self.address('apiserver')}"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, when `options.audit` is set."""
        return self.directory / "logs" / "audit.log"

    def log(self, part: str) -> Path:
        """Return the path of a part's log."""
        return self.directory / "logs" / f"{part}.log"

    def ready_file(self, part: str) -> Path:
        """Return what a part of our own creates when it does its work."""
        return self.directory / "ready" / part

    def api(self, identity: str = "admin") -> ApiClient:
        """Return a client of the API server."""
        credentials = self.credentials
        return ApiClient(
            self.api_server_url, credentials.token(identity), str(credentials.authority)
        )

    def http_ok(self, port_name: str, path: str) -> bool:
        """Say whether a plain HTTP server of the lab answers 200 there."""
        url = f"http://{self.address(port_name)}{path}"
        try:
            with urllib.request.urlopen(url, timeout=READY_TIMEOUT_SECONDS) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False


def _nothing(site: Site) -> None:
    del site


@dataclass(frozen=True, slots=True)
class Part:
    """A server of the lab: how it is prepared, started, found ready, and stopped.

    Attributes:
        name: Its name, also of its log.
        argv: Its command line.
        is_ready: Whether it serves.
        prepare: Writes its files before every start.
        on_ready: What follows the first start and every `up`; what needs it waits for that.
        needs: Parts that must be ready before it starts.
        port_names: The ports it listens on.
        artifacts: What it is made of.
        stop_seconds: How long it may take to end; 0 for a server that is simply killed.
        module: Python module of a part of our own; without it the part is left out.
    """

    name: str
    argv: Callable[[Site], list[str]]
    is_ready: Callable[[Site], bool]
    prepare: Callable[[Site], None] = _nothing
    on_ready: Callable[[Site], None] = _nothing
    needs: tuple[str, ...] = ()
    port_names: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    stop_seconds: float = 0.0
    module: str = ""
