"""The edge cases of the specifications, as a run meets them: one predicate for each.

Canary 10.5 needs ALB readiness gates, which no supported router has.

Source: canary 10, bluegreen 10, experiment 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from headrace.kubernetes.resources import EXPERIMENTS, REPLICA_SETS, Manifest
from headrace.runtime.cluster_memory.objects import Objects, Record
from headrace_sandbox.checkers.book import step_weight
from headrace_sandbox.checkers.edge_changes import RolloutChange, mapping
from headrace_sandbox.checkers.edge_experiments import EXPERIMENT, ExperimentChange, deadline_of
from headrace_sandbox.workload import HASH, available, image_of

# Canary


def _gate_holds_a_lowering(c: RolloutChange) -> bool:
    """Whether the canary keeps a weight, asked back, since stable could not carry the rest."""
    wants_less = bool(c.status.get("abort")) or step_weight(c.new, c.status) < c.weight
    is_dynamic = bool(c.canary.get("dynamicStableScale"))
    needed = (100 - step_weight(c.new, c.status)) * c.replicas // 100
    needed = c.replicas if c.status.get("abort") else needed
    return c.weight > 0 and wants_less and not is_dynamic and available(c.stable) < needed


def _passes_a_weight_with_the_same_pods(c: RolloutChange) -> bool:
    """Whether a setWeight step ends that asks for as many pods as the one before it."""
    step, index = c.passed_step, int(c.before.get("currentStepIndex") or 0)
    earlier = [each for each in (c.canary.get("steps") or ())[:index] if "setWeight" in each]
    return "setWeight" in step and c.replicas == 1 and any(each["setWeight"] for each in earlier)


def _ends_without_pods(c: RolloutChange) -> bool:
    return c.is_promoted and c.replicas == 0


def _has_unhealthy_old(c: RolloutChange) -> bool:
    return not c.canary.get("trafficRouting") and any(
        record not in (c.latest, c.stable)
        and int(record.manifest["spec"].get("replicas", 1)) > available(record)
        for record in c.sets.values()
    )


def _was_blue_green(c: RolloutChange) -> bool:
    return bool(c.canary) and bool(mapping(mapping(c.old, "spec"), "strategy").get("blueGreen"))


def _is_held_and_promoted(c: RolloutChange) -> bool:
    """Whether a person's promote has ended the pause of a step, and now ends their own, too.

    The engine still believes in the pause (controllerPause), of which nothing is left.
    """
    was_held = bool(mapping(c.old, "spec").get("paused")) and c.spec.get("paused") is False
    steps, index = c.canary.get("steps") or (), int(c.status.get("currentStepIndex") or 0)
    is_pause = index < len(steps) and "pause" in steps[index]
    is_ended = bool(c.status.get("controllerPause")) and not c.status.get("pauseConditions")
    return c.by_user and was_held and is_pause and is_ended


def _loses_its_router_at_a_weight(c: RolloutChange) -> bool:
    was_routed = c.changes("strategy", "canary", "trafficRouting")
    is_routed = bool(c.canary.get("trafficRouting"))
    return c.is_updating and was_routed and not is_routed and c.weight > 0


def _is_promoted_without_its_stable(c: RolloutChange) -> bool:
    return c.is_promoted and c.before.get("stableRS") not in c.sets


def _has_experiment_pods(c: RolloutChange) -> bool:
    """Whether pods of an experiment match the Rollout's own selector."""
    labels = mapping(mapping(c.spec, "selector"), "matchLabels").items()
    return bool(mapping(c.status, "canary").get("currentExperiment")) and any(
        labels <= (record.metadata.get("labels") or {}).items()
        for experiment in c.objects.dependents(c.new["metadata"]["uid"])
        if experiment.resource.plural == EXPERIMENTS.plural
        for record in c.objects.dependents(experiment.uid)
        if record.resource.plural == REPLICA_SETS.plural
    )


CANARY: Final[Mapping[str, Callable[[RolloutChange], bool]]] = {
    "canary 10.1": lambda c: c.is_scaled and c.is_updating,
    "canary 10.2": lambda c: c.is_scaled and c.changes("template"),
    "canary 10.3": lambda c: c.is_updating and c.weight > 0 and available(c.latest) == 0,
    "canary 10.4": lambda c: c.is_updating and _gate_holds_a_lowering(c),
    "canary 10.6": _passes_a_weight_with_the_same_pods,
    "canary 10.7": _ends_without_pods,
    "canary 10.8": lambda c: (
        c.is_updating
        and c.changes("strategy", "canary", "steps")
        and int(c.status.get("currentStepIndex") or 0) > 0
    ),
    "canary 10.9": lambda c: not c.is_updating and c.changes("strategy", "canary", "steps"),
    "canary 10.10": _was_blue_green,
    "canary 10.11": _loses_its_router_at_a_weight,
    "canary 10.12": _is_promoted_without_its_stable,
    "canary 10.14": lambda c: c.is_updating and _has_unhealthy_old(c),
    "canary 10.15": lambda c: c.is_updating and available(c.latest) > c.replicas,
    "canary 10.16": lambda c: c.is_promoted and c.canary.get("scaleDownDelayRevisionLimit") == 0,
    "canary 10.17": _has_experiment_pods,
    "canary 10.18": _is_held_and_promoted,
    "canary 10.20": lambda c: (
        c.progressing(before=True) == "RolloutPaused" and c.progressing() == "RolloutResumed"
    ),
}


# Blue-green


def _resumed_too_early(c: RolloutChange) -> bool:
    is_resume = c.by_user and c.pauses("BlueGreenPause", before=True)
    wanted = c.blue_green.get("previewReplicaCount", c.replicas)
    return is_resume and not c.status.get("pauseConditions") and available(c.latest) != wanted


def _is_promoted_in_view(c: RolloutChange) -> bool:
    """Whether a promotion leaves both Services at the version that is stable now."""
    shown = mapping(c.status, "blueGreen")
    hashes = {shown.get("activeSelector"), shown.get("previewSelector"), c.status.get("stableRS")}
    return c.is_promoted and len(hashes) == 1 and bool(c.blue_green.get("previewService"))


def _is_taken_back_from_trial(c: RolloutChange) -> bool:
    """Whether a post-promotion analysis ends an update whose old pods have a deadline of their own.

    The explicit delay counts only for what is neither new, stable nor referenced.
    """
    run = mapping(mapping(c.status, "blueGreen"), "postPromotionAnalysisRunStatus")
    has_failed = run.get("status") in ("Failed", "Error")
    return c.was_on_trial and has_failed and "scaleDownDelaySeconds" in c.blue_green


def _superseded_while_paused(c: RolloutChange) -> bool:
    is_other = c.status.get("currentPodHash") != c.before.get("currentPodHash")
    return is_other and c.pauses("BlueGreenPause", before=True)


def _is_judged_too_long(c: RolloutChange) -> bool:
    """Whether the progress deadline passes while an update is judged, and not paused."""
    run = mapping(mapping(c.status, "blueGreen"), "prePromotionAnalysisRunStatus")
    is_judged = run.get("status") == "Running" and not c.status.get("pauseConditions")
    return is_judged and c.progressing() == "ProgressDeadlineExceeded"


def _is_aborted_while_held(c: RolloutChange) -> bool:
    """Whether an update is aborted that holds the active Service, and a person the Rollout."""
    return bool(c.status.get("abort") and c.spec.get("paused")) and c.is_on_trial


BLUE_GREEN: Final[Mapping[str, Callable[[RolloutChange], bool]]] = {
    "bluegreen 10.1": _resumed_too_early,
    "bluegreen 10.2": lambda c: (
        c.blue_green.get("autoPromotionEnabled") is False
        and bool(c.blue_green.get("autoPromotionSeconds"))
        and c.pauses("BlueGreenPause")
    ),
    "bluegreen 10.3": lambda c: (
        c.is_scaled
        and c.is_updating
        and "previewReplicaCount" in c.blue_green
        and not mapping(c.status, "blueGreen").get("scaleUpPreviewCheckPoint")
    ),
    "bluegreen 10.4": lambda c: (
        c.is_on_trial
        and bool(c.blue_green.get("postPromotionAnalysis"))
        and "scaleDownDelaySeconds" not in c.blue_green
    ),
    "bluegreen 10.5": lambda c: c.is_promoted and c.blue_green.get("scaleDownDelaySeconds") == 0,
    "bluegreen 10.6": _is_promoted_in_view,
    "bluegreen 10.7": lambda c: (
        c.is_updating and bool(c.spec.get("paused")) and not c.status.get("abort")
    ),
    "bluegreen 10.9": lambda c: (
        c.replicas > 1
        and "maxUnavailable" not in c.blue_green
        and c.status.get("restartedAt") != c.before.get("restartedAt")
    ),
    "bluegreen 10.10": _is_taken_back_from_trial,
    "bluegreen 10.11": _superseded_while_paused,
    "bluegreen 10.12": lambda c: c.is_updating and _is_judged_too_long(c),
    "bluegreen 10.13": lambda c: (
        bool(c.status.get("stableRS"))
        and not c.before.get("stableRS")
        and available(c.stable) < c.replicas
    ),
    "bluegreen 10.14": lambda c: c.is_scaled and c.pauses("BlueGreenPause"),
    "bluegreen 10.15": _is_aborted_while_held,
}

BACK_IN_TIME: Final = "canary 10.13"
FAILED_WHILE_PAUSED: Final = "canary 10.19"
MOVED_BY_HAND: Final = "bluegreen 10.8"

EDGES: Final = (
    *CANARY,
    BACK_IN_TIME,
    FAILED_WHILE_PAUSED,
    *BLUE_GREEN,
    MOVED_BY_HAND,
    *EXPERIMENT,
)
"""What a long hunt must meet."""


def of_rollout(change: RolloutChange) -> list[str]:
    """Return the edge cases that a change of a Rollout shows."""
    table = BLUE_GREEN if change.blue_green else CANARY
    return [name for name, holds in table.items() if holds(change)]


def of_experiment(change: ExperimentChange) -> list[str]:
    """Return the edge cases that a change about an Experiment shows."""
    return [name for name, holds in EXPERIMENT.items() if holds(change)]


def of_run(objects: Objects, new: Manifest, old: Manifest) -> list[str]:
    """Return the edge cases that a change of an AnalysisRun shows."""
    ended = ("Failed", "Error")
    is_news = mapping(new, "status").get("phase") in ended and (
        mapping(old, "status").get("phase") not in ended
    )
    labels = new["metadata"].get("labels") or {}
    if not is_news or labels.get("rollout-type") != "Background":
        return []
    owners = new["metadata"].get("ownerReferences") or ()
    found = (objects.by_uid(owner["uid"]) for owner in owners)
    pauses = [
        each["reason"]
        for record in found
        if record is not None
        for each in mapping(record.manifest, "status").get("pauseConditions") or ()
    ]
    return [FAILED_WHILE_PAUSED] if "CanaryPauseStep" in pauses else []


def of_service(rollouts: Iterable[Record], service: Manifest) -> list[str]:
    """Return the edge cases that a stranger's change of a Service shows."""
    name = service["metadata"]["name"]
    selected = mapping(mapping(service, "spec"), "selector").get(HASH)
    for record in rollouts:
        strategy = mapping(mapping(record.manifest, "spec"), "strategy")
        shown = mapping(mapping(record.manifest, "status"), "blueGreen").get("activeSelector")
        if mapping(strategy, "blueGreen").get("activeService") == name and selected != shown:
            return [MOVED_BY_HAND]
    return []


def of_replica_set(rollouts: Iterable[Record], new: Manifest, old: Manifest) -> list[str]:
    """Return the edge cases that a service's change of a Rollout's ReplicaSet shows.

    A version that waited for its end is wanted again: its deadline is taken away.
    """
    had, has = (deadline_of(each) for each in (old, new))
    if not had or has:
        return []
    for record in rollouts:
        owners = {owner["uid"] for owner in new["metadata"].get("ownerReferences") or ()}
        canary = mapping(mapping(mapping(record.manifest, "spec"), "strategy"), "canary")
        is_wanted = "template" in record.manifest["spec"] and (
            image_of(new) == image_of(record.manifest)
        )
        is_alive = int(new["spec"].get("replicas", 1)) > 0
        if record.uid in owners and canary and is_wanted and is_alive:
            return [BACK_IN_TIME]
    return []


def experiment_of(objects: Objects, manifest: Manifest) -> Manifest | None:
    """Return the Experiment that owns an object."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner["kind"] == EXPERIMENTS.kind:
            record = objects.by_uid(owner["uid"])
            return record.manifest if record is not None else None
    return None
