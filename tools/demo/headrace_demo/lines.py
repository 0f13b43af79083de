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
    return Text.assemble((f"{at:6.1f}  ", "dim"), ("▶ " + text, "bold"))


def heard(line: Line) -> Text:
    """Return an event."""
    return Text.assemble(
        (f"{line.at:6.1f}  ", "dim"),
        (f"{line.speaker:<11}", _COLOURS[line.speaker]),
        (f"{line.what:<20} ", "cyan"),
        line.text,
    )


def standing(moment: Moment) -> Text:
    """Return how a Rollout stands."""
    weight = "no TrafficSplit" if moment.weight is None else f"weight {moment.weight}"
    pods = ", ".join(f"{count} {version}" for version, count in sorted(moment.pods.items()))
    message = f" ({moment.message})" if moment.message else ""
    return Text(
        f"{weight} · step {moment.step}/{moment.steps} · pods {pods or 'none'} · "
        f"{moment.phase}{message}"
    )


def requests(report: Report) -> str:
    """Return what became of all requests of an act."""
    errors = ", ".join(
        f"{version} {count}"
        for version in report.versions
        if (count := sum(n for code, n in report.statuses(version).items() if code >= 400))
    )
    return (
        f"{report.total:,} requests, {report.failed_without_version} lost by the release, "
        f"errors of the versions' own: {errors or 'none'}"
    )


def ended(outcome: Outcome) -> Text:
    """Return how an act ended."""
    mark = ("✔ as it should be", "bold green") if outcome.is_success else ("✘ failed", "bold red")
    reason = f": {outcome.failure}" if outcome.failure else ""
    return Text.assemble(
        "        ", mark, (reason, "red"), (f"   {requests(outcome.report)}", "dim")
    )


def summed_up(outcome: Outcome) -> Text:
    """Return an act in the list of all acts."""
    mark = ("✔", "bold green") if outcome.is_success else ("✘", "bold red")
    reason = f": {outcome.failure}" if outcome.failure else ""
    return Text.assemble(mark, f" {outcome.title} ", (f"({outcome.seconds:.0f} s)", "dim"), reason)
