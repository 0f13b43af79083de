"""Rules of the steps that wait for somebody: analysis, experiment, step plugin, pause, headers.

Source: canary 2.1, 2.4, 7 to 9; architecture, section 4 (table of acknowledgements).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.events.plugins import PluginRequested
from headrace.kubernetes.resources import ANALYSIS_RUNS, EXPERIMENTS, ROLLOUTS, Manifest
from headrace.model.analysis import is_completed
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

_Execution = tuple[int, str, str | None, int]
"""Step, plugin, begin and number of a look at its work."""


class StepRules:
    """Checked when a service writes the index of a step, and at rest."""

    def __init__(self, world: World, book: Book, findings: Findings) -> None:
        self._world = world
        self._book = book
        self._require = findings.require
        self._workers: PluginWorkers | None = None
        self._succeeded: dict[str, float] = {}
        self._failed: dict[str, float] = {}
        self._given_up: set[str] = set()
        self._calls: dict[str, dict[_Execution, str]] = {}

    def know(self, workers: PluginWorkers) -> None:
        """Look at what the workers of step plugins are asked, too."""
        self._workers = workers
        workers.watch(self.asked)

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        new, old = write.change.new, write.change.old
        if new is None:
            return
        self._note_end(new)
        self._note_terminated(new, old)
        if old is None or new.resource.plural != ROLLOUTS.plural:
            return
        status, before = new.manifest.get("status") or {}, old.manifest.get("status") or {}
        if _begun(before) - _begun(status):
            self._calls.pop(new.uid, None)  # another attempt asks anew
        steps = _passed_steps(new.manifest, status, before)
        # Without a stable ReplicaSet the new version is promoted at once (canary 10.12).
        sets = replica_sets(self._world.objects, new.uid)
        stable, latest = (sets.get(before.get(field, "")) for field in ("stableRS", _LATEST))
        if stable is None or latest is None or before.get("promoteFull"):
            return
        has_window = bool(new.manifest["spec"].get("rollbackWindow"))
        if has_window and _created(latest) <= _created(stable):
            return
        for index, step in steps:
            self._passed(new.manifest, before, (index, step))
        if status.get("stableRS") != before.get("stableRS"):
            self._promoted(new.manifest, before)

    def _note_end(self, record: Record) -> None:
        """Remember when what a step waits for was successful last, and since when a run failed."""
        phase = _phase(record)
        if record.resource.plural == EXPERIMENTS.plural and phase == "Successful":
            self._succeeded[record.uid] = self._world.now
        is_verdict = record.resource.plural == ANALYSIS_RUNS.plural and phase == "Successful"
        if is_verdict and record.uid not in self._given_up:
            self._succeeded[record.name] = self._world.now  # it stays one where the run is deleted
        if record.resource.plural == ANALYSIS_RUNS.plural and phase in ("Failed", "Error"):
            self._failed.setdefault(record.name, self._world.now)

    def _note_terminated(self, new: Record, old: Record | None) -> None:
        """Remember a run that a service ended before it was done: it has judged nothing."""
        if new.resource.plural != ANALYSIS_RUNS.plural or old is None:
            return
        was, phase = old.manifest["spec"].get("terminate"), _phase(old)
        if new.manifest["spec"].get("terminate") and not was and not is_completed(phase):
            self._given_up.add(new.uid)

    def _promoted(self, rollout: Manifest, before: Mapping[str, Any]) -> None:
        """A version whose background analysis has failed does not become the stable one."""
        run = (before.get("canary") or {}).get("currentBackgroundAnalysisRunStatus") or {}
        since = self._failed.get(run.get("name", ""))
        text = f"{rollout['metadata']['name']}: {run.get('name')}"
        is_news = since is None or self._world.now - since < LAG_SECONDS
        self._require(is_news, "nothing is promoted after its analysis failed", text)

    def _passed(
        self, rollout: Manifest, before: Mapping[str, Any], passed: tuple[int, Mapping[str, Any]]
    ) -> None:
        index, step = passed
        text = f"{rollout['metadata']['name']}: step {index} {next(iter(step))}"
        if "pause" in step:
            pauses = [each["reason"] for each in before.get("pauseConditions") or ()]
            is_timed = bool((step["pause"] or {}).get("duration"))
            is_over = bool(before.get("controllerPause")) and "CanaryPauseStep" not in pauses
            self._require(is_timed or is_over, _WAITS, text)
        elif "experiment" in step:
            named = (before.get("canary") or {}).get("currentExperiment")
            found = self._of_step(rollout, EXPERIMENTS.plural, index, named)
            self._require(any(self._was_successful(each) for each in found), _WAITS, text)
        elif "analysis" in step:
            run = (before.get("canary") or {}).get("currentStepAnalysisRunStatus") or {}
            found = self._of_step(rollout, ANALYSIS_RUNS.plural, index, run.get("name"))
            judged = [each for each in found if each.uid not in self._given_up]
            is_good = any(_is_successful(each) for each in judged)
            self._require(is_good or self._succeeded_lately(run.get("name", "")), _WAITS, text)
        elif "plugin" in step and step["plugin"]["name"] != "sandbox/off":
            self._require(self._said_successful(rollout, index), _WAITS, text)
        elif (step.get("setHeaderRoute") or {}).get("match"):
            if _wants_pods(rollout, index):  # else nobody could be sent there
                self._header_is_there(rollout, step["setHeaderRoute"]["name"], text)
        elif "setWeight" in step:
            self._weight_was_there(rollout, int(step["setWeight"]), text)

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
        """Whether an Experiment is successful, or was lately: a person may let it begin again."""
        return _is_successful(experiment) or self._succeeded_lately(experiment.uid)

    def _succeeded_lately(self, key: str) -> bool:
        since = self._succeeded.get(key)
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
            return  # of no replicas there are no pods
        service, _ = roles(rollout)
        rules = header_rules(found[0].manifest, service)
        is_there = any(rule == name or rule.startswith(f"{name}-") for rule in rules)
        self._require(is_there, _WAITS, f"{text}: {rules}")

    def _weight_was_there(self, rollout: Manifest, weight: int, text: str) -> None:
        """The traffic object has had the weight; without pods wanted there is none to be had."""
        canary = rollout["spec"]["strategy"]["canary"]
        has_scale = any("setCanaryScale" in each for each in canary.get("steps") or ())
        page, since = self._book.page(rollout["metadata"]["uid"]), self._world.now - LAG_SECONDS
        has_none = has_scale or page.replicas_least(since) == 0
        if has_none or split_of(self._world.objects, rollout) is None:
            return
        text = f"{text}: shown was {page.shown[-3:]}"
        self._require(page.showed(weight, since), _WAITS, text)

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
        """Hear of a call: it has one id, and nothing runs for what was aborted a while ago."""
        if request.operation == "Run":
            self._asked_once(request)
        since = self._book.page(request.uid).aborted_since
        if request.operation == "Run" and since is not None:
            late = self._world.now - since
            text = f"{request.cause} {late:.0f} s after the abort"
            self._require(late < LAG_SECONDS, "no step runs after an abort", text)

    def _asked_once(self, request: PluginRequested) -> None:
        """One look at the work of one entry is one call, whatever comes between."""
        known = self._calls.setdefault(request.uid, {})
        entry = (request.step, request.plugin)
        began = {each[:2]: each[2] for each in _begun(dict(request.object).get("status") or {})}
        call = known.setdefault((*entry, began.get(entry), request.execution), request.call)
        text = f"{request.cause} is {request.call}, and was {call}"
        self._require(call == request.call, "one effect per intent", text)


def _begun(status: Mapping[str, Any]) -> set[tuple[int, str, str]]:
    """Return what runs, or ran: step, plugin and begin."""
    entries = (status.get("canary") or {}).get("stepPluginStatuses") or ()
    return {
        (each["index"], each["name"], each["startedAt"])
        for each in entries
        if each["operation"] == "Run" and each.get("startedAt")
    }


def _passed_steps(
    rollout: Manifest, status: Mapping[str, Any], before: Mapping[str, Any]
) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the steps that a write says to be over, where they count."""
    steps = ((rollout["spec"].get("strategy") or {}).get("canary") or {}).get("steps") or []
    first, end = before.get("currentStepIndex"), status.get("currentStepIndex")
    if first is None or end is None:
        return []
    counts = (
        status.get("currentPodHash") == before.get("currentPodHash") != before.get("stableRS")
        and status.get("currentStepHash") == before.get("currentStepHash")
        and bool(before.get("stableRS"))
    )
    return [(n, steps[n]) for n in range(first, min(end, len(steps)))] if counts else []


def _wants_pods(rollout: Manifest, index: int) -> bool:
    """Whether a step gives the canary pods (canary 4.1); a hand that scaled it does not count."""
    begun = rollout["spec"]["strategy"]["canary"]["steps"][: index + 1]
    scales = [step["setCanaryScale"] for step in begun if "setCanaryScale" in step]
    if scales and not scales[-1].get("matchTrafficWeight"):
        return bool(scales[-1].get("replicas") or scales[-1].get("weight"))
    weights = [step["setWeight"] for step in begun if "setWeight" in step]
    return bool(weights and weights[-1])


def _created(record: Record) -> str:
    return str(record.metadata["creationTimestamp"])


def _phase(record: Record) -> str:
    return str((record.manifest.get("status") or {}).get("phase") or "")


def _is_successful(record: Record) -> bool:
    return _phase(record) == "Successful"


def _run_of(cause: str) -> str:
    """Return what the calls about one Run have in common: revision, step, attempt, name, begin."""
    return "/".join(cause.split("/")[:4])


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
