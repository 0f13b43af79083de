"""Entry point of `headrace` and `kubectl-headrace`."""

from __future__ import annotations

import sys
from pathlib import Path

from headrace_cli.app import build


def main() -> None:
    """Run the command line."""
    name = Path(sys.argv[0]).name
    is_plugin = name.startswith("kubectl-")
    build()(prog_name="kubectl headrace" if is_plugin else "headrace")


if __name__ == "__main__":
    main()
