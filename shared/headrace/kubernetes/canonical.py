"""The typed view of a pod template: what Go's structs keep of it.

A pod template is raw JSON to us. Where it must be compared or hashed, it is read
as Kubernetes' Go types read it: unknown fields vanish, zero values are left out
or written as their types say, quantities become canonical, fields stand in the
order of the structs (rollout-api 7.3). The table of types is generated from
k8s.io/api; see tools/gen/field-order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from headrace.kubernetes.gojson import format_float, sort_keys
from headrace.kubernetes.quantities import parse_quantity
from headrace.model.meta import format_micro_time, format_time, parse_time

POD_TEMPLATE: Final = "PodTemplateSpec"

_SCALAR_ZEROS: Final[Mapping[str, Any]] = {"string": "", "int": 0, "bool": False, "float": 0}


_SCALAR_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
}
_STRUCT_LIKE: Final = ("quantity", "intOrString", "time", "microTime")


@dataclass(frozen=True, slots=True)
class _Field:
    """A struct field; only values that are no structs can be empty for omitempty."""

    name: str
    type: str
    omits_empty: bool
    omits_zero: bool


def typed_view(
    value: Any,
    type_name: str = POD_TEMPLATE,
    *,
    quantity: Callable[[str], Any] = lambda text: parse_quantity(text).canonical(),
) -> Any:
    """Return `value` as Go would write it again after reading it into `type_name`.

    Args:
        value: Decoded JSON.
        type_name: A struct of the table, or a type expression of it.
        quantity: What to put in the place of a quantity, given its text.

    Raises:
        ValueError: A value has another type than the struct's field.
    """
    if type_name.startswith("*"):
        return None if value is None else typed_view(value, type_name[1:], quantity=quantity)
    if type_name.startswith("[]"):
        return _list(value, type_name[2:], quantity)
    if type_name.startswith("{}"):
        return _map(value, type_name[2:], quantity)
    fields = _types().get(type_name)
    if fields is None:
        return _scalar(value, type_name, quantity)
    return _struct({} if value is None else value, type_name, fields, quantity)


def unknown_names(value: Any, type_name: str) -> Iterator[str]:
    """Yield the names in `value` that its type does not have, in the order of the names."""
    if type_name.startswith("*"):
        yield from unknown_names(value, type_name[1:])
    elif type_name.startswith("[]") and isinstance(value, list):
        for item in value:
            yield from unknown_names(item, type_name[2:])
    elif type_name.startswith("{}") and isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from unknown_names(value[key], type_name[2:])
    elif type_name in _types() and isinstance(value, dict):
        known = {field.name: field.type for field in _types()[type_name]}
        for name in sorted(value, key=str):
            if name in known:
                yield from unknown_names(value[name], known[name])
            else:
                yield str(name)


@cache
def _types() -> dict[str, tuple[_Field, ...]]:
    text = files("headrace.kubernetes").joinpath("data/pod-template-fields.json").read_text("utf-8")
    table: dict[str, list[tuple[str, str, str]]] = json.loads(text)
    return {
        name: tuple(_field(*row, structs=table) for row in rows) for name, rows in table.items()
    }


def _field(name: str, type_: str, flags: str, *, structs: Container[str]) -> _Field:
    is_struct = type_ in structs or type_ in _STRUCT_LIKE
    return _Field(name, type_, "e" in flags and not is_struct, "z" in flags)


def _struct(
    value: Any, name: str, fields: tuple[_Field, ...], quantity: Callable[[str], Any]
) -> dict[str, Any]:
    require(value, dict, name)
    members = {}
    for field in fields:
        raw = value.get(field.name)
        if raw is None and (field.omits_empty or field.omits_zero):
            continue
        member = typed_view(raw, field.type, quantity=quantity)
        if field.omits_empty and _is_empty(member, field.type):
            continue
        members[field.name] = member
    return members


def _is_empty(member: Any, type_: str) -> bool:
    if type_.startswith("*"):
        return False
    return not member


def _list(value: Any, element: str, quantity: Callable[[str], Any]) -> list[Any] | None:
    if value is None:
        return None
    require(value, list, "list")
    return [typed_view(item, element, quantity=quantity) for item in value]


def _map(value: Any, element: str, quantity: Callable[[str], Any]) -> dict[str, Any] | None:
    if value is None:
        return None
    require(value, dict, "map")
    return {key: typed_view(value[key], element, quantity=quantity) for key in sorted(value)}


def _scalar(value: Any, type_name: str, quantity: Callable[[str], Any]) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    match type_name:
        case "quantity":
            return quantity("0" if value is None else number_text(value))
        case "intOrString":
            return 0 if value is None else require(value, (int, str), type_name)
        case "time":
            return None if value is None else format_time(parse_time(require(value, str, "time")))
        case "microTime":
            if value is None:
                return None
            return format_micro_time(parse_time(require(value, str, "time")))
        case "raw":
            return sort_keys(value)
    if value is None:
        return _SCALAR_ZEROS[type_name]
    return require(value, _SCALAR_TYPES[type_name], type_name)


def number_text(value: Any) -> str:
    """Return the text of a quantity that may be written as a number. Raises ValueError."""
    if isinstance(value, float):
        return format_float(value)
    return str(require(value, (int, str), "quantity"))


def require(value: Any, types: type | tuple[type, ...], name: str) -> Any:
    """Return a decoded value that has the type of its field. Raises ValueError."""
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        raise ValueError(f"expected {name}, got {type(value).__name__}")
    return value
