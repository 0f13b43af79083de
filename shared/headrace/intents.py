"""What a person's command writes: the patches of the existing plugin, computed from the object.

Used by the command line (which sends them) and by the rollout-controller (which turns commands
of the bus into them), so that both mean the same. Pure: objects in, patch bodies out.

Source: cli-and-clients 2; canary 2.6.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.errors import InvalidSpec
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisPhase
from headrace.model.meta import format_time
from headrace.model.quantities import Instant

HASH_LABEL: Final = "rollouts-pod-template-hash"
REVISION_ANNOTATION: Final = "rollout.argoproj.io/revision"
_CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Patches:
    """Merge patches of one command; None where there is nothing to write.

    Attributes:
        status: What is merged into the status, sent first, to the status subresource.
        spec: What is merged into the spec, sent second, to the main resource.
        unified: The whole body, for the main resource instead of both, where the CRD has no
            status subresource; None where the status is not written.
    """

    status: dict[str, Any] | None = None
    spec: dict[str, Any] | None = None
    unified: dict[str, Any] | None = None


ABORT: Final = Patches(status={"abort": True}, unified={"status": {"abort": True}})
RETRY: Final = Patches(status={"abort": False}, unified={"status": {"abort": False}})
PAUSE: Final = Patches(spec={"paused": True})
RESUME: Final = Patches(spec={"paused": False}, status={"pauseConditions": None})


def why_no_abort(rollout: Manifest) -> str:
    """Return why an abort of this Rollout has no effect, "" when it has (decision 13)."""
    status = rollout.get("status") or {}
    current, stable = status.get("currentPodHash"), status.get("stableRS")
    if current and current == stable:
        return "its newest revision is the stable one already"
    if status.get("promoteFull"):
        return "its full promotion is requested, which ends every abort"
    return ""


def promote(rollout: Manifest, *, full: bool = False) -> Patches:
    """Return what `promote` writes: the first case of cli-and-clients 2.2 that matches."""
    status = rollout.get("status") or {}
    is_paused = bool((rollout.get("spec") or {}).get("paused"))
    spec = {"paused": False} if is_paused else None
    if full:
        is_promoted = status.get("currentPodHash") == status.get("stableRS")
        return _joined(None if is_promoted else {"promoteFull": True}, spec)
    return _joined(_promoted_status(rollout, status), spec)


def skip_current_step(rollout: Manifest) -> Patches:
    """Return what skips the running step, without touching pauses (deprecated flag).

    Raises:
        InvalidSpec: There are no steps.
    """
    _require_steps(rollout)
    return _at_step(_next_index(rollout))


def skip_all_steps(rollout: Manifest) -> Patches:
    """Return what skips every step (deprecated flag).

    Raises:
        InvalidSpec: There are no steps.
    """
    return _at_step(len(_require_steps(rollout)))


def restart(at: Instant) -> Patches:
    """Return what restarts all pods at a time."""
    return Patches(spec={"restartAt": format_time(at)})


def _promoted_status(rollout: Manifest, status: Mapping[str, Any]) -> dict[str, Any] | None:
    steps = _steps(rollout)
    is_canary = _canary(rollout) is not None
    pauses = bool(status.get("pauseConditions"))
    run = (status.get("canary") or {}).get("currentStepAnalysisRunStatus") or {}
    is_inconclusive = run.get("status") == AnalysisPhase.INCONCLUSIVE
    if is_canary and is_inconclusive and pauses and status.get("controllerPause"):
        if not steps:
            return None
        return {
            "pauseConditions": None,
            "controllerPause": False,
            "currentStepIndex": _next_index(rollout),
        }
    if pauses:
        return {"pauseConditions": None}
    if is_canary and steps:
        return {"pauseConditions": None, "currentStepIndex": _next_index(rollout)}
    return None


def _at_step(index: int) -> Patches:
    status = {"currentStepIndex": index}
    return Patches(status=status, unified={"status": status})


def _joined(status: dict[str, Any] | None, spec: dict[str, Any] | None) -> Patches:
    if status is None:
        return Patches(spec=spec)
    return Patches(status, spec, unified={"spec": {"paused": False}, "status": status})


def _canary(rollout: Manifest) -> Mapping[str, Any] | None:
    strategy = (rollout.get("spec") or {}).get("strategy") or {}
    canary: Mapping[str, Any] | None = strategy.get("canary")
    return canary


def _steps(rollout: Manifest) -> Sequence[Any]:
    return (_canary(rollout) or {}).get("steps") or ()


def _require_steps(rollout: Manifest) -> Sequence[Any]:
    if _canary(rollout) is None:
        raise InvalidSpec("Cannot skip steps of a bluegreen rollout. Run without a flags")
    steps = _steps(rollout)
    if not steps:
        raise InvalidSpec("Cannot skip steps of a rollout without steps")
    return steps


def _next_index(rollout: Manifest) -> int:
    index = int((rollout.get("status") or {}).get("currentStepIndex") or 0)
    return index + 1 if index < len(_steps(rollout)) else index


def with_image(workload: Manifest, container: str, image: str) -> Manifest:
    """Return the workload with another image in the named container, `*` for all.

    Raises:
        InvalidSpec: No container has that name.
    """
    changed = copy.deepcopy(workload)
    pod_spec = ((changed.get("spec") or {}).get("template") or {}).get("spec") or {}
    found = False
    for field in _CONTAINER_LISTS:
        for each in pod_spec.get(field) or ():
            if container in ("*", each.get("name")):
                each["image"] = image
                found = True
    if not found:
        raise InvalidSpec(f'unable to find container named "{container}"')
    return changed


def revision_of(replica_set: Manifest) -> int | None:
    """Return the revision of a ReplicaSet: 0 when missing, None when unreadable."""
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION)
    if text is None:
        return 0
    return int(text) if text.isascii() and text.isdigit() else None


def undo_target(
    rollout: Manifest, replica_sets: Iterable[Manifest], to_revision: int = 0
) -> Manifest:
    """Return the ReplicaSet that `undo` goes back to (cli-and-clients 2.5).

    Args:
        rollout: The Rollout.
        replica_sets: ReplicaSets of the namespace that its selector matches.
        to_revision: 0 for the one before the newest.

    Raises:
        InvalidSpec: There is no such revision.
    """
    uid = rollout["metadata"]["uid"]
    owned: dict[int, Manifest] = {}
    for replica_set in replica_sets:
        owners = replica_set["metadata"].get("ownerReferences") or ()
        revision = revision_of(replica_set)
        is_owned = any(owner.get("controller") and owner.get("uid") == uid for owner in owners)
        if is_owned and revision is not None:
            owned[revision] = replica_set
    if to_revision:
        if to_revision not in owned:
            raise InvalidSpec(f"unable to find specified revision {to_revision} in history")
        return owned[to_revision]
    revisions = sorted(owned, reverse=True)
    if len(revisions) < 2:
        raise InvalidSpec(f'no revision found for rollout "{rollout["metadata"]["name"]}"')
    return owned[revisions[1]]


def restored_template(replica_set: Manifest) -> dict[str, Any]:
    """Return a ReplicaSet's pod template as it can stand in the Rollout again."""
    template: dict[str, Any] = copy.deepcopy(replica_set["spec"]["template"])
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels.pop(HASH_LABEL, None)
    return template


def is_derivative(part: Any, whole: Any) -> bool:
    """Return whether everything that `part` sets has the same value in `whole`.

    An empty text, list or mapping counts as not set, a zero as equal to an absent field, much as
    in apimachinery's DeepDerivative. Lists must be equally long: a list that has lost its last
    element is another one.
    """
    if part is None or part in ("", {}, []):
        return True
    if whole is None:
        return bool(part == 0)
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            is_derivative(value, whole.get(key)) for key, value in part.items()
        )
    if isinstance(part, list | tuple):
        return (
            isinstance(whole, list | tuple)
            and len(part) == len(whole)
            and all(is_derivative(a, b) for a, b in zip(part, whole, strict=True))
        )
    return bool(part == whole)
