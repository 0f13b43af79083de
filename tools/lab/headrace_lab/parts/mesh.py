"""The pod stand-in, the mesh adapter, and Envoy with the files that the adapter writes."""

from __future__ import annotations

import sys
from typing import Final

from headrace_lab.site import Part, Site
from headrace_lab.toolchain import envoy_binary


def _python(module: str) -> list[str]:
    # -P: the folder in which somebody calls `up` must not shadow modules.
    return [sys.executable, "-P", "-m", module]


def _prepare_kubelet(site: Site) -> None:
    for name in ("targets", "pods", "ready"):
        (site.directory / name).mkdir(exist_ok=True)
    site.ready_file("kubelet").unlink(missing_ok=True)


def _kubelet(site: Site) -> list[str]:
    return [
        *_python(KUBELET.module),
        f"--kubeconfig={site.credentials.kubeconfig('kubelet')}",
        f"--targets={site.directory}/targets",
        f"--run={site.directory}/pods",
        f"--pod-network=127.{site.pod_network}.0.0/16",
        f"--ready-file={site.ready_file('kubelet')}",
    ]


def _kubelet_is_ready(site: Site) -> bool:
    return site.ready_file("kubelet").exists()


def _prepare_mesh(site: Site) -> None:
    for name in ("envoy", "ready"):
        (site.directory / name).mkdir(exist_ok=True)
    site.ready_file("mesh").unlink(missing_ok=True)


def _mesh(site: Site) -> list[str]:
    return [
        *_python(MESH.module),
        f"--kubeconfig={site.credentials.kubeconfig('mesh')}",
        f"--envoy={site.directory}/envoy",
        f"--admin-port={site.ports['envoy-admin']}",
        f"--listen-port={site.ports['envoy']}",
        f"--ready-file={site.ready_file('mesh')}",
    ]


def _mesh_is_ready(site: Site) -> bool:
    return site.ready_file("mesh").exists()


def _envoy(site: Site) -> list[str]:
    return [
        envoy_binary(),
        "--config-path",
        f"{site.directory}/envoy/bootstrap.yaml",
        # Two labs on one machine would share the memory of hot restarts.
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        "warning",
    ]


def _envoy_is_ready(site: Site) -> bool:
    return site.http_ok("envoy-admin", "/ready")


KUBELET: Final = Part(
    name="kubelet",
    argv=_kubelet,
    is_ready=_kubelet_is_ready,
    prepare=_prepare_kubelet,
    needs=("apiserver",),
    stop_seconds=5.0,
    module="headrace_lab.kubelet",
)
MESH: Final = Part(
    name="mesh",
    argv=_mesh,
    is_ready=_mesh_is_ready,
    prepare=_prepare_mesh,
    needs=("apiserver",),
    stop_seconds=5.0,
    module="headrace_lab.mesh",
)
ENVOY: Final = Part(
    name="envoy",
    argv=_envoy,
    is_ready=_envoy_is_ready,
    needs=("mesh",),
    port_names=("envoy-admin", "envoy"),
    stop_seconds=5.0,
    module="headrace_lab.mesh",
)
