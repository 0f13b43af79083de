"""The numbered sections of `docs/spec`, and how code and tests name them.

A section is named by its chapter (a file without `.md`) and its number, as in `canary 4.2`;
`canary 5.4.6` is item 6 of section 5.4. The lists of edge cases are taken item by item, since
each is a promise of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SPEC: Final = Path("docs/spec")

_HEADING: Final = re.compile(r"^#{2,4} (\d+(?:\.\d+)*)[. ] *(.+)$", re.MULTILINE)
_ITEM: Final = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)
_EDGE_CASES: Final = re.compile(r"edge.cases?\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)*")
_LIST: Final = r"\d+(?:\.\d+)*(?:(?:\s*\([^)]*\))?(?:,|\s+and)\s+\d+(?:\.\d+)*)*"
_TITLE_LENGTH: Final = 90


@dataclass(frozen=True, slots=True)
class Section:
    """One numbered section, or one item of a list of edge cases.

    Attributes:
        has_text: It says something beside the sections below it.
    """

    chapter: str
    number: str
    title: str
    has_text: bool = True
    is_edge_case: bool = False

    @property
    def name(self) -> str:
        """How it is cited."""
        return f"{self.chapter} {self.number}"

    def is_below(self, name: str) -> bool:
        """Return whether it is a part of the section or chapter of that name."""
        return self.chapter == name or self.name.startswith(f"{name}.")


class Contract:
    """All sections of all chapters.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path) -> None:
        self.chapters: Final = tuple(
            sorted(path.stem for path in (root / SPEC).glob("*.md") if path.stem != "README")
        )
        self.sections: Final[Mapping[str, Section]] = {
            section.name: section
            for chapter in self.chapters
            for section in _sections(chapter, (root / SPEC / f"{chapter}.md").read_text("utf-8"))
        }
        alternatives = "|".join(re.escape(chapter) for chapter in self.chapters)
        self._citation = re.compile(rf"\b({alternatives})\s+({_LIST})")

    def cited(self, text: str) -> Iterator[str]:
        """Yield the names in a text: `canary 4.2 (cases), 5.3` are two."""
        for chapter, numbers in self._citation.findall(text):
            for number in _NUMBER.findall(re.sub(r"\([^)]*\)", "", numbers)):
                yield f"{chapter} {number}"

    def resolve(self, name: str) -> Section | None:
        """Return the section of a name, or of its item; None when there is none."""
        return self.sections.get(name) or self.sections.get(name.rpartition(".")[0])

    def below(self, name: str) -> tuple[Section, ...]:
        """Return what a section or chapter consists of."""
        return tuple(section for section in self.sections.values() if section.is_below(name))


def _sections(chapter: str, text: str) -> Iterator[Section]:
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        number, title = heading.groups()
        body = re.sub(r"^-+$", "", text[heading.end() : end], flags=re.MULTILINE).strip()
        items = _ITEM.findall(body) if _EDGE_CASES.search(title) else []
        # A heading that goes on after a colon holds its text itself.
        yield Section(chapter, number, _title(title), has_text=bool(body or ": " in title))
        for item, case in items:
            yield Section(chapter, f"{number}.{item}", _shortened(case), is_edge_case=True)


def _title(heading: str) -> str:
    """Return the words of a heading that name it, not those that already specify."""
    title = re.split(r": | — | – |; ", heading, maxsplit=1)[0]
    if title.count("(") > title.count(")"):
        title = title.rpartition("(")[0]
    return _shortened(title)


def _shortened(text: str) -> str:
    text = text.strip().rstrip(".:")
    if len(text) <= _TITLE_LENGTH:
        return text
    return text[:_TITLE_LENGTH].rsplit(" ", 1)[0] + " …"
