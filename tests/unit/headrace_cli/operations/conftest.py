"""A memory cluster as a user of the command line sees it."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.kubernetes.resources import ROLLOUTS
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster
from headrace_cli.output import Terminal
from headrace_cli.session import Session


class World:
    """A memory cluster seen by a user of the command line."""

    def __init__(self) -> None:
        self.memory = MemoryCluster(SystemClock())
        self.admin = self.memory.client("admin")
        self.out, self.err = io.StringIO(), io.StringIO()
        terminal = Terminal(self.out, self.err, {})
        self.session = Session(self.memory.client("user"), "demo", SystemClock(), terminal)

    async def rollout(self, name: str, phase: str, message: str = "", **spec: Any) -> None:
        spec = {"strategy": {"canary": {}}, **spec}
        metadata = {"name": name, "namespace": "demo"}
        await self.admin.create(ROLLOUTS, {"metadata": metadata, "spec": spec})
        await self.set_phase(name, phase, message)

    async def set_phase(self, name: str, phase: str, message: str = "") -> None:
        patch = MergePatch({"status": {"phase": phase, "message": message}})
        await self.admin.patch(ROLLOUTS, "demo", name, patch, subresource="status")

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(5):
            while text not in self.out.getvalue():
                await asyncio.sleep(0.01)

    async def while_running(
        self, command: Awaitable[None], story: Callable[[], Awaitable[None]]
    ) -> None:
        """Run a command that ends only when it is cancelled, as by ^C."""
        task = asyncio.ensure_future(command)
        try:
            await story()
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def world() -> World:
    return World()
