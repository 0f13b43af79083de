"""Selectors in text form."""

from __future__ import annotations

import pytest

from headrace.errors import Rejected
from headrace.kubernetes.selectors import parse_field_selector, parse_label_selector

LABELS = {"app": "web", "tier": "front", "example.com/role": "canary", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=other", False),
        ("app!=other", True),
        ("absent!=other", True),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("! app", False),
        ("empty=", True),
        ("app in (web, api)", True),
        ("app in (api)", False),
        ("app notin (web,api)", False),
        ("absent notin (web)", True),
        ("app in (web,api),tier=front,example.com/role=canary,!absent", True),
        ("app in (web,api),tier=back", False),
    ],
)
def test_a_label_selector_selects(text: str, *, matches: bool) -> None:
    assert parse_label_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize("text", ["app in web", "=web", "app=web,", "a b", "app=(web)x y"])
def test_refuses_what_is_no_label_selector(text: str) -> None:
    with pytest.raises(Rejected):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name=b", False),
        ("metadata.name!=b", True),
        ("metadata.name=a,status.phase!=Failed", True),
        ("metadata.name=a,status.phase=Running", False),
        ("spec.nodeName=", True),
    ],
)
def test_a_field_selector_selects(text: str, *, matches: bool) -> None:
    manifest = {"metadata": {"name": "a"}, "status": {"phase": "Pending"}}
    requirements = parse_field_selector(text)
    assert all(requirement.matches(manifest) for requirement in requirements) is matches


def test_refuses_what_is_no_field_selector() -> None:
    with pytest.raises(Rejected):
        parse_field_selector("metadata.name")
