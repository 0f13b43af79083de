"""The analysis-runner's core in ring 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from analysis_runner.core.decide import decide
from analysis_runner.core.invariants import check
from analysis_runner.core.observed import Observed
from analysis_runner.core.plan import Ask
from analysis_runner.measuring import Round
from analysis_runner.memory import RunMemory, Written
from analysis_runner.views import about, created_at, partition_key, run_key, spec_view, status_view
from headrace.kubernetes.patches import merge_diff
from headrace.kubernetes.resources import ANALYSIS_RUNS, Manifest
from headrace.model.analysis import AnalysisRunStatus
from headrace.model.quantities import Instant
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory.objects import TableKey
from headrace_sandbox.cores.process import Look, Process
from headrace_sandbox.measuring import SimulatedMeasurer, Workload
from headrace_sandbox.nodes import drive

KINDS: Final = (ANALYSIS_RUNS,)


class RunnerCore:
    """Snapshots from what was seen, `decide`, measurements and the run's status."""

    def __init__(self, process: Process, workload: Workload) -> None:
        self._process = process
        self._memory = RunMemory()
        self._measurer = SimulatedMeasurer(
            (process.world, process), workload, self._memory, process.wake
        )

    def keys(self, manifest: Manifest, kind: TableKey) -> Iterable[str]:
        """Return the run itself."""
        return (run_key(manifest),)

    def minds(self, old: Manifest | None, new: Manifest, kind: TableKey) -> bool:
        """Return True: everything that is followed matters."""
        return True

    def hear(self, message: Any) -> str:
        """Hear nothing: what is asked of a runner stands in the runs."""
        return ""

    def look(self, key: str) -> Look:
        """Decide on one run, and carry the plan out."""
        namespace, _, name = key.partition("/")
        manifest = self._process.sight.get(ANALYSIS_RUNS, namespace, name)
        if manifest is None:
            return Look()
        now = self._process.clock.now()
        observed = self._observe(key, manifest)
        plan = decide(observed, now=now)
        check(observed, plan)
        uid = observed.about.run_uid
        for metric in plan.abandon:
            self._measurer.abandon(uid, metric)
        if plan.asks:
            self._begin(observed, plan.asks, now)
        if plan.deletes:
            drive(self._process.cluster.delete(ANALYSIS_RUNS, namespace, name, uid=uid))
            return Look(has_written=True)
        has_written = plan.claim is not None and self._claim(observed, plan.claim)
        self._memory.take(uid, plan.taken)
        return Look(has_written, plan.wake_at)

    def _observe(self, key: str, manifest: Manifest) -> Observed:
        uid, raw_status = manifest["metadata"]["uid"], manifest.get("status") or {}
        view, written = spec_view(manifest["spec"]), self._memory.written(uid)
        is_own = written is not None and written.raw == raw_status
        return Observed(
            key=key,
            partition_key=partition_key(manifest),
            manifest=manifest,
            about=about(manifest),
            resource_version=manifest["metadata"]["resourceVersion"],
            created_at=created_at(manifest),
            is_deleting="deletionTimestamp" in manifest["metadata"],
            spec=view.spec,
            examined=view.examined,
            status=written.status if written is not None and is_own else status_view(raw_status),
            flights=self._memory.flights(uid),
            findings=self._memory.findings(uid),
            arguments_problem=self._memory.arguments_problem(uid),
        )

    def _begin(self, observed: Observed, asks: tuple[Ask, ...], now: Instant) -> None:
        assert observed.spec is not None
        self._measurer.begin(
            Round(
                key=observed.key,
                namespace=observed.manifest["metadata"]["namespace"],
                name=observed.about.run,
                uid=observed.about.run_uid,
                started_at=observed.status.started_at,
                names=[metric.name for metric in observed.examined.metrics],
                raw_metrics=observed.manifest["spec"].get("metrics") or (),
                arguments=observed.spec.args,
                asks=asks,
            ),
            now,
        )

    def _claim(self, observed: Observed, claim: AnalysisRunStatus) -> bool:
        changes = merge_diff(observed.status.dump(), claim.dump())
        if not changes:
            return False
        metadata = observed.manifest["metadata"]
        body = {"metadata": {"resourceVersion": observed.resource_version}, "status": changes}
        patch = self._process.cluster.patch(
            ANALYSIS_RUNS, metadata["namespace"], metadata["name"], MergePatch(body)
        )
        answer = drive(patch)
        self._memory.wrote(metadata["uid"], Written(answer.get("status") or {}, claim))
        self._process.sight.offer(ANALYSIS_RUNS, answer)
        return True
