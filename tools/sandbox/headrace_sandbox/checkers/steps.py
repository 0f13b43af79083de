"""Rules of the steps that wait for somebody: analysis, experiment, step plugin, pause, headers.

Source: canary 2.1, 2.4, 7 to 9; architecture, section 4 (table of acknowledgements).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.events.plugins import PluginRequested
from headrace.kubernetes.resources import ANALYSIS_RUNS, EXPERIMENTS, ROLLOUTS, Manifest
from headrace.model.meta import parse_time
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.checkers.book import LAG_SECONDS, Book
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.plugins import PluginWorkers
from headrace_sandbox.workload import HASH, header_rules, replica_sets, roles, split_of
from headrace_sandbox.world import World, Write

_WAITS: Final = "a step waits for what it is for"
_LATEST: Final = "currentPodHash"
_ABORTED: Final = "what a plugin did is taken back by an abort"
_EXCUSES: Final = {"Run": ("Failed", "Error"), "Abort": ("Error",)}
"""What failed leaves nothing to undo; a worker is told once to undo (canary 9), and where that call
was lost the status says so."""


class StepRules:
    """Checked when a service writes the index of a step, and at rest."""

    def __init__(self, world: World, book: Book, findings: Findings) -> None:
        self._world = world
        self._book = book
        self._require = findings.require
        self._workers: PluginWorkers | None = None
        self._succeeded: dict[str, float] = {}

    def know(self, workers: PluginWorkers) -> None:
        """Look at what the workers of step plugins are asked, too."""
        self._workers = workers
        workers.watch(self.asked)

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        new, old = write.change.new, write.change.old
        if new is not None and new.resource.plural == EXPERIMENTS.plural and _is_successful(new):
            self._succeeded[new.uid] = self._world.now
        if new is None or old is None or new.resource.plural != ROLLOUTS.plural:
            return
        status, before = new.manifest.get("status") or {}, old.manifest.get("status") or {}
        step = _passed_step(new.manifest, status, before)
        # Without a stable ReplicaSet the new version is promoted at once (canary 10.12).
        sets = replica_sets(self._world.objects, new.uid)
        stable, latest = (sets.get(before.get(field, "")) for field in ("stableRS", _LATEST))
        if step is None or stable is None or latest is None:
            return
        has_window = bool(new.manifest["spec"].get("rollbackWindow"))
        if not has_window or _created(latest) > _created(stable):
            self._passed(new.manifest, before, step)

    def _passed(
        self, rollout: Manifest, before: Mapping[str, Any], step: Mapping[str, Any]
    ) -> None:
        index, name = int(before.get("currentStepIndex") or 0), rollout["metadata"]["name"]
        text = f"{name}: step {index} {next(iter(step))}"
        if "pause" in step:
            pauses = [each["reason"] for each in before.get("pauseConditions") or ()]
            is_timed = bool((step["pause"] or {}).get("duration"))
            self._require(is_timed or "CanaryPauseStep" not in pauses, _WAITS, text)
        elif "experiment" in step:
            named = (before.get("canary") or {}).get("currentExperiment")
            found = self._of_step(rollout, EXPERIMENTS.plural, index, named)
            self._require(any(self._was_successful(each) for each in found), _WAITS, text)
        elif "analysis" in step:
            run = (before.get("canary") or {}).get("currentStepAnalysisRunStatus") or {}
            found = self._of_step(rollout, ANALYSIS_RUNS.plural, index, run.get("name"))
            self._require(any(_is_successful(each) for each in found), _WAITS, text)
        elif "plugin" in step and step["plugin"]["name"] != "sandbox/off":
            self._require(self._said_successful(rollout, index), _WAITS, text)
        elif (step.get("setHeaderRoute") or {}).get("match"):
            self._header_is_there(rollout, step["setHeaderRoute"]["name"], text)

    def _of_step(
        self, rollout: Manifest, plural: str, index: int, named: str | None
    ) -> list[Record]:
        """Return what was made for a step of this revision; only the one that the status names."""
        wanted = {HASH: rollout["status"]["currentPodHash"], "step-index": str(index)}.items()
        return [
            record
            for record in self._world.objects.dependents(rollout["metadata"]["uid"])
            if record.resource.plural == plural
            and wanted <= (record.metadata.get("labels") or {}).items()
            and (not named or record.name == named)
        ]

    def _was_successful(self, experiment: Record) -> bool:
        """Whether an Experiment was successful lately: a person may let it begin again."""
        since = self._succeeded.get(experiment.uid)
        return since is not None and self._world.now - since < LAG_SECONDS

    def _said_successful(self, rollout: Manifest, index: int) -> bool:
        asked = self._workers.asked.values() if self._workers is not None else ()
        return any(
            each.request.uid == rollout["metadata"]["uid"]
            and each.request.step == index
            and each.request.operation == "Run"
            and each.answer.phase == "Successful"
            for each in asked
        )

    def _header_is_there(self, rollout: Manifest, name: str, text: str) -> None:
        """The rule was in the traffic object; an edit by hand may have taken it out since."""
        found = split_of(self._world.objects, rollout)
        if found is None or found[0].resource.plural != "httproutes":
            return
        new = replica_sets(self._world.objects, rollout["metadata"]["uid"]).get(
            rollout["status"]["currentPodHash"]
        )
        if new is None or int(new.manifest["spec"].get("replicas", 1)) == 0:
            return  # nobody could be sent there
        service, _ = roles(rollout)
        rules = header_rules(found[0].manifest, service)
        is_there = any(rule == name or rule.startswith(f"{name}-") for rule in rules)
        self._require(is_there, _WAITS, f"{text}: {rules}")

    def at_rest(self) -> None:
        """What a worker began for an update that was aborted, it was told to undo, if it heard."""
        if self._workers is None:
            return
        for record in self._world.objects.all(ROLLOUTS):
            status = record.manifest.get("status") or {}
            if not status.get("abort"):
                continue
            calls = [a.request for a in self._workers.asked.values() if a.request.uid == record.uid]
            undone = {_run_of(each.cause) for each in calls if each.operation == "Abort"}
            entries = (status.get("canary") or {}).get("stepPluginStatuses") or ()
            for each in calls:
                current = _current_attempt(status, each.cause)
                is_excused = any(
                    entry["index"] == each.step and entry.get("phase") in _EXCUSES[operation]
                    for entry in entries
                    if (operation := entry.get("operation")) in _EXCUSES
                )
                if each.operation == "Run" and current and not is_excused:
                    text = f"{record.name}: {each.cause} was never told to undo"
                    self._require(_run_of(each.cause) in undone, _ABORTED, text)

    def asked(self, request: PluginRequested) -> None:
        """Hear of a call: no step is run for an update that was aborted a while ago."""
        since = self._book.page(request.uid).aborted_since
        if request.operation == "Run" and since is not None:
            late = self._world.now - since
            text = f"{request.cause} {late:.0f} s after the abort"
            self._require(late < LAG_SECONDS, "no step runs after an abort", text)


def _passed_step(
    rollout: Manifest, status: Mapping[str, Any], before: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the step that a write says to be over; None where none is, or steps do not count."""
    steps = ((rollout["spec"].get("strategy") or {}).get("canary") or {}).get("steps") or []
    index = before.get("currentStepIndex")
    if index is None or index >= len(steps):
        return None
    is_next = status.get("currentStepIndex") == index + 1
    counts = (
        status.get("currentPodHash") == before.get("currentPodHash") != before.get("stableRS")
        and status.get("currentStepHash") == before.get("currentStepHash")
        and not before.get("promoteFull")
        and bool(before.get("stableRS"))
    )
    return steps[index] if is_next and counts else None


def _created(record: Record) -> str:
    return str(record.metadata["creationTimestamp"])


def _is_successful(record: Record) -> bool:
    return (record.manifest.get("status") or {}).get("phase") == "Successful"


def _run_of(cause: str) -> str:
    """Return what the calls about one Run have in common: revision, step, attempt, name, begin."""
    return cause.rsplit("/", 2)[0]


def _current_attempt(status: Mapping[str, Any], cause: str) -> bool:
    """Whether a call belongs to the attempt that the status shows, by its entries."""
    entries = (status.get("canary") or {}).get("stepPluginStatuses") or ()
    begun = {
        f"{each['index']}/{each['name']}/{parse_time(each['startedAt']):.0f}"
        for each in entries
        if each.get("startedAt")
    }
    place, owner, name, began, *_ = cause.split("/")
    return f"{place.split('.')[1]}/{owner}/{name}/{began}" in begun
