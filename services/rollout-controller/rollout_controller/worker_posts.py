"""Calls of step plugins' workers over HTTP, each a task with a time limit (canary 9)."""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from pydantic import ValidationError

from headrace import __version__
from headrace.errors import InvalidSpec, RolloutError, Unavailable
from headrace.events.envelope import encode
from headrace.events.plugins import WorkerAnswer
from headrace.kubernetes.resources import SECRETS
from headrace.runtime.component import Ports
from headrace.runtime.http_client import HttpClient, HttpRequest
from rollout_controller.plugin_table import Worker
from rollout_controller.workers import Cancellable, Flight, Reply

log = structlog.get_logger(__name__)

REQUEST_BYTES_MAX: Final = 900_000
"""Less than what a broker takes as it comes."""

ANSWER_BYTES_MAX: Final = 256 * 1024
_PER_HOST_MAX: Final = 32
"""So that one dead worker leaves connections for the others."""
_FRAMES_SHOWN: Final = 5


class HttpPosts:
    """Posts, on the event loop."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._http = HttpClient(
            ANSWER_BYTES_MAX,
            f"headrace-rollout-controller/{__version__}",
            per_host_max=_PER_HOST_MAX,
        )
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Call until cancelled; calls under way end then."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def post(self, flight: Flight, take: Callable[[Reply], None]) -> Cancellable | None:
        """Send a call; `take` hears once what came of it. None before `run`, and after."""
        if self._group is None:
            return None
        return self._group.create_task(self._carry_out(flight, take))

    async def _carry_out(self, flight: Flight, take: Callable[[Reply], None]) -> None:
        # Gathered, so that a bug here is the error of this call and not the end of all others.
        (outcome,) = await asyncio.gather(self._answer(flight), return_exceptions=True)
        if isinstance(outcome, Reply):
            take(outcome)
        elif isinstance(outcome, RolloutError):
            take(Reply(outcome))
        else:
            # Without the error's text and the values around it: these may hold secrets.
            log.error(
                "call of a step plugin crashed",
                key=flight.key,
                error=type(outcome).__name__,
                where=traceback.format_tb(outcome.__traceback__, limit=-_FRAMES_SHOWN),
            )
            take(Reply(Unavailable(type(outcome).__name__)))

    async def _answer(self, flight: Flight) -> Reply:
        secrets = await self._headers(flight.worker)
        return Reply(await self._ask_by_http(flight, secrets), (*secrets.values(),))

    async def _ask_by_http(self, flight: Flight, secrets: Mapping[str, str]) -> WorkerAnswer:
        """Return the answer to a POST in the HTTP binding of CloudEvents, binary mode."""
        _, headers, body = encode(flight.event)
        if len(body) > REQUEST_BYTES_MAX:
            raise InvalidSpec(f"the request is larger than {REQUEST_BYTES_MAX} bytes")
        named = {name.replace("ce_", "ce-", 1): text for name, text in headers.items()}
        worker = flight.worker
        answer = await self._http.send(
            HttpRequest(
                "POST",
                worker.location,
                (*named.items(), *secrets.items()),
                body,
                worker.timeout_seconds,
                follows_redirects=False,  # the headers are for this worker only
            )
        )
        if answer.status != 200:
            raise Unavailable(f"the worker answered with status {answer.status}")
        try:
            return WorkerAnswer.model_validate_json(answer.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"]) or "body"
            raise Unavailable(
                f"the worker's answer is not usable: {path}: {first['msg']}"
            ) from error

    async def _headers(self, worker: Worker) -> Mapping[str, str]:
        """Return the members of the worker's Secrets, read live: they may be rotated."""
        home = self._ports.ownership.namespace
        headers: dict[str, str] = {}
        for name in worker.secrets:
            secret = await self._ports.cluster.get(SECRETS, home, name)
            for header, value in (secret.get("data") or {}).items():
                try:
                    headers[header] = base64.b64decode(value).decode().strip()
                except ValueError as error:
                    raise InvalidSpec(f"Secret {name}: {header} is no text") from error
        return headers
