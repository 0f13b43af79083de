"""Standard output that nobody reads, that is full, or closed: an end without a traceback.

The programs run as processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(60), pytest.mark.spec("cli-and-clients 1")]

COMMANDS = {
    "headrace version": "headrace",
    "headrace --help": "headrace",
    "headrace completion bash": "headrace",
    "kubectl-headrace get rollout --help": "kubectl headrace",
    "kubectl_complete-headrace ''": "kubectl_complete-headrace",
    "headrace-sandbox --list": "headrace-sandbox",
    "rollout-controller --check-config --bus memory": "rollout-controller",
    "python -m headrace_lab --help": "headrace-lab",
    "python -m headrace_demo --help": "headrace-demo",
}
"""By what each of them calls itself."""
BINARIES = Path(sys.executable).parent


def run(command: str, output: int = subprocess.DEVNULL) -> tuple[int, str]:
    """Return exit code and standard error of a line of shell."""
    environ = os.environ | {"PATH": f"{BINARIES}:{os.environ['PATH']}", "KUBECONFIG": "/dev/null"}
    done = subprocess.run(
        ["sh", "-c", command],
        env=environ,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_reads(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(command, writing) == (141, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(command: str) -> None:
    code, said = run(f"{command} >/dev/full")
    assert (
        said == f"{COMMANDS[command]}: standard output cannot be written: No space left on device\n"
    )
    assert code == 1


def test_a_closed_output() -> None:
    code, said = run("headrace version >&-")
    assert said == "headrace: standard output cannot be written: Bad file descriptor\n"
    assert code == 1


def test_no_output_at_all() -> None:
    assert run("headrace version >&- 2>&-") == (1, "")


def test_what_is_read_is_whole() -> None:
    code, said = run("headrace version --short | grep -qx 'headrace: v.*'")
    assert (code, said) == (0, "")
