"""The form of field errors (rollout-api 4)."""

import pytest

from headrace.model.steps import SetCanaryScale
from rollout_controller.core.validation import fields


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (-1, "-1"),
        ("a", '"a"'),
        ('a"\n', r'"a\"\n"'),
        ({"b": 1, "a": "<"}, '{"a":"\\u003c","b":1}'),
        (["a"], '["a"]'),
        (SetCanaryScale(weight=0), '{"weight":0}'),
        ((SetCanaryScale(replicas=1),), '[{"replicas":1}]'),
    ],
)
def test_shows_the_value_as_kubernetes_does(value: object, shown: str) -> None:
    assert fields.invalid("spec.a", value, "no") == f"spec.a: Invalid value: {shown}: no"


def test_a_missing_field_needs_no_detail() -> None:
    assert fields.required("spec.a") == "spec.a: Required value"
    assert fields.required("spec.a", "say it") == "spec.a: Required value: say it"


def test_lists_what_is_supported() -> None:
    text = fields.unsupported("spec.a", "x", ("A", "B"))
    assert text == 'spec.a: Unsupported value: "x": supported values: "A", "B"'


def test_the_other_kinds_of_errors() -> None:
    assert fields.duplicate("spec.a", "x") == 'spec.a: Duplicate value: "x"'
    assert fields.not_found("spec.a", "x") == 'spec.a: Not found: "x"'
    assert fields.forbidden("spec.a", "no") == "spec.a: Forbidden: no"
    assert fields.internal("spec.a", "no") == "spec.a: Internal error: no"


def test_zero_is_not_negative() -> None:
    assert list(fields.not_negative("spec.a", 0)) == []
    assert list(fields.not_negative("spec.a", -1)) == [
        "spec.a: Invalid value: -1: must be greater than or equal to 0"
    ]
