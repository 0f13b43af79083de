"""etcd, kube-apiserver and kube-controller-manager."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import Any, Final

from headrace_lab import artifacts
from headrace_lab.install import find_project, install
from headrace_lab.site import READY_TIMEOUT_SECONDS, Part, Site

# Leave out pod garbage collection and node lifecycle: nobody keeps a Node's heartbeat.
CONTROLLERS: Final = (
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "garbage-collector-controller",
    "disruption-controller",
    "namespace-controller",
)
AUDIT_POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def _binary(site: Site, name: str) -> str:
    return str(site.cache.place(artifacts.KUBERNETES) / "bin" / name)


def _etcd(site: Site) -> list[str]:
    client, peer = f"http://{site.address('etcd')}", f"http://{site.address('etcd-peer')}"
    return [
        _binary(site, "etcd"),
        f"--data-dir={site.directory}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _etcd_is_ready(site: Site) -> bool:
    return site.http_ok("etcd", "/health")


def _prepare_api_server(site: Site) -> None:
    policy = site.directory / "audit-policy.json"
    policy.write_text(json.dumps(AUDIT_POLICY, indent=2) + "\n")


def _api_server(site: Site) -> list[str]:
    credentials = site.credentials
    argv = [
        _binary(site, "kube-apiserver"),
        f"--etcd-servers=http://{site.address('etcd')}",
        "--bind-address=127.0.0.1",
        f"--secure-port={site.ports['apiserver']}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={site.directory}/certs",
        f"--tls-cert-file={credentials.server_certificate}",
        f"--tls-private-key-file={credentials.server_key}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={credentials.tokens_file}",
        "--disable-admission-plugins=ServiceAccount",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={credentials.account_public_key}",
        f"--service-account-signing-key-file={credentials.account_key}",
        "--allow-privileged=true",
    ]
    if site.options.audit:
        argv += [
            f"--audit-policy-file={site.directory}/audit-policy.json",
            f"--audit-log-path={site.audit_log}",
            # Batch mode drops entries under load, and then the figures would be wrong.
            "--audit-log-mode=blocking",
        ]
    return argv


def _api_server_is_ready(site: Site) -> bool:
    return site.api().is_ready()


def _install(site: Site) -> None:
    # Before the controller manager starts: its garbage collector reads discovery at its start,
    # and then only every 30 s.
    install(
        site.api(),
        project=find_project(),
        gateway_api=site.cache.place(artifacts.GATEWAY_API) / "crds",
    )


def _controller_manager(site: Site) -> list[str]:
    credentials = site.credentials
    return [
        _binary(site, "kube-controller-manager"),
        f"--kubeconfig={credentials.kubeconfig('controller-manager')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={site.ports['controller-manager']}",
        f"--cert-dir={site.directory}/certs",
        f"--tls-cert-file={credentials.server_certificate}",
        f"--tls-private-key-file={credentials.server_key}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--controllers={','.join(CONTROLLERS)}",
    ]


def _controller_manager_is_ready(site: Site) -> bool:
    context = ssl.create_default_context(cafile=str(site.credentials.authority))
    url = f"https://{site.address('controller-manager')}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=READY_TIMEOUT_SECONDS, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


ETCD: Final = Part(
    name="etcd",
    argv=_etcd,
    is_ready=_etcd_is_ready,
    port_names=("etcd", "etcd-peer"),
    artifacts=(artifacts.KUBERNETES,),
)
API_SERVER: Final = Part(
    name="apiserver",
    argv=_api_server,
    is_ready=_api_server_is_ready,
    prepare=_prepare_api_server,
    on_ready=_install,
    needs=("etcd",),
    port_names=("apiserver",),
    artifacts=(artifacts.KUBERNETES, artifacts.GATEWAY_API),
    # On SIGTERM it would hold its port for up to a minute.
)
CONTROLLER_MANAGER: Final = Part(
    name="controller-manager",
    argv=_controller_manager,
    is_ready=_controller_manager_is_ready,
    needs=("apiserver",),
    port_names=("controller-manager",),
    artifacts=(artifacts.KUBERNETES,),
)
