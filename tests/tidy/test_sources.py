"""The house rules that a reader relies on, as tests: sizes, handlers, packages, words."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = [ROOT / "shared", ROOT / "services", ROOT / "tools"]
FILES = sorted(path for folder in PRODUCT for path in folder.rglob("*.py"))

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
PARAMETERS_MAX = 8
BROAD_HANDLERS = {
    "shared/headrace/runtime/reconciler.py",
    "shared/headrace/runtime/consumer.py",
}
BANNED_NAMES = {"utils", "helpers", "common", "base_utils", "misc"}
PURE = (
    "shared/headrace/model",
    "shared/headrace/events",
    "shared/headrace/routes",
    "shared/headrace/expression",
    "shared/headrace/kubernetes",
    "services/rollout-controller/rollout_controller/core",
    "services/traffic-router/traffic_router/core",
    "services/analysis-runner/analysis_runner/core",
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_have_a_size_that_can_be_read(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= FILE_LINES_MAX, f"{lines} lines"
    for function in functions(tree_of(path)):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{function.name}: {length} lines"
        arguments = function.args
        count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
        assert count <= PARAMETERS_MAX, f"{function.name}: {count} parameters"


def test_broad_handlers_stand_at_the_two_boundaries_only() -> None:
    found = set()
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler) and _swallows_all(node):
                found.add(name_of(path))
    assert found <= BROAD_HANDLERS


def _swallows_all(handler: ast.ExceptHandler) -> bool:
    kind = handler.type
    is_broad = kind is None or (
        isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")
    )
    last = handler.body[-1]
    return is_broad and not (isinstance(last, ast.Raise) and last.exc is None)


def test_no_module_is_a_drawer_for_everything() -> None:
    assert [name_of(path) for path in FILES if path.stem in BANNED_NAMES] == []


def test_every_typed_package_is_in_the_wheel() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    marked = {name_of(path.parent) for folder in PRODUCT for path in folder.rglob("py.typed")}
    assert listed == marked


@pytest.mark.parametrize("package", PURE)
def test_pure_dataclasses_are_frozen_and_slotted(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        if path.stem not in ("observed", "plan"):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                for decorator in node.decorator_list:
                    if "dataclass" in ast.unparse(decorator):
                        text = ast.unparse(decorator)
                        assert "frozen=True" in text, f"{name_of(path)}: {node.name}"
                        assert "slots=True" in text, f"{name_of(path)}: {node.name}"


def test_modules_say_what_they_are_for() -> None:
    missing = [name_of(path) for path in FILES if not ast.get_docstring(tree_of(path))]
    assert missing == []


def test_tasks_are_owned() -> None:
    """A task that nobody holds is lost when it fails: TaskGroup, or a tracked set."""
    found = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                call = ast.unparse(node.value.func)
                if call in ("asyncio.create_task", "asyncio.ensure_future"):
                    found.append(f"{name_of(path)}:{node.lineno}")
    assert found == []


def test_todos_name_an_issue() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "TODO" in line and not re.search(r"TODO\(#\d+\)", line)
    ]
    assert found == []
