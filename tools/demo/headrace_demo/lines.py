"""How everything that is a line looks, on a terminal and in a pipe."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from headrace_demo.telling import Line
from headrace_demo.views import Moment, Outcome
from headrace_lab.load_report import Report

_COLOURS: Final = {
    "controller": "blue",
    "router": "magenta",
    "runner": "yellow",
    "person": "bold green",
}


def said(at: float, text: str) -> Text:
    """Return what somebody outside of the services does."""
    return Text.assemble(_time(at), (f"▶ {text}", "bold"))


def heard(line: Line) -> Text:
    """Return an event."""
    return Text.assemble(
        _time(line.at),
        (f"{line.speaker:<11}", _COLOURS[line.speaker]),
        (f"{line.what:<20}", "cyan"),
        line.text,
    )


def counted(moment: Moment) -> str:
    """Return the numbers of a Rollout."""
    weight = "no TrafficSplit" if moment.weight is None else f"weight {moment.weight}"
    pods = ", ".join(f"{count} {version}" for version, count in sorted(moment.pods.items()))
    return f"{weight} · step {moment.step}/{moment.steps} · pods {pods or 'none'}"


def phase(moment: Moment) -> str:
    """Return the phase of a Rollout, and why."""
    return f"{moment.phase}: {moment.message}" if moment.message else moment.phase


def requests(report: Report) -> str:
    """Return what became of requests."""
    errors = ", ".join(
        f"{version} {count}"
        for version in report.versions
        if (count := sum(n for code, n in report.statuses(version).items() if code >= 400))
    )
    lost = report.failed_without_version
    return f"{report.total:,} requests · {lost} lost · errors of versions: {errors or 'none'}"


def ended(outcome: Outcome) -> Text:
    """Return how an act ended."""
    if outcome.is_success:
        return Text.assemble(_time(outcome.seconds), ("✔ as it should be", "bold green"))
    return Text.assemble(
        _time(outcome.seconds), ("✘ failed: ", "bold red"), (outcome.failure, "red")
    )


def summed_up(outcome: Outcome) -> Text:
    """Return an act in the list of all acts."""
    mark = ("✔", "bold green") if outcome.is_success else ("✘", "bold red")
    reason = f": {outcome.failure}" if outcome.failure else ""
    return Text.assemble(mark, f" {outcome.title} ", (f"({outcome.seconds:.0f} s)", "dim"), reason)


def _time(at: float) -> tuple[str, str]:
    return f"{at:5.1f} ", "dim"
