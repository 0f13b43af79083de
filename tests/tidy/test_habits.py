"""Habits that no linter knows: logs, adapters, reasons, tests, and what the tree may name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from headrace.model.conditions import Reason

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(
    path for folder in ("shared", "services", "tools") for path in (ROOT / folder).rglob("*.py")
)
SERVICES = [path for path in PRODUCT if path.is_relative_to(ROOT / "services")]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
IMPORT_ROOTS = (
    "shared",
    *(f"services/{path.name}" for path in (ROOT / "services").iterdir()),
    *(f"tools/{path.name}" for path in (ROOT / "tools").iterdir()),
)

LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}
ADAPTERS = {"KafkaBus", "KubeCluster", "MemoryBroker", "MemoryBus", "MemoryCluster", "SystemClock"}
COMPOSITION = (
    "shared/headrace/runtime/process.py",
    "tools/demo/headrace_demo/world.py",
    "tools/rehearsal/headrace_rehearsal/world.py",
    "tools/cli/headrace_cli/",
    "tools/sandbox/headrace_sandbox/world.py",
)
TEXTS = [
    path
    for folder in ("shared", "services", "tools", "deploy", "docs", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".yaml", ".yml", ".sh", ".go", ".json")
]
OUTSIDE = re.compile(r"\.\./shared(?!/headrace)|/work/")
"""Files that only the machine of an author has."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))


def test_log_messages_are_constant() -> None:
    """Data are keys: a message that varies cannot be counted or searched."""
    found = []
    for path in PRODUCT:
        for call in calls(path):
            function = call.func
            if (
                isinstance(function, ast.Attribute)
                and function.attr in LOG_METHODS
                and ast.unparse(function.value) in ("log", "self._log")
                and not (call.args and _is_constant(call.args[0]))
            ):
                found.append(f"{name_of(path)}:{call.lineno}")
    assert found == []


def _is_constant(message: ast.expr) -> bool:
    """Whether it is one text, or one of two."""
    if isinstance(message, ast.IfExp):
        return _is_constant(message.body) and _is_constant(message.orelse)
    return isinstance(message, ast.Constant)


def test_adapters_are_made_where_a_process_is_composed() -> None:
    found = []
    for path in PRODUCT:
        if name_of(path).startswith(COMPOSITION):
            continue
        for call in calls(path):
            maker = ast.unparse(call.func).partition(".")[0]
            if maker in ADAPTERS:
                found.append(f"{name_of(path)}:{call.lineno} {maker}")
    assert found == []


def test_nothing_is_made_when_a_module_is_imported() -> None:
    """A statement at the top that only calls has an effect on whoever imports it."""
    found = []
    for path in PRODUCT:
        if path.name == "__main__.py":
            continue
        for node in tree_of(path).body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                found.append(f"{name_of(path)}:{node.lineno}")
    assert found == []


def test_reasons_come_from_the_registry() -> None:
    reasons = {str(reason) for reason in Reason}
    found = [
        f"{name_of(path)}:{node.lineno} {node.value}"
        for path in SERVICES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and node.value in reasons and _is_word(str(node.value))
    ]
    assert found == []


def _is_word(reason: str) -> bool:
    """Whether it cannot be anything else: `Healthy` or `Available` are phases and types, too."""
    return len(re.findall("[A-Z]", reason)) > 1 and reason not in ("InvalidSpec", "ReplicaFailure")


def test_tests_patch_no_code() -> None:
    """Fakes are the memory adapters, which pass the contract tests of the real ones."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in TESTS
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unittest"))
        or (isinstance(node, ast.Import) and any("mock" in name.name for name in node.names))
    ]
    assert found == []


def test_unit_tests_stand_where_their_modules_stand() -> None:
    """`tests/unit/headrace/runtime/test_lease.py` is about `headrace.runtime.lease`."""
    unit = ROOT / "tests" / "unit"
    folders = {path.parent.relative_to(unit) for path in unit.rglob("test_*.py")}
    found = [
        str(folder)
        for folder in sorted(folders)
        if folder.parts[0] not in ("examples", "sample_app")
        and not any((ROOT / root / folder).is_dir() for root in IMPORT_ROOTS)
    ]
    assert found == []


def test_the_tree_names_nothing_outside_it() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert found == []
