"""Calls the workers of step plugins, over HTTP or Kafka, beside the reconciles (canary 9).

What comes of a call becomes a fact, and its Rollout is woken; a reconcile waits for nothing here.
After a restart a call that was under way is made again with the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import structlog

from headrace.errors import InvalidSpec, RolloutError, Unavailable
from headrace.events.envelope import Event
from headrace.events.plugins import PluginAnswered, PluginRequested, WorkerAnswer
from headrace.kubernetes.gojson import encode as json_text
from headrace.model.quantities import Instant, format_duration, parse_duration
from headrace.runtime.component import Ports
from rollout_controller.caches import Caches, Facts
from rollout_controller.core.canary.plugins import TRANSIENT_SECONDS
from rollout_controller.core.observed import Observed, PluginAnswer
from rollout_controller.core.plan import PluginCall
from rollout_controller.plugin_table import KAFKA, PluginTable, Worker

log = structlog.get_logger(__name__)

STATUS_BYTES_MAX: Final = 64 * 1024
"""What a worker may keep in the Rollout, which holds it for every step."""

MESSAGE_LENGTH_MAX: Final = 2048
_SECRET_LENGTH_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Flight:
    """A call under way.

    Attributes:
        key: Of the Rollout.
        worker: Whom to ask.
        call: What.
        event: The request as it is sent.
    """

    key: str
    uid: str
    worker: Worker
    call: PluginCall
    event: Event


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call.

    Attributes:
        answer: The worker's; an error when there is none.
        secrets: What the worker was told in confidence, and must not be shown.
    """

    answer: WorkerAnswer | RolloutError
    secrets: Collection[str] = ()


class Cancellable(Protocol):
    """Something that need not happen any more."""

    def cancel(self) -> object:
        """Let it not happen."""
        ...


class Posts(Protocol):
    """Carries calls over HTTP."""

    def post(self, flight: Flight, take: Callable[[Reply], None]) -> Cancellable | None:
        """Send a call; `take` hears once what came of it. None when nothing can be sent now."""
        ...


class Workers:
    """All calls of this process, at most one for each Rollout.

    Args:
        ports: The outside.
        sources: Caches, for the Rollouts, and facts, which take the answers.
        wake: Told the key of a Rollout whose call was answered.
        posts: Carries calls over HTTP.
    """

    def __init__(
        self,
        ports: Ports,
        sources: tuple[Caches, Facts],
        wake: Callable[[str], None],
        posts: Posts,
    ) -> None:
        self._ports = ports
        self._caches, self._facts = sources
        self._table = PluginTable(self._caches.configuration)
        self._wake = wake
        self._posts = posts
        self._flights: dict[str, tuple[Flight, Cancellable]] = {}

    def begin(self, observed: Observed, call: PluginCall, now: Instant) -> None:
        """Begin a call, unless it is under way or was just answered; returns at once."""
        uid = observed.uid
        known = self._facts.plugin_answers.get(uid)
        if known is not None and known.call == call.id and now < known.at + TRANSIENT_SECONDS:
            return  # it was answered after this pass looked
        under_way, _ = self._flights.get(uid, (None, None))
        if under_way is not None and under_way.call.id == call.id:
            return
        self.forget(uid)  # nobody wants that answer any more
        worker = self._table.read().workers.get(call.plugin)
        rollout = self._caches.rollouts.get(observed.namespace, observed.name)
        if worker is None or rollout is None:
            return
        event = self._event(observed, call, worker, rollout, now)
        flight = Flight(observed.key, uid, worker, call, event)
        take = partial(self._take, flight)
        is_on_kafka = worker.location == KAFKA
        way = self._publish(flight) if is_on_kafka else self._posts.post(flight, take)
        if way is not None:
            self._flights[uid] = flight, way

    def hear(self, payload: PluginAnswered) -> None:
        """Take an answer from Kafka; one that nobody waits for changes nothing."""
        flight, _ = self._flights.get(payload.uid, (None, None))
        is_awaited = flight is not None and flight.worker.location == KAFKA
        if flight is None or not is_awaited or flight.call.id != payload.call:
            log.info("answer of a step plugin not awaited", key=payload.key, call=payload.call)
        else:
            self._take(flight, Reply(payload.answer))

    def forget(self, uid: str) -> None:
        """End the call of a Rollout that is gone."""
        _, way = self._flights.pop(uid, (None, None))
        if way is not None:
            way.cancel()

    def _publish(self, flight: Flight) -> Cancellable:
        """Ask over Kafka; who does not answer in time has failed."""
        ports, seconds = self._ports, flight.worker.timeout_seconds
        text = f"no answer on Kafka within {format_duration(seconds)}"
        if not ports.bus.publish(ports.topics.steps, flight.event, is_request=True):
            seconds, text = 0.0, "the queue to the broker is full"

        def fail() -> None:
            away = "" if ports.bus.is_up else ": the broker is away"
            self._take(flight, Reply(Unavailable(text + away)))

        return ports.clock.call_later(seconds, fail)

    def _take(self, flight: Flight, reply: Reply) -> None:
        """Keep what came of a call, and look at its Rollout again."""
        call, now = flight.call, self._ports.clock.now()
        if isinstance(reply.answer, RolloutError):
            outcome = PluginAnswer(call.id, now, error=_cut(str(reply.answer)))
        else:
            try:
                outcome = _understood(reply.answer, call, now, reply.secrets)
            except InvalidSpec as error:
                outcome = PluginAnswer(call.id, now, error=_cut(str(error)))
        self._facts.plugin_answers[flight.uid] = outcome
        self.forget(flight.uid)
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
