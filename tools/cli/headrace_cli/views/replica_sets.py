"""One ReplicaSet of a Rollout or Experiment as the tree shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from headrace.kubernetes.resources import Manifest
from headrace.model.quantities import Instant
from headrace_cli.durations import human_duration
from headrace_cli.output import Colour
from headrace_cli.views.objects import (
    HASH_LABEL,
    annotations_of,
    by_creation,
    count,
    items,
    labels_of,
    name_of,
    owned,
    revision_of,
    section,
    text,
    time_of,
)

TEMPLATE_ANNOTATION: Final = "experiment.argoproj.io/template-name"
_DEADLINE_ANNOTATION: Final = "scale-down-deadline"

TAG_COLOURS: Final = {
    "canary": Colour.YELLOW,
    "stable": Colour.GREEN,
    "active": Colour.GREEN,
    "preview": Colour.BLUE,
    "ping": Colour.BLUE,
    "pong": Colour.BLUE,
}


@dataclass(frozen=True, slots=True)
class ReplicaSetView:
    """A ReplicaSet with its part in the rollout.

    Attributes:
        manifest: The object.
        tags: Its roles, in the order of the INFO column.
        pods: Its pods, oldest first.
    """

    manifest: Manifest
    tags: tuple[str, ...]
    pods: tuple[Manifest, ...]

    @property
    def status(self) -> str:
        """Progressing, ReplicaFailure, ScaledDown or Healthy."""
        manifest = self.manifest
        if count(manifest, "metadata", "generation") > count(
            manifest, "status", "observedGeneration"
        ):
            return "Progressing"
        if any(
            each.get("type") == "ReplicaFailure" and each.get("status") == "True"
            for each in items(manifest, "status", "conditions")
        ):
            return "ReplicaFailure"
        if self.available < self.replicas:
            return "Progressing"
        return "Healthy" if self.replicas else "ScaledDown"

    @property
    def replicas(self) -> int:
        """Replicas that are wanted."""
        replicas = section(self.manifest, "spec").get("replicas")
        return 1 if replicas is None else int(replicas)

    @property
    def available(self) -> int:
        """Replicas that are available."""
        return count(self.manifest, "status", "availableReplicas")

    @property
    def has_pods(self) -> bool:
        """Whether it has pods now, by its own count."""
        return count(self.manifest, "status", "replicas") > 0

    @property
    def images(self) -> list[str]:
        """Images of its containers."""
        containers = items(self.manifest, "spec", "template", "spec", "containers")
        return [each.get("image", "") for each in containers]

    @property
    def template_name(self) -> str:
        """Name of the experiment's template that it belongs to; empty for a Rollout's."""
        return annotations_of(self.manifest).get(TEMPLATE_ANNOTATION, "")

    def delay(self, now: Instant) -> str | None:
        """Return how long it is kept, `passed` after that; None without a deadline."""
        deadline = annotations_of(self.manifest).get(_DEADLINE_ANNOTATION)
        if not deadline:
            return None
        at = time_of(deadline)
        if at is None:
            return ""
        return "passed" if at <= now else human_duration(at - now)


def rollout_replica_sets(
    rollout: Manifest, replica_sets: Iterable[Manifest], pods: Iterable[Manifest]
) -> list[ReplicaSetView]:
    """Return the ReplicaSets of a Rollout, newest revision first."""
    ordered = sorted(
        owned(replica_sets, text(rollout, "metadata", "uid")),
        key=lambda each: (-revision_of(each), name_of(each)),
    )
    all_pods = [*pods]
    return [_view(each, tuple(_roles(rollout, each)), all_pods) for each in ordered]


def experiment_replica_sets(
    experiment: Manifest, replica_sets: Iterable[Manifest], pods: Iterable[Manifest]
) -> list[ReplicaSetView]:
    """Return the ReplicaSets of an Experiment."""
    ordered = sorted(
        owned(replica_sets, text(experiment, "metadata", "uid")),
        key=lambda each: (-revision_of(each), name_of(each)),
    )
    all_pods = [*pods]
    return [_view(each, (), all_pods) for each in ordered]


def _view(replica_set: Manifest, tags: tuple[str, ...], pods: list[Manifest]) -> ReplicaSetView:
    own = sorted(owned(pods, text(replica_set, "metadata", "uid")), key=by_creation)
    return ReplicaSetView(replica_set, tags, tuple(own))


def _roles(rollout: Manifest, replica_set: Manifest) -> Iterator[str]:
    pod_hash = labels_of(replica_set).get(HASH_LABEL, "")
    if not pod_hash:
        return
    status = section(rollout, "status")
    is_stable = pod_hash == status.get("stableRS")
    if is_stable:
        yield "stable"
    if section(rollout, "spec", "strategy").get("canary") is not None:
        yield from _canary_roles(rollout, pod_hash, is_stable=is_stable)
        return
    blue_green = section(status, "blueGreen")
    if pod_hash == blue_green.get("activeSelector"):
        yield "active"
    elif pod_hash == blue_green.get("previewSelector"):
        yield "preview"


def _canary_roles(rollout: Manifest, pod_hash: str, *, is_stable: bool) -> Iterator[str]:
    is_canary = not is_stable and pod_hash == text(rollout, "status", "currentPodHash")
    if is_canary:
        yield "canary"
    if not section(rollout, "spec", "strategy", "canary").get("pingPong"):
        return
    stable_side = text(rollout, "status", "canary", "stablePingPong") or "pong"
    other_side = "pong" if stable_side == "ping" else "ping"
    if is_stable:
        yield stable_side
    elif is_canary:
        yield other_side
