"""A kind of object that is followed only while something refers to one of its kind.

Most clusters have many objects of such kinds and no need for them: they cost no watch and no
memory then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace.kubernetes.resources import Resource
from headrace.runtime.cluster import Listing
from headrace.runtime.reflector import Reflector
from headrace.runtime.store import Store


class OnDemand:
    """Runs a Reflector while it is wanted; the store is empty otherwise.

    The store is no proof of absence, then: who misses an object in it reads it live.

    Args:
        resource: The kind.
        store: What the Reflector feeds.
        make: Returns a new Reflector of that store.
    """

    def __init__(self, resource: Resource, store: Store, make: Callable[[], Reflector]) -> None:
        self.resource = resource
        self._store = store
        self._make = make
        self._wanted, self._unwanted = asyncio.Event(), asyncio.Event()
        self._unwanted.set()

    def want(self, is_wanted: bool) -> None:
        """Say whether the kind is needed from now on."""
        begun, ended = self._wanted, self._unwanted
        if not is_wanted:
            begun, ended = ended, begun
        begun.set()
        ended.clear()

    @property
    def is_wanted(self) -> bool:
        """Whether the kind is needed now."""
        return self._wanted.is_set()

    def begin(self) -> Reflector:
        """Return what follows the kind from now on."""
        return self._make()

    def end(self) -> None:
        """Forget what was followed."""
        self._store.replace(Listing((), ""))

    async def run(self) -> None:
        """Follow whenever that is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self.begin().run())
                await self._unwanted.wait()
                following.cancel()
            self.end()
