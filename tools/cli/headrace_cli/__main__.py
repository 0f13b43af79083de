"""Entry point of `headrace` and `kubectl-headrace`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from headrace_cli import interrupts


def main() -> None:
    """Run the command line."""
    interrupts.end_at_once()
    from headrace_cli.app import build
    from headrace_cli.commands.completion import VARIABLE, enable

    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    if VARIABLE in os.environ:
        enable()
    build()(prog_name="kubectl headrace" if is_plugin else "headrace", complete_var=VARIABLE)


if __name__ == "__main__":
    main()
