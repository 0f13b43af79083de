"""The syntax tree.

Nodes are compared by their structure. Each knows its ``depth``, the levels below and with it, so
that a tree that is too deep for the Python stack is refused while it is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from operator import is_


@dataclass(frozen=True, slots=True)
class Node:
    """One construct of an expression."""

    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        below = max((child.depth for child in self.children()), default=0)
        object.__setattr__(self, "depth", below + 1)

    def children(self) -> Iterator[Node]:
        """Yields the nodes directly below, in the order of the text."""
        for name in _branches(type(self)):
            value = getattr(self, name)
            if isinstance(value, Node):
                yield value
            elif isinstance(value, tuple):
                yield from (element for element in value if isinstance(element, Node))

    def size(self) -> int:
        """Returns the number of nodes of this tree."""
        count, waiting = 0, [self]
        while waiting:
            count += 1
            waiting.extend(waiting.pop().children())
        return count


@dataclass(frozen=True, slots=True)
class Nil(Node):
    """``nil``."""


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class Integer(Node):
    """An integer literal."""

    value: int


@dataclass(frozen=True, slots=True)
class Float(Node):
    """A float literal."""

    value: float


@dataclass(frozen=True, slots=True)
class String(Node):
    """A text literal, or the name in ``base.name``."""

    value: str


@dataclass(frozen=True, slots=True)
class Bytes(Node):
    """A literal of bytes."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """A name of the environment, a variable, or ``$env``."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """An operator before its operand."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """An operator between two operands."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparisons(Node):
    """``a < b <= c``: true where each neighbours compare so; one operator less than operands."""

    operators: tuple[str, ...]
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """What ends with nil as a whole where an optional member inside it meets nil."""

    inner: Node


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``base.name``, ``base[key]``; ``optional`` with ``?.``, ``method`` where it is called."""

    base: Node
    key: Node
    optional: bool = False
    method: bool = False


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """``base[start:end]``."""

    base: Node
    start: Node | None
    end: Node | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of a function of the environment, or of a method."""

    callee: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class BuiltinCall(Node):
    """A call of a function of the language.

    The last three fields come from rewriting: ``transform`` is applied to what a filter or find
    passes on, ``required`` makes a find fail that finds nothing, and a count ends at ``threshold``.
    """

    name: str
    arguments: tuple[Node, ...]
    transform: Node | None = None
    required: bool = False
    threshold: int | None = None


@dataclass(frozen=True, slots=True)
class Predicate(Node):
    """What is evaluated for each element of a collection."""

    body: Node


@dataclass(frozen=True, slots=True)
class Pointer(Node):
    """``#`` (empty name), ``#index`` or ``#acc``."""

    name: str


@dataclass(frozen=True, slots=True)
class Let(Node):
    """``let name = value; body``."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """``first; second``: the value of the last."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``condition ? yes : no``, ``if condition { yes } else { no }``.

    Without ``yes`` it is ``condition ?: no``: the condition's own value where it holds.
    """

    condition: Node
    yes: Node | None
    no: Node


@dataclass(frozen=True, slots=True)
class Array(Node):
    """``[a, b]``."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pair(Node):
    """``key: value`` in a map."""

    key: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Map(Node):
    """``{a: 1}``."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class StringSet(Node):
    """An array of text literals on the right of ``in``; it takes only texts (and nil, as "")."""

    values: frozenset[str]


def map_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """Returns the node with each node directly below changed; the same one where none was."""
    changes: dict[str, object] = {}
    for name in _branches(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            changed: object = change(value)
        elif value:
            changed = tuple(map(change, value))
            if all(map(is_, changed, value)):
                continue
        else:
            continue
        if changed is not value:
            changes[name] = changed
    return replace(node, **changes) if changes else node  # type: ignore[arg-type]


def _branches(kind: type[Node]) -> tuple[str, ...]:
    """Returns the names of the fields of a kind of node that hold other nodes."""
    names = _BRANCHES.get(kind)
    if names is None:
        names = tuple(one.name for one in fields(kind) if _HOLDS_NODES.search(str(one.type)))
        _BRANCHES[kind] = names
    return names


_BRANCHES: dict[type[Node], tuple[str, ...]] = {}
_HOLDS_NODES = re.compile(r"\b(?:Node|Pair)\b")
