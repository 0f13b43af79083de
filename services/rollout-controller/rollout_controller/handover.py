"""Rollouts whose shard has just come to this replica, and what the last holder may have changed.

A cached Rollout may be older than the last writes of the one who held the shard. A status is stored
only over the version that it was made from, but an effect on another object has no such
precondition: the first plan with effects is held against the live Rollout.

Source: architecture, section 2 ("Ownership").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headrace.errors import Conflict
from headrace.kubernetes.resources import ROLLOUTS
from headrace.model.quantities import Instant
from headrace.runtime.cluster import Cluster
from headrace.runtime.reconciler import Actor
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Plan


class Handover:
    """An actor before the actor, and a listener of the ownership.

    Args:
        actor: Carries plans out.
        guard: Returns the port of a key, which feeds the caches.
        shard_of: Returns the shard of a key.
        keys: Returns every key that is cached.
    """

    def __init__(
        self,
        actor: Actor[Observed, Plan],
        guard: Callable[[str], Cluster],
        shard_of: Callable[[str], int],
        keys: Callable[[], Iterable[str]],
    ) -> None:
        self._actor = actor
        self._guard = guard
        self._shard_of = shard_of
        self._keys = keys
        self._doubted: set[str] = set()

    def gained(self, shards: frozenset[int]) -> None:
        """Doubt what is cached of these shards."""
        self._doubted |= {key for key in self._keys() if self._shard_of(key) in shards}

    def lost(self, shards: frozenset[int]) -> None:
        """Leave them to the replica that has them now."""
        self._doubted = {key for key in self._doubted if self._shard_of(key) not in shards}

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return whether anything was written.

        Raises:
            Conflict: The Rollout is another than the plan was made from; it is in its cache.
            RolloutError: As the actor.
        """
        key = observed.key
        if key in self._doubted and plan.effects and plan.intent is None:
            live = await self._guard(key).get(ROLLOUTS, observed.namespace, observed.name)
            self._doubted.discard(key)
            if live["metadata"]["resourceVersion"] != observed.resource_version:
                raise Conflict(f"Rollout {key} is newer than what was cached of it")
        has_written = await self._actor.act(observed, plan, now=now)
        if plan.intent is not None or plan.claim is not None:
            self._doubted.discard(key)  # stored over the version that was read
        return has_written
