"""What one process remembers of the runs: what is being measured, what was found, what was said.

Nothing here is needed after a restart: a measurement that was under way is made again, and what
was said is said again under the same ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analysis_runner.core.observed import Finding, Flight, Told
from headrace.events.analysis import AnalysisJudged, AnalysisMeasured, RunFact
from headrace.model.analysis import AnalysisRunStatus, is_completed


@dataclass(frozen=True, slots=True)
class Written:
    """The status that this process wrote last.

    Attributes:
        raw: As it was sent: times in whole seconds.
        status: The same with exact times.
    """

    raw: Mapping[str, Any]
    status: AnalysisRunStatus


@dataclass(slots=True)
class _Entry:
    flights: dict[str, Flight] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    arguments_problem: str = ""
    written: Written | None = None
    told: Told | None = None


class RunMemory:
    """Facts per run, by uid."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    # What is measured

    def flights(self, uid: str) -> Mapping[str, Flight]:
        """Return the measurements under way, by metric."""
        entry = self._entries.get(uid)
        return dict(entry.flights) if entry is not None else {}

    def findings(self, uid: str) -> tuple[Finding, ...]:
        """Return what was found and is not in the status yet, in the order of its finding."""
        entry = self._entries.get(uid)
        return tuple(entry.findings.values()) if entry is not None else ()

    def begin(self, uid: str, metric: str, flight: Flight) -> None:
        """Note that a measurement begins."""
        self._entry(uid).flights[metric] = flight

    def is_under_way(self, uid: str, metric: str, flight: Flight) -> bool:
        """Return whether a measurement is still wanted."""
        entry = self._entries.get(uid)
        return entry is not None and entry.flights.get(metric) is flight

    def find(self, uid: str, finding: Finding) -> bool:
        """Take what came of a measurement; return False when it is not wanted any more."""
        if not self.is_under_way(uid, finding.metric, finding.flight):
            return False
        entry = self._entry(uid)
        del entry.flights[finding.metric]
        entry.findings[finding.metric] = finding
        return True

    def abandon(self, uid: str, metric: str) -> None:
        """Forget a measurement under way."""
        entry = self._entries.get(uid)
        if entry is not None:
            entry.flights.pop(metric, None)

    def take(self, uid: str, metrics: Collection[str]) -> None:
        """Forget findings: they are in the status, or worth nothing."""
        entry = self._entries.get(uid)
        if entry is not None:
            for metric in metrics:
                entry.findings.pop(metric, None)

    def arguments_problem(self, uid: str) -> str:
        """Return why secrets cannot be read; empty when they can."""
        entry = self._entries.get(uid)
        return entry.arguments_problem if entry is not None else ""

    def fail_arguments(self, uid: str, text: str) -> None:
        """Note that a round could not be measured for want of a secret."""
        entry = self._entry(uid)
        entry.arguments_problem = text
        entry.flights.clear()

    # What is written

    def written(self, uid: str) -> Written | None:
        """Return the status that was written last."""
        entry = self._entries.get(uid)
        return entry.written if entry is not None else None

    def wrote(self, uid: str, written: Written) -> None:
        """Note a status that was written; of one that is over nothing is needed any more.

        Should a person take it away, the run begins anew, and reads its Secrets again.
        """
        entry = self._entry(uid)
        is_over = is_completed(written.status.phase)
        entry.written = None if is_over else written
        if is_over:
            entry.arguments_problem = ""
        entry.told = replace(entry.told or Told(), is_followed=True)

    # What is said

    def told(self, uid: str) -> Told | None:
        """Return what the bus has of a run; None for one that was never looked at closely."""
        entry = self._entries.get(uid)
        return entry.told if entry is not None else None

    def said(self, uid: str, fact: RunFact) -> None:
        """Note a fact that the bus took."""
        entry = self._entry(uid)
        told = entry.told or Told()
        if isinstance(fact, AnalysisMeasured):
            told = replace(told, measured={**told.measured, fact.metric: fact.index + 1})
        elif isinstance(fact, AnalysisJudged):
            told = replace(told, is_judged=True)
        entry.told = told

    def say_again(self) -> None:
        """Let every fact be said again: the bus is back and may have lost some.

        What was owed stays owed; what was said is said again while it is recent.
        """
        for entry in self._entries.values():
            if entry.told is not None:
                is_owed = entry.told.is_followed and not entry.told.is_judged
                entry.told = Told(is_followed=is_owed)

    # The end

    def forget(self, uid: str) -> None:
        """Forget a run that is gone, or another replica's now."""
        self._entries.pop(uid, None)

    def _entry(self, uid: str) -> _Entry:
        return self._entries.setdefault(uid, _Entry())
