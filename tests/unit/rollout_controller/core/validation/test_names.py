"""Names, labels and selectors as Kubernetes admits them."""

from collections.abc import Callable, Iterator

import pytest

from headrace.model.meta import LabelSelector
from rollout_controller.core.validation import names


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "example.com/a", "a" * 63])
def test_admits_qualified_names(name: str) -> None:
    assert list(names.qualified_name_problems(name)) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "name part must be non-empty"),
        ("a" * 64, "name part must be no more than 63 characters"),
        ("/a", "prefix part must be non-empty"),
        ("-", "name part must consist of alphanumeric characters"),
        ("A_B/c", "prefix part a lowercase RFC 1123 subdomain must consist of"),
        ("a/b/c", "a qualified name must consist of alphanumeric characters"),
        ("a\n", "name part must consist of alphanumeric characters"),
    ],
)
def test_says_what_is_wrong_with_a_qualified_name(name: str, problem: str) -> None:
    assert next(names.qualified_name_problems(name)).startswith(problem)


def test_says_how_a_prefix_is_written() -> None:
    (problem,) = names.qualified_name_problems("a/b/c")
    assert problem.endswith(
        " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    )


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.label_value_problems, "", "-"),
        (names.label_value_problems, "a.b", "a" * 64),
        (names.dns_label_problems, "my-name", "My-name"),
        (names.dns_label_problems, "a", "a" * 64),
        (names.subdomain_problems, "a.b-c", "a..b"),
        (names.subdomain_problems, "a", "a" * 254),
        (names.port_name_problems, "http-2", "a_b"),
        (names.port_name_problems, "a", "80"),
        (names.port_name_problems, "a", "a--b"),
        (names.port_name_problems, "a", "-a"),
        (names.port_name_problems, "a", "a" * 16),
    ],
)
def test_tells_good_from_bad(check: Callable[[str], Iterator[str]], good: str, bad: str) -> None:
    assert list(check(good)) == []
    assert len(list(check(bad))) == 1


@pytest.mark.parametrize(
    ("port", "is_good"), [(0, False), (1, True), (65535, True), (65536, False)]
)
def test_ports_have_a_range(port: int, is_good: bool) -> None:
    assert (not list(names.port_number_problems(port))) is is_good


def test_the_case_of_an_annotation_does_not_count() -> None:
    assert list(names.annotation_errors("a", {"Example.COM/x": "any value at all"})) == []
    assert len(list(names.annotation_errors("a", {"a b": ""}))) == 1


def test_a_selector_of_known_operators_can_be_evaluated() -> None:
    selector = LabelSelector.load({"matchExpressions": [{"key": "a", "operator": "Exists"}]})
    assert names.is_convertible(selector)
    selector = LabelSelector.load({"matchExpressions": [{"key": "a", "operator": "Gt"}]})
    assert not names.is_convertible(selector)
