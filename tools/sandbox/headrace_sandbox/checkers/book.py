"""What the checkers write down of each Rollout as it happens, from stored objects alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from headrace.kubernetes.resources import EXPERIMENTS, ROLLOUTS, SERVICES, Manifest
from headrace.model.meta import parse_time
from headrace_sandbox.workload import roles, selected_hash, services_of, split_of, weights_in
from headrace_sandbox.world import World, Write

LAG_SECONDS: Final = 45.0
"""How long a cache may be behind in a storm: what was true so lately may still be believed."""

UNDER_WAY_SECONDS: Final = 12.0
"""How long a request may be under way at most: longer than a Lease, nobody answers for it."""


@dataclass(slots=True)
class Asked:
    """One route request, as it stood in a Rollout.

    Attributes:
        since: When it was stored first.
        valid_until: True time after which it must not be applied, the longest of its renewals;
            None for a lowering.
        document: As stored last.
    """

    since: float
    valid_until: float | None
    document: Mapping[str, Any]


@dataclass(slots=True)
class Page:
    """What is known of one Rollout.

    Attributes:
        asked: Requests by epoch.
        acknowledged: Newest epoch that the Rollout called acknowledged.
        allowed: Highest weight that each hash may have got by its step.
        shown: What the traffic object showed for the canary: (since, weight, epoch of the fence).
        replicas: `spec.replicas` over time: (since, wanted).
        aborted_since: When `status.abort` was set; None while it is not.
        retried_at: When a person last took back what was known to be aborted.
        runs: Names of AnalysisRuns that were created.
        fences: Epochs that a fence of this uid ever had.
        named: Since when it names which Services.
        is_routed: Whether it has a router.
        routed_since: When that was added; None where it has none, or had one at first.
    """

    asked: dict[int, Asked] = field(default_factory=dict)
    acknowledged: int = 0
    allowed: dict[str, int] = field(default_factory=dict)
    shown: list[tuple[float, int, int]] = field(default_factory=list)
    replicas: list[tuple[float, int]] = field(default_factory=list)
    aborted_since: float | None = None
    retried_at: float | None = None
    runs: set[str] = field(default_factory=set)
    fences: set[int] = field(default_factory=set)
    named: dict[str, float] = field(default_factory=dict)
    is_routed: bool | None = None
    routed_since: float | None = None

    def showed(self, weight: int, since: float) -> bool:
        """Return whether the canary had a weight at some time from `since` on."""
        return any(entry[1] == weight for entry in _lately(self.shown, since))

    def replicas_least(self, since: float) -> int:
        """Return the fewest replicas that were wanted at some time from `since` on."""
        return min((entry[1] for entry in _lately(self.replicas, since)), default=0)

    def open_routes(self, now: float) -> list[Mapping[str, Any]]:
        """Return the requests that may still be applied, or hold.

        What is older than the acknowledged one, or than the fence, is refused.
        """
        oldest = max(self.acknowledged, self.shown[-1][2] if self.shown else 0)
        return [
            asked.document
            for epoch, asked in self.asked.items()
            if epoch >= oldest and (epoch in (oldest, max(self.asked)) or _may_hold(asked, now))
        ]


EntryT = TypeVar("EntryT", bound=tuple[Any, ...])


def _lately(entries: Sequence[EntryT], since: float) -> list[EntryT]:
    """Return the entries, each true from its time until the next one's, that held after `since`."""
    return [
        entry
        for number, entry in enumerate(entries)
        if number + 1 == len(entries) or entries[number + 1][0] > since
    ]


class Book:
    """The pages of all Rollouts, and when pods were there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pages: dict[str, Page] = {}
        self._available: dict[tuple[str, str], list[tuple[float, int]]] = {}
        self._moved_by_others: dict[str, float] = {}
        self._sent: dict[tuple[str, str, str], float] = {}

    def page(self, uid: str) -> Page:
        """Return the page of a Rollout."""
        return self._pages.setdefault(uid, Page())

    def rollout(self, name: str) -> Manifest | None:
        """Return a Rollout as it is stored."""
        record = self._world.objects.find(ROLLOUTS, "default", name)
        return record.manifest if record is not None else None

    def had_pods(self, uid: str, pod_hash: str, count: int, since: float) -> bool:
        """Return whether a ReplicaSet had so many available pods at some time from `since` on."""
        entries = self._available.get((uid, pod_hash), [])
        return any(entry[1] >= count for entry in _lately(entries, since))

    def lacked_pods(self, uid: str, pod_hash: str, since: float) -> bool:
        """Return whether a ReplicaSet had no available pod at some time from `since` on."""
        entries = self._available.get((uid, pod_hash), [])
        return not entries or any(entry[1] == 0 for entry in _lately(entries, since))

    def experiment_had_pods(self, uid: str, pod_hash: str, since: float) -> bool:
        """Return whether a ReplicaSet of an Experiment of a Rollout had pods from `since` on."""
        return any(
            self.had_pods(record.uid, pod_hash, 1, since)
            for record in self._world.objects.dependents(uid)
            if record.resource.plural == EXPERIMENTS.plural
        )

    def sent(self, identity: str, plural: str, name: str) -> None:
        """Note when a write left its process."""
        self._sent[identity, plural, name] = self._world.now

    def is_late(self, write: Write) -> bool:
        """Return whether its author may have lost the Lease long since, and others have decided."""
        record = write.change.record
        sent = self._sent.get((write.identity, record.resource.plural, record.name))
        return sent is not None and self._world.now - sent >= UNDER_WAY_SECONDS

    def selected(self, write: Write, *, by_others: bool) -> None:
        """Note who moved a Service last: a stranger, whom nobody could foresee, or one of ours."""
        record = write.change.record
        if record.resource.plural == SERVICES.plural:
            self._moved_by_others.pop(record.name, None)
            if by_others:
                self._moved_by_others[record.name] = self._world.now

    def moved_by_others(self, service: str) -> float | None:
        """Return when a stranger moved a Service, if nobody did so since."""
        return self._moved_by_others.get(service)

    def note(self, write: Write) -> None:
        """Write a committed change down; call before the rules look at it."""
        new = write.change.new
        if new is None:
            return
        match new.resource.plural:
            case "rollouts":
                self._note_rollout(new.manifest)
            case "replicasets":
                self._note_pods(new.manifest)
            case "trafficsplits" | "httproutes":
                self._note_split(new.manifest)
            case "analysisruns":
                for owner in new.metadata.get("ownerReferences") or ():
                    self.page(owner["uid"]).runs.add(new.name)

    def _note_rollout(self, rollout: Manifest) -> None:
        now, page = self._world.now, self.page(rollout["metadata"]["uid"])
        status = rollout.get("status") or {}
        headrace = status.get("headrace") or {}
        route = headrace.get("route")
        if route is not None:
            self._note_route(page, route)
        known = headrace.get("acknowledged") or {}
        page.acknowledged = max(page.acknowledged, int(known.get("epoch") or 0))
        is_routed = _is_routed(rollout)
        if page.is_routed is not is_routed:
            page.routed_since = now if is_routed and page.is_routed is False else None
        page.is_routed = is_routed
        page.named = {name: page.named.get(name, now) for name in services_of(rollout)}
        wanted = int(rollout["spec"].get("replicas", 1))
        if not page.replicas or page.replicas[-1][1] != wanted:
            page.replicas.append((now, wanted))
        if status.get("abort"):
            page.aborted_since = page.aborted_since if page.aborted_since is not None else now
        elif page.aborted_since is not None:
            page.aborted_since = None
            page.retried_at = now if status.get("abortedAt") else page.retried_at
        self._note_allowed(page, rollout, status)

    def _note_route(self, page: Page, route: Mapping[str, Any]) -> None:
        valid = route.get("validUntil")
        until: float | None = parse_time(valid) if valid else None
        known = page.asked.get(route["epoch"])
        if known is None:
            page.asked[route["epoch"]] = Asked(self._world.now, until, route)
        else:
            if until is not None and known.valid_until is not None:
                until = max(until, known.valid_until)
            page.asked[route["epoch"]] = Asked(known.since, until, route)

    def _note_allowed(self, page: Page, rollout: Manifest, status: Mapping[str, Any]) -> None:
        current, stable = status.get("currentPodHash", ""), status.get("stableRS", "")
        if not current:
            return
        weight = step_weight(rollout, status)
        headrace = status.get("headrace") or {}
        route, known = headrace.get("route") or {}, headrace.get("acknowledged") or {}
        if route and known.get("epoch") == route.get("epoch"):
            carried = (route.get("hashes") or {}).get("canary", "")
            page.allowed = {stable: 100, carried: int(known.get("canary") or 0)}
        page.allowed[current] = max(page.allowed.get(current, 0), weight)
        if stable:
            page.allowed[stable] = 100

    def _note_pods(self, replica_set: Manifest) -> None:
        metadata = replica_set["metadata"]
        pod_hash = (metadata.get("labels") or {}).get("rollouts-pod-template-hash", "")
        count = int((replica_set.get("status") or {}).get("availableReplicas") or 0)
        for owner in metadata.get("ownerReferences") or ():
            entries = self._available.setdefault((owner["uid"], pod_hash), [])
            if not entries or entries[-1][1] != count:
                entries.append((self._world.now, count))
                del entries[:-50]

    def _note_split(self, manifest: Manifest) -> None:
        for fence in _fences(manifest):  # those of Rollouts that are gone, too
            self.page(str(fence.get("uid"))).fences.add(int(fence.get("epoch") or 0))
        for record in self._world.objects.all(ROLLOUTS):
            found = split_of(self._world.objects, record.manifest)
            if found is not None and found[0].uid != manifest["metadata"]["uid"]:
                continue
            page, fence = self.page(record.uid), fence_of(manifest, record.uid) or {}
            epoch = int(fence.get("epoch") or 0)
            asked = page.asked.get(epoch)
            if found is None and asked is None:
                continue
            # With ping and pong the roles may have swapped since the request; and a router that was
            # given up meanwhile is only in the request.
            canary, stable = roles(record.manifest)
            if asked is not None:
                services = asked.document["services"]
                canary, stable = (
                    services.get("canaryRole", canary),
                    services.get("stableRole", stable),
                )
            weights = found[1] if found is not None else weights_in(manifest, (canary, stable))
            page.shown.append((self._world.now, weights.get(canary, 0), epoch))
            del page.shown[:-50]

    def most(self, rollout: Manifest, service: str) -> int:
        """Return the highest weight that a Service may have now or get by an open request."""
        found = split_of(self._world.objects, rollout)
        fence = fence_of(found[0].manifest, rollout["metadata"]["uid"]) if found else None
        # By its fence: what a stranger moved, nobody could know of.
        split = (fence or {}).get("split") or ()
        weights = [0, *(int(each["weight"]) for each in split if each["service"] == service)]
        for route in self.page(rollout["metadata"]["uid"]).open_routes(self._world.now):
            weights.append(weight_in(route, service))
        return max(weights)

    def destination(self, rollout: Manifest, service: str) -> int:
        """Return the highest weight that the Service of an experiment may have, or get."""
        found = split_of(self._world.objects, rollout)
        weights = [found[1].get(service, 0) if found is not None else 0]
        if found is not None:
            for route in self.page(rollout["metadata"]["uid"]).open_routes(self._world.now):
                extra = route["weights"].get("additional") or ()
                weights += [int(each["weight"]) for each in extra if each["service"] == service]
        return max(weights)

    def share(self, rollout: Manifest, pod_hash: str, *, is_known: bool) -> int:
        """Return the highest weight that may reach the pods of a hash, 0 without routers.

        One that was added lately somebody may not know of; `is_known` says that he did.
        """
        since = self.page(rollout["metadata"]["uid"]).routed_since
        is_news = since is not None and self._world.now - since < LAG_SECONDS
        if not _is_routed(rollout) or (is_news and not is_known):
            return 0
        objects = self._world.objects
        names = [name for name in roles(rollout) if name]
        return max(
            (self.most(rollout, n) for n in names if selected_hash(objects, n) == pod_hash),
            default=0,
        )


def _is_routed(rollout: Manifest) -> bool:
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    return bool(canary.get("trafficRouting"))


def _may_hold(asked: Asked, now: float) -> bool:
    return asked.valid_until is not None and now <= asked.valid_until


def fence_of(manifest: Manifest, uid: str) -> dict[str, Any] | None:
    """Return the fence of a Rollout on a traffic object, whatever key it has."""
    return next((fence for fence in _fences(manifest) if fence.get("uid") == uid), None)


def fences_on(manifest: Manifest) -> list[str]:
    """Return the uids of all Rollouts whose fence a traffic object carries."""
    return [str(fence.get("uid")) for fence in _fences(manifest)]


def _fences(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for name, text in (manifest["metadata"].get("annotations") or {}).items():
        if name.startswith("headrace.io/route"):
            yield json.loads(text)


def weight_in(route: Mapping[str, Any], service: str) -> int:
    """Return the weight of a Service in a route document."""
    weights, services = route["weights"], route["services"]
    if service == services.get("canaryRole"):
        return int(weights.get("canary") or 0)
    if service == services.get("stableRole"):
        return int(weights.get("stable") or 0)
    return 0


def step_weight(rollout: Manifest, status: Mapping[str, Any]) -> int:
    """Return the weight that the step of a Rollout allows its new version."""
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    steps = canary.get("steps") or []
    index = status.get("currentStepIndex")
    if not steps or status.get("currentPodHash") == status.get("stableRS"):
        return 100
    if status.get("promoteFull") and canary.get("dynamicStableScale"):
        return 100  # it follows the pods (canary 5.2, rule 5)
    if index is None:
        return 0
    if index >= len(steps):
        return 100
    found = [step["setWeight"] for step in steps[: index + 1] if "setWeight" in step]
    return int(found[-1]) if found else 0
