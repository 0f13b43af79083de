"""Arguments in the texts of a metric (analysis 3)."""

import pytest

from headrace.expression.arguments import UnresolvedArgument, substitute


def test_replaces_tags_in_every_text_and_key() -> None:
    metric = {"query": 'up{app="{{args.app}}"}', "{{ args.app }}": [1, True, "{{args.app}}"]}
    assert substitute(metric, {"app": "x"}) == {"query": 'up{app="x"}', "x": [1, True, "x"]}


def test_a_value_never_changes_the_structure() -> None:
    assert substitute({"a": "{{args.x}}"}, {"x": '", "b": "\n'}) == {"a": '", "b": "\n'}


def test_a_value_is_not_looked_through_again() -> None:
    assert substitute("{{args.a}}", {"a": "{{args.b}}", "b": "1"}) == "{{args.b}}"


@pytest.mark.parametrize("tag", ["{{args.gone}}", "{{ .Values.x }}", "{{}}"])
def test_refuses_a_tag_without_argument(tag: str) -> None:
    with pytest.raises(UnresolvedArgument) as raised:
        substitute(f"a {tag} b", {"x": "1"})
    assert str(raised.value) == f"failed to resolve {tag}"


def test_refuses_an_argument_without_value() -> None:
    with pytest.raises(UnresolvedArgument, match=r'^argument "x" was not supplied$'):
        substitute("{{args.x}}", {"x": None})


def test_keeps_an_open_brace_that_is_never_closed() -> None:
    assert substitute("a {{args.x", {"x": "1"}) == "a {{args.x"
