"""Where the API server is and who we are: kubeconfig, in-cluster, exec plugins, token refresh.

The only user of kubernetes_asyncio, and of its configuration alone: requests are our own.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import aiohttp
import yaml

from headrace.errors import InvalidSpec, Unavailable
from headrace.runtime.clock import Clock

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EXPIRY_MARGIN_SECONDS: Final = 300.0
_RENEWAL_SECONDS_MIN: Final = 10.0
"""Between two readings of the credentials: what stays refused is not worth an exec plugin's
process per request."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What stands in the place of the kubeconfig's, as kubectl's flags of these names have it.

    Attributes:
        groups: To impersonate.
        impersonated_uid: To impersonate.
        impersonated_user: To impersonate.
    """

    cluster: str = ""
    user: str = ""
    server: str = ""
    tls_server_name: str = ""
    certificate_authority: str = ""
    insecure_skip_tls_verify: bool = False
    token: str = ""
    client_certificate: str = ""
    client_key: str = ""
    impersonated_user: str = ""
    impersonated_uid: str = ""
    groups: tuple[str, ...] = ()

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that ask the server to act as somebody else."""
        named = (
            ("Impersonate-User", self.impersonated_user),
            ("Impersonate-Uid", self.impersonated_uid),
            *(("Impersonate-Group", group) for group in self.groups),
        )
        return tuple((name, value) for name, value in named if value)

    def apply(self, configuration: Any) -> None:
        """Change a configuration of kubernetes_asyncio."""
        if self.server:
            configuration.host = self.server if "://" in self.server else f"http://{self.server}"
        if self.certificate_authority:
            configuration.ssl_ca_cert = self.certificate_authority
        if self.insecure_skip_tls_verify:
            configuration.verify_ssl = False
        if self.tls_server_name:
            configuration.tls_server_name = self.tls_server_name
        if self.token:
            configuration.api_key["BearerToken"] = f"Bearer {self.token}"
        if self.client_certificate:
            configuration.cert_file = self.client_certificate
        if self.client_key:
            configuration.key_file = self.client_key


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """Which configuration to use; nothing given: in a pod its own, else the user's.

    Attributes:
        path: A kubeconfig file; None for `KUBECONFIG`, else `~/.kube/config`.
        context: A context of it; None for its current one.
        overrides: What counts instead of what it says.
    """

    path: str | None = None
    context: str | None = None
    overrides: Overrides = Overrides()

    @property
    def is_in_cluster(self) -> bool:
        """Whether the pod's service account is meant."""
        is_named = bool(self.path or self.context or self.overrides.server)
        return not is_named and (_SERVICE_ACCOUNT / "token").exists()

    @property
    def is_needed(self) -> bool:
        """Whether there must be a file: an address that is given may be all there is."""
        return self.path is not None or not self.overrides.server

    def files(self) -> str:
        """Return the file, or several joined as in `KUBECONFIG`; "" where none is needed.

        Raises:
            InvalidSpec: There is none.
        """
        files = self.path or os.environ.get("KUBECONFIG") or "~/.kube/config"
        if any(Path(file).expanduser().is_file() for file in files.split(os.pathsep) if file):
            return files
        if self.is_needed:
            raise InvalidSpec(f"no kubeconfig at {files}: set --kubeconfig or KUBECONFIG")
        return ""


class Connection:
    """Address, TLS and credentials of one API server; made by `Connection.load`.

    Attributes:
        namespace: The service account's, else the context's, else "default".
    """

    def __init__(self, kubeconfig: Kubeconfig, clock: Clock) -> None:
        self._kubeconfig = kubeconfig
        self._clock = clock
        self._renewal = asyncio.Lock()
        self._read_at = 0.0
        self._configuration: Any = None
        self._expires_at: datetime | None = None
        self._tls: ssl.SSLContext | None = None
        self.namespace = "default"

    @classmethod
    async def load(cls, kubeconfig: Kubeconfig, clock: Clock) -> Connection:
        """Read the configuration.

        Raises:
            InvalidSpec: There is no usable configuration; the text says why.
            Unavailable: An identity provider did not answer.
        """
        connection = cls(kubeconfig, clock)
        await connection._read()
        return connection

    @property
    def server(self) -> str:
        """URL of the API server, without a slash at its end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def proxy(self) -> str | None:
        """URL of the HTTP proxy that the kubeconfig names."""
        return self._configuration.proxy or None

    @property
    def server_hostname(self) -> str | None:
        """Name expected in the server's certificate where the address has another."""
        return self._configuration.tls_server_name or None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every request, besides `authorization`."""
        return self._kubeconfig.overrides.headers()

    @property
    def tls(self) -> ssl.SSLContext:
        """TLS settings, the client's certificate included."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._configuration.ssl_ca_cert)
            # Python from 3.13 on refuses certificates that Go's clients take: those of clusters
            # whose authority is older than what RFC 5280 wants of its extensions.
            self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if not self._configuration.verify_ssl:
                self._tls.check_hostname = False
                self._tls.verify_mode = ssl.CERT_NONE
            self._present_certificate(self._tls)
        return self._tls

    async def authorization(self) -> str | None:
        """Return the `Authorization` header; None when a certificate says who we are."""
        configuration = self._configuration
        if configuration.refresh_api_key_hook is not None:
            # In a pod: reads the token's file again, every minute. While the kubelet replaces
            # it, the token that we have will do.
            with suppress(OSError, _library().config.ConfigException):
                configuration.refresh_api_key_hook(configuration)
        elif self._is_expiring():
            await self.renew(self._clock.monotonic())
        header: str | None = self._configuration.api_key.get("BearerToken")
        return header.strip() if header else None

    def _is_expiring(self) -> bool:
        """Whether the token of an exec plugin ends soon."""
        if self._expires_at is None:
            return False
        return self._expires_at.timestamp() - _EXPIRY_MARGIN_SECONDS <= self._clock.now()

    async def renew(self, used_at: float) -> bool:
        """Read the credentials again; return whether there may be newer ones.

        Args:
            used_at: When those that were refused were used, by the monotonic clock.
        """
        async with self._renewal:  # hundreds of requests may be refused at once
            if self._read_at > used_at:
                return True
            if self._clock.monotonic() - self._read_at < _RENEWAL_SECONDS_MIN:
                return False
            await self._read()
        if self._tls is not None:
            self._present_certificate(self._tls)  # for connections to come
        return True

    async def _read(self) -> None:
        library = _library()
        configuration = library.configuration.Configuration()
        try:
            if self._kubeconfig.is_in_cluster:
                library.config.load_incluster_config(client_configuration=configuration)
                self.namespace = (_SERVICE_ACCOUNT / "namespace").read_text().strip()
            else:
                await self._read_files(library, configuration)
            self._kubeconfig.overrides.apply(configuration)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the identity provider did not answer: {error}") from error
        except _MALFORMED as error:
            raise InvalidSpec(f"kubeconfig is not usable: {error!r}") from error
        except library.config.ConfigException as error:
            raise InvalidSpec(f"kubeconfig is not usable: {error}") from error
        self._configuration = configuration
        self._read_at = self._clock.monotonic()

    async def _read_files(self, library: _Library, configuration: Any) -> None:
        files, overrides = self._kubeconfig.files(), self._kubeconfig.overrides
        if not files:
            return
        merged = library.kube_config.KubeConfigMerger(files).config
        name = self._kubeconfig.context or merged["current-context"]
        context = merged["contexts"].get_with_name(name)["context"].value
        chosen = {"cluster": overrides.cluster, "user": overrides.user}
        context.update({key: value for key, value in chosen.items() if value})
        if overrides.user:  # the loader takes an unknown one for nobody, unlike an unknown cluster
            merged["users"].get_with_name(overrides.user)
        loader = library.kube_config.KubeConfigLoader(
            merged, active_context=name, config_base_path=None
        )
        await loader.load_and_set(configuration)
        self._expires_at = getattr(loader, "exec_plugin_expiry", None)
        self.namespace = context.get("namespace", "default")

    def _present_certificate(self, tls: ssl.SSLContext) -> None:
        if self._configuration.cert_file:
            tls.load_cert_chain(self._configuration.cert_file, self._configuration.key_file)


_MALFORMED: Final = (
    AssertionError,
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)
"""What the library raises when it meets a malformed file: whatever comes first."""


@dataclass(frozen=True, slots=True)
class _Library:
    """The modules of kubernetes_asyncio that we use; they are not typed."""

    config: Any
    kube_config: Any
    configuration: Any


@cache
def _library() -> _Library:
    """Import kubernetes_asyncio's configuration without its typed models (72 MB, 0.6 s).

    Its packages import all models with themselves; so empty packages stand in for them while
    the modules that we need are imported, and are taken away again.
    """
    root, client = "kubernetes_asyncio", "kubernetes_asyncio.client"
    if root in sys.modules:
        modules = (f"{root}.config", f"{root}.config.kube_config", client)
        return _Library(*map(importlib.import_module, modules))
    spec = find_spec(root)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("kubernetes_asyncio is not installed")
    folder = spec.submodule_search_locations[0]
    sys.modules[root] = _empty_package(root, Path(folder))
    sys.modules[client] = package = _empty_package(client, Path(folder, "client"))
    try:
        configuration = importlib.import_module(f"{client}.configuration")
        package.Configuration = configuration.Configuration  # type: ignore[attr-defined]
        package.ApiClient = object  # type: ignore[attr-defined]  # named, never called
        config = importlib.import_module(f"{root}.config")
        kube_config = importlib.import_module(f"{root}.config.kube_config")
        return _Library(config, kube_config, configuration)
    finally:
        for name in [name for name in sys.modules if name == root or name.startswith(root + ".")]:
            del sys.modules[name]


def _empty_package(name: str, folder: Path) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    return package
