"""The workers of step plugins in a world: one that is asked over HTTP, and one over Kafka.

A worker remembers each call by its id and answers a repetition the same. What it does follows from
the configuration of the step and from the version: one that is `bad` fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from headrace.errors import Unavailable
from headrace.events.envelope import Event, decode
from headrace.events.plugins import PluginAnswered, PluginRequested, WorkerAnswer
from headrace.events.topics import Topics
from headrace.kubernetes.resources import CONFIG_MAPS, Manifest
from headrace.runtime.bus_queue import Outgoing, outgoing_event
from headrace_sandbox.bus import Broker
from headrace_sandbox.faults import Kind
from headrace_sandbox.nodes import Node, drive
from headrace_sandbox.workload import NAMESPACE, image_of
from headrace_sandbox.world import Appointment, World
from rollout_controller.workers import Cancellable, Flight, Reply

OVER_HTTP: Final = "sandbox/http"
OVER_KAFKA: Final = "sandbox/kafka"

_IDENTITY: Final = "worker"
_LATENCY_SECONDS: Final = 0.02
_DELAY_SECONDS_MAX: Final = 15.0
_CONFIGURATION: Final = f"""
- {{name: {OVER_HTTP}, protocol: headrace/v1, location: "http://worker/step", timeout: 10s}}
- {{name: {OVER_KAFKA}, protocol: headrace/v1, location: kafka, timeout: 10s}}
- {{name: sandbox/off, disabled: true}}
"""


def configuration() -> Manifest:
    """Return the ConfigMap that makes the workers known."""
    return {
        "metadata": {"name": "argo-rollouts-config", "namespace": NAMESPACE},
        "data": {"stepPlugins": _CONFIGURATION},
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it came, the first time.

    Attributes:
        request: What was asked.
        answer: What was answered.
        at: True time.
    """

    request: PluginRequested
    answer: WorkerAnswer
    at: float


class PluginWorkers:
    """Both workers.

    Attributes:
        asked: Calls by id.
    """

    def __init__(self, world: World, broker: Broker, topics: Topics) -> None:
        self._world = world
        self._broker = broker
        self._topics = topics
        self._rng: Random = world.stream("plugins")
        self.asked: dict[str, Asked] = {}
        self._listeners: list[Callable[[PluginRequested], None]] = []
        broker.listen(self)

    def deploy(self) -> None:
        """Make the workers known."""
        drive(self._world.cluster.client("deployer").create(CONFIG_MAPS, configuration()))

    def published(self, identity: str, message: Outgoing) -> None:
        """Take the requests that are meant for the worker on Kafka."""
        if message.headers.get("ce_type") != PluginRequested.EVENT_TYPE:
            return
        event = decode(message.key, message.headers, message.value)
        request = event.payload
        if not isinstance(request, PluginRequested) or request.plugin != OVER_KAFKA:
            return
        if self._world.faults.strikes(Kind.CALL_LOSS, "kafka") is None:
            self._world.after(self.delay("kafka"), lambda: self._answer(request, event.source))

    def _answer(self, request: PluginRequested, source: str) -> None:
        payload = PluginAnswered(
            namespace=request.namespace,
            rollout=request.rollout,
            uid=request.uid,
            generation=request.generation,
            call=request.call,
            answer=self.carry_out(request),
        )
        now = self._world.clock.now()
        event = Event.of(payload, source=source, time=now, causation_id=request.call)
        message = outgoing_event(self._topics.answers, event, is_request=False, on_delivered=None)
        self._broker.append(_IDENTITY, message)

    def delay(self, way: str) -> float:
        """Return how long one direction takes."""
        seconds = self._rng.expovariate(1 / _LATENCY_SECONDS)
        if (fault := self._world.faults.strikes(Kind.CALL_DELAY, way)) is not None:
            seconds += fault.size**2 * _DELAY_SECONDS_MAX
        return seconds

    def watch(self, listener: Callable[[PluginRequested], None]) -> None:
        """Tell `listener` of each call, the first time it comes."""
        self._listeners.append(listener)

    def take(self, request: PluginRequested) -> None:
        """Do what is asked; the answer finds its own way."""
        self.carry_out(request)

    def carry_out(self, request: PluginRequested) -> WorkerAnswer:
        """Do what is asked, once for each call, and return the answer."""
        known = self.asked.get(request.call)
        if known is None:
            self._world.tell(
                _IDENTITY, f"{request.operation} {request.plugin}", rollout=request.rollout
            )
            known = Asked(request, _answer_to(request), self._world.now)
            self.asked[request.call] = known
            for listener in self._listeners:
                listener(request)
        return known.answer


def _answer_to(request: PluginRequested) -> WorkerAnswer:
    if request.operation != "Run":
        return WorkerAnswer(phase="Successful")
    config = dict(request.config or {})
    seen = [*(dict(request.status or {}).get("seen") or ()), request.execution]
    if len(seen) < int(config.get("executions", 1)):
        return WorkerAnswer(phase="Running", requeue_after="11s", status={"seen": seen})
    is_bad = _image(request).endswith("-bad")
    return WorkerAnswer(
        phase="Failed" if is_bad else "Successful",
        message="not this version" if is_bad else "",
        status={"seen": seen},
    )


def _image(request: PluginRequested) -> str:
    spec = dict(request.object).get("spec") or {}
    return image_of({"spec": spec}) if "template" in spec else ""


class SimulatedPosts:
    """Calls over HTTP on their way through a bad network."""

    def __init__(self, world: World, node: Node, workers: PluginWorkers) -> None:
        self._world = world
        self._node = node
        self._workers = workers

    def post(self, flight: Flight, take: Callable[[Reply], None]) -> Cancellable | None:
        """Send a call; `take` hears once what came of it, unless the process dies before."""
        strikes, request = self._world.faults.strikes, flight.event.payload
        assert isinstance(request, PluginRequested)
        timeout = flight.worker.timeout_seconds
        there, back = self._workers.delay("http"), self._workers.delay("http")
        is_lost = strikes(Kind.CALL_LOSS, "http") is not None
        is_answer_lost = strikes(Kind.CALL_LOSS, "http answer") is not None
        if not is_lost and there <= timeout:
            self._world.after(there, lambda: self._workers.take(request))
        is_heard = not is_lost and not is_answer_lost and there + back <= timeout
        if not is_heard:
            return self._later(timeout, lambda: take(Reply(Unavailable("no answer in time"))))
        return self._later(there + back, lambda: take(Reply(self._workers.carry_out(request))))

    def _later(self, seconds: float, action: Callable[[], None]) -> Appointment:
        timer = self._node.later(seconds, action)
        assert isinstance(timer, Appointment)
        return timer
