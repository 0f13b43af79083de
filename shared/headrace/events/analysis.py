"""Events of the analysis-runner: measurements and verdicts.

Their outbox is the AnalysisRun's status. Values are what the status holds; arguments and
secrets never travel.
"""

from __future__ import annotations

from typing import ClassVar

from headrace.events.payload import Payload
from headrace.model.analysis import RunSummary
from headrace.model.meta import Time


class RunFact(Payload):
    """Something that the runner says of one AnalysisRun; `epoch` is always 0.

    Attributes:
        run: Name of the AnalysisRun.
        run_uid: Its metadata.uid.
        resource_version: Of the run after the status was written, so that the fact can lie over
            an older cached object.
    """

    run: str
    run_uid: str
    resource_version: str = ""


class AnalysisMeasured(RunFact):
    """One measurement is over.

    Attributes:
        metric: Name of the metric.
        index: Which measurement of this metric, from 0, counted over the run's life.
        phase: Of the measurement (analysis 1).
        value: As in the status.
        started_at: When it began.
        finished_at: When it was over.
        is_dry_run: True when it does not count for the verdict.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.analysis.measured.v1"

    metric: str
    index: int
    phase: str
    value: str = ""
    started_at: Time | None = None
    finished_at: Time | None = None
    is_dry_run: bool = False

    def id_ordinal(self) -> str:
        """Return the run, the metric and the index."""
        return f"{self.run_uid}/{self.metric}/{self.index}"


class AnalysisJudged(RunFact):
    """The verdict: the run is over.

    `message` is the run's status.message.

    Attributes:
        phase: Of the run, one of the completed phases (analysis 1).
        started_at: status.startedAt.
        completed_at: status.completedAt; None when the run failed before it began (analysis 4).
        run_summary: Counts of metrics.
        dry_run_summary: The same for dry-run metrics.
    """

    EVENT_TYPE: ClassVar[str] = "headrace.analysis.judged.v1"

    phase: str
    started_at: Time | None = None
    completed_at: Time | None = None
    run_summary: RunSummary = RunSummary()
    dry_run_summary: RunSummary | None = None

    def id_ordinal(self) -> str:
        """Return the uid of the run."""
        return self.run_uid
