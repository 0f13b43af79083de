"""Watches of the memory cluster: bounded history, bookmarks and 410, as the watch cache has them.

A watch can be read in two ways: `poll` takes what has come, for the simulator, which has no event
loop; `stream` waits for more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from headrace.errors import Expired, Unavailable
from headrace.kubernetes.resources import Manifest, Resource
from headrace.kubernetes.selectors import (
    FieldRequirement,
    parse_field_selector,
    parse_label_selector,
)
from headrace.model.meta import LabelSelector
from headrace.runtime.cluster import Selection, WatchEvent, WatchType
from headrace.runtime.cluster_memory.objects import Change, Objects, Record, TableKey, table_key

_PENDING_MAX = 10_000
_NAME_PATH = ("metadata", "name")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A parsed `Selection`."""

    namespace: str | None
    labels: LabelSelector | None
    fields: tuple[FieldRequirement, ...]

    @classmethod
    def of(cls, selection: Selection) -> Matcher:
        """Parse the selectors. Raises Rejected."""
        return cls(
            selection.namespace,
            parse_label_selector(selection.labels) if selection.labels else None,
            parse_field_selector(selection.fields),
        )

    @property
    def name(self) -> str:
        """The one name that is selected, as the authorization of a server sees it; "" for more."""
        names = (
            field.value for field in self.fields if field.path == _NAME_PATH and field.is_equal
        )
        return next(names, "")

    def matches(self, record: Record | None) -> bool:
        """Return whether an object is selected; one that does not exist never is."""
        if record is None:
            return False
        if self.namespace is not None and record.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(record.metadata.get("labels") or {}):
            return False
        return all(field.matches(record.manifest) for field in self.fields)


class MemoryWatch:
    """One open watch; made by `Watches.open`."""

    def __init__(
        self, resource: Resource, matcher: Matcher, on_close: Callable[[MemoryWatch], None]
    ) -> None:
        self._resource = resource
        self._matcher = matcher
        self._on_close = on_close
        self._pending: deque[Change | WatchEvent] = deque()
        self._arrived: asyncio.Event | None = None
        self._error: Expired | None = None
        self.is_open = True

    def poll(self) -> list[WatchEvent]:
        """Return what has come since the last call. Raises Expired once all before is taken."""
        events: list[WatchEvent] = []
        while self._pending:
            item = self._pending.popleft()
            event = item if isinstance(item, WatchEvent) else self._event(item)
            if event is not None:
                events.append(event)
        if not events and self._error is not None:
            raise self._error
        return events

    async def stream(self) -> AsyncGenerator[WatchEvent, None]:
        """Yield events as they come; ends when the cluster closes the watch."""
        self._arrived = asyncio.Event()
        try:
            while True:
                self._arrived.clear()
                for event in self.poll():
                    yield event
                if self._pending or self._error is not None:
                    continue
                if not self.is_open:
                    return
                await self._arrived.wait()
        finally:
            self.close()

    def close(self) -> None:
        """End the watch; what has come can still be taken."""
        if self.is_open:
            self.is_open = False
            self._on_close(self)
            self._wake()

    def expire(self) -> None:
        """End the watch with 410."""
        self._error = Expired("too old resource version")
        self.close()

    def push(self, item: Change | WatchEvent) -> None:
        """Take one change or bookmark; a reader too slow for its own good is cut off."""
        self._pending.append(item)
        if len(self._pending) > _PENDING_MAX:
            self.close()
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    def _event(self, change: Change) -> WatchEvent | None:
        """Return a change as this watch sees it: leaving the selection is a deletion."""
        was, is_now = self._matcher.matches(change.old), self._matcher.matches(change.new)
        if is_now and change.new is not None:
            kind: WatchType = "MODIFIED" if was else "ADDED"
            return WatchEvent(kind, change.new.copy(self._resource))
        if was and change.old is not None:
            manifest = change.old.copy(self._resource)
            manifest["metadata"]["resourceVersion"] = str(change.version)
            return WatchEvent("DELETED", manifest)
        return None


@dataclass(slots=True)
class _Feed:
    """History and watches of one kind."""

    changes: deque[Change]
    watches: list[MemoryWatch] = field(default_factory=list)
    compacted: int = 0
    """The newest version that is forgotten: a watch must start at it or later."""


class Watches:
    """All watches of a cluster.

    Args:
        objects: What is watched.
        history_max: Changes kept per kind; a watch that starts before them expires.
    """

    def __init__(self, objects: Objects, history_max: int) -> None:
        self._objects = objects
        self._history_max = history_max
        self._feeds: dict[TableKey, _Feed] = {}
        objects.observe(self._record)

    def open(self, resource: Resource, selection: Selection, resource_version: str) -> MemoryWatch:
        """Start a watch; from no version (or 0) it begins with all objects as ADDED.

        Raises:
            Expired: The history does not reach back to `resource_version`.
            Unavailable: `resource_version` has not been reached yet.
        """
        feed = self._feed(table_key(resource))
        watch = MemoryWatch(resource, Matcher.of(selection), feed.watches.remove)
        start = int(resource_version or 0)
        if start > self._objects.version:
            raise Unavailable(f"Too large resource version: {start}")
        if start == 0:
            for record in self._objects.all(resource):
                watch.push(Change(None, record, record.version))
        elif start < feed.compacted:
            raise Expired(f"too old resource version: {start} ({feed.compacted})")
        else:
            for change in feed.changes:
                if change.version > start:
                    watch.push(change)
        feed.watches.append(watch)
        return watch

    def send_bookmarks(self) -> None:
        """Tell every watch how far it has come."""
        for feed in self._feeds.values():
            for watch in [*feed.watches]:
                watch.push(WatchEvent("BOOKMARK", self._bookmark()))

    def expire(self) -> None:
        """Forget all history and end every watch with 410, as a compaction does."""
        for feed in self._feeds.values():
            feed.changes.clear()
            feed.compacted = self._objects.version
            for watch in [*feed.watches]:
                watch.expire()

    def close(self) -> None:
        """End every watch normally, as a server does that shuts down."""
        for feed in self._feeds.values():
            for watch in [*feed.watches]:
                watch.close()

    def _record(self, change: Change) -> None:
        feed = self._feed(table_key(change.record.resource))
        if len(feed.changes) == self._history_max:
            feed.compacted = feed.changes[0].version
        feed.changes.append(change)
        for watch in [*feed.watches]:
            watch.push(change)

    def _feed(self, key: TableKey) -> _Feed:
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = _Feed(deque(maxlen=self._history_max))
        return feed

    def _bookmark(self) -> Manifest:
        return {"metadata": {"resourceVersion": str(self._objects.version)}}
