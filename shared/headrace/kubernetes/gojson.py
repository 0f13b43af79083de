"""JSON text byte for byte as Go's encoding/json writes it.

Hashes are taken over these bytes (rollout-api 7.3). Objects keep the order of
their keys: whoever builds them puts struct fields in struct order and sorts the
keys of maps.

Source: encoding/json of Go 1.24: HTML escapes, floats in the shortest form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final

from headrace.model.base import REQUIRED, Model

_ESCAPES: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_ESCAPED: Final = re.compile("[<>&\u2028\u2029]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_EXPONENT_MIN: Final = 1e-6
_EXPONENT_MAX: Final = 1e21


def encode(value: Any) -> str:
    """Return a JSON value as compact text.

    Raises:
        TypeError: `value` is not made of JSON types.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _encode_string(value)
        case int():
            return str(value)
        case float():
            return format_float(value)
        case Mapping():
            members = (f"{_encode_string(key)}:{encode(item)}" for key, item in value.items())
            return "{" + ",".join(members) + "}"
        case Sequence():
            return "[" + ",".join(map(encode, value)) + "]"
        case _:
            raise TypeError(f"not a JSON value: {type(value).__name__}")


def sort_keys(value: Any) -> Any:
    """Return raw JSON with the keys of all its objects sorted, as Go encodes maps."""
    match value:
        case Mapping():
            return {key: sort_keys(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [sort_keys(item) for item in value]
        case _:
            return value


def struct(model: Model) -> dict[str, Any]:
    """Return a model as Go marshals the struct of the same fields.

    Fields stand in the order of their declaration. Zero values are left out where the API may
    leave the field out; a struct that is no pointer is written even when it is empty.
    """
    members = {}
    for field in _fields(type(model)):
        value = getattr(model, field.name)
        is_zero = value is None or value == field.zero
        if field.is_always_written or isinstance(value, Model) or not is_zero:
            members[field.wire_name] = _member(value)
    return members


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    wire_name: str
    zero: Any
    is_always_written: bool


@cache
def _fields(model: type[Model]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            name,
            field.alias or name,
            field.get_default(call_default_factory=True),
            field.is_required() or _is_marked(field.json_schema_extra),
        )
        for name, field in model.model_fields.items()
    )


def _is_marked(extra: object) -> bool:
    return isinstance(extra, dict) and REQUIRED in extra


def format_float(value: float) -> str:
    """Return a float as Go writes it: shortest digits, exponent below 1e-6 and from 1e21 on."""
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    digits = Decimal(repr(value))
    if _EXPONENT_MIN <= abs(value) < _EXPONENT_MAX:
        text = f"{digits:f}"
        return text.removesuffix(".0")
    mantissa, _, exponent = f"{digits:e}".partition("e")
    sign, power = exponent[0], exponent[1:].lstrip("0")
    return f"{mantissa.removesuffix('.0')}e{sign}{power}"


def _encode_string(text: str) -> str:
    plain = json.dumps(_SURROGATE.sub("\ufffd", text), ensure_ascii=False)
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], plain)


def _member(value: Any) -> Any:
    match value:
        case Model():
            return struct(value)
        case tuple():
            return [_member(item) for item in value]
        case dict():
            return (
                {key: _member(value[key]) for key in sorted(value)}
                if _has_models(value)
                else (sort_keys(value))
            )
        case _:
            return value


def _has_models(value: dict[str, Any]) -> bool:
    return any(isinstance(item, Model) for item in value.values())
