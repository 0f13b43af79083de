"""Every section of the contract is shown by code and a test, or its absence is stated."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace_gen.compatibility import SCOPE, Index

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(ROOT)


@pytest.mark.parametrize("scope", SCOPE)
def test_a_section_is_shown_or_its_absence_is_stated(index: Index, scope: str) -> None:
    rows = index.rows(scope)
    assert rows
    assert [row.section.name for row in rows if not row.is_told] == []


def test_citations_marks_and_gaps_name_sections_that_exist(index: Index) -> None:
    assert index.unknown() == []


def test_a_gap_that_is_closed_is_not_stated_any_more(index: Index) -> None:
    assert index.stale_gaps() == []
