"""Errors about one field, in the words and the form of Kubernetes (rollout-api 4).

A path is what the user wrote, with dots and indexes: `spec.strategy.steps[2].setWeight`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.expression.text import quote
from headrace.kubernetes.gojson import encode, struct
from headrace.model.base import Model

NOT_NEGATIVE = "must be greater than or equal to 0"


def invalid(path: str, value: object, detail: str) -> str:
    """Return that a value cannot be used; `detail` says why."""
    return f"{path}: Invalid value: {_shown(value)}: {detail}"


def required(path: str, detail: str = "") -> str:
    """Return that a field is missing."""
    return f"{path}: Required value" + (f": {detail}" if detail else "")


def unsupported(path: str, value: object, supported: Sequence[str]) -> str:
    """Return that a value is not one of those that are known."""
    known = ", ".join(quote(text) for text in supported)
    return f"{path}: Unsupported value: {_shown(value)}: supported values: {known}"


def duplicate(path: str, value: object) -> str:
    """Return that another element has this value already."""
    return f"{path}: Duplicate value: {_shown(value)}"


def not_found(path: str, value: object) -> str:
    """Return that a value names nothing that exists."""
    return f"{path}: Not found: {_shown(value)}"


def forbidden(path: str, detail: str) -> str:
    """Return that a field must not be set here."""
    return f"{path}: Forbidden: {detail}"


def internal(path: str, detail: str) -> str:
    """Return that a field could not be judged."""
    return f"{path}: Internal error: {detail}"


def not_negative(path: str, value: int) -> Iterator[str]:
    """Yield an error when a number is below 0."""
    if value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def _shown(value: object) -> str:
    return quote(value) if isinstance(value, str) else encode(_json(value))


def _json(value: object) -> Any:
    if isinstance(value, Model):
        return struct(value)
    if isinstance(value, Mapping):
        return {key: _json(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value
