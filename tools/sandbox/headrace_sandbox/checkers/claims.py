"""Rules of the status: it never claims what is not so, and each intent has one effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    EXPERIMENTS,
    HTTP_ROUTES,
    REPLICA_SETS,
    ROLLOUTS,
    TRAFFIC_SPLITS,
    Manifest,
)
from headrace_sandbox.checkers.book import LAG_SECONDS, Book, fences_on
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.workload import (
    HASH,
    NAMESPACE,
    Application,
    available,
    header_rules,
    replica_sets,
    roles,
    selected_hash,
    split_of,
    weights_in,
)
from headrace_sandbox.world import World, Write

_CLAIMS = "status never claims what is not so"
_ONCE = "one effect per intent"
_CLEAN = "what is given up is left clean"
_OF_RUNS: Final = "analysis phase error/failed"
_OF_STEP: Final = "Experiment"
_COMPLETED: Final = ("Successful", "Failed", "Error", "Inconclusive")
_TEMPLATE: Final = "experiment.argoproj.io/template-name"


class ClaimRules:
    """Checked at every committed write of a service."""

    def __init__(
        self,
        world: World,
        book: Book,
        applications: Mapping[str, Application],
        findings: Findings,
    ) -> None:
        self._world = world
        self._book = book
        self._applications = applications
        self._require = findings.require
        self._failed_at: dict[str, float] = {}

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        new, old = write.change.new, write.change.old
        if new is None:
            return
        match new.resource.plural:
            case "rollouts":
                before = (old.manifest.get("status") or {}) if old is not None else {}
                self._rollout(new.manifest, before)
            case "replicasets" if old is None:
                self._once(new.manifest, "replicasets")
            case "analysisruns" | "experiments" if old is None:
                self._once_per_cause(new.manifest)
            case "analysisruns" if old is not None:
                self._judged(new.manifest, old.manifest)

    def _rollout(self, rollout: Manifest, before: Mapping[str, Any]) -> None:
        status = rollout.get("status") or {}
        route = (status.get("headrace") or {}).get("route")
        if route is not None:
            weights = route["weights"]
            total = sum(int(weights.get(name) or 0) for name in ("canary", "stable"))
            total += sum(int(extra["weight"]) for extra in weights.get("additional") or ())
            self._require(
                total == weights.get("base", 100), "weights sum to the base", f"asked {weights}"
            )
        self._acknowledged(rollout, status, before)
        self._runs(rollout, status)
        self._swapped(rollout, status, before)
        self._aborted(rollout, status, before)
        if status.get("phase") == "Healthy" and before.get("phase") != "Healthy":
            self._healthy(rollout, status)

    def _acknowledged(
        self, rollout: Manifest, status: Mapping[str, Any], before: Mapping[str, Any]
    ) -> None:
        """What is called acknowledged was really to be seen on the traffic object."""
        known = (status.get("headrace") or {}).get("acknowledged") or {}
        was = (before.get("headrace") or {}).get("acknowledged") or {}
        epoch = int(known.get("epoch") or 0)
        if epoch == int(was.get("epoch") or 0):
            return
        page = self._book.page(rollout["metadata"]["uid"])
        asked = page.asked.get(epoch)
        name = rollout["metadata"]["name"]
        self._require(asked is not None, _CLAIMS, f"{name}: epoch {epoch} was never asked for")
        if asked is None or not asked.document.get("routers"):
            return
        weight = int(known.get("canary") or 0)
        text = f"{name}: epoch {epoch} acknowledged with {weight}, shown {page.shown[-3:]}"
        self._require(page.showed(weight, asked.since - LAG_SECONDS), _CLAIMS, text)

    def _runs(self, rollout: Manifest, status: Mapping[str, Any]) -> None:
        page = self._book.page(rollout["metadata"]["uid"])
        canary = status.get("canary") or {}
        for field in ("currentStepAnalysisRunStatus", "currentBackgroundAnalysisRunStatus"):
            run = (canary.get(field) or {}).get("name")
            if run:
                self._require(run in page.runs, _CLAIMS, f"AnalysisRun {run} was never created")

    def _aborted(
        self, rollout: Manifest, status: Mapping[str, Any], before: Mapping[str, Any]
    ) -> None:
        """What was tried again is not aborted for the verdict of the time before."""
        uid = rollout["metadata"]["uid"]
        retried_at = self._book.page(uid).retried_at
        message = str((status.get("headrace") or {}).get("abortMessage") or "")
        is_begun = status.get("abort") and not before.get("abort")
        if not is_begun or retried_at is None or _OF_RUNS not in message or _OF_STEP in message:
            return
        names = self._book.page(uid).runs
        text = f"{rollout['metadata']['name']}: {message}"
        is_news = any(self._failed_at.get(name, 0.0) >= retried_at for name in names)
        self._require(is_news, "a retry is judged anew", text)

    def _swapped(
        self, rollout: Manifest, status: Mapping[str, Any], before: Mapping[str, Any]
    ) -> None:
        """Ping and pong change their roles when the one of the canary selects the new stable.

        Where somebody has deleted the stable ReplicaSet, nothing is waited for (canary 10.12).
        """
        now, was = ((each.get("canary") or {}).get("stablePingPong") for each in (status, before))
        if not now or not was or now == was:
            return
        sets = replica_sets(self._world.objects, rollout["metadata"]["uid"])
        if before.get("stableRS") not in sets:
            return
        service = rollout["spec"]["strategy"]["canary"]["pingPong"][f"{now}Service"]
        found = selected_hash(self._world.objects, service)
        text = f"{service} becomes stable and selects {found}, not {status['stableRS']}"
        self._require(found == status["stableRS"], _CLAIMS, text)

    def _healthy(self, rollout: Manifest, status: Mapping[str, Any]) -> None:
        uid, now = rollout["metadata"]["uid"], self._world.now
        name, stable = rollout["metadata"]["name"], status.get("stableRS", "")
        page = self._book.page(uid)
        least = page.replicas_least(now - LAG_SECONDS)
        text = f"{name} is Healthy without {least} pods of {stable}"
        had_pods = least == 0 or self._book.had_pods(uid, stable, least, now - LAG_SECONDS)
        self._require(had_pods, _CLAIMS, text)

    # Effects

    def _once(self, manifest: Manifest, kind: str) -> None:
        pod_hash = (manifest["metadata"].get("labels") or {}).get(HASH, "")
        template = (manifest["metadata"].get("annotations") or {}).get(_TEMPLATE)
        for owner in manifest["metadata"].get("ownerReferences") or ():
            same = [
                record.name
                for record in self._world.objects.dependents(owner["uid"])
                if record.resource.plural == kind
                and (record.metadata.get("labels") or {}).get(HASH) == pod_hash
                and (record.metadata.get("annotations") or {}).get(_TEMPLATE) == template
            ]
            self._require(len(same) <= 1, _ONCE, f"{kind} of {pod_hash}: {same}")

    def _judged(self, new: Manifest, old: Manifest) -> None:
        """A verdict stands."""
        phase, before = ((each.get("status") or {}).get("phase") for each in (new, old))
        if phase in ("Failed", "Error") and phase != before:
            # Again, where somebody deleted it: the next one may have its name.
            self._failed_at[new["metadata"]["name"]] = self._world.now
        text = f"{new['metadata']['name']}: {before} → {phase}"
        is_kept = before not in _COMPLETED or phase == before
        self._require(is_kept, "a completed run stays what it is", text)

    def _once_per_cause(self, manifest: Manifest) -> None:
        """Nothing is begun twice; what is being ended judges nothing, and does not count."""
        metadata = manifest["metadata"]
        cause = (metadata.get("annotations") or {}).get("headrace.io/cause")
        kind = (metadata.get("labels") or {}).get("rollout-type")
        for owner in metadata.get("ownerReferences") or ():
            same = [
                record.name
                for record in self._world.objects.dependents(owner["uid"])
                if record.resource.plural == manifest_plural(manifest)
                and (record.metadata.get("annotations") or {}).get("headrace.io/cause") == cause
                and (record.metadata.get("labels") or {}).get("rollout-type") == kind
                and not record.manifest["spec"].get("terminate")
            ]
            self._require(len(same) <= 1, _ONCE, f"runs of cause {cause}: {same}")

    # The settled world

    def _given_up(self) -> None:
        """No traffic object carries the fence of a Rollout that is gone, or names another one."""
        objects = self._world.objects
        splits = [split_of(objects, record.manifest) for record in objects.all(ROLLOUTS)]
        named = zip(objects.all(ROLLOUTS), splits, strict=True)
        pairs = {(split[0].uid, record.uid) for record, split in named if split is not None}
        for kind in (TRAFFIC_SPLITS, HTTP_ROUTES):
            for record in objects.all(kind):
                left = [uid for uid in fences_on(record.manifest) if (record.uid, uid) not in pairs]
                text = f"{record.name} has the fences of {left}"
                self._require(not left, _CLEAN, text)
        for application in self._applications.values():
            self._unshared(application)

    def _unshared(self, application: Application) -> None:
        """An HTTPRoute that its Rollout does not name any more sends all traffic one way."""
        rollout = self._book.rollout(application.name)
        route = self._world.objects.find(HTTP_ROUTES, NAMESPACE, application.route_name)
        if route is None or (rollout and split_of(self._world.objects, rollout) is not None):
            return
        weights = weights_in(route.manifest, (application.canary_service, application.stable))
        text = f"{route.name} still shares the traffic: {weights}"
        self._require(min(weights.values(), default=0) == 0, _CLEAN, text)

    def at_rest(self) -> None:
        """Look at every Rollout when nothing moves any more."""
        self._given_up()
        objects = self._world.objects
        for record in objects.all(ROLLOUTS):
            rollout, status = record.manifest, record.manifest.get("status") or {}
            sets = replica_sets(objects, record.uid)
            stable = status.get("stableRS", "")
            total = sum(int((rs.manifest["status"]).get("replicas") or 0) for rs in sets.values())
            text = f"{record.name}: {status.get('replicas')} replicas, there are {total}"
            self._require(int(status.get("replicas") or 0) == total, _CLAIMS, text)
            wanted = int(rollout["spec"].get("replicas", 1))
            found = available(sets.get(stable))
            text = f"{record.name}: {found} pods of stable {stable}, not {wanted}"
            self._require(found == wanted, _CLAIMS, text)
            split = split_of(objects, rollout)
            if split is None or wanted == 0:  # without pods no Service is switched
                continue
            service, name = roles(rollout)
            text = f"{record.name}: {name} selects {selected_hash(objects, name)}, not {stable}"
            self._require(selected_hash(objects, name) == stable, _CLAIMS, text)
            rules = header_rules(split[0].manifest, service)
            text = f"{record.name}: {rules} still send requests to the canary"
            self._require(not rules, "no managed route outlives the rollout", text)
            weight = split[1].get(service, 0)
            claimed = ((status.get("canary") or {}).get("weights") or {}).get("canary") or {}
            text = f"{record.name}: the canary gets {weight}, the status says {claimed}"
            self._require(weight == int(claimed.get("weight") or 0) == 0, _CLAIMS, text)


def manifest_plural(manifest: Manifest) -> str:
    """Return the plural of a created object's kind."""
    return _PLURALS[manifest["kind"]]


_PLURALS: Final = {kind.kind: kind.plural for kind in (ANALYSIS_RUNS, EXPERIMENTS, REPLICA_SETS)}
