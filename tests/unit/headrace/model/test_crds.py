from __future__ import annotations

import pytest

from headrace.model.crds import structural


def test_references_are_put_in_and_null_is_dropped() -> None:
    definitions = {"A": {"type": "object", "description": "An A.", "properties": {}}}
    schema = {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "default": None}
    assert structural(schema, definitions) == {"type": "object", "description": "An A."}


def test_a_default_of_the_model_is_no_default_of_the_server() -> None:
    assert structural({"type": "string", "default": "x", "title": "X"}, {}) == {"type": "string"}
    assert structural({"type": "string", "x-headrace-default": "x"}, {}) == {
        "type": "string",
        "default": "x",
    }


def test_citations_and_further_paragraphs_stay_out_of_descriptions() -> None:
    schema = {"type": "object", "description": "Moves\ntraffic (canary 2.1).\n\nMore."}
    assert structural(schema, {})["description"] == "Moves traffic."


def test_a_union_is_refused() -> None:
    with pytest.raises(ValueError, match="union"):
        structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})


def test_what_kubernetes_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="exclusiveMaximum"):
        structural({"type": "integer", "exclusiveMaximum": 5}, {})
