"""Arguments in the texts of a metric: `{{args.name}}` becomes a value (analysis 3).

The analysis-runner resolves the metrics of a run with it before each round of measurements, the
rollout-controller those of a template before it accepts a Rollout that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PREFIX: Final = "args."


class UnresolvedArgument(ValueError):
    """A tag has no value; the text goes into the status as it is."""


def substitute(node: Any, values: Mapping[str, str | None]) -> Any:
    """Return decoded JSON with the tags in all its texts, keys included, replaced.

    A value is put in as it is and not looked through again: it can never change the structure
    of the JSON, nor bring another tag in.

    Args:
        node: Decoded JSON; it is not changed.
        values: By name; None stands for an argument that is declared but has no value.

    Raises:
        UnresolvedArgument: A tag names no argument, or one without a value.
    """

    def value_of(match: re.Match[str]) -> str:
        tag = match[1]
        name = tag.strip()
        if not name.startswith(_PREFIX) or name.removeprefix(_PREFIX) not in values:
            raise UnresolvedArgument(f"failed to resolve {{{{{tag}}}}}")
        value = values[name.removeprefix(_PREFIX)]
        if value is None:
            raise UnresolvedArgument(f'argument "{name.removeprefix(_PREFIX)}" was not supplied')
        return value

    return _replaced(node, value_of)


def _replaced(node: Any, value_of: Callable[[re.Match[str]], str]) -> Any:
    match node:
        case str():
            return _TAG.sub(value_of, node)
        case Mapping():
            return {_TAG.sub(value_of, k): _replaced(v, value_of) for k, v in node.items()}
        case list() | tuple():
            return [_replaced(item, value_of) for item in node]
        case _:
            return node
