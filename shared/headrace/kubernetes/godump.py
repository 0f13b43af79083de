"""A pod template as Go prints it with all its types and fields, set or not.

The controllers of Kubernetes hash this text, so it names the ReplicaSets of old releases
(rollout-api 7.3, rule 2). It is that of one release of the Go types, as the table is:
see tools/gen/field-order.

Source: go-spew 1.1.1 (`%#v` with sorted keys, without methods, addresses and capacities), as
k8s.io/apimachinery v0.34.5 calls it (`dump.ForHash`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from headrace.kubernetes.canonical import number_text, require
from headrace.kubernetes.quantities import NANOS, Quantity, parse_quantity

_POD_TEMPLATE: Final = "v1.PodTemplateSpec"
_NIL: Final = "<nil>"
_NO_TIME: Final = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
_WORD_BITS: Final = 64
_NANO_DIGITS: Final = 9


def dump_pod_template(template: Mapping[str, Any]) -> str:
    """Return the text of a pod template, decoded JSON.

    Raises:
        ValueError: A field has another type than Kubernetes gives it, or a time, whose print
            depends on the machine.
    """
    return _typed(template, _POD_TEMPLATE)


def _typed(value: Any, type_: str) -> str:
    return f"({type_}){_bare(value, type_)}"


def _bare(value: Any, type_: str) -> str:
    if type_.startswith("*"):
        return _NIL if value is None else _bare(value, type_[1:])
    if type_.startswith("[]"):
        return _NIL if value is None else _list(value, type_[2:])
    if type_.startswith("map["):
        return _NIL if value is None else _map(value, type_.partition("]")[2])
    if type_ in _table()["structs"]:
        return _struct({} if value is None else value, type_)
    named = _table()["named"].get(type_)
    return _scalar(value, type_) if named is None else _bare(value, named)


def _list(value: Any, element: str) -> str:
    if element == "uint8":
        value = base64.b64decode(require(value, str, "bytes"), validate=True)
        return f"[{' '.join(map(str, value))}]"
    return f"[{' '.join(_bare(item, element) for item in require(value, list, 'list'))}]"


def _map(value: Any, element: str) -> str:
    members = sorted(require(value, dict, "map").items())
    return f"map[{' '.join(f'{key}:{_bare(item, element)}' for key, item in members)}]"


def _struct(value: Any, type_: str) -> str:
    require(value, dict, type_)
    members = (
        f"{name}:{_typed(value.get(json_name) if json_name else value, member)}"
        for name, json_name, member in _table()["structs"][type_]
    )
    return f"{{{' '.join(members)}}}"


def _scalar(value: Any, type_: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    match type_:
        case "string":
            return str(require("" if value is None else value, str, type_))
        case "bool":
            return "true" if require(value or False, bool, type_) else "false"
        case "int32" | "int64":
            return str(require(0 if value is None else value, int, type_))
        case "resource.Quantity":
            return _quantity(value)
        case "intstr.IntOrString":
            return _int_or_string(value)
        case "v1.Time" if value is None:
            return _NO_TIME
    raise ValueError(f"a {type_} has no print of its own")


def _int_or_string(value: Any) -> str:
    number, text = (value, "") if not isinstance(value, str) else (0, value)
    number = require(0 if number is None else number, int, "intOrString")
    kind = int(isinstance(value, str))
    return f"{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){text}}}"


def _quantity(value: Any) -> str:
    if value is None:
        return _quantity_of(0, 0, _NIL, "", "")
    quantity = parse_quantity(number_text(value))
    number, scale = quantity.small or (0, 0)
    big = _NIL if quantity.small is not None else _big(quantity)
    return _quantity_of(number, scale, big, quantity.text, quantity.format.value)


def _quantity_of(number: int, scale: int, big: str, text: str, format_: str) -> str:
    small = f"{{value:(int64){number} scale:(resource.Scale){scale}}}"
    return (
        f"{{i:(resource.int64Amount){small} d:(resource.infDecAmount){{Dec:(*inf.Dec){big}}}"
        f" s:(string){text} Format:(resource.Format){format_}}}"
    )


def _big(quantity: Quantity) -> str:
    """Return a number of any size, as the original keeps it: in 10⁻⁹, or whole when capped."""
    unscaled, scale = abs(quantity.nanos), _NANO_DIGITS
    if unscaled == 0:
        raise ValueError("a zero of so many digits has no print of its own")
    if quantity.is_capped:
        unscaled, scale = unscaled // NANOS, 0
    words = []
    while unscaled:
        unscaled, word = divmod(unscaled, 1 << _WORD_BITS)
        words.append(str(word))
    sign = "true" if quantity.nanos < 0 else "false"
    number = f"{{neg:(bool){sign} abs:(big.nat)[{' '.join(words)}]}}"
    return f"{{unscaled:(big.Int){number} scale:(inf.Scale){scale}}}"


@cache
def _table() -> dict[str, Any]:
    path = files("headrace.kubernetes").joinpath("data/pod-template-types.json")
    table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return table
