"""Rules that watch a protection itself, where another one would hide its loss."""

from __future__ import annotations

from typing import Final

from headrace import errors
from headrace.events.envelope import decode
from headrace.events.traffic import RouteRefused
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    EXPERIMENTS,
    LEASES,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.model.meta import parse_time
from headrace.runtime.bus_queue import Outgoing
from headrace.runtime.cluster_memory.objects import Record
from headrace.runtime.reconciler import Outcome
from headrace_sandbox.checkers.book import UNDER_WAY_SECONDS, Book, fence_of
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.looking import Agent
from headrace_sandbox.workload import split_of
from headrace_sandbox.world import World, Write

_CLOCK_ERROR_SECONDS: Final = 1.5
"""How wrong a node may be about the API server's time, plus a request under way."""

_CONDITIONAL: Final = frozenset(
    kind.plural for kind in (ROLLOUTS, SERVICES, TRAFFIC_SPLITS, EXPERIMENTS, ANALYSIS_RUNS)
)
"""Kinds whose every change depends on the version that it was computed from."""

_PARTS: Final = ("spec", "status")
_TRAFFIC: Final = frozenset({"trafficsplits", "httproutes"})
_LEASED: Final = frozenset(
    {"rollouts", "services", "trafficsplits", "replicasets", "experiments", "deployments"}
)


class Protections:
    """Leases, expiries, versions, fences and invariants."""

    def __init__(self, world: World, book: Book, findings: Findings) -> None:
        self._world = world
        self._book = book
        self._require = findings.require
        self._known: dict[tuple[str, str, str], Manifest] = {}
        self._knew_aborted: dict[str, set[str]] = {}

    def sends(self, node: Agent, verb: str, resource: Resource, name: str) -> None:
        """Hear that a write leaves a node: it holds the Lease, and knows which version it saw."""
        if resource.plural == LEASES.plural:
            return
        if resource.plural in _TRAFFIC:
            self._knew_aborted[node.name] = {
                record.name
                for record in self._world.objects.all(ROLLOUTS)
                if _is_aborted(node.cached(ROLLOUTS, "default", record.name))
            }
        known, place = node.cached(resource, "default", name), (node.name, resource.plural, name)
        self._known.pop(place, None)
        if known is not None:
            self._known[place] = known
        if resource.plural in _LEASED:
            self._lease(node, resource, name)

    def _lease(self, node: Agent, resource: Resource, name: str) -> None:
        key = self._key(resource, name)
        needed = node.lease_of(key) if key is not None else ""
        if not needed:
            return
        lease = self._world.objects.find(LEASES, "default", needed)
        spec = lease.manifest["spec"] if lease is not None else {}
        holder = spec.get("holderIdentity")
        is_held = holder == node.name and self._renewed(node, spec)
        text = f"{node.name} writes {resource.plural}/{name}, {holder} holds the Lease"
        self._require(is_held, "no write without the Lease", text)

    def _renewed(self, node: Agent, spec: dict[str, object]) -> bool:
        """Whether a Lease is younger than its duration, by the clock of its holder."""
        renewed = parse_time(str(spec["renewTime"]))
        seconds = int(str(spec["leaseDurationSeconds"]))
        return node.clock.now() < renewed + seconds

    def _key(self, resource: Resource, name: str) -> str | None:
        if resource.plural == ROLLOUTS.plural:
            return f"default/{name}"
        for record in self._world.objects.all(ROLLOUTS):
            if name == record.name or name.startswith(f"{record.name}-"):
                return f"default/{record.name}"
        return None

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        old, record = write.change.old, write.change.record
        if old is None:
            return
        self._computed_from(write, old)
        if record.resource.plural in _TRAFFIC and write.change.new is not None:
            self._expiry(write)

    def _computed_from(self, write: Write, old: Record) -> None:
        """What a write changes, its author knew as it was."""
        new, plural = write.change.new, old.resource.plural
        known = self._known.get((write.identity, plural, old.name))
        if known is None:
            return
        if new is None:  # its version is that of the deletion
            is_known = all(known.get(part) == old.manifest.get(part) for part in _PARTS)
            text = f"{plural}/{old.name} is deleted, and was another one when that was decided"
            self._require(is_known, "a stale write is refused", text)
            return
        seen = known["metadata"]["resourceVersion"]
        if plural in _CONDITIONAL:
            text = f"{plural}/{old.name}: computed from {seen}, over {old.version}"
            self._require(int(seen) >= old.version, "a stale write is refused", text)
        elif plural == REPLICA_SETS.plural:
            sizes = [_size(each) for each in (known, old.manifest, new.manifest)]
            text = (
                f"{plural}/{old.name}: from {sizes[1]} to {sizes[2]} pods, computed from {sizes[0]}"
            )
            is_known = sizes[0] == sizes[1] or sizes[1] == sizes[2]
            self._require(is_known, "a stale write is refused", text)

    def _expiry(self, write: Write) -> None:
        """A raise is never written after its expiry, but for one that was acknowledged."""
        new, old = write.change.new, write.change.old
        assert new is not None
        assert old is not None
        for record in self._world.objects.all(ROLLOUTS):
            found = split_of(self._world.objects, record.manifest)
            if found is None or found[0].uid != new.uid:
                continue
            page = self._book.page(record.uid)
            if len(page.shown) < 2 or page.shown[-1][1] <= page.shown[-2][1]:
                continue
            epoch = int((fence_of(new.manifest, record.uid) or {}).get("epoch") or 0)
            asked = page.asked.get(epoch)
            if asked is None or asked.valid_until is None or epoch <= page.acknowledged:
                continue
            late = self._world.now - asked.valid_until
            text = f"{record.name}: epoch {epoch} written {late:.1f} s after its expiry"
            self._require(late < _CLOCK_ERROR_SECONDS, "no raise after its expiry", text)

    def aborted_knowingly(self, node: Agent, write: Write) -> None:
        """A router that knows of an abort when its write leaves raises nothing."""
        new = write.change.new
        if new is None or write.change.record.resource.plural not in _TRAFFIC:
            return
        for record in self._world.objects.all(ROLLOUTS):
            found = split_of(self._world.objects, record.manifest)
            if found is None or found[0].uid != new.uid:
                continue
            page = self._book.page(record.uid)
            before = page.shown[-2][1] if len(page.shown) > 1 else 0
            is_aborted = record.name in self._knew_aborted.get(node.name, ())
            epoch = int((fence_of(new.manifest, record.uid) or {}).get("epoch") or 0)
            asked = page.asked.get(epoch)
            if asked is not None and asked.document.get("aborted"):
                continue
            # What came through while the write was under way could not be minded any more.
            is_news = self._world.now - (page.aborted_since or 0.0) < UNDER_WAY_SECONDS
            if page.shown and page.shown[-1][1] > before and not is_news:
                text = f"{node.name} raises {record.name} to {page.shown[-1][1]}"
                self._require(not is_aborted, "nothing raises a weight after an abort", text)

    def published(self, identity: str, message: Outgoing) -> None:
        """Hear of a message: a refusal names an epoch that is really on the fence of its uid."""
        if message.headers.get("ce_type") != RouteRefused.EVENT_TYPE:
            return
        payload = decode(message.key, message.headers, message.value).payload
        if isinstance(payload, RouteRefused) and payload.found_epoch:
            self.refused(payload.uid, payload.rollout, payload.found_epoch)

    def refused(self, uid: str, rollout: str, found_epoch: int) -> None:
        """Hear that a route was refused for a newer epoch: one that its own fence really had."""
        epochs = self._book.page(uid).fences
        text = f"{rollout}: refused for epoch {found_epoch}, it had {epochs}"
        self._require(found_epoch in epochs, "a fence of another uid is not honoured", text)

    def reconciled(self, node: Agent, key: str, outcome: Outcome) -> None:
        """Hear how a reconcile ended: nothing is frozen, nothing crashes."""
        text = f"{node.name} {key}: {outcome.message}"
        self._require(outcome.kind != "frozen", "no plan violates an invariant", text)
        if outcome.kind == "failed":
            kind = outcome.message.partition(":")[0]
            self._require(hasattr(errors, kind), "no reconcile crashes", text)


def _size(replica_set: Manifest) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _is_aborted(rollout: Manifest | None) -> bool:
    return bool(((rollout or {}).get("status") or {}).get("abort"))
