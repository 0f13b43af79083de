"""Rules of traffic: what a write of a traffic object, a Service or a ReplicaSet must never do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace.model.meta import parse_time
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.checkers.book import LAG_SECONDS, Book, fence_of, fences_on
from headrace_sandbox.checkers.knowledge import KnowledgeRules
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.faults import NONE
from headrace_sandbox.workload import (
    HASH,
    header_rules,
    replica_sets,
    roles,
    selected_hash,
    split_of,
    weights_in,
)
from headrace_sandbox.world import World, Write

_VALID_SECONDS: Final = 62.0
"""How long a raise may be applied after it was asked for, with the error of a clock."""


class TrafficRules:
    """Checked at every committed write of a service."""

    def __init__(
        self, world: World, book: Book, knowledge: KnowledgeRules, findings: Findings
    ) -> None:
        self._world = world
        self._book = book
        self._knowledge = knowledge
        self._require = findings.require

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        match write.change.record.resource.plural:
            case "trafficsplits" | "httproutes":
                self._split(write)
            case "services":
                self._service(write)
            case "replicasets":
                self._replica_set(write)

    # Traffic objects

    def _split(self, write: Write) -> None:
        new, old = write.change.new, write.change.old
        if new is None:
            return
        for record in self._world.objects.all(ROLLOUTS):
            rollout = record.manifest
            found = split_of(self._world.objects, rollout)
            if found is None or found[0].uid != new.uid:
                continue
            pair = roles(rollout)
            before = weights_in(old.manifest, pair) if old is not None else {}
            self._sum(rollout, found[1])
            self._epoch(rollout, old.manifest if old is not None else None, new.manifest)
            if self._is_a_predecessors(rollout, new.manifest):
                continue
            for service, weight in found[1].items():
                if weight <= before.get(service, 0) or self._has_swapped(rollout, new.manifest):
                    continue
                if service == pair[0]:
                    self._raised(write, rollout, weight)
                elif service == pair[1]:
                    is_its_own = old is not None and self._has_all(rollout, old.manifest)
                    self._stable_raised(rollout, service, weight, is_its_own=is_its_own)
                else:
                    self._destination_raised(rollout, service, weight)
            self._matched(rollout, old.manifest if old is not None else None, new.manifest)

    def _is_a_predecessors(self, rollout: Manifest, split: Manifest) -> bool:
        """Whether a write was asked for by a Rollout of that name which was deleted since.

        It was under way when the Rollout went; its Services, let go of, select pods of every
        version.
        """
        fences = fences_on(split)
        return bool(fences) and rollout["metadata"]["uid"] not in fences

    def _has_swapped(self, rollout: Manifest, split: Manifest) -> bool:
        """Whether ping and pong changed their roles since the route that a split shows."""
        uid = rollout["metadata"]["uid"]
        epoch = int((fence_of(split, uid) or {}).get("epoch") or 0)
        asked = self._book.page(uid).asked.get(epoch)
        canary = asked.document["services"].get("canaryRole") if asked is not None else None
        return bool(canary) and canary != roles(rollout)[0]

    def _has_all(self, rollout: Manifest, before: Manifest) -> bool:
        """Whether stable was the canary of the split before, and every Service selects it already.

        So it is where somebody has deleted the stable ReplicaSet: then weights move nothing.
        """
        uid, stable = rollout["metadata"]["uid"], (rollout.get("status") or {}).get("stableRS", "")
        epoch = int((fence_of(before, uid) or {}).get("epoch") or 0)
        asked = self._book.page(uid).asked.get(epoch)
        return (
            asked is not None
            and asked.document["hashes"].get("canary") == stable
            and all(selected_hash(self._world.objects, name) == stable for name in roles(rollout))
        )

    def _sum(self, rollout: Manifest, weights: Mapping[str, int]) -> None:
        total = sum(weights.values())
        text = f"{rollout['metadata']['name']}: weights {dict(weights)} sum to {total}"
        self._require(total == 100, "weights sum to the base", text)

    def _epoch(self, rollout: Manifest, old: Manifest | None, new: Manifest) -> None:
        uid = rollout["metadata"]["uid"]
        before = fence_of(old, uid) if old is not None else None
        after = fence_of(new, uid)
        if before is not None and after is not None:
            text = f"epoch {after['epoch']} over {before['epoch']}"
            self._require(after["epoch"] >= before["epoch"], "a stale epoch is refused", text)

    def _raised(self, write: Write, rollout: Manifest, weight: int) -> None:
        new = write.change.new
        assert new is not None
        metadata = rollout["metadata"]
        name, uid, now = metadata["name"], metadata["uid"], self._world.now
        page = self._book.page(uid)
        service, _ = roles(rollout)
        pod_hash = selected_hash(self._world.objects, service)
        fence = fence_of(new.manifest, uid) or {}
        asked = page.asked.get(int(fence.get("epoch") or 0))
        text = f"{name}: {weight} to {pod_hash or 'everybody'}, epoch {fence.get('epoch')}"
        if page.aborted_since is not None and not (asked and asked.document.get("aborted")):
            self._require(
                now - page.aborted_since < _VALID_SECONDS,
                "nothing raises a weight after an abort",
                text,
            )
        if self._is_moved(service):
            return
        self._require(
            self._book.had_pods(uid, pod_hash, 1, now - _VALID_SECONDS - LAG_SECONDS),
            "nobody gets traffic without ready pods",
            text,
        )
        allowed = page.allowed.get(pod_hash, 0)
        self._require(
            weight <= allowed, "never above the step's weight", f"{text}, allowed {allowed}"
        )
        self._carried(rollout, pod_hash, weight, text)
        status = rollout.get("status") or {}
        is_newest = asked is not None and int(fence.get("epoch") or 0) == max(page.asked)
        if asked is not None and is_newest and not status.get("abort"):
            wanted = asked.document["hashes"].get("canary")
            # An undo points the canary's Service at stable; there a weight raises nothing. So does
            # an abort that a new version ends before its route: what was acknowledged is repaired.
            known = ((status.get("headrace") or {}).get("acknowledged") or {}).get("epoch")
            is_undone = status.get("stableRS") == status.get("currentPodHash")
            is_repair = known == max(page.asked)
            is_stable = pod_hash == status.get("stableRS") and (is_undone or is_repair)
            self._require(
                pod_hash == wanted or is_stable,
                "a weight waits for its Service",
                f"{text}, meant for {wanted}",
            )

    def _is_moved(self, service: str) -> bool:
        """Whether a stranger has moved a Service: who asked for a route need not have known."""
        moved_at, known_by = self._book.moved_by_others(service), _VALID_SECONDS + LAG_SECONDS
        return moved_at is not None and self._world.now - moved_at < known_by

    def _carried(self, rollout: Manifest, pod_hash: str, weight: int, text: str) -> None:
        """A weight goes to as many pods as its part of all traffic needs.

        How many carry it is a person's word where the steps scale the canary, or where all pods of
        a smaller number of replicas were there.
        """
        canary, uid = rollout["spec"]["strategy"]["canary"], rollout["metadata"]["uid"]
        if any("setCanaryScale" in step for step in canary.get("steps") or ()):
            return
        since = self._world.now - _VALID_SECONDS - LAG_SECONDS
        needed = weight * self._book.page(uid).replicas_least(since) // 100
        had_pods = self._book.had_pods(uid, pod_hash, needed, since)
        self._require(had_pods, "a weight has the pods to carry it", f"{text}: {needed} pods")

    def _stable_raised(
        self, rollout: Manifest, service: str, weight: int, *, is_its_own: bool
    ) -> None:
        """Stable takes traffic back with the pods for it, unless the canary has none.

        What it has already, in whatever role, it takes from nobody.

        The stable role of ping and pong belongs to the Service that selects stable.
        """
        uid = rollout["metadata"]["uid"]
        stable = (rollout.get("status") or {}).get("stableRS", "")
        canary = selected_hash(self._world.objects, roles(rollout)[0])
        since = self._world.now - _VALID_SECONDS - LAG_SECONDS
        is_canary_gone = canary not in replica_sets(self._world.objects, uid)
        is_taken = not is_canary_gone and not is_its_own
        if is_taken and not self._book.lacked_pods(uid, canary, since):
            text = f"{rollout['metadata']['name']}: {weight} to stable {stable}"
            self._carried(rollout, stable, weight, text)
        if "pingPong" not in rollout["spec"]["strategy"]["canary"]:
            return
        stable = (rollout.get("status") or {}).get("stableRS", "")
        pod_hash = selected_hash(self._world.objects, service)
        text = f"{rollout['metadata']['name']}: {weight} to {service}, hash {pod_hash or 'none'}"
        self._require(pod_hash == stable, "a weight waits for its Service", text)

    def _destination_raised(self, rollout: Manifest, service: str, weight: int) -> None:
        """The Service of an experiment gets traffic only with pods behind it."""
        pod_hash = selected_hash(self._world.objects, service)
        had_pods = self._book.experiment_had_pods(
            rollout["metadata"]["uid"], pod_hash, self._world.now - _VALID_SECONDS - LAG_SECONDS
        )
        text = f"{rollout['metadata']['name']}: {weight} to {service}, hash {pod_hash or 'none'}"
        self._require(had_pods, "nobody gets traffic without ready pods", text)

    def _matched(self, rollout: Manifest, old: Manifest | None, new: Manifest) -> None:
        """A header rule begins to send requests to the canary only with pods behind it."""
        service, _ = roles(rollout)
        before = header_rules(old, service) if old is not None else []
        made = [name for name in header_rules(new, service) if name not in before]
        if not made or self._is_moved(service):
            return
        pod_hash, uid = selected_hash(self._world.objects, service), rollout["metadata"]["uid"]
        since = self._world.now - _VALID_SECONDS - LAG_SECONDS
        text = f"{rollout['metadata']['name']}: rules {made} to {pod_hash or 'everybody'}"
        had_pods = self._book.had_pods(uid, pod_hash, 1, since)
        self._require(had_pods, "nobody is matched to a revision without ready pods", text)

    # Services

    def _service(self, write: Write) -> None:
        new, old = write.change.new, write.change.old
        if new is None or old is None:
            return
        pod_hash = _selector(new.manifest)
        if pod_hash == _selector(old.manifest):
            return
        is_kept = bool(pod_hash) or (_selects_more(new.manifest) and not self._is_named(new.name))
        self._require(is_kept, "a Service never loses its selector", new.name)
        for record in self._world.objects.all(ROLLOUTS):
            status, (canary, stable) = record.manifest.get("status") or {}, roles(record.manifest)
            if not status.get("stableRS"):
                continue
            is_swapping = "pingPong" in (record.manifest["spec"]["strategy"].get("canary") or {})
            if new.name != canary and not (is_swapping and new.name == stable):
                continue
            self._drained(record.manifest, old, new, status["stableRS"])
            if (
                pod_hash == status["stableRS"]
                or split_of(self._world.objects, record.manifest) is None
            ):
                continue
            most = self._book.most(record.manifest, new.name)
            allowed = self._book.page(record.uid).allowed.get(pod_hash, 0)
            text = f"{new.name} → {pod_hash}: a route may give it {most}, its step {allowed}"
            self._require(most <= allowed, "a Service waits for its route", text)

    def _is_named(self, service: str) -> bool:
        """Return whether a Rollout names a Service, and has for as long as news takes."""
        known_by = self._world.now - LAG_SECONDS
        pages = (self._book.page(record.uid) for record in self._world.objects.all(ROLLOUTS))
        return any(page.named.get(service, math.inf) < known_by for page in pages)

    def _drained(self, rollout: Manifest, old: Record, new: Record, stable: str) -> None:
        """With a dynamic stable the canary Service goes back when nobody is sent there any more.

        One that a hand has moved goes back whoever is sent there, and any goes to a stable version
        that carries all, as after a person deleted the one before.
        """
        if self._book.moved_by_others(new.name) is not None:
            return
        before, pods = _selector(old.manifest), _selector(new.manifest)
        is_dynamic = bool(rollout["spec"]["strategy"]["canary"].get("dynamicStableScale"))
        uid = rollout["metadata"]["uid"]
        if not is_dynamic or pods != stable or not self._answers(uid, before):
            return
        most = self._book.most(rollout, new.name)
        replicas = self._book.page(uid).replicas_least(self._world.now - LAG_SECONDS)
        if self._book.had_pods(uid, stable, replicas, self._world.now - LAG_SECONDS):
            return
        text = f"{new.name} → stable {stable}: a route may give it {most}"
        self._require(most == 0, "a Service waits for its route", text)

    def _answers(self, uid: str, pod_hash: str) -> bool:
        return self._book.had_pods(uid, pod_hash, 1, self._world.now)

    # ReplicaSets

    def _replica_set(self, write: Write) -> None:
        new, old = write.change.new, write.change.old
        if new is None and old is not None:
            self._deleted(old)
        if new is None or old is None:
            return
        count, before = _replicas(new.manifest), _replicas(old.manifest)
        if before == 0 < count:
            self._begun(new)
        if count >= before:
            return
        for record in self._world.objects.all(ROLLOUTS):
            owners = {owner["uid"] for owner in new.metadata.get("ownerReferences") or ()}
            if record.uid not in owners:
                continue
            pod_hash = (new.metadata.get("labels") or {}).get(HASH, "")
            is_known = self._knowledge.knew_router(write, record.name)
            share = self._book.share(record.manifest, pod_hash, is_known=is_known)
            page_least = self._book.page(record.uid).replicas_least(self._world.now - LAG_SECONDS)
            needed = self._needed(record.manifest, share, pod_hash)
            # Nobody touched the set since a late write was decided, so its tests hold all the same.
            is_kept = count >= needed or self._book.is_late(write)
            # Pods that are not there carry nothing: they may go.
            lost = self._book.had_pods(record.uid, pod_hash, 1, self._world.now)
            text = f"{new.name}: {before} → {count} pods, its share of {share} needs {needed}"
            self._require(is_kept or not lost, "no ReplicaSet goes below its share", text)
            if count == 0 and lost and page_least > 0:
                self._unmatched(record.manifest, pod_hash)
                self._delayed(record.manifest, old, pod_hash)

    def _begun(self, new: Record) -> None:
        """A new version gets its first pods when no Service sends them more than their step."""
        owners = {owner["uid"] for owner in new.metadata.get("ownerReferences") or ()}
        pod_hash = (new.metadata.get("labels") or {}).get(HASH, "")
        for record in self._world.objects.all(ROLLOUTS):
            found = split_of(self._world.objects, record.manifest)
            is_first = not (record.manifest.get("status") or {}).get("stableRS")
            if record.uid not in owners or found is None or is_first:
                continue
            allowed = self._book.page(record.uid).allowed.get(pod_hash, 0)
            for service, weight in found[1].items():
                is_its_own = selected_hash(self._world.objects, service) == pod_hash
                if is_its_own and not self._is_moved(service):
                    text = f"{new.name} begins behind {service} with {weight}, allowed {allowed}"
                    self._require(weight <= allowed, "never above the step's weight", text)

    def _deleted(self, old: Record) -> None:
        """An old ReplicaSet is deleted when its pods are gone."""
        owners = {owner["kind"] for owner in old.metadata.get("ownerReferences") or ()}
        created = int((old.manifest.get("status") or {}).get("replicas") or 0)
        count = max(_replicas(old.manifest), created)
        text = f"{old.name} is deleted with {count} pods"
        self._require(ROLLOUTS.kind not in owners or count == 0, "pods go before their set", text)

    def _delayed(self, rollout: Manifest, old: Record, pod_hash: str) -> None:
        """Pods of an old version stay for their delay; only where nobody's view or clock is off."""
        strategy, status = rollout["spec"]["strategy"], rollout.get("status") or {}
        fields = strategy.get("blueGreen") or strategy.get("canary") or {}
        is_delayed = "blueGreen" in strategy or (
            bool(fields.get("trafficRouting")) and not fields.get("dynamicStableScale")
        )
        is_settled = status.get("currentPodHash") == status.get("stableRS") != pod_hash
        has_none = fields.get("scaleDownDelaySeconds") == 0
        is_limited = "scaleDownDelayRevisionLimit" in fields
        if not is_delayed or not is_settled or has_none or is_limited or not self._is_calm:
            return
        deadline = (old.metadata.get("annotations") or {}).get("scale-down-deadline")
        is_over = deadline is not None and parse_time(deadline) <= self._world.now + 1
        text = f"{old.name} goes, to be kept until {deadline}"
        self._require(is_over, "pods of an old version stay for their delay", text)

    @property
    def _is_calm(self) -> bool:
        return self._world.faults.plan == NONE

    def _unmatched(self, rollout: Manifest, pod_hash: str) -> None:
        """The last pods of a canary go after the header rules that send requests to them."""
        service, _ = roles(rollout)
        found = split_of(self._world.objects, rollout)
        if found is None or selected_hash(self._world.objects, service) != pod_hash:
            return
        rules = header_rules(found[0].manifest, service)
        text = f"{rollout['metadata']['name']}: {pod_hash} goes, {rules} send requests there"
        self._require(not rules, "nobody is matched to a revision without ready pods", text)

    def _needed(self, rollout: Manifest, share: int, pod_hash: str) -> int:
        if share == 0:
            return 0
        canary = rollout["spec"]["strategy"]["canary"]
        has_scale = any("setCanaryScale" in step for step in canary.get("steps") or ())
        page = self._book.page(rollout["metadata"]["uid"])
        least = page.replicas_least(self._world.now - LAG_SECONDS)
        if least == 0:
            return 0
        is_stable = pod_hash == (rollout.get("status") or {}).get("stableRS")
        if has_scale and not is_stable:
            return 1
        return max(1, math.ceil(share * least / 100))


def _selector(service: Manifest) -> str:
    return str((service["spec"].get("selector") or {}).get(HASH, ""))


def _selects_more(service: Manifest) -> bool:
    return bool((service["spec"].get("selector") or {}).keys() - {HASH})


def _replicas(replica_set: Manifest) -> int:
    return int(replica_set["spec"].get("replicas", 1))
