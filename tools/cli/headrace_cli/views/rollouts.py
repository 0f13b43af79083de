"""`get rollout`: the head and the tree of one Rollout (cli-and-clients 4.2, 4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.model.quantities import Instant
from headrace_cli.durations import human_duration
from headrace_cli.output import PLAIN, Palette
from headrace_cli.views import icons
from headrace_cli.views.objects import (
    Inventory,
    by_creation,
    count,
    created_at,
    items,
    name_of,
    owned,
    revision_of,
    section,
    text,
    time_of,
)
from headrace_cli.views.phase import Phase, desired_replicas, phase_of
from headrace_cli.views.pods import pod_state
from headrace_cli.views.replica_sets import (
    TAG_COLOURS,
    ReplicaSetView,
    experiment_replica_sets,
    rollout_replica_sets,
)
from headrace_cli.views.tree import Node, Words, tree_lines
from headrace_cli.views.weights import actual_weight, set_weight, step_text, strategy_of

_LABEL_WIDTH: Final = 17
_TAG_ORDER: Final = ("canary", "stable", "active", "preview", "ping", "pong")
_COUNTERS: Final = (
    ("successful", icons.OK),
    ("failed", icons.BAD),
    ("inconclusive", icons.UNKNOWN),
    ("error", icons.WARNING),
)


def rollout_lines(
    rollout: Manifest, inventory: Inventory, *, now: Instant, palette: Palette = PLAIN
) -> list[str]:
    """Return what `get rollout` shows.

    Args:
        rollout: The Rollout.
        inventory: The objects of its namespace.
        now: For ages and delays, seconds since the epoch.
        palette: For the colours.
    """
    replica_sets = rollout_replica_sets(rollout, inventory.replica_sets, inventory.pods)
    experiments = _ordered(owned(inventory.experiments, text(rollout, "metadata", "uid")))
    images = _images(replica_sets)
    for experiment in experiments:
        _add_experiment_images(
            images, experiment_replica_sets(experiment, inventory.replica_sets, inventory.pods)
        )
    return [
        *_head(rollout, replica_sets, palette),
        *_image_lines(images, palette),
        *_replica_lines(rollout),
        "",
        *tree_lines(_rollout_node(rollout, replica_sets, inventory, now), palette),
    ]


def experiment_lines(
    experiment: Manifest, inventory: Inventory, *, now: Instant, palette: Palette = PLAIN
) -> list[str]:
    """Return what `get experiment` shows; the arguments are those of `rollout_lines`."""
    phase = text(experiment, "status", "phase")
    message = text(experiment, "status", "message")
    images: dict[str, list[str]] = {}
    _add_experiment_images(
        images, experiment_replica_sets(experiment, inventory.replica_sets, inventory.pods)
    )
    return [
        *_identity_lines(experiment, Phase(phase, message), icons.of_run(phase), palette),
        *_image_lines(images, palette),
        "",
        *tree_lines(_experiment_node(experiment, inventory, now), palette),
    ]


# The head


def _field(label: str, value: object) -> str:
    return f"{label:<{_LABEL_WIDTH}}{value}".rstrip()


def _identity_lines(manifest: Manifest, phase: Phase, icon: str, palette: Palette) -> list[str]:
    lines = [
        _field("Name:", name_of(manifest)),
        _field("Namespace:", text(manifest, "metadata", "namespace")),
        _field("Status:", f"{palette.paint(icon, icons.COLOURS.get(icon))} {phase.name}"),
    ]
    return [*lines, _field("Message:", phase.message)] if phase.message else lines


def _head(rollout: Manifest, replica_sets: list[ReplicaSetView], palette: Palette) -> list[str]:
    phase = phase_of(rollout)
    strategy = strategy_of(rollout)
    lines = [
        *_identity_lines(rollout, phase, icons.of_rollout(phase.name), palette),
        _field("Strategy:", strategy),
    ]
    if strategy == "Canary":
        available = sum(each.available for each in replica_sets if "canary" in each.tags)
        lines += [
            _field("  Step:", step_text(rollout)),
            _field("  SetWeight:", set_weight(rollout)),
            _field("  ActualWeight:", actual_weight(rollout, available)),
        ]
    return lines


def _replica_lines(rollout: Manifest) -> list[str]:
    return [
        "Replicas:",
        _field("  Desired:", desired_replicas(rollout)),
        _field("  Current:", count(rollout, "status", "replicas")),
        _field("  Updated:", count(rollout, "status", "updatedReplicas")),
        _field("  Ready:", count(rollout, "status", "readyReplicas")),
        _field("  Available:", count(rollout, "status", "availableReplicas")),
    ]


def _images(replica_sets: list[ReplicaSetView]) -> dict[str, list[str]]:
    """Return the images that run, with the tags of who runs them."""
    images: dict[str, list[str]] = {}
    for each in replica_sets:
        if each.has_pods:
            tags: list[str] = [tag for tag in _TAG_ORDER if tag in each.tags]
            for image in each.images:
                _merge(images, image, tags)
    return images


def _add_experiment_images(
    images: dict[str, list[str]], replica_sets: Iterable[ReplicaSetView]
) -> None:
    for each in replica_sets:
        for image in each.images:
            _merge(images, image, [f"{icons.EXPERIMENT}:{each.template_name}"])


def _merge(images: dict[str, list[str]], image: str, tags: list[str]) -> None:
    if image in images:
        images[image] = sorted({*images[image], *tags})
    else:
        images[image] = tags


def _image_lines(images: dict[str, list[str]], palette: Palette) -> list[str]:
    lines: list[str] = []
    for image, tags in sorted(images.items()):
        painted = ", ".join(palette.paint(tag, TAG_COLOURS.get(tag)) for tag in tags)
        label = "" if lines else "Images:"
        lines.append(_field(label, f"{image} ({painted})" if tags else image))
    return lines


# The tree


def _rollout_node(
    rollout: Manifest, replica_sets: list[ReplicaSetView], inventory: Inventory, now: Instant
) -> Node:
    uid = text(rollout, "metadata", "uid")
    experiments = _ordered(owned(inventory.experiments, uid))
    runs = _ordered_runs(owned(inventory.analysis_runs, uid))
    revisions = {
        revision_of(each)
        for each in (*(view.manifest for view in replica_sets), *experiments, *runs)
    }
    phase = phase_of(rollout)
    return Node(
        icons.ROLLOUT,
        name_of(rollout),
        "Rollout",
        icons.of_rollout(phase.name),
        phase.name,
        _age(rollout, now),
        children=[
            Node(
                icons.REVISION,
                f"revision:{revision}",
                children=[
                    *(
                        _replica_set_node(each, now)
                        for each in replica_sets
                        if revision_of(each.manifest) == revision
                    ),
                    *(
                        _experiment_node(each, inventory, now)
                        for each in experiments
                        if revision_of(each) == revision
                    ),
                    *(_run_node(each, now) for each in runs if revision_of(each) == revision),
                ],
            )
            for revision in sorted(revisions, reverse=True)
        ],
    )


def _experiment_node(experiment: Manifest, inventory: Inventory, now: Instant) -> Node:
    phase = text(experiment, "status", "phase")
    views = experiment_replica_sets(experiment, inventory.replica_sets, inventory.pods)
    runs = _ordered_runs(owned(inventory.analysis_runs, text(experiment, "metadata", "uid")))
    return Node(
        icons.EXPERIMENT,
        name_of(experiment),
        "Experiment",
        icons.of_run(phase),
        phase,
        _age(experiment, now),
        children=[
            *(_replica_set_node(each, now) for each in views),
            *(_run_node(each, now) for each in runs),
        ],
    )


def _replica_set_node(view: ReplicaSetView, now: Instant) -> Node:
    info: Words = tuple((tag, TAG_COLOURS.get(tag)) for tag in view.tags)
    delay = view.delay(now)
    if delay is not None:
        info = (*info, (f"delay:{delay}", None))
    return Node(
        icons.REPLICA_SET,
        name_of(view.manifest),
        "ReplicaSet",
        icons.of_replica_set(view.status),
        view.status,
        _age(view.manifest, now),
        info,
        colour=TAG_COLOURS.get(view.tags[0]) if view.tags else None,
        children=[_pod_node(pod, now) for pod in view.pods],
    )


def _pod_node(pod: Manifest, now: Instant) -> Node:
    state = pod_state(pod)
    return Node(
        icons.POD,
        name_of(pod),
        "Pod",
        icons.of_pod(state.reason),
        state.reason,
        _age(pod, now),
        ((state.info, None),),
    )


def _run_node(run: Manifest, now: Instant) -> Node:
    phase = text(run, "status", "phase")
    results = items(run, "status", "metricResults")
    counts = [(sum(count(each, field) for each in results), icon) for field, icon in _COUNTERS]
    return Node(
        icons.ANALYSIS_RUN,
        name_of(run),
        "AnalysisRun",
        icons.of_run(phase),
        phase,
        _age(run, now),
        tuple((f"{icon} {number}", icons.COLOURS.get(icon)) for number, icon in counts if number),
        children=[
            _job_node(measurement, now)
            for result in results
            for measurement in items(result, "measurements")
            if section(measurement, "metadata").get("job-name")
        ],
    )


def _job_node(measurement: dict[str, Any], now: Instant) -> Node:
    phase = text(measurement, "phase")
    started = time_of(text(measurement, "startedAt"))
    return Node(
        icons.JOB,
        text(measurement, "metadata", "job-name"),
        "Job",
        icons.of_run(phase),
        phase,
        "" if started is None else human_duration(now - started),
    )


def _age(manifest: Manifest, now: Instant) -> str:
    created = created_at(manifest)
    return "<unknown>" if created is None else human_duration(now - created)


def _ordered(experiments: list[Manifest]) -> list[Manifest]:
    return sorted(experiments, key=lambda each: (-revision_of(each), *by_creation(each)))


def _ordered_runs(runs: list[Manifest]) -> list[Manifest]:
    """Newest revision first, then oldest first, then by name from the end."""
    by_name = sorted(runs, key=name_of, reverse=True)
    return sorted(by_name, key=lambda each: (-revision_of(each), created_at(each) or 0.0))
