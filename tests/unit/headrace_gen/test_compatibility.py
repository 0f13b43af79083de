"""The table of compatibility, over a small tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace_gen.compatibility import GAPS, PATH, Index, render

SPEC = """\
# Canary

## 1. Order: first things first

## 2. Steps
### 2.1 Weights
Text.
### 2.2 Pauses — with durations
Text.

## 3. Edge cases
1. no pods: nothing moves
2. no stable
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of one chapter, one module and one test."""
    files = {
        "docs/spec/canary.md": SPEC,
        "docs/spec/README.md": "## 1. Nothing\n",
        "services/x/x/core.py": '"""Steps.\n\nSource: canary 1 (order), 2.1.\n"""\n',
        "tests/unit/test_core.py": (
            "pytestmark = pytest.mark.spec('canary 2.1')\n"
            "@pytest.mark.spec('canary 3.1')\n"
            "@pytest.mark.spec('canary 1')\n"
            "def test(): ...\n"
        ),
        GAPS: "canary 1: only on Mondays\ncanary 2: not built\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_section_is_done_when_code_and_a_test_stand_for_it(root: Path) -> None:
    rows = {row.section.number: row for row in Index(root).rows("canary")}
    assert {number: row.state for number, row in rows.items()} == {
        "1": "partly: only on Mondays",
        "2": "",
        "2.1": "done",
        "2.2": "not done: not built",
        "3": "",
        "3.1": "done",
        "3.2": "not done: ",
    }
    assert [number for number, row in rows.items() if not row.is_told] == ["3.2"]
    assert rows["2.1"].modules == ("services/x/x/core.py",)
    assert rows["2.2"].section.title == "Pauses"


def test_what_is_cited_must_exist(root: Path) -> None:
    assert Index(root).unknown() == []
    (root / "services/x/x/core.py").write_text('"""By canary 2.1.4, canary 4."""\n')
    (root / GAPS).write_text("canary 9: x\nroads: x\n")
    assert Index(root).unknown() == [
        "services/x/x/core.py: canary 4",
        f"{GAPS}: canary 9",
        f"{GAPS}: roads",
    ]


def test_a_gap_about_a_whole_that_is_shown_is_stale(root: Path) -> None:
    assert Index(root).stale_gaps() == []
    (root / GAPS).write_text("canary 2.1: half\ncanary 2: not built\ncanary 3: no\n")
    (root / "tests/unit/test_more.py").write_text(
        "pytestmark = [pytest.mark.spec('canary 2.2'), pytest.mark.spec('canary 3.2')]\n"
    )
    assert Index(root).stale_gaps() == ["canary 3"]
    (root / "services/x/x/more.py").write_text('"""Pauses (canary 2.2)."""\n')
    assert Index(root).stale_gaps() == ["canary 2", "canary 3"]


def test_a_mark_must_be_a_plain_text(root: Path) -> None:
    (root / "tests/unit/test_more.py").write_text("pytest.mark.spec(f'canary {n}')\n")
    with pytest.raises(ValueError, match=r"test_more\.py:1: a section must be a plain text"):
        Index(root)


def test_the_document_has_the_index_both_ways(root: Path) -> None:
    text = render(root)[PATH]
    module, test = "[x/core](../services/x/x/core.py)", "[test_core](../tests/unit/test_core.py)"
    assert f"| 2.1 | Weights | done | {module} | {test} |" in text
    assert f"| {module} | [canary](spec/canary.md) 1, 2.1 |" in text
