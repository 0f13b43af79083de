"""Rules of what the author of a write knew, where the excuse of a stale cache would hide its fault.

Other rules allow what was true within the last 45 seconds, since a cache may be so far behind.
These look at the very cache that a write came from: what its author knew, it has minded. The
writes of one pass come one after the other, and the cache moves on meanwhile: a rule is broken only
where nothing that the author knew since its last pass would have allowed the write.

Source: canary 3.1, 4.8, 5.2, 5.3, 6.1; bluegreen 3.3; architecture, section 4 (table of
acknowledgements; deviations 2, 5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    EXPERIMENTS,
    LEASES,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.model.analysis import is_completed
from headrace.runtime.cluster_memory.objects import Objects, Record
from headrace_sandbox.checkers.book import step_weight, weight_in
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.looking import Agent
from headrace_sandbox.workload import (
    HASH,
    NAMESPACE,
    available_in,
    is_refused,
    replica_sets,
    roles,
    services_of,
)
from headrace_sandbox.world import World, Write

_AUTHOR: Final = "rollout-controller"
_HELD: Final = "nothing goes on while a person holds it"
_KEPT: Final = "what a Service selects keeps its pods"
_WAITS: Final = "a weight waits for its Service"
_VIEWS_MAX: Final = 16
_MINDED: Final = frozenset(kind.plural for kind in (ROLLOUTS, REPLICA_SETS, SERVICES))
_OF_UPDATE: Final = ("currentPodHash", "currentStepHash", "stableRS")
_FOLLOWERS: Final = ("canaryService", "stableService", "activeService", "previewService")
"""Services that bind their ReplicaSet: of ping and pong, one always selects the version before."""


@dataclass(frozen=True, slots=True)
class _View:
    """What a process knew of a Rollout when a write of it left.

    Attributes:
        rollout: As it knew it.
        available: Pods by hash; of a ReplicaSet that somebody has just deleted nothing is known.
        selections: The hash that each of its Services selects.
        experiments: Its Experiments by name, as they were known.
        verdicts: The hashes that passed the analysis after their switch (stored by then).
    """

    rollout: Manifest
    available: Mapping[str, int]
    selections: Mapping[str, str]
    experiments: Mapping[str, Manifest]
    verdicts: frozenset[str]

    @property
    def replicas(self) -> int:
        """Pods that were wanted."""
        return int(self.rollout["spec"].get("replicas", 1))

    @property
    def status(self) -> Mapping[str, Any]:
        """The status."""
        return self.rollout.get("status") or {}

    @property
    def strategy(self) -> Mapping[str, Any]:
        """The fields of its strategy."""
        return _strategy(self.rollout)

    @property
    def is_held(self) -> bool:
        """Whether a person held it."""
        return bool(self.rollout["spec"].get("paused"))

    @property
    def selected(self) -> frozenset[str]:
        """The hashes that Services selected which bind their ReplicaSet."""
        named = {self.strategy.get(each) for each in _FOLLOWERS}
        return frozenset(each for name, each in self.selections.items() if name in named)

    @property
    def route(self) -> Mapping[str, Any] | None:
        """The newest request."""
        route: Mapping[str, Any] | None = (self.status.get("headrace") or {}).get("route")
        return route

    def has(self, pod_hash: str, pods: float) -> bool:
        """Return whether so many pods of a hash are there."""
        return self.available.get(pod_hash, pods) >= pods

    def answers(self, pod_hash: str) -> bool:
        """Return whether anybody answers for a hash."""
        return self.available.get(pod_hash, 1) > 0


class KnowledgeRules:
    """Checked at every committed write of a service."""

    def __init__(self, world: World, findings: Findings) -> None:
        self._world = world
        self._require = findings.require
        self._views: dict[tuple[str, str], deque[_View]] = {}

    def sends(self, node: Agent, resource: Resource, name: str, *, is_read: bool) -> None:
        """Hear that a request leaves a process: remember what it knows.

        While it reads, to decide, its caches move on, and what it reads is anybody's.
        """
        if resource.plural == LEASES.plural or not node.name.startswith(_AUTHOR):
            return
        for record in self._world.objects.all(ROLLOUTS):
            is_own = name == record.name or name.startswith((f"{record.name}-", f"{record.name}."))
            if is_read or is_own or name in services_of(record.manifest):
                self._remember(node, record)

    def reconciled(self, node: Agent, key: str) -> None:
        """Hear that a pass is over."""
        self._views.pop((node.name, key.partition("/")[2]), None)

    def knew_router(self, write: Write, rollout: str) -> bool:
        """Return whether the author of a write knew all along that a Rollout has a router."""
        views = self._views.get((write.identity, rollout), ())
        return bool(views) and all(view.strategy.get("trafficRouting") for view in views)

    def _remember(self, node: Agent, record: Record) -> None:
        rollout = node.cached(ROLLOUTS, NAMESPACE, record.name)
        if rollout is None:
            return
        known = {
            pod_hash: node.cached(REPLICA_SETS, NAMESPACE, each.name)
            for pod_hash, each in replica_sets(self._world.objects, record.uid).items()
        }
        pods = {pod_hash: available_in(each) for pod_hash, each in known.items()}
        views = self._views.setdefault((node.name, record.name), deque(maxlen=_VIEWS_MAX))
        objects = self._world.objects
        experiments = _experiments(objects, node, record.uid)
        verdicts = _verdicts(objects, rollout)
        views.append(_View(rollout, pods, _selections(node, rollout), experiments, verdicts))

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        new, old = write.change.new, write.change.old
        if new is None or old is None or new.resource.plural not in _MINDED:
            return
        for record in self._world.objects.all(ROLLOUTS):
            views = self._views.get((write.identity, record.name), ())
            found = [dict(_broken(view, old, new)) for view in views]
            for rule, text in found[-1].items() if found else ():
                self._require(any(rule not in each for each in found), rule, text)


def _strategy(rollout: Manifest) -> Mapping[str, Any]:
    strategies = rollout["spec"]["strategy"]
    found: Mapping[str, Any] = strategies.get("blueGreen") or strategies.get("canary") or {}
    return found


def _selections(node: Agent, rollout: Manifest) -> dict[str, str]:
    """Return the hashes that the Services of a Rollout select, as a process knows them."""
    services = {name: node.cached(SERVICES, NAMESPACE, name) for name in services_of(rollout)}
    return {name: _selector(each) for name, each in services.items() if each is not None}


def _experiments(objects: Objects, node: Agent, uid: str) -> dict[str, Manifest]:
    """Return the Experiments of a Rollout that a process knows."""
    named = (
        each.name for each in objects.dependents(uid) if each.resource.plural == EXPERIMENTS.plural
    )
    known = {name: node.cached(EXPERIMENTS, NAMESPACE, name) for name in named}
    return {name: manifest for name, manifest in known.items() if manifest is not None}


def _verdicts(objects: Objects, rollout: Manifest) -> frozenset[str]:
    """Return the hashes of a Rollout that passed the analysis after their switch."""
    strategy = rollout["spec"]["strategy"].get("blueGreen") or {}
    if not strategy.get("postPromotionAnalysis"):
        return frozenset()
    labels = (
        record.metadata.get("labels") or {}
        for record in objects.dependents(rollout["metadata"]["uid"])
        if record.resource.plural == ANALYSIS_RUNS.plural
        and (record.manifest.get("status") or {}).get("phase") == "Successful"
    )
    return frozenset(
        each.get(HASH, "") for each in labels if each.get("rollout-type") == "PostPromotion"
    )


def _broken(view: _View, old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """Yield the rules that a write breaks by what its author knew, each with how."""
    kind, name = new.resource.plural, view.rollout["metadata"]["name"]
    if kind == ROLLOUTS.plural and new.name == name:
        yield from _asked(view, _route(old.manifest), _route(new.manifest))
        yield from _went_on(view, old, new)
        yield from _promoted(view, old, new)
        yield from _aborted(view, old, new)
    elif kind == REPLICA_SETS.plural:
        yield from _scaled(view, old, new)
    elif kind == SERVICES.plural and new.name in services_of(view.rollout):
        yield from _switched(view, old, new)


# What a person holds


def _went_on(view: _View, old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """No step ends while a person is known to hold the Rollout."""
    before, status = old.manifest.get("status") or {}, new.manifest.get("status") or {}
    first, end = before.get("currentStepIndex"), status.get("currentStepIndex")
    is_same = all(before.get(each) == status.get(each) for each in _OF_UPDATE)
    if not view.is_held or first is None or end is None or not is_same:
        return
    if before.get("promoteFull") or view.rollout["spec"].get("rollbackWindow"):
        return
    text = f"{new.name}: step {first} → {end}"
    if end > first:
        yield _HELD, text


def _scaled(view: _View, old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """No ReplicaSet of a canary is touched while a person is known to hold the Rollout."""
    uid, strategy = view.rollout["metadata"]["uid"], view.rollout["spec"]["strategy"]
    is_ours = any(each["uid"] == uid for each in new.metadata.get("ownerReferences") or ())
    before, count = (int(each.manifest["spec"].get("replicas", 1)) for each in (old, new))
    if not is_ours or before == count or is_refused(view.status):
        return
    text = f"{new.name}: {before} → {count} pods"
    if view.is_held and "canary" in strategy:
        yield _HELD, text
    pod_hash = (new.metadata.get("labels") or {}).get(HASH, "")
    # Pods that do not answer may go.
    is_lost = count < min(before, view.available.get(pod_hash, 0))
    if is_lost and pod_hash not in (view.status.get("stableRS"), view.status.get("currentPodHash")):
        yield from _left(view, pod_hash, text)


def _left(view: _View, pod_hash: str, text: str) -> Iterator[tuple[str, str]]:
    """An old version keeps its pods while a Service selects them, or one is on trial after it."""
    status, strategy = view.status, view.strategy
    is_followed = "activeService" in strategy or bool(strategy.get("trafficRouting"))
    if is_followed and pod_hash in view.selected and view.replicas:
        yield _KEPT, text
    latest = status.get("currentPodHash", "")
    active = (status.get("blueGreen") or {}).get("activeSelector")
    is_on_trial = active == latest != status.get("stableRS")
    is_asked = bool(strategy.get("postPromotionAnalysis")) and (
        strategy.get("scaleDownDelaySeconds") is None
    )
    if is_on_trial and is_asked and latest not in view.verdicts:
        yield "old pods stay until the verdict on the new ones", f"{text}, {latest} is on trial"


# Promotions


def _promoted(view: _View, old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """A canary becomes stable with all of its pods, and with its last route acknowledged.

    Where somebody has deleted the stable ReplicaSet, nothing is waited for (canary 10.12).
    """
    before, status = old.manifest.get("status") or {}, new.manifest.get("status") or {}
    was, now = before.get("stableRS"), status.get("stableRS", "")
    if not was or was == now or "canary" not in view.rollout["spec"]["strategy"]:
        return
    if was not in view.available:
        return
    text = f"{new.name}: {now} has {view.available.get(now)} of {view.replicas} pods"
    if not view.has(now, view.replicas):
        yield "a promotion has all of its pods", text
    route = _route(old.manifest)
    if not view.strategy.get("trafficRouting") or route is None or before.get("promoteFull"):
        return
    known = (status.get("headrace") or {}).get("acknowledged") or {}
    weights = route["weights"]
    weight, base = int(weights.get("canary") or 0), int(weights.get("base") or 100)
    wanted = base if view.replicas and view.strategy.get("steps") else 0
    is_its_own = route["hashes"].get("canary") == now and weight == wanted
    if not is_its_own or int(known.get("epoch") or 0) < route["epoch"]:
        text = f"{new.name}: epoch {route['epoch']} with {weight}, known is {known.get('epoch')}"
        yield "a promotion waits for its route", text


def _aborted(view: _View, old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """Who says that an update is aborted has asked its Experiment to end."""
    before, status = old.manifest.get("status") or {}, new.manifest.get("status") or {}
    is_news = status.get("phase") == "Degraded" != before.get("phase") and status.get("abort")
    if not is_news or is_refused(status):
        return
    going = [
        name
        for name, each in view.experiments.items()
        if not is_completed(_phase(each)) and not each["spec"].get("terminate")
    ]
    if going:
        yield "an abort ends what judges the update", f"{new.name} is aborted, {going} go on"


# Routes


def _asked(
    view: _View, before: Mapping[str, Any] | None, route: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """Who asks for a route knows of the pods that it needs."""
    is_new = route is not None and (before is None or route["epoch"] != before["epoch"])
    if not is_new or route is None or not route.get("routers") or not view.replicas:
        return
    if is_refused(view.status):
        return  # then the ReplicaSets tell how many are wanted (deviation 4)
    yield from _asked_of_canary(view, before, route)
    yield from _asked_of_stable(view, before, route)
    yield from _asked_of_experiment(view, before, route)
    managed = route.get("managed") or {}
    if route.get("aborted") and (managed.get("header") or managed.get("mirror")):
        yield "no managed route outlives an abort", f"{view.rollout['metadata']['name']}: {managed}"


def _asked_of_canary(
    view: _View, before: Mapping[str, Any] | None, route: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """More to the canary than it has, or had, only with the pods that carry it.

    How many pods do is a person's word where the steps scale the canary.
    """
    canary = view.rollout["spec"]["strategy"].get("canary") or {}
    pod_hash, weight = route["hashes"]["canary"], int(route["weights"].get("canary") or 0)
    had = max(_weight_of_hash(before, pod_hash), _claimed(view, "canary", pod_hash))
    has_scale = any("setCanaryScale" in step for step in canary.get("steps") or ())
    if weight <= had or has_scale:
        return
    text = (
        f"{view.rollout['metadata']['name']}: {had} → {weight} asked for {pod_hash}, which has "
        f"{view.available.get(pod_hash, 0)} of {view.replicas} pods"
    )
    needed = weight * view.replicas / int(route["weights"].get("base") or 100)
    if not view.has(pod_hash, needed) or not view.answers(pod_hash):
        yield "a weight has the pods to carry it", text
    selected = view.selections.get(roles(view.rollout)[0])
    if selected != pod_hash:
        yield _WAITS, f"{text}; its Service selects {selected}"


def _asked_of_stable(
    view: _View, before: Mapping[str, Any] | None, route: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """More to stable only with the pods for it, unless nobody answers at the canary.

    It takes nothing back where it has as much by the route that is known to hold, nor where the
    canary gets more, too, as after an experiment, nor where it was the canary until somebody
    deleted the stable ReplicaSet: nobody else is there to take it from.
    """
    hashes, weights = route["hashes"], route["weights"]
    stable, weight = hashes["stable"], int(weights.get("stable") or 0)
    service = route["services"].get("stableRole") or ""
    selected = view.selections.get(service, stable)
    given = weight_in(before, service) if before is not None else 0
    if given < weight and selected != stable:
        text = f"{view.rollout['metadata']['name']}: {given} → {weight} asked for {service}"
        yield _WAITS, f"{text}, which selects {selected} instead of {stable}"
    had = max(_weight_of_hash(before, stable), _claimed(view, "stable", stable))
    is_more = before is None or had < weight
    canary, kept = hashes["canary"], int(weights.get("canary") or 0)
    is_raise = before is not None and _weight_of_hash(before, canary) < kept
    if before is not None and before["weights"].get("canary"):
        canary = before["hashes"]["canary"]  # of the version that was superseded, maybe
    is_alone = (
        before is not None
        and before["hashes"]["canary"] == stable
        and (view.selected == {stable} or not view.available.get(before["hashes"]["stable"]))
    )
    if not is_more or is_raise or is_alone or not view.answers(canary):
        return
    text = (
        f"{view.rollout['metadata']['name']}: {weight} asked for stable {stable}, which has "
        f"{view.available.get(stable, 0)} of {view.replicas} pods"
    )
    if not view.has(stable, weight * view.replicas // int(weights.get("base") or 100)):
        yield "stable has the pods for what it takes back", text


def _asked_of_experiment(
    view: _View, before: Mapping[str, Any] | None, route: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """A destination gets something while its Experiment is known to run."""
    for extra in route["weights"].get("additional") or ():
        phase = _phase(view.experiments.get(extra.get("experiment", ""), {}))
        if extra["weight"] and phase != "Running":
            text = f"{view.rollout['metadata']['name']}: {extra['weight']} for {extra['service']}"
            yield "a destination has an Experiment that runs", text


# Services


def _switched(view: _View, old: Record, new: Record) -> Iterator[tuple[str, str]]:
    """A Service of the canary goes to a new version when its route is known to allow it.

    Pods must be known to answer there; an abort takes it back to stable whatever is there, and at 0
    replicas stable's own Service goes there before its pods come.
    """
    pod_hash, before = _selected(new), _selected(old)
    route, status = view.route, view.status
    canary = view.rollout["spec"]["strategy"].get("canary") or {}
    is_way_back = new.name == canary.get("canaryService") and pod_hash == status.get("stableRS")
    is_named = new.name in (canary.get("canaryService"), canary.get("stableService"))
    is_free = is_way_back or (pod_hash == status.get("stableRS") and not view.replicas)
    if pod_hash != before and is_named and not is_free and not view.answers(pod_hash):
        yield "a Service of a canary selects pods that answer", f"{new.name} → {pod_hash}"
    if pod_hash in (before, status.get("stableRS")) or not before or route is None:
        return
    if not canary.get("trafficRouting") or new.name != roles(view.rollout)[0]:
        return
    known = (status.get("headrace") or {}).get("acknowledged") or {}
    is_its_own = route["hashes"].get("canary") == pod_hash
    limit = step_weight(view.rollout, status) if is_its_own else 0
    weight = weight_in(route, new.name)
    text = f"{new.name} → {pod_hash}: epoch {route['epoch']} gives it {weight} of {limit}"
    # The newest request may be of the very pass that moves the Service.
    is_sure = int(known.get("epoch") or 0) >= route["epoch"] - 1
    if not is_sure or weight > limit:
        yield "a Service waits for its route", text


def _route(rollout: Manifest) -> Mapping[str, Any] | None:
    headrace = (rollout.get("status") or {}).get("headrace") or {}
    route: Mapping[str, Any] | None = headrace.get("route")
    return route


def _weight_of_hash(route: Mapping[str, Any] | None, pod_hash: str) -> int:
    """Return what a route gives the pods of a hash, in either role."""
    if route is None:
        return 0
    hashes, weights = route["hashes"], route["weights"]
    named = (role for role in ("canary", "stable") if hashes.get(role) == pod_hash)
    return sum(int(weights.get(role) or 0) for role in named)


def _claimed(view: _View, role: str, pod_hash: str) -> int:
    """Return the weight that the status gives the pods of a hash in a role."""
    weights = (view.status.get("canary") or {}).get("weights") or {}
    claimed = weights.get(role) or {}
    return int(claimed.get("weight") or 0) if claimed.get("podTemplateHash") == pod_hash else 0


def _phase(experiment: Manifest) -> str:
    return str((experiment.get("status") or {}).get("phase") or "")


def _selected(service: Record) -> str:
    return _selector(service.manifest)


def _selector(service: Manifest) -> str:
    return str((service["spec"].get("selector") or {}).get(HASH, ""))
