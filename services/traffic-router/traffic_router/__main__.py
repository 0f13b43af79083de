"""Entry point of the traffic-router."""

from __future__ import annotations

import os
import sys

from headrace.runtime.process import serve
from headrace.runtime.service import run_process
from headrace.runtime.settings import parse
from traffic_router.app import NAME, build
from traffic_router.settings import RouterSettings


def main() -> None:
    """Run the service until a signal."""
    settings = parse(sys.argv[1:], os.environ, RouterSettings, NAME)
    sys.exit(run_process(lambda: serve(settings, build(settings))))


if __name__ == "__main__":
    main()
