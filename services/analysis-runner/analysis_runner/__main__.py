"""Entry point of the analysis-runner."""

from __future__ import annotations

import os
import sys

from analysis_runner.app import NAME, build
from analysis_runner.settings import RunnerSettings, with_argo_names
from headrace.runtime.process import serve
from headrace.runtime.service import run_process
from headrace.runtime.settings import parse


def main() -> None:
    """Run the service until a signal."""
    settings = parse(sys.argv[1:], with_argo_names(os.environ), RunnerSettings, NAME)
    sys.exit(run_process(lambda: serve(settings, build(settings))))


if __name__ == "__main__":
    main()
