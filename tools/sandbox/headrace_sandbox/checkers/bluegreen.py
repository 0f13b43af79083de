"""Rules of blue-green: whom the active Service may select, and how many pods stand behind it.

Source: bluegreen 3 to 5, 9; architecture, section 4 (never-false-safe).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import ANALYSIS_RUNS, ROLLOUTS, Manifest
from headrace.model.meta import format_time, parse_time
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.checkers.book import LAG_SECONDS, Book
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.workload import HASH, image_of, replica_sets, selected_hash
from headrace_sandbox.world import World, Write

_CLAIMS: Final = "status never claims what is not so"


class BlueGreenRules:
    """Checked at every committed write of a service."""

    def __init__(self, world: World, book: Book, findings: Findings) -> None:
        self._world = world
        self._book = book
        self._require = findings.require
        self._aborted_at: dict[tuple[str, str], str] = {}

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        new, old = write.change.new, write.change.old
        if new is None or old is None:
            return
        match new.resource.plural:
            case "services":
                self._service(new, old)
            case "replicasets":
                self._replica_set(new, old)
            case "rollouts":
                before = old.manifest.get("status") or {}
                self._note_abort(new)
                self._claims(new.manifest, before)

    def _note_abort(self, rollout: Record) -> None:
        """Remember when a version was aborted last: what was judged before counts no more.

        By the time of the API server, which stamps the runs: abortedAt is of another clock.
        """
        status = rollout.manifest.get("status") or {}
        if status.get("abort"):
            version = rollout.uid, status.get("currentPodHash", "")
            self._aborted_at[version] = format_time(self._world.now)

    # Services

    def _service(self, new: Record, old: Record) -> None:
        pod_hash, before = _selector(new.manifest), _selector(old.manifest)
        if pod_hash in ("", before):  # that none loses its selector is a rule of traffic
            return
        for record in self._world.objects.all(ROLLOUTS):
            strategy = blue_green_of(record.manifest)
            if strategy is not None and strategy.get("activeService") == new.name:
                if pod_hash:
                    self._cut_over(record.manifest, strategy, pod_hash)
                else:
                    self._given_up(record.manifest, before)

    def _given_up(self, rollout: Manifest, before: str) -> None:
        """Everybody may answer only where the versions that could are gone with their Rollout."""
        text = f"{rollout['metadata']['name']}: {before} was selected"
        is_there = before in replica_sets(self._world.objects, rollout["metadata"]["uid"])
        self._require(not is_there, "a Service of a Rollout selects one version", text)

    def _cut_over(self, rollout: Manifest, strategy: Mapping[str, Any], pod_hash: str) -> None:
        uid, now = rollout["metadata"]["uid"], self._world.now
        status, name = rollout.get("status") or {}, rollout["metadata"]["name"]
        page = self._book.page(uid)
        least, since = page.replicas_least(now - LAG_SECONDS), now - LAG_SECONDS
        text = f"{name}: everybody to {pod_hash}"
        had_pods = least == 0 or self._book.had_pods(uid, pod_hash, 1, since)
        self._require(had_pods, "the active Service has pods behind it", text)
        if pod_hash == status.get("stableRS") or not status.get("stableRS"):
            return
        is_full = self._book.had_pods(uid, pod_hash, least, since)
        self._require(is_full, "a new version is complete before it is active", f"{text}, {least}")
        if page.aborted_since is not None:
            rule = "nothing cuts over after an abort"
            self._require(now - page.aborted_since < LAG_SECONDS, rule, text)
        if not status.get("promoteFull") and not self._is_older(rollout, pod_hash):
            self._waited(rollout, strategy, pod_hash)

    def _waited(self, rollout: Manifest, strategy: Mapping[str, Any], pod_hash: str) -> None:
        """An update that nobody hurried has waited for its pause and passed its analysis."""
        status, name = rollout.get("status") or {}, rollout["metadata"]["name"]
        pauses = [each["reason"] for each in status.get("pauseConditions") or ()]
        if strategy.get("autoPromotionEnabled") is False:
            text = f"{name}: {pod_hash} while {pauses}"
            self._require("BlueGreenPause" not in pauses, "a cutover waits for its pause", text)
        if strategy.get("prePromotionAnalysis"):
            text = f"{name}: {pod_hash} without a successful analysis before it"
            passed = self._passed(rollout, pod_hash, "PrePromotion")
            self._require(passed, "a cutover waits for its analysis", text)

    def _is_older(self, rollout: Manifest, pod_hash: str) -> bool:
        """Whether a version was there before the stable one: a rollback may be fast."""
        sets = replica_sets(self._world.objects, rollout["metadata"]["uid"])
        stable = sets.get((rollout.get("status") or {}).get("stableRS", ""))
        target = sets.get(pod_hash)
        if stable is None or target is None:
            return True
        begun = target.metadata["creationTimestamp"], stable.metadata["creationTimestamp"]
        return bool(begun[0] < begun[1])

    def _passed(self, rollout: Manifest, pod_hash: str, kind: str) -> bool:
        since = self._aborted_at.get((rollout["metadata"]["uid"], pod_hash), "")
        return any(
            (record.manifest.get("status") or {}).get("phase") == "Successful"
            for record in self._world.objects.dependents(rollout["metadata"]["uid"])
            if record.resource.plural == ANALYSIS_RUNS.plural
            and (record.metadata.get("labels") or {}).get(HASH) == pod_hash
            and (record.metadata.get("labels") or {}).get("rollout-type") == kind
            and record.metadata["creationTimestamp"] >= since
        )

    # ReplicaSets

    def _replica_set(self, new: Record, old: Record) -> None:
        count = int(new.manifest["spec"].get("replicas", 1))
        if count >= int(old.manifest["spec"].get("replicas", 1)):
            return
        pod_hash = (new.metadata.get("labels") or {}).get(HASH, "")
        owners = {owner["uid"] for owner in new.metadata.get("ownerReferences") or ()}
        for record in self._world.objects.all(ROLLOUTS):
            strategy = blue_green_of(record.manifest)
            if strategy is None or record.uid not in owners:
                continue
            page, now = self._book.page(record.uid), self._world.now
            least = page.replicas_least(now - LAG_SECONDS)
            text = f"{new.name}: {count} pods, {least} wanted"
            if self._selects(strategy.get("activeService"), pod_hash):
                self._require(count >= least, "what a Service selects keeps its pods", text)
            status = record.manifest.get("status") or {}
            is_shown = status.get("currentPodHash") == pod_hash and page.aborted_since is None
            # The delay of an abort that is not claimed yet, since its replica was lost, counts too.
            is_kept = is_shown and not self._is_over(old)
            if is_kept and self._selects(strategy.get("previewService"), pod_hash):
                least = min(least, int(strategy.get("previewReplicaCount", least)))
                self._require(count >= least, "what a Service selects keeps its pods", text)

    def _is_over(self, replica_set: Record) -> bool:
        """Whether the time is over for which a ReplicaSet was to keep its pods."""
        deadline = (replica_set.metadata.get("annotations") or {}).get("scale-down-deadline")
        return bool(deadline) and parse_time(deadline) <= self._world.now + LAG_SECONDS

    def _selects(self, service: str | None, pod_hash: str) -> bool:
        """Whether a Service selects a hash, and not by a hand that nobody may have seen yet."""
        if not service or selected_hash(self._world.objects, service) != pod_hash:
            return False
        moved_at = self._book.moved_by_others(service)
        return moved_at is None or self._world.now - moved_at > LAG_SECONDS

    # The status

    def _claims(self, rollout: Manifest, before: Mapping[str, Any]) -> None:
        strategy, status = blue_green_of(rollout), rollout.get("status") or {}
        if strategy is None or not status.get("stableRS"):
            return
        is_new = status.get("phase") == "Healthy" and before.get("phase") != "Healthy"
        active = strategy.get("activeService", "")
        if is_new and self._book.moved_by_others(active) is None:
            found = selected_hash(self._world.objects, active)
            text = f"{rollout['metadata']['name']} is Healthy, active is {found}"
            self._require(found == status["stableRS"], _CLAIMS, text)
        is_promoted = before.get("stableRS") not in ("", None, status["stableRS"])
        if is_promoted and strategy.get("postPromotionAnalysis"):
            self._promoted(rollout, before)

    def _promoted(self, rollout: Manifest, before: Mapping[str, Any]) -> None:
        status = rollout["status"]
        stable = status["stableRS"]
        sets = replica_sets(self._world.objects, rollout["metadata"]["uid"])
        old, new = sets.get(before.get("stableRS", "")), sets.get(stable)
        if before.get("promoteFull") or old is None or new is None:
            return
        is_older = new.metadata["creationTimestamp"] < old.metadata["creationTimestamp"]
        text = f"{rollout['metadata']['name']}: {stable} ({image_of(new.manifest)})"
        passed = is_older or self._passed(rollout, stable, "PostPromotion")
        self._require(passed, "a promotion waits for its analysis", text)

    def at_rest(self) -> None:
        """Look at every Rollout when nothing moves any more."""
        objects = self._world.objects
        for record in objects.all(ROLLOUTS):
            strategy, status = blue_green_of(record.manifest), record.manifest.get("status") or {}
            if strategy is None or int(record.manifest["spec"].get("replicas", 1)) == 0:
                continue
            shown = status.get("blueGreen") or {}
            for service, claim, wanted in _AT_REST:
                name = strategy.get(service)
                if not name:
                    continue
                found = selected_hash(objects, name)
                text = f"{record.name}: {name} selects {found}, the status says {shown}"
                self._require(found == shown.get(claim) == status[wanted], _CLAIMS, text)


_AT_REST: Final = (
    ("activeService", "activeSelector", "stableRS"),
    ("previewService", "previewSelector", "currentPodHash"),
)


def blue_green_of(rollout: Manifest) -> Mapping[str, Any] | None:
    """Return the blue-green strategy of a Rollout, None of a canary."""
    found: Mapping[str, Any] | None = (rollout["spec"].get("strategy") or {}).get("blueGreen")
    return found


def _selector(service: Manifest) -> str:
    return str((service["spec"].get("selector") or {}).get(HASH, ""))
