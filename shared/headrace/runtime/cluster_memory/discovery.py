"""What the memory cluster says about its API: served groups, versions and schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.errors import NotFound
from headrace.kubernetes.resources import ROLLOUTS, Resource

SERVED: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("v1",),
    "apiextensions.k8s.io": ("v1",),
    "apps": ("v1",),
    "argoproj.io": ("v1alpha1",),
    "batch": ("v1",),
    "coordination.k8s.io": ("v1",),
    "gateway.networking.k8s.io": ("v1", "v1beta1"),
    "networking.k8s.io": ("v1",),
    "policy": ("v1",),
    "split.smi-spec.io": ("v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"),
}
"""Group to versions, the preferred one first, as the lab's API server serves them."""

SCHEMAS: Final[Mapping[Resource, Mapping[str, Any]]] = {
    ROLLOUTS: {
        "type": "object",
        "properties": {
            "status": {
                "type": "object",
                "properties": {
                    "headrace": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        },
    }
}
"""Published schemas; nothing is pruned by them, so `status.headrace` is indeed kept."""


class Discovery:
    """Served versions and published schemas.

    Args:
        served: Group to versions, the preferred one first.
        schemas: OpenAPI schema of each kind that publishes one.
    """

    def __init__(
        self,
        served: Mapping[str, Sequence[str]],
        schemas: Mapping[Resource, Mapping[str, Any]],
    ) -> None:
        self._served = {group: tuple(versions) for group, versions in served.items()}
        self._schemas = schemas

    def versions(self, group: str) -> tuple[str, ...]:
        """Return the served versions of a group, the preferred one first; () if unknown."""
        return self._served.get(group, ())

    def check_served(self, resource: Resource) -> None:
        """Raise NotFound when the server does not know this kind's group version."""
        if resource.version not in self._served.get(resource.group, ()):
            raise NotFound(f"the server could not find the requested resource: {resource}")

    def openapi(self, group: str, version: str) -> Mapping[str, Any]:
        """Return the OpenAPI v3 document of a group version. Raises NotFound."""
        if version not in self._served.get(group, ()):
            raise NotFound(f"no OpenAPI document of {group}/{version}")
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "memory"},
            "paths": {},
            "components": {
                "schemas": {
                    _schema_name(resource): {
                        **schema,
                        "x-kubernetes-group-version-kind": [
                            {"group": group, "version": version, "kind": resource.kind}
                        ],
                    }
                    for resource, schema in self._schemas.items()
                    if (resource.group, resource.version) == (group, version)
                }
            },
        }


def _schema_name(resource: Resource) -> str:
    """Return a kind's schema name: the group reversed, as `io.argoproj.v1alpha1.Rollout`."""
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])
