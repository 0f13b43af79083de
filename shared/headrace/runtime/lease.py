"""One Kubernetes Lease: who may do a shard's work, and until when.

The first half is pure: what a Lease object says, and what to do about it. `Lease` is the shell
that `headrace.runtime.ownership` runs, one per shard.

Two clocks never have to agree. Who waits for a Lease measures by its own monotonic clock how long
the object did not change; who holds it stops by its own monotonic clock well before that time is
over, counted from *before* the request that renewed it. `is_held` compares the clock whenever it
is asked, so a process that was frozen knows at its next write.

Source: client-go's leaderelection (observed time instead of written time).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog

from headrace.errors import Conflict, NotFound, PermanentError, RolloutError
from headrace.kubernetes.resources import LEASES, Manifest
from headrace.model.meta import format_micro_time
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster, MergePatch

log = structlog.get_logger(__name__)

_HOLD_RATIO: Final = 0.8
"""Part of the duration for which a holder acts without a renewal. The rest is for requests on
their way and for clocks that do not run equally fast."""


class LeaseMismatch(PermanentError):
    """Another process holds the Lease and shares the work out differently; do not start."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of a Lease, in seconds, all > 0.

    Attributes:
        duration_seconds: Others may take a Lease that was not renewed for so long.
        renew_seconds: Time between renewals.
        retry_seconds: Time between attempts to get, or to renew after a failure.
    """

    duration_seconds: float = 10.0
    renew_seconds: float = 3.0
    retry_seconds: float = 1.0

    @property
    def hold_seconds(self) -> float:
        """How long a holder acts after the start of its last successful renewal."""
        return self.duration_seconds * _HOLD_RATIO


@dataclass(frozen=True, slots=True)
class Claim:
    """Which Lease is wanted, by whom.

    Attributes:
        identity: Name of this replica; no two living ones share it.
        terms: Times.
        labels: For finding all Leases of a service.
        annotations: What all holders must agree on.
    """

    namespace: str
    name: str
    identity: str
    terms: Terms = Terms()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease object, and since when (own monotonic time) it looks like this."""

    manifest: Manifest
    since: float

    @property
    def holder(self) -> str:
        """Identity of the holder; empty when released."""
        return self.manifest.get("spec", {}).get("holderIdentity") or ""

    def is_free(self, now: float) -> bool:
        """Return whether anybody may take it at `now` (own monotonic time)."""
        seconds = self.manifest.get("spec", {}).get("leaseDurationSeconds") or 0
        return not self.holder or now >= self.since + seconds


def sight(previous: Sighting | None, manifest: Manifest, now: float) -> Sighting:
    """Return the sighting of `manifest`: an unchanged record keeps its time."""
    if previous is not None and _record(previous.manifest) == _record(manifest):
        return Sighting(manifest, previous.since)
    return Sighting(manifest, now)


def decide(sighting: Sighting, claim: Claim, now: float) -> Literal["renew", "take", "wait"]:
    """Return what to do about a Lease that exists."""
    if sighting.holder == claim.identity:
        return "renew"
    if sighting.is_free(now):
        return "take"
    return "wait"


def differences(manifest: Manifest, claim: Claim) -> list[str]:
    """Return the annotations of a Lease that are not those of the claim, as `key=value`."""
    found = manifest["metadata"].get("annotations") or {}
    return [
        f"{key}={found[key]}"
        for key, wanted in claim.annotations.items()
        if found.get(key, wanted) != wanted
    ]


def check_agreement(previous: Sighting | None, seen: Sighting, claim: Claim) -> None:
    """Raise LeaseMismatch when a living holder renews a Lease under other annotations.

    A holder is known to live when the record changed between two sightings; one that died with
    other annotations must not stop its successor.
    """
    found = differences(seen.manifest, claim)
    if found and previous is not None and seen.since != previous.since and seen.holder:
        metadata = seen.manifest["metadata"]
        wanted = ", ".join(f"{key}={value}" for key, value in claim.annotations.items())
        raise LeaseMismatch(
            f"Lease {metadata.get('namespace')}/{metadata['name']} is held by {seen.holder} "
            f"with {', '.join(found)}, but this process has {wanted}: stop all replicas before "
            "changing that"
        )


def new_lease(claim: Claim, now: float) -> Manifest:
    """Return the object to create. `now` is wall time, for people to read."""
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {
            "namespace": claim.namespace,
            "name": claim.name,
            "labels": dict(claim.labels),
            "annotations": dict(claim.annotations),
        },
        "spec": {
            **_times(claim, now),
            "acquireTime": format_micro_time(now),
            "leaseTransitions": 0,
        },
    }


def take(manifest: Manifest, claim: Claim, now: float) -> MergePatch:
    """Return the patch that takes a free Lease, unless somebody else was faster."""
    transitions = manifest.get("spec", {}).get("leaseTransitions") or 0
    spec = {
        **_times(claim, now),
        "acquireTime": format_micro_time(now),
        "leaseTransitions": transitions + 1,
    }
    metadata = {"labels": dict(claim.labels), "annotations": dict(claim.annotations)}
    return _patch(manifest, spec, metadata)


def renew(manifest: Manifest, claim: Claim, now: float) -> MergePatch:
    """Return the patch that renews an own Lease, unless somebody else took it."""
    return _patch(manifest, {"renewTime": format_micro_time(now)})


def release(manifest: Manifest, now: float) -> MergePatch:
    """Return the patch that gives an own Lease away, unless somebody else took it."""
    spec = {"holderIdentity": None, "leaseDurationSeconds": 1, "renewTime": format_micro_time(now)}
    return _patch(manifest, spec)


def _times(claim: Claim, now: float) -> dict[str, Any]:
    return {
        "holderIdentity": claim.identity,
        # Rounded up: who waits must not be faster than who holds.
        "leaseDurationSeconds": math.ceil(claim.terms.duration_seconds),
        "renewTime": format_micro_time(now),
    }


def _patch(
    manifest: Manifest, spec: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
) -> MergePatch:
    version = manifest["metadata"]["resourceVersion"]
    return MergePatch(
        {"metadata": {**(metadata or {}), "resourceVersion": version}, "spec": dict(spec)}
    )


def _record(manifest: Manifest) -> tuple[object, object]:
    return manifest["metadata"].get("uid"), manifest.get("spec")


class Lease:
    """Gets, keeps and releases one Lease.

    Args:
        cluster: Where the Lease lives.
        clock: Both its times are used.
        claim: Which Lease, by whom.
        on_change: Told True when the Lease was got, False when it was lost. May come late;
            `is_held` never is.
    """

    def __init__(
        self, cluster: Cluster, clock: Clock, claim: Claim, on_change: Callable[[bool], None]
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._claim = claim
        self._on_change = on_change
        self._own: Manifest | None = None
        self._sighting: Sighting | None = None
        self._held_until = -math.inf
        self._told = False
        self._problem = ""

    @property
    def is_held(self) -> bool:
        """True while this replica may act, by the clock as it is now."""
        return self._clock.monotonic() < self._held_until

    @property
    def claim(self) -> Claim:
        """Which Lease this is, and who wants it."""
        return self._claim

    async def run(self) -> None:
        """Try to get the Lease and to keep it, until cancelled.

        Raises:
            LeaseMismatch: Another process holds it and shares the work out differently.
        """
        while True:
            began = self._clock.monotonic()
            was_renewed = await self._try()
            self.tell()
            await self._rest(began + self.pause_seconds(was_renewed=was_renewed))

    def pause_seconds(self, *, was_renewed: bool) -> float:
        """Return the time from the beginning of an attempt to that of the next one."""
        terms = self._claim.terms
        return terms.renew_seconds if was_renewed else terms.retry_seconds

    async def release(self) -> None:
        """Give the Lease away if it is ours, so that others need not wait; call after `run`."""
        was_held = self.is_held
        self._held_until = -math.inf
        self.tell()
        if not was_held:
            return
        try:
            async with asyncio.timeout(self._claim.terms.renew_seconds):
                await self._give_away()
        except (RolloutError, TimeoutError) as error:
            log.warning("lease not released", lease=self._claim.name, error=str(error))

    async def _try(self) -> bool:
        try:
            async with asyncio.timeout(self._patience_seconds()):
                return await self.attempt()
        except TimeoutError as error:
            self._fail(error)
            return False

    async def attempt(self) -> bool:
        """Make one attempt, however long it takes; return whether the Lease is ours by it.

        Raises:
            LeaseMismatch: Another process holds it and shares the work out differently.
        """
        try:
            was_renewed = await self._attempt()
        except LeaseMismatch:
            raise
        except Conflict:
            self._own = None  # somebody was faster; look again
            return False
        except RolloutError as error:
            self._fail(error)
            return False
        self._complain("")
        return was_renewed

    def _fail(self, error: Exception) -> None:
        self._own = None
        self._complain(f"{type(error).__name__}: {error}")

    def _patience_seconds(self) -> float:
        """Return how long an attempt may take: a holder must find time for another one."""
        terms = self._claim.terms
        if not self.is_held:
            return terms.hold_seconds
        left = self._held_until - self._clock.monotonic()
        return max(min(terms.renew_seconds, left), terms.retry_seconds)

    async def _attempt(self) -> bool:
        began = self._clock.monotonic()
        try:
            manifest = self._own or await self._look()
            # When it was seen, not when it was asked for: a slow answer shows a holder of now.
            seen_at = self._clock.monotonic()
            previous = self._sighting
            sighting = self._sighting = sight(previous, manifest, seen_at)
            match decide(sighting, self._claim, seen_at):
                case "wait":
                    check_agreement(previous, sighting, self._claim)
                    return False
                case "renew":
                    patch = renew(manifest, self._claim, self._clock.now())
                case "take":
                    patch = take(manifest, self._claim, self._clock.now())
            self._own = await self._write(patch)
        except NotFound:
            self._own = await self._cluster.create(
                LEASES, new_lease(self._claim, self._clock.now())
            )
        self.tell()  # a gap that nobody noticed is a loss all the same: wake-ups were ignored
        self._held_until = began + self._claim.terms.hold_seconds
        return True

    async def _give_away(self) -> None:
        manifest = await self._look()  # a renewal may have been cut off: its answer is unknown
        if Sighting(manifest, 0.0).holder == self._claim.identity:
            await self._write(release(manifest, self._clock.now()))
            log.info("lease released", lease=self._claim.name)

    async def _look(self) -> Manifest:
        return await self._cluster.get(LEASES, self._claim.namespace, self._claim.name)

    async def _write(self, patch: MergePatch) -> Manifest:
        return await self._cluster.patch(LEASES, self._claim.namespace, self._claim.name, patch)

    async def _rest(self, until: float) -> None:
        """Sleep until a (monotonic) time; tell the loss of the Lease when it comes."""
        while (now := self._clock.monotonic()) < until:
            wake = min(until, self._held_until) if self._told else until
            await self._clock.sleep(max(wake - now, 0.001))
            self.tell()

    def tell(self) -> None:
        """Tell a change of `is_held` that nobody was told yet."""
        is_held = self.is_held
        if is_held == self._told:
            return
        self._told = is_held
        log.info("lease got" if is_held else "lease lost", lease=self._claim.name)
        self._on_change(is_held)

    def _complain(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("lease request failed", lease=self._claim.name, error=problem)
        self._problem = problem
