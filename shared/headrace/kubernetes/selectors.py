"""Selectors in the text form of the API: `app=x,!legacy,tier in (a,b)`, `metadata.name=x`.

The real server evaluates them; the memory cluster uses these.

Source: k8s.io/apimachinery pkg/labels (grammar) and pkg/fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import Rejected
from headrace.model.meta import LabelSelector, LabelSelectorRequirement

_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)")
_EQUALITY = re.compile(r"(?P<key>[^\s=!]+)\s*(?P<operator>==|!=|=)\s*(?P<value>[^\s=!]*)")
_EXISTENCE = re.compile(r"(?P<negation>!?)\s*(?P<key>[^\s=!(),]+)")


def parse_label_selector(text: str) -> LabelSelector:
    """Return the selector that `text` describes; empty text selects everything.

    Raises:
        Rejected: `text` is no label selector.
    """
    return LabelSelector(
        match_expressions=tuple(
            _requirement(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(text) if text
        )
    )


def _requirement(text: str) -> LabelSelectorRequirement:
    if match := _SET.fullmatch(text):
        return LabelSelectorRequirement(
            key=match["key"],
            operator="In" if match["operator"] == "in" else "NotIn",
            values=tuple(value.strip() for value in match["values"].split(",")),
        )
    if match := _EQUALITY.fullmatch(text):
        operator = "NotIn" if match["operator"] == "!=" else "In"
        return LabelSelectorRequirement(
            key=match["key"], operator=operator, values=(match["value"],)
        )
    if match := _EXISTENCE.fullmatch(text):
        operator = "DoesNotExist" if match["negation"] else "Exists"
        return LabelSelectorRequirement(key=match["key"], operator=operator)
    raise Rejected(f"unable to parse label selector requirement {text!r}")


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One field compared with one text; a missing field is the empty text."""

    path: tuple[str, ...]
    value: str
    is_equal: bool

    def matches(self, manifest: Mapping[str, Any]) -> bool:
        """Return whether the object has (or, for `!=`, has not) the value."""
        found: Any = manifest
        for part in self.path:
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        return (str(found) == self.value) == self.is_equal


def parse_field_selector(text: str) -> tuple[FieldRequirement, ...]:
    """Return the requirements of a field selector; all must hold.

    Raises:
        Rejected: `text` is no field selector.
    """
    return tuple(_field_requirement(part) for part in text.split(",") if text)


def _field_requirement(text: str) -> FieldRequirement:
    match = _EQUALITY.fullmatch(text.strip())
    if match is None:
        raise Rejected(f"invalid field selector {text!r}")
    is_equal = match["operator"] != "!="
    return FieldRequirement(tuple(match["key"].split(".")), match["value"], is_equal)
