"""Everything that happens to the objects of one namespace, as watches of its own see it.

A test waits on what it sees instead of asking again and again, and looks at the whole story when
it is over: resourceVersions order the changes of all kinds, since they share one etcd.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from headrace_lab.errors import LabError
from headrace_lab.kube import DELETED, PODS, SERVICES, Kube, Object, Resource

ROLLOUTS: Final = Resource("argoproj.io", "v1alpha1", "rollouts")
ANALYSIS_RUNS: Final = Resource("argoproj.io", "v1alpha1", "analysisruns")
ANALYSIS_TEMPLATES: Final = Resource("argoproj.io", "v1alpha1", "analysistemplates")
EXPERIMENTS: Final = Resource("argoproj.io", "v1alpha1", "experiments")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments")
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets")
EVENTS: Final = Resource("", "v1", "events")
TRAFFIC_SPLITS: Final = Resource("split.smi-spec.io", "v1alpha4", "trafficsplits")
HTTP_ROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes")

RECORDED: Final = (
    ROLLOUTS,
    ANALYSIS_RUNS,
    EXPERIMENTS,
    REPLICA_SETS,
    PODS,
    SERVICES,
    TRAFFIC_SPLITS,
    HTTP_ROUTES,
    EVENTS,
)
START_SECONDS: Final = 30.0
WAIT_SECONDS: Final = 60.0

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Change:
    """One version of an object.

    Attributes:
        kind: Plural name, as `rollouts`.
        type: ADDED, MODIFIED or DELETED.
        at: When it was seen; monotonic seconds.
    """

    kind: str
    type: str
    object: Object
    at: float

    @property
    def version(self) -> int:
        """Its resourceVersion, by which changes of all kinds are in order."""
        return int(self.object["metadata"]["resourceVersion"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])


class Recording:
    """Follows a namespace from `start` to `close`, on a thread of its own.

    Whoever uses it may block; an API server that goes away is awaited.
    """

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._changed = threading.Condition()
        self._changes: list[Change] = []
        self._objects: dict[str, dict[str, Object]] = {kind.plural: {} for kind in RECORDED}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to follow; returns when all that is there has been seen."""
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)),
            name=f"recording-{self._namespace}",
            daemon=True,
        )
        self._thread.start()
        started.result(START_SECONDS)

    def close(self) -> None:
        """Stop following; what was seen stays."""
        if self._thread is None or self._loop is None or self._stopped is None:
            return
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(START_SECONDS)
        self._thread = None

    # What is there now

    def get(self, resource: Resource, name: str) -> Object | None:
        """Return an object as seen last; None when there is none."""
        with self._changed:
            return self._objects[resource.plural].get(name)

    def all(self, resource: Resource) -> list[Object]:
        """Return all objects of a kind as seen last, by name."""
        with self._changed:
            return [item for _, item in sorted(self._objects[resource.plural].items())]

    # What has been

    def changes(self, *resources: Resource) -> list[Change]:
        """Return all that was seen of some kinds (none given: of all), in true order."""
        wanted = {resource.plural for resource in resources}
        with self._changed:
            kept = [each for each in self._changes if not wanted or each.kind in wanted]
        return sorted(kept, key=lambda change: change.version)

    def versions(self, resource: Resource, name: str) -> list[Object]:
        """Return every version of one object, oldest first, without its deletion."""
        return [
            change.object
            for change in self.changes(resource)
            if change.name == name and change.type != DELETED
        ]

    def names(self, resource: Resource) -> set[str]:
        """Return the names of all objects of a kind that ever were."""
        return {change.name for change in self.changes(resource)}

    # Waiting

    def wait(
        self, condition: Callable[[], ValueT], what: str, seconds: float = WAIT_SECONDS
    ) -> ValueT:
        """Return the condition's first true value, looked at after every change.

        Raises:
            LabError: It was not true in time.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LabError(f"not within {seconds:.0f} s: {what}\n{self.describe()}")
                self._changed.wait(left)
        return value

    def stays(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Return when a condition has held all the time.

        Raises:
            LabError: It did not hold at some moment.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                if not condition():
                    raise LabError(f"no longer: {what}\n{self.describe()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def describe(self) -> str:
        """Return a few lines about what is there, for a failing test."""
        return "\n".join(self._lines())

    # Inside

    def _lines(self) -> Iterator[str]:
        with self._changed:
            for item in self.all(ROLLOUTS):
                status = item.get("status", {})
                headrace = status.get("headrace", {})
                yield (
                    f"rollout {item['metadata']['name']}: {status.get('phase')}"
                    f" {status.get('message', '')!r} step {status.get('currentStepIndex')}"
                    f" abort {status.get('abort')} epoch {headrace.get('epoch')}"
                    f" waiting {headrace.get('waiting')}"
                )
            for item in self.all(REPLICA_SETS):
                status = item.get("status", {})
                yield (
                    f"replicaset {item['metadata']['name']}: {item['spec'].get('replicas')}"
                    f" wanted, {status.get('readyReplicas', 0)} ready"
                )
            for item in self.all(TRAFFIC_SPLITS) + self.all(HTTP_ROUTES):
                yield f"{item['metadata']['name']}: {item['spec']}"
            for item in self.all(ANALYSIS_RUNS) + self.all(EXPERIMENTS):
                status = item.get("status", {})
                yield (
                    f"{item['metadata']['name']}: {status.get('phase')}"
                    f" {status.get('message', '')!r}"
                )

    async def _run(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        synced = {resource.plural: asyncio.Event() for resource in RECORDED}
        async with Kube.from_kubeconfig(self._kubeconfig) as kube:
            tasks = [
                asyncio.create_task(
                    kube.follow(
                        resource,
                        self._noter(resource.plural),
                        namespace=self._namespace,
                        on_synced=synced[resource.plural].set,
                    )
                )
                for resource in RECORDED
            ]
            try:
                for event in synced.values():
                    await event.wait()
                started.set_result(None)
                await self._stopped.wait()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _noter(self, kind: str) -> Callable[[str, Object], None]:
        def note(change_type: str, item: Object) -> None:
            name = item["metadata"]["name"]
            with self._changed:
                self._changes.append(Change(kind, change_type, item, time.monotonic()))
                if change_type == DELETED:
                    self._objects[kind].pop(name, None)
                else:
                    self._objects[kind][name] = item
                self._changed.notify_all()

        return note
