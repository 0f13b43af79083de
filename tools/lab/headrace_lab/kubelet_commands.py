"""What a container without a process would do, guessed from its command.

Only the shapes that manifests use to wait and to fail: `sleep 3`, `sh -c "sleep 1; exit 1"`,
`true`, `false`, `echo …`. Everything else counts as a program that runs until it is stopped.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

_SHELLS = ("sh", "bash", "ash")
_SILENT = ("true", ":", "echo", "printf", "set", "trap")
_SEPARATORS = re.compile(r"&&|;|\n")
_UNIT_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Script:
    """A program that ends by itself."""

    seconds: float
    exit_code: int


def parse_command(argv: Sequence[str]) -> Script | None:
    """The script behind a container's command and args, None if it would run until stopped."""
    if not argv:
        return None
    if _program(argv[0]) not in _SHELLS:
        return _run([list(argv)])
    script = next((word for word in argv[1:] if not word.startswith("-")), "")
    return _run([shlex.split(line) for line in _SEPARATORS.split(script) if line.strip()])


def sleep_seconds(hook: dict[str, object]) -> float:
    """How long a lifecycle hook takes: its `sleep`, or an `exec` that sleeps."""
    match hook:
        case {"sleep": {"seconds": int(seconds)}}:
            return float(seconds)
        case {"exec": {"command": [*argv]}}:
            script = parse_command([str(word) for word in argv])
            return script.seconds if script is not None else 0.0
    return 0.0


def _run(lines: Sequence[Sequence[str]]) -> Script | None:
    seconds = 0.0
    for line in lines:
        match [_program(line[0]), *line[1:]]:
            case ["sleep", duration]:
                if (pause := _duration(duration)) is None:
                    return None
                seconds += pause
            case ["exit", *code]:
                return Script(seconds, int(code[0]) if code else 0)
            case ["false", *_]:
                return Script(seconds, 1)
            case [program, *_] if program in _SILENT:
                continue
            case _:
                return None
    return Script(seconds, 0)


def _duration(text: str) -> float | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    return float(match[1]) * _UNIT_SECONDS[match[2]] if match else None


def _program(path: str) -> str:
    return path.rpartition("/")[2]
