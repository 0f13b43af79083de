"""`python -m headrace_lab up|down|status|env|run|check-tools`: the lab from a command line."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from headrace.runtime.output import watched_output
from headrace_lab.borrow import borrowed_lab
from headrace_lab.cache import Cache
from headrace_lab.errors import LabError
from headrace_lab.lab import DIRECTORY_VARIABLE, Lab, check_tools, default_directory
from headrace_lab.parts import select
from headrace_lab.progress import Progress
from headrace_lab.state import Options, Profile


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    with watched_output("headrace-lab"):
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    # An asked end cleans up like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code: int = arguments.run(arguments)
    except LabError as error:
        sys.stderr.write(f"headrace-lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _up(arguments: argparse.Namespace) -> int:
    options = None
    if arguments.profile is not None or arguments.audit:
        options = Options(profile=arguments.profile or "default", audit=arguments.audit)
    progress = Progress()
    with progress.step(f"the lab in {arguments.dir}"):
        lab = Lab.start(
            arguments.dir,
            parts=arguments.parts,
            options=options,
            ports=arguments.ports,
            progress=progress,
        )
    _write(_summary(lab))
    return 0


def _down(arguments: argparse.Namespace) -> int:
    Lab(arguments.dir).stop(keep_data=arguments.keep_data)
    sys.stderr.write("nothing of the lab is running\n")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    statuses = Lab.attach(arguments.dir).status()
    for status in statuses:
        word = "ready" if status.ready else "running, not ready" if status.running else "down"
        _write(f"{status.name:<20} {status.pid or '-':>8}  {word}")
    return 0 if all(status.ready for status in statuses) else 3


def _check_tools(arguments: argparse.Namespace) -> int:
    del arguments
    check_tools(Cache(), select(None))
    return 0


def _run(arguments: argparse.Namespace) -> int:
    # argparse keeps the -- that ends our own options.
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise LabError("no command to run: python -m headrace_lab run [OPTIONS] COMMAND …")
    os.environ[DIRECTORY_VARIABLE] = str(arguments.dir.resolve())
    with borrowed_lab(parts=arguments.parts, progress=Progress()) as lab:
        os.environ.update(_variables(lab))
        try:
            return subprocess.run(command, check=False).returncode
        except OSError as error:
            raise LabError(f"{command[0]} cannot be run: {error}") from error


def _env(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.dir)
    if arguments.json:
        _write(json.dumps(lab.describe(), indent=2))
        return 0
    for name, value in _variables(lab).items():
        _write(f"export {name}={shlex.quote(value)}")
    return 0


def _variables(lab: Lab) -> dict[str, str]:
    return {
        "KUBECONFIG": str(lab.kubeconfig("admin")),
        DIRECTORY_VARIABLE: str(lab.directory),
        "HEADRACE_LAB_BOOTSTRAP_SERVERS": lab.bootstrap_servers,
        "HEADRACE_LAB_PROMETHEUS_URL": lab.prometheus_url,
        "HEADRACE_LAB_ENVOY_URL": lab.envoy_url,
    }


def _summary(lab: Lab) -> str:
    return "\n".join(
        [
            f"API server    {lab.api_server_url}   export KUBECONFIG={lab.kubeconfig('admin')}",
            f"Kafka         {lab.bootstrap_servers}",
            f"Prometheus    {lab.prometheus_url}",
            f"Envoy         {lab.envoy_url}   admin {lab.envoy_admin_url}",
            f"logs          {lab.directory}/logs",
        ]
    )


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


def _ports(text: str) -> dict[str, int]:
    try:
        return {
            name: int(port) for name, port in (pair.split("=") for pair in text.split(",") if pair)
        }
    except ValueError as error:
        raise argparse.ArgumentTypeError("expected name=port,name=port") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace_lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start the lab, or what is not running of it")
    up.add_argument("--profile", choices=get_args(Profile))
    up.add_argument("--audit", action="store_true", help="let the API server log every request")
    up.add_argument("--ports", type=_ports, default={}, metavar="NAME=PORT,…")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="stop everything of the lab")
    down.add_argument("--keep-data", action="store_true", help="the next up goes on with the data")
    down.set_defaults(run=_down)

    status = commands.add_parser("status", help="what runs; exit code 3 when a part does not")
    status.set_defaults(run=_status)

    env = commands.add_parser("env", help="print addresses as shell exports")
    env.add_argument("--json", action="store_true")
    env.set_defaults(run=_env)

    tools = commands.add_parser(
        "check-tools", help="say what the machine lacks to build and run the lab"
    )
    tools.set_defaults(run=_check_tools)

    run = commands.add_parser(
        "run", help="run a command with a lab: the one that runs, else one for the time"
    )
    run.set_defaults(run=_run)

    for command in (up, run):
        command.add_argument(
            "--parts",
            type=lambda text: text.split(","),
            help="only these, with what they need (kubernetes, kafka, prometheus, pods, traffic)",
        )
    for command in (up, down, status, env, run):
        command.add_argument(
            "--dir",
            type=Path,
            default=default_directory(),
            help=f"the lab's folder (default ${DIRECTORY_VARIABLE}, else .lab)",
        )
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND …")
    return parser


if __name__ == "__main__":
    sys.exit(main())
