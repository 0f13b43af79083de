"""Feeds a work queue with the keys of the shards that are held.

Watches and the bus wake keys as things happen; the feeder adds all keys of a shard when its Lease
was got (what happened before is in the objects), forgets them when it was lost, and looks at every
key again from time to time, as a net under lost events. Every service has one per queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.ownership import Ownership
from headrace.runtime.workqueue import Lane, WorkQueue


class QueueFeeder:
    """A listener of the ownership, and the one way for wake-ups to reach a queue.

    Args:
        queue: The service's queue.
        ownership: Which keys are ours.
        keys: Returns every key that there is, from the caches.
        clock: Paces the resync.
        assign: Told the partitions to read whenever they change; `EventConsumer.assign`.
        partition_key: Returns by which key the work on a key is shared out, where it is another:
            a run or an experiment goes with its Rollout.
    """

    def __init__(
        self,
        queue: WorkQueue,
        ownership: Ownership,
        keys: Callable[[], Iterable[str]],
        clock: Clock,
        assign: Callable[[frozenset[int]], None] = lambda _: None,
        *,
        partition_key: Callable[[str], str] = str,
    ) -> None:
        self._queue = queue
        self._ownership = ownership
        self._keys = keys
        self._clock = clock
        self._assign = assign
        self._partition_key = partition_key
        self._has_begun = False

    def begin(self) -> None:
        """Feed from now on; call when the caches are complete.

        An object that is not cached yet looks deleted, so nothing is reconciled before.
        """
        self._has_begun = True
        self._ownership.listen(self)

    def wake(self, key: str, lane: Lane = Lane.REST, at: Instant | None = None) -> None:
        """Add a key to the queue, if it is ours; whoever gets its shard later adds it then."""
        if self._has_begun and self._is_ours(key):
            self._queue.add(key, lane=lane, at=at)

    def wake_all(self) -> None:
        """Add every key that is ours."""
        for key in self._keys():
            self.wake(key)

    def gained(self, shards: frozenset[int]) -> None:
        """Read the partitions of these shards, and add their keys."""
        self._assign(self._ownership.partitions)
        for key in self._keys():
            if self._shard_of(key) in shards:
                self._queue.add(key)

    def lost(self, shards: frozenset[int]) -> None:
        """Leave these shards to the replica that holds their Leases now."""
        self._assign(self._ownership.partitions)
        self._queue.drop(lambda key: self._shard_of(key) in shards)

    async def resync(self, seconds: float) -> None:
        """Wake each of our keys once in so many seconds, evenly spread, until cancelled."""
        while True:
            ours = [key for key in self._keys() if self._is_ours(key)]
            began = self._clock.now()
            for number, key in enumerate(ours, start=1):
                self.wake(key, at=Instant(began + seconds * number / len(ours)))
            await self._clock.sleep(seconds)

    def _is_ours(self, key: str) -> bool:
        return self._ownership.may_act(self._partition_key(key))

    def _shard_of(self, key: str) -> int:
        return self._ownership.shard_of(self._partition_key(key))
