"""Ports to snapshot: reads everything that `decide` may know of one AnalysisRun.

From the cache and the memory; a live read only where the bus spoke of a run, or of its end, and
the watch is late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis_runner.core.observed import Observed
from analysis_runner.memory import RunMemory
from analysis_runner.views import SpecView, about, created_at, partition_key, spec_view, status_view
from headrace.errors import NotFound
from headrace.kubernetes.resources import ANALYSIS_RUNS, Manifest
from headrace.model.analysis import AnalysisRunStatus, is_completed
from headrace.model.quantities import Instant
from headrace.runtime.cluster import Cluster
from headrace.runtime.store import Store


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the bus said of a run that the watch may not have brought yet.

    Attributes:
        partition_key: Of the run.
        is_terminated: Its end was asked for.
    """

    partition_key: str
    is_terminated: bool = False


class Gatherer:
    """Builds snapshots.

    Args:
        cluster: For the live reads.
        runs: Cache of the AnalysisRuns.
        memory: What this process remembers.
        say_again_seconds: Runs that were over for longer are not told again after a restart.
    """

    def __init__(
        self, cluster: Cluster, runs: Store, memory: RunMemory, *, say_again_seconds: float
    ) -> None:
        self._cluster = cluster
        self._runs = runs
        self._memory = memory
        self._say_again_seconds = say_again_seconds
        self._specs: dict[str, SpecView] = {}
        self._expected: dict[str, Expectation] = {}

    def expect(self, key: str, expectation: Expectation) -> None:
        """Note what the bus said; the next pass reads the run if the watch did not bring it."""
        self._expected[key] = expectation

    def partition_key(self, key: str) -> str:
        """Return the partition key of a run, as far as it is known."""
        manifest = self._cached(key)
        if manifest is not None:
            return partition_key(manifest)
        expected = self._expected.get(key)
        return expected.partition_key if expected is not None else key

    def forget(self, uid: str) -> None:
        """Drop what is kept about a run that is gone."""
        self._specs.pop(uid, None)

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of a run, None when it does not exist.

        Raises:
            Unavailable: A live read failed; the reconcile is tried again.
        """
        manifest = await self._find(key)
        if manifest is None:
            return None
        metadata = manifest["metadata"]
        uid = metadata["uid"]
        view = self._spec(uid, manifest.get("spec") or {})
        status = self._status(uid, manifest.get("status") or {})
        if is_completed(status.phase):
            self._specs.pop(uid, None)  # mostly it is not looked at again
        return Observed(
            key=key,
            partition_key=partition_key(manifest),
            manifest=manifest,
            about=about(manifest),
            resource_version=metadata["resourceVersion"],
            created_at=created_at(manifest),
            is_deleting=bool(metadata.get("deletionTimestamp")),
            spec=view.spec,
            examined=view.examined,
            status=status,
            flights=self._memory.flights(uid),
            findings=self._memory.findings(uid),
            arguments_problem=self._memory.arguments_problem(uid),
            told=self._memory.told(uid),
            say_again_seconds=self._say_again_seconds,
        )

    async def _find(self, key: str) -> Manifest | None:
        manifest = self._cached(key)
        expected = self._expected.pop(key, None)
        if expected is None or _holds(expected, manifest):
            return manifest
        namespace, _, name = key.partition("/")
        try:
            live = await self._cluster.get(ANALYSIS_RUNS, namespace, name)
        except NotFound:
            return manifest  # gone; the watch says so, if it was ever there
        self._runs.offer(live)
        return self._cached(key)

    def _cached(self, key: str) -> Manifest | None:
        namespace, _, name = key.partition("/")
        return self._runs.get(namespace, name)

    def _spec(self, uid: str, raw: Mapping[str, Any]) -> SpecView:
        known = self._specs.get(uid)
        if known is None or known.raw != raw:
            known = self._specs[uid] = spec_view(raw)
        return known

    def _status(self, uid: str, raw: Mapping[str, Any]) -> AnalysisRunStatus:
        """Return the status; where it is the one that was written here, with exact times."""
        written = self._memory.written(uid)
        if written is not None and written.raw == raw:
            return written.status
        return status_view(raw)


def _holds(expected: Expectation, manifest: Manifest | None) -> bool:
    """Whether the cache shows what the bus said."""
    if manifest is None:
        return False
    return not expected.is_terminated or bool((manifest.get("spec") or {}).get("terminate"))
