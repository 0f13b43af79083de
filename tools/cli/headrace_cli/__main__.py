"""Entry points: `headrace`, `kubectl-headrace`, and kubectl's helper for its completion."""

from __future__ import annotations

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

from headrace.runtime.output import watched_output
from headrace_cli import interrupts


def main() -> None:
    """Run the command line."""
    interrupts.end_at_once()
    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    name = "kubectl headrace" if is_plugin else "headrace"
    with watched_output(name):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # whatever the locale: signs are UTF-8
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        from headrace_cli.app import build
        from headrace_cli.commands.completion import VARIABLE, enable

        if VARIABLE in os.environ:
            enable()
        build()(prog_name=name, complete_var=VARIABLE)


def complete_for_kubectl() -> None:
    """Answer `kubectl_complete-headrace WORD...`, by which kubectl completes `kubectl headrace`.

    Each line is a word and its help; the last one tells the shell whether it may offer files.
    """
    from headrace_cli.commands.completion import FILES, NO_FILES, VARIABLE

    *before, last = sys.argv[1:] or [""]
    line = f"{shlex.join(['headrace', *before])} {shlex.quote(last) if last else ''}"
    os.environ |= {
        VARIABLE: "complete_fish",  # the shell whose answers have the form that kubectl reads
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": line,
    }
    answer = io.StringIO()
    with redirect_stdout(answer), suppress(SystemExit):
        main()
    words = answer.getvalue().strip("\n")
    with watched_output("kubectl_complete-headrace"):
        sys.stdout.write(f"{words}\n{NO_FILES}\n" if words else f"{FILES}\n")


if __name__ == "__main__":
    main()
