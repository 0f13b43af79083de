"""From watch changes and bus events to keys of the queue, and facts beside the caches.

No decision is taken here from which event came: it only says who must be looked at, how
urgently, and what is known before the watch says it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from headrace.events.analysis import AnalysisJudged
from headrace.events.envelope import Event
from headrace.events.traffic import RouteApplied, RouteDrifted, RouteRefused
from headrace.kubernetes.resources import Manifest, Resource
from headrace.model.analysis import AnalysisPhase
from headrace.runtime.store import ChangeType, Store
from headrace.runtime.workqueue import Lane
from rollout_controller.caches import Caches, Facts, Verdict, workload_key
from rollout_controller.core.abandoned import managing_rollout
from rollout_controller.gather import acknowledgement_of

_ABORTING = (AnalysisPhase.FAILED, AnalysisPhase.ERROR)
"""Phases of a run that end an update; one that nothing depends on costs a look ahead of others."""

Add = Callable[[str, Lane], None]
"""Puts a key into the queue."""


class Waker:
    """Turns changes into keys.

    Args:
        caches: The stores to listen to.
        facts: Takes what the bus says.
        add: The queue.
        on_deleted: Told the uid of a Rollout that is gone.
    """

    def __init__(
        self,
        caches: Caches,
        facts: Facts,
        add: Add,
        on_deleted: Callable[[Manifest], None],
    ) -> None:
        self._caches = caches
        self._facts = facts
        self._add = add
        self._on_deleted = on_deleted

    def listen(self) -> None:
        """Begin to hear of changes of the caches."""
        self._caches.rollouts.listen(self._rollout)
        self._caches.replica_sets.listen(self._owned)
        self._caches.runs.listen(self._run)
        self._caches.experiments.listen(self._owned)
        self._caches.services.listen(self._service)
        self._caches.templates.listen(self._template)
        self._caches.cluster_templates.listen(self._template)
        for resource, store in self._caches.workloads.items():
            store.listen(partial(self._workload, resource))
        self._caches.configuration.listen(self._configured)

    def _rollout(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None:
            return
        if new is None:
            self._on_deleted(manifest)
        self._add(_key(manifest), _lane(old, new))

    def _owned(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None:
            return
        metadata = manifest["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            if owner.get("kind") == "Rollout" and owner.get("controller"):
                self._add(f"{metadata.get('namespace', '')}/{owner['name']}", Lane.FACT)

    def _run(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        if new is None and old is not None:
            self._facts.verdicts.pop(old["metadata"]["uid"], None)
        self._owned(change, old, new)

    def _service(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None:
            return
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "")
        for rollout in self._caches.rollouts.by_index("service", f"{namespace}/{metadata['name']}"):
            self._add(_key(rollout), Lane.REST)
        managed_by = managing_rollout(manifest)
        if managed_by:
            self._add(f"{namespace}/{managed_by}", Lane.REST)

    def _template(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        """Wake the invalid Rollouts: a missing template may be why."""
        for rollout in self._caches.rollouts.list():
            conditions = (rollout.get("status") or {}).get("conditions") or ()
            if any(condition.get("type") == "InvalidSpec" for condition in conditions):
                self._add(_key(rollout), Lane.REST)

    def _workload(
        self, resource: Resource, change: ChangeType, old: Manifest | None, new: Manifest | None
    ) -> None:
        """Wake who takes the template from a workload whose spec changed (rollout-api 2.3)."""
        manifest = new or old
        if manifest is None or (old and new and _generation(old) == _generation(new)):
            return
        metadata = manifest["metadata"]
        value = workload_key(resource, metadata.get("namespace", ""), metadata["name"])
        for rollout in self._caches.rollouts.by_index("workload", value):
            self._add(_key(rollout), Lane.USER)

    def _configured(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        """Wake the Rollouts that have step plugins: what they are may have changed."""
        for rollout in self._caches.rollouts.list():
            strategy = (rollout.get("spec") or {}).get("strategy") or {}
            steps = (strategy.get("canary") or {}).get("steps") or ()
            if any(step.get("plugin") for step in steps):
                self._add(_key(rollout), Lane.REST)

    async def hear(self, event: Event) -> None:
        """Take a fact of the topics `traffic` and `verdicts`.

        One about what is not cached is about what is gone: it would be kept for ever. What the
        watch has yet to bring comes with the same fact in it.
        """
        payload, lane = event.payload, Lane.FACT
        is_there = _is_there(self._caches.rollouts, payload.namespace, payload.rollout, payload.uid)
        if isinstance(payload, RouteApplied | RouteRefused):
            if is_there:
                answer = acknowledgement_of(payload.epoch, payload.answers)
                self._facts.acknowledge(payload.uid, answer)
        elif isinstance(payload, AnalysisJudged):
            # Also of a run that belongs to an Experiment, or to nobody.
            if _is_there(self._caches.runs, payload.namespace, payload.run, payload.run_uid):
                self._facts.verdicts[payload.run_uid] = Verdict(
                    payload.resource_version, payload.phase, payload.message
                )
            if payload.phase in _ABORTING:
                lane = Lane.ABORT
        elif not isinstance(payload, RouteDrifted):
            return
        if is_there:
            self._facts.causes[payload.uid] = (event.id, event.actor)
            self._add(payload.key, lane)


def _is_there(store: Store, namespace: str, name: str, uid: str) -> bool:
    manifest = store.get(namespace, name)
    return manifest is not None and manifest["metadata"]["uid"] == uid


def _key(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _generation(manifest: Manifest) -> object:
    return manifest["metadata"].get("generation")


def _lane(old: Manifest | None, new: Manifest | None) -> Lane:
    """Return how urgent a change of a Rollout is: aborts first, then what a person wrote.

    Only the controller writes `status.headrace`; what follows on its own writes waits until
    everybody's first answer is given.
    """
    if new is None or old is None:
        return Lane.REST
    before, after = old.get("status") or {}, new.get("status") or {}
    if after.get("abort") and not before.get("abort"):
        return Lane.ABORT
    if before.get("headrace") != after.get("headrace"):
        return Lane.FACT
    fields = ("pauseConditions", "promoteFull", "currentStepIndex", "abort")
    is_status_changed = any(before.get(name) != after.get(name) for name in fields)
    is_spec_changed = _generation(old) != _generation(new)
    return Lane.USER if is_status_changed or is_spec_changed else Lane.REST
