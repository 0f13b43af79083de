"""Functions of the language about texts."""

from __future__ import annotations

import base64
import binascii
import string
from collections.abc import Callable

from headrace.expression import gotypes
from headrace.expression.errors import EvaluationError
from headrace.expression.evaluation import Evaluation
from headrace.expression.gotypes import GoType, function_of
from headrace.expression.limits import Budget
from headrace.expression.operators import to_int, to_string
from headrace.expression.printing import parse_json, print_json
from headrace.expression.signatures import Builtin, shown
from headrace.expression.text import SPACES, rejoin, to_bytes, to_text
from headrace.expression.values import TypedList, Value, type_of

_MAX_REPEATS = 1_000_000
_BASE64_ALPHABET = frozenset((string.ascii_letters + string.digits + "+/").encode())
_TEXT_TO_TEXT = function_of(gotypes.STRING, result=gotypes.STRING)
_TWO_TEXTS_TO_TEXT = function_of(gotypes.STRING, gotypes.STRING, result=gotypes.STRING)
_SPLIT = (
    function_of(gotypes.STRING, gotypes.STRING, result=gotypes.STRING_SLICE),
    function_of(gotypes.STRING, gotypes.STRING, gotypes.INT, result=gotypes.STRING_SLICE),
)
_JOIN = (
    function_of(gotypes.STRING_SLICE, gotypes.STRING, result=gotypes.STRING),
    function_of(gotypes.ANY_SLICE, gotypes.STRING, result=gotypes.STRING),
    function_of(gotypes.ANY_SLICE, result=gotypes.STRING),
    function_of(gotypes.STRING_SLICE, gotypes.STRING, result=gotypes.STRING),
    function_of(gotypes.STRING_SLICE, result=gotypes.STRING),
)
_THREE_TEXTS = (gotypes.STRING, gotypes.STRING, gotypes.STRING)
_SEARCH = function_of(gotypes.STRING, gotypes.STRING, result=gotypes.INT)
_TEST = function_of(gotypes.STRING, gotypes.STRING, result=gotypes.BOOL)


def _of_texts(name: str, apply: Callable[..., Value], *overloads: GoType) -> Builtin:
    """Returns a function whose arguments are texts, and whose result is no longer than they."""

    def call(evaluation: Evaluation, arguments: list[Value]) -> Value:
        texts = [to_string(argument) for argument in arguments]
        evaluation.budget.spend_text(sum(map(len, texts)))
        return apply(*texts)

    return Builtin(name, call, overloads)


def _trim(text: str, cut: str | None = None) -> str:
    return text.strip(SPACES if cut is None else cut)


def _each_character(text: str, convert: Callable[[str], str]) -> str:
    """Converts characters that stay one character."""
    if text.isascii():
        return convert(text)
    converted = ((letter, convert(letter)) for letter in text)
    return "".join(new if len(new) == 1 else old for old, new in converted)


def _split(text: str, separator: str, count: int, *, keep: bool, budget: Budget) -> TypedList:
    """Splits as Go's SplitN and SplitAfterN do; a negative count means all."""
    if count == 0:
        return TypedList(gotypes.STRING_SLICE, ())
    budget.spend_text(len(text))
    if not separator:
        limit = len(text) if count < 0 else min(count, len(text))
        budget.spend_memory(limit)
        parts = list(text[:limit])
        if parts:
            parts[-1] += text[limit:]
        return TypedList(gotypes.STRING_SLICE, parts)
    pieces = text.count(separator) + 1
    budget.spend_memory(pieces if count < 0 else min(pieces, count))
    parts = text.split(separator, -1 if count < 0 else count - 1)
    if keep:
        parts = [part + separator for part in parts[:-1]] + parts[-1:]
    return TypedList(gotypes.STRING_SLICE, parts)


def _splitting(name: str, *, keep: bool) -> Builtin:
    def call(evaluation: Evaluation, arguments: list[Value]) -> Value:
        text, separator = to_string(arguments[0]), to_string(arguments[1])
        count = to_int(arguments[2]) if len(arguments) == 3 else -1
        return _split(text, separator, count, keep=keep, budget=evaluation.budget)

    return Builtin(name, call, _SPLIT)


def _replace(evaluation: Evaluation, arguments: list[Value]) -> str:
    text, old, new = (to_string(argument) for argument in arguments[:3])
    count = to_int(arguments[3]) if len(arguments) == 4 else -1
    found = text.count(old) if count < 0 else min(text.count(old), count)
    evaluation.budget.spend_text(len(text) + found * len(new))
    return text.replace(old, new, count)


def _repeat(evaluation: Evaluation, arguments: list[Value]) -> str:
    text, count = to_string(arguments[0]), to_int(arguments[1])
    if count < 0:
        raise EvaluationError(
            f"invalid argument for repeat (expected positive integer, got {count})"
        )
    if count > _MAX_REPEATS:
        raise EvaluationError("memory budget exceeded")
    evaluation.budget.spend_memory(len(to_bytes(text)) * count)
    return text * count


def _join(evaluation: Evaluation, arguments: list[Value]) -> str:
    parts = arguments[0]
    glue = to_string(arguments[1]) if len(arguments) == 2 else ""
    if type(parts) is not list and getattr(parts, "type", None) != gotypes.STRING_SLICE:
        raise EvaluationError(f"invalid argument for join (type {shown(type_of(parts))})")
    evaluation.budget.spend_steps(len(parts))
    texts = [to_string(part) for part in parts]
    evaluation.budget.spend_text(sum(map(len, texts)) + len(glue) * len(texts))
    return rejoin(glue.join(texts))


def _byte_position(text: str, position: int) -> int:
    if position <= 0 or text.isascii():
        return position
    return len(to_bytes(text[:position]))


def _from_base64(text: str) -> str:
    content = to_bytes(text)
    try:
        return to_text(base64.b64decode(content.translate(None, b"\r\n"), validate=True))
    except binascii.Error:
        position = _first_corrupt(content)
        raise EvaluationError(f"illegal base64 data at input byte {position}") from None


def _first_corrupt(content: bytes) -> int:
    """Returns the position that the reference names: of a wrong byte, or of a broken group."""
    group_start, count = 0, 0
    for position, byte in enumerate(content):
        if byte in b"\r\n":
            continue
        if byte not in _BASE64_ALPHABET:
            if byte != ord("=") or count < 2:
                return position
            return len(content) if count == 2 and position + 1 == len(content) else position + 1
        if count == 0:
            group_start = position
        count = (count + 1) % 4
    return group_start


def _from_json(evaluation: Evaluation, arguments: list[Value]) -> Value:
    text = to_string(arguments[0])
    evaluation.budget.spend_memory(sum(map(text.count, ",[{")))
    evaluation.budget.spend_text(len(text))
    return parse_json(text)


BUILTINS = (
    _of_texts("trim", _trim, _TEXT_TO_TEXT, _TWO_TEXTS_TO_TEXT),
    _of_texts(
        "trimPrefix",
        lambda text, prefix=" ": text.removeprefix(prefix),
        _TWO_TEXTS_TO_TEXT,
        _TEXT_TO_TEXT,
    ),
    _of_texts(
        "trimSuffix",
        lambda text, suffix=" ": text.removesuffix(suffix),
        _TWO_TEXTS_TO_TEXT,
        _TEXT_TO_TEXT,
    ),
    _of_texts("upper", lambda text: _each_character(text, str.upper), _TEXT_TO_TEXT),
    _of_texts("lower", lambda text: _each_character(text, str.lower), _TEXT_TO_TEXT),
    _splitting("split", keep=False),
    _splitting("splitAfter", keep=True),
    Builtin(
        "replace",
        _replace,
        (
            function_of(*_THREE_TEXTS, gotypes.INT, result=gotypes.STRING),
            function_of(*_THREE_TEXTS, result=gotypes.STRING),
        ),
    ),
    Builtin("repeat", _repeat, (function_of(gotypes.STRING, gotypes.INT, result=gotypes.STRING),)),
    Builtin("join", _join, _JOIN),
    _of_texts("indexOf", lambda text, part: _byte_position(text, text.find(part)), _SEARCH),
    _of_texts("lastIndexOf", lambda text, part: _byte_position(text, text.rfind(part)), _SEARCH),
    _of_texts("hasPrefix", str.startswith, _TEST),
    _of_texts("hasSuffix", str.endswith, _TEST),
    Builtin(
        "toJSON",
        lambda evaluation, arguments: print_json(arguments[0], evaluation.budget),
        (function_of(gotypes.ANY, result=gotypes.STRING),),
    ),
    Builtin("fromJSON", _from_json, (function_of(gotypes.STRING, result=gotypes.ANY),), cost=50),
    _of_texts("toBase64", lambda text: base64.b64encode(to_bytes(text)).decode(), _TEXT_TO_TEXT),
    _of_texts("fromBase64", _from_base64, _TEXT_TO_TEXT),
)
