"""The port between the services and the routers: what every router module offers.

A module satisfies the protocol as it is; there is nothing to instantiate.
"""

from __future__ import annotations

from typing import Protocol

from headrace.kubernetes.resources import Manifest
from headrace.model.route import Fence, Level, RouteDocument, RouterConfig
from headrace.routes.changes import Change
from headrace.routes.splits import Split
from headrace.routes.targets import ApiVersions, ObjectRef, RenderError, Targets


class Router(Protocol):
    """What every router module offers; all functions are pure.

    Attributes:
        VERIFIED: What a successful read-back says: True, or None where nobody can tell.
        LEVEL_MAX: Strongest level that this provider can ever report.
        NO_OBJECTS: Text when the configuration leads to no object.
    """

    @property
    def VERIFIED(self) -> bool | None: ...  # noqa: D102
    @property
    def LEVEL_MAX(self) -> Level: ...  # noqa: D102
    @property
    def NO_OBJECTS(self) -> str: ...  # noqa: D102

    def targets(
        self, router: RouterConfig, document: RouteDocument, versions: ApiVersions
    ) -> Targets:
        """Return the objects that the configuration names."""
        ...

    def split(self, document: RouteDocument) -> Split:
        """Return the split that this router can express for the document."""
        ...

    def render(
        self,
        router: RouterConfig,
        document: RouteDocument,
        ref: ObjectRef,
        manifest: Manifest | None,
    ) -> Manifest | RenderError:
        """Return the object as it shall be; the given one when nothing changes."""
        ...

    def observe(self, manifest: Manifest, wanted: Split, managed: tuple[str, ...] = ()) -> Split:
        """Return the split that the object stores for the services of `wanted`."""
        ...

    def level(self, manifest: Manifest) -> Level:
        """Return how far the stored object is known to hold."""
        ...

    def change(self, old: Manifest | None, new: Manifest, fence: str) -> Change | None:
        """Return the conditional write from `old` to `new`."""
        ...

    def release(self, manifest: Manifest, fence: Fence, router: RouterConfig | None) -> Manifest:
        """Return the object without the Rollout's share of it."""
        ...

    def release_orphan(self, manifest: Manifest, fence: Fence) -> Manifest:
        """Return the object after the fence's Rollout is gone."""
        ...

    def release_succeeded(self, manifest: Manifest, fence: Fence) -> Manifest:
        """Return the object after another Rollout of the fence's name has written its weights."""
        ...
