"""Any text, on any result: a verdict comes, and nothing else is raised."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.expression import operators
from headrace.expression.conditions import evaluate_conditions, evaluate_time
from headrace.expression.errors import EvaluationError, ExpressionError
from headrace.expression.functions import FUNCTIONS, PREDICATES
from headrace.expression.limits import MAX_TEXT_CHARACTERS, Budget
from headrace.expression.parser import BINARY_POWERS, parse
from headrace.expression.printing import parse_json, print_json
from headrace.expression.program import evaluate
from headrace.expression.text import format_float, to_bytes, to_text
from headrace.expression.values import Value, floats, from_json

NOW = 1_800_000_000.0

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abvn"), inner, max_size=4)
    ),
    max_leaves=10,
)
results = json_values.map(from_json) | st.lists(st.floats(), max_size=5).map(floats)

words = st.sampled_from(
    [
        *BINARY_POWERS,
        *FUNCTIONS,
        *PREDICATES,
        *("(", ")", "[", "]", "{", "}", ",", ".", "?.", "?", ":", ";", "=", "#", "#acc", "#index"),
        *("let", "if", "else", "not", "nil", "true", "result", "x", "$env", "!", "-", "::"),
        *("1", "0", "2.5", ".5", "0x1F", "9223372036854775807", "1e300", '"a"', "'é'", "b'\\xff'"),
        *(".a", ".v", "[0]", "asInt", "asFloat", "isNaN", "default", '"2006"', '"1h"', "// c\n"),
    ]
)
sentences = st.lists(words, max_size=14).map(" ".join)


atoms = st.sampled_from(
    [
        *("result", "result[0]", "result.a", "#", ".v", "1", "0.5", '"a"', "nil", "true"),
        *("[1, 2, 'x']", "{a: 1}", "1..5", "[]", "-1", "9223372036854775807"),
    ]
)


@st.composite
def expressions(draw: st.DrawFn, levels: int = 3) -> str:
    """Draws a text that is mostly well-formed."""
    if not levels:
        return draw(atoms)
    inner = expressions(levels=levels - 1)
    form = draw(st.integers(0, 6))
    if form == 0:
        return f"({draw(inner)} {draw(st.sampled_from(sorted(BINARY_POWERS)))} {draw(inner)})"
    if form == 1:
        return f"{draw(st.sampled_from(sorted(FUNCTIONS)))}({draw(inner)})"
    if form == 2:
        return f"{draw(st.sampled_from(sorted(FUNCTIONS)))}({draw(inner)}, {draw(inner)})"
    if form == 3:
        return f"{draw(st.sampled_from(sorted(PREDICATES)))}({draw(inner)}, {draw(inner)})"
    if form == 4:
        return f"({draw(inner)} ? {draw(inner)} : {draw(inner)})"
    if form == 5:
        return f"{draw(inner)}[{draw(inner)}]"
    return f"(let x{levels} = {draw(inner)}; [x{levels}, {draw(inner)}])"


@given(st.text(max_size=60) | sentences)
@example("\ud800")
@example("'\ud800' == result")
def test_any_text_is_a_tree_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        assert parse(text).depth > 0


@settings(max_examples=300)
@given(st.one_of(expressions(), sentences, st.text(max_size=30)), results)
def test_any_condition_on_any_result_gives_a_verdict(condition: str, result: Value) -> None:
    verdict = evaluate_conditions(result, condition, "", now=NOW)
    assert (verdict.phase == "Error") == bool(verdict.message)
    assert verdict == evaluate_conditions(result, condition, "", now=NOW)


@given(st.one_of(sentences, st.text(max_size=30)))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        assert math.isfinite(evaluate_time(text, NOW))


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_can_be_written_as_a_literal(text: str) -> None:
    escaped = "".join(f"\\U{ord(letter):08x}" for letter in text)
    assert evaluate(f'"{escaped}"', {}, now=NOW) == text


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_integers_stay_in_64_bits(left: int, right: int) -> None:
    for operator in "+-*":
        value = evaluate(f"x {operator} y", {"x": left, "y": right}, now=NOW)
        assert -(2**63) <= value < 2**63
    if right:
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        assert operators.modulo(left, right) == left - quotient * right


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_what_they_show(number: float) -> None:
    assert float(format_float(number)) == number
    assert evaluate("float(string(x))", {"x": number}, now=NOW) == number


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_power_is_close_to_that_of_the_machine(base: float, exponent: float) -> None:
    try:
        expected = math.pow(base, exponent)
    except (OverflowError, ValueError):
        return
    found = operators.power(base, exponent)
    if math.isfinite(expected) and 1e-300 < abs(expected) < 1e300 and abs(exponent) < 1000:
        assert found == pytest.approx(expected, rel=1e-9)


@given(json_values)
def test_json_reads_back_what_it_shows(value: Value) -> None:
    value = from_json(value)
    try:
        shown = print_json(value, Budget())
    except ExpressionError:
        return  # NaN and the infinities
    again = parse_json(shown)
    assert print_json(again, Budget()) == shown


@given(results, results)
def test_equality_is_symmetric(left: Value, right: Value) -> None:
    assert operators.equal(left, right, Budget()) == operators.equal(right, left, Budget())


@given(st.lists(st.floats(allow_nan=False) | st.integers(-5, 5), max_size=20))
def test_sorting_orders(numbers: list[float]) -> None:
    found = evaluate("sort(x)", {"x": numbers}, now=NOW)
    assert found == sorted(numbers)
    assert evaluate("sort(x, 'desc')", {"x": numbers}, now=NOW) == sorted(numbers, reverse=True)


@given(st.text(max_size=20), st.integers(-25, 25), st.integers(-25, 25))
def test_slices_of_texts_count_bytes(text: str, start: int, end: int) -> None:
    part = evaluate("t[a:b]", {"t": text, "a": start, "b": end}, now=NOW)
    assert to_bytes(part) in to_bytes(text)
    assert evaluate("t[:a] + t[a:]", {"t": text, "a": start}, now=NOW) == to_text(to_bytes(text))


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_no_text_grows_beyond_the_bound(size: int, count: int) -> None:
    expression = f"repeat(repeat('abc', {size}), {count})"
    with suppress(EvaluationError):
        assert len(evaluate(expression, {}, now=NOW)) <= MAX_TEXT_CHARACTERS
