"""The ReplicaSets of the templates, sentence by sentence of experiment 4.1, 4.2, 4.4 and 8."""

from typing import Any

import pytest

from headrace.model.experiment import TemplateStatus
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import labels
from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Failure, Observed, OwningRollout
from rollout_controller.core.experiment.plan import CreateReplicaSet, PatchTemplate
from rollout_controller.core.experiment.templates import reconcile_template
from rollout_controller.core.plan import PatchReplicaSet

NOW = samples.NOW
DEADLINE = labels.SCALE_DOWN_DEADLINE
LONG_AGO = format_time(NOW - 5000)


def reconciled(observed: Observed, *, at: float = 0.0) -> Draft:
    draft = Draft(observed, Instant(NOW + at))
    reconcile_template(draft, observed.spec.templates[0])
    return draft


def judged(draft: Draft) -> TemplateStatus:
    return draft.templates["a"]


def observe(
    spec: dict[str, Any] | None = None,
    state: str = "Running",
    *,
    size: int = 2,
    available: int | None = None,
    since: str | None = None,
    deadline: str | None = None,
    **changes: Any,
) -> Observed:
    """Return an Experiment whose counters stand in its status as its ReplicaSet has them."""
    pods = size if available is None else available
    counters = {"status_replicas": pods, "ready": pods, "available": pods}
    rs = samples.replica_set("a", size, scale_down_deadline=deadline, **counters)
    members = {"lastTransitionTime": since} if since else {}
    status = samples.running(
        templateStatuses=[samples.template_status("a", state, pods, **members)]
    )
    return samples.experiment(spec, status, **{"replica_sets": {"a": rs}, **changes})


def sizes(draft: Draft) -> list[PatchReplicaSet]:
    return [each.patch for each in draft.effects if isinstance(each, PatchTemplate)]


# Creation (4.1)


@pytest.mark.spec("experiment 4.1")
@pytest.mark.parametrize("spec", [{}, {"terminate": True}])
def test_a_missing_replica_set_is_made_without_pods(spec: dict[str, Any]) -> None:
    draft = reconciled(samples.experiment(spec))
    (create,) = draft.effects
    assert isinstance(create, CreateReplicaSet)
    assert create.manifest["metadata"]["name"] == "exp-a"
    assert create.manifest["spec"]["replicas"] == 0
    assert create.event.message == 'Created new replica set "exp-a" with size 0'
    assert judged(draft).last_transition_time == NOW
    assert draft.has_moved


@pytest.mark.spec("experiment 4.1")
def test_a_template_that_is_over_gets_no_new_replica_set() -> None:
    status = samples.running(templateStatuses=[samples.template_status(state="Successful")])
    assert reconciled(samples.experiment({}, status)).effects == []


@pytest.mark.spec("experiment 4.1")
def test_a_name_that_is_somebody_elses_is_tried_again_with_a_count() -> None:
    failures = {"template/a": Failure("collision", "taken", NOW)}
    draft = reconciled(samples.experiment(failures=failures))
    assert draft.effects == []
    assert (judged(draft).collision_count, judged(draft).status) == (1, "Progressing")
    assert draft.wake_at == NOW + 10
    again = reconciled(samples.experiment(failures=failures), at=10)
    assert len(again.effects) == 1


REFUSED = [
    ("create", 0, "Failed to create ReplicaSet for template 'a': no"),
    ("scale", 0, "Unable to scale ReplicaSet for template 'a' to desired replica count '2': no"),
    ("service", 2, "Failed to create Service exp-a for template 'a': no"),
    ("service_removal", 2, "Failed to delete Service for template 'a': no"),
]


@pytest.mark.spec("experiment 4.1")
@pytest.mark.spec("experiment 4.2")
@pytest.mark.spec("experiment 4.3")
@pytest.mark.parametrize(("kind", "size", "message"), REFUSED)
def test_what_the_api_server_refuses_is_the_error_of_the_template(
    kind: Any, size: int, message: str
) -> None:
    failures = {"template/a": Failure(kind, "no", NOW)}
    draft = reconciled(observe(state="Progressing", size=size, failures=failures))
    assert (judged(draft).status, judged(draft).message) == ("Error", message)
    told = [(event.type, event.message) for event in draft.events]
    assert ("Warning", f"Template 'a' transitioned from Progressing -> Error: {message}") in told


@pytest.mark.spec("experiment 4.1")
@pytest.mark.spec("experiment 4.2")
def test_errors_of_replica_sets_have_events_of_their_own() -> None:
    def told(kind: Any, spec: dict[str, Any], size: int) -> tuple[str, str, str]:
        failures = {"template/a": Failure(kind, "no", NOW)}
        first = reconciled(observe(spec, size=size, failures=failures)).events[0]
        return first.type, str(first.reason), first.message

    text = 'Failed to create new replica set "exp-a": no'
    assert told("create", {}, 2) == ("Normal", "ReplicaSetCreateError", text)
    text = "Failed to scale exp-a up: no"
    assert told("scale", {}, 0) == ("Warning", "ReplicaSetUpdateError", text)
    text = "Failed to scale exp-a down: no"
    assert told("scale", {"terminate": True}, 2) == ("Warning", "ReplicaSetUpdateError", text)


# Sizes (4.2)


@pytest.mark.spec("experiment 4.2")
@pytest.mark.spec("experiment 10.5")
@pytest.mark.parametrize(("replicas", "wanted"), [(3, 3), (0, 0), (None, 1)])
def test_the_size_follows_the_spec(replicas: int | None, wanted: int) -> None:
    spec = {"templates": [samples.template(replicas=replicas)], "scaleDownDelaySeconds": 0}
    draft = reconciled(observe(spec))
    assert [patch.replicas for patch in sizes(draft)] == [wanted]
    (effect,) = draft.effects
    assert isinstance(effect, PatchTemplate)
    direction = "up" if wanted > 2 else "down"
    text = f"Scaled {direction} ReplicaSet exp-a from 2 to {wanted}"
    assert effect.event is not None
    assert (str(effect.event.reason), effect.event.message) == ("ScalingReplicaSet", text)
    assert judged(draft).last_transition_time == NOW


ENDS = [
    (30, None, {DEADLINE: format_time(NOW + 30)}, None, 30),
    (None, None, {DEADLINE: format_time(NOW + 30)}, None, 30),
    (30, format_time(NOW + 5), None, None, 5),
    (30, format_time(NOW), None, 0, None),
    (30, "soon", None, 0, None),
    (0, None, None, 0, None),
    (0, format_time(NOW + 5), {DEADLINE: None}, 0, None),
]


@pytest.mark.spec("experiment 4.2")
@pytest.mark.spec("experiment 10.10")
@pytest.mark.parametrize(("delay", "deadline", "annotated", "size", "wake"), ENDS)
def test_pods_go_after_their_delay(
    delay: int | None, deadline: str | None, annotated: Any, size: int | None, wake: float | None
) -> None:
    spec = {"terminate": True, "scaleDownDelaySeconds": delay}
    draft = reconciled(observe(spec, deadline=deadline))
    found = [(patch.annotations, patch.replicas) for patch in sizes(draft)]
    assert found == ([] if annotated is None and size is None else [(annotated, size)])
    assert draft.wake_at == (None if wake is None else NOW + wake)


@pytest.mark.spec("experiment 4.2")
@pytest.mark.parametrize("size", [0, 2])
def test_an_experiment_that_begins_again_takes_its_old_deadline_back(size: int) -> None:
    (patch,) = sizes(reconciled(observe(size=size, deadline=format_time(NOW + 5))))
    assert patch.annotations == {DEADLINE: None}
    assert patch.replicas == (2 if size == 0 else None)


@pytest.mark.spec("experiment 4.2")
def test_pods_stay_as_long_as_a_route_may_name_them() -> None:
    rollout = OwningRollout("app", "uid-app", "1", shares={"hash-a": 5})
    spec = {"terminate": True, "scaleDownDelaySeconds": 0}
    draft = reconciled(observe(spec, rollout=rollout))
    assert draft.effects == []
    assert draft.held == "the Rollout app may still send traffic to exp-a"


# Judgement (4.4)

JUDGEMENTS = [
    # spec, size, available, last change, judged
    ({}, 2, 2, None, "Running"),
    ({}, 2, 1, None, "Progressing"),
    ({}, 2, 1, LONG_AGO, "Failed"),
    ({}, 2, 2, LONG_AGO, "Running"),
    ({"duration": "30s"}, 2, 2, None, "Successful"),
    ({"duration": "30s"}, 2, 1, None, "Progressing"),
    ({"duration": "1h"}, 2, 2, None, "Running"),
    ({"duration": "soon"}, 2, 2, LONG_AGO, "Running"),
    ({"terminate": True}, 2, 2, None, "Successful"),
    ({"terminate": True}, 2, 1, None, "Successful"),
    ({"terminate": True}, 0, 0, LONG_AGO, "Successful"),
    ({"progressDeadlineSeconds": 59}, 2, 1, None, "Failed"),
    ({"progressDeadlineSeconds": 60}, 2, 1, None, "Progressing"),
]


@pytest.mark.spec("experiment 4.4")
@pytest.mark.spec("experiment 10.7")
@pytest.mark.parametrize(("spec", "size", "available", "since", "expected"), JUDGEMENTS)
def test_a_template_is_judged(
    spec: dict[str, Any], size: int, available: int, since: str | None, expected: str
) -> None:
    draft = reconciled(observe(spec, size=size, available=available, since=since))
    assert judged(draft).status == expected
    changes = [str(event.reason) for event in draft.events]
    assert changes == ([] if expected == "Running" else [f"Template{expected}"])


@pytest.mark.spec("experiment 4.4")
@pytest.mark.spec("experiment 8")
def test_the_deadline_is_told_and_looked_at_in_time() -> None:
    waiting = observe({"progressDeadlineSeconds": 100}, "Progressing", available=1)
    draft = reconciled(waiting)
    assert draft.wake_at == pytest.approx(NOW + 40, abs=0.01)
    late = reconciled(waiting, at=40.001)
    text = "Template 'a' exceeded its progressDeadlineSeconds (100)"
    assert (judged(late).status, judged(late).message) == ("Failed", text)
    (event,) = late.events
    said = f"Template 'a' transitioned from Progressing -> Failed: {text}"
    assert (event.type, event.message) == ("Warning", said)


@pytest.mark.spec("experiment 4.4")
@pytest.mark.spec("experiment 10.8")
def test_any_change_of_a_counter_begins_the_deadline_anew() -> None:
    observed = observe(state="Running", since=LONG_AGO)
    sets = {"a": samples.replica_set("a", 2, available=1)}
    draft = reconciled(samples.experiment({}, observed.status.dump(), replica_sets=sets))
    assert (judged(draft).status, judged(draft).last_transition_time) == ("Progressing", NOW)
    assert draft.has_moved


@pytest.mark.spec("experiment 4.4")
@pytest.mark.parametrize("state", ["Successful", "Failed", "Error"])
def test_a_template_that_is_over_never_changes(state: str) -> None:
    draft = reconciled(observe(state=state, available=1, since=LONG_AGO))
    assert judged(draft).status == state
    assert draft.events == []


@pytest.mark.spec("experiment 10.9")
def test_a_deadline_that_passed_fails_a_template_though_it_ends() -> None:
    hanging = observe({"terminate": True}, "Progressing", size=0, available=1, since=LONG_AGO)
    assert judged(reconciled(hanging)).status == "Failed"
    fresh = observe({"terminate": True}, "Progressing", size=0, available=1)
    assert judged(reconciled(fresh)).status == "Successful"


@pytest.mark.spec("experiment 10.9")
def test_a_template_that_never_got_its_name_fails_though_it_ends() -> None:
    status = samples.running(
        templateStatuses=[
            samples.template_status("a", "Progressing", 0, lastTransitionTime=LONG_AGO)
        ]
    )
    failures = {"template/a": Failure("collision", "taken", NOW)}
    observed = samples.experiment({}, status, failures=failures)
    assert judged(reconciled(observed)).status == "Failed"


@pytest.mark.spec("experiment 4.2")
@pytest.mark.spec("experiment 10.9")
@pytest.mark.parametrize("delay", [0, 30])
def test_a_template_that_ran_well_for_long_ends_well(delay: int) -> None:
    spec = {"terminate": True, "scaleDownDelaySeconds": delay}
    draft = reconciled(observe(spec, since=LONG_AGO))
    assert (judged(draft).status, judged(draft).last_transition_time) == ("Successful", NOW)
