"""Keeping up with objects: a list, then a watch, into stores that views are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

from headrace.errors import Expired, RolloutError, TransientError, Unavailable
from headrace.kubernetes.resources import Manifest, Resource
from headrace.runtime.cluster import Cluster, Selection
from headrace.runtime.store import Store
from headrace_cli.failures import Failure, explain

_FAILURES_MAX: Final = 5
"""Failed attempts in a row after which a watch is given up."""

_RETRY_SECONDS: Final = 1.0

_SILENT_SECONDS_MIN: Final = 1.0
"""A watch that brings nothing and is shorter is no watch: a proxy answers it, say."""


class Followed:
    """Stores that are kept current; made by `follow`."""

    def __init__(self, cluster: Cluster, selections: Mapping[Resource, Selection]) -> None:
        self._cluster = cluster
        self._selections = selections
        self._stores: dict[Resource, Store] = {}
        self._changed = asyncio.Event()
        self._failure: Failure | None = None

    def all(self, resource: Resource) -> Sequence[Manifest]:
        """Return the objects of a kind as they are now."""
        return self._stores[resource].list()

    def store(self, resource: Resource) -> Store:
        """Return the store of a kind."""
        return self._stores[resource]

    async def wait(self, seconds: float | None = None) -> bool:
        """Return True when something has changed since the last call, False after `seconds`.

        Raises:
            Failure: The API server does not answer any more.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        has_changed = self._changed.is_set()
        self._changed.clear()
        return has_changed

    async def begin(self) -> None:
        """Fill the stores. Raises Failure."""
        await asyncio.gather(*(self._begin(resource) for resource in self._selections))

    async def _begin(self, resource: Resource) -> None:
        store = self._stores[resource] = Store()
        try:
            store.replace(await self._cluster.list(resource, self._selections[resource]))
        except RolloutError as error:
            raise Failure(explain(error, resource.plural)) from error
        store.listen(lambda *_: self._changed.set())

    async def keep(self, resource: Resource) -> None:
        """Keep one store current until cancelled, or until the server stays away."""
        failures, now = 0, asyncio.get_running_loop().time
        while failures < _FAILURES_MAX:
            before, began = self._stores[resource].resource_version, now()
            try:
                await self._watch(resource)
                error: RolloutError | None = None
            except RolloutError as caught:
                error = caught
            if self._stores[resource].resource_version != before:
                failures = 0
            elif error is None and now() - began < _SILENT_SECONDS_MIN:
                error = Unavailable("the watch ended at once")
            if error is None:
                continue
            if not isinstance(error, TransientError):
                break
            failures += 1
            await asyncio.sleep(_RETRY_SECONDS)
        assert error is not None
        self._failure = Failure(explain(error, resource.plural))
        self._changed.set()

    async def _watch(self, resource: Resource) -> None:
        store = self._stores[resource]
        try:
            events = self._cluster.watch(
                resource, self._selections[resource], store.resource_version
            )
            async with aclosing(events):
                async for event in events:
                    store.apply(event)
        except Expired:
            store.replace(await self._cluster.list(resource, self._selections[resource]))


@asynccontextmanager
async def follow(
    cluster: Cluster, selections: Mapping[Resource, Selection]
) -> AsyncIterator[Followed]:
    """Keep one store per kind current within the block.

    Raises:
        Failure: The objects cannot be listed.
    """
    followed = Followed(cluster, selections)
    await followed.begin()
    tasks = [asyncio.create_task(followed.keep(resource)) for resource in selections]
    try:
        yield followed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def versions_of(
    cluster: Cluster, resource: Resource, namespace: str, name: str
) -> AsyncGenerator[Manifest | None, None]:
    """Yield an object as it is now and after each change; None when there is none."""
    selection = Selection(namespace, fields=f"metadata.name={name}")
    async with follow(cluster, {resource: selection}) as followed:
        while True:
            yield followed.store(resource).get(namespace, name)
            await followed.wait()
