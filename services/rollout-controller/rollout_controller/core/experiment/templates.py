"""The ReplicaSets of the templates: made, sized, judged (experiment 4, 8)."""

from __future__ import annotations

from headrace.model.analysis import is_completed
from headrace.model.conditions import Reason
from headrace.model.experiment import ExperimentTemplate, TemplateStatus
from headrace.model.meta import format_time, parse_time
from headrace.model.quantities import Instant
from rollout_controller.core import labels
from rollout_controller.core.experiment import objects
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Failure
from rollout_controller.core.experiment.plan import CreateReplicaSet, PatchTemplate
from rollout_controller.core.experiment.services import reconcile_service
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.plan import PatchReplicaSet, PlannedEvent

PROGRESSING, RUNNING, SUCCESSFUL = "Progressing", "Running", "Successful"
FAILED, ERROR = "Failed", "Error"


def reconcile_template(draft: Draft, template: ExperimentTemplate) -> None:
    """Bring the ReplicaSet and the Service of one template up to date, and judge it."""
    old = draft.templates.get(template.name) or TemplateStatus(name=template.name)
    rs = draft.observed.replica_sets.get(template.name)
    failure = draft.failure_of(subject(template.name))
    if rs is None:
        status = _missing(draft, template, old, failure)
    elif failure is None:
        status = _existing(draft, template, old, rs)
    else:
        status = old
    status = _counted(draft, status, rs)
    if not is_completed(status.status):
        error = _error_text(draft, template, rs, failure)
        verdict, message = (ERROR, error) if error else _judged(draft, template, status)
        status = status.model_copy(update={"status": verdict, "message": message})
    draft.put_template(status)


def subject(template: str) -> str:
    """Return the key under which a failure of this template is kept."""
    return f"template/{template}"


def _missing(
    draft: Draft, template: ExperimentTemplate, old: TemplateStatus, failure: Failure | None
) -> TemplateStatus:
    """Plan the ReplicaSet of a template that has none.

    It is made without pods, also when the Experiment ends already (experiment 4.1). The time of
    the transition counts from the first try, so that a name that is somebody else's ends in the
    progress deadline.
    """
    if is_completed(old.status):
        return old
    update: dict[str, object] = {"last_transition_time": old.last_transition_time or draft.now}
    if failure is not None:
        if failure.kind == "collision":
            update["collision_count"] = 1
        return old.model_copy(update=update)
    try:
        manifest = objects.replica_set(draft.observed, template, old.collision_count)
    except ValueError as error:
        return old.model_copy(update={"status": ERROR, "message": _creation_error(template, error)})
    text = f'Created new replica set "{manifest["metadata"]["name"]}" with size 0'
    event = PlannedEvent(Reason.NEW_REPLICA_SET_CREATED, text)
    draft.effect(CreateReplicaSet(template.name, manifest, event))
    draft.has_moved = True
    return old.model_copy(update=update)


def _existing(
    draft: Draft, template: ExperimentTemplate, old: TemplateStatus, rs: ReplicaSet
) -> TemplateStatus:
    desired = draft.desired(template)
    name, pod_hash = reconcile_service(draft, template, rs, desired)
    update: dict[str, object] = {"service_name": name, "pod_template_hash": pod_hash}
    is_scaled = _scale(draft, template, rs, desired)
    is_ending = rs.replicas != desired and not is_completed(old.status)
    if is_scaled or is_ending:
        # Else the deadline would count from the last change of a template that ran well for long.
        update["last_transition_time"] = draft.now
    return old.model_copy(update=update)


def _counted(draft: Draft, status: TemplateStatus, rs: ReplicaSet | None) -> TemplateStatus:
    counters = {
        "replicas": rs.status_replicas if rs else 0,
        "updated_replicas": rs.status_replicas if rs else 0,
        "ready_replicas": rs.ready if rs else 0,
        "available_replicas": rs.available if rs else 0,
    }
    if all(getattr(status, name) == value for name, value in counters.items()):
        return status
    draft.has_moved = True
    return status.model_copy(update={**counters, "last_transition_time": draft.now})


# Sizes (experiment 4.2)


def _scale(draft: Draft, template: ExperimentTemplate, rs: ReplicaSet, desired: int) -> bool:
    """Plan the size of a ReplicaSet; return whether it changes now."""
    if rs.replicas == desired:
        if desired:
            _remove_deadline(draft, template, rs)
        return False
    if desired == 0 and not _may_go_down(draft, template, rs):
        return False
    is_void = rs.scale_down_deadline and (desired or draft.scale_down_delay_seconds <= 0)
    removed = {labels.SCALE_DOWN_DEADLINE: None} if is_void else None
    patch = PatchReplicaSet(rs.name, replicas=desired, annotations=removed)
    direction = "up" if desired > rs.replicas else "down"
    text = f"Scaled {direction} ReplicaSet {rs.name} from {rs.replicas} to {desired}"
    event = PlannedEvent(Reason.SCALING_REPLICA_SET, text)
    draft.effect(PatchTemplate(template.name, patch, event))
    return True


def _may_go_down(draft: Draft, template: ExperimentTemplate, rs: ReplicaSet) -> bool:
    """Return whether the delay is over and no traffic can come any more."""
    delay = draft.scale_down_delay_seconds
    deadline = _deadline_of(draft, rs) if delay > 0 else draft.now
    if deadline is None:
        text = format_time(draft.now + delay)
        patch = PatchReplicaSet(rs.name, annotations={labels.SCALE_DOWN_DEADLINE: text})
        draft.effect(PatchTemplate(template.name, patch))
        draft.wake(parse_time(text))
        return False
    if draft.now < deadline:
        draft.wake(deadline)
        return False
    return not draft.is_held(template, rs)


def _deadline_of(draft: Draft, rs: ReplicaSet) -> Instant | None:
    """Return when this ReplicaSet shall go down: now when the text cannot be read."""
    if rs.scale_down_deadline is None:
        return None
    try:
        return parse_time(rs.scale_down_deadline)
    except ValueError:
        return draft.now


def _remove_deadline(draft: Draft, template: ExperimentTemplate, rs: ReplicaSet) -> None:
    """Take back a planned scale-down: else the next one would come without its delay."""
    if rs.scale_down_deadline is not None:
        patch = PatchReplicaSet(rs.name, annotations={labels.SCALE_DOWN_DEADLINE: None})
        draft.effect(PatchTemplate(template.name, patch))


# Judgement (experiment 4.4)


def _judged(draft: Draft, template: ExperimentTemplate, status: TemplateStatus) -> tuple[str, str]:
    """Return status and message of a template that is not over yet."""
    rs, desired = draft.observed.replica_sets.get(template.name), draft.desired(template)
    # Pods that stay only for the traffic they get are no lack: it ends with the Experiment alone.
    is_kept = desired == 0 and rs is not None and draft.is_held(template, rs)
    if is_kept or desired == status.available_replicas:
        is_over = draft.is_duration_over or draft.is_terminating
        return (SUCCESSFUL if is_over else RUNNING), ""
    seconds = draft.progress_deadline_seconds
    deadline = (status.last_transition_time or draft.now) + seconds
    if draft.now > deadline:
        text = f"Template '{template.name}' exceeded its progressDeadlineSeconds ({seconds})"
        return FAILED, text
    if draft.is_terminating:
        return SUCCESSFUL, ""
    draft.wake(deadline + 0.001)
    return PROGRESSING, ""


def _creation_error(template: ExperimentTemplate, error: object) -> str:
    return f"Failed to create ReplicaSet for template '{template.name}': {error}"


def _error_text(
    draft: Draft, template: ExperimentTemplate, rs: ReplicaSet | None, failure: Failure | None
) -> str:
    """Return why a template is in Error, and tell it; "" when nothing failed."""
    if failure is None or failure.kind == "collision":
        return ""
    name, error = template.name, failure.error
    desired = draft.desired(template)
    rs_name = rs.name if rs else objects.replica_set_name(draft.observed, name)
    match failure.kind:
        case "create":
            text = f'Failed to create new replica set "{rs_name}": {error}'
            draft.event(Reason.REPLICA_SET_CREATE_ERROR, text)
            return _creation_error(template, error)
        case "scale":
            direction = "up" if rs and desired > rs.replicas else "down"
            text = f"Failed to scale {rs_name} {direction}: {error}"
            draft.event(Reason.REPLICA_SET_UPDATE_ERROR, text, type="Warning")
            return (
                f"Unable to scale ReplicaSet for template '{name}' to desired replica count "
                f"'{desired}': {error}"
            )
        case "service":
            service = (template.service.name if template.service else "") or rs_name
            return f"Failed to create Service {service} for template '{name}': {error}"
        case _:
            return f"Failed to delete Service for template '{name}': {error}"
