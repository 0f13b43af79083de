"""Values as text: the ``%v`` form of messages and string(), and JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator

from headrace.expression import layouts
from headrace.expression.civil import MONTHS, WEEKDAYS
from headrace.expression.durations import format_duration
from headrace.expression.errors import EvaluationError
from headrace.expression.limits import MAX_VALUE_DEPTH, Budget
from headrace.expression.text import format_float, format_json_float
from headrace.expression.values import (
    AnyMap,
    Duration,
    Function,
    Location,
    Month,
    Struct,
    Time,
    TypedList,
    Value,
    Weekday,
    type_name,
)

_JSON_ESCAPES = {
    ord("<"): "\\u003c",
    ord(">"): "\\u003e",
    ord("&"): "\\u0026",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_INDENT = "  "
_JSON_PLACES = {
    "Extra data": "after top-level value",
    "Expecting property name": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Expecting ':'": "after object key",
    "Expecting ','": "after array element",
    "Invalid control character": "in string literal",
    "Invalid \\escape": "in string escape code",
}
_JSON_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def print_value(value: Value, budget: Budget) -> str:
    """Returns the ``%v`` form: ``[1 2]``, ``map[a:1]``, ``<nil>``."""
    parts: list[str] = []
    for part in _parts(value, budget, MAX_VALUE_DEPTH):
        budget.spend_text(len(part))
        parts.append(part)
    return "".join(parts)


def _parts(value: Value, budget: Budget, levels: int) -> Iterator[str]:
    budget.spend_steps(10)
    if type(value) is str:
        yield value
    elif isinstance(value, list | range | bytes):
        yield "["
        for position, element in enumerate(value):
            yield " " if position else ""
            yield from _parts(element, budget, _deeper(levels))
        yield "]"
    elif isinstance(value, dict | AnyMap):
        yield "map["
        for position, (key, element) in enumerate(sorted(value.items(), key=_printed_order)):
            yield " " if position else ""
            yield from _parts(key, budget, _deeper(levels))
            yield ":"
            yield from _parts(element, budget, _deeper(levels))
        yield "]"
    elif isinstance(value, Struct):
        yield "{"
        for position, (name, _) in enumerate(value.type.fields):
            yield " " if position else ""
            yield from _parts(value.fields[name], budget, _deeper(levels))
        yield "}"
    else:
        yield _print_scalar(value)


def _print_scalar(value: Value) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return format_float(value)
        case Duration():
            return format_duration(value)
        case Month():
            return MONTHS[value - 1]
        case Weekday():
            return WEEKDAYS[value]
        case int():
            return str(int(value))
        case Time():
            return layouts.print_time(value)
        case Location():
            return value.name
        case Function():
            return "0x0"  # the reference prints an address, which is nobody's business
    raise TypeError(f"no value of the condition language: {type(value).__name__}")


def _deeper(levels: int) -> int:
    if not levels:
        raise EvaluationError("recursion depth exceeded")
    return levels - 1


def _printed_order(entry: tuple[Value, Value]) -> tuple[int, Value]:
    """Orders the keys of a map: nil, then numbers, then texts, then the rest as they came."""
    key = entry[0]
    if key is None:
        return 0, 0
    if isinstance(key, str):
        return 2, key
    if isinstance(key, int | float):
        return 1, -math.inf if key != key else key
    return 3, 0


def print_json(value: Value, budget: Budget) -> str:
    """Returns indented JSON, keys sorted, as ``json.MarshalIndent`` does."""
    parts: list[str] = []
    for part in _json_parts(value, budget, "\n"):
        budget.spend_text(len(part))
        parts.append(part)
    return "".join(parts)


def _json_parts(value: Value, budget: Budget, newline: str) -> Iterator[str]:
    budget.spend_steps(8)
    if len(newline) > MAX_VALUE_DEPTH * len(_INDENT):
        raise EvaluationError("recursion depth exceeded")
    deeper = newline + _INDENT
    if isinstance(value, TypedList | list | range):
        yield "["
        for position, element in enumerate(value):
            yield ("," if position else "") + deeper
            yield from _json_parts(element, budget, deeper)
        yield f"{newline}]" if value else "]"
    elif isinstance(value, dict | Struct):
        entries = sorted(value.items()) if isinstance(value, dict) else _fields(value)
        yield "{"
        for position, (key, element) in enumerate(entries):
            yield ("," if position else "") + deeper + _json_string(key) + ": "
            yield from _json_parts(element, budget, deeper)
        yield f"{newline}}}" if entries else "}"
    else:
        yield _json_scalar(value)


def _fields(value: Struct) -> list[tuple[str, Value]]:
    return [(name, value.fields[name]) for name, _ in value.type.fields]


def _json_scalar(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            if not math.isfinite(value):
                raise EvaluationError(f"json: unsupported value: {format_float(value)}")
            return format_json_float(value)
        case int():
            return str(int(value))
        case str():
            return _json_string(value)
        case bytes():
            return _json_string(base64.b64encode(value).decode())
        case Time():
            return _json_string(layouts.format_time(value, layouts.RFC3339_NANO))
    raise EvaluationError(f"json: unsupported type: {type_name(value)}")


def _json_string(text: str) -> str:
    shown = json.dumps(text, ensure_ascii=False).translate(_JSON_ESCAPES)
    return "".join("\\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in shown)


def parse_json(text: str) -> Value:
    """Returns decoded JSON, all its numbers float64.

    Raises:
        EvaluationError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(
            text, parse_constant=_refuse_constant, parse_int=_json_number, parse_float=_json_number
        )
    except json.JSONDecodeError as error:
        raise EvaluationError(_explain(error, text)) from None
    except RecursionError:
        raise EvaluationError("exceeded max depth") from None


def _explain(error: json.JSONDecodeError, text: str) -> str:
    """Returns the reason in the words of the reference."""
    position = error.pos
    if error.msg.startswith("Illegal trailing comma"):
        # Since Python 3.13 the comma is to blame, not what stands after it.
        position = len(text) - len(text[position + 1 :].lstrip())
    if position >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    places = (place for start, place in _JSON_PLACES.items() if error.msg.startswith(start))
    place = next(places, "looking for beginning of value")
    if place == "after array element" and _is_in_object(text, position):
        place = "after object key:value pair"
    return f"invalid character '{text[position]}' {place}"


def _is_in_object(text: str, end: int) -> bool:
    """Tells whether a position of a JSON text lies in an object, not in an array."""
    opened: list[str] = []
    for bracket in _JSON_BRACKETS.findall(text[:end]):
        if bracket in ("[", "{"):
            opened.append(bracket)
        elif bracket in ("]", "}") and opened:
            opened.pop()
    return bool(opened) and opened[-1] == "{"


def _json_number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise EvaluationError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


def _refuse_constant(name: str) -> Value:
    raise EvaluationError(f"invalid character '{name[0]}' looking for beginning of value")
