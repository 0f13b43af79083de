"""The envelope: CloudEvents 1.0 in Kafka's binary content mode.

Attributes are headers `ce_<name>`, the payload is the value, the key is the attribute
`partitionkey`. Called by the bus adapters (`encode`) and by the consumer (`decode`).

Source: CloudEvents 1.0.2, Kafka protocol binding 1.0.2; W3C Trace Context for `traceparent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from pydantic import ValidationError

from headrace.errors import UnknownEvent
from headrace.events.catalog import CATALOG
from headrace.events.payload import Payload
from headrace.ids import EventId
from headrace.model.meta import format_micro_time, parse_time
from headrace.model.quantities import Instant

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as producers make it and handlers get it.

    Attributes:
        id: Derived from the fact; the same for every repetition.
        type: As in the catalogue.
        source: UID of the kube-system namespace of the cluster that it comes from.
        subject: `<namespace>/<rollout>`.
        time: When the fact became true, by its producer's clock.
        key: Kafka's key, the same text as `subject`.
        epoch: Route epoch, >= 0.
        causation_id: An event id, or `k8s:<uid>/<resourceVersion>`; "" when not known.
        actor: Who caused it, where known.
        traceparent: W3C trace context of the work that published it.
        payload: The model of `type`.
    """

    id: EventId
    type: str
    source: str
    subject: str
    time: Instant
    key: str
    epoch: int
    payload: Payload
    causation_id: str = ""
    actor: str | None = None
    traceparent: str | None = None

    @classmethod
    def of(
        cls,
        payload: Payload,
        *,
        source: str,
        time: Instant,
        causation_id: str = "",
        actor: str | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """Return the event that says `payload`; type, key, epoch and id follow from it."""
        return cls(
            id=payload.event_id(),
            type=payload.EVENT_TYPE,
            source=source,
            subject=payload.key,
            time=time,
            key=payload.key,
            epoch=payload.epoch,
            payload=payload,
            causation_id=causation_id,
            actor=actor,
            traceparent=traceparent,
        )

    @property
    def is_request(self) -> bool:
        """Whether the bus may replace a waiting one of the same key by a newer one."""
        return CATALOG[self.type].is_request


def encode(event: Event) -> tuple[str, dict[str, str], bytes]:
    """Return key, headers and value of an event."""
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event.id,
        "ce_type": event.type,
        "ce_source": event.source,
        "ce_subject": event.subject,
        "ce_time": format_micro_time(event.time),
        "ce_partitionkey": event.key,
        "ce_epoch": str(event.epoch),
        "content-type": CONTENT_TYPE,
    }
    optional = {
        "ce_causationid": event.causation_id,
        "ce_actor": event.actor,
        "ce_traceparent": event.traceparent,
    }
    headers.update({name: value for name, value in optional.items() if value})
    value = event.payload.model_dump_json(by_alias=True, exclude_none=True).encode()
    return event.key, headers, value


def decode(key: str, headers: Mapping[str, str], value: bytes) -> Event:
    """Return the event of a message.

    Args:
        key: Of the message.
        headers: Lower-case names.
        value: The payload.

    Raises:
        UnknownEvent: No CloudEvent 1.0, a type that the catalogue does not have, or a payload
            that is none of that type; the text says which, without the payload.
    """
    if headers.get("ce_specversion") != SPEC_VERSION:
        raise UnknownEvent(f"no CloudEvent {SPEC_VERSION} in binary mode")
    content_type = headers.get("content-type", CONTENT_TYPE)
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise UnknownEvent(f"content type {content_type!r} is not {CONTENT_TYPE}")
    event_type = _required(headers, "ce_type")
    entry = CATALOG.get(event_type)
    if entry is None:
        raise UnknownEvent(f"unknown event type {event_type!r}")
    payload = _payload(entry.model, value)
    if payload.key != key:
        raise UnknownEvent(f"the key {key!r} is not the payload's, {payload.key!r}")
    return Event(
        id=EventId(_required(headers, "ce_id")),
        type=event_type,
        source=_required(headers, "ce_source"),
        subject=headers.get("ce_subject", key),
        time=_time(_required(headers, "ce_time")),
        key=key,
        epoch=payload.epoch,
        payload=payload,
        causation_id=headers.get("ce_causationid", ""),
        actor=headers.get("ce_actor"),
        traceparent=headers.get("ce_traceparent"),
    )


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise UnknownEvent(f"header {name} is missing")
    return value


def _time(text: str) -> Instant:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UnknownEvent(f"ce_time: {error}") from error


def _payload(model: type[Payload], value: bytes) -> Payload:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise UnknownEvent(f"{model.EVENT_TYPE}: {path or 'payload'}: {first['msg']}") from error
