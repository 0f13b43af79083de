"""The Job controller of the memory cluster.

Source: kube-controller-manager's job controller, without indexed jobs and pod failure policies.
"""

from __future__ import annotations

from typing import Any, Final

from headrace.backoff import Backoff
from headrace.kubernetes.resources import JOBS, PODS, Manifest
from headrace.model.meta import format_time, parse_time
from headrace.model.quantities import Instant
from headrace.runtime.cluster_memory.controller import Controller
from headrace.runtime.cluster_memory.objects import Change, Record, controller_uid, table_key
from headrace.runtime.cluster_memory.pods import is_active, is_ready, phase
from headrace.runtime.cluster_memory.replica_sets import pod_of

_RETRY: Final = Backoff(first_seconds=10.0, seconds_max=600.0)
_BACKOFF_LIMIT: Final = 6


class JobController(Controller):
    """Runs pods until enough have succeeded or too many have failed."""

    def _observe(self, change: Change) -> None:
        kind = table_key(change.record.resource)
        if kind == table_key(JOBS):
            self._agenda.add(change.record.uid)
        elif kind == table_key(PODS) and (uid := controller_uid(change.record, JOBS)):
            self._agenda.add(uid)

    def _sync(self, record: Record, now: Instant) -> None:
        job = record
        if job.is_terminating or _is_finished(job):
            return
        before = job.manifest.get("status", {})
        started = before.get("startTime", format_time(now))
        pods = self._pods(job)
        failures = [pod for pod in pods if phase(pod) == "Failed"]
        succeeded = sum(1 for pod in pods if phase(pod) == "Succeeded")
        verdict = self._verdict(job, parse_time(started), succeeded, len(failures), now)
        active = [pod for pod in pods if is_active(pod)]
        if verdict:
            for pod in active:
                self._objects.delete(pod)
            active = []
        elif not job.manifest["spec"].get("suspend"):
            active += self._start(job, len(active), succeeded, failures, now)
        status: dict[str, Any] = {
            "startTime": started,
            "active": len(active),
            "ready": sum(1 for pod in active if is_ready(pod)),
            "succeeded": succeeded,
            "failed": len(failures),
        }
        self._objects.set_status(job, {k: v for k, v in status.items() if v} | verdict)

    def _verdict(
        self, job: Record, started: Instant, succeeded: int, failed: int, now: Instant
    ) -> Manifest:
        """Return the status fields of a finished Job, {} while it runs."""
        spec = job.manifest["spec"]
        if succeeded >= spec.get("completions", 1):
            conditions = _conditions("Complete", "CompletionsReached", "", now)
            return {"conditions": conditions, "completionTime": format_time(now)}
        if failed > spec.get("backoffLimit", _BACKOFF_LIMIT):
            message = "Job has reached the specified backoff limit"
            return {"conditions": _conditions("Failed", "BackoffLimitExceeded", message, now)}
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and now >= started + deadline:
            message = "Job was active longer than specified deadline"
            return {"conditions": _conditions("Failed", "DeadlineExceeded", message, now)}
        if deadline is not None:
            self._agenda.add_at(started + deadline, job.uid)
        return {}

    def _start(
        self, job: Record, active: int, succeeded: int, failures: list[Record], now: Instant
    ) -> list[Record]:
        """Create missing pods; after a failure with a delay."""
        spec = job.manifest["spec"]
        missing = min(spec.get("parallelism", 1), spec.get("completions", 1) - succeeded) - active
        if missing <= 0:
            return []
        if failures:
            last = max(_finished_at(pod) for pod in failures)
            due = last + _RETRY.delay_seconds(len(failures))
            if now < due:
                self._agenda.add_at(due, job.uid)
                return []
        return [self._objects.create(PODS, _job_pod(job)) for _ in range(missing)]

    def _pods(self, job: Record) -> list[Record]:
        return [
            record
            for record in self._objects.dependents(job.uid)
            if table_key(record.resource) == table_key(PODS)
        ]


def _job_pod(job: Record) -> Manifest:
    pod = pod_of(job, job.manifest["spec"])
    labels = {
        "batch.kubernetes.io/controller-uid": job.uid,
        "batch.kubernetes.io/job-name": job.name,
        "controller-uid": job.uid,
        "job-name": job.name,
    }
    pod["metadata"]["labels"] = {**pod["metadata"]["labels"], **labels}
    return pod


def _conditions(kind: str, reason: str, message: str, now: Instant) -> list[Manifest]:
    time = format_time(now)
    condition = {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": time,
        "lastTransitionTime": time,
    }
    return [condition]


def _is_finished(job: Record) -> bool:
    conditions = job.manifest.get("status", {}).get("conditions") or ()
    return any(found["type"] in ("Complete", "Failed") for found in conditions)


def _finished_at(pod: Record) -> Instant:
    statuses = pod.manifest["status"]["containerStatuses"]
    return parse_time(statuses[0]["state"]["terminated"]["finishedAt"])
