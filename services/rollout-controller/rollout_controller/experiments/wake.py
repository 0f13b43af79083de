"""From watch changes and bus events to keys of the queue of Experiments.

Facts of the bus are taken by the Rollouts' waker; here they only say who must be looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.events.analysis import AnalysisJudged
from headrace.events.envelope import Event
from headrace.kubernetes.resources import Manifest
from headrace.runtime.store import ChangeType
from headrace.runtime.workqueue import Lane
from rollout_controller.caches import Caches
from rollout_controller.experiments.facts import experiment_owner

Add = Callable[[str, Lane], None]
"""Puts a key into the queue."""


class Waker:
    """Turns changes into keys.

    Args:
        caches: The stores to listen to.
        add: The queue.
        on_deleted: Told of an Experiment that is gone.
    """

    def __init__(self, caches: Caches, add: Add, on_deleted: Callable[[Manifest], None]) -> None:
        self._caches = caches
        self._add = add
        self._on_deleted = on_deleted

    def listen(self) -> None:
        """Begin to hear of changes of the caches."""
        self._caches.experiments.listen(self._experiment)
        self._caches.rollouts.listen(self._rollout)
        for store in (self._caches.replica_sets, self._caches.services, self._caches.runs):
            store.listen(self._owned)

    async def hear(self, event: Event) -> None:
        """Wake the Experiment whose run is judged, before the watch brings the verdict."""
        payload = event.payload
        if not isinstance(payload, AnalysisJudged):
            return
        run = self._caches.runs.get(payload.namespace, payload.run)
        if run is not None:
            self._owned("MODIFIED", None, run)

    def _experiment(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        if new is None and old is not None:
            self._on_deleted(old)
        if new is not None:
            is_spec_changed = old is not None and old.get("spec") != new.get("spec")
            self._add(_key(new), Lane.USER if is_spec_changed else Lane.REST)

    def _owned(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        owner = experiment_owner(manifest) if manifest is not None else None
        if manifest is not None and owner is not None:
            namespace = manifest["metadata"].get("namespace", "")
            self._add(f"{namespace}/{owner['name']}", Lane.FACT)

    def _rollout(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        """Look again when the Rollout no longer sends traffic, or no longer exists."""
        manifest = new or old
        if manifest is not None:
            for each in self._caches.experiments.by_index("owner", manifest["metadata"]["uid"]):
                self._add(_key(each), Lane.REST)


def _key(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
