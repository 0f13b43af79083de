from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import UnknownEvent
from headrace.events.envelope import Event, decode, encode
from headrace.events.rollout import RouteVerifyRequested, StepCompleted
from headrace.model.quantities import Instant

PAYLOAD = StepCompleted(
    namespace="shop",
    rollout="web",
    uid="6b5c",
    generation=4,
    revision="3",
    pod_hash="7d9f",
    epoch=7,
    reason="StepCompleted",
    message="Rollout step 1/6 completed (setWeight: 10)",
    ordinal=12,
    step=0,
)
EVENT = Event.of(
    PAYLOAD,
    source="0f3a",
    time=Instant(1_790_000_000.5),
    causation_id="k8s:6b5c/1234",
    actor="jane",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def _decoded(**changes: str | None) -> Event:
    key, headers, value = encode(EVENT)
    changed = {**headers, **{name.replace("__", "-"): text for name, text in changes.items()}}
    return decode(key, {name: text for name, text in changed.items() if text is not None}, value)


def test_writes_cloudevents_in_binary_mode() -> None:
    key, headers, value = encode(EVENT)
    assert key == "shop/web"
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": EVENT.id,
        "ce_type": "headrace.step.completed.v1",
        "ce_source": "0f3a",
        "ce_subject": "shop/web",
        "ce_time": "2026-09-21T14:13:20.500000Z",
        "ce_partitionkey": "shop/web",
        "ce_epoch": "7",
        "ce_causationid": "k8s:6b5c/1234",
        "ce_actor": "jane",
        "ce_traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "content-type": "application/json",
    }
    assert json.loads(value) == {
        "namespace": "shop",
        "rollout": "web",
        "uid": "6b5c",
        "generation": 4,
        "revision": "3",
        "podHash": "7d9f",
        "epoch": 7,
        "reason": "StepCompleted",
        "message": "Rollout step 1/6 completed (setWeight: 10)",
        "ordinal": 12,
        "step": 0,
    }


def test_the_cloudevents_sdk_reads_what_we_write() -> None:
    key, headers, value = encode(EVENT)
    raw = {name: text.encode() for name, text in headers.items()}
    read = from_binary_event(KafkaMessage(headers=raw, key=key.encode(), value=value))
    assert read.get_id() == EVENT.id
    assert read.get_type() == EVENT.type
    assert read.get_source() == EVENT.source
    assert read.get_subject() == EVENT.subject
    assert read.get_specversion() == "1.0"
    time = read.get_time()
    assert time is not None
    assert time.timestamp() == EVENT.time
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("epoch") == "7"
    assert read.get_extension("causationid") == "k8s:6b5c/1234"
    assert read.get_extension("actor") == "jane"
    assert read.get_extension("partitionkey") == "shop/web"
    assert read.get_data() == json.loads(value)


def test_we_read_what_the_cloudevents_sdk_writes() -> None:
    key, headers, value = encode(EVENT)
    raw = {name: text.encode() for name, text in headers.items()}
    read = from_binary_event(KafkaMessage(headers=raw, key=key.encode(), value=value))
    written = to_binary_event(read)
    assert isinstance(written.key, str)
    texts = {name: header.decode() for name, header in written.headers.items()}
    assert decode(written.key, texts, written.value) == EVENT


@given(
    st.text(min_size=1).filter(lambda text: "/" not in text),
    st.integers(min_value=0, max_value=2**40),
    st.floats(min_value=0, max_value=4e9),
    st.text(),
)
def test_what_is_written_is_read_again(
    rollout: str, epoch: int, seconds: float, message: str
) -> None:
    payload = PAYLOAD.model_copy(update={"rollout": rollout, "epoch": epoch, "message": message})
    event = Event.of(payload, source="0f3a", time=Instant(round(seconds, 6)))
    read = decode(*encode(event))
    assert abs(read.time - event.time) < 2e-6
    assert replace(read, time=event.time) == event


def test_leaves_out_what_is_not_known() -> None:
    event = Event.of(PAYLOAD.model_copy(update={"step": None}), source="0f3a", time=Instant(0.0))
    _, headers, value = encode(event)
    assert not {"ce_causationid", "ce_actor", "ce_traceparent"} & headers.keys()
    assert "step" not in json.loads(value)
    assert decode(*encode(event)) == event


def test_the_id_follows_from_the_fact_alone() -> None:
    again = Event.of(PAYLOAD, source="elsewhere", time=Instant(1.0), actor="joe")
    assert again.id == EVENT.id
    for change in ({"epoch": 8}, {"ordinal": 13}, {"uid": "other"}):
        changed = PAYLOAD.model_copy(update=change)
        assert Event.of(changed, source="0f3a", time=EVENT.time).id != EVENT.id


def test_knows_requests_from_facts() -> None:
    request = RouteVerifyRequested(
        namespace="shop", rollout="web", uid="6b5c", check="targetGroups"
    )
    assert Event.of(request, source="0f3a", time=Instant(0.0)).is_request
    assert not EVENT.is_request


def test_ignores_unknown_fields_and_headers() -> None:
    key, headers, value = encode(EVENT)
    richer = json.dumps({**json.loads(value), "laterField": [1]}).encode()
    assert decode(key, {**headers, "ce_later": "x"}, richer) == EVENT


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ce_specversion": None}, "no CloudEvent 1.0"),
        ({"ce_specversion": "0.3"}, "no CloudEvent 1.0"),
        ({"content__type": "application/cloudevents+json"}, "content type"),
        ({"ce_type": None}, "header ce_type is missing"),
        ({"ce_type": "headrace.step.imagined.v1"}, "unknown event type"),
        ({"ce_type": "headrace.route.applied.v1"}, "requested: Field required"),
        ({"ce_id": ""}, "header ce_id is missing"),
        ({"ce_source": None}, "header ce_source is missing"),
        ({"ce_time": None}, "header ce_time is missing"),
        ({"ce_time": "yesterday"}, "ce_time: not an RFC 3339 time"),
    ],
)
def test_refuses_what_is_no_event_of_ours(changes: dict[str, str | None], text: str) -> None:
    with pytest.raises(UnknownEvent, match=text):
        _decoded(**changes)


def test_takes_a_content_type_with_parameters_and_none_at_all() -> None:
    assert _decoded(content__type="application/json; charset=utf-8") == EVENT
    assert _decoded(content__type=None) == EVENT


@pytest.mark.parametrize("value", [b"", b"hello", b"\xff\xfe", b"[]", b"null", b'{"a":1}'])
def test_refuses_payloads_that_cannot_be_read_without_repeating_them(value: bytes) -> None:
    key, headers, _ = encode(EVENT)
    with pytest.raises(UnknownEvent) as caught:
        decode(key, headers, value)
    assert "hello" not in str(caught.value)


def test_refuses_a_key_that_is_not_the_payloads() -> None:
    _, headers, value = encode(EVENT)
    with pytest.raises(UnknownEvent, match="the key 'shop/other' is not the payload's, 'shop/web'"):
        decode("shop/other", headers, value)
