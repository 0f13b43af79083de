"""The caches of the router: Rollouts, and the traffic objects of each kind that is served.

A kind whose CRD is missing is asked for again from time to time; meanwhile it is not served,
which is an answer to a request and no failure of the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from headrace.backoff import Rng
from headrace.errors import RolloutError
from headrace.kubernetes.resources import (
    HTTP_ROUTES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.routes import ApiVersions, read_fences
from headrace.routes.smi import SUPPORTED_VERSIONS
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster, Selection
from headrace.runtime.reflector import Reflector, Source
from headrace.runtime.store import Store

log = structlog.get_logger(__name__)

BY_ROLLOUT: Final = "rollout"
REDISCOVER_SECONDS: Final = 30.0
"""How often a kind that is not served is asked for again."""

Choose = Callable[[tuple[str, ...]], str | None]
"""Picks the version to use out of those that a group serves; None when there is none."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every cache is made with."""

    cluster: Cluster
    clock: Clock
    rng: Rng
    namespace: str | None
    rediscover_seconds: float = REDISCOVER_SECONDS


class TrafficKind:
    """One kind of traffic object: discovered first, then followed.

    Attributes:
        store: Its objects, indexed by the Rollouts whose fence they carry.
    """

    def __init__(self, around: Surroundings, resource: Resource, choose: Choose) -> None:
        self._around = around
        self._resource = resource
        self._choose = choose
        self._reflector: Reflector | None = None
        self._settled = asyncio.Event()
        self.store = Store({BY_ROLLOUT: fenced_rollouts})

    @property
    def resource(self) -> Resource:
        """The kind at the version in use."""
        return self._resource

    @property
    def id(self) -> str:
        """`<plural>.<group>`, whatever the version."""
        return f"{self._resource.plural}.{self._resource.group}"

    @property
    def is_served(self) -> bool:
        """Whether the cache is complete; until then nothing is known of these objects."""
        return self._reflector is not None and self._reflector.is_synced

    @property
    def is_settled(self) -> bool:
        """Whether the cache is complete, or the kind known to be missing."""
        return self._settled.is_set()

    async def wait_settled(self) -> None:
        """Return when the cache is complete, or the kind known to be missing."""
        await self._settled.wait()

    async def run(self, on_served: Callable[[], None]) -> None:
        """Discover, then follow until cancelled; call `on_served` once the cache is complete."""
        delay = self._around.rediscover_seconds
        while (reflector := await self.discover()) is None:
            await self._around.clock.sleep(delay if self.is_settled else min(delay, 1.0))
        async with asyncio.TaskGroup() as group:
            group.create_task(reflector.run())
            await reflector.wait_synced()
            self._settled.set()
            on_served()

    async def discover(self) -> Reflector | None:
        """Ask once whether the kind is served; return what follows it, None while it is not."""
        around = self._around
        try:
            served = await around.cluster.versions(self._resource.group)
        except RolloutError as error:
            log.warning("discovery failed", group=self._resource.group, error=str(error))
            return None
        version = self._choose(served)
        if version is None:
            if not self._settled.is_set():
                log.info("kind is not served", kind=self._resource.kind)
            self._settled.set()
            return None
        self._resource = self._resource.at_version(version)
        source = Source(
            around.cluster, self._resource, Selection(around.namespace), is_optional=True
        )
        self._reflector = Reflector(source, self.store, clock=around.clock, rng=around.rng)
        return self._reflector


class Sources:
    """All caches of one router.

    Args:
        around: What every cache is made with.
        rollouts: Cache of the Rollouts of this instance; followed by its owner, who may share
            it with other services.
        traffic_split_version: The flag; "" leaves it to discovery.
    """

    def __init__(self, around: Surroundings, rollouts: Store, traffic_split_version: str) -> None:
        self._flag = traffic_split_version
        self.namespace = around.namespace
        self.rollouts = rollouts
        self._splits = TrafficKind(around, TRAFFIC_SPLITS, self._choose_split_version)
        self.kinds = (self._splits, TrafficKind(around, HTTP_ROUTES, _choose_route_version))
        self._by_kind = {kind.resource.kind: kind for kind in self.kinds}

    @property
    def versions(self) -> ApiVersions:
        """The API versions in use."""
        return ApiVersions(traffic_split=self._flag or self._splits.resource.version)

    @property
    def unserved(self) -> frozenset[str]:
        """Kinds whose objects cannot be read now."""
        return frozenset(kind.id for kind in self.kinds if not kind.is_served)

    @property
    def is_settled(self) -> bool:
        """Whether every kind is either known to be missing or completely cached."""
        return all(kind.is_settled for kind in self.kinds)

    async def wait_settled(self) -> None:
        """Return when every kind is either known to be missing or completely cached."""
        for kind in self.kinds:
            await kind.wait_settled()

    def is_watched(self, namespace: str) -> bool:
        """Return whether the caches cover a namespace."""
        return self.namespace is None or self.namespace == namespace

    def kind(self, resource: Resource) -> TrafficKind:
        """Return the cache of a kind, at whatever version."""
        return self._by_kind[resource.kind]

    def _choose_split_version(self, served: tuple[str, ...]) -> str | None:
        if not served:
            return None
        if self._flag:
            return self._flag if self._flag in served else None
        known = (version for version in served if version in SUPPORTED_VERSIONS)
        return next(known, served[0])


def _choose_route_version(served: tuple[str, ...]) -> str | None:
    return HTTP_ROUTES.version if HTTP_ROUTES.version in served else None


def fenced_rollouts(manifest: Manifest) -> Iterable[str]:
    """Index function of traffic objects: keys of the Rollouts whose fence they carry."""
    return {fence.rollout for fence in read_fences(manifest)}
