"""Events as lines that people can read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from headrace.events.analysis import AnalysisMeasured
from headrace.events.envelope import Event
from headrace.events.payload import Payload
from headrace.events.rollout import RouteRequested
from headrace.events.traffic import RouteApplied, RouteDrifted, RouteRefused
from headrace.model.route import BackendShare, Weights

_SPEAKERS: Final = {
    "headrace.route.applied.v1": "router",
    "headrace.route.refused.v1": "router",
    "headrace.route.verified.v1": "router",
    "headrace.route.drifted.v1": "router",
    "headrace.analysis.measured.v1": "runner",
    "headrace.analysis.judged.v1": "runner",
    "headrace.rollout.commanded.v1": "person",
}
"""Who publishes an event; the controller all others."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event.

    Attributes:
        at: Seconds since the act began.
        speaker: `controller`, `router`, `runner` or `person`.
        what: Type of the event, without `headrace.` and version.
        text: What it says.
    """

    at: float
    speaker: str
    what: str
    text: str


def line(event: Event, at: float) -> Line:
    """Return an event as a line; `at` is in seconds since the act began."""
    what = event.type.removeprefix("headrace.").rpartition(".")[0]
    return Line(at, _SPEAKERS.get(event.type, "controller"), what, _text(event.payload))


def _text(payload: Payload) -> str:
    match payload:
        case RouteRequested(route=route):
            renewal = f", renewal {route.renewal}" if route.renewal else ""
            return f"{_weights(route.weights)} (epoch {route.epoch}{renewal})"
        case RouteApplied(requested=requested, epoch=epoch, level=level):
            return f"{_weights(requested)} (epoch {epoch}, {level})"
        case RouteRefused(requested=requested, epoch=epoch, message=message):
            return f"{_weights(requested)} (epoch {epoch}): {message}"
        case RouteDrifted(message=message, answers=answers):
            found = "; ".join(_backends(answer.observed) for answer in answers)
            return f"{message}: {found}" if found else message
        case AnalysisMeasured(metric=metric, value=value, phase=phase, message=message):
            return f"{metric} = {value or message}: {phase}"
        case _:
            return payload.message or payload.reason


def _weights(weights: Weights) -> str:
    return f"canary {weights.canary} %, stable {weights.stable} %"


def _backends(backends: Iterable[BackendShare]) -> str:
    return ", ".join(f"{each.service} {each.weight}" for each in backends)
