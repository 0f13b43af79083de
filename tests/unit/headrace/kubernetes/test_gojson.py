from __future__ import annotations

import pytest

from headrace.kubernetes import gojson
from headrace.model.steps import CanaryStep


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (-7, "-7"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": 1, "a": [1.5, "x"]}, '{"b":1,"a":[1.5,"x"]}'),
        ("<a> & b", '"\\u003ca\\u003e \\u0026 b"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ("é€😀", '"é€😀"'),
        ('"\\\n\t\r\b\f\x01\x7f', '"\\"\\\\\\n\\t\\r\\b\\f\\u0001\x7f"'),
        ("\ud800", '"\ufffd"'),
    ],
)
def test_values_are_written_as_go_writes_them(value: object, text: str) -> None:
    assert gojson.encode(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (100.0, "100"),
        (1.5, "1.5"),
        (-0.25, "-0.25"),
        (1e-6, "0.000001"),
        (9.5e-7, "9.5e-7"),
        (1e20, "100000000000000000000"),
        (9.197352905302402e18, "9197352905302402000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_floats_are_written_in_their_shortest_form(value: float, text: str) -> None:
    assert gojson.format_float(value) == text


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        gojson.encode({1, 2})


def test_raw_json_gets_sorted_keys_at_every_depth() -> None:
    raw = {"b": [{"d": 1, "c": 2}], "a": None}
    assert gojson.encode(gojson.sort_keys(raw)) == '{"a":null,"b":[{"c":2,"d":1}]}'


def test_structs_that_are_no_pointers_are_written_though_empty() -> None:
    step = CanaryStep.load(
        {
            "experiment": {"templates": [{"name": "a", "specRef": "canary", "replicas": 0}]},
            "analysis": {"templates": [{"templateName": "x"}]},
        }
    )
    assert gojson.struct(step) == {
        "experiment": {
            "templates": [{"name": "a", "specRef": "canary", "replicas": 0, "metadata": {}}],
            "analysisRunMetadata": {},
        },
        "analysis": {"templates": [{"templateName": "x"}], "analysisRunMetadata": {}},
    }


def test_maps_of_structs_are_sorted_by_key() -> None:
    step = CanaryStep.load(
        {"setMirrorRoute": {"name": "m", "match": [{"headers": {"b": {"exact": "1"}, "a": {}}}]}}
    )
    assert gojson.encode(gojson.struct(step)) == (
        '{"setMirrorRoute":{"name":"m","match":[{"headers":{"a":{},"b":{"exact":"1"}}}]}}'
    )


def test_what_the_api_requires_is_written_though_it_is_zero() -> None:
    step = CanaryStep.load({"setHeaderRoute": {"name": "h", "match": [{"headerName": "a"}]}})
    assert gojson.struct(step) == {
        "setHeaderRoute": {"name": "h", "match": [{"headerName": "a", "headerValue": None}]}
    }
