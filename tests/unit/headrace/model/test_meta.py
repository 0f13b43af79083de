from __future__ import annotations

import pytest

from headrace.model.meta import (
    LabelSelector,
    ObjectMeta,
    format_label_selector,
    format_micro_time,
    format_time,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-02T03:04:05Z", 1767323045),
        ("2026-01-02T03:04:05.25Z", 1767323045.25),
        ("2026-01-02T05:04:05+02:00", 1767323045),
        ("2026-01-01T21:34:05-05:30", 1767323045),
        ("2026-01-02t03:04:05z", 1767323045),
        ("1969-12-31T23:59:59Z", -1),
        ("0001-01-01T00:00:00Z", -62135596800),
    ],
)
def test_times_are_seconds_since_the_epoch(text: str, instant: float) -> None:
    assert parse_time(text) == instant


@pytest.mark.parametrize("text", ["", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z"])
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2026-01-02T03:04:05Z"])
def test_times_print_as_they_were_read(text: str) -> None:
    assert format_time(parse_time(text)) == text


def test_fractions_of_a_second_are_cut_off() -> None:
    assert format_time(1767323045.999) == "2026-01-02T03:04:05Z"
    assert format_time(-0.5) == "1969-12-31T23:59:59Z"


def test_leases_get_microseconds() -> None:
    assert format_micro_time(1767323045.25) == "2026-01-02T03:04:05.250000Z"


def test_the_controller_is_the_owner_that_says_so() -> None:
    owner = {"apiVersion": "v1", "kind": "X", "name": "a", "uid": "1"}
    meta = ObjectMeta.load(
        {"ownerReferences": [owner, {**owner, "uid": "2", "controller": True}], "labels": {}}
    )
    controller = meta.controller()
    assert controller is not None
    assert controller.uid == "2"
    assert ObjectMeta().controller() is None


SELECTOR = LabelSelector.load(
    {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "edge"]},
            {"key": "color", "operator": "NotIn", "values": ["red"]},
            {"key": "keep", "operator": "Exists"},
            {"key": "legacy", "operator": "DoesNotExist"},
        ],
    }
)


@pytest.mark.parametrize(
    ("labels", "is_selected"),
    [
        ({"app": "web", "tier": "edge", "keep": ""}, True),
        ({"app": "web", "tier": "edge", "keep": "", "color": "blue"}, True),
        ({"app": "web", "tier": "edge", "keep": "", "color": "red"}, False),
        ({"app": "web", "tier": "back", "keep": ""}, False),
        ({"app": "web", "keep": ""}, False),
        ({"app": "web", "tier": "edge"}, False),
        ({"app": "web", "tier": "edge", "keep": "", "legacy": ""}, False),
        ({"tier": "edge", "keep": ""}, False),
    ],
)
def test_a_selector_selects_by_all_its_requirements(
    labels: dict[str, str], is_selected: bool
) -> None:
    assert SELECTOR.matches(labels) is is_selected


def test_an_empty_selector_selects_everything() -> None:
    assert LabelSelector().is_empty()
    assert LabelSelector().matches({})


def test_an_unknown_operator_selects_nothing() -> None:
    selector = LabelSelector.load({"matchExpressions": [{"key": "a", "operator": "Gt"}]})
    assert not selector.matches({"a": "2"})
    assert format_label_selector(selector) == "<error>"


def test_selectors_print_as_kubernetes_prints_them() -> None:
    assert (
        format_label_selector(SELECTOR)
        == "app=web,color notin (red),keep,!legacy,tier in (edge,front)"
    )
    assert format_label_selector(LabelSelector()) == "<none>"
    assert format_label_selector(None) == "<none>"
