"""AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun (analysis 1)."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from headrace.model.base import Model, Resource
from headrace.model.meta import ObjectMeta, Time
from headrace.model.providers import MetricProvider
from headrace.model.quantities import Int32, IntOrString, int_value
from headrace.model.steps import (
    AnalysisTemplateReference,
    DryRun,
    FieldReference,
    MeasurementRetention,
)


class AnalysisPhase(StrEnum):
    """Phases of runs, metrics and measurements (analysis 1)."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    ERROR = "Error"
    INCONCLUSIVE = "Inconclusive"


_COMPLETED = frozenset(
    {
        AnalysisPhase.SUCCESSFUL,
        AnalysisPhase.FAILED,
        AnalysisPhase.ERROR,
        AnalysisPhase.INCONCLUSIVE,
    }
)


_BETTER_TO_WORSE = (
    AnalysisPhase.SUCCESSFUL,
    AnalysisPhase.RUNNING,
    AnalysisPhase.PENDING,
    AnalysisPhase.INCONCLUSIVE,
    AnalysisPhase.ERROR,
    AnalysisPhase.FAILED,
)


def is_completed(phase: str) -> bool:
    """Return whether a run, metric or measurement in `phase` is over."""
    return phase in _COMPLETED


def is_worse(phase: str, than: str) -> bool:
    """Return whether `phase` is worse than the other (analysis 4.4)."""
    return _BETTER_TO_WORSE.index(AnalysisPhase(phase)) > _BETTER_TO_WORSE.index(
        AnalysisPhase(than)
    )


class SecretKeyReference(Model):
    """One key of a Secret in the run's namespace."""

    name: str
    key: str


class ValueSource(Model):
    """Where a run's argument takes its value from."""

    secret_key_ref: SecretKeyReference | None = None
    field_ref: FieldReference | None = None


class Argument(Model):
    """An argument that a template declares or a run has."""

    name: str
    value: str | None = None
    value_from: ValueSource | None = None


class Metric(Model):
    """What to measure, how often, and how to judge it (analysis 1)."""

    name: str
    interval: str = ""
    initial_delay: str = ""
    count: IntOrString | None = None
    success_condition: str = ""
    failure_condition: str = ""
    failure_limit: IntOrString | None = None
    inconclusive_limit: IntOrString | None = None
    consecutive_error_limit: IntOrString | None = None
    consecutive_success_limit: IntOrString | None = None
    provider: MetricProvider

    def effective_count(self) -> int | None:
        """Return how many measurements the metric needs, None for no end (analysis 1)."""
        count = int_value(self.count)
        if count == 0:
            return None if self.interval else 1
        return count


class AnalysisTemplateSpec(Model):
    """What both kinds of templates hold."""

    metrics: tuple[Metric, ...] = ()
    args: tuple[Argument, ...] = ()
    dry_run: tuple[DryRun, ...] = ()
    measurement_retention: tuple[MeasurementRetention, ...] = ()
    templates: tuple[AnalysisTemplateReference, ...] = ()


class AnalysisTemplate(Resource):
    """A template of its namespace."""

    KIND: ClassVar[str] = "AnalysisTemplate"

    metadata: ObjectMeta = ObjectMeta()
    spec: AnalysisTemplateSpec


class ClusterAnalysisTemplate(Resource):
    """A template of the cluster."""

    KIND: ClassVar[str] = "ClusterAnalysisTemplate"

    metadata: ObjectMeta = ObjectMeta()
    spec: AnalysisTemplateSpec


class TtlStrategy(Model):
    """When a finished run is deleted, in seconds after its completion (analysis 4.8)."""

    seconds_after_completion: Int32 | None = None
    seconds_after_failure: Int32 | None = None
    seconds_after_success: Int32 | None = None


class AnalysisRunSpec(Model):
    """What a run measures."""

    metrics: tuple[Metric, ...]
    args: tuple[Argument, ...] = ()
    terminate: bool = False
    dry_run: tuple[DryRun, ...] = ()
    measurement_retention: tuple[MeasurementRetention, ...] = ()
    ttl_strategy: TtlStrategy | None = None


class Measurement(Model):
    """One measured value."""

    phase: str
    message: str = ""
    started_at: Time | None = None
    finished_at: Time | None = None
    value: str = ""
    metadata: dict[str, str] | None = None
    resume_at: Time | None = None


class MetricResult(Model):
    """The last measurements of a metric, and its counters."""

    name: str
    phase: str
    measurements: tuple[Measurement, ...] = ()
    message: str = ""
    count: Int32 = 0
    successful: Int32 = 0
    failed: Int32 = 0
    inconclusive: Int32 = 0
    error: Int32 = 0
    consecutive_error: Int32 = 0
    consecutive_success: Int32 = 0
    dry_run: bool = False
    metadata: dict[str, str] = Field(default_factory=dict)


class RunSummary(Model):
    """Counts of metrics, by how they ended."""

    count: Int32 = 0
    successful: Int32 = 0
    failed: Int32 = 0
    inconclusive: Int32 = 0
    error: Int32 = 0


class AnalysisRunStatus(Model):
    """The outcome so far; written by the analysis-runner alone."""

    phase: str = ""
    message: str = ""
    metric_results: tuple[MetricResult, ...] = ()
    started_at: Time | None = None
    completed_at: Time | None = None
    run_summary: RunSummary = RunSummary()
    dry_run_summary: RunSummary | None = None


class AnalysisRun(Resource):
    """A run of an analysis."""

    KIND: ClassVar[str] = "AnalysisRun"

    metadata: ObjectMeta = ObjectMeta()
    spec: AnalysisRunSpec
    status: AnalysisRunStatus = AnalysisRunStatus()
