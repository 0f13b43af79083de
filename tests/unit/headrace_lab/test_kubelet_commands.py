from __future__ import annotations

import pytest

from headrace_lab.kubelet_commands import Script, parse_command, sleep_seconds


@pytest.mark.parametrize(
    ("argv", "script"),
    [
        (["sleep", "3"], Script(3.0, 0)),
        (["/bin/sleep", "1.5s"], Script(1.5, 0)),
        (["sleep", "2m"], Script(120.0, 0)),
        (["sh", "-c", "exit 1"], Script(0.0, 1)),
        (["/bin/sh", "-c", "sleep 2; exit 7"], Script(2.0, 7)),
        (["bash", "-ec", "echo hello && sleep 1 && false"], Script(1.0, 1)),
        (["sh", "-c", "exit"], Script(0.0, 0)),
        (["true"], Script(0.0, 0)),
        (["false"], Script(0.0, 1)),
        (["echo", "done"], Script(0.0, 0)),
    ],
)
def test_reads_what_manifests_use_to_wait_and_to_fail(argv: list[str], script: Script) -> None:
    assert parse_command(argv) == script


@pytest.mark.parametrize(
    "argv", [[], ["nginx"], ["sleep", "infinity"], ["sh", "-c", "while true; do sleep 1; done"]]
)
def test_takes_everything_else_for_a_program_that_runs_on(argv: list[str]) -> None:
    assert parse_command(argv) is None


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"exec": {"command": ["sleep", "2"]}}, 2.0),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 5"]}}, 5.0),
        ({"sleep": {"seconds": 3}}, 3.0),
        ({"httpGet": {"path": "/"}}, 0.0),
        ({"exec": {"command": ["nginx", "-s", "quit"]}}, 0.0),
        ({}, 0.0),
    ],
)
def test_knows_how_long_a_hook_takes(hook: dict[str, object], seconds: float) -> None:
    assert sleep_seconds(hook) == seconds
