"""The parts of a lab, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from headrace_lab.errors import LabError
from headrace_lab.parts import kafka, kubernetes, mesh, prometheus
from headrace_lab.site import Part

PARTS: Final[tuple[Part, ...]] = (
    kubernetes.ETCD,
    kubernetes.API_SERVER,
    kubernetes.CONTROLLER_MANAGER,
    kafka.KAFKA,
    prometheus.PROMETHEUS,
    mesh.KUBELET,
    mesh.MESH,
    mesh.ENVOY,
)
GROUPS: Final = {
    "kubernetes": ("etcd", "apiserver", "controller-manager"),
    "pods": ("kubelet",),
    "traffic": ("mesh", "envoy"),
}
PORT_NAMES: Final = tuple(name for part in PARTS for name in part.port_names)


def named(name: str) -> Part:
    """Return a part by its name.

    Raises:
        LabError: There is none of that name.
    """
    for part in PARTS:
        if part.name == name:
            return part
    raise LabError(f"the lab has no part {name} (it has {', '.join(p.name for p in PARTS)})")


def select(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of parts and groups, with all that they need, in order; None means all."""
    if names is None:
        return tuple(part.name for part in PARTS)
    wanted: set[str] = set()
    open_names = [part for name in names for part in GROUPS.get(name, (name,))]
    while open_names:
        part = named(open_names.pop())
        if part.name not in wanted:
            wanted.add(part.name)
            open_names += part.needs
    return tuple(part.name for part in PARTS if part.name in wanted)
