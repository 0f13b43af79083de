"""`explain`: what a Rollout waits for, when it is looked at next, and how it came there.

Everything is read from the object: `status.headrace` says why it does not move, and remembers
its last decisions with their causes.

Source: architecture, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.model.headrace_status import HeadraceStatus, Waiting
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace_cli.durations import human_duration
from headrace_cli.output import PLAIN, Colour, Palette
from headrace_cli.views import icons
from headrace_cli.views.events import Entry, EventLog, object_entries
from headrace_cli.views.objects import name_of, section, text, time_of
from headrace_cli.views.phase import Phase, phase_of
from headrace_cli.views.weights import set_weight, step_text, strategy_of

Answer = tuple[str, str | None]
"""What is asked, and the answer; None or empty where there is none."""

_LABEL_WIDTH: Final = 17
_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Person": ("promote", "abort"),
    "ManualPause": ("promote", "abort"),
    "Duration": ("promote", "abort"),
    "Verdict": ("abort",),
    "Experiment": ("abort",),
    "Plugin": ("abort",),
    "RouteAcknowledgement": ("abort",),
    "RouteFailed": ("abort",),
    "CanaryPods": ("abort",),
    "StablePods": ("abort",),
    "PromotedPods": ("undo",),
    "ReplicaProgressThreshold": ("promote", "abort"),
}
"""What a person can do about a wait."""

_IN_COUNTDOWN: Final = ("promote --full", "abort")
"""A plain promote would begin the countdown of blue-green again (bluegreen 4)."""


_ABORTED: Final = ("retry",)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Rollout's state in answers.

    Attributes:
        waiting: What it waits for; None when nothing is awaited.
        rest: Why nothing is awaited, "" while something is.
        next_look: When it is looked at next though nothing happens, seconds since the epoch.
        story: Its last decisions, with what caused them.
    """

    rollout: Manifest
    phase: Phase
    waiting: Waiting | None
    rest: str
    next_look: Instant | None
    story: tuple[Entry, ...]


def explain(rollout: Manifest, events: Iterable[Entry], *, now: Instant) -> Explanation:
    """Return the answers about a Rollout.

    Args:
        rollout: The Rollout.
        events: Its Kubernetes Events; they fill the story where it remembers nothing itself.
        now: Seconds since the epoch.
    """
    remembered = object_entries(rollout)
    headrace = HeadraceStatus.remembered(section(rollout, "status", "headrace"))
    phase = phase_of(rollout)
    return Explanation(
        rollout,
        phase,
        headrace.waiting,
        "" if headrace.waiting else _rest(rollout, phase),
        _next_look(headrace, now),
        tuple(remembered or events),
    )


def _rest(rollout: Manifest, phase: Phase) -> str:
    if not section(rollout, "status"):
        return "no controller has looked at it yet"
    if "headrace" not in section(rollout, "status"):
        return "another controller was here last; the next look takes it over"
    if section(rollout, "status").get("abort"):
        return "it is aborted: retry it, or apply another version"
    return "nothing, it is settled" if phase.name == "Healthy" else "its pods and the next pass"


def _next_look(headrace: HeadraceStatus, now: Instant) -> Instant | None:
    waiting, route, known = headrace.waiting, headrace.route, headrace.acknowledged
    times = [] if waiting is None else [waiting.deadline, waiting.expected]
    if route is not None and (known is None or known.epoch != route.epoch):
        times.append(route.valid_until)
    due = [at for at in map(time_of, filter(None, times)) if at is not None and at > now]
    return Instant(min(due)) if due else None


def lines(
    explanation: Explanation, log: EventLog, *, now: Instant, palette: Palette = PLAIN
) -> list[str]:
    """Return the answers for people.

    Args:
        explanation: What to show.
        log: Turns the story into lines.
        now: For ages.
        palette: For the colours.
    """
    story = log.lines(explanation.story)
    return [
        *_fields(_head(explanation, palette)),
        "",
        *_fields(_wait(explanation, now, palette)),
        *(["", "Story:", *(f"  {line}" for line in story)] if story else []),
    ]


def _head(explanation: Explanation, palette: Palette) -> Iterator[Answer]:
    rollout, phase = explanation.rollout, explanation.phase
    icon = icons.of_rollout(phase.name)
    yield "Name:", name_of(rollout)
    yield "Namespace:", text(rollout, "metadata", "namespace")
    yield "Status:", f"{palette.paint(icon, icons.COLOURS.get(icon))} {phase}"
    if strategy_of(rollout) == "Canary":
        yield "Step:", step_text(rollout)
        yield "Weight:", f"{set_weight(rollout)}"


def _wait(explanation: Explanation, now: Instant, palette: Palette) -> Iterator[Answer]:
    waiting = explanation.waiting
    if waiting is None:
        yield "Waits for:", explanation.rest
    else:
        yield "Waits for:", f"{waiting.reason}: {waiting.on}"
        yield "Since:", _moment(waiting.since, now)
        yield "Ends when:", waiting.unblock
        yield "Ends at:", _moment(waiting.deadline, now)
        if waiting.stuck:
            told = palette.paint(f"told {_moment(waiting.stuck, now)}", Colour.RED)
            yield "Stuck:", told
        elif waiting.expected is None:
            yield "Expected by:", "it may take any time"
        else:
            yield "Expected by:", _moment(waiting.expected, now)
        name = name_of(explanation.rollout)
        yield (
            "You can:",
            ", ".join(f"headrace {each} {name}" for each in _commands(explanation, waiting)),
        )
    look = explanation.next_look
    at = "" if look is None else f"{_moment(format_time(look), now)}, and "
    yield "Next look:", f"{at}whenever it or what belongs to it changes"


def _commands(explanation: Explanation, waiting: Waiting) -> tuple[str, ...]:
    if section(explanation.rollout, "status").get("abort"):
        return _ABORTED
    is_countdown = waiting.reason == "Duration" and waiting.on == "BlueGreenPause"
    return _IN_COUNTDOWN if is_countdown else _COMMANDS.get(waiting.reason, ())


def _moment(at: str | None, now: Instant) -> str:
    seconds = time_of(at or "")
    if seconds is None:
        return ""
    age = human_duration(abs(now - seconds))
    return f"{at} ({age} ago)" if seconds <= now else f"{at} (in {age})"


def _fields(answers: Iterable[Answer]) -> list[str]:
    """Return a line for each answer that there is."""
    return [f"{label:<{_LABEL_WIDTH}}{value}" for label, value in answers if value]


def document(explanation: Explanation, log: EventLog) -> dict[str, Any]:
    """Return the same as a JSON document."""
    rollout, waiting, look = explanation.rollout, explanation.waiting, explanation.next_look
    return {
        "name": name_of(rollout),
        "namespace": text(rollout, "metadata", "namespace"),
        "phase": explanation.phase.name,
        "message": explanation.phase.message,
        "waiting": None if waiting is None else waiting.dump(),
        "rest": explanation.rest or None,
        "nextLook": None if look is None else format_time(look),
        "story": log.documents(explanation.story),
    }
