"""Names, labels and selectors as Kubernetes admits them.

Functions named `*_problems` yield texts without a path; the others yield whole errors.

Source: k8s.io/apimachinery v0.34.5, util/validation and apis/meta/v1/validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from headrace.model.meta import LabelSelector, LabelSelectorRequirement
from rollout_controller.core.validation import fields

_PART_MAX: Final = 63
_SUBDOMAIN_MAX: Final = 253
_PORT_NAME_MAX: Final = 15
_PORT_MAX: Final = 65535

_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_EDGES: Final = "and must start and end with an alphanumeric character"
_WORDS: Final = f"must consist of alphanumeric characters, '-', '_' or '.', {_EDGES}"
_EMPTY: Final = "must be non-empty"

_OPERATORS_WITH_VALUES: Final = ("In", "NotIn")
_OPERATORS_WITHOUT_VALUES: Final = ("Exists", "DoesNotExist")
_VALUES_NEEDED: Final = "must be specified when `operator` is 'In' or 'NotIn'"
_VALUES_UNWANTED: Final = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"


def qualified_name_problems(name: str) -> Iterator[str]:
    """Yield what is wrong with a label or annotation key, `[prefix/]name`."""
    prefix, slash, part = name.rpartition("/")
    wanted = _does_not_match(_WORDS, _QUALIFIED, "MyName", "my.name", "123-abc")
    if "/" in prefix:
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield f"a qualified name {wanted} {optional}"
        return
    if slash and not prefix:
        yield f"prefix part {_EMPTY}"
    elif slash:
        yield from (f"prefix part {problem}" for problem in subdomain_problems(prefix))
    if not part:
        yield f"name part {_EMPTY}"
    elif len(part) > _PART_MAX:
        yield f"name part {_too_long(_PART_MAX)}"
    if not _is(part, _QUALIFIED):
        yield f"name part {wanted}"


def is_qualified_name(name: str) -> bool:
    """Return whether a text can be the key of a label."""
    return next(qualified_name_problems(name), None) is None


def label_value_problems(value: str) -> Iterator[str]:
    """Yield what is wrong with the value of a label."""
    if len(value) > _PART_MAX:
        yield _too_long(_PART_MAX)
    pattern = f"({_QUALIFIED})?"
    if not _is(value, pattern):
        yield _does_not_match(
            "a valid label must be an empty string or consist of alphanumeric characters, "
            f"'-', '_' or '.', {_EDGES}",
            pattern,
            "MyValue",
            "my_value",
            "12345",
        )


def dns_label_problems(name: str) -> Iterator[str]:
    """Yield what is wrong with the name of a container or a volume."""
    if len(name) > _PART_MAX:
        yield _too_long(_PART_MAX)
    if not _is(name, _LABEL):
        yield _does_not_match(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
            f"or '-', {_EDGES}",
            _LABEL,
            "my-name",
            "123-abc",
        )


def subdomain_problems(name: str) -> Iterator[str]:
    """Yield what is wrong with the name of an object, or the prefix of a label."""
    if len(name) > _SUBDOMAIN_MAX:
        yield _too_long(_SUBDOMAIN_MAX)
    if not _is(name, _SUBDOMAIN):
        yield _does_not_match(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            f"'-' or '.', {_EDGES}",
            _SUBDOMAIN,
            "example.com",
        )


def port_number_problems(port: int) -> Iterator[str]:
    """Yield what is wrong with the number of a port."""
    if not 1 <= port <= _PORT_MAX:
        yield f"must be between 1 and {_PORT_MAX}, inclusive"


def port_name_problems(name: str) -> Iterator[str]:
    """Yield what is wrong with the name of a port."""
    if len(name) > _PORT_NAME_MAX:
        yield _too_long(_PORT_NAME_MAX)
    if not _is(name, "[-a-z0-9]+"):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        yield "must contain at least one letter (a-z)"
    if "--" in name:
        yield "must not contain consecutive hyphens"
    if name.startswith("-") or name.endswith("-"):
        yield "must not begin or end with a hyphen"


def label_errors(path: str, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with keys and values of labels."""
    for key in sorted(labels):
        for problem in qualified_name_problems(key):
            yield fields.invalid(path, key, problem)
        for problem in label_value_problems(labels[key]):
            yield fields.invalid(path, labels[key], problem)


def annotation_errors(path: str, annotations: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with keys of annotations, whose case does not count."""
    for key in sorted(annotations):
        for problem in qualified_name_problems(key.lower()):
            yield fields.invalid(path, key, problem)


def selector_errors(path: str, selector: LabelSelector) -> Iterator[str]:
    """Yield what is wrong with a label selector."""
    yield from label_errors(f"{path}.matchLabels", selector.match_labels)
    for index, requirement in enumerate(selector.match_expressions):
        yield from _requirement_errors(f"{path}.matchExpressions[{index}]", requirement)


def is_convertible(selector: LabelSelector) -> bool:
    """Return whether a selector can be evaluated at all."""
    return next(iter(selector_errors("", selector)), None) is None


def _requirement_errors(path: str, requirement: LabelSelectorRequirement) -> Iterator[str]:
    if requirement.operator in _OPERATORS_WITH_VALUES:
        if not requirement.values:
            yield fields.required(f"{path}.values", _VALUES_NEEDED)
    elif requirement.operator in _OPERATORS_WITHOUT_VALUES:
        if requirement.values:
            yield fields.forbidden(f"{path}.values", _VALUES_UNWANTED)
    else:
        detail = "not a valid selector operator"
        yield fields.invalid(f"{path}.operator", requirement.operator, detail)
    for problem in qualified_name_problems(requirement.key):
        yield fields.invalid(f"{path}.key", requirement.key, problem)
    for index, value in enumerate(requirement.values):
        for problem in label_value_problems(value):
            yield fields.invalid(f"{path}.values[{index}]", value, problem)


def _is(text: str, pattern: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _too_long(length: int) -> str:
    return f"must be no more than {length} characters"


def _does_not_match(problem: str, pattern: str, *examples: str) -> str:
    # The comma before "or" is how Kubernetes has always said it.
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{problem} (e.g. {shown}regex used for validation is '{pattern}')"
