from __future__ import annotations

import pytest

from headrace.events.catalog import CATALOG
from headrace.events.outbox import Teller, event_from_transition, published, unpublished
from headrace.events.rollout import (
    AnalysisTerminated,
    CommandAccepted,
    HistoryTruncated,
    RolloutFact,
    StepCompleted,
)
from headrace.ids import event_id
from headrace.model.headrace_status import HeadraceStatus, Transition
from headrace.model.quantities import Instant

TELLER = Teller(cluster="c-1", namespace="shop", name="web", uid="u-1")


def transition(ordinal: int, event_type: str = "headrace.step.completed.v1") -> Transition:
    return Transition(
        ordinal=ordinal,
        at="2026-11-23T10:00:00Z",
        type=event_type,
        epoch=7,
        reason="StepCompleted",
        message="step done",
        causation="k8s:u-1/99",
        actor="jane",
        generation=4,
        revision="3",
        pod_hash="7d9f",
        step=1,
        command="c-9",
        run="web-3-1",
    )


def status(first: int, last: int, published: int) -> HeadraceStatus:
    history = tuple(transition(ordinal) for ordinal in range(first, last + 1))
    return HeadraceStatus(history=history, published=published)


def test_a_transition_becomes_the_event_that_tells_it() -> None:
    event = event_from_transition(transition(12), TELLER)
    assert event.payload == StepCompleted(
        namespace="shop",
        rollout="web",
        uid="u-1",
        generation=4,
        revision="3",
        pod_hash="7d9f",
        epoch=7,
        reason="StepCompleted",
        message="step done",
        ordinal=12,
        step=1,
    )
    assert event.id == event_id("u-1", 7, "headrace.step.completed.v1", "12")
    assert event.source == "c-1"
    assert event.time == Instant(1795428000.0)
    assert (event.causation_id, event.actor) == ("k8s:u-1/99", "jane")


def test_the_answer_to_a_command_names_it() -> None:
    event = event_from_transition(transition(3, "headrace.command.accepted.v1"), TELLER)
    assert isinstance(event.payload, CommandAccepted)
    assert event.payload.command == "c-9"


def test_the_end_of_a_run_names_it() -> None:
    event = event_from_transition(transition(3, "headrace.analysis.terminated.v1"), TELLER)
    assert isinstance(event.payload, AnalysisTerminated)
    assert event.payload.run == "web-3-1"


def test_every_fact_of_the_controller_can_be_a_transition() -> None:
    facts = [
        entry.name
        for entry in CATALOG.values()
        if issubclass(entry.model, RolloutFact) and entry.model is not HistoryTruncated
    ]
    for name in facts:
        assert event_from_transition(transition(1, name), TELLER).type == name


@pytest.mark.parametrize("name", ["headrace.route.requested.v1", "headrace.unknown.v1"])
def test_nothing_else_can_be_a_transition(name: str) -> None:
    with pytest.raises(KeyError):
        event_from_transition(transition(1, name), TELLER)


def test_tells_what_lies_above_published() -> None:
    events = unpublished(status(3, 12, published=10), TELLER)
    assert [event.payload.id_ordinal() for event in events] == ["11", "12"]


def test_tells_nothing_when_all_is_published() -> None:
    assert unpublished(status(3, 12, published=12), TELLER) == ()
    assert unpublished(HeadraceStatus(), TELLER) == ()


def test_tells_what_left_the_history_as_one_event() -> None:
    first, *rest = unpublished(status(11, 20, published=4), TELLER)
    assert isinstance(first.payload, HistoryTruncated)
    assert (first.payload.first_lost, first.payload.ordinal) == (5, 10)
    assert [event.payload.id_ordinal() for event in rest] == [str(n) for n in range(11, 21)]


def test_the_same_loss_is_the_same_event() -> None:
    once, again = (unpublished(status(11, last, published=4), TELLER)[0] for last in (19, 20))
    assert once == again


@pytest.mark.parametrize(
    ("acknowledged", "expected"),
    [
        ((), 10),
        ((11,), 11),
        ((12,), 10),
        ((12, 11), 12),
        ((9, 10, 11, 12), 12),
    ],
)
def test_published_grows_without_gaps(acknowledged: tuple[int, ...], expected: int) -> None:
    assert published(status(3, 12, published=10), acknowledged) == expected


@pytest.mark.parametrize(
    ("acknowledged", "expected"),
    [((11,), 4), ((10,), 10), ((10, 11), 11), ((10, 11, 13), 11)],
)
def test_a_told_truncation_closes_its_gap(acknowledged: tuple[int, ...], expected: int) -> None:
    assert published(status(11, 20, published=4), acknowledged) == expected


def test_a_transition_of_a_later_version_is_left_out_and_holds_up_nothing() -> None:
    later = transition(2, "headrace.step.undone.v1")
    found = HeadraceStatus(history=(transition(1), later, transition(3)), published=0)
    assert [event.payload.id_ordinal() for event in unpublished(found, TELLER)] == ["1", "3"]
    assert published(found, {1}) == 2
    assert published(found, {1, 3}) == 3
