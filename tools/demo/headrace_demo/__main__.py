"""`python -m headrace_demo`: the main job, shown.

Without flags: in one process, on a cluster and a broker in memory, with simulated requests.
With --lab: on real parts, with true requests (`make lab-up` keeps them for more than once).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

from rich.console import Console

from headrace.runtime import logs
from headrace.runtime.output import watched_output
from headrace_demo.acts import ACTS, perform
from headrace_demo.errors import Stopped
from headrace_demo.lab_story import tell_on_lab
from headrace_demo.live import LiveView
from headrace_demo.plain import PlainView
from headrace_demo.stage import Direction
from headrace_demo.views import Outcome, View
from headrace_demo.world import running_world
from headrace_lab.errors import LabError

INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code: 0 when everything went as it should."""
    with watched_output("headrace-demo"):
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    logs.configure(arguments.log_level)
    console = Console(highlight=False)
    if arguments.lab:
        return _demo_on_lab(arguments.dir, console)
    view: View = LiveView(console) if _is_drawable(console) else PlainView(console)
    code = INTERRUPTED
    with suppress(KeyboardInterrupt):
        code = asyncio.run(_demo(arguments.act or range(1, len(ACTS) + 1), view))
    return code


def _demo_on_lab(directory: Path, console: Console) -> int:
    # An asked end stops the lab like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if tell_on_lab(directory, console) else 1
    except LabError as error:
        sys.stderr.write(f"headrace-demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


async def _demo(numbers: Sequence[int], view: View) -> int:
    outcomes: list[Outcome] = []
    try:
        async with running_world() as world:
            for number in numbers:
                outcomes.append(await perform(world, number, view, Direction()))
    except* Stopped as stopped:
        raise KeyboardInterrupt from stopped
    view.summarize(outcomes)
    return 0 if all(outcome.is_success for outcome in outcomes) else 1


def _is_drawable(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m headrace_demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--act",
        type=int,
        action="append",
        choices=range(1, len(ACTS) + 1),
        help="play this act only (may be repeated)",
    )
    parser.add_argument("--log-level", choices=get_args(logs.Level), default="error")
    parser.add_argument("--lab", action="store_true", help="play on the real parts")
    parser.add_argument("--dir", type=Path, default=Path(".lab"), help="folder of the lab")
    return parser


if __name__ == "__main__":
    sys.exit(main())
