"""Reflector: keeps a Store equal to what the API server has, whatever happens to the connection.

List, then watch from where the list ended; a watch that ends goes on where it was, one that
expired (410) starts with a new list, whose difference to the store is told to the listeners as
ordinary changes. One Reflector runs per kind, as a task of the service's TaskGroup.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog

from headrace.backoff import CONNECTION, Backoff, Rng
from headrace.errors import (
    Expired,
    NotFound,
    PermanentError,
    RolloutError,
    TransientError,
    Unavailable,
)
from headrace.kubernetes.resources import Resource
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import EVERYTHING, Cluster, Listing, Selection
from headrace.runtime.store import Store

log = structlog.get_logger(__name__)

_SILENT_WATCH_SECONDS_MIN: Final = 1.0
"""A watch that ends sooner and has brought nothing is waited after: no hot loop."""

_ABSENCE: Final = Backoff(first_seconds=1.0, seconds_max=30.0, jitter_ratio=0.5)
"""How often an optional kind that the server does not know is asked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a Reflector follows.

    Attributes:
        cluster: Where.
        resource: Which kind.
        selection: Which objects of it; the server selects, not we.
        is_optional: A kind that the server does not know counts as one without objects. It is
            asked for again with back-off, so its CRD may come later.
    """

    cluster: Cluster
    resource: Resource
    selection: Selection = EVERYTHING
    is_optional: bool = False


class Reflector:
    """Feeds one store from one source.

    Attributes:
        is_synced: The store has been complete once; it stays readable when contact is lost.
        last_error: Why there is no contact now; None while there is.
        last_contact: When the server was heard last, None before; its age is the store's
            staleness. A healthy silent watch is heard about once a minute (bookmarks).
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        clock: Clock,
        rng: Rng,
        backoff: Backoff = CONNECTION,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._rng = rng
        self._backoff = backoff
        self._synced = asyncio.Event()
        self._must_list = True
        self._failures = 0
        self.last_error: RolloutError | None = None
        self.last_contact: Instant | None = None

    @property
    def resource(self) -> Resource:
        """The kind that is followed."""
        return self._source.resource

    @property
    def store(self) -> Store:
        """What is fed."""
        return self._store

    @property
    def is_synced(self) -> bool:
        """Whether the store has been complete once."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Return when the store is complete for the first time."""
        await self._synced.wait()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            error = await self.follow()
            if error is None:
                continue
            self._failures += 1
            backoff = _ABSENCE if self._is_absent(error) else self._backoff
            delay = backoff.delay_seconds(self._failures, self._rng)
            if isinstance(error, TransientError):
                delay = max(delay, error.retry_after_seconds or 0.0)
            await self._clock.sleep(delay)

    async def follow(self) -> RolloutError | None:
        """List if needed and watch until that ends; return why to wait before the next try."""
        try:
            if self._must_list:
                await self.fill()
            return await self._watch()
        except Expired as error:
            # The server keeps a few minutes of history only: nothing is wrong.
            self._must_list = True
            return error
        except RolloutError as error:
            self._must_list = self._must_list or isinstance(error, PermanentError)
            if self._is_absent(error):
                self._take(Listing((), self._store.resource_version))
            else:
                self._lose(error)
            return error

    async def fill(self) -> None:
        """List all objects into the store: once, for who does not follow.

        Raises:
            RolloutError: The server does not give them.
        """
        source = self._source
        self._take(await source.cluster.list(source.resource, source.selection))
        self._must_list = False

    async def _watch(self) -> RolloutError | None:
        source, position = self._source, self._store.resource_version
        began = self._clock.monotonic()
        watch = source.cluster.watch(source.resource, source.selection, position)
        async with aclosing(watch) as events:
            async for event in events:
                self._store.apply(event)
                self._touch()
                self._failures = 0
        if self._store.resource_version != position:
            return None
        if self._clock.monotonic() - began < _SILENT_WATCH_SECONDS_MIN:
            return Unavailable("the watch ended at once")
        self._touch()
        return None

    def _take(self, listing: Listing) -> None:
        self._store.replace(listing)
        self._touch()
        self._synced.set()

    def _touch(self) -> None:
        self.last_contact = self._clock.now()
        if self.last_error is not None:
            log.info("watch is back", resource=self.resource.plural)
            self.last_error = None

    def _lose(self, error: RolloutError) -> None:
        if self.last_error is None:
            log.warning("watch failed", resource=self.resource.plural, error=str(error))
        self.last_error = error

    def _is_absent(self, error: RolloutError) -> bool:
        return self._source.is_optional and isinstance(error, NotFound)
