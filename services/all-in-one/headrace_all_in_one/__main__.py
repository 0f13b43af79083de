"""Entry point of the all-in-one."""

from __future__ import annotations

import os
import sys

from analysis_runner.settings import with_argo_names
from headrace.runtime.process import serve
from headrace.runtime.service import run_process
from headrace.runtime.settings import parse
from headrace_all_in_one.app import NAME, build
from headrace_all_in_one.settings import AllInOneSettings


def main() -> None:
    """Run the three services until a signal."""
    settings = parse(
        sys.argv[1:], with_argo_names(os.environ), AllInOneSettings, f"headrace-{NAME}"
    )
    sys.exit(run_process(lambda: serve(settings, build(settings))))


if __name__ == "__main__":
    main()
