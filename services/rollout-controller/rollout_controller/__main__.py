"""Entry point of the rollout-controller."""

from __future__ import annotations

import os
import sys

from headrace.runtime.process import serve
from headrace.runtime.service import run_process
from headrace.runtime.settings import parse
from rollout_controller.app import NAME, build
from rollout_controller.settings import ControllerSettings


def main() -> None:
    """Run the service until a signal."""
    settings = parse(sys.argv[1:], os.environ, ControllerSettings, NAME)
    sys.exit(run_process(lambda: serve(settings, build(settings))))


if __name__ == "__main__":
    main()
