from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from headrace.events.envelope import Event, encode
from headrace.events.rollout import StepEntered
from headrace.events.topics import Topic
from headrace.model.quantities import Instant
from headrace.runtime.bus import Record
from headrace.runtime.bus_queue import Outgoing, PublishQueue, dead_letter, outgoing_event

TOPIC = Topic("headrace.test.steps", partitions=3)
EVENT = Event.of(
    StepEntered(namespace="shop", rollout="web", uid="u", ordinal=1),
    source="cluster",
    time=Instant(0.0),
)


def message(name: str, slot: Hashable | None = None) -> Outgoing:
    return Outgoing(topic="t", partition=0, key=name, headers={}, value=b"", slot=slot)


def names(messages: list[Outgoing]) -> list[str]:
    return [item.key for item in messages]


def test_gives_messages_in_the_order_in_which_they_came() -> None:
    queue = PublishQueue()
    for name in "abc":
        assert queue.put(message(name))
    assert names(queue.take(2)) == ["a", "b"]
    assert names(queue.take(2)) == ["c"]
    assert queue.take(2) == []


def test_the_newest_of_a_slot_takes_a_place_at_the_end() -> None:
    queue = PublishQueue()
    for name, slot in (("a1", "a"), ("fact", None), ("b1", "b"), ("a2", "a")):
        assert queue.put(message(name, slot))
    assert names(queue.take(9)) == ["fact", "b1", "a2"]


def test_a_full_queue_refuses_but_for_successors() -> None:
    queue = PublishQueue(size_max=2)
    assert queue.put(message("fact"))
    assert queue.put(message("a1", "a"))
    assert not queue.put(message("late"))
    assert not queue.put(message("b1", "b"))
    assert queue.put(message("a2", "a"))
    assert names(queue.take(9)) == ["fact", "a2"]


def test_what_is_given_back_comes_first_again() -> None:
    queue = PublishQueue()
    for name in "abcd":
        queue.put(message(name))
    taken = queue.take(3)
    queue.give_back(taken[1:])
    assert names(queue.take(9)) == ["b", "c", "d"]


def test_a_request_that_is_given_back_gives_way_to_its_successor() -> None:
    queue = PublishQueue()
    queue.put(message("a1", "a"))
    queue.put(message("fact"))
    taken = queue.take(2)
    queue.put(message("a2", "a"))
    queue.give_back(taken)
    assert names(queue.take(9)) == ["fact", "a2"]


def test_accepts_more_than_its_bound_only_from_what_it_gave() -> None:
    queue = PublishQueue(size_max=2)
    for name in "ab":
        queue.put(message(name))
    taken = queue.take(2)
    for name in "cd":
        queue.put(message(name))
    queue.give_back(taken)
    assert len(queue) == 4
    assert not queue.put(message("e"))


@given(st.lists(st.sampled_from("abc-")), st.integers(min_value=1, max_value=4))
def test_loses_nothing_but_what_was_replaced(slots: list[str], size: int) -> None:
    queue = PublishQueue()
    put = [message(f"{slot}{n}", None if slot == "-" else slot) for n, slot in enumerate(slots)]
    for item in put:
        assert queue.put(item)
    found: list[Outgoing] = []
    while len(queue):
        taken = queue.take(size)
        queue.give_back(taken[1:])
        found.append(taken[0])
    newest = {item.slot: item for item in put if item.slot is not None}
    assert found == [item for item in put if item.slot is None or newest[item.slot] is item]


def test_an_event_becomes_a_message_in_its_partition() -> None:
    told: list[Event] = []
    item = outgoing_event(TOPIC, EVENT, is_request=False, on_delivered=told.append)
    assert (item.key, item.headers, item.value) == encode(EVENT)
    assert (item.topic, item.partition) == ("headrace.test.steps", TOPIC.partition("shop/web"))
    assert item.slot is None
    assert item.acknowledge is not None
    item.acknowledge()
    assert told == [EVENT]


def test_requests_share_a_slot_by_topic_key_and_type() -> None:
    item = outgoing_event(TOPIC, EVENT, is_request=True, on_delivered=None)
    assert item.slot == ("headrace.test.steps", "shop/web", "headrace.step.entered.v1")
    assert item.acknowledge is None


def test_tells_its_observer_what_was_refused_and_what_arrived() -> None:
    class Notes:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def published(self, topic: str) -> None:
            self.seen.append(f"published on {topic}")

        def refused(self, topic: str) -> None:
            self.seen.append(f"refused on {topic}")

    notes = Notes()
    queue = PublishQueue(size_max=1)
    queue.observe(notes)
    queue.put(message("a"))
    queue.put(message("b"))
    queue.acknowledged(*queue.take(1))
    assert notes.seen == ["refused on t", "published on t"]


def test_a_dead_letter_says_why_and_whence_within_bounds() -> None:
    record = Record("headrace.test.steps", 2, 41, "shop/web", {"ce_id": "x"}, b"\xff")
    item = dead_letter(TOPIC, record, "r" * 5000)
    assert (item.topic, item.partition, item.value) == ("headrace.test.steps.dead", 2, b"\xff")
    assert item.headers == {
        "ce_id": "x",
        "headrace_dead_reason": "r" * 1000,
        "headrace_dead_topic": "headrace.test.steps",
        "headrace_dead_partition": "2",
        "headrace_dead_offset": "41",
    }
