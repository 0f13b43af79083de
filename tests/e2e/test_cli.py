"""The command line as a person uses it, on real parts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from headrace_lab.application import CANARY, NAME, STABLE, Application
from headrace_lab.people import CommandLine
from headrace_lab.terminal import INTERRUPT, AtTerminal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

FIRST_PAUSE, SECOND_PAUSE = 2, 5
END_SECONDS = 10.0

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def headrace(application: Application) -> Run:
    return CommandLine(application).run


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_release_from_the_command_line(application: Application, headrace: Run) -> None:
    application.deploy()
    assert lines(headrace("status", NAME)) == ["Healthy"]
    image = f"{NAME}=headrace/sample-app:v2"
    assert lines(headrace("set", "image", NAME, image)) == [f'rollout "{NAME}" image updated']
    application.wait_paused(FIRST_PAUSE)

    shown = lines(headrace("get", "rollout", NAME))
    assert shown[:9] == [
        f"Name:            {NAME}",
        f"Namespace:       {application.namespace}",
        "Status:          ॥ Paused",
        "Message:         CanaryPauseStep",
        "Strategy:        Canary",
        "  Step:          2/6",
        "  SetWeight:     10",
        "  ActualWeight:  10",
        "Images:          headrace/sample-app:v1 (stable)",
    ]
    assert [line.split("⧉ ")[1].split()[0] for line in shown if "⧉" in line] == [
        f"{NAME}-{application.hash_of('v2')}",
        f"{NAME}-{application.hash_of('v1')}",
    ]
    _, listed = lines(headrace("list", "rollouts"))
    assert listed.split() == [NAME, "Canary", "Paused", "2/6", "10", "5/5", "4", "1", "5"]

    assert lines(headrace("abort", NAME)) == [f"rollout '{NAME}' aborted"]
    application.wait_phase("Degraded")
    degraded = headrace("status", NAME)
    assert degraded.returncode == 1
    assert degraded.stderr == (
        "Error: The rollout is in a degraded state with message: "
        "RolloutAborted: Rollout aborted update to revision 2\n"
    )
    assert lines(headrace("retry", NAME)) == [f"rollout '{NAME}' retried"]
    application.wait_paused(FIRST_PAUSE)
    assert lines(headrace("undo", NAME)) == [f"rollout '{NAME}' undo"]
    assert lines(headrace("status", NAME, "--timeout", "60s"))[-1] == "Healthy"
    assert application.status()["stableRS"] == application.hash_of("v1")


def test_a_command_over_the_bus_is_seen_until_the_traffic(
    application: Application, headrace: Run
) -> None:
    application.deploy()
    headrace("set", "image", NAME, "*=headrace/sample-app:v2")
    application.wait_paused(FIRST_PAUSE)
    bus = ("--bootstrap-servers", application.lab.bootstrap_servers)
    promoted = headrace("promote", NAME, "--via", "kafka", *bus)
    assert lines(promoted) == [f"rollout '{NAME}' promoted"]
    application.wait_paused(SECOND_PAUSE)
    assert application.weights() == {STABLE: 67, CANARY: 33}

    events = [json.loads(line) for line in lines(headrace("events", NAME, "-o", "json", *bus))]
    by_id = {event["id"]: event for event in events}
    assert len(by_id) == len(events)
    [command] = [each for each in events if each["type"] == "headrace.rollout.commanded.v1"]
    [applied] = [
        each
        for each in events
        if each["type"] == "headrace.route.applied.v1" and each["data"]["requested"]["canary"] == 33
    ]
    chain = [applied]
    while chain[-1].get("causationid") in by_id:
        chain.append(by_id[chain[-1]["causationid"]])
    assert chain[-1] == command
    assert [each["type"] for each in chain[1:-1]] == ["headrace.route.requested.v1"]

    for told in (headrace("events", NAME, *bus), headrace("events", NAME)):
        chain = [line.split(maxsplit=1)[1] for line in lines(told)]
        start = next(i for i, line in enumerate(chain) if line.startswith("rollout.commanded"))
        below = "\n".join(chain[start:])
        assert "└▸ command.accepted       promote applied" in below
        assert "\n└▸ route.requested        epoch" in below
        assert "\n└▸ route.applied       epoch" in below


def test_a_command_that_cannot_be_applied_is_refused(
    application: Application, headrace: Run
) -> None:
    application.deploy()
    bus = ("--bootstrap-servers", application.lab.bootstrap_servers)
    refused = headrace("set", "image", NAME, "nope=x", "--via", "kafka", *bus)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: rollout '{NAME}' refused setImage: unable to find container named \"nope\"\n"
    )


def test_a_watch_on_a_terminal_follows_the_release(application: Application, headrace: Run) -> None:
    application.deploy()
    line = CommandLine(application)
    with AtTerminal(line.command("get", "rollout", NAME, "--watch"), line.environ()) as terminal:
        terminal.read_until("Healthy")
        headrace("set", "image", NAME, "*=headrace/sample-app:v2")
        seen = terminal.read_until("Paused")
        assert "\x1b[H" in seen  # drawn over, in colours
        assert "\x1b[33m॥\x1b[0m" in seen
        terminal.type(INTERRUPT)
        assert terminal.wait(END_SECONDS) == 130


def test_events_are_followed_on_the_bus_until_the_user_ends_it(
    application: Application, headrace: Run
) -> None:
    application.deploy()
    line = CommandLine(application)
    bus = ("--bootstrap-servers", application.lab.bootstrap_servers)
    with AtTerminal(line.command("events", NAME, "--follow", *bus), line.environ()) as terminal:
        terminal.read_until("rollout.completed")
        headrace("set", "image", NAME, "*=headrace/sample-app:v2")
        terminal.read_until("rollout.paused")
        terminal.type(INTERRUPT)
        assert terminal.wait(END_SECONDS) == 130


def test_what_is_wrong_is_named(application: Application, headrace: Run) -> None:
    unknown = headrace("get", "rollout", "nope")
    assert unknown.returncode == 1
    assert unknown.stdout == ""
    assert unknown.stderr == (
        f'Error: Rollout "nope" in namespace "{application.namespace}" not found; '
        f"see: headrace list rollouts -n {application.namespace}\n"
    )
