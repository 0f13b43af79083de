"""Substitution of arguments (analysis 3)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from analysis_runner.core.arguments import (
    ArgumentError,
    redact,
    resolve_metrics,
    secret_references,
    secret_value,
)
from headrace.model.analysis import Argument, SecretKeyReference


def metric(query: str = "up", **fields: Any) -> dict[str, Any]:
    return {"name": "m", "provider": {"prometheus": {"query": query}}, **fields}


def query_of(query: str, **values: str) -> str:
    arguments = [Argument(name=name, value=value) for name, value in values.items()]
    (resolved,) = resolve_metrics([metric(query)], arguments)
    assert resolved.provider.prometheus is not None
    return resolved.provider.prometheus.query


SECRET = Argument.load(
    {"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}, "value": "plain"}
)


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("{{args.a}}", "x", "x"),
        ("{{ args.a }}", "x", "x"),
        ("{{args.a}}-{{args.a}}", "x", "x-x"),
        ("a{{args.a}}b", "", "ab"),
        ("{{args.a}}", 'say "hi"', 'say "hi"'),
        ("{{args.a}}", "C:\\temp", "C:\\temp"),
        ("{{args.a}}", "two\nlines\tand", "two\nlines\tand"),
        ("{{args.a}}", "{{args.b}}", "{{args.b}}"),
        ("{{args.a}}", "}}", "}}"),
        ("{{args.a}}", "grün ☃", "grün ☃"),
        ("{{args.a}}", "a\u00a0b", "a\u00a0b"),
        ('sum(x{a="b"})', "", 'sum(x{a="b"})'),
    ],
)
def test_puts_values_into_texts(query: str, value: str, expected: str) -> None:
    assert query_of(query, a=value, b="never") == expected


def test_a_count_may_be_an_argument() -> None:
    (resolved,) = resolve_metrics([metric(count="{{args.n}}")], [Argument(name="n", value="5")])
    assert resolved.count == "5"
    assert resolved.effective_count() == 5


def test_works_in_keys_and_job_specs() -> None:
    raw = {
        "name": "{{args.n}}",
        "provider": {"job": {"spec": {"template": {"{{args.n}}": ["{{args.n}}"]}}}},
    }
    (resolved,) = resolve_metrics([raw], [Argument(name="n", value="x")])
    assert resolved.name == "x"
    assert resolved.provider.job is not None
    assert resolved.provider.job.spec == {"template": {"x": ["x"]}}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{{args.b}}", "failed to resolve {{args.b}}"),
        ("{{ inputs.a }}", "failed to resolve {{ inputs.a }}"),
        ("{{a}}", "failed to resolve {{a}}"),
        ("{{}}", "failed to resolve {{}}"),
        ("{{args.}}", "failed to resolve {{args.}}"),
    ],
)
def test_refuses_unknown_tags(query: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        query_of(query, a="x")
    assert str(caught.value) == message


def test_refuses_tags_without_end() -> None:
    with pytest.raises(ArgumentError):
        query_of("{{args.a", a="x")


@pytest.mark.parametrize("value", ["\x00", "\x7f", "\a", "\U000e0001"])
def test_refuses_values_whose_escapes_are_no_json(value: str) -> None:
    with pytest.raises(ArgumentError):
        query_of("{{args.a}}", a=value)


def test_refuses_arguments_without_value_even_when_nobody_uses_them() -> None:
    field = Argument.load({"name": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
    for argument in (Argument(name="b"), field):
        with pytest.raises(ArgumentError, match=r'^argument "b" was not supplied$'):
            resolve_metrics([metric()], [argument])


def test_plans_see_a_placeholder_for_secrets() -> None:
    (resolved,) = resolve_metrics([metric("{{args.token}}")], [SECRET])
    assert resolved.provider.prometheus is not None
    assert resolved.provider.prometheus.query == "temp-for-secret"


def test_a_secret_wins_over_a_value() -> None:
    (resolved,) = resolve_metrics([metric("{{args.token}}")], [SECRET], {"token": "hidden"})
    assert resolved.provider.prometheus is not None
    assert resolved.provider.prometheus.query == "hidden"
    assert secret_references([SECRET]) == {"token": SecretKeyReference(name="s", key="k")}


def test_reads_a_key_of_a_secret() -> None:
    secret = {"data": {"k": base64.b64encode("gehéim\n".encode()).decode()}}
    assert secret_value(SecretKeyReference(name="s", key="k"), secret) == "gehéim\n"
    with pytest.raises(ArgumentError, match=r"^key 'x' does not exist in secret 's'$"):
        secret_value(SecretKeyReference(name="s", key="x"), secret)
    with pytest.raises(ArgumentError, match=r"^key 'x' does not exist in secret 's'$"):
        secret_value(SecretKeyReference(name="s", key="x"), {})


def test_redacts_every_secret_the_longest_first() -> None:
    assert redact("ab abc b", ["ab", "abc", ""]) == "***** ***** b"


@pytest.mark.parametrize(
    "text",
    [
        'Post "http://prometheus/p%2Fss%20w%22rd%2B/api/v1/query": refused',
        'Get "http://prometheus/p/ss%20w%22rd%2B/api": refused',
        "/api/v1/query?query=p%2Fss+w%22rd%2B: refused",
        'parse error: unexpected "p/ss w\\"rd+"',
        'bad: p/ss w"rd+',
    ],
)
def test_redacts_a_secret_however_it_is_written(text: str) -> None:
    redacted = redact(text, ['p/ss w"rd+'])
    assert redacted.count("*****") == 1
    assert "ss" not in redacted.replace("parse", "")


def test_names_the_place_of_a_metric_that_is_none() -> None:
    with pytest.raises(ArgumentError, match="provider"):
        resolve_metrics([{"name": "m"}], [])
