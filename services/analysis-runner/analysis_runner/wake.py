"""From watch changes and bus events to keys of the queue.

No decision is taken here from which event came: it only says which run must be looked at, and
how urgently. Changes of the status alone wake nobody: they are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from analysis_runner.gather import Expectation, Gatherer
from analysis_runner.views import created_at, run_key
from headrace.events.envelope import Event
from headrace.events.rollout import AnalysisRequested, AnalysisTerminated
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import is_completed
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.store import ChangeType, Store
from headrace.runtime.workqueue import Lane

WATCH_SECONDS: Final = 0.25
"""How long the watch may take to bring what the bus said, before the run is read."""

HEARD_TYPES: Final = frozenset({AnalysisRequested.EVENT_TYPE, AnalysisTerminated.EVENT_TYPE})
"""The events of the topic `steps` that concern runs."""


class Add(Protocol):
    """Puts a key into the queue, if it is ours."""

    def __call__(self, key: str, lane: Lane, at: Instant | None = None) -> None:
        """Ask for a pass over a run, now or at a time."""
        ...


class Waker:
    """Turns changes into keys.

    Args:
        runs: The cache to listen to.
        gatherer: Told what the bus says.
        add: The queue.
        on_deleted: Told which run is gone.
        clock: For the patience with the watch.
        say_again_seconds: Runs that were over for longer have nothing to do.
    """

    def __init__(
        self,
        runs: Store,
        gatherer: Gatherer,
        add: Add,
        on_deleted: Callable[[Manifest], None],
        clock: Clock,
        say_again_seconds: float,
    ) -> None:
        self._runs = runs
        self._gatherer = gatherer
        self._add = add
        self._on_deleted = on_deleted
        self._clock = clock
        self._say_again_seconds = say_again_seconds

    def listen(self) -> None:
        """Begin to hear of changes of the cache."""
        self._runs.listen(self._run)

    def known_keys(self) -> Iterable[str]:
        """Return every run that may have something to do."""
        since = self._clock.now() - self._say_again_seconds
        for run in self._runs.list():
            if _is_of_interest(run, since):
                yield run_key(run)

    async def hear(self, event: Event) -> None:
        """Take a request of the topic `steps`: mostly the watch has brought it already."""
        payload = event.payload
        if not isinstance(payload, AnalysisRequested | AnalysisTerminated) or not payload.run:
            return
        key = f"{payload.namespace}/{payload.run}"
        is_terminated = isinstance(payload, AnalysisTerminated)
        self._gatherer.expect(key, Expectation(payload.key, is_terminated))
        self._add(key, Lane.FACT, at=Instant(self._clock.now() + WATCH_SECONDS))

    def _run(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            if old is not None:
                self._on_deleted(old)
            return
        if old is not None and _relevant(old) == _relevant(new):
            return
        is_user = old is not None and bool((new.get("spec") or {}).get("terminate"))
        self._add(run_key(new), Lane.USER if is_user else Lane.FACT)


def _relevant(run: Manifest) -> tuple[Any, ...]:
    """The part of a run that others write; a status that was taken away begins it anew."""
    metadata = run["metadata"]
    return (
        metadata["uid"],
        metadata.get("deletionTimestamp"),
        metadata.get("annotations"),
        bool(run.get("status")),
        run.get("spec"),
    )


def _is_of_interest(run: Manifest, since: float) -> bool:
    """Whether a run is not over, or not for long, or is to be deleted some time."""
    status = run.get("status") or {}
    if not is_completed(str(status.get("phase", ""))) or (run.get("spec") or {}).get("ttlStrategy"):
        return True
    try:
        ended_at = parse_time(str(status.get("completedAt")))
    except ValueError:  # none: it could not be measured
        ended_at = created_at(run)
    return ended_at >= since
