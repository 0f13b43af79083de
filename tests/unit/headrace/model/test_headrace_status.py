from __future__ import annotations

import pytest

from headrace.model.headrace_status import HeadraceStatus

UNREADABLE: tuple[object, ...] = (
    None,
    "text",
    3,
    ["list"],
    {"epoch": "x"},
    {"route": {"epoch": 1}},
    {"history": [{}]},
)


@pytest.mark.parametrize("raw", UNREADABLE)
def test_what_cannot_be_read_counts_as_lost(raw: object) -> None:
    assert HeadraceStatus.remembered(raw) == HeadraceStatus()


def test_what_can_be_read_is_remembered() -> None:
    assert HeadraceStatus.remembered({"epoch": 3, "later": 1}) == HeadraceStatus(epoch=3)
