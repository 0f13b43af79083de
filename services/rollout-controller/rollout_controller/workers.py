"""Calls the workers of step plugins, over HTTP or Kafka, beside the reconciles (canary 9).

Each call is a task of its own with a time limit. What comes of it becomes a fact, and its Rollout
is woken; a reconcile waits for nothing here. After a restart a call that was under way is made
again with the same id.
"""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError

from headrace import __version__
from headrace.errors import InvalidSpec, RolloutError, Unavailable
from headrace.events.envelope import Event, encode
from headrace.events.plugins import PluginAnswered, PluginRequested, WorkerAnswer
from headrace.kubernetes.gojson import encode as json_text
from headrace.kubernetes.resources import SECRETS
from headrace.model.quantities import Instant, format_duration, parse_duration
from headrace.runtime.component import Ports
from headrace.runtime.http_client import HttpClient, HttpRequest
from rollout_controller.caches import Caches, Facts
from rollout_controller.core.canary.plugins import TRANSIENT_SECONDS
from rollout_controller.core.observed import Observed, PluginAnswer
from rollout_controller.core.plan import PluginCall
from rollout_controller.plugin_table import KAFKA, PluginTable, Worker

log = structlog.get_logger(__name__)

REQUEST_BYTES_MAX: Final = 900_000
"""Less than what a broker takes as it comes."""

ANSWER_BYTES_MAX: Final = 256 * 1024
STATUS_BYTES_MAX: Final = 64 * 1024
"""What a worker may keep in the Rollout, which holds it for every step."""

MESSAGE_LENGTH_MAX: Final = 2048
_PER_HOST_MAX: Final = 32
"""So that one dead worker leaves connections for the others."""
_SECRET_LENGTH_MIN: Final = 4
_FRAMES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class _Flight:
    """A call under way.

    Attributes:
        key: Of the Rollout.
        worker: Whom to ask.
        call: What.
        event: The request as it is sent.
        heard: Takes the answer of a worker on Kafka.
    """

    key: str
    uid: str
    worker: Worker
    call: PluginCall
    event: Event
    heard: asyncio.Future[WorkerAnswer]


class Workers:
    """All calls of this process, at most one for each Rollout.

    Args:
        ports: The outside.
        sources: Caches, for the Rollouts, and facts, which take the answers.
        wake: Told the key of a Rollout whose call was answered.
    """

    def __init__(
        self, ports: Ports, sources: tuple[Caches, Facts], wake: Callable[[str], None]
    ) -> None:
        self._ports = ports
        self._caches, self._facts = sources
        self._table = PluginTable(self._caches.configuration)
        self._wake = wake
        self._http = HttpClient(
            ANSWER_BYTES_MAX,
            f"headrace-rollout-controller/{__version__}",
            per_host_max=_PER_HOST_MAX,
        )
        self._group: asyncio.TaskGroup | None = None
        self._flights: dict[str, tuple[_Flight, asyncio.Task[None]]] = {}

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

    def begin(self, observed: Observed, call: PluginCall, now: Instant) -> None:
        """Begin a call, unless it is under way or was just answered; returns at once."""
        uid = observed.uid
        known = self._facts.plugin_answers.get(uid)
        if known is not None and known.call == call.id and now < known.at + TRANSIENT_SECONDS:
            return  # it was answered after this pass looked
        under_way, task = self._flights.get(uid, (None, None))
        if under_way is not None and under_way.call.id == call.id:
            return
        if task is not None:
            task.cancel()  # nobody wants that answer any more
        worker = self._table.read().workers.get(call.plugin)
        rollout = self._caches.rollouts.get(observed.namespace, observed.name)
        if worker is None or rollout is None or self._group is None:
            return
        event = self._event(observed, call, worker, rollout, now)
        heard = asyncio.get_running_loop().create_future()
        flight = _Flight(observed.key, uid, worker, call, event, heard)
        self._flights[uid] = flight, self._group.create_task(self._carry_out(flight))

    def hear(self, payload: PluginAnswered) -> None:
        """Take an answer from Kafka; one that nobody waits for changes nothing."""
        flight, _ = self._flights.get(payload.uid, (None, None))
        is_awaited = flight is not None and flight.worker.location == KAFKA
        if flight is None or not is_awaited or flight.call.id != payload.call:
            log.info("answer of a step plugin not awaited", key=payload.key, call=payload.call)
        elif not flight.heard.done():
            flight.heard.set_result(payload.answer)

    def forget(self, uid: str) -> None:
        """End the call of a Rollout that is gone."""
        _, task = self._flights.pop(uid, (None, None))
        if task is not None:
            task.cancel()

    def _event(
        self,
        observed: Observed,
        call: PluginCall,
        worker: Worker,
        rollout: Mapping[str, Any],
        now: Instant,
    ) -> Event:
        metadata = {k: v for k, v in rollout["metadata"].items() if k != "managedFields"}
        payload = PluginRequested(
            namespace=observed.namespace,
            rollout=observed.name,
            uid=observed.uid,
            generation=observed.generation,
            pod_hash=observed.status.current_pod_hash,
            reason="PluginRequested",
            message=f"{call.operation} of step plugin {call.plugin} (step {call.index + 1})",
            call=call.id,
            cause=call.cause,
            plugin=call.plugin,
            operation=call.operation,
            step=call.index,
            execution=call.execution,
            expires_at=Instant(now + worker.timeout_seconds),
            config=None if call.config is None else dict(call.config),
            status=None if call.status is None else dict(call.status),
            object={**rollout, "metadata": metadata},
        )
        ports = self._ports
        return Event.of(payload, source=ports.source, time=now, causation_id=observed.cause)

    async def _carry_out(self, flight: _Flight) -> None:
        # Gathered, so that a bug here is the error of this call and not the end of all others.
        (outcome,) = await asyncio.gather(self._answer(flight), return_exceptions=True)
        now = self._ports.clock.now()
        if isinstance(outcome, RolloutError):
            outcome = PluginAnswer(flight.call.id, now, error=_cut(str(outcome)))
        elif isinstance(outcome, BaseException):
            # Without the error's text and the values around it: these may hold secrets.
            log.error(
                "call of a step plugin crashed",
                key=flight.key,
                error=type(outcome).__name__,
                where=traceback.format_tb(outcome.__traceback__, limit=-_FRAMES_SHOWN),
            )
            outcome = PluginAnswer(flight.call.id, now, error=f"{type(outcome).__name__}")
        self._facts.plugin_answers[flight.uid] = outcome
        self._flights.pop(flight.uid, None)
        call = flight.call
        log.info(
            "step plugin called",
            key=flight.key,
            plugin=call.plugin,
            operation=call.operation,
            step=call.index,
            phase=outcome.phase,
            error=outcome.error,
        )
        result = "failed" if outcome.error else "answered"
        self._ports.metrics.count(
            "headrace_rollout_controller_plugin_calls_total", call.plugin, call.operation, result
        )
        self._wake(flight.key)

    async def _answer(self, flight: _Flight) -> PluginAnswer:
        secrets: Mapping[str, str] = {}
        if flight.worker.location == KAFKA:
            answer = await self._ask_on_kafka(flight)
        else:
            secrets = await self._headers(flight.worker)
            answer = await self._ask_by_http(flight, secrets)
        return _understood(answer, flight.call, self._ports.clock.now(), secrets.values())

    async def _ask_on_kafka(self, flight: _Flight) -> WorkerAnswer:
        seconds = flight.worker.timeout_seconds
        if not self._ports.bus.publish(self._ports.topics.steps, flight.event, is_request=True):
            raise Unavailable("the queue to the broker is full")
        try:
            async with asyncio.timeout(seconds):
                return await flight.heard
        except TimeoutError as error:
            away = "" if self._ports.bus.is_up else ": the broker is away"
            text = f"no answer on Kafka within {format_duration(seconds)}{away}"
            raise Unavailable(text) from error

    async def _ask_by_http(self, flight: _Flight, secrets: Mapping[str, str]) -> WorkerAnswer:
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


def _understood(
    answer: WorkerAnswer, call: PluginCall, now: Instant, secrets: Collection[str]
) -> PluginAnswer:
    """Return the answer for the core.

    Raises:
        InvalidSpec: It holds what cannot be kept; the text says what.
    """
    if answer.status is not None and len(json_text(answer.status)) > STATUS_BYTES_MAX:
        raise InvalidSpec(f"the worker's status is larger than {STATUS_BYTES_MAX} bytes")
    try:
        seconds = parse_duration(answer.requeue_after) if answer.requeue_after else None
    except ValueError as error:
        raise InvalidSpec(f"the worker's requeueAfter: {error}") from error
    return PluginAnswer(
        call=call.id,
        at=now,
        phase=answer.phase[:64],
        message=_cut(_redacted(answer.message, secrets)),
        requeue_after_seconds=seconds,
        status=answer.status,
        error=_cut(_redacted(answer.error, secrets)),
    )


def _cut(text: str) -> str:
    return text[:MESSAGE_LENGTH_MAX]


def _redacted(text: str, secrets: Collection[str]) -> str:
    """Return a worker's words without what it was sent in its headers."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_LENGTH_MIN:
            text = text.replace(secret, "*****")
    return text
