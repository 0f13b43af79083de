"""Which keys this replica may act for: shards of the partitions, one Lease per shard.

A key's partition is Kafka's, so that a replica reads exactly the messages of the keys that it may
act for, and with the memory bus the work is shared out the same way (architecture: Ownership).
The all-in-one holds one set of Leases for all its services.

Every replica tries to get every shard that is free. So replicas that join later stand by, with
warm caches, until a holder ends or dies; a holder that ends releases its Leases.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

import structlog

from headrace.errors import TransientError
from headrace.events.topics import PARTITIONS, partition
from headrace.kubernetes.resources import LEASES
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster, Selection
from headrace.runtime.guard import Caches, GuardedCluster
from headrace.runtime.lease import (
    Claim,
    Lease,
    Sighting,
    Terms,
    check_agreement,
    differences,
    sight,
)

log = structlog.get_logger(__name__)

SHARDS: Final = 4

PARTITIONS_ANNOTATION: Final = "headrace.io/partitions"
SHARDS_ANNOTATION: Final = "headrace.io/shards"
SERVICE_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "headrace.io/instance-id"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the work is shared out.

    Attributes:
        partitions: Partitions of every topic, >= 1.
        shards: Leases; divides `partitions`, so that a partition belongs to one shard.
    """

    partitions: int = PARTITIONS
    shards: int = SHARDS

    def __post_init__(self) -> None:
        if self.shards < 1 or self.partitions % self.shards:
            raise ValueError(f"{self.shards} shards do not divide {self.partitions} partitions")

    def shard_of(self, key: str) -> int:
        """Return the shard of a key, 0 to shards - 1."""
        return partition(key, self.partitions) % self.shards

    def partitions_of(self, shards: frozenset[int]) -> frozenset[int]:
        """Return the partitions that belong to `shards`."""
        return frozenset(p for p in range(self.partitions) if p % self.shards in shards)


@dataclass(frozen=True, slots=True)
class Membership:
    """Who this replica is.

    Attributes:
        service: As `rollout-controller`; the all-in-one has a name of its own.
        namespace: Where the Leases live.
        identity: Name of this replica; no two living ones share it.
        instance_id: As in the labels of rollout-api; "" for none.
        layout: How the work is shared out; all replicas must agree.
        terms: Times of the Leases.
    """

    service: str
    namespace: str
    identity: str
    instance_id: str = ""
    layout: Layout = Layout()
    terms: Terms = field(default_factory=Terms)

    def claim(self, shard: int) -> Claim:
        """Return the claim to a shard's Lease."""
        return Claim(
            namespace=self.namespace,
            name=self.lease_name(shard),
            identity=self.identity,
            terms=self.terms,
            labels={
                SERVICE_LABEL: self.service,
                MANAGED_BY_LABEL: "headrace",
                INSTANCE_LABEL: self.instance_id,
            },
            annotations={
                PARTITIONS_ANNOTATION: str(self.layout.partitions),
                SHARDS_ANNOTATION: str(self.layout.shards),
            },
        )

    def lease_name(self, shard: int) -> str:
        """Return the name of a shard's Lease."""
        instance = self.instance_id
        if instance and not _DNS_LABEL.fullmatch(instance):
            # Label values may hold what object names must not.
            instance = sha256(instance.encode()).hexdigest()[:10]
        return "-".join(part for part in ("headrace", self.service, instance, str(shard)) if part)

    def selector(self) -> str:
        """Return the label selector of all Leases of this service and instance."""
        return f"{SERVICE_LABEL}={self.service},{INSTANCE_LABEL}={self.instance_id}"


class Owner(Protocol):
    """What a service asks before it acts."""

    def may_act(self, key: str) -> bool:
        """Return whether this replica may act for a key now."""
        ...


class Listener(Protocol):
    """Who follows the shards of this replica; called on the event loop, must not block."""

    def gained(self, shards: frozenset[int]) -> None:
        """Start: read the partitions, put the shards' keys into the queue."""
        ...

    def lost(self, shards: frozenset[int]) -> None:
        """Stop: forget the shards' keys, read their partitions no more."""
        ...


class SoleOwner:
    """An owner of everything, for simulators and tools that run alone."""

    def may_act(self, key: str) -> bool:
        """Return True."""
        return True


class Ownership:
    """The Leases of this replica, and what follows from them."""

    def __init__(self, cluster: Cluster, clock: Clock, membership: Membership) -> None:
        self._cluster = cluster
        self._clock = clock
        self._membership = membership
        self._listeners: list[Listener] = []
        self._leases = tuple(
            Lease(cluster, clock, membership.claim(shard), self._follow(shard))
            for shard in range(membership.layout.shards)
        )
        self._shard_of = lru_cache(maxsize=65_536)(membership.layout.shard_of)

    @property
    def namespace(self) -> str:
        """Where the service lives: its Leases, and what is configured for it."""
        return self._membership.namespace

    @property
    def leases(self) -> tuple[Lease, ...]:
        """One per shard, for who attempts them without `run`."""
        return self._leases

    @property
    def layout(self) -> Layout:
        """How the work is shared out."""
        return self._membership.layout

    @property
    def shards(self) -> frozenset[int]:
        """The shards whose Leases are held now."""
        return frozenset(shard for shard, lease in enumerate(self._leases) if lease.is_held)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions to read now, and to commit offsets of."""
        return self.layout.partitions_of(self.shards)

    def reads(self, partition_number: int) -> bool:
        """Return whether a partition is one to read, and to commit offsets of, now."""
        return self._leases[partition_number % self.layout.shards].is_held

    def shard_of(self, key: str) -> int:
        """Return the shard of a key."""
        return self._shard_of(key)

    def may_act(self, key: str) -> bool:
        """Return whether the Lease of a key's shard is held, by the clock as it is now."""
        return self._leases[self._shard_of(key)].is_held

    def guard(self, cluster: Cluster, key: str, caches: Caches | None = None) -> GuardedCluster:
        """Return a port for a key's writes: none leaves without the Lease."""
        lease = self._leases[self._shard_of(key)]
        return GuardedCluster(cluster, lambda: lease.is_held, caches)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on which shards come and go; those held now at once."""
        self._listeners.append(listener)
        held = self.shards
        if held:
            listener.gained(held)

    async def check(self) -> None:
        """Return when no living replica shares the work out differently.

        A Lease of another layout that nobody renews is one of the past: it is waited out.

        Raises:
            LeaseMismatch: It is renewed. All replicas must be stopped before a change.
        """
        sightings: dict[str, Sighting] = {}
        known: list[str] = []
        while others := await self._other_layouts(sightings):
            if others != known:
                log.warning("waiting to learn that no other layout is held", leases=others)
                known = others
            await self._clock.sleep(self._membership.terms.retry_seconds)

    async def run(self) -> None:
        """Get and keep Leases until cancelled. Raises LeaseMismatch (in a group)."""
        async with asyncio.TaskGroup() as group:
            for lease in self._leases:
                group.create_task(lease.run())

    async def release(self) -> None:
        """Give all Leases away; call when `run` was cancelled and nothing acts any more."""
        await asyncio.gather(*(lease.release() for lease in self._leases))

    def _follow(self, shard: int) -> Callable[[bool], None]:
        def changed(is_held: bool) -> None:
            shards = frozenset({shard})
            for listener in self._listeners:
                if is_held:
                    listener.gained(shards)
                else:
                    listener.lost(shards)

        return changed

    async def _other_layouts(self, sightings: dict[str, Sighting]) -> list[str]:
        """Return held Leases with other numbers; raise when one of them was renewed."""
        membership = self._membership
        selection = Selection(membership.namespace, labels=membership.selector())
        try:
            listing = await self._cluster.list(LEASES, selection)
        except TransientError as error:
            return [f"unknown: {error}"]
        now = self._clock.monotonic()
        others = []
        for manifest in listing.items:
            name = manifest["metadata"]["name"]
            known = sightings.get(name)
            seen = sight(known, manifest, now)
            sightings[name] = seen
            if not seen.is_free(now) and differences(manifest, membership.claim(0)):
                check_agreement(known, seen, membership.claim(0))
                others.append(name)
        return others
