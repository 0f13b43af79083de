"""What the documents and the comments refer to exists: links, sections, runbooks, metrics."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from headrace.runtime.metric_catalog import CATALOG
from headrace_gen.contract import Contract

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/**/*.md"))
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
CODE = sorted(
    path
    for folder in ("shared", "services", "tools", "tests")
    for path in (ROOT / folder).rglob("*.py")
)

LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """The anchors that a forge makes of a document's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        text = re.sub(r"[`*]", "", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def links(path: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(text):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path):
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def prose(path: Path) -> Iterator[str]:
    """The comments and docstrings of a module."""
    with path.open("rb") as handle:
        for token in tokenize.tokenize(handle.readline):
            is_docstring = token.type == tokenize.STRING and token.string.startswith('"""')
            if is_docstring or token.type == tokenize.COMMENT:
                yield token.string


def test_sections_that_the_code_cites_exist() -> None:
    """`canary 5.4.6` is item 6 of section 5.4: the section must be there."""
    contract = Contract(ROOT)
    missing = [
        f"{name_of(path)}: {name}"
        for path in CODE
        for name in contract.cited("\n".join(prose(path)))
        if contract.resolve(name) is None
    ]
    assert missing == []


def test_headings_of_the_architecture_that_the_code_cites_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    headings = {title.lower() for title in re.findall(r"^#+ (?:\d+\. )?(.+)$", text, re.MULTILINE)}
    cited = set()
    for path in CODE:
        found = re.findall(r'rchitecture(?:,|:) "([^"\n]+)"', path.read_text(encoding="utf-8"))
        cited |= {title.lower() for title in found}
    assert cited <= headings


def test_deviations_that_the_code_cites_exist() -> None:
    text = (ROOT / "docs" / "decisions" / "deviations.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^(\d+)\. ", text, re.MULTILINE))
    for path in CODE:
        cited = re.findall(r"\bdeviations? (\d+)", path.read_text(encoding="utf-8"))
        assert set(cited) <= known, name_of(path)


def test_decisions_are_listed_and_complete() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("0*.md"):
        assert path.name in index
        text = path.read_text(encoding="utf-8")
        for part in (
            "Context",
            "Decision",
            "Consequences",
            "Refused",
            "What would change our mind",
        ):
            assert f"**{part}." in text, f"{path.name}: {part}"


def alerts() -> list[dict[str, str]]:
    files = (ROOT / "deploy" / "monitoring" / "rules").glob("*.yaml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert {rule["alert"] for rule in alerts()} == runbooks


def test_alerts_ask_for_metrics_that_exist() -> None:
    known = set(CATALOG)
    for rule in alerts():
        asked = set(re.findall(r"\b(?:headrace|rollout|analysis)_\w+", rule["expr"]))
        assert asked, rule["alert"]
        assert asked <= known, rule["alert"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_in_documents_are_targets(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE):
        assert target in targets, target
