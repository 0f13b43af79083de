"""Object metadata, label selectors and timestamps of Kubernetes.

RFC 3339 text exists only on the wire; inside, a time is an `Instant`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import modf
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from headrace.model.base import Model
from headrace.model.quantities import Instant

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400
_MICROSECONDS: Final = 1_000_000
_KEPT: Final = 4096
"""Times that are kept with their texts: a status is read and written many times between changes."""
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


@lru_cache(maxsize=_KEPT)
def parse_time(text: str) -> Instant:
    """Return an RFC 3339 timestamp as seconds since the epoch.

    Raises:
        ValueError: `text` is no RFC 3339 timestamp.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = (
        match.groups()
    )
    days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    seconds = days * _DAY_SECONDS + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(offset_hours) * 3600 + int(offset_minutes) * 60
        seconds += offset if sign == "-" else -offset
    return Instant(seconds + float(f"0.{fraction}") if fraction else float(seconds))


def format_time(instant: float) -> str:
    """Return an instant as Kubernetes writes it: UTC, fractions of a second cut off."""
    return _format_seconds(instant // 1)


@lru_cache(maxsize=_KEPT)
def _format_seconds(seconds: float) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(instant: float) -> str:
    """Return an instant with microseconds, as Leases and Events want it."""
    rest, whole = modf(instant)  # apart, since their product would lose the last digit
    total = int(whole) * _MICROSECONDS + round(rest * _MICROSECONDS)
    seconds, microseconds = divmod(total, _MICROSECONDS)
    return f"{_format_seconds(seconds)[:-1]}.{microseconds:06d}Z"


def _instant(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


Time = Annotated[
    Instant,
    BeforeValidator(_instant),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An `Instant` that is RFC 3339 text on the wire."""


class OwnerReference(Model):
    """Who owns an object, for garbage collection and adoption."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Model):
    """The part of the metadata of an object that the services read."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    def controller(self) -> OwnerReference | None:
        """Return the owner that controls the object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` satisfy this requirement; unknown operators never do."""
        present = self.key in labels
        match self.operator:
            case "In":
                return present and labels[self.key] in self.values
            case "NotIn":
                return not present or labels[self.key] not in self.values
            case "Exists":
                return present
            case "DoesNotExist":
                return not present
            case _:
                return False


class LabelSelector(Model):
    """Selects objects by label; all requirements must hold."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()

    def is_empty(self) -> bool:
        """Return whether the selector selects everything."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with `labels` is selected."""
        for key, value in self.match_labels.items():  # asked of every ReplicaSet in every pass
            if labels.get(key) != value:
                return False
        return all(expression.matches(labels) for expression in self.match_expressions)

    def format(self) -> str:
        """Return the selector as Kubernetes prints it; also valid as a `labelSelector` query."""
        parts = [(key, f"{key}={value}") for key, value in self.match_labels.items()]
        parts += [(e.key, _format_requirement(e)) for e in self.match_expressions]
        return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def format_label_selector(selector: LabelSelector | None) -> str:
    """Return a selector as `metav1.FormatLabelSelector` does.

    No selector and one without requirements print as `<none>`, one with an
    unknown operator as `<error>`.
    """
    if selector is None or selector.is_empty():
        return "<none>"
    known = {"In", "NotIn", "Exists", "DoesNotExist"}
    if any(expression.operator not in known for expression in selector.match_expressions):
        return "<error>"
    return selector.format()


def _format_requirement(requirement: LabelSelectorRequirement) -> str:
    key, values = requirement.key, ",".join(sorted(requirement.values))
    match requirement.operator:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return key
        case _:
            return f"!{key}"
