"""^C ends a command at once, whatever it is doing, and the terminal is as it was.

The command runs as a process on a terminal of its own, against an API server of a few answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace.runtime.output import NOBODY_READS
from headrace_lab.kube import timestamp
from headrace_lab.terminal import INTERRUPT, AtTerminal

pytestmark = [pytest.mark.timeout(60), pytest.mark.spec("cli-and-clients 4")]

END_SECONDS = 10.0
"""Machines are busy; a command that waits for something waits for longer."""

INTERRUPTED = 130
METADATA = {
    "name": "web",
    "namespace": "demo",
    "uid": "1",
    "resourceVersion": "1",
    "creationTimestamp": timestamp(),
}
OBJECT: dict[str, Any] = {
    "metadata": METADATA,
    "spec": {"strategy": {"canary": {}}, "template": {}},
    "status": {"phase": "Progressing", "message": "seen"},
}
EVENT: dict[str, Any] = {
    "metadata": {**METADATA, "name": "web.1"},
    "involvedObject": {"kind": "Rollout", "namespace": "demo", "name": "web", "uid": "1"},
    "reason": "seen",
    "message": "seen",
    "type": "Normal",
    "lastTimestamp": "2026-01-01T00:00:00Z",
}
OBJECTS = {"rollouts": [OBJECT], "experiments": [OBJECT], "events": [EVENT]}
FOLLOWING = {
    "get rollout web --watch": "Progressing",
    "get experiment web --watch": "Progressing",
    "list rollouts --watch": "Progressing",
    "status web": "Progressing",
    "events web --follow --since 0": "seen",
}
"""And a word that each of them shows."""


class Api:
    """Answers reads; one kind of request can be held back for ever.

    Attributes:
        held: "" for none, else what its path and query contain.
        reached: Set when such a request has come.
    """

    def __init__(self) -> None:
        self.held = ""
        self.reached = asyncio.Event()
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(application)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.held and self.held in request.path_qs:
            self.reached.set()
            await asyncio.Event().wait()
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.Event().wait()
        *_, before, last = request.path.split("/")
        if last == "web":
            return web.json_response(OBJECTS[before][0])
        answer = {"items": OBJECTS.get(last, []), "metadata": {"resourceVersion": "1"}}
        return web.json_response(answer)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    await made.server.start_server(shutdown_timeout=0.1)
    yield made
    await made.server.close()


@pytest.fixture
def environ(api: Api, tmp_path: Path) -> dict[str, str]:
    context = {"cluster": "here", "user": "me", "namespace": "demo"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "here", "cluster": {"server": str(api.server.make_url("/"))}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**kept, "KUBECONFIG": str(path), "TERM": "xterm"}


@contextmanager
def running(command: str, environ: dict[str, str], *wrapper: str) -> Iterator[AtTerminal]:
    words = [*wrapper, sys.executable, "-m", "headrace_cli", *command.split()]
    with AtTerminal(words, environ) as terminal:
        yield terminal


async def assert_interrupted(terminal: AtTerminal) -> None:
    terminal.type(INTERRUPT)
    assert await asyncio.to_thread(terminal.wait, END_SECONDS) == INTERRUPTED
    assert "Traceback" not in terminal.shown
    # What was coloured is closed, and what came last ends its line: the prompt stands alone.
    drawn, _, after = terminal.shown.rpartition("^C")
    assert drawn.count("\x1b[") >= 2 * drawn.count("\x1b[33m")
    assert after.strip() == ""


@pytest.mark.parametrize("command", FOLLOWING)
async def test_a_command_that_follows(environ: dict[str, str], command: str) -> None:
    with running(command, environ) as terminal:
        await asyncio.to_thread(terminal.read_until, FOLLOWING[command])
        await assert_interrupted(terminal)


@pytest.mark.parametrize(
    ("held", "command"),
    [
        *(("watch=1", command) for command in FOLLOWING),
        *(("/", command) for command in (*FOLLOWING, "get rollout web")),
        ("/", "explain web"),
        ("/", "promote web"),
    ],
)
async def test_a_command_whose_request_is_not_answered(
    api: Api, environ: dict[str, str], held: str, command: str
) -> None:
    """Its watch, or its very first one."""
    api.held = held
    with running(command, environ) as terminal:
        await api.reached.wait()
        await assert_interrupted(terminal)


@pytest.mark.parametrize("module", ["typer", "aiohttp"])
async def test_a_command_that_is_still_being_loaded(
    environ: dict[str, str], tmp_path: Path, module: str
) -> None:
    # A module that takes for ever stands in for a slow disk.
    text = "import signal\nprint('loading', flush=True)\nwhile True: signal.pause()\n"
    (tmp_path / f"{module}.py").write_text(text)
    with running("get rollout web --watch", environ | {"PYTHONPATH": str(tmp_path)}) as terminal:
        await asyncio.to_thread(terminal.read_until, "loading")
        terminal.type(INTERRUPT)
        assert await asyncio.to_thread(terminal.wait, END_SECONDS) == -signal.SIGINT
        # The terminal may be gone, with its only program, before it has drawn the ^C.
        assert "".join(terminal.shown.split()).removesuffix("^C") == "loading"


async def test_a_command_that_was_started_in_the_background(environ: dict[str, str]) -> None:
    """A script's `&` starts it with ^C ignored, which is then not meant for it."""
    deaf = ("/bin/sh", "-c", 'trap "" INT; exec "$0" "$@"')
    with running("get rollout web --watch", environ, *deaf) as terminal:
        await asyncio.to_thread(terminal.read_until, "web")
        terminal.type(INTERRUPT)
        await asyncio.to_thread(terminal.read_until, "web")  # drawn again: its age has grown
        assert terminal.exit_code() is None
        terminal.send(signal.SIGTERM)
        assert await asyncio.to_thread(terminal.wait, END_SECONDS) == -signal.SIGTERM


async def test_a_command_whose_output_nobody_reads_any_more(environ: dict[str, str]) -> None:
    """It has drawn a frame, and its reader leaves before the next."""
    pipe = 'set -o pipefail; "$0" "$@" | head -1'
    with running("get rollout web --watch", environ, "/bin/bash", "-c", pipe) as terminal:
        assert await asyncio.to_thread(terminal.wait, END_SECONDS) == NOBODY_READS
        assert "Name:" in terminal.shown
        assert "Traceback" not in terminal.shown
