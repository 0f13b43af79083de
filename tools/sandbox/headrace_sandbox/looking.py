"""Who may look on at the processes of a world, and what is seen of one."""

from __future__ import annotations

from typing import Protocol

from headrace.kubernetes.resources import Manifest, Resource
from headrace.runtime.reconciler import Outcome
from headrace_sandbox.clock import NodeClock


class Agent(Protocol):
    """A process of Headrace, in either ring.

    Attributes:
        name: As `traffic-router-1`.
        clock: What it takes the time for.
    """

    name: str
    clock: NodeClock

    def cached(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as the process knows it, None where it knows none."""
        ...

    def lease_of(self, key: str) -> str:
        """Return the name of the Lease that the work on a key needs, "" where none does."""
        ...


class Looker(Protocol):
    """Looks on at what processes do; the checkers implement it."""

    def sends(self, agent: Agent, verb: str, resource: Resource, name: str) -> None:
        """Hear that a request leaves a process."""
        ...

    def refused(self, uid: str, rollout: str, found_epoch: int) -> None:
        """Hear that a route was refused for a newer epoch on a traffic object."""
        ...

    def reconciled(self, agent: Agent, key: str, outcome: Outcome, seconds: float) -> None:
        """Hear how a pass ended, and how long it took: no time without any request."""
        ...
